//! The table against cases, a slow and obviously right model, and attacks on its limits.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::segment::{Datagram, Flags, Segment};
use crate::model::{Endpoint, Timestamp, Transport};

/// Writes down what it is told, one line each; A is the low side. Pieces that follow each other are joined.
#[derive(Default)]
struct Scribe {
    lines: Vec<String>,
    frames: Vec<u64>,
    /// Loses interest after so many pieces.
    patience: Option<usize>,
}

fn name(side: Side) -> char {
    if side == Side::Low { 'A' } else { 'B' }
}

impl Receiver for Scribe {
    type State = u32;

    fn open(&mut self, _: &FlowKey, initiator: Option<Side>, _: Now) -> u32 {
        self.lines.push(format!("open {}", initiator.map_or('?', name)));
        0
    }

    fn initiator(&mut self, _: &FlowKey, _: &mut u32, initiator: Side) {
        self.lines.push(format!("initiator {}", name(initiator)));
    }

    fn piece(&mut self, _: &FlowKey, pieces: &mut u32, sender: Side, piece: Piece<'_>, _: Now) -> Interest {
        *pieces += 1;
        let side = name(sender);
        match piece {
            Piece::Data { bytes, frame, .. } => {
                assert!(!bytes.is_empty());
                self.frames.push(frame);
                let text = String::from_utf8_lossy(bytes);
                match self.lines.last_mut().filter(|line| line.starts_with(&format!("{side}:"))) {
                    Some(line) => line.push_str(&text),
                    None => self.lines.push(format!("{side}:{text}")),
                }
            }
            Piece::Gap(bytes) => self.lines.push(format!("{side} gap {bytes}")),
            Piece::End => self.lines.push(format!("{side} end")),
        }
        match self.patience {
            Some(patience) if *pieces as usize >= patience => Interest::Nothing,
            _ => Interest::More,
        }
    }

    fn datagram(&mut self, _: &FlowKey, _: &mut u32, sender: Side, bytes: &[u8], cut: u32, _: Now) {
        self.lines.push(format!("{} datagram {} {cut}", name(sender), String::from_utf8_lossy(bytes)));
    }

    fn lost(&mut self, _: &FlowKey, _: &mut u32, sender: Side, loss: Loss, now: Now) {
        assert_eq!(loss.frame, now.frame);
        assert_ne!(loss.bytes, 0);
        self.lines.push(format!("{} lost {:?} {}", name(sender), loss.reason, loss.bytes));
    }

    fn close(&mut self, _: &FlowKey, _: u32, why: Close, _: Now) {
        self.lines.push(format!("close {why:?}"));
    }
}

const LIMITS: Limits = Limits {
    flows: 100,
    early_per_direction: 1 << 20,
    early_total: 4 << 20,
    idle: Duration::from_secs(300),
    hole: Duration::from_secs(5),
};

fn key(port: u16) -> (FlowKey, Side) {
    FlowKey::new(Endpoint::v4([10, 0, 0, 1], port), Endpoint::v4([10, 0, 0, 2], 80), Transport::Tcp)
}

fn now(frame: u64, nanos: i64) -> Now {
    Now { frame, time: Timestamp::from_nanos(nanos) }
}

/// Runs a script: steps divided by `;`. A step is a time that passes (`+40s`, `+10ms`, `-1s`), or a segment: sender, flags
/// (of `SAFRU`, `d` for none), sequence number, acknowledgment (with `A` only), `'payload'`, `cut=n`.
fn run(script: &str, limits: Limits, patience: Option<usize>) -> Scribe {
    let mut table = Table::new(limits);
    let mut scribe = Scribe { patience, ..Scribe::default() };
    let (mut frame, mut nanos) = (0, 0_i64);
    for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        if let Some(span) = step.strip_prefix(['+', '-']) {
            let (number, unit) = match span.strip_suffix("ms") {
                Some(number) => (number, 1_000_000),
                None => (span.strip_suffix('s').unwrap(), 1_000_000_000),
            };
            let span: i64 = number.parse::<i64>().unwrap() * unit;
            nanos += if step.starts_with('-') { -span } else { span };
            table.advance(now(frame, nanos), &mut scribe);
            continue;
        }
        frame += 1;
        let (head, payload) = step.split_once('\'').map_or((step, ""), |(head, rest)| (head, rest));
        let (payload, behind) = payload.split_once('\'').unwrap_or((payload, ""));
        let mut words = head.split_whitespace();
        let sender = if words.next() == Some("A") { Side::Low } else { Side::High };
        let letters = words.next().unwrap();
        let flags = letters.chars().fold(0, |flags, letter| {
            flags
                | match letter {
                    'S' => Flags::SYN,
                    'A' => Flags::ACK,
                    'F' => Flags::FIN,
                    'R' => Flags::RST,
                    'U' => Flags::URG,
                    _ => 0,
                }
        });
        let sequence = words.next().unwrap().parse::<i64>().unwrap() as u32;
        let acknowledgment = words.next().map_or(0, |word| word.parse::<i64>().unwrap() as u32);
        let option = |name: &str| {
            let found = behind.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.map_or(0, |number| number.parse().unwrap())
        };
        let (cut, realm) = (option("cut"), option("realm") as u16);
        let segment = Segment {
            key: key(1000).0,
            sender,
            sequence,
            acknowledgment,
            flags: Flags(flags),
            payload: payload.as_bytes(),
            cut,
            realm,
        };
        table.segment(&segment, now(frame, nanos), &mut scribe);
    }
    table.finish(now(frame, nanos), &mut scribe);
    assert_eq!((table.len(), table.memory()), (0, 0), "{script}");
    scribe
}

