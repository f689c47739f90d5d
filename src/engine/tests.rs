//! What an engine does when its shards hold too much.

use std::io::Write;

use super::*;
use crate::source::memory::connection::Connection;
use crate::source::{Next, Source, memory::Memory};

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";

/// Leaks and losses of a connection that goes on while other flows hold all that may be held.
fn in_need(connection: Connection) -> (Vec<String>, Vec<&'static str>) {
    let settings = Settings {
        rules: Arc::new(RuleSet::load(true, &[]).unwrap()),
        key: FingerprintKey::new(b"the key of the tests"),
        limits: LIMITS,
        explain: false,
        watched: false,
    };
    let mut engine = Engine::new(&settings);
    engine.workshop.held = vec![conversation::HELD; SHARDS];
    let mut intake = Intake::default();
    let mut frames = Memory::new(connection.frames());
    let mut last = (0, Timestamp::default());
    while let Ok(Next::Frame(frame)) = frames.next() {
        last = (frame.number, frame.time);
        intake.sort(&frame, |shard, frame, packet| {
            engine.packet(shard, packet, frame.number, frame.time);
            let more = engine.workshop.held.iter().map(|held| held - conversation::HELD).sum::<usize>();
            assert!(more <= 96 << 10, "{more} bytes are held");
        });
    }
    engine.finish(last.0, last.1);
    assert_eq!(engine.workshop.held, vec![conversation::HELD; SHARDS], "what was held is held no more");
    let (mut leaks, mut lost) = (Vec::new(), Vec::new());
    for released in engine.released() {
        match released.report {
            Report::Finding(finding) => leaks.push(finding.surface.as_str().to_owned()),
            Report::Lost(loss) => lost.push(loss.reason),
            Report::Suppressed(_) => {}
        }
    }
    (leaks, lost)
}

#[test]
fn bodies_are_looked_at_early() {
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let body = format!("{}{{\"api_key\":\"{KEY}\"}}{}", " ".repeat(100_000), " ".repeat(100_000));
    let connection = Connection::example(80).handshake().to_server(head).to_server(body.as_bytes());
    assert_eq!(in_need(connection), (vec!["request.body".to_owned()], vec![]));
}

#[test]
fn decoders_are_given_up_and_that_is_told() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(format!("{{\"api_key\":\"{KEY}\"}}").repeat(20_000).as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!("POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    let ask = format!("GET /?k={KEY} HTTP/1.1\r\n\r\n");
    let connection = Connection::example(80).handshake().to_server(head.as_bytes()).to_server(&body);
    let (leaks, lost) = in_need(connection.to_server(ask.as_bytes()));
    assert!(leaks.contains(&"request.query".to_owned()), "{leaks:?}");
    assert_eq!(lost, ["memory-limit"]);
}

#[test]
fn heads_are_given_up_and_that_is_told() {
    let head = format!("GET /?k={KEY} HTTP/1.1\r\nA: {}\r\nB: ", "b".repeat(100_000));
    let connection = Connection::example(80).handshake().to_server(head.as_bytes());
    let (leaks, lost) = in_need(connection);
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert_eq!(lost, ["memory-limit"]);
}

#[test]
fn exchanges_are_forgotten() {
    let ask = format!("GET /{}?k={KEY} HTTP/1.1\r\nHost: h\r\n\r\n", "x/".repeat(3000)).repeat(300);
    let (leaks, _) = in_need(Connection::example(80).handshake().to_server(ask.as_bytes()));
    assert_eq!(leaks.len(), 300);
}

#[test]
fn what_is_remembered_of_a_target_cuts_no_value() {
    let target = |length: usize| format!("/{}?a=b&key={}", "x".repeat(length), "y".repeat(9000));
    assert_eq!(conversation::shown_part(b"/short?a=b"), b"/short?a=b");
    assert_eq!(conversation::shown_part(target(100).as_bytes()), &target(100).as_bytes()[..105]);
    assert_eq!(conversation::shown_part(target(9000).as_bytes()), b"");
}
