//! How captures end, and what ends none: signals, limits, interfaces that go, bursts.

use super::net::Net;
use super::{STRIPE, leaking, ways};

/// Made-up keys, each its own.
fn keys(count: u64) -> Vec<String> {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut state = 7_u64;
    (0..count)
        .map(|_| {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                letters[(state >> 33) as usize % letters.len()]
            };
            format!("sk_live_{}", (0..24).map(|_| next()).collect::<String>())
        })
        .collect()
}

#[test]
fn a_signal_in_the_middle_loses_nothing_that_was_seen() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let urls: Vec<String> =
        keys(60).iter().map(|key| format!("http://127.0.0.1:8080/ok?api_key={key}")).collect();
    for way in ways() {
        for signal in ["TERM", "INT"] {
            let capture = net.capture(0, &["-i", "lo", "--backend", way, "--filter", "tcp"]);
            net.curl(0, &urls);
            capture.signal(signal);
            let (code, events, said) = capture.ended();
            assert_eq!(code, 0, "{way}: {said}");
            let leaks = events.iter().filter(|event| event["rule"] == "stripe-secret-key").count();
            assert_eq!(leaks, 60, "{way} {signal}");
            assert_eq!(events.last().unwrap()["type"], "summary");
        }
    }
}

#[test]
fn a_capture_ends_by_itself_and_its_exit_code_says_what_was_found() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    for way in ways() {
        let capture = net.capture(0, &["-i", "lo", "--backend", way, "--count", "5", "--filter", "tcp"]);
        net.curl(0, &[leaking("127.0.0.1")]);
        let (code, events, _) = capture.ended();
        assert_eq!((code, events.last().unwrap()["frames"].as_u64()), (0, Some(5)), "{way}");

        let capture =
            net.capture(0, &["-i", "lo", "--backend", way, "--duration", "2s", "--fail-on", "high"]);
        net.curl(0, &[leaking("127.0.0.1")]);
        assert_eq!(capture.ended().0, 1, "{way}");
    }
}

#[test]
fn an_interface_goes_down_and_vanishes_and_comes_back() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(1);
    for way in ways() {
        // libpcap opens it again; the others need no right for that.
        let keep: &[&str] = if way == "pcap" { &["--keep", "raw"] } else { &[] };
        let flags = ["-i", "va", "--backend", way, "--filter", "tcp", "--every"];
        let capture = net.capture(0, &[&flags, keep].concat());
        net.curl(0, &[leaking("10.9.0.2")]);
        capture.event("leak");
        net.ip(0, "link set va down");
        if way == "ring" {
            capture.said(|line| line.contains("va is down"));
        }
        net.ip(0, "link set va up");
        if way == "ring" {
            capture.said(|line| line.contains("va is up: capturing on it"));
        }
        net.curl(0, &[leaking("10.9.0.2")]);
        capture.event("leak");
        net.ip(0, "link del va");
        capture.said(|line| line.contains("va is gone"));
        net.join();
        capture.said(|line| line.contains("va is up: capturing on it"));
        net.curl(0, &[leaking("10.9.0.2")]);
        capture.event("leak");
        let (code, _, said) = capture.end();
        assert_eq!(code, 0, "{way}: {said}");
    }
}

#[test]
fn an_interface_that_is_down_is_waited_for() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(1);
    net.ip(0, "link set va down");
    let capture = net.leaktap(0, &["capture", "--format", "ndjson", "-i", "va"]);
    capture.said(|line| line.contains("va is down: it is captured on once it is up"));
    net.ip(0, "link set va up");
    capture.said(|line| line.contains("va is up: capturing on it"));
    net.curl(0, &[leaking("10.9.0.2")]);
    capture.event("leak");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn a_burst_that_overruns_the_buffer_is_counted_to_the_frame() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(1);
    net.write("big", vec![b'x'; 48 << 20]);
    for way in ways() {
        let frames = || -> u64 {
            let count = |which: &str| -> u64 {
                let path = format!("/sys/class/net/va/statistics/{which}_packets");
                let text = net.command(0, "cat").arg(path).output().unwrap().stdout;
                String::from_utf8(text).unwrap().trim().parse().unwrap()
            };
            count("rx") + count("tx")
        };
        let before = frames();
        let capture = net.capture(0, &["-i", "va", "--backend", way, "--buffer", "2"]);
        capture.signal("STOP");
        net.curl(0, &["http://10.9.0.2:8080/big".to_owned()]);
        capture.signal("CONT");
        let lost = capture.event("lost");
        assert_eq!(lost["reason"], "kernel-drop", "{way}");
        // It recovers.
        net.curl(0, &[leaking("10.9.0.2")]);
        capture.line(|line| line.contains(&STRIPE[..4]) && line.contains("\"leak\""));
        let (_, events, _) = capture.end();
        let summary = events.last().unwrap();
        let (seen, dropped) = (summary["frames"].as_u64().unwrap(), summary["drops"].as_u64().unwrap());
        assert!(dropped > 0, "{way}");
        let kept = |why: &str| summary["not_inspected"][why].as_u64().unwrap_or_default();
        let unwanted = kept("kernel-no-payload") + kept("kernel-left-flow");
        assert_eq!(unwanted > 0, way == "ebpf", "{way}");
        assert_eq!(seen + dropped + unwanted, frames() - before, "{way}");
    }
}
