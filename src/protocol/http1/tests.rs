//! Conversations as data: what the parser tells of them, whole, cut in two anywhere, and byte by byte.

mod cases;
mod properties;

use super::Http1;
use crate::model::Direction;
use crate::model::http::{Header, RequestHead, ResponseHead, offset_in};
use crate::protocol::contract::{Output, Parser, Progress};

/// What happens on the wire.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    /// The client sends.
    C(Vec<u8>),
    /// The server sends.
    S(Vec<u8>),
    /// Bytes of the client are lost.
    CGap(u64),
    /// Bytes of the server are lost.
    SGap(u64),
}

/// Writes down what is told, adjacent bytes of one kind joined.
#[derive(Default)]
pub(super) struct Record {
    lines: Vec<(String, Vec<u8>)>,
    pub(super) bytes_told: usize,
    pub(super) open: [bool; 2],
    pub(super) reasons: Vec<String>,
}

fn arrow(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}

impl Record {
    fn bytes(&mut self, kind: String, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "{kind} of nothing");
        self.bytes_told += bytes.len();
        match self.lines.iter_mut().rev().find(|(other, _)| other.starts_with(kind.chars().next().unwrap())) {
            Some((last, known)) if *last == kind => known.extend_from_slice(bytes),
            _ => self.lines.push((kind, bytes.to_vec())),
        }
    }

    fn line(&mut self, line: String) {
        self.lines.push((line, Vec::new()));
    }

    fn begins(&mut self, direction: Direction) {
        let open = &mut self.open[direction as usize];
        assert!(!*open, "a message begins in another: {:?}", self.lines);
        *open = true;
    }

    fn inside(&self, direction: Direction) {
        assert!(self.open[direction as usize], "part of no message: {:?}", self.lines);
    }

    /// What was told in one direction, a line each.
    pub(super) fn told(&self, direction: Direction) -> Vec<String> {
        self.lines
            .iter()
            .filter(|(kind, _)| kind.starts_with(arrow(direction)))
            .map(|(kind, bytes)| {
                if bytes.is_empty() {
                    kind.clone()
                } else {
                    format!("{kind} {}", bytes.escape_ascii()).replace("\\\"", "\"")
                }
            })
            .collect()
    }
}

