//! `tcpdump -w - | leaktap scan -`: the tools that captures come from, through a pipe.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use super::net::{Net, Running};
use super::{STRIPE, leaking, streams};

#[test]
fn what_a_capture_tool_pipes_is_told_within_a_second() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    for (tool, command) in [
        ("tcpdump", "tcpdump -q -i lo -U --immediate-mode -w - tcp port 8080"),
        ("dumpcap", "dumpcap -q -i lo -f 'tcp port 8080' -w -"),
    ] {
        if !Command::new("which").arg(tool).output().is_ok_and(|which| which.status.success()) {
            eprintln!("skipped: {tool} is not installed");
            continue;
        }
        let mut pipe = net.command(0, "sh");
        let scan =
            format!("{command} | '{}' scan - --format ndjson --severity high", env!("CARGO_BIN_EXE_leaktap"));
        pipe.args(["-c", &scan]).env("XDG_STATE_HOME", net.path("state")).process_group(0);
        let pipe = Running::start(pipe);
        pipe.said(|line| line.contains("listening on") || line.contains("File: "));
        // The tool says that it listens some time before it does.
        let (leak, after) = loop {
            net.curl(0, &[leaking("127.0.0.1")]);
            // By now the answer has come.
            let answered = Instant::now();
            if let Some(leak) = pipe.event_within("leak", Duration::from_secs(3)) {
                break (leak, answered.elapsed());
            }
        };
        pipe.signal_group("TERM");
        assert!(after < Duration::from_secs(1), "{tool}: {after:?}");
        assert_eq!((&leak["rule"], &leak["source"]), (&"stripe-secret-key".into(), &"-".into()), "{tool}");
    }
}

#[test]
fn a_compressed_stream_that_stays_open_is_told_from_a_pipe_too() {
    let Some(net) = Net::new() else { return };
    if !Command::new("which").arg("tcpdump").output().is_ok_and(|which| which.status.success()) {
        eprintln!("skipped: tcpdump is not installed");
        return;
    }
    let server = streams(&net, &STRIPE.replace("q7Vd", "Zw4k"));
    let mut pipe = net.command(0, "sh");
    let scan = format!(
        "tcpdump -q -i lo -U --immediate-mode -w - tcp port 8081 | '{}' scan - --format ndjson --severity high",
        env!("CARGO_BIN_EXE_leaktap")
    );
    pipe.args(["-c", &scan]).env("XDG_STATE_HOME", net.path("state")).process_group(0);
    let pipe = Running::start(pipe);
    pipe.said(|line| line.contains("listening on"));
    // The tool says that it listens some time before it does.
    let (_client, leak) = loop {
        let mut client = net.command(0, "curl");
        client.args(["-sN", "--max-time", "60", "--noproxy", "*", "http://127.0.0.1:8081/gzip"]);
        let client = Running::start(client);
        if let Some(leak) = pipe.event_within("leak", Duration::from_secs(3)) {
            break (client, leak);
        }
    };
    assert_eq!(leak["name"], "session.api_key");
    let asked = Instant::now();
    server.signal("USR1");
    pipe.event("leak");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    pipe.signal_group("TERM");
}
