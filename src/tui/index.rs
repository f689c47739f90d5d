//! Which leaks are in the lists, in which order, in which groups: kept as leaks come, never sorted as a whole.
//!
//! **Architecture Invariant:** a leak costs the same whatever the number of others; a filter is applied step by step.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::model::{Severity, Timestamp};

use super::filter::Filter;
use super::store::{Entry, Store};

/// Leaks of an open group that are shown.
const OPEN: usize = 500;

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Newest,
    Worst,
}

/// What leaks are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Secret,
    Endpoint,
    Client,
}

impl By {
    pub(super) const ALL: [Self; 3] = [Self::Secret, Self::Endpoint, Self::Client];

    fn key(self, entry: &Entry) -> Arc<str> {
        match self {
            Self::Secret => entry.secret_key().into(),
            Self::Endpoint => Arc::from(&*entry.endpoint),
            Self::Client => entry.leak.flow.client.ip().to_string().into(),
        }
    }
}

/// Leaks that belong together.
#[derive(Debug)]
pub(super) struct Group {
    /// Their numbers, the oldest first.
    pub(super) members: VecDeque<u64>,
    /// How many of each severity.
    levels: [usize; 5],
    /// Sightings.
    pub(super) times: u64,
    /// When the first was seen, of those that are held.
    pub(super) first: Timestamp,
    /// When the last.
    pub(super) last: Timestamp,
    /// Whether there is a secret to it.
    pub(super) is_secret: bool,
}

impl Group {
    pub(super) fn worst(&self) -> Severity {
        let levels = Severity::ALL.iter().zip(&self.levels).rev();
        levels.into_iter().find(|(_, count)| **count > 0).map_or(Severity::Info, |(level, _)| *level)
    }
}

/// The leaks that pass the filter.
#[derive(Debug)]
pub(super) struct Index {
    /// Every leak below this number has been looked at.
    next: u64,
    all: VecDeque<u64>,
    /// By severity, the mildest first.
    levels: [VecDeque<u64>; 5],
    groups: [HashMap<Arc<str>, Group>; 3],
    /// Groups of one secret each.
    secrets: usize,
    /// Changes whenever groups do.
    edition: u64,
    /// Leaks looked at, for those who count the work.
    pub(super) looked: u64,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            all: VecDeque::new(),
            levels: Default::default(),
            groups: Default::default(),
            secrets: 0,
            edition: 0,
            looked: 0,
        }
    }

    /// Begins anew: another filter holds.
    pub(super) fn reset(&mut self, store: &Store) {
        let (looked, edition) = (self.looked, self.edition);
        *self = Self { next: store.serials().start, looked, edition: edition + 1, ..Self::new() };
    }

    /// Looks at up to `budget` leaks that were not looked at; the numbers of those that pass are given to `added`.
    pub(super) fn advance(
        &mut self,
        store: &mut Store,
        filter: &Filter,
        budget: usize,
        is_muted: impl Fn(&Entry) -> bool,
        mut added: impl FnMut(&Self, u64, &Entry),
    ) {
        let serials = store.serials();
        let from = self.next.max(serials.start);
        let until = serials.end.min(from + budget as u64);
        for serial in from..until {
            self.looked += 1;
            store.mute(serial, &is_muted);
            let Some(entry) = store.get(serial) else { continue };
            if filter.passes(entry.subject()) {
                self.add(serial, entry);
                added(self, serial, entry);
            }
        }
        self.next = until.max(self.next);
    }

    /// How far a new filter has come, in percent; `None` where it is done.
    pub(super) fn progress(&self, store: &Store) -> Option<u64> {
        let serials = store.serials();
        let behind = serials.end.saturating_sub(self.next);
        (behind > 0).then(|| 100 - (behind * 100 / (serials.end - serials.start).max(1)).min(100))
    }

    fn add(&mut self, serial: u64, entry: &Entry) {
        let level = entry.leak.severity as usize;
        self.all.push_back(serial);
        if let Some(of_level) = self.levels.get_mut(level) {
            of_level.push_back(serial);
        }
        self.edition += 1;
        for (by, groups) in By::ALL.into_iter().zip(&mut self.groups) {
            let is_secret = entry.leak.secret.is_some();
            let group = groups.entry(by.key(entry)).or_insert_with(|| {
                self.secrets += usize::from(by == By::Secret && is_secret);
                Group {
                    members: VecDeque::new(),
                    levels: [0; 5],
                    times: 0,
                    first: entry.leak.time,
                    last: entry.last,
                    is_secret,
                }
            });
            group.members.push_back(serial);
            group.times += entry.times;
            group.first = group.first.min(entry.leak.time);
            group.last = group.last.max(entry.last);
            if let Some(count) = group.levels.get_mut(level) {
                *count += 1;
            }
        }
    }

    /// A leak is held no more. Whether it was in the list.
    pub(super) fn remove(&mut self, serial: u64, entry: &Entry) -> bool {
        if self.all.front() != Some(&serial) {
            return false;
        }
        self.all.pop_front();
        let level = entry.leak.severity as usize;
        if let Some(of_level) = self.levels.get_mut(level) {
            of_level.pop_front();
        }
        self.edition += 1;
        for (by, groups) in By::ALL.into_iter().zip(&mut self.groups) {
            let key = by.key(entry);
            let Some(group) = groups.get_mut(&key) else { continue };
            group.members.pop_front();
            group.times = group.times.saturating_sub(entry.times);
            if let Some(count) = group.levels.get_mut(level) {
                *count -= 1;
            }
            if group.members.is_empty() {
                self.secrets -= usize::from(by == By::Secret && group.is_secret);
                groups.remove(&key);
            }
        }
        true
    }

    /// A leak of the list was seen once more.
    pub(super) fn seen(&mut self, serial: u64, entry: &Entry) {
        if self.all.binary_search(&serial).is_err() {
            return;
        }
        self.edition += 1;
        for (by, groups) in By::ALL.into_iter().zip(&mut self.groups) {
            if let Some(group) = groups.get_mut(&by.key(entry)) {
                group.times += 1;
                group.last = group.last.max(entry.last);
            }
        }
    }

    /// Leaks in the list.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of a severity.
    pub(super) fn count(&self, level: Severity) -> usize {
        self.levels.get(level as usize).map_or(0, VecDeque::len)
    }

    /// The number of the leak in a row.
    pub(super) fn at(&self, sort: Sort, row: usize) -> Option<u64> {
        match sort {
            Sort::Newest => nth_newest(&self.all, row),
            Sort::Worst => {
                let mut left = row;
                for level in self.levels.iter().rev() {
                    if let Some(serial) = nth_newest(level, left) {
                        return Some(serial);
                    }
                    left -= level.len();
                }
                None
            }
        }
    }

    /// The row of a leak.
    pub(super) fn row_of(&self, sort: Sort, serial: u64, level: Severity) -> Option<usize> {
        let place = |list: &VecDeque<u64>| list.binary_search(&serial).ok().map(|at| list.len() - 1 - at);
        match sort {
            Sort::Newest => place(&self.all),
            Sort::Worst => {
                let own = self.levels.get(level as usize)?;
                let worse = self.levels.iter().skip(level as usize + 1);
                Some(place(own)? + worse.map(VecDeque::len).sum::<usize>())
            }
        }
    }

    /// How many secrets there are.
    pub(super) fn secrets(&self) -> usize {
        self.secrets
    }

    pub(super) fn groups(&self, by: By) -> &HashMap<Arc<str>, Group> {
        let [secret, endpoint, client] = &self.groups;
        match by {
            By::Secret => secret,
            By::Endpoint => endpoint,
            By::Client => client,
        }
    }
}

