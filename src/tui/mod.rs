//! The terminal screen: reads events, sightings and the state of a run from a channel, and never calls back.
//!
//! **Architecture Invariant:** [`App::update`] changes, [`draw`] only reads; what shall be done outside goes out as an [`Effect`].

mod app;
mod filter;
mod index;
mod keys;
mod line;
mod list;
mod news;
mod series;
mod sixteen;
mod store;
mod terminal;
mod theme;
mod vault;
mod view;

pub use app::{App, Effect, Message, Setup, Speed, Tab};
pub use news::{News, RuleNow, Sighting, Told};
pub use terminal::{Screen, restore};
pub use theme::Theme;
pub use view::draw;

#[cfg(test)]
mod example;
