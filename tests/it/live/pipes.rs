//! `tcpdump -w - | leaktap scan -`: the tools that captures come from, through a pipe.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use super::leaking;
use super::net::{Net, Running};

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
