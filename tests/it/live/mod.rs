//! Live capture in network namespaces of its own, as root; elsewhere these tests say why they are skipped.

mod ends;
pub(crate) mod net;
mod operations;
mod pipes;
mod programs;
mod rights;
mod run;
mod sinks;
mod tcx;
#[cfg(feature = "ebpf")]
mod tls;
mod who;

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use leaktap::source::memory::connection::Connection;
use net::Net;
use serde_json::Value;

/// Made up.
const STRIPE: &str = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL";

fn leaking(host: &str) -> String {
    format!("http://{host}:8080/ok?api_key={STRIPE}")
}

/// Every way of the frames that this machine has.
fn ways() -> Vec<&'static str> {
    static TCX: OnceLock<bool> = OnceLock::new();
    let has_tcx = *TCX.get_or_init(|| {
        let doctor =
            Command::new(env!("CARGO_BIN_EXE_leaktap")).args(["doctor", "--format", "json"]).output();
        let checks: Value = serde_json::from_slice(&doctor.unwrap().stdout).unwrap();
        let check = checks.as_array().unwrap().iter().find(|check| check["name"] == "tcx").unwrap();
        if check["ok"] != true {
            eprintln!("skipped: the backend ebpf: {}", check["found"]);
        }
        check["ok"] == true
    });
    if has_tcx { vec!["ring", "pcap", "ebpf"] } else { vec!["ring", "pcap"] }
}

#[test]
fn a_leak_is_told_as_it_passes_on_every_kind_of_interface() {
    let Some(net) = Net::new() else { return };
    let _near = net.server(0);
    let _far = net.server(1);
    for way in ways() {
        for (interface, host, filter) in [
            ("lo", "127.0.0.1", "tcp port 8080"),
            ("127.0.0.1", "127.0.0.1", "tcp port 8080"),
            ("va", "10.9.0.2", "tcp port 8080"),
            ("any", "127.0.0.1", "tcp port 8080"),
            ("any", "10.9.0.2", "tcp port 8080 and host 10.9.0.2"),
        ] {
            let case = format!("{way} {interface} {filter}");
            let capture = net.capture(0, &["-i", interface, "--backend", way, "--filter", filter]);
            net.curl(0, &[leaking(host)]);
            let leak = capture.event("leak");
            assert_eq!(leak["rule"], "stripe-secret-key", "{case}");
            assert_eq!(leak["http"]["status"], 200, "{case}");
            let name = if interface == "127.0.0.1" { "lo" } else { interface };
            assert_eq!(leak["source"], name, "{case}");
            let (code, rest, said) = capture.end();
            assert_eq!(code, 0, "{case}: {said}");
            let summary = rest.last().unwrap();
            assert_eq!(summary["type"], "summary", "{case}");
            assert_eq!((&summary["drops"], &summary["gaps"]), (&0.into(), &0.into()), "{case}");
            assert_eq!(summary["again"], 0, "{case}: frames that come twice are one");
        }
    }
}

/// A leak is told within this time of the answer (the issue's word).
const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_leak_of_a_real_client_and_a_real_server_is_told_within_a_second() {
    let Some(net) = Net::new() else { return };
    let Some(_server) = net.flask(0) else { return };
    for way in ways() {
        for (interface, host, side) in [("lo", "127.0.0.1", 0), ("va", "10.9.0.1", 1), ("any", "10.9.0.1", 1)]
        {
            let case = format!("{way} {interface}");
            let capture = net.capture(0, &["-i", interface, "--backend", way, "--filter", "tcp port 8080"]);
            net.curl(side, &[format!("http://{host}:8080/v1/charges?api_key={STRIPE}")]);
            let answered = Instant::now();
            let leak = capture.event("leak");
            assert!(answered.elapsed() <= SOON, "{case}: {:?}", answered.elapsed());
            assert_eq!(
                (&leak["rule"], &leak["http"]["status"]),
                (&"stripe-secret-key".into(), &200.into()),
                "{case}"
            );
            assert_eq!(capture.end().0, 0, "{case}");
        }
    }
}

