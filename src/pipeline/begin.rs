//! Connections as they begin: told to who looks for their processes while those are still there.

use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::model::{FlowKey, Plain};
use crate::packet::{Flags, Packet};
use crate::process::Attribution;

/// Connections that wait to be looked up. What finds no room is looked up when it leaks.
const QUEUE: usize = 4096;
/// Connections that were told of late, by a part of their number.
const SEEN: usize = 8192;

/// Tells connections, each once or seldom more.
#[derive(Clone)]
pub(super) struct Begins<'a> {
    queue: Sender<(FlowKey, bool)>,
    attribution: Option<&'a Attribution>,
    seen: Box<[u64]>,
}

impl Begins<'_> {
    /// A packet of a connection.
    #[inline]
    pub(super) fn see(&mut self, packet: &Packet<'_>) {
        let (key, begins) = match packet {
            Packet::Tcp(segment) => {
                (segment.key, segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK))
            }
            Packet::Udp(datagram) => (datagram.key, false),
            _ => return,
        };
        let number = key.spread() | 1;
        let Some(seen) = self.seen.get_mut((number >> 1) as usize % SEEN) else { return };
        if begins || *seen != number {
            *seen = number;
            let _ = self.queue.try_send((key, begins));
        }
    }

    /// Clear text of a connection: who took it knows whose it is; the other end may be here, too.
    pub(super) fn see_plain(&mut self, plain: &Plain<'_>) {
        let (key, _) = plain.key();
        let number = (key.spread() ^ u64::from(plain.pid)) | 1;
        let Some(seen) = self.seen.get_mut((number >> 1) as usize % SEEN) else { return };
        if *seen == number {
            return;
        }
        *seen = number;
        // Here, not by the thread: of a process that is gone nobody else knows.
        if let Some(attribution) = self.attribution {
            attribution.told(plain);
        }
        if !plain.local.is_made_up() {
            let _ = self.queue.try_send((key, false));
        }
    }
}

/// A thread that looks up connections as they are told.
pub(super) fn watch<'scope>(
    scope: &'scope Scope<'scope, '_>,
    attribution: &'scope Attribution,
) -> Begins<'scope> {
    let (queue, seen) = bounded(QUEUE);
    scope.spawn(move || look_up(&seen, attribution));
    Begins { queue, attribution: Some(attribution), seen: vec![0; SEEN].into() }
}

fn look_up(seen: &Receiver<(FlowKey, bool)>, attribution: &Attribution) {
    let mut batch = Vec::new();
    while let Ok(first) = seen.recv() {
        batch.clear();
        batch.push(first);
        batch.extend(seen.try_iter().take(255));
        attribution.observe(&batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Transport};
    use crate::packet::{Datagram, Segment};

    #[test]
    fn a_connection_is_told_once_and_again_when_it_begins_anew() {
        let (queue, told) = bounded(16);
        let mut begins = Begins { queue, attribution: None, seen: vec![0; SEEN].into() };
        let end = |port| Endpoint::v4([10, 0, 0, 1], port);
        let (key, sender) = FlowKey::new(end(51_000), end(80), Transport::Tcp);
        let tcp = |flags| {
            Packet::Tcp(Segment {
                key,
                sender,
                sequence: 0,
                acknowledgment: 0,
                flags: Flags(flags),
                payload: &[],
                cut: 0,
                realm: 0,
            })
        };
        let (udp, sender) = FlowKey::new(end(51_000), end(53), Transport::Udp);
        let datagram = Packet::Udp(Datagram { key: udp, sender, payload: &[], cut: 0 });
        for packet in [
            tcp(Flags::ACK),
            tcp(Flags::ACK),
            tcp(Flags::SYN),
            tcp(Flags::SYN | Flags::ACK),
            datagram,
            datagram,
            Packet::Other("arp"),
        ] {
            begins.see(&packet);
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [(key, false), (key, true), (udp, false)]);
    }
}
