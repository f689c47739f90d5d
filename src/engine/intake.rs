//! Frames as they come in: which are of a flow, and which shard that flow falls into.

use std::collections::HashSet;

use crate::model::{Frame, LinkType};
use crate::packet::{self, Packet};

use super::{SHARDS, Stats};

/// Decodes frames and counts those that are of no flow.
#[derive(Debug, Default)]
pub struct Intake {
    stats: Stats,
    unknown_links: HashSet<LinkType>,
}

impl Intake {
    /// The packet of a frame and the shard of its flow; `None` where there is no flow to it (counted here).
    pub fn sort<'a>(&mut self, frame: &Frame<'a>) -> Option<(usize, Packet<'a>)> {
        self.stats.frame(frame.bytes.len(), frame.time);
        let packet = packet::decode(frame);
        let key = match &packet {
            Packet::Tcp(segment) => &segment.key,
            Packet::Udp(datagram) => &datagram.key,
            Packet::Fragment => {
                self.stats.not_inspected("ip-fragment");
                return None;
            }
            Packet::Other(name) => {
                self.stats.not_inspected(name);
                return None;
            }
            Packet::UnknownLink(link) => {
                self.unknown_links.insert(*link);
                self.stats.not_inspected(&format!("link-type-{}", link.0));
                return None;
            }
            Packet::Malformed(_) => {
                self.stats.malformed += 1;
                return None;
            }
        };
        Some(((key.spread() % SHARDS as u64) as usize, packet))
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether there were frames of link types that nobody here reads.
    #[must_use]
    pub fn has_unknown_links(&self) -> bool {
        !self.unknown_links.is_empty()
    }

    /// The capture is over: its time is closed, and the link types are given that nobody here reads.
    pub fn end_capture(&mut self) -> Vec<LinkType> {
        self.stats.end_capture();
        let mut links: Vec<LinkType> = self.unknown_links.drain().collect();
        links.sort_unstable();
        links
    }
}
