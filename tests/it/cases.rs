//! Cases as data: `tests/cases/*.toml`. Each says what two ends sent and which leaks are found, and nothing else is.
//!
//! ```toml
//! [[case]]
//! name = "query-value-before-an-ampersand"     # what it shows
//! why = "the value ends at the ampersand"
//! port = 80                # of the server (default 80)
//! handshake = false        # picked up in mid-stream (default true)
//! close = false            # the capture ends before the connection does (default true)
//! mss = 100                # payload bytes a segment at most (default 1448)
//! drop = [5]               # frames that were never captured, by their number
//! lost = ["gap"]           # the reasons of the `lost` events; none otherwise
//! again = 2                # further sightings in all (default: not compared)
//! order = [2, 1, 3, 3]     # the frames in the order in which they were captured, some twice (default: as sent)
//! reset = true             # ended by RST instead of FIN
//! in_order = true          # the leaks are told in the order of the case
//! [case.not_inspected]     # what the summary says of it (default: not compared)
//! encrypted = 1
//!
//! [[case.connection]]      # instead of one from 192.0.2.10:51000 to port `port` of 192.0.2.80
//! client = "[2001:db8::a]:51000"
//! server = "[2001:db8::50]:80"
//!
//! [[case.step]]
//! from = "client"          # or "server"
//! send = "POST /x HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"    # {length}: of the body as sent
//! body = "…"               # sent behind it
//! body_hex = "ff00"        # instead of body
//! body_repeat = ["x", 100] # instead of body: so many times
//! charset = "utf-16le"     # of the body (default UTF-8): utf-16le, utf-16be, latin-1
//! encode = ["gzip"]        # content codings, in this order: gzip, deflate, raw-deflate, br, zstd
//! chunks = 7               # in chunks of so many bytes (the `Transfer-Encoding` header is yours to send)
//! pause_ms = 600           # silence before it
//! connection = 1           # on that connection, counted from 0 (default 0)
//! udp = true               # as one datagram between the ends of the connection
//!
//! [[case.leak]]            # see support::Expected; what is left out is not compared, but name and value always are;
//!                          # frames are numbered as captured: behind the handshake the first is 4
//! rule = "stripe-secret-key"
//! surface = "request.query"
//! name = "api_key"
//! value = "sk_live_…"
//! exposures = ["query-string", "cleartext"]
//! ```
//!
//! `CASE=name cargo test --test it every_case -- --nocapture` prints the events of one case.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use leaktap::model::Timestamp;
use leaktap::model::event::Event;
use leaktap::source::memory::connection::{Connection, datagram};
use leaktap::source::memory::{Kept, disturb};
use serde::Deserialize;

use crate::support::{Expected, leaks, options, plain, scan_frames};

/// Cases up to this many bytes are spoiled too.
const SMALL: usize = 8 << 10;
/// Time between two frames, as connections in memory have it.
const FRAME: Duration = Duration::from_micros(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) why: String,
    #[serde(default = "eighty")]
    port: u16,
    #[serde(default = "yes")]
    handshake: bool,
    #[serde(default = "yes")]
    close: bool,
    #[serde(default)]
    mss: Option<usize>,
    #[serde(default)]
    drop: Vec<usize>,
    #[serde(default)]
    lost: Vec<String>,
    #[serde(default)]
    again: Option<u64>,
    #[serde(default)]
    order: Vec<usize>,
    #[serde(default)]
    reset: bool,
    #[serde(default)]
    in_order: bool,
    #[serde(default)]
    not_inspected: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    connection: Vec<Ends>,
    step: Vec<Step>,
    #[serde(default)]
    leak: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    client: SocketAddr,
    server: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    from: String,
    #[serde(default)]
    send: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_hex: Option<String>,
    #[serde(default)]
    body_repeat: Option<(String, usize)>,
    #[serde(default)]
    charset: Option<String>,
    #[serde(default)]
    encode: Vec<String>,
    #[serde(default)]
    chunks: Option<usize>,
    #[serde(default)]
    pause_ms: u64,
    #[serde(default)]
    connection: usize,
    #[serde(default)]
    udp: bool,
}

fn eighty() -> u16 {
    80
}

fn yes() -> bool {
    true
}

