//! The shape of events, their identity and their order, whatever the number of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use leaktap::source::memory::write::capture;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use sha2::Sha256;

use super::*;

/// An object's keys and values in their order.
struct InOrder(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = InOrder;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(InOrder(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn keys(line: &str) -> Vec<String> {
    let InOrder(entries) = serde_json::from_str(line).unwrap();
    entries.into_iter().map(|(key, _)| key).collect()
}

/// `s` string, `?` may be null, `n` whole number, `a` array of strings, `f` frames, `o` object, `h` hexadecimal.
fn is(value: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_prefix('?') {
        return value.is_null() || is(value, kind);
    }
    let text = value.as_str();
    match kind {
        "s" => text.is_some_and(|text| !text.is_empty()),
        "h" => text.is_some_and(|text| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "t" => text
            .is_some_and(|text| text.len() == "2026-11-22T05:22:00.123456789Z".len() && text.ends_with('Z')),
        "n" => value.is_u64(),
        "b" => value.is_boolean(),
        "a" => value.as_array().is_some_and(|list| list.iter().all(|entry| entry.is_string())),
        "f" => value.as_array().is_some_and(|list| list.len() == 2 && list[0].as_u64() <= list[1].as_u64()),
        "o" => value.is_object(),
        other => panic!("{other}"),
    }
}

#[test]
fn leaks_have_the_keys_and_types_of_the_contract() {
    const LEAK: [(&str, &str); 22] = [
        ("v", "n"),
        ("type", "s"),
        ("id", "h"),
        ("time", "t"),
        ("rule", "s"),
        ("title", "s"),
        ("exposures", "a"),
        ("severity", "s"),
        ("confidence", "s"),
        ("cwe", "a"),
        ("owasp", "a"),
        ("surface", "s"),
        ("name", "?s"),
        ("secret", "?o"),
        ("flow", "o"),
        ("http", "?o"),
        ("process", "?o"),
        ("source", "s"),
        ("frames", "f"),
        ("evidence", "s"),
        ("advice", "?s"),
        ("related", "a"),
    ];
    let room = Room::new();
    let run = room.run(&["scan", &captures_text(), "-q", "--severity", "info"]).ended(0);
    let names: Vec<&str> = LEAK.iter().map(|&(key, _)| key).collect();
    let (mut leaks, mut without_secret) = (0, 0);
    for line in run.out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["v"], 1);
        if event["type"] != "leak" {
            continue;
        }
        leaks += 1;
        assert_eq!(keys(line), names, "{line}");
        for (key, kind) in LEAK {
            assert!(is(&event[key], kind), "{key} of {line}");
        }
        let part = |key: &str| keys(&event[key].to_string()).into_iter().collect::<BTreeSet<_>>();
        let set = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<BTreeSet<_>>();
        match &event["secret"] {
            Value::Null => without_secret += 1,
            secret => {
                assert_eq!(part("secret"), set(&["redacted", "length", "fingerprint"]), "{line}");
                assert!(is(&secret["fingerprint"], "h") && is(&secret["length"], "n"), "{line}");
            }
        }
        assert_eq!(part("flow"), set(&["client", "server", "transport", "protocol", "encrypted"]), "{line}");
        if !event["http"].is_null() {
            assert_eq!(part("http"), set(&["method", "host", "target", "status", "message"]), "{line}");
        }
    }
    assert!(leaks > 100 && without_secret > 5, "{leaks} leaks, {without_secret} of them without a secret");
}

#[test]
fn an_event_tells_what_the_capture_holds() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    let run = room.run(&["scan", "a.pcap"]).ended(0);
    let leak = &run.leaks()[0];
    let expected = serde_json::json!({
        "time": "2026-01-01T00:00:00.000300000Z",
        "rule": "stripe-secret-key",
        "exposures": ["query-string", "cleartext"],
        "severity": "critical",
        "confidence": "high",
        "surface": "request.query",
        "name": "api_key",
        "flow": {"client": "192.0.2.10:51000", "server": "192.0.2.80:8080", "transport": "tcp",
            "protocol": "http/1.1", "encrypted": false},
        "http": {"method": "GET", "host": "api.example.com", "target": "/v1/charges?api_key=sk_l…8PfL",
            "status": 200, "message": 1},
        "process": null,
        "source": "a.pcap",
        "frames": [4, 4],
        "related": [],
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&leak[key], value, "{key}");
    }
    assert_eq!(leak["secret"]["redacted"], "sk_l…8PfL");
    assert_eq!(leak["secret"]["length"], STRIPE.len());
    for weakness in ["CWE-598", "CWE-319", "CWE-522"] {
        assert!(leak["cwe"].as_array().unwrap().contains(&weakness.into()), "{weakness}");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(b"the key of the tests").unwrap();
    mac.update(STRIPE.as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let fingerprint = leak["secret"]["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint, digest);
}

#[test]
fn an_id_depends_on_what_leaks_where() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("b.pcap", leaking_file());
    room.write("folder/a.pcap", leaking_file());
    let id = |arguments: &[&str]| {
        let leaks = room.run(arguments).ended(0).leaks();
        assert_eq!(leaks.len(), 1);
        leaks[0]["id"].as_str().unwrap().to_owned()
    };
    let first = id(&["scan", "a.pcap"]);
    for same in [&["scan", "a.pcap"][..], &["scan", "a.pcap", "--jobs", "2"], &["scan", "a.pcap", "--reveal"]]
    {
        assert_eq!(id(same), first, "{same:?}");
    }
    let others = [id(&["scan", "b.pcap"]), id(&["scan", "folder"]), id(&["scan", "./a.pcap"]), first];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), 4, "{others:?}");
}

#[test]
fn the_ids_of_all_captures_are_their_own_and_related_ones_exist() {
    let room = Room::new();
    let leaks = room.run(&["scan", &captures_text(), "-q"]).ended(0).leaks();
    let ids: BTreeSet<&str> = leaks.iter().map(|leak| leak["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), leaks.len());
    let related: Vec<&Value> = leaks.iter().flat_map(|leak| leak["related"].as_array().unwrap()).collect();
    assert!(related.len() > 3);
    for id in related {
        assert!(ids.contains(id.as_str().unwrap()), "{id}");
    }
}

#[test]
fn further_sightings_are_counted_or_told() {
    let room = Room::new();
    let again = |connection: Connection| {
        connection
            .to_server(
                format!("GET /v1/charges?api_key={STRIPE} HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
                    .as_bytes(),
            )
            .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    };
    let connection = exchange(51_000, STRIPE).pause(Duration::from_secs(7));
    room.write("a.pcap", capture(&again(again(connection)).finish().frames()));
    let run = room.run(&["scan", "a.pcap"]).ended(0);
    let events = run.events();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["leak", "again", "summary"]);
    assert_eq!(keys(run.out.lines().nth(1).unwrap()), ["v", "type", "id", "times", "last"]);
    assert_eq!((&events[1]["id"], &events[1]["times"]), (&events[0]["id"], &2.into()));
    assert_eq!(events[1]["last"], "2026-01-01T00:00:07.000700000Z");
    assert_eq!((&events[2]["again"], &events[2]["leaks"]["critical"]), (&2.into(), &1.into()));
    let run = room.run(&["scan", "a.pcap", "--every"]).ended(0);
    let messages: Vec<_> = run.leaks().iter().map(|leak| leak["http"]["message"].clone()).collect();
    assert_eq!(messages, [1, 2, 3]);
    assert!(of_type(&run.events(), "again").is_empty());
    let table = room.run(&["scan", "a.pcap", "--format", "table"]).ended(0).out;
    assert!(table.contains("seen 3 times"), "{table}");
}

#[test]
fn what_could_not_be_seen_is_told() {
    let room = Room::new();
    let body = "x".repeat(5000);
    let frames = exchange(51_000, STRIPE)
        .to_server(b"GET /big HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .to_client(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
        .to_server(b"GET /next HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .finish()
        .frames();
    let holed: Vec<Kept> =
        frames.iter().enumerate().filter(|(at, _)| *at != 8).map(|(_, frame)| frame.clone()).collect();
    room.write("a.pcap", capture(&holed));
    let run = room.run(&["scan", "a.pcap"]).ended(0);
    let lost = of_type(&run.events(), "lost");
    assert_eq!(lost.len(), 1, "{}", run.out);
    let line = run.out.lines().find(|line| line.contains("\"lost\"")).unwrap();
    let names = ["v", "type", "reason", "flow", "direction", "count", "bytes", "frames", "source"];
    assert_eq!(keys(line), names);
    assert_eq!(lost[0]["reason"], "gap");
    assert_eq!((&lost[0]["count"], &lost[0]["bytes"]), (&1.into(), &1448.into()));
    assert_eq!(lost[0]["source"], "a.pcap");
    assert!(is(&lost[0]["frames"], "f") && is(&lost[0]["flow"], "o"));
    assert_eq!((&run.summary()["gaps"], &run.summary()["gap_bytes"]), (&1.into(), &1448.into()));
    assert_eq!(run.leaks().len(), 1);
}

#[test]
fn the_summary_comes_last_and_adds_up() {
    let room = Room::new();
    let run = room.run(&["scan", &captures_text(), "-q", "--severity", "medium"]).ended(0);
    let events = run.events();
    let summaries: Vec<usize> = (0..events.len()).filter(|&at| events[at]["type"] == "summary").collect();
    assert_eq!(summaries, [events.len() - 1]);
    let summary = run.summary();
    let mut leaks: BTreeMap<String, u64> = BTreeMap::new();
    for leak in run.leaks() {
        *leaks.entry(leak["severity"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(summary["leaks"], serde_json::to_value(&leaks).unwrap());
    assert!(!leaks.contains_key("low") && summary["held_back"]["below-severity"].as_u64() > Some(0));
    let times: u64 = of_type(&events, "again").iter().map(|again| again["times"].as_u64().unwrap()).sum();
    assert_eq!(summary["again"], times);
    let protocols: u64 =
        summary["protocols"].as_object().unwrap().values().map(|flows| flows.as_u64().unwrap()).sum();
    // A connection through a proxy, or that was upgraded, speaks two.
    assert!(summary["flows"].as_u64().unwrap() <= protocols);
    for key in ["sources", "frames", "bytes", "gaps", "gap_bytes", "drops", "malformed"] {
        assert!(summary[key].is_u64(), "{key}");
    }
    assert!(summary["not_inspected"]["encrypted"].as_u64() > Some(0) && summary["seconds"].is_f64());
}

/// Frames of many captures and many connections, one of each in turn.
fn crowd() -> Vec<Kept> {
    let mut queues: Vec<Vec<Kept>> = Vec::new();
    for entry in fs::read_dir(captures()).unwrap() {
        let path = entry.unwrap().path().join("input.pcap");
        if path.exists() {
            queues.push(crate::support::frames_of(&path));
        }
    }
    queues.sort_by_key(|frames| frames.first().map(|frame| frame.time));
    for port in 0..400 {
        let key = if port % 3 == 0 { STRIPE } else { OTHER };
        let filler = "made up ".repeat(400);
        let body = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{filler}", filler.len());
        let mut frames = exchange(20_000 + port, key)
            .to_server(b"GET /next HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            .to_client(body.as_bytes())
            .finish()
            .frames();
        if port % 7 == 0 {
            frames.remove(7);
        }
        queues.push(frames);
    }
    let start = queues[0][0].time;
    let mut all = Vec::new();
    for turn in 0..queues.iter().map(Vec::len).max().unwrap() {
        for queue in &queues {
            if let Some(frame) = queue.get(turn) {
                let time = start.after(Duration::from_micros(50 * all.len() as u64));
                all.push(Kept { time, ..frame.clone() });
            }
        }
    }
    all
}

#[test]
fn the_number_of_jobs_changes_nothing() {
    let room = Room::new();
    let crowd = capture(&crowd());
    assert!(crowd.len() > 2 << 20, "more than one batch: {}", crowd.len());
    room.write("crowd/a.pcap", &crowd);
    room.write("crowd/b.pcap", &crowd[..crowd.len() / 2]);
    let captures = captures_text();
    for arguments in [&["scan", &captures, "-q"][..], &["scan", "crowd", "--every"]] {
        let told = |jobs: &str| {
            let run = room.run(&[arguments, &["--jobs", jobs]].concat());
            (run.code, run.out, run.err)
        };
        let alone = told("1");
        assert!(alone.1.lines().count() > 100, "{}", alone.1.lines().count());
        for jobs in ["2", "3", "4"] {
            let shared = told(jobs);
            // Not assert_eq: it would show megabytes.
            let first = alone.1.lines().zip(shared.1.lines()).find(|(one, other)| one != other);
            assert_eq!(first, None, "--jobs {jobs}");
            assert!(shared == alone, "--jobs {jobs}: {} {}", shared.0, shared.2);
        }
    }
}

#[test]
fn explained_leaks_say_why() {
    let room = Room::new();
    let key = format!("{STRIPE}&old=AKIAQ3EGRXNYJ5BLUE27");
    room.write("a.pcap", capture(&exchange(51_000, &key).finish().frames()));
    let plain = room.run(&["scan", "a.pcap"]).ended(0);
    assert!(plain.leaks().iter().all(|leak| leak.get("explain").is_none()));
    let run = room.run(&["scan", "a.pcap", "--explain"]).ended(0);
    let leaks = run.leaks();
    let of = |rule: &str| leaks.iter().find(|leak| leak["rule"] == rule).unwrap()["explain"].clone();
    let aws = of("aws-access-key-id");
    assert_eq!(aws["reasons"], serde_json::json!(["raised: of the account 058264238960"]));
    assert_eq!(aws["checks"][0], "aws-key-id");
    assert!(aws["entropy"].as_f64().unwrap() > 3.0);
    assert_eq!(of("stripe-secret-key")["reasons"], serde_json::json!([]));
    let table = room.run(&["scan", "a.pcap", "--explain", "--format", "table"]).ended(0).out;
    assert!(table.contains("raised: of the account 058264238960"), "{table}");
}
