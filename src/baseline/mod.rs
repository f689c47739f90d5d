//! What is known and not told again: entries that people wrote, that `--write-baseline` wrote, or that a screen muted.
//!
//! **Architecture Invariant:** an entry holds identities and fingerprints, never anything of a secret's value; no clock is read
//! here: whether an entry has expired is judged by the moment that is given.

mod entry;
mod file;

use std::collections::HashMap;

use toml_edit::{DocumentMut, Table};

pub use entry::{Day, Entry, Mute, Sighting};
pub use file::BaselineError;

use crate::model::Timestamp;
use crate::model::secret::FingerprintKey;

/// Changes that can be taken back.
const UNDOS: usize = 1000;
/// What is fingerprinted to know the key again.
const SAMPLE: &[u8] = b"leaktap baseline";

/// Leaks that are known. Its text keeps its comments and order through every change.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    entries: Vec<Entry>,
    /// The file that the entries stand in, one table for each, in their order.
    document: DocumentMut,
    /// What the fingerprints are made with, as [`seal`] tells it.
    key: Option<String>,
    index: Index,
    /// What can be taken back, with the text of what was removed.
    done: Vec<(Change, Option<Table>)>,
}

/// Where to look for what may know a leak.
#[derive(Clone, Debug, Default)]
struct Index {
    ids: HashMap<String, usize>,
    fingerprints: HashMap<String, Vec<usize>>,
    others: Vec<usize>,
}

/// A change, as it can be taken back.
#[derive(Clone, Debug)]
pub enum Change {
    /// This entry was added, as the last.
    Added(Entry),
    /// This entry stood here and was removed.
    Removed(usize, Entry),
    /// An entry for the same leaks stood here in this form.
    Renewed(usize, Entry),
}

impl Baseline {
    /// The entries, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry in force at `now` that knows a leak, by its place among [`Baseline::entries`].
    #[must_use]
    pub fn knows(&self, sighting: &Sighting<'_>, now: Timestamp) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let by_id = self.index.ids.get(&*sighting.id);
        let same = sighting.fingerprint.as_deref().and_then(|print| self.index.fingerprints.get(print));
        by_id.into_iter().chain(same.into_iter().flatten()).chain(&self.index.others).copied().find(|&at| {
            self.entries.get(at).is_some_and(|entry| !entry.has_expired(now) && entry.fits(sighting))
        })
    }

    /// Adds an entry, or gives the one for the same leaks this expiry, and its reason and owner where they are said. `false`
    /// where nothing changed by it.
    pub fn add(&mut self, entry: Entry) -> bool {
        match self.same(&entry) {
            Some(at) => {
                let Some(old) = self.entries.get_mut(at) else { return false };
                let reason = entry.reason.or_else(|| old.reason.clone());
                let owner = entry.owner.or_else(|| old.owner.clone());
                let new = Entry { reason, owner, expires: entry.expires, ..old.clone() };
                if new == *old {
                    return false;
                }
                file::renew(&mut self.document, at, &new);
                let old = std::mem::replace(old, new);
                self.note(Change::Renewed(at, old), None);
            }
            None => {
                file::push(&mut self.document, file::table(&entry));
                self.index.insert(self.entries.len(), &entry);
                self.entries.push(entry.clone());
                self.note(Change::Added(entry), None);
            }
        }
        true
    }

    /// Removes an entry by its place among [`Baseline::entries`].
    pub fn remove(&mut self, at: usize) -> Option<Entry> {
        let (removed, table) = self.take(at)?;
        self.note(Change::Removed(at, removed.clone()), table);
        Some(removed)
    }

    /// Takes the last change back, and says which it was; none where there is nothing (more) to take back.
    pub fn undo(&mut self) -> Option<Change> {
        let (change, table) = self.done.pop()?;
        match &change {
            Change::Added(_) => {
                self.take(self.entries.len().checked_sub(1)?);
            }
            Change::Removed(at, entry) => {
                let table = table.unwrap_or_else(|| file::table(entry));
                file::insert(&mut self.document, *at, table);
                self.entries.insert((*at).min(self.entries.len()), entry.clone());
                self.index = Index::of(&self.entries);
            }
            Change::Renewed(at, old) => {
                file::renew(&mut self.document, *at, old);
                if let Some(entry) = self.entries.get_mut(*at) {
                    *entry = old.clone();
                }
            }
        }
        Some(change)
    }

    /// Says which key the fingerprints are made with, where that was not said.
    pub fn seal(&mut self, key: &FingerprintKey) {
        if self.key.is_none() {
            let seal = seal(key);
            file::seal(&mut self.document, &seal);
            self.key = Some(seal);
        }
    }

    /// Whether its fingerprints are made with `key`, as far as it is said.
    #[must_use]
    pub fn is_of(&self, key: &FingerprintKey) -> bool {
        self.key.as_ref().is_none_or(|own| *own == seal(key))
    }

    /// Whether any entry knows its leaks by a fingerprint.
    #[must_use]
    pub fn has_fingerprints(&self) -> bool {
        !self.index.fingerprints.is_empty()
    }

    fn same(&self, entry: &Entry) -> Option<usize> {
        let near = match (&entry.id, &entry.fingerprint) {
            (Some(id), _) => return self.index.ids.get(id).copied(),
            (None, Some(print)) => self.index.fingerprints.get(print)?,
            (None, None) => &self.index.others,
        };
        near.iter().copied().find(|&at| self.entries.get(at).is_some_and(|other| other.concerns_as(entry)))
    }

    fn take(&mut self, at: usize) -> Option<(Entry, Option<Table>)> {
        if at >= self.entries.len() {
            return None;
        }
        let table = file::remove(&mut self.document, at);
        let removed = self.entries.remove(at);
        self.index = Index::of(&self.entries);
        Some((removed, table))
    }

    fn note(&mut self, change: Change, table: Option<Table>) {
        if self.done.len() >= UNDOS {
            self.done.remove(0);
        }
        self.done.push((change, table));
    }
}

impl Index {
    fn of(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            index.insert(at, entry);
        }
        index
    }

    fn insert(&mut self, at: usize, entry: &Entry) {
        match (&entry.id, &entry.fingerprint) {
            (Some(id), _) => {
                self.ids.insert(id.clone(), at);
            }
            (None, Some(print)) => self.fingerprints.entry(print.clone()).or_default().push(at),
            (None, None) => self.others.push(at),
        }
    }
}

/// What tells keys apart and says nothing of them.
fn seal(key: &FingerprintKey) -> String {
    key.fingerprint(SAMPLE).to_string().chars().take(16).collect()
}

#[cfg(test)]
mod tests;
