//! What is reported: levels, filters, values, formats and sinks.

use leaktap::source::memory::write::capture;

use super::*;

/// A critical leak of high confidence, and a high one of medium confidence.
fn mixed(room: &Room) {
    let frames = exchange(51_000, STRIPE)
        .to_server(
            b"GET /a?api_key=x8Qm2Vt5Lr9Bn3Ws7Kd1Zp6Hc4Jf0Gy HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        )
        .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .finish()
        .frames();
    room.write("a.pcap", capture(&frames));
}

fn severities(run: &Run) -> Vec<String> {
    run.leaks().iter().map(|leak| leak["severity"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn levels_choose_what_is_reported() {
    let room = Room::new();
    mixed(&room);
    let all = room.run(&["scan", "a.pcap"]).ended(0);
    assert_eq!(severities(&all), ["critical", "high"], "{}", all.out);
    assert_eq!(all.leaks()[1]["confidence"], "medium");
    for (arguments, expected, held_back) in [
        (&["--severity", "info"][..], &["critical", "info", "high"][..], None),
        (&["--severity", "high"], &["critical", "high"], None),
        (&["--severity", "critical"], &["critical"], Some("below-severity")),
        (&["--confidence", "high"], &["critical"], Some("below-confidence")),
        (&["--confidence", "medium"], &["critical", "high"], None),
    ] {
        let run = room.run(&[&["scan", "a.pcap"], arguments].concat()).ended(0);
        assert_eq!(severities(&run), expected, "{arguments:?}");
        let summary = run.summary();
        match held_back {
            Some(cause) => assert_eq!(summary["held_back"][cause], 1, "{arguments:?}"),
            None => assert_eq!(summary["held_back"], serde_json::json!({}), "{arguments:?}"),
        }
    }
    // What is held back fails nothing.
    room.write(
        "r.toml",
        "[[rules]]\nid = \"shed\"\nregex = '''(x8Qm\\w+)'''\nkeywords = [\"x8qm\"]\nseverity = \"low\"\n",
    );
    let only = ["scan", "a.pcap", "--fail-on", "low", "--no-default-rules", "--rules", "r.toml"];
    room.run(&only).ended(1);
    room.run(&[&only[..], &["--severity", "high"]].concat()).ended(0);
}

#[test]
fn values_are_told_only_when_revealed() {
    let room = Room::new();
    mixed(&room);
    for format in ["ndjson", "table"] {
        let line = ["scan", "a.pcap", "--format", format, "--sink", "ndjson:n", "--sink", "table:t"];
        // The sink of the same format beside it holds the same.
        let hidden = room.run(&line).ended(0);
        for text in [&hidden.out, &hidden.err, &room.read("n"), &room.read("t")] {
            assert!(!text.contains(STRIPE) && !text.contains("x8Qm2Vt5"), "{text}");
        }
        let shown = room.run(&[&line[..], &["--reveal"]].concat()).ended(0);
        for text in [&shown.out, &room.read("n"), &room.read("t")] {
            assert!(text.contains(STRIPE) && text.contains("x8Qm2Vt5Lr9Bn3Ws7Kd1Zp6Hc4Jf0Gy"), "{text}");
        }
        assert!(!shown.err.contains(STRIPE));
    }
    use std::os::unix::fs::PermissionsExt as _;
    room.run(&["scan", "a.pcap", "--sink", "ndjson:private", "--reveal"]).ended(0);
    let mode = room.path("private").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o77, 0, "what holds secrets is its owner's alone");
    let revealed = room.run(&["scan", "a.pcap", "--reveal"]).ended(0);
    let secret = &revealed.leaks()[0]["secret"];
    assert_eq!((&secret["value"], &secret["encoding"]), (&STRIPE.into(), &Value::Null));
}

#[test]
fn a_value_that_is_no_text_is_told_in_base64() {
    let room = Room::new();
    let frames = Connection::example(8080)
        .handshake()
        .to_server(b"POST /login HTTP/1.1\r\nHost: h.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 36\r\n\r\npassword=q7%ffVd3TzN9mKw%fe2RbX5cYh8")
        .to_client(b"HTTP/1.1 204 No Content\r\n\r\n")
        .finish()
        .frames();
    room.write("a.pcap", capture(&frames));
    let run = room.run(&["scan", "a.pcap", "--reveal"]).ended(0);
    let leaks = run.leaks();
    assert_eq!(leaks.len(), 1, "{}", run.out);
    assert_eq!(leaks[0]["secret"]["encoding"], "base64");
    // q7 ff Vd3TzN9mKw fe 2RbX5cYh8
    assert_eq!(leaks[0]["secret"]["value"], "cTf/VmQzVHpOOW1Ld/4yUmJYNWNZaDg=");
    let hidden = room.run(&["scan", "a.pcap"]).ended(0);
    assert!(!hidden.out.contains("cTf/VmQz") && !hidden.out.contains("\"value\""), "{}", hidden.out);
}

#[test]
fn sinks_repeat_and_hold_the_same() {
    let room = Room::new();
    mixed(&room);
    let plain = room.run(&["scan", "a.pcap"]).ended(0);
    let run = room.run(&[
        "scan",
        "a.pcap",
        "--sink",
        "ndjson:one",
        "--sink",
        "ndjson:two",
        "--sink",
        "table:three",
    ]);
    assert_eq!(run.ended(0).out, plain.out);
    assert_eq!(room.read("one"), plain.out);
    assert_eq!(room.read("two"), plain.out);
    let table = room.run(&["scan", "a.pcap", "--format", "table"]).ended(0).out;
    assert_eq!(room.read("three"), table);
    assert!(!table.contains('\u{1b}'), "no colours where there is no terminal");
    let coloured = room.run(&["scan", "a.pcap", "--format", "table", "--color", "always"]).ended(0).out;
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), table);
    assert_ne!(coloured, table);
    // A sink may take standard output.
    assert_eq!(room.run(&["scan", "a.pcap", "--sink", "table:-"]).ended(0).out, table);
    let twice = room.run(&["scan", "a.pcap", "--format", "ndjson", "--sink", "table:-"]).ended(2);
    assert!(twice.err.contains("standard output is written to by two sinks"), "{}", twice.err);
    // An input is never overwritten.
    for sink in ["ndjson:a.pcap", "ndjson:./a.pcap"] {
        let run = room.run(&["scan", "a.pcap", "--sink", sink]).ended(2);
        assert!(run.err.contains("would overwrite the input a.pcap"), "{}", run.err);
        assert_eq!(run.out, "");
    }
    assert_eq!(room.run(&["scan", "a.pcap"]).ended(0).out, plain.out);
}

#[test]
fn standard_output_carries_data_only() {
    let room = Room::new();
    mixed(&room);
    room.write("b.txt", "no capture");
    let run = room
        .run(&["scan", "a.pcap", "b.txt", "none", &captures_text(), "-vv", "--progress", "always"])
        .ended(2);
    assert!(run.events().len() > 100);
    assert!(run.err.lines().count() > 100, "it says what it does: {}", run.err);
    for line in run.err.lines() {
        assert!(line.starts_with("leaktap: "), "{line}");
    }
    let quiet = room.run(&["scan", "a.pcap", "none", &captures_text(), "-q"]).ended(2);
    assert_eq!(quiet.err, "leaktap: error: cannot read none: No such file or directory (os error 2)\n");
}

#[test]
fn a_filter_chooses_frames() {
    let room = Room::new();
    let mut frames = leaking();
    frames.extend(
        Connection::new(([192, 0, 2, 11], 51_001).into(), ([192, 0, 2, 80], 9090).into())
            .handshake()
            .to_server(format!("GET /?api_key={OTHER} HTTP/1.1\r\nHost: h.example\r\n\r\n").as_bytes())
            .finish()
            .frames(),
    );
    room.write("a.pcap", capture(&frames));
    let run = room.run(&["scan", "a.pcap", "--filter", "tcp port 9090"]);
    if !cfg!(feature = "pcap") {
        assert_eq!((run.code, run.out.as_str()), (2, ""));
        assert!(run.err.contains("built without libpcap, which --filter needs"), "{}", run.err);
        return;
    }
    let run = run.ended(0);
    let leaks = run.leaks();
    assert_eq!(leaks.len(), 1, "{}", run.out);
    assert_eq!(leaks[0]["flow"]["server"], "192.0.2.80:9090");
    // As Wireshark counts them: those that the filter refuses count.
    let first = leaking().len() + 4;
    assert_eq!(leaks[0]["frames"], serde_json::json!([first, first]));
    assert!(room.run(&["scan", "a.pcap", "--filter", "udp"]).ended(0).leaks().is_empty());
    for jobs in ["1", "2"] {
        let wrong = room.run(&["scan", "a.pcap", "--filter", "tcp prot 80", "--jobs", jobs]).ended(2);
        assert!(wrong.err.contains("cannot use the filter \"tcp prot 80\": "), "{}", wrong.err);
        assert_eq!(wrong.err.lines().count(), 1, "{}", wrong.err);
    }
}

#[test]
fn what_follows_from_a_leak_is_told_once_for_each_host_where_asked_for() {
    let room = Room::new();
    let exchange = |port: u16, key: &str, host: &str, cache: &str| {
        let request = format!("GET /a?api_key={key} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let body = format!("{{\"api_key\": \"{OTHER}\"}}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{cache}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Connection::new(([192, 0, 2, 10], port).into(), ([192, 0, 2, 80], 80).into())
            .handshake()
            .to_server(request.as_bytes())
            .to_client(answer.as_bytes())
            .finish()
            .frames()
    };
    let mut frames = exchange(51_000, STRIPE, "one.example", "");
    frames.extend(exchange(51_001, STRIPE, "one.example", ""));
    frames.extend(exchange(51_002, OTHER, "two.example", "Cache-Control: private, no-store\r\n"));
    room.write("a.pcap", capture(&frames));
    let run = room.run(&["scan", "a.pcap", "--severity", "info"]).ended(0);
    let leaks = run.leaks();
    let of = |rule: &str| -> Vec<(String, usize)> {
        let told = leaks.iter().filter(|leak| leak["rule"] == rule);
        told.map(|leak| {
            assert!(leak["secret"].is_null() && leak["severity"] == "info", "{leak}");
            assert_eq!(leak["exposures"], serde_json::json!(["misconfiguration"]));
            let host = leak["http"]["host"].as_str().unwrap().to_owned();
            (host, leak["related"].as_array().unwrap().len())
        })
        .collect()
    };
    assert_eq!(of("key-over-plain-http"), [("one.example".to_owned(), 1), ("two.example".to_owned(), 1)]);
    assert_eq!(of("secret-in-cacheable-answer"), [("one.example".to_owned(), 1)]);
    let rules = |run: &Run| run.leaks().iter().filter(|leak| leak["severity"] == "info").count();
    assert_eq!(rules(&room.run(&["scan", "a.pcap"]).ended(0)), 0);
}
