//! `leaktap report`: stored events become any format, told once, filtered, summed up.

use super::*;

fn stored(room: &Room) {
    room.write("one.pcap", leaking_file());
    room.write("two.pcap", capture(&two_leaks()));
    for name in ["one", "two"] {
        let sink = format!("ndjson:{name}.ndjson");
        room.run(&["scan", &format!("{name}.pcap"), "--sink", &sink, "--format", "table"]).ended(0);
    }
}

#[test]
fn stored_events_become_what_a_scan_would_have_written() {
    let room = Room::new();
    stored(&room);
    for format in
        ["table", "ndjson", "json", "csv", "sarif", "junit", "html", "markdown", "ecs", "eve", "cef"]
    {
        let scan = room.run(&["scan", "two.pcap", "--format", format]).ended(0);
        let report = room.run(&["report", "two.ndjson", "--format", format]).ended(0);
        assert_eq!(report.out, scan.out, "{format}");
        assert_eq!(report.err, "");
    }
    assert!(
        room.run(&["report", "two.ndjson"]).ended(0).out.starts_with("<!DOCTYPE html>"),
        "html where it is piped"
    );
}

#[test]
fn several_runs_are_summed_and_the_same_events_told_once() {
    let room = Room::new();
    stored(&room);
    let run = room.run(&["report", "one.ndjson", "two.ndjson", "two.ndjson", "--format", "ndjson"]).ended(0);
    assert_eq!(run.leaks().len(), 3, "{}", run.out);
    let summary = run.summary();
    let frames = |name: &str| {
        let run = room.run(&["scan", name]).ended(0);
        run.summary()["frames"].as_u64().unwrap()
    };
    assert_eq!(summary["frames"], frames("one.pcap") + 2 * frames("two.pcap"));
    assert_eq!(
        summary["leaks"].as_object().unwrap().values().map(|amount| amount.as_u64().unwrap()).sum::<u64>(),
        3
    );
    // Compressed, from standard input.
    let zipped = zstd::encode_all(room.read("one.ndjson").as_bytes(), 1).unwrap();
    let mut command = room.command(&["report", "-", "--format", "ndjson"]);
    assert_eq!(Run::of(command.write_stdin(zipped)).ended(0).leaks().len(), 1);
}

#[test]
fn what_is_reported_can_be_narrowed() {
    let room = Room::new();
    stored(&room);
    let report =
        |flags: &[&str]| room.run(&[&["report", "two.ndjson", "--format", "ndjson"], flags].concat());
    assert_eq!(report(&["--fail-on", "high"]).ended(1).leaks().len(), 2);
    let none = report(&["--fail-on", "high", "--severity", "critical", "--confidence", "high"]);
    let all = report(&[]).ended(0);
    let critical = all.leaks().iter().filter(|leak| leak["severity"] == "critical").count();
    assert_eq!(none.leaks().len(), critical);
    room.run(&["scan", "one.pcap", "--baseline", "known.toml", "--write-baseline"]).ended(0);
    let run = report(&["--baseline", "known.toml"]).ended(0);
    assert_eq!(run.leaks().len(), 1);
    assert_eq!(run.summary()["held_back"]["known"], 1);
    // What was stored because it was asked for is reported, whatever the default of a scan is.
    room.run(&["scan", "one.pcap", "--severity", "info", "--sink", "ndjson:all.ndjson"]).ended(0);
    let stored = of_type(&events(&room.read("all.ndjson")), "leak").len();
    assert!(stored > 1);
    assert_eq!(room.run(&["report", "all.ndjson", "--format", "ndjson"]).ended(0).leaks().len(), stored);
    assert_eq!(
        room.run(&["report", "all.ndjson", "--format", "ndjson", "--severity", "low"]).ended(0).leaks().len(),
        1
    );
}

#[test]
fn what_is_no_event_is_said_with_its_line_and_the_rest_is_reported() {
    let room = Room::new();
    stored(&room);
    let good = room.read("one.ndjson");
    room.write(
        "mixed.ndjson",
        format!("{{\"v\":1,\"type\":\"dream\"}}\n\nsk_live_made_up\n{good}{{\"v\":1,\"type\":\"leak\"}}\n"),
    );
    let run = room.run(&["report", "mixed.ndjson", "none.ndjson", "--format", "ndjson"]).ended(2);
    assert_eq!(run.leaks().len(), 1);
    assert!(run.err.contains("mixed.ndjson:3: it is no JSON (column 1)"), "{}", run.err);
    assert!(run.err.contains(": it is no event of leaktap"), "{}", run.err);
    assert!(run.err.contains("cannot read none.ndjson: No such file"), "{}", run.err);
    assert!(
        run.err.contains("1 event is of a kind or version that this leaktap does not know"),
        "{}",
        run.err
    );
    assert!(!run.err.contains("made_up"), "{}", run.err);
    // A capture is no list of events: it is not told line by line.
    let wrong = room.run(&["report", "two.pcap", "--format", "ndjson"]).ended(2);
    assert!(wrong.err.lines().count() <= 7, "{}", wrong.err);
    // A run that was cut off has no summary; a report is made all the same.
    let leak = good.lines().next().unwrap();
    room.write("cut.ndjson", format!("{leak}\n"));
    let run = room.run(&["report", "cut.ndjson", "--format", "markdown"]).ended(0);
    assert!(
        run.out.contains("Stripe") && run.err.contains("no run in these events came to its end"),
        "{}",
        run.err
    );
    let same = room.run(&["report", "one.ndjson", "--sink", "html:one.ndjson"]).ended(2);
    assert!(same.err.contains("would overwrite the events one.ndjson"), "{}", same.err);
    assert_eq!(room.read("one.ndjson"), good);
}