#[test]
fn a_vlan_tag_that_the_kernel_took_off_is_put_back() {
    let Some(net) = Net::new() else { return };
    let request = format!("GET /?api_key={STRIPE} HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    for way in ways() {
        for (interface, filter, passes) in
            [("vb", "vlan 7 and tcp", true), ("vb", "", true), ("any", "", true), ("vb", "vlan 8", false)]
        {
            let case = format!("{way} {interface} {filter}");
            let frames = Connection::new(([192, 0, 2, 10], 51_000).into(), ([192, 0, 2, 80], 8080).into())
                .handshake()
                .to_server(request.as_bytes())
                .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .finish()
                .frames();
            let capture = net.capture(1, &["-i", interface, "--backend", way, "--filter", filter]);
            net.send_tagged(&frames);
            if passes {
                let sent = Instant::now();
                assert_eq!(capture.event("leak")["rule"], "stripe-secret-key", "{case}");
                assert!(sent.elapsed() <= SOON, "{case}: {:?}", sent.elapsed());
            }
            let (code, events, said) = capture.end();
            assert_eq!(code, 0, "{case}: {said}");
            assert!(!events.iter().any(|event| event["rule"] == "stripe-secret-key"), "{case}: {events:?}");
        }
    }
}

#[test]
fn several_interfaces_readers_and_workers_tell_one_story() {
    let Some(net) = Net::new() else { return };
    let _near = net.server(0);
    let _far = net.server(1);
    for arguments in [
        &["-i", "lo", "-i", "va", "-i", "lo", "--jobs", "3"][..],
        &["-i", "lo", "-i", "va", "--fanout", "3", "--jobs", "2"],
        &["-i", "lo", "-i", "va", "--backend", "pcap", "--jobs", "1"],
    ] {
        let capture = net.capture(0, &[arguments, &["--filter", "tcp"]].concat());
        net.curl(0, &[leaking("127.0.0.1")]);
        assert_eq!(capture.event("leak")["source"], "lo", "{arguments:?}");
        net.curl(0, &[leaking("10.9.0.2")]);
        assert_eq!(capture.event("leak")["source"], "va", "{arguments:?}");
        let (code, rest, said) = capture.end();
        assert_eq!((code, rest.last().unwrap()["gaps"].as_u64()), (0, Some(0)), "{arguments:?}: {said}");
    }
}

#[test]
fn a_request_without_an_answer_is_told_though_nothing_more_comes() {
    let Some(net) = Net::new() else { return };
    let mut deaf = net.command(0, "python3");
    deaf.args([
        "-c",
        "import socket, sys\ns = socket.create_server(('127.0.0.1', 8080))\nprint('ready', flush=True)\nsys.stdin = open('/dev/zero')\nimport signal; signal.pause()",
    ]);
    let deaf = net::Running::start(deaf);
    deaf.line(|line| line == "ready");
    for way in ways() {
        let capture = net.capture(0, &["-i", "lo", "--backend", way]);
        let mut client = net.command(0, "curl");
        client.args(["-s", "--max-time", "60", "--noproxy", "*", &leaking("127.0.0.1")]);
        let _client = net::Running::start(client);
        let leak = capture.event("leak");
        assert!(leak["http"]["status"].is_null(), "{way}");
        assert_eq!(capture.end().0, 0, "{way}");
    }
}

/// Answers every request by an event stream that stays open: an event that leaks comes with the head, and another upon each signal; with
/// `gzip` in the path it is compressed, each event flushed as servers do.
const STREAM: &str = r#"
import signal, socket, threading, zlib
again = threading.Event()
def event(key):
    return b'data: {"n": 1, "session": {"api_key": "%s"}}\n\n' % key
def answer(client):
    packer = zlib.compressobj(wbits=31) if b'gzip' in client.recv(4096) else None
    def send(data):
        if packer:
            data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        client.sendall(b'%x\r\n%s\r\n' % (len(data), data))
    coding = b'Content-Encoding: gzip\r\n' if packer else b''
    client.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n' + coding + b'\r\n')
    send(event(FIRST))
    again.wait()
    send(event(SECOND))
    threading.Event().wait()
signal.signal(signal.SIGUSR1, lambda *_: again.set())
server = socket.create_server(('127.0.0.1', 8081))
def serve():
    while True:
        threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
print('ready', flush=True)
while True:
    signal.pause()
"#;

/// The server of [`STREAM`], ready.
fn streams(net: &Net, second: &str) -> net::Running {
    let mut server = net.command(0, "python3");
    let keys = STREAM.replace("FIRST", &format!("b'{STRIPE}'")).replace("SECOND", &format!("b'{second}'"));
    server.args(["-c", &keys]);
    let server = net::Running::start(server);
    server.line(|line| line == "ready");
    server
}