fn list(headers: &[Header<'_>]) -> String {
    let fields: Vec<String> = headers
        .iter()
        .map(|header| format!("{}={}", header.name.escape_ascii(), header.value.escape_ascii()))
        .collect();
    format!("[{}]", fields.join("|"))
}

fn lies_in(bytes: &[u8], parts: &[&[u8]], headers: &[Header<'_>]) {
    for part in parts.iter().copied().chain(headers.iter().flat_map(|header| [header.name, header.value])) {
        assert!(
            part.is_empty() || offset_in(bytes, part).is_some(),
            "{} lies elsewhere",
            part.escape_ascii()
        );
    }
}

impl Output for Record {
    fn request(&mut self, exchange: u32, head: &RequestHead<'_>) {
        self.begins(Direction::ToServer);
        lies_in(head.bytes, &[head.method, head.target], head.headers);
        assert!(!head.bytes.ends_with(b"\r\n\r\n"));
        let (method, target) = (head.method.escape_ascii(), head.target.escape_ascii());
        self.line(format!("> #{exchange} {method} {target} {} {}", head.version, list(head.headers)));
    }

    fn response(&mut self, exchange: u32, head: &ResponseHead<'_>) {
        self.begins(Direction::ToClient);
        lies_in(head.bytes, &[head.reason], head.headers);
        self.reasons.push(String::from_utf8_lossy(head.reason).into_owned());
        self.line(format!("< #{exchange} {} {} {}", head.status, head.version, list(head.headers)));
    }

    fn body(&mut self, direction: Direction, bytes: &[u8]) {
        self.inside(direction);
        self.bytes(format!("{} body", arrow(direction)), bytes);
    }

    fn body_gap(&mut self, direction: Direction, missing: u64) {
        self.inside(direction);
        self.line(format!("{} body-gap {missing}", arrow(direction)));
    }

    fn trailers(&mut self, direction: Direction, trailers: &[Header<'_>]) {
        self.inside(direction);
        self.line(format!("{} trailers {}", arrow(direction), list(trailers)));
    }

    fn end(&mut self, direction: Direction, complete: bool) {
        self.inside(direction);
        self.open[direction as usize] = false;
        self.line(format!("{} {}", arrow(direction), if complete { "end" } else { "cut" }));
    }

    fn field(&mut self, direction: Direction, _: crate::model::Field<'_>) {
        panic!("no fields in HTTP: {direction:?}");
    }

    fn text(&mut self, direction: Direction, bytes: &[u8]) {
        assert!(!self.open[direction as usize], "text in a message: {:?}", self.lines);
        self.bytes(format!("{} text", arrow(direction)), bytes);
    }

    fn lost(&mut self, direction: Direction, reason: &'static str, bytes: u64) {
        self.line(format!("{} {reason} {bytes}", arrow(direction)));
    }

    fn signal(&mut self, direction: Direction, rule: &'static str, evidence: &[u8]) {
        self.inside(direction);
        self.line(format!("{} signal {rule} {}", arrow(direction), evidence.escape_ascii()));
    }
}

/// The engine's part: it keeps what was not consumed and shows it again.
pub(super) struct Flow {
    parser: Http1,
    pub(super) record: Record,
    kept: [Vec<u8>; 2],
    switched: bool,
    /// The most bytes that ever had to be kept.
    pub(super) most_kept: usize,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self {
            parser: Http1::new(),
            record: Record::default(),
            kept: [Vec::new(), Vec::new()],
            switched: false,
            most_kept: 0,
        }
    }

    pub(super) fn data(&mut self, direction: Direction, bytes: &[u8]) {
        if self.switched {
            return self.tunnel(direction, bytes);
        }
        let kept = &mut self.kept[direction as usize];
        kept.extend_from_slice(bytes);
        match self.parser.data(direction, kept, &mut self.record) {
            Progress::Consumed(used) => {
                assert!(used <= kept.len());
                kept.drain(..used);
                self.most_kept = self.most_kept.max(kept.len());
            }
            Progress::Switch { consumed, to } => {
                assert!(consumed <= kept.len());
                kept.drain(..consumed);
                self.switched = true;
                assert_eq!(self.record.open, [false, false]);
                self.record.line(format!("{} switch {}", arrow(direction), to.unwrap_or("anew")));
                for direction in [Direction::ToServer, Direction::ToClient] {
                    let kept = std::mem::take(&mut self.kept[direction as usize]);
                    self.tunnel(direction, &kept);
                }
            }
            Progress::Stop => panic!("HTTP never stops"),
        }
    }

    fn tunnel(&mut self, direction: Direction, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.record.bytes(format!("{} tunnel", arrow(direction)), bytes);
        }
    }

    pub(super) fn gap(&mut self, direction: Direction, missing: u64) {
        if !self.switched {
            let rest = std::mem::take(&mut self.kept[direction as usize]);
            self.parser.gap(direction, &rest, missing, &mut self.record);
        }
    }

    pub(super) fn end(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            if !self.switched {
                let rest = std::mem::take(&mut self.kept[direction as usize]);
                self.parser.end(direction, &rest, &mut self.record);
            }
        }
        assert_eq!(self.record.open, [false, false], "a message was left open: {:?}", self.record.lines);
    }

    /// Plays a conversation; `pieces` cuts what is sent at once.
    pub(super) fn play(wire: &[Wire], pieces: impl Fn(usize, &[u8]) -> Vec<Vec<u8>>) -> Self {
        let mut flow = Self::new();
        for (step, sent) in wire.iter().enumerate() {
            match sent {
                Wire::C(bytes) => {
                    pieces(step, bytes).iter().for_each(|piece| flow.data(Direction::ToServer, piece));
                }
                Wire::S(bytes) => {
                    pieces(step, bytes).iter().for_each(|piece| flow.data(Direction::ToClient, piece));
                }
                Wire::CGap(missing) => flow.gap(Direction::ToServer, *missing),
                Wire::SGap(missing) => flow.gap(Direction::ToClient, *missing),
            }
        }
        flow.end();
        flow
    }

    pub(super) fn told(&self) -> Vec<String> {
        let mut told = self.record.told(Direction::ToServer);
        told.extend(self.record.told(Direction::ToClient));
        told
    }
}

/// Plays a conversation in every cut and gives what was told, which is the same in all.
pub(super) fn told_in_every_cut(name: &str, wire: &[Wire]) -> Vec<String> {
    let whole = Flow::play(wire, |_, bytes| vec![bytes.to_vec()]).told();
    let bytewise = Flow::play(wire, |_, bytes| bytes.chunks(1).map(<[u8]>::to_vec).collect()).told();
    assert_eq!(bytewise, whole, "{name}: byte by byte");
    for (step, sent) in wire.iter().enumerate() {
        let (Wire::C(bytes) | Wire::S(bytes)) = sent else { continue };
        // Long ones are cut near their ends and here and there.
        let stride = bytes.len() / 500 + 1;
        for cut in (1..bytes.len()).step_by(stride) {
            let split = Flow::play(wire, |at, bytes| {
                let (left, right) = bytes.split_at(if at == step { cut } else { 0 });
                [left, right].iter().filter(|part| !part.is_empty()).map(|part| part.to_vec()).collect()
            });
            assert_eq!(split.told(), whole, "{name}: step {step} cut at {cut}");
        }
    }
    whole
}
