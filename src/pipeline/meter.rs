//! Bytes and frames of the flows heard of last: for those who watch a run, beside the engine.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::{Engine, SHARDS};
use crate::model::event::Flow;
use crate::model::pulse::LiveFlow;
use crate::model::{FlowKey, Side, Timestamp};
use crate::packet::Packet;

/// Flows measured at once; of more, those that come later are not.
const FLOWS: usize = 8192;
/// Flows told of, those heard of last.
const TOLD: usize = 500;
/// A flow that is over, or silent while there is no room, is forgotten after this.
const QUIET: Duration = Duration::from_secs(15);

/// The flows of one worker.
#[derive(Default)]
pub(super) struct Meter {
    flows: HashMap<FlowKey, Measure, ahash::RandomState>,
}

struct Measure {
    /// Bytes sent by the low and the high side.
    bytes: [u64; 2],
    frames: u64,
    first: Timestamp,
    last: Timestamp,
    /// What the engine last said of it.
    flow: Option<Flow>,
}

impl Meter {
    /// A frame of `length` bytes came, and the engine has seen it.
    pub(super) fn add(&mut self, engine: &Engine, packet: &Packet<'_>, length: usize, time: Timestamp) {
        let (key, sender) = match packet {
            Packet::Tcp(segment) => (segment.key, segment.sender),
            Packet::Udp(datagram) => (datagram.key, datagram.sender),
            _ => return,
        };
        if self.flows.len() >= FLOWS && !self.flows.contains_key(&key) {
            return;
        }
        let measure = self.flows.entry(key).or_insert_with(|| Measure {
            bytes: [0; 2],
            frames: 0,
            first: time,
            last: time,
            flow: None,
        });
        let [low, high] = &mut measure.bytes;
        *(if sender == Side::Low { low } else { high }) += length as u64;
        measure.frames += 1;
        measure.last = measure.last.max(time);
        // A short one is over before it is asked for: what it is shows in its first few frames.
        if measure.frames == 6 || measure.frames.is_power_of_two() {
            measure.ask(engine, &key);
        }
    }

    /// The flows heard of last, the latest first.
    pub(super) fn flows(&mut self, engine: &Engine) -> Vec<LiveFlow> {
        let newest = self.flows.values().map(|measure| measure.last).max().unwrap_or_default();
        let is_full = self.flows.len() >= FLOWS;
        let mut told = Vec::new();
        self.flows.retain(|key, measure| {
            let is_open = measure.ask(engine, key);
            if newest.since(measure.last) > QUIET && (!is_open || is_full) {
                return false;
            }
            told.push((measure.last, *key, is_open));
            true
        });
        told.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        told.truncate(TOLD);
        told.iter().filter_map(|(_, key, is_open)| self.flows.get(key)?.told(key, *is_open)).collect()
    }
}

impl Measure {
    /// Asks the engine what the flow is; whether it is open.
    fn ask(&mut self, engine: &Engine, key: &FlowKey) -> bool {
        let known = engine.flow((key.spread() % SHARDS as u64) as usize, key);
        let is_open = known.is_some();
        if let Some(text) = known {
            self.flow = Some(Flow::from(&text));
        }
        is_open
    }

    fn told(&self, key: &FlowKey, is_open: bool) -> Option<LiveFlow> {
        let flow = self.flow.clone()?;
        let [low, high] = self.bytes;
        let is_low_client = flow.client == key.end(Side::Low);
        let (to_server, to_client) = if is_low_client { (low, high) } else { (high, low) };
        let Self { frames, first, last, .. } = *self;
        Some(LiveFlow { flow, to_server, to_client, frames, first, last, is_open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LIMITS, Settings};
    use crate::model::Endpoint;
    use crate::model::secret::FingerprintKey;
    use crate::rule::RuleSet;
    use crate::source::memory::Memory;
    use crate::source::memory::connection::Connection;
    use crate::source::{Next, Source as _};

    #[test]
    fn bytes_are_told_of_each_direction_and_over_is_told_too() {
        let (client, server) = (Endpoint::v4([10, 0, 0, 1], 51_000), Endpoint::v4([10, 0, 0, 2], 80));
        let frames = Connection::new(([10, 0, 0, 1], 51_000).into(), ([10, 0, 0, 2], 80).into())
            .handshake()
            .to_server(b"GET / HTTP/1.1\r\nHost: made-up.example\r\n\r\n")
            .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .finish()
            .frames();
        let rules = std::sync::Arc::new(RuleSet::load(false, &[]).unwrap());
        let key = FingerprintKey::new(b"made up");
        let mut engine = Engine::new(&Settings { rules, key, limits: LIMITS, explain: false, watched: true });
        let mut intake = crate::engine::Intake::default();
        let all: u64 = frames.iter().map(|kept| kept.bytes.len() as u64).sum();
        let count = frames.len() as u64;
        let mut meter = Meter::default();
        let mut open = Vec::new();
        let mut memory = Memory::new(frames);
        while let Ok(Next::Frame(frame)) = memory.next() {
            intake.sort(&frame, |shard, frame, packet| {
                engine.packet(shard, packet, frame.number, frame.time);
                meter.add(&engine, packet, frame.bytes.len(), frame.time);
            });
            open.push(meter.flows(&engine).first().map(|flow| flow.is_open));
        }
        assert!(open.contains(&Some(true)) && open.last() == Some(&Some(false)), "{open:?}");
        let flows = meter.flows(&engine);
        let [flow] = flows.as_slice() else { panic!("{flows:?}") };
        assert_eq!((flow.flow.client, flow.flow.server), (client, server));
        assert_eq!(flow.flow.protocol, "http/1.1");
        assert_eq!(flow.frames, count);
        assert!(flow.to_server > 0 && flow.to_client > 0);
        assert_eq!(flow.to_server + flow.to_client, all);
    }
}
