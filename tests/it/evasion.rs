//! Published ways past an inspector, as data: `tests/evasion/*.toml`. Each is found, or told as ambiguous.
//!
//! ```toml
//! [[case]]
//! name = "overlap-of-other-bytes"      # what it does
//! why = "Ptacek, Newsham 1998, section 5.2"
//! isn = 4294967290                     # initial sequence number of both ends (default 1000)
//! segments = [                         # by whom (`>` client, `<` server), flags (SAFRU, `-` for none), offset from the
//!     "> S 0",                         # initial sequence number, payload, and what is odd about it: `ttl=1`, `badsum`;
//!     "> A 1 'GET /?k={key}'",         # `{key}` is a key that a typed rule knows
//! ]
//! request = "…"                        # instead of segments: what the client sends, and what the server does
//! answer = "…"
//! body = "…"                           # behind the last of these
//! encode = ["gzip"]                    # what is done to the body, whatever the head says
//! found = 1                            # leaks of the key
//! told = ["conflicting-retransmission"]    # reasons of `lost`, rules of misconfigurations, what was not inspected
//! ```

use std::fs;
use std::path::Path;

use etherparse::{PacketBuilder, TcpHeader};
use leaktap::model::event::Event;
use leaktap::model::{LinkType, Timestamp};
use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;
use serde::Deserialize;

use crate::cases::encoded;
use crate::support::{leaks, options, scan_frames};

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    why: String,
    #[serde(default = "thousand")]
    isn: u32,
    #[serde(default)]
    segments: Vec<String>,
    #[serde(default)]
    request: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    encode: Vec<String>,
    found: usize,
    #[serde(default)]
    told: Vec<String>,
}

fn thousand() -> u32 {
    1000
}

/// A frame of a line of `segments`.
fn segment(line: &str, isn: u32, number: i64) -> Kept {
    let (head, rest) = line.split_once('\'').unwrap_or((line, ""));
    let (payload, odd) = rest.rsplit_once('\'').unwrap_or(("", rest));
    let payload = payload.replace("{key}", KEY).replace("\\r", "\r").replace("\\n", "\n");
    let words: Vec<&str> = head.split_whitespace().collect();
    let [by, flags, offset] = words[..] else { panic!("{line}") };
    let (client, server) = (([192, 0, 2, 10], 51_000), ([192, 0, 2, 80], 80));
    let (source, destination) = if by == ">" { (client, server) } else { (server, client) };
    let offset: i64 = offset.parse().unwrap();
    let mut tcp = TcpHeader::new(source.1, destination.1, isn.wrapping_add(offset as u32), 64_240);
    for flag in flags.chars() {
        match flag {
            'S' => tcp.syn = true,
            'A' => tcp.ack = true,
            'F' => tcp.fin = true,
            'R' => tcp.rst = true,
            'U' => (tcp.urg, tcp.urgent_pointer) = (true, payload.len() as u16),
            _ => {}
        }
    }
    if tcp.ack {
        tcp.acknowledgment_number = isn.wrapping_add(1);
    }
    let ttl = odd
        .split_whitespace()
        .find_map(|word| word.strip_prefix("ttl="))
        .map_or(64, |ttl| ttl.parse().unwrap());
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source.0, destination.0, ttl).tcp_header(tcp);
    builder.write(&mut bytes, payload.as_bytes()).unwrap();
    if odd.contains("badsum") {
        bytes[14 + 20 + 16] ^= 0x55;
    }
    let time = Timestamp::from_nanos(1_767_225_600_000_000_000 + number * 1_000_000);
    Kept { time, link: LinkType::ETHERNET, original_len: bytes.len() as u32, bytes }
}

impl Case {
    fn frames(&self) -> Vec<Kept> {
        if !self.segments.is_empty() {
            let lines = self.segments.iter().enumerate();
            return lines.map(|(number, line)| segment(line, self.isn, number as i64)).collect();
        }
        let mut body = self.body.replace("{key}", KEY).into_bytes();
        self.encode.iter().for_each(|coding| body = encoded(coding, &body));
        let fill =
            |text: &str| text.replace("{key}", KEY).replace("{length}", &body.len().to_string()).into_bytes();
        let (mut request, mut answer) = (fill(&self.request), fill(&self.answer));
        if answer.is_empty() { &mut request } else { &mut answer }.extend(&body);
        let connection = Connection::example(80).handshake().to_server(&request);
        if answer.is_empty() { connection } else { connection.to_client(&answer) }.finish().frames()
    }

    fn fault(&self) -> Option<String> {
        let (events, ..) = scan_frames(&self.frames(), &options(1));
        let value =
            |leak: &leaktap::model::event::Leak| leak.secret.as_ref().and_then(|secret| secret.value.clone());
        let found =
            leaks(&events).into_iter().filter(|leak| value(leak).is_some_and(|value| value == KEY)).count();
        let mut told: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                Event::Lost(lost) => Some(lost.reason.clone()),
                _ => None,
            })
            .collect();
        let without_value = leaks(&events).into_iter().filter(|leak| leak.secret.is_none());
        told.extend(without_value.map(|leak| leak.rule.clone()));
        if let Some(Event::Summary(summary)) = events.last() {
            told.extend(summary.not_inspected.keys().cloned());
        }
        told.sort();
        let mut expected = self.told.clone();
        expected.sort();
        assert!(self.found > 0 || !self.told.is_empty(), "{}: neither found nor told", self.name);
        (found != self.found || told != expected).then(|| {
            format!(
                "{} ({}): found {found} of {}, told {told:?}, expected {expected:?}",
                self.name, self.why, self.found
            )
        })
    }
}

#[test]
fn every_evasion_is_found_or_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evasion");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        cases.extend(file.case);
    }
    assert!(cases.len() >= 50, "{}", cases.len());
    let faults: Vec<String> = cases.iter().filter_map(Case::fault).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
