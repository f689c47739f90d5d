//! IP fragments put together again (RFC 791 section 3.2, RFC 8200 section 4.5), in any order, with limits.
//!
//! Of octets that come twice the first received stay, as with TCP; where the later ones differ that is counted. (Receivers
//! differ there: some take the first, some the last, today's drop the datagram. What an observer cannot know it tells.)
//! A fragment that comes again after its datagram was whole is known by its digest and dropped: mirrors double frames.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::ip::{self, Addresses};
use super::{Around, Packet};
use crate::model::Timestamp;

/// The most an IP datagram holds, its header left out.
const LONGEST: u32 = 65_535;
/// What a fragment costs beside its bytes.
const OVERHEAD: usize = 64;
/// What a datagram costs beside its fragments.
const ENTRY: usize = 256;

/// A fragment of an IP datagram, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    pub(super) addresses: Addresses<'a>,
    pub(super) identification: u32,
    pub(super) protocol: u8,
    /// Where its bytes stand in the datagram's payload.
    pub(super) offset: u16,
    /// Whether there are more behind it.
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
    /// Bytes of it that were not captured.
    pub(super) cut: u32,
    pub(super) depth: u8,
    pub(super) realm: u16,
}

/// What makes fragments one datagram's. Of IPv6 the protocol does not count (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: u128,
    destination: u128,
    identification: u32,
    protocol: Option<u8>,
    /// The network that its tags and tunnels name.
    realm: u16,
}

impl Fragment<'_> {
    /// Who sends it to whom.
    #[must_use]
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        let Key { source, destination, .. } = self.key();
        match self.addresses {
            Addresses::V4(_) => {
                let address = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
                (address(source), address(destination))
            }
            Addresses::V6(_) => {
                let address = |bits| Ipv6Addr::from_bits(bits).to_canonical();
                (address(source), address(destination))
            }
        }
    }

    /// What tells its datagram from others between the same ends.
    #[must_use]
    pub fn identification(&self) -> u32 {
        self.identification
    }

    /// Where its bytes stand in the datagram's payload.
    #[must_use]
    pub fn offset(&self) -> u16 {
        self.offset
    }

    /// The protocol of the datagram's payload, as the fragment says it.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Its part of the datagram's payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    fn key(&self) -> Key {
        let (source, destination, protocol) = match self.addresses {
            Addresses::V4(&[.., a, b, c, d, e, f, g, h]) => (
                u128::from(u32::from_be_bytes([a, b, c, d])),
                u128::from(u32::from_be_bytes([e, f, g, h])),
                Some(self.protocol),
            ),
            Addresses::V6(head) => {
                let (low, high) = head.split_at(24);
                let last = |half: &[u8]| half.last_chunk().copied().map_or(0, u128::from_be_bytes);
                (last(low), last(high), None)
            }
        };
        Key { source, destination, identification: self.identification, protocol, realm: self.realm }
    }
}

/// What [`Fragments`] keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept, what keeping them costs included.
    pub bytes: usize,
    /// How long the missing ones of a datagram are waited for, by capture time.
    pub patience: Duration,
}

impl Default for Limits {
    /// 16 MiB, and half a minute as most systems wait.
    fn default() -> Self {
        Self { bytes: 16 << 20, patience: Duration::from_secs(30) }
    }
}

/// An IP datagram out of its fragments: raw IP, its options and extension headers left out.
#[derive(Debug)]
pub struct Rebuilt {
    bytes: Vec<u8>,
    depth: u8,
    realm: u16,
    /// Bytes on the wire; more than there are where the end is missing.
    original_len: u32,
    carriers: Vec<u64>,
}

impl Rebuilt {
    /// What it carries; more fragments, perhaps.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        ip::by_version(&self.bytes, Around { missing: 0, depth: self.depth, realm: self.realm })
    }

    /// The frames of its fragments, as they came.
    #[must_use]
    pub fn carriers(&self) -> &[u64] {
        &self.carriers
    }

    /// The datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its length on the wire.
    #[must_use]
    pub fn original_len(&self) -> u32 {
        self.original_len
    }
}

