//! What an engine does when its shards hold too much.

use std::collections::HashSet;
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

/// An engine that looks at bodies under way.
fn live() -> Engine {
    let mut engine = Engine::new(&Settings {
        rules: Arc::new(RuleSet::load(true, &[]).unwrap()),
        key: FingerprintKey::new(b"the key of the tests"),
        limits: LIMITS,
        explain: false,
        watched: false,
    });
    engine.glances(true);
    engine
}

/// What a body shows before its flow ends, and what after: where the leaks stand, with their names.
fn early_and_late(connection: Connection) -> [Vec<String>; 2] {
    let mut engine = live();
    let mut intake = Intake::default();
    let mut frames = Memory::new(connection.frames());
    let mut last = (0, Timestamp::default());
    let leaks = |engine: &mut Engine| -> Vec<String> {
        let findings = engine.released().filter_map(|released| match released.report {
            Report::Finding(finding) if finding.secret.is_some() => Some(finding),
            _ => None,
        });
        findings.map(|finding| finding.name.unwrap_or_default()).collect()
    };
    while let Ok(Next::Frame(frame)) = frames.next() {
        last = (frame.number, frame.time);
        intake.sort(&frame, |shard, frame, packet| {
            engine.packet(shard, packet, frame.number, frame.time);
        });
    }
    assert!(leaks(&mut engine).is_empty(), "nothing is told before it is asked for");
    let mut early = Vec::new();
    for _ in 0..3 {
        last.1 = last.1.after(Duration::from_millis(300));
        engine.glance(last.0, last.1);
        early.extend(leaks(&mut engine));
    }
    engine.finish(last.0, last.1);
    [early, leaks(&mut engine)]
}

fn asked() -> Connection {
    Connection::example(80).handshake().to_server(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A chunk of a chunked body.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn a_body_under_way_is_looked_at_in_time_and_each_leak_told_once() {
    let event = format!("data: {{\"api_key\":\"{KEY}\"}}\n\n");
    let plain = event.clone().into_bytes();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(event.as_bytes()).unwrap();
    encoder.flush().unwrap();
    let gzip = encoder.get_ref().clone();
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    brotli.write_all(event.as_bytes()).unwrap();
    brotli.flush().unwrap();
    let br = brotli.get_ref().clone();
    for (coding, body) in
        [("", plain), ("Content-Encoding: gzip\r\n", gzip), ("Content-Encoding: br\r\n", br)]
    {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}Transfer-Encoding: chunked\r\n\r\n"
        );
        let connection = asked().to_client(head.as_bytes()).to_client(&chunk(&body));
        let [early, late] = early_and_late(connection);
        assert_eq!((early, late), (vec!["api_key".to_owned()], vec![]), "{coding}");
    }
}

#[test]
fn what_may_go_on_is_told_when_it_is_whole() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9000\r\n\r\n";
    let connection = asked().to_client(head).to_client(format!("first api_key={KEY}").as_bytes());
    let [early, late] = early_and_late(connection);
    assert_eq!((early.len(), late.len()), (0, 1));
}

#[test]
fn bytes_of_no_message_are_looked_at_in_time() {
    let connection = Connection::example(7777).handshake().to_server(format!("AUTH {KEY} now\n").as_bytes());
    let [early, late] = early_and_late(connection);
    assert_eq!((early.len(), late.len()), (1, 0));
}

#[test]
fn a_long_stream_that_leaks_does_not_grow_and_loses_nothing() {
    let mut engine = live();
    let mut intake = Intake::default();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let mut connection = asked().to_client(head);
    let many = 500;
    for number in 0..many {
        let filling = "x ".repeat(500);
        connection = connection.to_client(
            format!("data: {{\"n\":{number},\"text\":\"{filling}\",\"api_key\":\"{KEY}{number:04}\"}}\n\n")
                .as_bytes(),
        );
    }
    let mut frames = Memory::new(connection.frames());
    let mut found = HashSet::new();
    let mut times = 0;
    let mut most = 0;
    let mut last = (0, Timestamp::default());
    let mut take = |engine: &mut Engine| {
        for released in engine.released() {
            if let Report::Finding(finding) = released.report {
                times += 1;
                assert_eq!(finding.name.as_deref(), Some("api_key"));
                found.extend(finding.secret.map(|secret| secret.fingerprint));
            }
        }
    };
    while let Ok(Next::Frame(frame)) = frames.next() {
        last = (frame.number, Timestamp::from_nanos(frame.number as i64 * 50_000_000));
        intake.sort(&frame, |shard, frame, packet| engine.packet(shard, packet, frame.number, last.1));
        engine.glance(last.0, last.1);
        most = most.max(engine.held());
        take(&mut engine);
    }
    engine.finish(last.0, last.1);
    take(&mut engine);
    assert_eq!((found.len(), times), (many, many));
    assert!(most < 400 << 10, "{most}");
}