/// What it is called, the whole script, and what follows of it.
const NETWORKS: &[(&str, &str, &str)] = &[
    (
        "two networks that use the same addresses and ports at the same time",
        "A S 100 ''realm=1; A S 2000000000 ''realm=2; B SA 300 101 ''realm=1; B SA 2500000000 2000000001 ''realm=2;
         A A 101 301 'one' realm=1; B A 301 104 'first' realm=1; A A 2000000001 2500000001 'two' realm=2;
         B A 2500000001 2000000004 'second' realm=2; A d 104 'more' realm=1; A d 2000000004 'too' realm=2",
        "open A; open A; A:one; B:first; A:two; B:second; A:moretoo; A end; B end; close Finished; A end; B end; close Finished",
    ),
    (
        "the same, one of them ends and comes again",
        "A S 100 ''realm=1; A S 2000000000; B SA 300 101 ''realm=1; A A 101 301 'one' realm=1; A R 104 ''realm=1; A d 2000000001 'two';
         A S 900 ''realm=1; A d 901 'again' realm=1",
        "open A; open A; A:one; A end; B end; close Ended; A:two; open A; A:again; A end; B end; close Finished; A end; B end; close Finished",
    ),
    (
        "bare and tunnelled is one, whichever comes first",
        "A S 100; A S 100 ''realm=1; B SA 300 101 ''realm=1; B SA 300 101; A A 101 301 'abc' realm=1; A A 101 301 'abc'; A A 104 301 'def';
         A A 104 301 'def' realm=1; B A 301 107 'ok'; B A 301 107 'ok' realm=1",
        "open A; A:abcdef; B:ok; A end; B end; close Finished",
    ),
    (
        "both sides of a bridge that changes the VLAN, picked up in mid-stream",
        "A A 101 301 'abc' realm=1; A A 101 301 'abc' realm=2; B A 301 104 'ok' realm=2; B A 301 104 'ok' realm=1; A A 104 303 'def' realm=2",
        "open ?; A:abc; B:ok; A:def; A end; B end; close Finished",
    ),
    (
        "each direction has a network of its own",
        "A S 100 ''realm=1; B SA 300 101 ''realm=2; A A 101 301 'GET' realm=1; B A 301 104 '200' realm=2; A A 104 304 ''realm=1",
        "open A; A:GET; B:200; A end; B end; close Finished",
    ),
    (
        "the next connection of these ports is seen in the tunnel first",
        "A S 100; B SA 300 101; A A 101 301 'old'; A S 2000000000 ''realm=1; A S 2000000000; A d 2000000001 'new'; A d 2000000001 'new' realm=1",
        "open A; A:old; open A; A end; B end; close Reused; A:new; A end; B end; close Finished",
    ),
];

#[test]
fn networks_that_use_the_same_addresses_are_kept_apart_and_copies_are_not() {
    for (name, script, expected) in NETWORKS {
        assert_eq!(run(script, LIMITS, None).lines.join("; "), *expected, "{name}");
    }
}

const HELLO: &str = "A S 100; B SA 300 101; A A 101 301;";

