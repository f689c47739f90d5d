//! A capture as a service: metrics, rights given up, a database, memory within its limit.

use std::fs;

use rusqlite::Connection;

use super::net::{Net, Running};
use super::{STRIPE, leaking};

/// What curl gets in the first namespace: status and body.
fn get(net: &Net, path: &str) -> (String, String) {
    let url = format!("http://127.0.0.1:9464{path}");
    let output = net.command(0, "curl").args(["-s", "-w", "\n%{http_code}", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn prometheus_is_told_how_it_goes() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let capture = net.capture(
        0,
        &["-i", "lo", "--filter", "tcp port 8080", "--metrics", "9464", "--sink", "ndjson:out/leaks.ndjson"],
    );
    net.curl(0, &[leaking("127.0.0.1")]);
    capture.event("leak");
    let number = |text: &str, name: &str| -> Option<f64> {
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next().unwrap().parse().ok()
    };
    // Each thread says how it goes a few times a second.
    let begun = std::time::Instant::now();
    let text = loop {
        let (status, text) = get(&net, "/metrics");
        assert_eq!(status, "200");
        let has_messages = text.lines().any(|line| line.starts_with("leaktap_messages_total"));
        if has_messages && number(&text, "leaktap_frames_total").is_some_and(|frames| frames >= 8.0) {
            break text;
        }
        assert!(begun.elapsed().as_secs() < 30, "{text}");
    };
    let value = |name: &str| number(&text, name).unwrap_or_else(|| panic!("{name} in\n{text}"));
    assert_eq!(value("leaktap_leaks_total{rule=\"stripe-secret-key\",severity=\"high\"}"), 1.0);
    assert!(value("leaktap_bytes_total") > 500.0);
    assert!(value("leaktap_flows_total") >= 1.0);
    assert!(value("leaktap_memory_bytes{part=\"resident\"}") > 1e6);
    assert_eq!(value("leaktap_memory_bytes{part=\"kernel-buffer\"}"), f64::from(64 << 20));
    assert!(value("leaktap_queue_room_batches{worker=\"0\"}") > 0.0);
    for sink in ["ndjson:-", "ndjson:out/leaks.ndjson"] {
        assert_eq!(value(&format!("leaktap_sink_queue_events{{sink=\"{sink}\"}}")), 0.0);
        assert_eq!(value(&format!("leaktap_sink_failing{{sink=\"{sink}\"}}")), 0.0);
    }
    assert!(value("leaktap_behind_seconds") < 10.0);
    assert!(!text.contains(STRIPE));
    let (status, body) = get(&net, "/health");
    assert_eq!((status.as_str(), body.contains("\"status\":\"ok\"")), ("200", true), "{body}");
    assert_eq!(get(&net, "/").0, "404");
    assert_eq!(capture.end().0, 0);
}

/// A line of what the kernel says of a process.
fn says(id: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

/// `CAP_NET_RAW` alone, as a mask; `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE`; none.
const RAW: u64 = 0x2000;
const PROCESSES: u64 = 0x8_0004;
const NONE: u64 = 0;

/// A line of what the kernel says of each thread of a process but the first, with the thread's name.
fn threads_say(id: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap().map(|task| task.unwrap().path());
    let others = tasks.filter(|task| !task.ends_with(id.to_string()));
    let line = |status: String| {
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    others.filter_map(|task| line(fs::read_to_string(task.join("status")).ok()?)).collect()
}

/// A mask of capabilities that the kernel tells of a process.
fn mask(id: u32, set: &str) -> u64 {
    u64::from_str_radix(&says(id, set), 16).unwrap()
}

#[test]
fn rights_are_given_up_and_the_capture_goes_on() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    for way in super::ways() {
        for (arguments, user, left, filter) in [
            (&["--user", "nobody"][..], "65534", PROCESSES, "2"),
            (&["--user", "nobody", "--no-processes"], "65534", NONE, "2"),
            (&["--user", "nobody", "--keep", "raw", "--no-processes"], "65534", RAW, "2"),
            (&["--no-processes", "--keep", "calls"], "0", NONE, "0"),
        ] {
            let case = format!("{way} {arguments:?}");
            let capture = net.capture(0, &[&["-i", "lo", "--backend", way], arguments].concat());
            let id = capture.id();
            assert_eq!(says(id, "Uid").split_whitespace().next(), Some(user), "{case}");
            for set in ["CapEff", "CapPrm"] {
                // What this test has not got cannot be left.
                let own = mask(std::process::id(), "CapPrm");
                assert_eq!(mask(id, set), left & own, "{case} {set}");
            }
            assert_eq!(says(id, "Seccomp"), filter, "{case}");
            net.curl(0, &[leaking("127.0.0.1")]);
            assert_eq!(capture.event("leak")["rule"], "stripe-secret-key", "{case}");
            // Those who look into traffic have not even what looking at processes takes.
            let bare = threads_say(id, "CapEff")
                .iter()
                .filter(|mask| **mask == format!("{:016x}", left & RAW))
                .count();
            assert!(bare >= 2, "{case}: a reader and a worker: {:?}", threads_say(id, "CapEff"));
            assert_eq!(capture.end().0, 0, "{case}");
        }
    }
    let capture = net.capture(0, &["-i", "lo", "--keep", "user,capabilities,files", "--keep", "calls"]);
    assert_eq!(mask(capture.id(), "CapEff"), mask(std::process::id(), "CapEff"));
    assert_eq!(says(capture.id(), "Seccomp"), "0");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn an_interface_that_comes_back_is_captured_on_without_other_rights() {
    let Some(net) = Net::new() else { return };
    let _far = net.server(1);
    let capture = net.capture(0, &["-i", "va", "--user", "nobody", "--no-processes"]);
    net.ip(0, "link set va down");
    capture.said(|line| line.contains("it is captured on again once it is back"));
    net.ip(0, "link set va up");
    capture.said(|line| line.contains("va is up: capturing on it"));
    net.curl(0, &[leaking("10.9.0.2")]);
    assert_eq!(capture.event("leak")["rule"], "stripe-secret-key");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn an_interface_that_is_made_anew_is_captured_on_without_any_right() {
    let Some(net) = Net::new() else { return };
    for (arguments, comes_back) in [
        (&["--backend", "ring"][..], true),
        (&["--backend", "pcap", "--keep", "raw"], true),
        (&["--backend", "pcap"], false),
        (&["--backend", "ring", "--fanout", "2"], false),
    ] {
        let capture = net.capture(0, &[&["-i", "va", "--user", "nobody"], arguments].concat());
        net.ip(0, "link del va");
        capture.said(|line| line.contains("va is gone: it is captured on again once it is back"));
        net.join();
        if comes_back {
            capture.said(|line| line.contains("va is up: capturing on it"));
            let _far = net.server(1);
            net.curl(0, &[leaking("10.9.0.2")]);
            assert_eq!(capture.event("leak")["rule"], "stripe-secret-key", "{arguments:?}");
        } else {
            capture.said(|line| {
                line.contains("the right to capture on it again was given up (`--keep raw` keeps it)")
            });
        }
        assert_eq!(capture.end().0, 0, "{arguments:?}");
    }
}

#[test]
fn one_that_was_down_from_the_start_is_captured_on_without_any_right() {
    let Some(net) = Net::new() else { return };
    let _far = net.server(1);
    net.ip(0, "link set va down");
    let capture = net.capture(0, &["-i", "va", "--user", "nobody"]);
    net.ip(0, "link set va up");
    capture.said(|line| line.contains("va is up: capturing on it"));
    net.curl(0, &[leaking("10.9.0.2")]);
    assert_eq!(capture.event("leak")["rule"], "stripe-secret-key");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn who_looks_into_traffic_sees_no_files_and_processes_are_named_all_the_same() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let capture = net.capture(0, &["-i", "lo", "--filter", "tcp port 8080"]);
    net.curl(0, &[leaking("127.0.0.1")]);
    let leak = capture.event("leak");
    assert_eq!(
        leak["process"]["peer"]["name"].as_str().or(leak["process"]["name"].as_str()),
        Some("python3"),
        "{leak}"
    );
    let (code, _, _) = capture.end();
    assert_eq!(code, 0);
    let running = net.leaktap(0, &["capture", "-v", "-i", "lo"]);
    let said = running.said(|line| line.contains("given up: "));
    assert!(said.contains("all files but those it needs (where traffic is looked into)"), "{said}");
    assert_eq!(running.end().0, 0);
}

#[test]
fn what_cannot_be_given_up_is_told() {
    let Some(net) = Net::new() else { return };
    let running = net.leaktap(0, &["capture", "-v", "-i", "lo", "--user", "nosuchuser"]);
    running.said(|line| line.contains("the user could not be given up: there is no user nosuchuser"));
    running.said(|line| line.contains(": capturing on "));
    assert_eq!(running.end().0, 0);
}

#[test]
fn a_database_holds_one_row_a_leak_from_run_to_run() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let sink = "sqlite:out/leaks.db";
    for run in 1..=2 {
        let capture =
            net.capture(0, &["-i", "lo", "--filter", "tcp port 8080", "--sink", sink, "--fsync", "always"]);
        for _ in 0..3 {
            net.curl(0, &[leaking("127.0.0.1")]);
        }
        capture.event("leak");
        let (code, events, said) = capture.end();
        assert_eq!(code, 0, "{said}");
        let database = Connection::open(net.path("out/leaks.db")).unwrap();
        let rows: (i64, i64) = database
            .query_row(
                "SELECT count(*), sum(sightings) FROM leaks WHERE rule = 'stripe-secret-key'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        // Frames of a live capture are counted anew: each run's leak is its own, its three sightings are one row.
        assert_eq!(rows, (run, 3 * run), "{said} {events:?}");
        let text: String =
            database.query_row("SELECT group_concat(event) FROM leaks", [], |row| row.get(0)).unwrap();
        assert!(!text.contains(STRIPE));
    }
}

#[test]
fn memory_beyond_the_limit_is_given_back_and_that_is_told() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let capture = net.capture(0, &["-i", "lo", "--memory", "1", "--filter", "tcp"]);
    // A connection that stays open is a flow to close.
    let mut client = net.command(0, "python3");
    client.args([
        "-c",
        "import socket, time\ns = socket.create_connection(('127.0.0.1', 8080))\nwhile True:\n s.sendall(b'GET /ok HTTP/1.1\\r\\nHost: x\\r\\nX: y')\n time.sleep(0.1)",
    ]);
    let _client = Running::start(client);
    let lost = capture.event("lost");
    assert_eq!(
        (&lost["reason"], &lost["flow"]),
        (&"memory-limit".into(), &serde_json::Value::Null),
        "{lost}"
    );
    capture.said(|line| line.contains("MiB allowed: flows are closed and begin anew"));
    net.curl(0, &[leaking("127.0.0.1")]);
    assert_eq!(capture.event("leak")["rule"], "stripe-secret-key");
    capture.end();
}