impl Step {
    fn bytes(&self) -> Vec<u8> {
        let mut body = match (&self.body, &self.body_hex, &self.body_repeat) {
            (Some(body), ..) => match self.charset.as_deref() {
                None => body.clone().into_bytes(),
                Some("utf-16le") => body.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                Some("utf-16be") => body.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                Some("latin-1") => {
                    body.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
                }
                Some(other) => panic!("charset {other}"),
            },
            (_, Some(hex), _) => {
                let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
                digits
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                    .collect()
            }
            (.., Some((text, times))) => text.repeat(*times).into_bytes(),
            _ => Vec::new(),
        };
        for coding in &self.encode {
            body = encoded(coding, &body);
        }
        let length = body.len();
        if let Some(size) = self.chunks {
            let mut out = Vec::new();
            for chunk in body.chunks(size) {
                out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
            body = out;
        }
        let mut out = self.send.replace("{length}", &length.to_string()).into_bytes();
        out.extend(body);
        out
    }
}

pub(crate) fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "raw-deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &*body, &mut out, &brotli::enc::BrotliEncoderParams::default())
                .unwrap();
            out
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        other => panic!("coding {other}"),
    }
}

impl Case {
    pub(crate) fn frames(&self) -> Vec<Kept> {
        let ends = |ends: &Ends| (ends.client, ends.server);
        let mut ends: Vec<_> = self.connection.iter().map(ends).collect();
        if ends.is_empty() {
            ends.push((
                SocketAddr::from(([192, 0, 2, 10], 51_000)),
                SocketAddr::from(([192, 0, 2, 80], self.port)),
            ));
        }
        let begin = |(client, server)| {
            let connection = Connection::new(client, server);
            self.mss.map_or(connection.clone(), |mss| connection.mss(mss))
        };
        let mut connections: Vec<(Connection, usize)> = ends.iter().map(|ends| (begin(*ends), 0)).collect();
        let mut datagrams = Vec::new();
        let mut begun = vec![!self.handshake; ends.len()];
        // One clock for all connections: each goes on when the step before is over.
        let mut clock = Duration::ZERO;
        let start = Timestamp::from_nanos(1_767_225_600_000_000_000);
        for step in &self.step {
            clock += Duration::from_millis(step.pause_ms);
            let to_server = match step.from.as_str() {
                "client" => true,
                "server" => false,
                other => panic!("{}: from {other}", self.name),
            };
            let (client, server) = ends[step.connection];
            if step.udp {
                let (source, destination) = if to_server { (client, server) } else { (server, client) };
                datagrams.extend(datagram(start.after(clock), source, destination, &step.bytes()));
                clock += FRAME;
                begun[step.connection] = true;
                continue;
            }
            let (connection, count) = &mut connections[step.connection];
            let mut next = connection.clone().at(start.after(clock));
            if !std::mem::replace(&mut begun[step.connection], true) {
                next = next.handshake();
            }
            *connection =
                if to_server { next.to_server(&step.bytes()) } else { next.to_client(&step.bytes()) };
            let now = connection.clone().frames().len();
            clock += FRAME * u32::try_from(now - *count).unwrap();
            *count = now;
        }
        let mut frames = datagrams;
        for (connection, count) in connections {
            let connection = connection.at(start.after(clock));
            let connection = match (self.close && count > 0, self.reset) {
                (true, true) => connection.reset(),
                (true, false) => connection.finish(),
                (false, _) => connection,
            };
            let all = connection.frames();
            clock += FRAME * u32::try_from(all.len() - count).unwrap();
            frames.extend(all);
        }
        frames.sort_by_key(|frame| frame.time);
        for (index, frame) in frames.iter().enumerate() {
            assert!(
                index == 0 || frames[index - 1].time < frame.time,
                "{}: two frames at one time",
                self.name
            );
        }
        if !self.order.is_empty() {
            // Times stay in order; a frame that is named twice comes twice.
            let first = frames[0].time;
            let at = |index: usize| {
                let late = FRAME * u32::try_from(index).unwrap();
                frames.get(index).map_or(first.after(late), |frame| frame.time.max(first.after(late)))
            };
            let order = self.order.iter().enumerate();
            frames =
                order.map(|(index, number)| Kept { time: at(index), ..frames[number - 1].clone() }).collect();
        }
        let frames = frames.into_iter().enumerate();
        frames.filter(|(index, _)| !self.drop.contains(&(index + 1))).map(|(_, frame)| frame).collect()
    }
}

pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let file: File = toml::from_str(&fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.extend(file.case);
    }
    cases
}