/// What it is called, the script behind [`HELLO`] and what follows `open A;`.
const AFTER_HANDSHAKE: &[(&str, &str, &str)] = &[
    (
        "in order",
        "A d 101 'GET'; B A 301 104 '200'; A d 104 ' /'",
        "A:GET; B:200; A: /; A end; B end; close Finished",
    ),
    (
        "out of order",
        "A d 104 'def'; A d 107 'ghi'; A d 101 'abc'",
        "A:abcdefghi; A end; B end; close Finished",
    ),
    (
        "retransmission",
        "A d 101 'abc'; A d 101 'abc'; A d 104 'def'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "conflicting retransmission",
        "A d 101 'abc'; A d 104 'def'; A d 101 'aXc'",
        "A:abcdef; A lost ConflictingRetransmission 3; A end; B end; close Finished",
    ),
    (
        "two segments retransmitted as one, the second differs",
        "A d 101 'abc'; A d 104 'def'; A d 101 'abcdXf'",
        "A:abcdef; A lost ConflictingRetransmission 3; A end; B end; close Finished",
    ),
    (
        "overlap beyond what is known",
        "A d 101 'abcdef'; A d 104 'defghi'",
        "A:abcdefghi; A end; B end; close Finished",
    ),
    (
        "conflicting overlap: the first received wins",
        "A d 101 'abcdef'; A d 104 'XYZghi'",
        "A:abcdef; A lost ConflictingRetransmission 3; A:ghi; A end; B end; close Finished",
    ),
    (
        "conflict among early segments: the first received wins",
        "A d 104 'def'; A d 103 'cXY'; A d 105 'Zfg'; A d 101 'ab'",
        "A lost ConflictingRetransmission 2; A lost ConflictingRetransmission 2; A:abcdefg; A end; B end; close Finished",
    ),
    (
        "an early segment before one that covers it",
        "A d 103 'cd'; A d 101 'abXXef'",
        "A:abcd; A lost ConflictingRetransmission 2; A:ef; A end; B end; close Finished",
    ),
    (
        "a long early segment over short ones fills what is between",
        "A d 103 'c'; A d 105 'e'; A d 102 'bcdef'; A d 101 'a'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "keep-alive with and without an octet",
        "A d 101 'abc'; A A 103 301 'x'; A A 103 301; A d 104 'def'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "zero window and its probe",
        "A d 101 'abc'; B A 301 104; A d 104 'd'; B A 301 104; A d 104 'd'; B A 301 104; A d 104 'def'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "urgent data stays in line",
        "A d 101 'ab'; A U 103 '!'; A d 104 'c'",
        "A:ab!c; A end; B end; close Finished",
    ),
    (
        "FIN both ways",
        "A d 101 'q'; B A 301 102 'r'; A FA 102 302; B FA 302 103; A A 103 303",
        "A:q; B:r; A end; B end; close Ended",
    ),
    ("FIN with data", "A F 101 'q'; B FA 301 103 'r'", "A:q; A end; B:r; B end; close Ended"),
    ("FIN before its data", "A F 104; A d 101 'abc'; B F 301", "A:abc; A end; B end; close Ended"),
    (
        "FIN in any order, both early",
        "B F 304; A F 104; B d 301 'xyz'; A d 101 'abc'",
        "B:xyz; B end; A:abc; A end; close Ended",
    ),
    (
        "data behind FIN is none",
        "A F 101 'q'; A d 103 'evil'; B F 301",
        "A:q; A end; A lost OutOfWindow 4; B end; close Ended",
    ),
    (
        "data behind an early FIN is none",
        "A F 104; A d 101 'abcEVIL'; B F 301",
        "A lost OutOfWindow 4; A:abc; A end; B end; close Ended",
    ),
    ("FIN, then RST", "A FA 101 301; A R 102", "A end; B end; close Ended"),
    (
        "what follows the end opens nothing",
        "A F 101; B F 301; A A 102 302; B FA 301 102; A RA 102 302; A d 101 'q'",
        "A end; B end; close Ended",
    ),
    ("RST", "A d 101 'q'; A R 102", "A:q; A end; B end; close Ended"),
    ("RST with data", "A d 101 'q'; B RA 301 102 'why'", "A:q; A end; B end; close Ended"),
    ("RST that does not fit", "A d 101 'q'; A R 90000000; A d 102 'r'", "A:qr; A end; B end; close Finished"),
    ("RST before the data it follows", "A R 104; A d 101 'abc'", "A:abc; A end; B end; close Ended"),
    (
        "RST before the answer it acknowledges",
        "A d 101 'q'; A RA 102 304; B A 301 102 'xyz'",
        "A:q; B:xyz; A end; B end; close Ended",
    ),
    (
        "RST whose data never come",
        "A R 104; +300ms; A d 101 'abc'",
        "A end; B end; close Ended; open ?; A:abc; A end; B end; close Finished",
    ),
    ("left over: the handshake", "A F 101; B F 301; A S 100; B SA 300 101", "A end; B end; close Ended"),
    ("left over after RST", "A d 101 'q'; A R 102; A d 101 'q'", "A:q; A end; B end; close Ended"),
    (
        "a hole that the capture has and the receiver has not: time",
        "A d 104 'def'; +6s; A d 107 'g'",
        "A lost Gap 3; A gap 3; A:defg; A end; B end; close Finished",
    ),
    ("a hole is waited for", "A d 104 'def'; +4s; A d 101 'abc'", "A:abcdef; A end; B end; close Finished"),
    (
        "acknowledged: given up after the grace",
        "A d 104 'def'; B A 301 107; +300ms; A d 107 'g'",
        "A lost Gap 3; A gap 3; A:defg; A end; B end; close Finished",
    ),
    (
        "acknowledged, but the capture was only out of order",
        "A d 104 'def'; B A 301 107; A d 101 'abc'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "acknowledged: given up after further segments",
        "A d 104 'd'; B A 301 105; A d 105 'e'; A d 106 'f'; A d 107 'g'; A d 108 'h'; A d 109 'i'; A d 110 'j'; \
         A d 111 'k'; A d 112 'l'; A d 113 'm'; A d 114 'n'; A d 115 'o'; A d 116 'p'; A d 117 'q'; A d 118 'r'; \
         A d 119 's'; A d 120 't'; B A 301 101",
        "A lost Gap 3; A gap 3; A:defghijklmnopqrst; A end; B end; close Finished",
    ),
    (
        "an ACK of a part of the hole does not give it up",
        "A d 104 'def'; B A 301 103; +300ms; A d 101 'abc'",
        "A:abcdef; A end; B end; close Finished",
    ),
    (
        "an answer does not overtake its question",
        "B A 301 104 '200'; A d 101 'GET'",
        "A:GET; B:200; A end; B end; close Finished",
    ),
    (
        "nor for ever",
        "B A 301 104 '200'; +300ms; A d 101 'GET'",
        "B:200; A:GET; A end; B end; close Finished",
    ),
    (
        "an end does not overtake either",
        "B FA 301 104 '200'; A FA 101 301 'GET'",
        "A:GET; A end; B:200; B end; close Ended",
    ),
    ("missing at the close", "A d 104 'def'", "A lost Gap 3; A gap 3; A:def; A end; B end; close Finished"),
    ("missing before FIN", "A F 111; +6s; B F 301", "A lost Gap 10; A gap 10; A end; B end; close Ended"),
    (
        "acknowledged but never seen",
        "B A 301 111; +1s",
        "A lost Gap 10; A gap 10; A end; B end; close Finished",
    ),
    (
        "missing within an exchange: what follows goes on in turns",
        "A A 103 301 'b'; B A 301 104 'r'; A A 104 302 's'; B A 302 105 't'",
        "A lost Gap 2; A gap 2; A:b; B:r; A:s; B:t; A end; B end; close Finished",
    ),
    (
        "a whole question is missing",
        "A A 101 301 'q'; B A 301 102 'r'; B A 302 104 't'; A A 104 303 'u'; B A 303 105 'v'",
        "A:q; B:r; A lost Gap 2; A gap 2; B:t; A:u; B:v; A end; B end; close Finished",
    ),
    (
        "the last question is missing",
        "A A 101 301 'q'; B A 301 102 'r'; B A 302 104 't'; B A 303 106 'v'",
        "A:q; B:r; A lost Gap 2; A gap 2; B:t; A lost Gap 2; A gap 2; B:v; A end; B end; close Finished",
    ),
    (
        "an answer lacks its beginning",
        "A A 101 301 'q'; B A 303 102 'r'; A A 102 304 's'; B A 304 103 't'",
        "A:q; B lost Gap 2; B gap 2; B:r; A:s; B:t; A end; B end; close Finished",
    ),
    (
        "both lack something",
        "A A 102 301 'q'; B A 302 103 'r'; A A 103 303 's'; B A 303 104 't'; +300ms; A A 104 304 'u'",
        "A lost Gap 1; A gap 1; A:q; B lost Gap 1; B gap 1; B:r; A:s; B:t; A:u; A end; B end; close Finished",
    ),
    (
        "cut by the snapshot length",
        "A d 101 'abc' cut=5; A d 109 'd'",
        "A:abc; A lost Truncated 5; A gap 5; A:d; A end; B end; close Finished",
    ),
    (
        "cut and early",
        "A d 104 'd' cut=2; A d 101 'abc'; A d 107 'e'",
        "A:abcd; A lost Truncated 2; A gap 2; A:e; A end; B end; close Finished",
    ),
    (
        "cut retransmitted in part",
        "A d 101 '' cut=3; A d 102 'bcd'",
        "A lost Truncated 3; A gap 3; A:d; A end; B end; close Finished",
    ),
    (
        "FIN behind what was cut",
        "A F 101 'ab' cut=2; B F 301",
        "A:ab; A lost Truncated 2; A gap 2; A end; B end; close Ended",
    ),
    ("SYN again", "A S 100; B SA 300 101; A d 101 'abc'; A S 100", "A:abc; A end; B end; close Finished"),
    (
        "ports used again behind FIN",
        "A F 101; A S 5000; A d 5001 'x'",
        "A end; B end; close Reused; open A; A:x; A end; B end; close Finished",
    ),
    (
        "ports used again by a SYN from elsewhere",
        "A d 101 'a'; A S 9000000; A d 9000001 'x'",
        "A:a; A end; B end; close Reused; open A; A:x; A end; B end; close Finished",
    ),
    (
        "ports used again after silence",
        "A d 101 'a'; +20s; A S 5000; A d 5001 'x'",
        "A:a; A end; B end; close Reused; open A; A:x; A end; B end; close Finished",
    ),
    (
        "a SYN within the window of a living flow",
        "A d 101 'a'; A S 500; A d 102 'b'",
        "A:ab; A end; B end; close Finished",
    ),
    (
        "silent too long",
        "A d 101 'a'; +301s; A d 102 'b'",
        "A:a; A end; B end; close Idle; open ?; A:b; A end; B end; close Finished",
    ),
    (
        "the clock goes back a year",
        "A d 101 'a'; -31536000s; A d 102 'b'; +1s; A d 103 'c'",
        "A:abc; A end; B end; close Finished",
    ),
    (
        "the clock goes ahead ten years, once",
        "A d 101 'a'; +315360000s; A d 102 'b'; +1s; A d 103 'c'",
        "A:a; A end; B end; close Idle; open ?; A:bc; A end; B end; close Finished",
    ),
];