/// Datagrams that could not be put together, for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// `fragment-missing`, `fragment-limit`, `conflicting-fragments`.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// Bytes of them that are missing, or of no use without those: as many as are known of.
    pub bytes: u64,
    /// The frames of the first and the last fragment of them.
    pub frames: [u64; 2],
}

/// Fragments that wait for the rest of their datagrams.
#[derive(Debug, Default)]
pub struct Fragments {
    limits: Limits,
    datagrams: HashMap<Key, Datagram>,
    /// The order in which they began.
    order: VecDeque<(Key, u64)>,
    began: u64,
    held: usize,
    /// The clock of the capture: the newest time seen.
    now: Timestamp,
    given_up: Vec<GivenUp>,
    digest: ahash::RandomState,
}

/// One datagram.
#[derive(Debug)]
struct Datagram {
    serial: u64,
    since: Timestamp,
    /// By their offset; none overlap.
    pieces: BTreeMap<u32, Box<[u8]>>,
    /// Bytes of the pieces.
    bytes: u32,
    /// The end of the payload, once its last fragment was seen.
    end: Option<u32>,
    /// The furthest end of any fragment.
    furthest: u32,
    head: Head,
    frames: [u64; 2],
    is_conflicting: bool,
    /// Digests of its fragments, where they stood included; kept when it is whole, to know them again.
    seen: Vec<u64>,
    /// The frames of these.
    carriers: Vec<u64>,
    is_whole: bool,
    cost: usize,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; 40],
    length: u8,
    /// Of IPv6 the protocol that the fragment at the start names counts.
    protocol: u8,
    depth: u8,
    realm: u16,
}

impl Head {
    fn of(fragment: &Fragment<'_>) -> Self {
        let mut bytes = [0; 40];
        let from: &[u8] = match fragment.addresses {
            Addresses::V4(head) => head,
            Addresses::V6(head) => head,
        };
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Self {
            bytes,
            length: from.len() as u8,
            protocol: fragment.protocol,
            depth: fragment.depth,
            realm: fragment.realm,
        }
    }

    /// The header of a datagram of so many bytes of payload that is no fragment.
    fn whole(mut self, payload: u32) -> ([u8; 40], usize) {
        let [kind, _, l0, l1, v0, v1, f0, f1, _, protocol, ..] = &mut self.bytes;
        if self.length == 20 {
            *kind = 0x45;
            [*l0, *l1] = u16::try_from(payload + 20).unwrap_or(u16::MAX).to_be_bytes();
            (*f0, *f1) = (0, 0);
            *protocol = self.protocol;
        } else {
            [*v0, *v1] = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
            *f0 = self.protocol;
        }
        (self.bytes, usize::from(self.length))
    }

    /// The longest payload that its length field can tell of.
    fn longest(&self) -> u32 {
        if self.length == 20 { LONGEST - 20 } else { LONGEST }
    }
}

impl Fragments {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the fragment that came with frame `frame` at `time`, and gives its datagram where that is whole now.
    ///
    /// # Errors
    /// What is wrong with it: it is dropped then.
    pub fn take(
        &mut self,
        fragment: &Fragment<'_>,
        frame: u64,
        time: Timestamp,
    ) -> Result<Option<Rebuilt>, &'static str> {
        self.now = self.now.max(time);
        let head = Head::of(fragment);
        let start = u32::from(fragment.offset);
        let length = u32::try_from(fragment.bytes.len()).unwrap_or(u32::MAX);
        let length = length.saturating_add(fragment.cut);
        let end = start.saturating_add(length);
        if end > head.longest() {
            return Err("fragment beyond the longest datagram");
        }
        if fragment.more && !length.is_multiple_of(8) {
            return Err("fragment of no multiple of eight bytes");
        }
        let digest = self.digest.hash_one((start, fragment.more, fragment.bytes));
        let key = fragment.key();
        if let Some(known) = self.datagrams.get(&key)
            && known.is_whole
        {
            if known.seen.contains(&digest) {
                return Ok(None);
            }
            // The number is used again.
            self.remove(key);
        }
        if !self.datagrams.contains_key(&key) {
            self.begin(key, head, frame);
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else { return Ok(None) };
        let before = datagram.cost;
        datagram.add(fragment, head, start, end, (digest, frame));
        datagram.frames[1] = datagram.frames[1].max(frame);
        self.held += datagram.cost - before;
        if datagram.is_complete() {
            let rebuilt = datagram.rebuild();
            datagram.is_whole = true;
            let freed = datagram.free();
            self.held -= freed;
            let conflict = datagram.is_conflicting.then_some((datagram.frames, 0));
            self.tell("conflicting-fragments", conflict);
            return Ok(Some(rebuilt));
        }
        Ok(None)
    }

