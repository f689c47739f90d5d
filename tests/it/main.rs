//! The integration tests: the house rules, cases as data, real captures as they are and disturbed, attacks, the command itself.

mod attacks;
mod captures;
mod cases;
mod command;
mod house;
mod support;
