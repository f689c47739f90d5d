//! Frames as they come in: fragments put together, which are of a flow, and which shard that flow falls into.

use std::collections::HashSet;

use crate::model::{Clear, Frame, LinkType, Plain, Timestamp};
use crate::packet::{self, Fragments, GivenUp, Packet, Rebuilt};

use super::{SHARDS, Stats};

/// After so many frames it is looked whether fragments have waited for too long.
const LOOK: u64 = 1024;

/// What is done with a packet of a flow: its shard, the frame it is in (raw IP where fragments were put together), itself.
type Take<'t> = dyn FnMut(usize, &Frame<'_>, &Packet<'_>) + 't;

/// Decodes frames and counts those that are of no flow.
#[derive(Debug, Default)]
pub struct Intake {
    stats: Stats,
    unknown_links: HashSet<LinkType>,
    fragments: Fragments,
}

/// What is to be said of a capture that ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The link types that nobody here reads.
    pub links: Vec<LinkType>,
    /// What could not be put together.
    pub given_up: Vec<GivenUp>,
}

impl Intake {
    /// Gives the packet of a frame to `take`, with the shard of its flow and the frame it stands in: that frame, or, of the
    /// number and time of the last fragment, the datagram that was put together. Where there is no flow to it, it is counted
    /// here. Seldom `take` gets more than one: fragments that waited too long are given as far as they go.
    #[inline]
    pub fn sort(&mut self, frame: &Frame<'_>, mut take: impl FnMut(usize, &Frame<'_>, &Packet<'_>)) {
        self.stats.frame(frame.bytes.len(), frame.time);
        if self.stats.frames.is_multiple_of(LOOK) {
            self.give_up(frame.number, frame.time, &mut take);
        }
        let packet = packet::decode(frame);
        match &packet {
            Packet::Tcp(segment) => take(shard(segment.key.spread()), frame, &packet),
            Packet::Udp(datagram) => take(shard(datagram.key.spread()), frame, &packet),
            _ => self.of_no_flow(frame, &packet, &mut take),
        }
    }

    /// Counts clear text as a frame, and says the shard of its connection.
    pub fn plain(&mut self, plain: &Plain<'_>) -> usize {
        let bytes = if let Clear::Data(bytes) = plain.what { bytes.len() } else { 0 };
        self.stats.frame(bytes, plain.time);
        shard(plain.connection)
    }

    #[cold]
    fn of_no_flow(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, take: &mut Take<'_>) {
        match packet {
            Packet::Tcp(_) | Packet::Udp(_) => {}
            Packet::Fragment(fragment) => {
                match self.fragments.take(fragment, frame.number, frame.time) {
                    Ok(None) => {}
                    Ok(Some(rebuilt)) => self.rebuilt(&rebuilt, frame.number, frame.time, take),
                    Err(_) => self.stats.malformed += 1,
                }
                self.give_up(frame.number, frame.time, take);
            }
            Packet::Other(name) => self.stats.not_inspected(name),
            Packet::UnknownLink(link) => {
                self.unknown_links.insert(*link);
                self.stats.not_inspected(&format!("link-type-{}", link.0));
            }
            Packet::Malformed(_) => self.stats.malformed += 1,
        }
    }

    /// What fragments were made of: a packet of a flow, or a tunnel's with a fragment within, which is smaller.
    fn rebuilt(&mut self, rebuilt: &Rebuilt, number: u64, time: Timestamp, take: &mut Take<'_>) {
        let packet = rebuilt.packet();
        let frame = Frame {
            number,
            time,
            link: LinkType::RAW,
            bytes: rebuilt.bytes(),
            original_len: rebuilt.original_len(),
        };
        match &packet {
            Packet::Tcp(segment) => take(shard(segment.key.spread()), &frame, &packet),
            Packet::Udp(datagram) => take(shard(datagram.key.spread()), &frame, &packet),
            _ => self.of_no_flow(&frame, &packet, take),
        }
    }

    /// Gives up fragments that wait for too long by the clock of the capture, or of which there are too many.
    fn give_up(&mut self, number: u64, time: Timestamp, take: &mut Take<'_>) {
        self.fragments.advance(time);
        while self.fragments.is_due() {
            if let Some(rebuilt) = self.fragments.give_up() {
                self.rebuilt(&rebuilt, number, time, take);
            }
        }
    }

    /// Lets capture time go on to `time` though no frame came after `number`; `take` as with [`Intake::sort`].
    pub fn advance(
        &mut self,
        number: u64,
        time: Timestamp,
        mut take: impl FnMut(usize, &Frame<'_>, &Packet<'_>),
    ) {
        self.give_up(number, time, &mut take);
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes of fragments that are kept.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.fragments.memory()
    }

    /// Whether there were frames of link types that nobody here reads.
    #[must_use]
    pub fn has_unknown_links(&self) -> bool {
        !self.unknown_links.is_empty()
    }

    /// What could not be put together, since the last call.
    pub fn given_up(&mut self) -> Vec<GivenUp> {
        self.fragments.given_up()
    }

    /// The capture is over with frame `number` at `time`: what is left of fragments is given to `take`, its time is closed, and
    /// what is to be said of it is given.
    pub fn end_capture(
        &mut self,
        number: u64,
        time: Timestamp,
        mut take: impl FnMut(usize, &Frame<'_>, &Packet<'_>),
    ) -> Ended {
        while !self.fragments.is_empty() {
            if let Some(rebuilt) = self.fragments.give_up() {
                self.rebuilt(&rebuilt, number, time, &mut take);
            }
        }
        self.stats.end_capture();
        let mut links: Vec<LinkType> = self.unknown_links.drain().collect();
        links.sort_unstable();
        Ended { links, given_up: self.fragments.given_up() }
    }
}

#[inline]
fn shard(spread: u64) -> usize {
    (spread % SHARDS as u64) as usize
}
