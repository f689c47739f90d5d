//! What the screen is told: events, sightings that are not told elsewhere, how the run goes.

use crate::model::event::{Leak, Lost, Summary};
use crate::model::finding::FindingId;
use crate::model::pulse::Pulse;
use crate::model::story::Story;
use crate::model::{Endpoint, Secret, Timestamp};

/// One piece of news.
#[derive(Debug)]
pub enum News {
    /// A leak was told.
    Leak(Box<Told>),
    /// A leak that was told before was seen once more.
    Sighting(Sighting),
    /// Something could not be seen.
    Lost(Lost),
    /// How the run goes.
    Pulse(Box<Pulse>),
    /// The run is over; what it came to.
    Summary(Box<Summary>),
    /// Something worth knowing; whether it is a fault.
    Note(String, bool),
    /// So many rules are in force from here on, `true`: since they were read again.
    Rules(Vec<RuleNow>, bool),
    /// So much news was dropped because the screen was behind.
    Dropped(u64),
}

/// A leak and what only the process itself knows of it.
#[derive(Debug)]
pub struct Told {
    /// The event.
    pub leak: Leak,
    /// The value, where it may be revealed later.
    pub value: Option<Secret>,
    /// The message it stands in.
    pub story: Option<Box<Story>>,
}

/// A leak seen once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The identity of the leak.
    pub leak: FindingId,
    /// When.
    pub time: Timestamp,
    /// From where.
    pub client: Endpoint,
    /// The first frame that carries it.
    pub frame: u64,
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNow {
    /// Its identifier.
    pub id: String,
    /// Where it comes from.
    pub file: String,
}

/// The identity of a leak as a number; of one that is none, some number of its own.
#[must_use]
pub(super) fn identity(id: &str) -> u128 {
    u128::from_str_radix(id, 16).unwrap_or_else(|_| {
        // FNV-1a over both halves.
        id.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
    })
}
