//! What leaks in a capture, and how much of it was told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A leak whose value is in a capture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Truth {
    /// What is to be told.
    #[serde(flatten)]
    pub(crate) leak: Told,
    /// Whether it is known by its own form.
    pub(crate) typed: bool,
    /// Whether its message has a hole, so that its place may not be told.
    pub(crate) torn: bool,
}

/// A leak as it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Where: a surface of the contract.
    pub(crate) surface: String,
    /// What names it there.
    pub(crate) name: Option<String>,
    /// The value.
    pub(crate) value: String,
    /// The flow's client.
    pub(crate) client: String,
}

impl Truth {
    /// Whether it has to be told: torn from its name, a value is known by its form or not at all.
    pub(crate) fn is_due(&self) -> bool {
        self.typed || !self.torn
    }
}

/// What has to be told and was not, and how many values were told that are no truth. Of a torn message the place is not asked.
pub(crate) fn compare<'a>(truth: &'a [Truth], told: &BTreeSet<Told>) -> (Vec<&'a Truth>, usize) {
    let value = |leak: &Told| (leak.value.clone(), leak.client.clone());
    let values: BTreeSet<_> = told.iter().map(value).collect();
    let known: BTreeSet<_> = truth.iter().map(|truth| value(&truth.leak)).collect();
    let is_told = |truth: &Truth| match truth.torn {
        true => values.contains(&value(&truth.leak)),
        false => told.contains(&truth.leak),
    };
    let missed = truth.iter().filter(|truth| truth.is_due() && !is_told(truth)).collect();
    (missed, values.difference(&known).count())
}