#[test]
fn a_stream_that_stays_open_leaks_within_a_second_compressed_or_not() {
    let Some(net) = Net::new() else { return };
    let second = STRIPE.replace("q7Vd", "Zw4k");
    for way in ways() {
        for coding in ["plain", "gzip"] {
            let case = format!("{way} {coding}");
            let server = streams(&net, &second);
            let capture = net.capture(0, &["-i", "lo", "--backend", way, "--filter", "tcp port 8081"]);
            let mut client = net.command(0, "curl");
            client.args([
                "-sN",
                "--max-time",
                "60",
                "--noproxy",
                "*",
                &format!("http://127.0.0.1:8081/{coding}"),
            ]);
            let asked = Instant::now();
            let client = net::Running::start(client);
            for number in ["first", "second"] {
                let leak = capture.event("leak");
                assert_eq!(
                    (&leak["rule"], &leak["name"], &leak["surface"]),
                    (&"stripe-secret-key".into(), &"session.api_key".into(), &"response.body".into()),
                    "{case} {number}"
                );
                server.signal("USR1");
            }
            // Both, each within a second of its being sent, and the start of curl.
            assert!(asked.elapsed() < Duration::from_millis(2500), "{case}: {:?}", asked.elapsed());
            drop((client, server));
            let (code, rest, said) = capture.end();
            let summary = rest.last().unwrap();
            assert_eq!((code, summary["again"].as_u64()), (0, Some(0)), "{case}: {said} {rest:?}");
            assert!(!rest.iter().any(|event| event["type"] == "leak"), "{case}: {rest:?}");
        }
    }
}

#[test]
fn identities_of_one_capture_are_not_those_of_the_next() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let capture = net.capture(0, &["-i", "lo", "--filter", "tcp"]);
        net.curl(0, &[leaking("127.0.0.1")]);
        ids.push(capture.event("leak")["id"].clone());
        capture.end();
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_table_shows_each_leak_as_it_comes() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let capture = net.leaktap(0, &["capture", "-v", "-i", "lo", "--format", "table"]);
    capture.said(|line| line.contains("capturing on lo"));
    net.curl(0, &[leaking("127.0.0.1")]);
    capture.line(|line| line.contains("Stripe secret key"));
    capture.signal("TERM");
    capture.line(|line| line.contains("found  1 high"));
}

#[test]
fn rules_are_read_again_and_wrong_ones_change_nothing() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let rule = |id: &str| {
        format!(
            "[[rules]]\nid = \"{id}\"\ndescription = \"Made up\"\nregex = '''(mk_[a-z0-9]{{12}})'''\nkeywords = [\"mk_\"]\n"
        )
    };
    net.write("rules.toml", rule("first-rule"));
    let capture = net.capture(0, &["-i", "lo", "--rules", "rules.toml", "--no-default-rules", "--every"]);
    let url = ["http://127.0.0.1:8080/ok?q=mk_a1b2c3d4e5f6".to_owned()];
    net.curl(0, &url);
    assert_eq!(capture.event("leak")["rule"], "first-rule");
    net.write("rules.toml", rule("second-rule"));
    capture.signal("HUP");
    capture.said(|line| line.contains("the rules were read again: 1"));
    // The workers take the rules with their next batch.
    net.curl(0, &url);
    assert_eq!(capture.event("leak")["rule"], "second-rule");
    net.write("rules.toml", "[[rules]]\nid = 7\n");
    capture.signal("HUP");
    capture.said(|line| line.contains("stay as they were"));
    net.curl(0, &url);
    assert_eq!(capture.event("leak")["rule"], "second-rule");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn a_baseline_is_read_again_and_written_at_the_end() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let url = [leaking("127.0.0.1")];
    let writing = net.capture(0, &["-i", "lo", "--baseline", "known.toml", "--write-baseline"]);
    net.curl(0, &url);
    writing.event("leak");
    assert_eq!(writing.end().0, 0);
    let known = std::fs::read_to_string(net.path("known.toml")).unwrap();
    assert!(known.contains("rule = \"stripe-secret-key\""), "{known}");

    net.write("known.toml", "");
    let capture = net.capture(0, &["-i", "lo", "--baseline", "known.toml", "--every"]);
    net.curl(0, &url);
    capture.event("leak");
    net.write("known.toml", known);
    capture.signal("HUP");
    capture.said(|line| line.contains("the baseline was read again: 1 entry"));
    net.curl(0, &url);
    net.write("known.toml", "[[known]]\n");
    capture.signal("HUP");
    capture.said(|line| line.contains("what was known stays known"));
    net.curl(0, &url);
    let (code, rest, _) = capture.end();
    assert_eq!(code, 0);
    let summary = rest.iter().find(|event| event["type"] == "summary").unwrap();
    assert_eq!(summary["held_back"]["known"], 2, "{rest:?}");
}
