//! The workloads: bulk answers, short flows, a hostile network, noise, and flows that stay open.

use std::collections::VecDeque;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Seeded;
use super::text::{self, Kind};
use super::wire::{Flow, From, MSS, Wire, flags};

/// A leak that stands in a capture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Truth {
    /// Where: a surface of the contract.
    pub(crate) surface: &'static str,
    /// What names it there.
    pub(crate) name: Option<String>,
    /// The value.
    pub(crate) value: String,
    /// The flow's client.
    pub(crate) client: String,
}

/// A kind of capture.
pub(crate) struct Workload {
    /// `bulk`, `small` …
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// Writes about so many bytes and gives the truth.
    pub(crate) write: fn(u64, usize, &mut dyn Write) -> io::Result<Vec<Truth>>,
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "bulk",
        about: "keep-alive flows, answers of 10-200 kB, some gzip, some chunked, one leak a MB",
        write: bulk,
    },
    Workload {
        name: "small",
        about: "flows of one request and one answer, a leak in 1 of 100",
        write: small,
    },
    Workload {
        name: "hostile",
        about: "many flows at once, 5 % out of order, 2 % sent again, 1 % lost, overlaps",
        write: hostile,
    },
    Workload { name: "noise", about: "10 % HTTP among TLS, SSH, UDP and DNS", write: noise },
    Workload { name: "open", about: "flows that stay open with half a request", write: open },
];

/// Each number has a client address and port of its own: flows that are open at once must not share them.
fn flow(seeded: &mut Seeded, number: usize) -> Flow {
    let n = number as u32;
    Flow {
        client: (
            [10, 1 + (n >> 21) as u8, (n >> 13) as u8, (n >> 5) as u8],
            32_768 + ((n & 0x1f) << 8 | (n >> 21)) as u16,
        ),
        server: ([10, 200, 0, 1 + (n % 16) as u8], 80),
        next: [seeded.next() as u32, seeded.next() as u32],
    }
}

fn client(flow: &Flow) -> String {
    let [a, b, c, d] = flow.client.0;
    format!("{a}.{b}.{c}.{d}:{}", flow.client.1)
}

fn key(seeded: &mut Seeded) -> String {
    // In two parts, so that nobody takes this line for a leak.
    format!("sk_{}_{}", "live", seeded.token(32))
}

/// A request; with a leak its query carries a key, in the middle of other parameters.
fn request(seeded: &mut Seeded, pad: usize, leak: Option<&str>) -> String {
    let mut path = format!("/api/v2/orders/{}", seeded.below(100_000));
    match leak {
        Some(value) => path.push_str(&format!("?page=2&api_key={value}&sort=name")),
        None => path.push_str("?page=2&sort=name&limit=50"),
    }
    let mut accept = String::new();
    while accept.len() < pad {
        accept.push_str("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8,");
    }
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: {accept}\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"
    )
}

/// An answer with head and body; a leak goes into its body.
fn answer(
    seeded: &mut Seeded,
    length: usize,
    leak: Option<&str>,
    truth: &mut Vec<Truth>,
    client: &str,
) -> Vec<u8> {
    let kind = [Kind::Json, Kind::Html, Kind::Script][seeded.below(3)];
    let named = match kind {
        Kind::Json => "secret_key",
        Kind::Html => "api-key",
        Kind::Script => "paymentKey",
    };
    let text = text::answer(seeded, kind, length, leak.map(|value| (named, value)));
    if let Some(value) = leak {
        let name = match kind {
            // Which record it fell into is found again by reading the document.
            Kind::Json => {
                let before = text.split(value).next().unwrap_or_default();
                Some(format!("items[{}].secret_key", before.matches("{\"id\":").count() - 1))
            }
            Kind::Html => Some("div.@data-api-key".to_owned()),
            Kind::Script => None,
        };
        truth.push(Truth {
            surface: "response.body",
            name,
            value: value.to_owned(),
            client: client.to_owned(),
        });
    }
    let mut head = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\nContent-Type: {}\r\n",
        kind.media()
    );
    let mut body = text.into_bytes();
    if seeded.one_in(5) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing into memory does not fail.
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
        head.push_str("Content-Encoding: gzip\r\n");
    }
    if seeded.one_in(4) {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut out = head.into_bytes();
        for chunk in body.chunks(8192) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        return out;
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut out = head.into_bytes();
    out.extend_from_slice(&body);
    out
}

