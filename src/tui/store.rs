//! The leaks that the screen holds: the newest up to a limit, each by a number that never changes.

use std::collections::{HashMap, VecDeque};

use crate::model::event::Leak;
use crate::model::story::Story;
use crate::model::{Endpoint, Timestamp, route};

use super::filter::Subject;
use super::news::{Sighting, Told, identity};

/// Leaks held; of more the oldest go.
pub(super) const LEAKS: usize = 100_000;
/// Bytes of stories held; of more the oldest go, their leaks stay.
const STORIES: usize = 32 << 20;
/// Sightings held of each leak.
const SIGHTINGS: usize = 8;

/// A leak and what was seen of it since.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) leak: Leak,
    /// How often it was seen.
    pub(super) times: u64,
    /// When last.
    pub(super) last: Timestamp,
    /// The last of these, the newest first.
    pub(super) seen: VecDeque<(Timestamp, Endpoint, u64)>,
    pub(super) story: Option<Box<Story>>,
    /// Host and route.
    pub(super) endpoint: Box<str>,
    pub(super) muted: bool,
}

impl Entry {
    fn new(told: Told) -> Self {
        let Told { leak, story, .. } = told;
        let endpoint = endpoint(&leak).into_boxed_str();
        Self { times: 1, last: leak.time, seen: VecDeque::new(), story, endpoint, muted: false, leak }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { leak: &self.leak, times: self.times, endpoint: &self.endpoint, muted: self.muted }
    }

    /// What makes two leaks one secret: its fingerprint; of what is none, rule and server.
    pub(super) fn secret_key(&self) -> String {
        match &self.leak.secret {
            Some(secret) => secret.fingerprint.clone(),
            None => format!("{} at {}", self.leak.rule, self.leak.flow.server),
        }
    }
}

/// The host and route of a leak; the server's address where there is no HTTP.
fn endpoint(leak: &Leak) -> String {
    let http = leak.http.as_ref();
    let host = http.and_then(|http| http.host.as_deref());
    route::endpoint(host, &leak.flow.server.to_string(), http.and_then(|http| http.target.as_deref()))
}

/// The leaks, by serial number.
#[derive(Debug)]
pub(super) struct Store {
    entries: VecDeque<Entry>,
    /// The number of the first.
    base: u64,
    ids: HashMap<u128, u64>,
    limit: usize,
    stories: usize,
    /// Below this number there is no story.
    told_from: u64,
}

impl Store {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            base: 0,
            ids: HashMap::new(),
            limit: limit.max(1),
            stories: 0,
            told_from: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The numbers held.
    pub(super) fn serials(&self) -> std::ops::Range<u64> {
        self.base..self.base + self.entries.len() as u64
    }

    /// Leaks that had to go.
    pub(super) fn gone(&self) -> u64 {
        self.base
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(serial.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, serial: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(serial.checked_sub(self.base)?).ok()?)
    }

    /// The number of the leak of this identity.
    pub(super) fn by_id(&self, id: &str) -> Option<u64> {
        self.ids.get(&identity(id)).copied()
    }

    /// Takes a leak; gives what had to go for it, with its number.
    pub(super) fn add(&mut self, told: Told) -> Option<(u64, Entry)> {
        let entry = Entry::new(told);
        let gone = if self.entries.len() >= self.limit { self.drop_oldest() } else { None };
        let serial = self.base + self.entries.len() as u64;
        self.stories += entry.story.as_ref().map_or(0, |story| story.weight());
        self.ids.insert(identity(&entry.leak.id), serial);
        self.entries.push_back(entry);
        while self.stories > STORIES && self.told_from < serial {
            let oldest = self.told_from.max(self.base);
            self.told_from = oldest + 1;
            let story = self.get_mut(oldest).and_then(|entry| entry.story.take());
            self.stories -= story.map_or(0, |story| story.weight());
        }
        gone
    }

    fn drop_oldest(&mut self) -> Option<(u64, Entry)> {
        let oldest = self.entries.pop_front()?;
        let serial = self.base;
        self.base += 1;
        self.stories -= oldest.story.as_ref().map_or(0, |story| story.weight());
        let id = identity(&oldest.leak.id);
        if self.ids.get(&id) == Some(&serial) {
            self.ids.remove(&id);
        }
        Some((serial, oldest))
    }

    /// A leak was seen once more; its number, where it is held.
    pub(super) fn seen(&mut self, sighting: &Sighting) -> Option<u64> {
        let serial = *self.ids.get(&u128::from_be_bytes(sighting.leak.0))?;
        let entry = self.get_mut(serial)?;
        entry.times += 1;
        entry.last = entry.last.max(sighting.time);
        entry.seen.push_front((sighting.time, sighting.client, sighting.frame));
        entry.seen.truncate(SIGHTINGS);
        Some(serial)
    }

    /// Says of a leak whether it is muted.
    pub(super) fn mute(&mut self, serial: u64, is_muted: impl FnOnce(&Entry) -> bool) {
        if let Some(entry) = self.get_mut(serial) {
            entry.muted = is_muted(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::FindingId;
    use crate::model::story::Passage;
    use crate::tui::example;

    #[test]
    fn of_too_many_the_oldest_go() {
        let mut store = Store::new(3);
        let told = |number| Told { leak: example::leak(number), value: None, story: None };
        for number in 0..5 {
            let gone = store.add(told(number));
            assert_eq!(gone.map(|(serial, _)| serial), (number as u64).checked_sub(3));
        }
        assert_eq!((store.len(), store.serials(), store.gone()), (3, 2..5, 2));
        assert!(store.get(1).is_none() && store.by_id(&example::leak(1).id).is_none());
        assert_eq!(store.by_id(&example::leak(4).id), Some(4));
    }

    #[test]
    fn sightings_are_counted_and_the_last_ones_kept() {
        let mut store = Store::new(3);
        let leak = example::leak(0);
        let (id, client) = (FindingId(identity(&leak.id).to_be_bytes()), leak.flow.client);
        store.add(Told { leak, value: None, story: None });
        for number in 1..=20 {
            let time = Timestamp::from_nanos(1_800_000_000_000_000_000 + number);
            let sighting = Sighting { leak: id, time, client, frame: number as u64 };
            assert_eq!(store.seen(&sighting), Some(0));
        }
        let entry = store.get(0).unwrap();
        assert_eq!((entry.times, entry.seen.len(), entry.seen[0].2), (21, SIGHTINGS, 20));
        assert_eq!(
            store.seen(&Sighting { leak: FindingId([7; 16]), time: Timestamp::default(), client, frame: 1 }),
            None
        );
    }

    #[test]
    fn stories_have_a_limit_of_their_own() {
        let mut store = Store::new(100);
        for number in 0..40 {
            let passage = Passage { text: "x".repeat(1 << 20), marks: Vec::new() };
            let story = Some(Box::new(Story { request: Some(passage), response: None }));
            store.add(Told { leak: example::leak(number), value: None, story });
        }
        let kept = store.serials().filter(|&serial| store.get(serial).unwrap().story.is_some());
        let kept: Vec<u64> = kept.collect();
        assert_eq!((kept.first(), kept.last(), kept.len()), (Some(&9), Some(&39), 31));
        assert!(store.stories <= STORIES);
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_route() {
        let mut leak = example::leak(0);
        assert_eq!(endpoint(&leak), "api.example.com/*/charges");
        leak.http.as_mut().unwrap().target = Some("http://made-up.example/a/17?x=y".into());
        assert_eq!(endpoint(&leak), "api.example.com/a/*");
        leak.http = None;
        assert_eq!(endpoint(&leak), "10.0.0.2:80");
    }
}
