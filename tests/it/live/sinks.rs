//! Sinks that last while traffic is captured: what they are given, and that a bad one stops nothing.

use std::fs;
use std::process::Command;

use super::net::{Net, Running};
use super::{STRIPE, leaking};

#[test]
fn files_are_appended_to_and_put_aside() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    for _ in 0..2 {
        let capture = net.capture(
            0,
            &["-i", "lo", "--filter", "tcp", "--sink", "ndjson:out/leaks", "--rotate-every", "1h"],
        );
        net.curl(0, &[leaking("127.0.0.1")]);
        capture.event("leak");
        assert_eq!(capture.end().0, 0);
    }
    let text = fs::read_to_string(net.path("out/leaks")).unwrap();
    let kinds: Vec<&str> = text
        .lines()
        .map(|line| if line.contains("\"type\":\"leak\"") { "leak" } else { "summary" })
        .collect();
    assert_eq!(kinds, ["leak", "summary", "leak", "summary"]);
}

#[test]
fn a_system_log_and_a_web_server_get_what_is_found() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let mut hook = net.command(0, "python3");
    hook.args([
        "-c",
        "import http.server as h\n\
         class H(h.BaseHTTPRequestHandler):\n\
         \x20def do_POST(s):\n\
         \x20 print(s.rfile.read(int(s.headers['Content-Length'])).decode(), end='', flush=True)\n\
         \x20 s.send_response(204); s.end_headers()\n\
         s = h.HTTPServer(('127.0.0.1', 8081), H)\n\
         print('ready', flush=True)\n\
         s.serve_forever()",
    ]);
    let hook = Running::start(hook);
    hook.line(|line| line == "ready");
    let mut log = net.command(0, "python3");
    log.args([
        "-c",
        "import socket\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.bind(('127.0.0.1', 514))\n\
         print('ready', flush=True)\n\
         while True: print(s.recv(65536).decode(), flush=True)",
    ]);
    let log = Running::start(log);
    log.line(|line| line == "ready");
    let capture = net.capture(
        0,
        &[
            "-i",
            "lo",
            "--filter",
            "tcp port 8080",
            "--sink",
            "syslog:udp://127.0.0.1",
            "--sink",
            "webhook:http://127.0.0.1:8081/hook",
        ],
    );
    net.curl(0, &[leaking("127.0.0.1")]);
    let leak = capture.event("leak");
    assert_eq!(hook.event("leak"), leak);
    let message = log.line(|line| line.contains(" leaktap "));
    assert!(message.starts_with("<83>1 20") && message.contains(" leak - {\"v\":1,"), "{message}");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn sinks_that_are_full_dead_or_stuck_stop_nothing() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    assert!(Command::new("mkfifo").arg(net.path("stuck")).status().unwrap().success());
    // Open for reading too, so that the sink can be opened; nobody ever reads.
    let _reader = fs::File::options().read(true).write(true).open(net.path("stuck")).unwrap();
    let capture = net.capture(
        0,
        &[
            "-i",
            "lo",
            "--filter",
            "tcp port 8080",
            "--every",
            "--sink",
            "ndjson:/dev/full",
            "--sink",
            "syslog:tcp://127.0.0.1:9",
            "--sink",
            "webhook:http://127.0.0.1:9/made-up-token",
            "--sink",
            "ndjson:stuck",
        ],
    );
    for _ in 0..300 {
        net.curl(0, &[leaking("127.0.0.1")]);
        capture.event("leak");
    }
    let (code, events, said) = capture.end();
    assert_eq!(code, 2, "what did not reach a sink is told");
    assert_eq!(events.last().unwrap()["type"], "summary");
    for words in [
        "the sink ndjson:/dev/full fails: No space left on device",
        "the sink syslog:tcp://127.0.0.1:9 fails: ",
        "http://127.0.0.1:9/… takes no events: ",
        "they are kept and sent later",
        "cannot write to the sink ndjson:stuck: it took no event",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("made-up-token"), "{said}");
    let kept: Vec<_> = fs::read_dir(net.path("state/leaktap/spool")).unwrap().collect();
    assert_eq!(kept.len(), 1);
}

#[test]
fn leaking_flows_are_written_while_they_are_captured() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let capture = net.capture(
        0,
        &[
            "-i",
            "lo",
            "--pcap-out",
            "leaks.pcapng",
            "--sink",
            "html:page.html",
            "--sink",
            "csv:leaks.csv",
            "--rotate-size",
            "1",
        ],
    );
    net.curl(0, &["http://127.0.0.1:8080/ok?nothing".to_owned()]);
    net.curl(0, &[leaking("127.0.0.1")]);
    capture.event("leak");
    assert_eq!(capture.end().0, 0);
    let frames = crate::support::frames_of(&net.path("leaks.pcapng"));
    assert!(frames.len() >= 6, "a whole connection: {}", frames.len());
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(holds(b"sk_live_") && !holds(b"?nothing"));
    let file = std::fs::read(net.path("leaks.pcapng")).unwrap();
    assert!(String::from_utf8_lossy(&file).contains("leaktap: "), "a comment");
    // A document is written whole at the end, a table of rows with its head once.
    assert!(std::fs::read_to_string(net.path("page.html")).unwrap().ends_with("</html>\n"));
    let rows = std::fs::read_to_string(net.path("leaks.csv")).unwrap();
    assert!(rows.starts_with("time,severity,") && rows.lines().count() == 2, "{rows}");
}

#[test]
fn fragments_of_a_leaking_flow_are_written_while_they_are_captured() {
    let Some(net) = Net::new() else { return };
    let capture = net
        .capture(1, &["-i", "vb", "--pcap-out", "leaks.pcapng", "--filter", "udp or ip[6:2] & 0x3fff != 0"]);
    // Two datagrams of three fragments each on a link of 1500 bytes; one of them leaks.
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('10.9.0.1', 5140))\n\
         for text in ('nothing here', 'token {STRIPE} was used'):\n\
         \x20s.sendto(('<14>1 - host app - - - ' + text + ' ' + 'filling ' * 480).encode(), ('10.9.0.2', 5140 + len(text)))"
    );
    assert!(net.command(0, "python3").args(["-c", &script]).status().unwrap().success());
    let leak = capture.event("leak");
    assert_eq!(leak["frames"], serde_json::json!([6, 6]), "the last fragment: {leak}");
    assert_eq!(capture.end().0, 0);
    let frames = crate::support::frames_of(&net.path("leaks.pcapng"));
    assert_eq!(frames.len(), 3, "the datagram that leaks, whole");
    let Some(rows) =
        crate::command::tshark(&net.path("leaks.pcapng"), "frame.comment", &["frame.number", "udp.length"])
    else {
        return;
    };
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0][0], "3");
    assert!(rows[0][1].parse::<u32>().unwrap() > 3800, "put together: {rows:?}");
}
