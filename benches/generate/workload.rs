//! The workloads: bulk answers, short flows, noise, and flows that stay open.

use std::io::{self, Write};

use super::Seeded;
use super::message::{Answer, Message, Place, answer, request};
use super::mix::{Step, Talk, play};
use super::text::Kind;
use super::truth::Truth;
use super::wire::{Flow, From, Wire};

/// Each number has a client address and port of its own: flows that are open at once must not share them.
pub(crate) fn flow(seeded: &mut Seeded, number: usize) -> Flow {
    let n = number as u32;
    Flow {
        client: (
            [10, 1 + (n >> 21) as u8, (n >> 13) as u8, (n >> 5) as u8],
            32_768 + ((n & 0x1f) << 8 | (n >> 21)) as u16,
        ),
        server: ([10, 200, 0, 1 + (n % 16) as u8], 80),
        next: [seeded.next() as u32, seeded.next() as u32],
        is_open: false,
    }
}

/// Bytes of the file for each flow, by which workloads of `--size` have as many flows as fit.
pub(crate) const BULK_FLOW: usize = 1_150_000;
pub(crate) const SMALL_FLOW: usize = 2_800;
pub(crate) const OPEN_FLOW: usize = 552;
/// Bytes of half a request, about.
pub(crate) const OPEN_PAYLOAD: u64 = 272;

/// Keep-alive flows; each asks again until enough is written.
pub(crate) fn bulk(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    let mut number = 0;
    // Bytes that the talks so far will have taken, and the leaks in them.
    let (mut planned, mut leaked) = (0, 0);
    play(&mut seeded, &mut wire, (bytes / BULK_FLOW).max(8), |seeded, before, _| {
        let opens = before.is_none();
        let flow = before.unwrap_or_else(|| {
            number += 1;
            flow(seeded, number)
        });
        if !opens && !flow.is_open {
            return None;
        }
        if planned >= bytes {
            return Some(Talk::new(flow, [Step::Close]));
        }
        let leaks = planned / 1_000_000 > leaked;
        leaked += usize::from(leaks);
        let place = (leaks && seeded.one_in(3)).then_some(Place::Query);
        let mut steps = Vec::from_iter(opens.then_some(Step::Open));
        let asked = Answer {
            kind: kind(seeded),
            length: 10_000 + seeded.below(190_000),
            coded: true,
            leaks: leaks && place.is_none(),
        };
        let messages =
            [(From::Client, request(seeded, &flow, place)), (From::Server, answer(seeded, &flow, &asked))];
        for (from, message) in messages {
            planned += message.bytes.len() * 21 / 20;
            steps.push(send(from, message, &mut truth));
        }
        Some(Talk::new(flow, steps))
    })?;
    wire.finish()?;
    Ok(truth)
}

/// Flows of one request and one answer, a thousand at once.
pub(crate) fn small(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    let flows = bytes / SMALL_FLOW;
    let mut number = 0;
    play(&mut seeded, &mut wire, 1000.min(flows), |seeded, _, _| {
        if number == flows {
            return None;
        }
        number += 1;
        let flow = flow(seeded, number);
        let mut steps = vec![Step::Open];
        exchange(seeded, &flow, number % 100 == 7, &mut steps, &mut truth);
        steps.push(Step::Close);
        Some(Talk::new(flow, steps))
    })?;
    wire.finish()?;
    Ok(truth)
}

/// A tenth HTTP among what is of no interest, a thousand flows at once.
pub(crate) fn noise(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    let (mut number, mut exchanges) = (0, 0);
    play(&mut seeded, &mut wire, 1000.min(bytes / 100_000), |seeded, _, written| {
        if written >= bytes {
            return None;
        }
        number += 1;
        let mut flow = flow(seeded, number);
        let mut steps = Vec::new();
        match seeded.below(10) {
            0 => {
                steps.push(Step::Open);
                for _ in 0..8 {
                    exchanges += 1;
                    exchange(seeded, &flow, exchanges % 100 == 7, &mut steps, &mut truth);
                }
                steps.push(Step::Close);
            }
            1..=6 => {
                flow.server.1 = 443;
                steps.push(Step::Open);
                let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
                seeded.fill(506, &mut hello);
                steps.push(Step::Send(From::Client, hello));
                for _ in 0..3 {
                    let mut record = vec![0x17, 3, 3, 0x16, 0xa0];
                    seeded.fill(0x16a0, &mut record);
                    steps.push(Step::Send(From::Server, record));
                }
                steps.push(Step::Close);
            }
            7 => {
                flow.server.1 = 22;
                steps.push(Step::Open);
                steps.push(Step::Send(From::Server, b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()));
                steps.push(Step::Send(From::Client, b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()));
                for _ in 0..12 {
                    let mut packet = Vec::new();
                    seeded.fill(1000, &mut packet);
                    steps.push(Step::Send(From::Server, packet));
                }
                steps.push(Step::Close);
            }
            8 => {
                flow.server.1 = 4433;
                for _ in 0..12 {
                    let mut packet = vec![0x40];
                    seeded.fill(1200, &mut packet);
                    steps.push(Step::Datagram(packet));
                }
            }
            _ => {
                flow.server.1 = 53;
                for _ in 0..4 {
                    let mut query = vec![seeded.next() as u8, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
                    query.extend_from_slice(b"\x04shop\x07example\x03com\x00\x00\x01\x00\x01");
                    steps.push(Step::Datagram(query));
                }
            }
        }
        Some(Talk::new(flow, steps))
    })?;
    wire.finish()?;
    Ok(truth)
}

/// Flows with half a request that never end, all open at once.
pub(crate) fn open(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    for number in 0..bytes / OPEN_FLOW {
        let mut flow = flow(&mut seeded, number);
        wire.open(&mut flow)?;
        let asked = request(&mut seeded, &flow, (number % 100 == 7).then_some(Place::Query));
        wire.send(&mut flow, From::Client, &asked.bytes[..asked.bytes.len() / 2])?;
        truth.extend(asked.truth);
    }
    wire.finish()?;
    Ok(truth)
}

pub(crate) fn kind(seeded: &mut Seeded) -> Kind {
    [Kind::Json, Kind::Html, Kind::Script][seeded.below(3)]
}

/// A request and an answer of 1.5 kB; the leak stands in one of them.
pub(crate) fn exchange(
    seeded: &mut Seeded,
    flow: &Flow,
    leaks: bool,
    steps: &mut Vec<Step>,
    truth: &mut Vec<Truth>,
) {
    let place = [Some(Place::Query), Some(Place::Header), None][seeded.below(3)];
    let asked = Answer { kind: kind(seeded), length: 1000, coded: false, leaks: leaks && place.is_none() };
    steps.push(send(From::Client, request(seeded, flow, place.filter(|_| leaks)), truth));
    steps.push(send(From::Server, answer(seeded, flow, &asked), truth));
}

fn send(from: From, message: Message, truth: &mut Vec<Truth>) -> Step {
    truth.extend(message.truth);
    Step::Send(from, message.bytes)
}
