//! The integration tests: the house rules, cases as data, real captures as they are and disturbed, the command itself.

mod attacks;
mod captures;
mod cases;
mod evasion;
mod house;
mod support;
