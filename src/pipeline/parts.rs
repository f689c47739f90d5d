//! Which frames the fragments of a flow's packets came in.

use std::collections::HashMap;

use crate::model::{FlowKey, Timestamp};
use crate::packet::{Fragment, Fragments, Packet, Rebuilt};

/// Datagrams that are fragments themselves (of a tunnel, within one): so many are remembered.
const NESTED: usize = 4096;

/// Takes the flow of a packet that was in fragments, and the numbers of their frames.
type Take<'t> = dyn FnMut(FlowKey, &[u64]) + 't;

/// Puts fragments together to see whose they are.
#[derive(Debug, Default)]
pub(super) struct Parts {
    fragments: Fragments,
    /// Of a fragment that was in fragments itself, by the frame that made it whole: its frames.
    nested: HashMap<u64, Vec<u64>>,
}

impl Parts {
    /// Takes a fragment, and gives the packets of which it is now known whose they are.
    pub(super) fn see(&mut self, fragment: &Fragment<'_>, number: u64, time: Timestamp, take: &mut Take<'_>) {
        if let Ok(Some(rebuilt)) = self.fragments.take(fragment, number, time) {
            self.whole(&rebuilt, number, time, take);
        }
        while self.fragments.is_due() {
            if let Some(rebuilt) = self.fragments.give_up() {
                self.whole(&rebuilt, number, time, take);
            }
        }
    }

    /// Nothing more comes: what there is of datagrams from their start on is given.
    pub(super) fn finish(&mut self, take: &mut Take<'_>) {
        while !self.fragments.is_empty() {
            if let Some(rebuilt) = self.fragments.give_up() {
                self.whole(&rebuilt, 0, Timestamp::default(), take);
            }
        }
    }

    fn whole(&mut self, rebuilt: &Rebuilt, number: u64, time: Timestamp, take: &mut Take<'_>) {
        let mut frames = Vec::new();
        for carrier in rebuilt.carriers() {
            match self.nested.remove(carrier) {
                Some(outer) => frames.extend(outer),
                None => frames.push(*carrier),
            }
        }
        match rebuilt.packet() {
            Packet::Tcp(segment) => take(segment.key, &frames),
            Packet::Udp(datagram) => take(datagram.key, &frames),
            Packet::Fragment(fragment) => {
                if self.nested.len() < NESTED {
                    self.nested.insert(number, frames);
                }
                self.see(&fragment, number, time, take);
            }
            _ => {}
        }
    }
}