/// The same without handshake, all lines.
const FROM_NOTHING: &[(&str, &str, &str)] = &[
    ("a SYN alone", "A S 100; +31s", "open A; A end; B end; close Idle"),
    ("refused", "A S 100; B RA 0 101", "open A; A end; B end; close Ended"),
    (
        "a refusal that does not fit",
        "A S 100; B RA 0 900000000; A d 101 'a'",
        "open A; A:a; A end; B end; close Finished",
    ),
    (
        "SYN with data",
        "A S 100 'GET'; B SA 300 104; A d 104 ' /'",
        "open A; A:GET /; A end; B end; close Finished",
    ),
    (
        "SYN again, with other data",
        "A S 100 'GET'; A S 100 'PUT'",
        "open A; A:GET; A lost ConflictingRetransmission 3; A end; B end; close Finished",
    ),
    (
        "simultaneous open",
        "A S 100; B S 300; A SA 100 301; B SA 300 101; A d 101 'a'; B d 301 'b'",
        "open A; A:a; B:b; A end; B end; close Finished",
    ),
    (
        "only the answer to the SYN was captured",
        "B SA 300 101; A d 101 'a'",
        "open A; A:a; A end; B end; close Finished",
    ),
    (
        "the sequence space wraps",
        "A S -3; B SA -1 -2; A d 0 'cd'; A d -2 'abX'; A d 2 'e'; B d 0 'x'",
        "open A; A:abcd; A lost ConflictingRetransmission 1; A:e; B:x; A end; B end; close Finished",
    ),
    (
        "picked up in mid-stream",
        "A A 101 301 'GET'; B A 301 104 '200'; +300ms; A d 104 'x'",
        "open ?; A:GET; B:200; A:x; A end; B end; close Finished",
    ),
    (
        "picked up, the first two swapped",
        "A d 104 'def'; A d 101 'abc'; +300ms; A d 107 'g'",
        "open ?; A:abcdefg; A end; B end; close Finished",
    ),
    (
        "picked up, the answer first",
        "B A 301 104 '200'; A A 101 301 'GET'",
        "open ?; A:GET; B:200; A end; B end; close Finished",
    ),
    (
        "picked up, exchanges go on in turns",
        "A A 101 301 'q'; B A 301 102 'r'; A A 102 302 's'; B A 302 103 't'; A A 103 303 'u'",
        "open ?; A:q; B:r; A:s; B:t; A:u; A end; B end; close Finished",
    ),
    (
        "picked up in the middle of an answer",
        "B A 301 101 'r'; A A 101 302 's'; B A 302 102 't'; +300ms; A A 102 303 'u'; B A 303 103 'v'",
        "open ?; B:r; A:s; B:t; A:u; B:v; A end; B end; close Finished",
    ),
    (
        "picked up, a question was not captured",
        "B A 301 101 'r'; B A 302 104 't'; A A 104 303 'u'; B A 303 105 'v'",
        "open ?; B:rt; A:u; B:v; A end; B end; close Finished",
    ),
    (
        "picked up, without acknowledgments they go by capture",
        "B d 301 'r'; A d 101 's'; B d 302 't'; A d 102 'u'",
        "open ?; B:r; A:s; B:t; A:u; A end; B end; close Finished",
    ),
    (
        "picked up, each acknowledges what the other has not sent yet",
        "A A 101 303 'qs'; B A 301 103 'rt'",
        "open ?; A:qs; B:rt; A end; B end; close Finished",
    ),
    (
        "the handshake after the data",
        "A d 104 'def'; A d 101 'abc'; A S 100; A d 107 'g'",
        "open ?; initiator A; A:abcdefg; A end; B end; close Finished",
    ),
    (
        "the answer to the SYN after the data",
        "A d 101 'abc'; B SA 300 101",
        "open ?; initiator A; A:abc; A end; B end; close Finished",
    ),
    (
        "the SYN long after the data, and the first bytes are lost",
        "A d 104 'def'; +300ms; A S 100",
        "open ?; A:def; initiator A; A lost Gap 3; A end; B end; close Finished",
    ),
    (
        "a SYN of another connection in mid-stream",
        "A d 104 'def'; A S 9000000; A d 9000001 'x'",
        "open ?; A:def; A end; B end; close Reused; open A; A:x; A end; B end; close Finished",
    ),
    (
        "one direction only",
        "A S 100; A A 101 301; A A 101 301 'GET'; A A 104 401; A FA 104 501; +31s",
        "open A; A:GET; A end; B end; close Idle",
    ),
    (
        "one direction only, that of the answers",
        "B SA 300 101; B A 301 104 '200'; +300ms; B A 304 200 'more'; B A 308 300 'yet'",
        "open A; B:200moreyet; A end; B end; close Finished",
    ),
    ("no flow for nothing", "A A 101 301; A FA 101 301; B R 7; B RA 7 9 'data'; A F 101", ""),
    (
        "FIN first, then its data, in mid-stream",
        "A d 104 'd'; B F 304; B d 301 'xyz'; A F 105; +300ms",
        "open ?; A:d; A end; B:xyz; B end; close Ended",
    ),
];