fn bulk(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    // A stock of answers: making text is slower than reading it.
    let flows = 2000.min(bytes / 500_000).max(8);
    let mut active: Vec<(Flow, VecDeque<u8>)> = Vec::new();
    for number in 0..flows {
        let mut flow = flow(&mut seeded, number);
        wire.open(&mut flow)?;
        active.push((flow, VecDeque::new()));
    }
    let mut written = 0;
    let mut since_leak = 0;
    while written < bytes {
        let at = seeded.below(active.len());
        let (flow, queue) = &mut active[at];
        if queue.is_empty() {
            let length = 10_000 + seeded.below(190_000);
            since_leak += length;
            let who = client(flow);
            let leak = (since_leak >= 1_000_000).then(|| key(&mut seeded));
            if leak.is_some() {
                since_leak = 0;
            }
            let in_query = leak.is_some() && seeded.one_in(3);
            let asked = request(&mut seeded, 60, leak.as_deref().filter(|_| in_query));
            if let (true, Some(value)) = (in_query, &leak) {
                truth.push(Truth {
                    surface: "request.query",
                    name: Some("api_key".to_owned()),
                    value: value.clone(),
                    client: who.clone(),
                });
            }
            wire.send(flow, From::Client, asked.as_bytes())?;
            let answer = answer(&mut seeded, length, leak.as_deref().filter(|_| !in_query), &mut truth, &who);
            queue.extend(answer);
        }
        for _ in 0..16 {
            let segment: Vec<u8> = queue.drain(..MSS.min(queue.len())).collect();
            if segment.is_empty() {
                break;
            }
            written += segment.len();
            wire.send(flow, From::Server, &segment)?;
        }
        wire.acknowledge(flow, From::Client)?;
    }
    for (flow, queue) in &mut active {
        while !queue.is_empty() {
            let segment: Vec<u8> = queue.drain(..MSS.min(queue.len())).collect();
            wire.send(flow, From::Server, &segment)?;
        }
        wire.close(flow)?;
    }
    wire.finish()?;
    Ok(truth)
}

fn small(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    for number in 0..bytes / 2800 {
        let mut flow = flow(&mut seeded, number);
        wire.open(&mut flow)?;
        short_exchange(&mut seeded, &mut wire, &mut flow, number % 100 == 7, &mut truth)?;
        wire.close(&mut flow)?;
    }
    wire.finish()?;
    Ok(truth)
}

fn short_exchange<W: Write>(
    seeded: &mut Seeded,
    wire: &mut Wire<W>,
    flow: &mut Flow,
    leaks: bool,
    truth: &mut Vec<Truth>,
) -> io::Result<()> {
    let who = client(flow);
    let leak = leaks.then(|| key(seeded));
    if let Some(value) = &leak {
        truth.push(Truth {
            surface: "request.query",
            name: Some("api_key".to_owned()),
            value: value.clone(),
            client: who,
        });
    }
    let asked = request(seeded, 150, leak.as_deref());
    wire.send(flow, From::Client, asked.as_bytes())?;
    let body = text::answer(seeded, Kind::Json, 1000, None);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for segment in answer.as_bytes().chunks(MSS) {
        wire.send(flow, From::Server, segment)?;
    }
    Ok(())
}

/// A segment to come: who sends it, its sequence number, its bytes, the leak that it carries a part of.
type Part = (From, u32, Vec<u8>, Option<usize>);