    /// Whether something is to be given up: too much is kept, or too long.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.first().is_some_and(|first| {
            self.held > self.limits.bytes || first.since.after(self.limits.patience) <= self.now
        })
    }

    /// Lets the capture's time go on.
    pub fn advance(&mut self, time: Timestamp) {
        self.now = self.now.max(time);
    }

    /// Gives up the datagram that has waited longest, and gives what there is of it from its start on, where there is. It is
    /// asked for while [`Fragments::is_due`] says so; at the end of a capture until nothing [waits](Fragments::is_empty).
    pub fn give_up(&mut self) -> Option<Rebuilt> {
        let reason = if self.held > self.limits.bytes { "fragment-limit" } else { "fragment-missing" };
        let key = self.first()?.key;
        let mut datagram = self.remove(key)?;
        if datagram.is_whole {
            return None;
        }
        let rebuilt = datagram.beginning();
        let known = datagram.end.unwrap_or(datagram.furthest).max(datagram.furthest);
        let given = rebuilt.as_ref().map_or(0, |(_, given)| *given);
        self.tell(reason, Some((datagram.frames, u64::from(known.saturating_sub(given)))));
        if datagram.is_conflicting {
            self.tell("conflicting-fragments", Some((datagram.frames, 0)));
        }
        rebuilt.map(|(rebuilt, _)| rebuilt)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Bytes kept, what keeping them costs included.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.held
    }

    /// What was given up since the last call.
    pub fn given_up(&mut self) -> Vec<GivenUp> {
        mem::take(&mut self.given_up)
    }

    fn begin(&mut self, key: Key, head: Head, frame: u64) {
        self.began += 1;
        let datagram = Datagram {
            serial: self.began,
            since: self.now,
            pieces: BTreeMap::new(),
            bytes: 0,
            end: None,
            furthest: 0,
            head,
            frames: [frame, frame],
            is_conflicting: false,
            seen: Vec::new(),
            carriers: Vec::new(),
            is_whole: false,
            cost: ENTRY,
        };
        self.datagrams.insert(key, datagram);
        self.order.push_back((key, self.began));
        self.held += ENTRY;
        // Numbers that are used again leave places behind.
        if self.order.len() > 2 * self.datagrams.len() + 1024 {
            let datagrams = &self.datagrams;
            self.order.retain(|(key, serial)| {
                datagrams.get(key).is_some_and(|datagram| datagram.serial == *serial)
            });
        }
    }

    fn first(&self) -> Option<First> {
        let &(key, serial) = self.order.front()?;
        let since = self.datagrams.get(&key).filter(|datagram| datagram.serial == serial)?.since;
        Some(First { key, since })
    }

    fn remove(&mut self, key: Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(&key)?;
        self.held -= datagram.cost;
        // What is gone leaves its place in the order; those at the front are dropped, so that the first is one that waits.
        while let Some((key, serial)) = self.order.front()
            && self.datagrams.get(key).is_none_or(|datagram| datagram.serial != *serial)
        {
            self.order.pop_front();
        }
        Some(datagram)
    }

    fn tell(&mut self, reason: &'static str, what: Option<([u64; 2], u64)>) {
        let Some(([first, last], bytes)) = what else { return };
        match self.given_up.iter_mut().find(|known| known.reason == reason) {
            Some(known) => {
                known.count += 1;
                known.bytes += bytes;
                known.frames = [known.frames[0].min(first), known.frames[1].max(last)];
            }
            None => self.given_up.push(GivenUp { reason, count: 1, bytes, frames: [first, last] }),
        }
    }
}

