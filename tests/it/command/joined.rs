//! `scan --join`: rotated files and several taps as one capture, by time.

use std::process::Command;

use leaktap::model::Timestamp;
use leaktap::source::memory::write::capture;

use super::*;

/// Of each leak: rule, file, frames, and the file of the last frame where it is another one.
fn places(run: &Run) -> Vec<(String, String, [u64; 2], Option<String>)> {
    run.leaks()
        .iter()
        .filter(|leak| leak["secret"].is_object())
        .map(|leak| {
            let text = |name: &str| leak[name].as_str().map(str::to_owned);
            let frames = [&leak["frames"][0], &leak["frames"][1]].map(|frame| frame.as_u64().unwrap());
            (text("rule").unwrap(), text("source").unwrap(), frames, text("last_source"))
        })
        .collect()
}

fn name(path: &str) -> String {
    Path::new(path).file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_flow_goes_on_from_file_to_file_and_frames_keep_the_numbers_of_their_files() {
    let room = Room::new();
    let folder = captures().join("rotated");
    let files =
        [0, 1, 2].map(|number| folder.join(format!("input.pcap{number}")).to_str().unwrap().to_owned());
    let [first, second, third] = &files;
    let alone = room.run(&["scan", first, second, third, "--format", "ndjson"]).ended(0);
    assert!(!alone.out.contains("stripe-secret-key"), "the key lies across two files");
    let joined = room.run(&["scan", "--join", first, second, third, "--format", "ndjson"]).ended(0);
    let found = places(&joined);
    assert_eq!(found.len(), 2, "{found:?}");
    let (rule, source, _, last) = &found[0];
    assert_eq!((rule.as_str(), name(source), last), ("generic-api-key", "input.pcap0".into(), &None));
    let (rule, source, _, last) = &found[1];
    assert_eq!((rule.as_str(), name(source)), ("stripe-secret-key", "input.pcap1".into()));
    assert_eq!(last.as_deref().map(name).as_deref(), Some("input.pcap2"));
    assert_eq!(joined.summary()["sources"], 3);
    // The frames are those that carry the value in their own files, as tshark counts them.
    for (rule, source, frames, last) in &found {
        let part = if rule == "stripe-secret-key" { "sk_live_" } else { "api_key=" };
        let carries = |file: &str, frame: u64, text: &str| {
            let kept = crate::support::frames_of(Path::new(file));
            let bytes = &kept[usize::try_from(frame).unwrap() - 1].bytes;
            memchr_find(bytes, text.as_bytes())
        };
        assert!(carries(source, frames[0], part), "{rule}");
        assert!(carries(
            last.as_ref().unwrap_or(source),
            frames[1],
            if last.is_some() { "\"}}" } else { part }
        ));
    }
    // Whatever the order they are given in, the number of workers, or a folder in their place.
    let folder = folder.to_str().unwrap();
    for arguments in [
        &["scan", "--join", third, second, first][..],
        &["scan", "--join", first, second, third, "--jobs", "1"],
        &["scan", "--join", first, second, third, "--jobs", "3"],
        &["scan", folder, "--join"],
    ] {
        let run = room.run(&[arguments, &["--format", "ndjson"]].concat()).ended(0);
        assert_eq!(run.leaks(), joined.leaks(), "{arguments:?}");
    }
}

fn memchr_find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn files_of_the_same_time_are_merged_by_their_timestamps() {
    let room = Room::new();
    let folder = captures().join("two-taps");
    let files = [0, 1].map(|number| folder.join(format!("input.pcap{number}")).to_str().unwrap().to_owned());
    let joined = room.run(&["scan", "--join", &files[0], &files[1], "--format", "ndjson"]).ended(0);
    assert_eq!(places(&joined).len(), 2);
    // The answer is in the other file. (That to the body, which took longer than a second to come, is not waited for.)
    assert_eq!(joined.leaks()[0]["http"]["status"], 200);
    assert!(of_type(&joined.events(), "lost").is_empty());
    // By themselves the requests have no answers.
    let alone = room.run(&["scan", &files[0], &files[1], "--format", "ndjson"]).ended(0);
    assert!(alone.leaks().iter().all(|leak| leak["http"]["status"].is_null()));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_joined() {
    let room = Room::new();
    let frames = leaking();
    let (one, other) = frames.split_at(frames.len() / 2);
    room.write("in/a.pcap", capture(one));
    room.write("in/b.pcap", capture(other));
    room.write("in/note.txt", "no capture");
    let mut damaged = capture(&clean());
    damaged.truncate(damaged.len() - 7);
    let whole = room.run(&["scan", "--join", "in", "--format", "ndjson"]).ended(0);
    assert_eq!((!whole.leaks().is_empty(), &whole.summary()["sources"]), (true, &2.into()));
    room.write("in/c.pcap", damaged);
    for jobs in ["1", "3"] {
        let run =
            room.run(&["scan", "--join", "in", "none.pcap", "--format", "ndjson", "--jobs", jobs]).ended(2);
        assert_eq!(run.leaks(), whole.leaks());
        assert!(run.err.contains("in/c.pcap is damaged at byte"), "{}", run.err);
        assert!(run.err.contains("cannot read none.pcap"), "{}", run.err);
    }
    assert!(room.run(&["scan", "--join", "in/note.txt"]).ended(2).leaks().is_empty());
}

#[test]
fn of_a_thousand_files_few_are_open_at_once() {
    let room = Room::new();
    let connection = exchange(51_000, STRIPE).finish().frames();
    for number in 0..1000_i64 {
        let mut frame = connection[usize::try_from(number).unwrap() % connection.len()].clone();
        if number >= connection.len() as i64 {
            frame.bytes[13] = 6;
        }
        frame.time = Timestamp::from_nanos(1_767_225_600_000_000_000 + number * 1_000_000);
        room.write(&format!("in/{number:04}.pcap"), capture(&[frame]));
    }
    let script = "ulimit -n 24; exec \"$0\" scan --join in --format ndjson";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_leaktap")]).current_dir(room.path("")).env_clear();
    let output = command.envs(room.environment()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let events = events(&text);
    let leaks = of_type(&events, "leak");
    assert_eq!(leaks[0]["source"], "in/0003.pcap");
    assert_eq!(leaks[0]["frames"], serde_json::json!([1, 1]));
    assert_eq!(events.last().unwrap()["frames"], 1000);
}