fn hostile(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    // So many flows open at once, each sending its request and answer in small parts.
    let together = (bytes / 2800).clamp(16, 200_000);
    let mut number = 0;
    let mut written = 0;
    while written < bytes {
        let mut parts: Vec<(Flow, Vec<Part>)> = Vec::new();
        for _ in 0..together {
            number += 1;
            let mut flow = flow(&mut seeded, number);
            wire.open(&mut flow)?;
            let leak = seeded.one_in(100).then(|| key(&mut seeded));
            if let Some(value) = &leak {
                truth.push(Truth {
                    surface: "request.query",
                    name: Some("api_key".to_owned()),
                    value: value.clone(),
                    client: client(&flow),
                });
            }
            let at = truth.len().checked_sub(1).filter(|_| leak.is_some());
            let asked = request(&mut seeded, 150, leak.as_deref()).into_bytes();
            let body = text::answer(&mut seeded, Kind::Html, 700, None);
            let answered = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
            let mut segments = Vec::new();
            let [mut c, mut s] = flow.next;
            for part in asked.chunks(300) {
                segments.push((From::Client, c, part.to_vec(), at));
                c = c.wrapping_add(part.len() as u32);
            }
            for part in answered.chunks(600) {
                segments.push((From::Server, s, part.to_vec(), None));
                s = s.wrapping_add(part.len() as u32);
            }
            flow.next = [c, s];
            segments.reverse();
            parts.push((flow, segments));
        }
        let mut left = parts.len();
        let mut lost = Vec::new();
        while left > 0 {
            left = 0;
            for (flow, segments) in &mut parts {
                let Some((from, sequence, payload, leak)) = segments.pop() else { continue };
                left += 1;
                written += payload.len() + 66;
                if seeded.one_in(100) {
                    lost.extend(leak);
                    continue;
                }
                if seeded.one_in(20)
                    && let Some(next) = segments.pop()
                {
                    // The next one first.
                    wire.segment(flow, next.0, flags::ACK, next.1, 0, &next.2)?;
                    written += next.2.len() + 66;
                }
                wire.segment(flow, from, flags::ACK, sequence, 0, &payload)?;
                if seeded.one_in(50) {
                    // Sent again, half of it twice with what stood before.
                    let half = payload.len() / 2;
                    wire.segment(
                        flow,
                        from,
                        flags::ACK,
                        sequence.wrapping_add(half as u32),
                        0,
                        &payload[half..],
                    )?;
                    written += half + 66;
                }
            }
        }
        // What was lost on the wire is no truth any more.
        lost.sort_unstable();
        lost.dedup();
        for at in lost.into_iter().rev() {
            truth.remove(at);
        }
        for (flow, _) in &mut parts {
            wire.close(flow)?;
        }
    }
    wire.finish()?;
    Ok(truth)
}

fn noise(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut truth = Vec::new();
    let mut wire = Wire::new(out)?;
    let mut written = 0;
    let mut number = 0;
    while written < bytes {
        number += 1;
        let mut flow = flow(&mut seeded, number);
        match seeded.below(10) {
            0 => {
                wire.open(&mut flow)?;
                for _ in 0..8 {
                    let leaks = seeded.one_in(100);
                    short_exchange(&mut seeded, &mut wire, &mut flow, leaks, &mut truth)?;
                    written += 2200;
                }
                wire.close(&mut flow)?;
            }
            1..=6 => {
                flow.server.1 = 443;
                wire.open(&mut flow)?;
                let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
                hello.extend((0..506).map(|_| seeded.next() as u8));
                wire.send(&mut flow, From::Client, &hello)?;
                for _ in 0..12 {
                    let mut record = vec![0x17, 3, 3, 0x05, 0xa3];
                    record.extend((0..1443).map(|_| seeded.next() as u8));
                    wire.send(&mut flow, From::Server, &record)?;
                    written += record.len() + 66;
                }
                wire.close(&mut flow)?;
            }
            7 => {
                flow.server.1 = 22;
                wire.open(&mut flow)?;
                wire.send(&mut flow, From::Server, b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
                wire.send(&mut flow, From::Client, b"SSH-2.0-OpenSSH_9.2p1\r\n")?;
                for _ in 0..12 {
                    let payload: Vec<u8> = (0..1000).map(|_| seeded.next() as u8).collect();
                    wire.send(&mut flow, From::Server, &payload)?;
                    written += payload.len() + 66;
                }
                wire.close(&mut flow)?;
            }
            8 => {
                for _ in 0..12 {
                    let payload: Vec<u8> = (0..1200).map(|_| seeded.next() as u8).collect();
                    wire.datagram(flow.client, ([10, 200, 1, 1], 4433), &payload)?;
                    written += payload.len() + 58;
                }
            }
            _ => {
                for _ in 0..4 {
                    let mut query = vec![0; 12];
                    query[0] = seeded.next() as u8;
                    query[5] = 1;
                    query.extend_from_slice(b"\x04shop\x07example\x03com\x00\x00\x01\x00\x01");
                    wire.datagram(flow.client, ([10, 200, 0, 53], 53), &query)?;
                    written += query.len() + 58;
                }
            }
        }
    }
    wire.finish()?;
    Ok(truth)
}

fn open(seed: u64, bytes: usize, out: &mut dyn Write) -> io::Result<Vec<Truth>> {
    let mut seeded = Seeded::new(seed);
    let mut wire = Wire::new(out)?;
    for number in 0..bytes / 560 {
        let mut flow = flow(&mut seeded, number);
        wire.open(&mut flow)?;
        let asked = request(&mut seeded, 10, None);
        wire.send(&mut flow, From::Client, &asked.as_bytes()[..asked.len() * 2 / 3])?;
    }
    wire.finish()?;
    Ok(Vec::new())
}