fn nth_newest(list: &VecDeque<u64>, row: usize) -> Option<u64> {
    list.get(list.len().checked_sub(row + 1)?).copied()
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Leak(u64),
    Group(Arc<str>),
    /// So many more leaks of the group are not shown.
    More(Arc<str>, usize),
}

/// Groups, some of them open: the rows of a list. Made anew a few times a second at most.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) by: By,
    pub(super) only_secrets: bool,
    pub(super) rows: Vec<Row>,
    order: Vec<Arc<str>>,
    open: HashSet<Arc<str>>,
    edition: Option<(u64, Sort)>,
}

impl Tree {
    pub(super) fn new(by: By, only_secrets: bool) -> Self {
        Self { by, only_secrets, rows: Vec::new(), order: Vec::new(), open: HashSet::new(), edition: None }
    }

    pub(super) fn is_open(&self, key: &str) -> bool {
        self.open.contains(key)
    }

    /// Opens or closes a group.
    pub(super) fn toggle(&mut self, key: &Arc<str>) {
        if !self.open.remove(key) {
            self.open.insert(Arc::clone(key));
        }
        self.edition = None;
    }

    /// Makes the rows anew where the index has changed. Whether it had.
    pub(super) fn refresh(&mut self, index: &Index, sort: Sort) -> bool {
        if self.edition == Some((index.edition, sort)) {
            return false;
        }
        self.edition = Some((index.edition, sort));
        let groups = index.groups(self.by);
        // In the order of the last time most of it is sorted already.
        self.order.retain(|key| groups.contains_key(key));
        let known: HashSet<&Arc<str>> = self.order.iter().collect();
        let fresh = groups
            .iter()
            .filter(|(key, group)| !known.contains(key) && (group.is_secret || !self.only_secrets));
        let fresh: Vec<Arc<str>> = fresh.map(|(key, _)| Arc::clone(key)).collect();
        self.order.extend(fresh);
        self.order.sort_by_cached_key(|key| {
            let group = groups.get(key);
            let worst = group.map(Group::worst).filter(|_| sort == Sort::Worst);
            Reverse((worst, group.map(|group| group.last), Reverse(Arc::clone(key))))
        });
        self.rows.clear();
        self.open.retain(|key| groups.contains_key(key));
        for key in &self.order {
            self.rows.push(Row::Group(Arc::clone(key)));
            if let Some(group) = groups.get(key).filter(|_| self.open.contains(key)) {
                self.rows.extend(group.members.iter().rev().take(OPEN).map(|&serial| Row::Leak(serial)));
                if let Some(more) = group.members.len().checked_sub(OPEN).filter(|&more| more > 0) {
                    self.rows.push(Row::More(Arc::clone(key), more));
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