struct First {
    key: Key,
    since: Timestamp,
}

impl Datagram {
    fn add(&mut self, fragment: &Fragment<'_>, head: Head, start: u32, end: u32, by: (u64, u64)) {
        let (digest, frame) = by;
        if start == 0 {
            self.head = head;
        }
        self.furthest = self.furthest.max(end);
        if !fragment.more {
            // A second end that differs is a conflict; the first received stays.
            match self.end {
                Some(known) if known != end => self.is_conflicting = true,
                _ => self.end = Some(end),
            }
        }
        if self.seen.contains(&digest) {
            return;
        }
        self.seen.push(digest);
        self.carriers.push(frame);
        self.cost += 2 * size_of::<u64>();
        let mut bytes = fragment.bytes;
        let mut at = start;
        // What the pieces before and behind have already is left out.
        while !bytes.is_empty() {
            let before = self.pieces.range(..=at).next_back();
            if let Some((&place, piece)) = before
                && place as usize + piece.len() > at as usize
            {
                let from = (at - place) as usize;
                let known = piece.get(from..).unwrap_or_default();
                let shared = known.len().min(bytes.len());
                self.is_conflicting |= known.get(..shared) != bytes.get(..shared);
                bytes = bytes.get(shared..).unwrap_or_default();
                at += shared as u32;
                continue;
            }
            let next = self.pieces.range(at..).next().map_or(u32::MAX, |(&place, _)| place);
            let room = (next - at) as usize;
            let (new, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.pieces.insert(at, new.into());
            self.bytes += new.len() as u32;
            self.cost += new.len() + OVERHEAD;
            at += new.len() as u32;
            bytes = rest;
        }
    }

    fn is_complete(&self) -> bool {
        // No two pieces overlap, and none begins before 0: as many bytes as the end says are all of them.
        self.end.is_some_and(|end| self.furthest <= end && self.bytes == end)
    }

    fn rebuild(&mut self) -> Rebuilt {
        self.joined(self.bytes, self.bytes)
    }

    /// What there is from the start on, and how many bytes that is.
    fn beginning(&mut self) -> Option<(Rebuilt, u32)> {
        let mut given = 0;
        for (&place, piece) in &self.pieces {
            if place != given {
                break;
            }
            given += piece.len() as u32;
        }
        let whole = self.end.map_or(given, |end| end.max(given));
        (given > 0).then(|| (self.joined(given, whole), given))
    }

    /// The first `given` bytes of a datagram of `whole`.
    fn joined(&mut self, given: u32, whole: u32) -> Rebuilt {
        let (head, length) = self.head.whole(whole);
        let mut bytes = Vec::with_capacity(length + given as usize);
        bytes.extend_from_slice(head.get(..length).unwrap_or_default());
        for (_, piece) in self.pieces.range(..given) {
            bytes.extend_from_slice(piece);
        }
        let original_len = whole + u32::from(self.head.length);
        Rebuilt {
            bytes,
            depth: self.head.depth,
            realm: self.head.realm,
            original_len,
            carriers: mem::take(&mut self.carriers),
        }
    }

    /// Only what is needed to know its fragments again stays; how much less that is.
    fn free(&mut self) -> usize {
        self.pieces = BTreeMap::new();
        let cost = ENTRY + self.seen.len() * size_of::<u64>();
        let freed = self.cost - cost;
        self.cost = cost;
        freed
    }
}

#[cfg(test)]
mod tests;
