//! How runs end: readers that go, signals, sinks that fail.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use leaktap::source::memory::write::capture;

use super::*;

/// The child's exit code; what hangs is ended and told.
fn code(child: &mut Child) -> i32 {
    child.wait().unwrap().code().expect("ended by a signal")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_reader_that_goes_is_a_clean_end() {
    let room = Room::new();
    let captures = captures_text();
    for (arguments, expected) in [
        (&["scan", &captures, "-q"][..], 0),
        (&["scan", &captures, "-q", "--jobs", "1"], 0),
        (&["scan", &captures, "-q", "--fail-on", "low"], 1),
        (&["scan", &captures, "-q", "--format", "table", "--fail-on", "low"], 1),
        (&["rules", "list"], 0),
        (&["rules", "list", "--format", "table"], 0),
        (&["--help"], 0),
    ] {
        let mut child =
            room.process(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((code(&mut child), said.as_str()), (expected, ""), "{arguments:?}");
    }
}

#[test]
fn a_signal_ends_a_scan_of_an_open_pipe_with_what_was_found() {
    let whole = leaking_file();
    let half_a_record = [&whole[..], &capture(&clean())[24..60]].concat();
    for (name, bytes, arguments, expected) in [
        ("INT", &whole, &["scan", "-"][..], 0),
        ("TERM", &whole, &["scan", "-", "--fail-on", "high"], 1),
        ("INT", &half_a_record, &["scan", "-", "--fail-on", "high", "--jobs", "4"], 1),
    ] {
        let room = Room::new();
        let mut command = room.process(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // The pipe is open still: the leak is told as it comes.
        out.read_line(&mut text).unwrap();
        assert!(text.contains("\"stripe-secret-key\""), "{text}");
        signal(&child, name);
        out.read_to_string(&mut text).unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(code(&mut child), expected, "{name}: {said}");
        assert_eq!(said, "leaktap: warning: interrupted: what was found until then has been told\n");
        let kinds: Vec<_> = events(&text).iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds, ["leak", "summary"], "{name}");
        drop(input);
    }
}

#[test]
fn a_table_of_an_open_pipe_is_shown_at_the_signal() {
    let room = Room::new();
    let mut command = room.process(&["scan", "-", "--format", "table", "--sink", "ndjson:leaks.ndjson"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&leaking_file()).unwrap();
    // The sink beside it says when the leak was seen.
    while room.path("leaks.ndjson").metadata().map_or(0, |file| file.len()) == 0 {
        std::thread::yield_now();
    }
    signal(&child, "INT");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(code(&mut child), 0);
    assert!(text.contains("Stripe secret key") && text.contains("found  1 critical"), "{text}");
    drop(input);
}

#[test]
fn a_named_pipe_is_read_like_standard_input() {
    let room = Room::new();
    let pipe = room.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = room.process(&["scan", "pipe"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = File::options().write(true).open(&pipe).unwrap();
    input.write_all(&leaking_file()).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"source\":\"pipe\""), "{line}");
    drop(input);
    assert_eq!(code(&mut child), 0);
}

#[test]
fn a_full_disk_is_told_once_and_the_other_sinks_go_on() {
    let room = Room::new();
    let captures = captures_text();
    let expected = room.run(&["scan", &captures, "-q"]).ended(0).out;
    let run = room
        .run(&[
            "scan",
            &captures,
            "-q",
            "--sink",
            "ndjson:/dev/full",
            "--sink",
            "ndjson:good.ndjson",
            "--fail-on",
            "low",
        ])
        .ended(2);
    assert_eq!(run.out, expected);
    assert_eq!(room.read("good.ndjson"), expected);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(
        run.err.starts_with(
            "leaktap: error: cannot write to the sink ndjson:/dev/full: No space left on device"
        ),
        "{}",
        run.err
    );
    // Standard output is a sink like others.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = room.process(&["scan", &captures, "-q", "--sink", "ndjson:good.ndjson"]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(room.read("good.ndjson"), expected);
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    // So it is for the other commands.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = room.process(&["rules", "list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