#[test]
fn cases() {
    let after = AFTER_HANDSHAKE
        .iter()
        .map(|(what, script, expected)| (what, format!("{HELLO}{script}"), format!("open A; {expected}")));
    let bare = FROM_NOTHING
        .iter()
        .map(|(what, script, expected)| (what, (*script).to_owned(), (*expected).to_owned()));
    let mut faults = Vec::new();
    for (what, script, expected) in after.chain(bare) {
        let lines = run(&script, LIMITS, None).lines.join("; ");
        if lines != expected {
            faults.push(format!("{what}: {script}\n  expected {expected}\n  found    {lines}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn early_bytes_keep_their_frame() {
    let scribe = run(&format!("{HELLO}A d 104 'def'; A d 107 'g'; A d 101 'abc'"), LIMITS, None);
    assert_eq!(scribe.frames, [6, 4, 5]);
}

#[test]
fn of_one_direction_nothing_waits_once_that_is_plain() {
    for (handshake, sender) in [(false, Side::Low), (true, Side::Low), (true, Side::High)] {
        let mut table = Table::new(LIMITS);
        let mut scribe = Scribe::default();
        let flags = if sender == Side::Low { Flags::SYN } else { Flags::SYN | Flags::ACK };
        let segment = |number: u32, flags, payload| Segment {
            key: key(1).0,
            sender,
            sequence: 100 + number,
            acknowledgment: 301 + 50 * number,
            flags: Flags(flags),
            payload,
            cut: 0,
            realm: 0,
        };
        if handshake {
            table.segment(&segment(0, flags, b""), now(0, 0), &mut scribe);
        }
        for number in 1..=200_u32 {
            table.segment(&segment(number, Flags::ACK, b"x"), now(number.into(), 0), &mut scribe);
            let plain = u32::from(connection::GRACE_SEGMENTS) + 1;
            assert_eq!(table.memory() == 0, number >= plain, "{handshake} {sender:?} {number}");
            assert_eq!(scribe.frames.len(), if number >= plain { number as usize } else { 0 });
        }
        assert!(scribe.frames.is_sorted());
    }
}

#[test]
fn nothing_is_told_of_what_nobody_wants() {
    for (patience, script, expected) in [
        (1, "A d 101 'abc'; A d 104 'd'; A d 110 'x'; B d 305 'y'; A F 105; B F 301", "A:abc; close Ended"),
        (1, "A d 101 'abc'; B d 301 'y'; A R 104; A d 101 'abc'", "A:abc; close Ended"),
        (1, "A d 101 'abc'; A R 99999999; +301s", "A:abc; close Idle"),
        (1, "A d 103 'c'; A d 101 'ab'; A d 104 'd'", "A:ab; close Finished"),
        (2, "A d 104 'd'; +6s; A d 105 'e'", "A lost Gap 3; A gap 3; A:d; close Finished"),
        (1, "A d 101 'abc'; A S 700000; A d 700001 'x'", "A:abc; close Reused; open A; A:x; close Finished"),
    ] {
        let lines = run(&format!("{HELLO}{script}"), LIMITS, Some(patience)).lines.join("; ");
        assert_eq!(lines, format!("open A; {expected}"), "{script}");
    }
}

#[test]
fn a_full_buffer_gives_up_the_hole() {
    // Room for two early segments, counting what each costs.
    let limits = Limits { early_per_direction: 200, ..LIMITS };
    for (script, expected) in [
        (
            "A d 103 'c'; A d 105 'e'; A d 107 'g'",
            "A lost BufferLimit 2; A gap 2; A:c; A lost Gap 1; A gap 1; A:e; A lost Gap 1; A gap 1; A:g; A end; B end",
        ),
        (
            "B A 301 103 'a'; B d 302 'b'; B d 303 'c'; B d 304 'd'",
            "B:abcd; A lost Gap 2; A gap 2; A end; B end",
        ),
    ] {
        let lines = run(&format!("{HELLO}{script}"), limits, None).lines.join("; ");
        assert_eq!(lines, format!("open A; {expected}; close Finished"), "{script}");
    }
    let none = Limits { early_per_direction: 0, early_total: 0, ..LIMITS };
    let lines = run(&format!("{HELLO}A d 103 'c'; A d 101 'ab'"), none, None).lines.join("; ");
    assert_eq!(lines, "open A; A lost BufferLimit 2; A gap 2; A:c; A end; B end; close Finished");
    let lines = run("A d 101 'ab'; A d 103 'c'", none, None).lines.join("; ");
    assert_eq!(lines, "open ?; A:abc; A end; B end; close Finished");
}

#[test]
fn datagrams_pass() {
    let (key, sender) =
        FlowKey::new(Endpoint::v4([10, 0, 0, 1], 53), Endpoint::v4([10, 0, 0, 2], 53), Transport::Udp);
    let mut table = Table::new(LIMITS);
    let mut scribe = Scribe::default();
    for (frame, second, sender, cut) in [(1, 0, sender, 0), (2, 1, sender.other(), 7), (3, 400, sender, 0)] {
        let datagram = Datagram { key, sender, payload: b"dns", cut };
        table.datagram(&datagram, now(frame, second * 1_000_000_000), &mut scribe);
    }
    table.finish(now(3, 0), &mut scribe);
    assert_eq!(
        scribe.lines.join("; "),
        "open ?; A datagram dns 0; B lost Truncated 7; B datagram dns 7; close Idle; \
         open ?; A datagram dns 0; close Finished"
    );
}

/// Counts, and holds the table to its contract.
#[derive(Default)]
struct Auditor {
    opened: u64,
    closed: BTreeMap<u16, Close>,
    bytes: u64,
    gaps: u64,
    lost: u64,
}

impl Receiver for Auditor {
    /// Ends seen of Low and High.
    type State = [u8; 2];

    fn open(&mut self, _: &FlowKey, _: Option<Side>, _: Now) -> [u8; 2] {
        self.opened += 1;
        [0; 2]
    }

    fn initiator(&mut self, _: &FlowKey, _: &mut [u8; 2], _: Side) {}

    fn piece(&mut self, _: &FlowKey, ends: &mut [u8; 2], sender: Side, piece: Piece<'_>, _: Now) -> Interest {
        let ended = &mut ends[usize::from(sender == Side::High)];
        assert_eq!(*ended, 0, "behind the end");
        match piece {
            Piece::Data { bytes, .. } => self.bytes += bytes.len() as u64,
            Piece::Gap(bytes) => self.gaps += bytes,
            Piece::End => *ended += 1,
        }
        Interest::More
    }

    fn datagram(&mut self, _: &FlowKey, _: &mut [u8; 2], _: Side, _: &[u8], _: u32, _: Now) {}

    fn lost(&mut self, _: &FlowKey, _: &mut [u8; 2], _: Side, loss: Loss, _: Now) {
        if loss.reason != LossReason::ConflictingRetransmission {
            self.lost += loss.bytes;
        }
    }

    fn close(&mut self, key: &FlowKey, ends: [u8; 2], why: Close, _: Now) {
        assert_eq!(ends, [1, 1]);
        self.closed.insert(key.end(Side::Low).port, why);
    }
}

fn plain<'a>(port: u16, flags: u8, sequence: u32, payload: &'a [u8]) -> Segment<'a> {
    let (key, sender) = key(port);
    Segment { key, sender, sequence, acknowledgment: 0, flags: Flags(flags), payload, cut: 0, realm: 0 }
}

#[test]
fn the_flow_silent_for_longest_makes_room() {
    let mut table = Table::new(Limits { flows: 3, ..LIMITS });
    let mut auditor = Auditor::default();
    for (frame, port) in [1, 2, 3, 1, 4, 5].into_iter().enumerate() {
        let now = now(frame as u64, 20_000_000 * frame as i64);
        table.segment(&plain(port, 0, 100 + frame as u32, b"x"), now, &mut auditor);
        assert!(table.len() <= 3);
    }
    assert_eq!(auditor.closed.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert!(auditor.closed.values().all(|why| *why == Close::Evicted));
    assert_eq!(table.stats().evicted, 2);
}

#[test]
fn a_syn_flood_does_not_push_out_flows_that_live() {
    let mut table = Table::new(Limits { flows: 1000, ..LIMITS });
    let mut auditor = Auditor::default();
    for port in 0..500 {
        table.segment(&plain(port, Flags::SYN, 1, b"x"), now(1, 0), &mut auditor);
    }
    for port in 500..60_000 {
        table.segment(&plain(port, Flags::SYN, 1, b""), now(2, 0), &mut auditor);
    }
    assert_eq!(table.len(), 1000);
    assert!(auditor.closed.keys().all(|port| *port >= 500));
    table.advance(now(3, 31_000_000_000), &mut auditor);
    assert_eq!(table.len(), 500);
}

#[test]
fn every_second_segment_missing_stays_small_and_linear() {
    let limits = Limits { early_per_direction: 1 << 16, ..LIMITS };
    for len in [1_usize, 100] {
        let mut table = Table::new(limits);
        let mut auditor = Auditor::default();
        let payload = vec![b'x'; len];
        table.segment(&plain(1, Flags::SYN, u32::MAX - 1000, b""), now(0, 0), &mut auditor);
        let count = 300_000_u64;
        for number in 0..count {
            let sequence = (u32::MAX - 999).wrapping_add((number as u32 * 2 + 1) * len as u32);
            table.segment(&plain(1, 0, sequence, &payload), now(number, 0), &mut auditor);
            assert!(table.memory() <= limits.early_per_direction);
        }
        table.finish(now(count, 0), &mut auditor);
        assert_eq!(
            (auditor.bytes, auditor.gaps, auditor.lost),
            (count * len as u64, count * len as u64, count * len as u64)
        );
    }
}

#[test]
fn early_bytes_of_all_flows_are_limited() {
    let limits = Limits { flows: 10_000, early_total: 100_000, ..LIMITS };
    let mut table = Table::new(limits);
    let mut auditor = Auditor::default();
    for port in 0..5000 {
        table.segment(&plain(port, Flags::SYN, 1, b""), now(1, 0), &mut auditor);
        table.segment(&plain(port, 0, 12, &[b'x'; 100]), now(2, 0), &mut auditor);
        assert!(table.memory() <= limits.early_total);
    }
    assert!(table.memory() > limits.early_total / 2);
    table.finish(now(3, 0), &mut auditor);
    assert_eq!((auditor.bytes, auditor.gaps, auditor.lost), (500_000, 50_000, 50_000));
}

#[test]
fn a_flow_is_small() {
    let links = 2 * 8;
    let index = 4 + 1;
    assert!(
        size_of::<connection::Flow<()>>() + links + index <= 160,
        "{}",
        size_of::<connection::Flow<()>>()
    );
}

/// Byte by byte, the first received wins. Offsets count from the first byte behind the SYN.
#[derive(Default)]
struct Model(BTreeMap<usize, u8>);

impl Model {
    fn receive(&mut self, offset: usize, bytes: &[u8]) {
        for (place, byte) in bytes.iter().enumerate() {
            self.0.entry(offset + place).or_insert(*byte);
        }
    }

    /// The stream as a scribe writes it down.
    fn lines(&self, side: char) -> Vec<String> {
        let (mut lines, mut text, mut next) = (Vec::new(), String::new(), 0);
        for (&place, &byte) in &self.0 {
            if place > next {
                if !text.is_empty() {
                    lines.push(format!("{side}:{}", std::mem::take(&mut text)));
                }
                lines.push(format!("{side} lost Gap {}", place - next));
                lines.push(format!("{side} gap {}", place - next));
            }
            text.push(byte as char);
            next = place + 1;
        }
        if !text.is_empty() {
            lines.push(format!("{side}:{text}"));
        }
        lines.push(format!("{side} end"));
        lines
    }
}

/// The lines of one side, with runs joined that another side's lines stood between.
fn of_side(lines: &[String], side: char) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let text = format!("{side}:");
    for line in lines.iter().filter(|line| line.starts_with(side) && !line.contains("Conflicting")) {
        match (line.strip_prefix(&text), kept.last_mut().filter(|last| last.starts_with(&text))) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => kept.push(line.clone()),
        }
    }
    kept
}

/// What a byte of a stream is, where nobody forges it.
fn byte(side: Side, place: usize) -> u8 {
    let base = if side == Side::Low { b'a' } else { b'A' };
    base + (place * 7 % 26) as u8
}

/// A copy of a part of a stream: side, offset, length, whether its bytes are forged.
fn part() -> impl Strategy<Value = (bool, usize, usize, bool)> {
    (any::<bool>(), 0..200_usize, 1..60_usize, prop::bool::weighted(0.2))
}

proptest! {
    /// Any parts in any order, with forged copies: what the model says, gaps exactly where nothing was ever sent.
    #[test]
    fn agrees_with_the_model(parts in vec(part(), 0..80), starts in any::<[u32; 2]>()) {
        let mut table = Table::new(LIMITS);
        let mut scribe = Scribe::default();
        let mut models = [Model::default(), Model::default()];
        let key = key(1).0;
        let sides = [Side::Low, Side::High];
        let send = |table: &mut Table<Scribe>, scribe: &mut Scribe, high: bool, flags, offset: u32, payload: &[u8]| {
            let sequence = starts[usize::from(high)].wrapping_add(offset);
            let segment = Segment {
                key, sender: sides[usize::from(high)], sequence, acknowledgment: 0, flags: Flags(flags), payload, cut: 0, realm: 0,
            };
            table.segment(&segment, now(1, 0), scribe);
        };
        for high in [false, true] {
            send(&mut table, &mut scribe, high, Flags::SYN, 0, b"");
        }
        for &(high, offset, len, forged) in &parts {
            let side = sides[usize::from(high)];
            let bytes: Vec<u8> =
                (offset..offset + len).map(|place| if forged { b'#' } else { byte(side, place) }).collect();
            models[usize::from(high)].receive(offset, &bytes);
            send(&mut table, &mut scribe, high, 0, offset as u32 + 1, &bytes);
        }
        table.finish(now(2, 0), &mut scribe);
        for (side, model) in ['A', 'B'].into_iter().zip(&models) {
            prop_assert_eq!(of_side(&scribe.lines, side), model.lines(side));
        }
        let forged = parts.iter().any(|part| part.3);
        prop_assert!(forged || scribe.lines.iter().all(|line| !line.contains("Conflicting")));
        prop_assert_eq!(table.memory(), 0);
    }

    /// A conversation with handshake, ACKs and FINs whose frames are shuffled, doubled and cut small: the same bytes,
    /// and no answer before its question.
    #[test]
    fn disorder_of_the_capture_does_not_show(
        exchanges in vec((1..80_usize, 1..80_usize), 1..6),
        starts in any::<[u32; 2]>(),
        small in 1..40_usize,
        keys in vec(0..8_usize, 400),
        doubled in vec(prop::bool::weighted(0.1), 400),
        gap in prop_oneof![Just(0_i64), Just(1_000), Just(10_000_000)],
        handshake in any::<bool>(),
    ) {
        // Who is silent for long at the beginning is taken to be not captured.
        let small = if handshake { small } else { small.max(10) };
        let mut frames: Vec<(Side, u32, u32, u8, Vec<u8>)> = Vec::new();
        let mut sent = [0_usize; 2];
        let sequence = |sent: [usize; 2], side: usize| starts[side].wrapping_add(1 + sent[side] as u32);
        frames.push((Side::Low, starts[0], 0, Flags::SYN, vec![]));
        frames.push((Side::High, starts[1], sequence(sent, 0), Flags::SYN | Flags::ACK, vec![]));
        frames.push((Side::Low, sequence(sent, 0), sequence(sent, 1), Flags::ACK, vec![]));
        let mut expected = Vec::new();
        for (question, answer) in &exchanges {
            for (own, side, len) in [(0, Side::Low, *question), (1, Side::High, *answer)] {
                let bytes: Vec<u8> = (sent[own]..sent[own] + len).map(|place| byte(side, place)).collect();
                expected.push(format!("{}:{}", name(side), String::from_utf8_lossy(&bytes)));
                for chunk in bytes.chunks(small) {
                    frames.push((side, sequence(sent, own), sequence(sent, 1 - own), Flags::ACK, chunk.to_vec()));
                    sent[own] += chunk.len();
                }
            }
        }
        let [low, high] = [sequence(sent, 0), sequence(sent, 1)];
        frames.push((Side::Low, low, high, Flags::FIN | Flags::ACK, vec![]));
        frames.push((Side::High, high, low.wrapping_add(1), Flags::FIN | Flags::ACK, vec![]));
        frames.push((Side::Low, low.wrapping_add(1), high.wrapping_add(1), Flags::ACK, vec![]));
        let mut order: Vec<(usize, usize)> = Vec::new();
        for number in if handshake { 0 } else { 3 }..frames.len() {
            let jitter = keys[number % keys.len()];
            order.push((number + jitter, number));
            if doubled[number % doubled.len()] {
                order.push((number + jitter + 3, number));
            }
        }
        order.sort();
        let told_order: Vec<usize> = order.iter().map(|(_, number)| *number).collect();
        let mut table = Table::new(LIMITS);
        let mut scribe = Scribe::default();
        for (_, number) in order {
            let (sender, sequence, acknowledgment, flags, payload) = &frames[number];
            let segment = Segment {
                key: key(1).0, sender: *sender, sequence: *sequence, acknowledgment: *acknowledgment,
                flags: Flags(*flags), payload, cut: 0, realm: 0,
            };
            table.segment(&segment, now(number as u64, number as i64 * gap), &mut scribe);
        }
        let closed = table.is_empty();
        table.finish(now(999, 0), &mut scribe);
        let told: Vec<String> = scribe.lines.iter().filter(|line| line.contains(':')).cloned().collect();
        prop_assert_eq!(told.join("; "), expected.join("; "), "{:?} {:?}", scribe.lines, told_order);
// A FIN before anything else opens nothing.
        prop_assert!(closed || told_order[0] != 0, "{:?} {:?}", scribe.lines, told_order);
        prop_assert!(scribe.lines.iter().all(|line| !line.contains("lost")), "{:?}", scribe.lines);
    }

    /// Random segments of random flows at random times: no panic, no limit passed, every contract kept, the same again.
    #[test]
    fn random_segments_keep_the_limits(
        segments in vec(
            (0..6_u16, any::<bool>(), any::<u8>(), prop_oneof![0..300_u32, any::<u32>()], prop_oneof![0..300_u32, any::<u32>()],
                0..100_usize, prop_oneof![8 => Just(0_u32), 1 => 0..100_u32, 1 => any::<u32>()],
                prop_oneof![8 => 0..1_000_000_000_i64, 1 => any::<i64>()]),
            0..300,
        ),
        early in 0..2000_usize,
    ) {
        let limits = Limits { flows: 4, early_per_direction: early, early_total: 1500, ..LIMITS };
        let round = || {
            let mut table = Table::new(limits);
            let (mut auditor, mut other, mut scribe) = (Auditor::default(), Table::new(limits), Scribe::default());
            let payload = [b'x'; 100];
            for (frame, &(port, high, flags, sequence, acknowledgment, len, cut, nanos)) in segments.iter().enumerate() {
                let sender = if high { Side::High } else { Side::Low };
                let segment = Segment {
                    key: key(port).0, sender, sequence, acknowledgment, flags: Flags(flags), payload: &payload[..len], cut, realm: (frame % 3) as u16,
                };
                let now = now(frame as u64, nanos);
                table.segment(&segment, now, &mut auditor);
                other.segment(&segment, now, &mut scribe);
                assert!(table.memory() <= limits.early_total.min(8 * early));
                assert!(table.len() <= limits.flows);
            }
            let now = now(999, 0);
            table.finish(now, &mut auditor);
            other.finish(now, &mut scribe);
            assert_eq!((table.len(), table.memory()), (0, 0));
            assert!(auditor.gaps <= auditor.lost);
            assert_eq!(auditor.opened, table.stats().opened);
            scribe.lines
        };
        prop_assert_eq!(round(), round());
    }
}