/// What is wrong with a case; nothing where all is found and nothing else.
fn faults(case: &Case) -> Option<String> {
    let frames = case.frames();
    let (events, said, _) = scan_frames(&frames, &options(1));
    if std::env::var("CASE").is_ok_and(|name| name == case.name) {
        events.iter().for_each(|event| eprintln!("{}", serde_json::to_string(event).unwrap()));
    }
    let mut missing: Vec<&Expected> = case.leak.iter().collect();
    let mut surplus = Vec::new();
    let mut places = Vec::new();
    for leak in leaks(&events) {
        places.extend(case.leak.iter().position(|expected| Expected::of(leak, expected) == *expected));
        match missing.iter().position(|expected| Expected::of(leak, expected) == **expected) {
            Some(at) => {
                missing.remove(at);
            }
            None => surplus.push(leak),
        }
    }
    let mut reasons: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Lost(lost) => Some(lost.reason.clone()),
            _ => None,
        })
        .collect();
    reasons.sort();
    let mut lost = case.lost.clone();
    lost.sort();
    let again =
        events.iter().map(|event| if let Event::Again(again) = event { again.times } else { 0 }).sum::<u64>();
    let mut told = String::new();
    for expected in missing {
        told += &format!("  not found: {expected:?}\n");
    }
    for leak in surplus {
        let all = Expected {
            severity: Some(leak.severity.as_str().to_owned()),
            status: leak.http.as_ref().and_then(|http| http.status),
            frames: Some(leak.frames),
            evidence: Some(leak.evidence.clone()),
            related: Some(leak.related.len()),
            ..plain(leak)
        };
        told += &format!("  surplus:   {all:?}\n");
    }
    if reasons != lost {
        told += &format!("  lost {reasons:?}, expected {lost:?}\n");
    }
    if case.again.is_some_and(|expected| expected != again) {
        told += &format!("  again {again}, expected {:?}\n", case.again);
    }
    if case.in_order && !places.is_sorted() {
        told += &format!("  told in the order {places:?}\n");
    }
    if let (Some(expected), Some(Event::Summary(summary))) = (&case.not_inspected, events.last())
        && *expected != summary.not_inspected
    {
        told += &format!("  not inspected {:?}, expected {expected:?}\n", summary.not_inspected);
    }
    for problem in said.problems {
        told += &format!("  problem: {problem}\n");
    }
    (!told.is_empty()).then(|| format!("{} ({})\n{told}", case.name, case.why))
}

#[test]
fn every_case_tells_its_leaks_and_nothing_else() {
    let cases = all();
    let faults: Vec<String> = cases.iter().filter_map(faults).collect();
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// What is found in frames, by what no spoiling may change: the status that the answer gave is part of it.
fn told(frames: &[Kept]) -> Vec<Expected> {
    let (events, _, _) = scan_frames(frames, &options(1));
    let all = leaks(&events).into_iter().map(|leak| Expected {
        severity: Some(leak.severity.as_str().to_owned()),
        status: leak.http.as_ref().and_then(|http| http.status),
        ..plain(leak)
    });
    let mut all: Vec<Expected> = all.collect();
    all.sort();
    all
}

/// Spoils every small case that is not spoiled already and compares with what is found in it as it is.
fn same_when(spoil: impl Fn(&[Kept]) -> Vec<Kept>) {
    let mut faults = Vec::new();
    for case in all() {
        let frames = case.frames();
        let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        if bytes > SMALL || !case.lost.is_empty() || !case.order.is_empty() {
            continue;
        }
        let (before, behind) = (told(&frames), told(&spoil(&frames)));
        if before != behind {
            let only = |these: &[Expected], those: &[Expected]| -> Vec<Expected> {
                these.iter().filter(|this| !those.contains(this)).cloned().collect()
            };
            let (lost, new) = (only(&before, &behind), only(&behind, &before));
            faults.push(format!("{} ({})\n  lost: {lost:?}\n  new: {new:?}\n", case.name, case.why));
        }
    }
    assert!(faults.is_empty(), "{} cases:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn one_byte_segments_change_no_case() {
    same_when(|frames| disturb::segmented(frames, 1));
}

#[test]
fn doubled_frames_change_no_case() {
    same_when(disturb::doubled);
}

#[test]
fn shuffled_frames_change_no_case() {
    same_when(|frames| disturb::shuffled(frames, 4, 7));
}

#[test]
fn the_end_of_the_sequence_space_changes_no_case() {
    same_when(disturb::wrapped);
}

#[test]
fn a_missing_handshake_changes_no_case() {
    same_when(disturb::without_handshake);
}

#[test]
fn cases_have_names_of_their_own() {
    let mut names: Vec<String> = all().into_iter().map(|case| case.name).collect();
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!(before, names.len());
    assert!(before >= 100, "{before} cases");
}
