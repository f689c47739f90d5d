//! What a person has decided not to see any more, and the way back.

use crate::model::event::Leak;

use super::store::Entry;

/// Something muted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// What.
    pub what: Muted,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// What can be muted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Muted {
    /// All that a rule finds.
    Rule(String),
    /// All at a host and route.
    Endpoint(String),
    /// One secret wherever it is, by its fingerprint.
    Secret(String),
    /// One leak, by its identity.
    Leak(String),
}

impl Muted {
    /// `the rule x`, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Rule(rule) => format!("the rule {rule}"),
            Self::Endpoint(endpoint) => format!("the endpoint {endpoint}"),
            Self::Secret(fingerprint) => {
                format!("the secret {}", fingerprint.get(..8).unwrap_or(fingerprint))
            }
            Self::Leak(id) => format!("the leak {}", id.get(..8).unwrap_or(id)),
        }
    }

    fn holds(&self, leak: &Leak, endpoint: &str) -> bool {
        match self {
            Self::Rule(rule) => leak.rule == *rule,
            Self::Endpoint(muted) => endpoint == muted,
            Self::Secret(fingerprint) => {
                leak.secret.as_ref().is_some_and(|secret| secret.fingerprint == *fingerprint)
            }
            Self::Leak(id) => leak.id == *id,
        }
    }
}

/// All that is muted.
#[derive(Debug, Default)]
pub(super) struct Mutes {
    all: Vec<Mute>,
    /// What was muted here, the last one last.
    done: Vec<Mute>,
}

impl Mutes {
    pub(super) fn new(all: Vec<Mute>) -> Self {
        Self { all, done: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn all(&self) -> &[Mute] {
        &self.all
    }

    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.all.iter().any(|mute| mute.what.holds(&entry.leak, &entry.endpoint))
    }

    /// Whether it was not muted already.
    pub(super) fn add(&mut self, mute: &Mute) -> bool {
        if self.all.iter().any(|known| known.what == mute.what) {
            return false;
        }
        self.all.push(mute.clone());
        self.done.push(mute.clone());
        true
    }

    /// Takes the last one back.
    pub(super) fn undo(&mut self) -> Option<Mute> {
        let last = self.done.pop()?;
        self.all.retain(|mute| mute.what != last.what);
        Some(last)
    }
}
