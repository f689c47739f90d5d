//! The integration tests: the house rules, cases as data, real captures as they are and disturbed, the command itself.

mod captures;
mod cases;
mod command;
mod house;
mod support;
