//! Flows that are all open at once on a network that loses, repeats and reorders what they send.

use std::io::{self, Write};
use std::ops::Range;

use super::Seeded;
use super::message::{Answer, Message, Place, answer, request};
use super::truth::Truth;
use super::wire::{Flow, From, Wire, flags};
use super::workload::{flow, kind};

/// Bytes of the file for each flow.
pub(crate) const FLOW: usize = 2_000;
/// Payload of a segment of the client, and of the server.
const PARTS: [usize; 2] = [300, 600];

/// What both sides say on one flow, and what of it has been sent.
struct Exchange {
    flow: Flow,
    /// Request and answer, one behind the other.
    bytes: Vec<u8>,
    /// Where the answer begins.
    split: usize,
    /// Segments to come.
    parts: Range<usize>,
    leak: Option<Leak>,
}

/// A leak, and which bytes of its flow have arrived.
struct Leak {
    truth: Truth,
    at: Range<usize>,
    message: Range<usize>,
    arrived: Vec<bool>,
}

impl Exchange {
    fn new(seeded: &mut Seeded, flow: Flow) -> Self {
        let leaks = seeded.one_in(100);
        let place = [Some(Place::Query), Some(Place::Header), None][seeded.below(3)];
        let asked = Answer { kind: kind(seeded), length: 100, coded: false, leaks: leaks && place.is_none() };
        let Message { mut bytes, truth: sent, at } = request(seeded, &flow, place.filter(|_| leaks));
        let answered = answer(seeded, &flow, &asked);
        let split = bytes.len();
        bytes.extend_from_slice(&answered.bytes);
        let arrived = || vec![false; bytes.len()];
        let leak = match (sent, answered.truth) {
            (Some(truth), _) => Some(Leak { truth, at, message: 0..split, arrived: arrived() }),
            (None, Some(truth)) => {
                let at = split + answered.at.start..split + answered.at.end;
                Some(Leak { truth, at, message: split..bytes.len(), arrived: arrived() })
            }
            (None, None) => None,
        };
        let parts = 0..split.div_ceil(PARTS[0]) + (bytes.len() - split).div_ceil(PARTS[1]);
        Self { flow, bytes, split, parts, leak }
    }

    /// Who sends segment `part`, and which bytes.
    fn part(&self, part: usize) -> (From, Range<usize>) {
        let asked = self.split.div_ceil(PARTS[0]);
        if part < asked {
            let start = part * PARTS[0];
            (From::Client, start..self.split.min(start + PARTS[0]))
        } else {
            let start = self.split + (part - asked) * PARTS[1];
            (From::Server, start..self.bytes.len().min(start + PARTS[1]))
        }
    }

    /// Sends these bytes of one side; `None` for others in their place.
    fn send<W: Write>(
        &mut self,
        wire: &mut Wire<W>,
        from: From,
        range: Range<usize>,
        forged: Option<u8>,
    ) -> io::Result<()> {
        let [client, server] = self.flow.next;
        let (sequence, acknowledgment) = match from {
            From::Client => (client.wrapping_add(range.start as u32), server),
            From::Server => (
                server.wrapping_add((range.start - self.split) as u32),
                client.wrapping_add(self.split as u32),
            ),
        };
        match forged {
            Some(byte) => {
                let payload = vec![byte; range.len()];
                wire.segment(&self.flow, from, flags::ACK, sequence, acknowledgment, &payload)
            }
            None => {
                if let Some(leak) = &mut self.leak {
                    leak.arrived[range.clone()].fill(true);
                }
                let payload = &self.bytes[range];
                wire.segment(&self.flow, from, flags::ACK, sequence, acknowledgment, payload)
            }
        }
    }

    /// The next segment, as this network delivers it. False where there is none left.
    fn turn<W: Write>(&mut self, seeded: &mut Seeded, wire: &mut Wire<W>) -> io::Result<bool> {
        let Some(number) = self.parts.next() else { return Ok(false) };
        let (from, range) = self.part(number);
        if seeded.one_in(20)
            && let Some(early) = self.parts.next()
        {
            let (from, range) = self.part(early);
            if !seeded.one_in(100) {
                self.send(wire, from, range, None)?;
            }
        }
        if seeded.one_in(100) {
            return Ok(true);
        }
        self.send(wire, from, range.clone(), None)?;
        if seeded.one_in(50) {
            let half = range.start + range.len() / 2;
            match seeded.below(10) {
                // The same with other bytes: what came first counts.
                0 => self.send(wire, from, half..range.end, Some(b'#'))?,
                1..=4 => self.send(wire, from, range, None)?,
                // From its middle into what comes next.
                _ => {
                    let side = if from == From::Client { self.split } else { self.bytes.len() };
                    self.send(wire, from, half..side.min(range.end + 100), None)?;
                }
            }
        }
        Ok(true)
    }

    /// Both sides end, and what leaked is known.
    fn close<W: Write>(mut self, wire: &mut Wire<W>) -> io::Result<Option<Truth>> {
        let [client, server] = self.flow.next;
        let answered = self.bytes.len() - self.split;
        self.flow.next = [client.wrapping_add(self.split as u32), server.wrapping_add(answered as u32)];
        wire.close(&mut self.flow)?;
        let Some(leak) = self.leak else { return Ok(None) };
        let all = |range: &Range<usize>| leak.arrived[range.clone()].iter().all(|&arrived| arrived);
        let is_seen = all(&leak.at);
        let torn = !all(&leak.message);
        Ok(is_seen.then_some(Truth { torn, ..leak.truth }))
    }
}

/// See the module.
pub(crate) fn hostile(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut wire = Wire::new(out)?;
    let mut exchanges = Vec::new();
    for number in 0..bytes / FLOW {
        let mut flow = flow(&mut seeded, number);
        wire.open(&mut flow)?;
        exchanges.push(Exchange::new(&mut seeded, flow));
    }
    let mut is_sending = true;
    while is_sending {
        is_sending = false;
        for exchange in &mut exchanges {
            is_sending |= exchange.turn(&mut seeded, &mut wire)?;
        }
    }
    let mut truth = Vec::new();
    for exchange in exchanges {
        truth.extend(exchange.close(&mut wire)?);
    }
    wire.finish()?;
    Ok(truth)
}
