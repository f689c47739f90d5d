//! What can be read, what cannot, and the exit codes that say so.

use std::io::Write as _;

use leaktap::source::memory::write::{capture, pcapng};

use super::*;

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[test]
fn the_exit_code_says_how_it_went() {
    let room = Room::new();
    room.write("leak.pcap", leaking_file());
    room.write("clean.pcap", capture(&clean()));
    room.write("note.txt", "no capture");
    room.write("empty.pcap", "");
    room.write("folder/note.txt", "no capture");
    for (line, code) in [
        ("scan clean.pcap", 0),
        ("scan leak.pcap", 0),
        ("scan clean.pcap --fail-on info", 0),
        ("scan leak.pcap --fail-on low", 1),
        ("scan leak.pcap --fail-on critical", 1),
        ("scan clean.pcap leak.pcap --fail-on high", 1),
        ("scan folder", 0),
        ("scan note.txt", 2),
        ("scan empty.pcap", 2),
        ("scan none.pcap", 2),
        ("scan none/", 2),
        // 2 beats 1, whatever the order.
        ("scan leak.pcap none.pcap --fail-on high", 2),
        ("scan note.txt leak.pcap --fail-on high", 2),
        ("scan", 2),
        ("scan leak.pcap --what", 2),
        ("scan leak.pcap --severity grave", 2),
        ("scan leak.pcap --format xml", 2),
        ("scan leak.pcap --sink leaks", 2),
        ("scan leak.pcap --sink ndjson:", 2),
        ("scan leak.pcap --sink ndjson:none/leaks", 2),
        ("scan leak.pcap --sink ndjson:a --sink table:a", 2),
        ("scan leak.pcap --jobs 0", 2),
        ("scan leak.pcap --jobs 65", 2),
        ("scan leak.pcap --rules none.toml", 2),
        ("scan leak.pcap --no-default-rules", 2),
        ("scan leak.pcap --config none.toml", 2),
        ("scan leak.pcap -q -v", 2),
        ("scan - - ", 2),
        ("capture", 2),
        ("capture -i nosuch0", 2),
        ("", 2),
        ("--help", 0),
        ("scan --help", 0),
        ("--version", 0),
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let run = room.run(&arguments);
        assert_eq!(run.code, code, "{line}\n{}{}", run.out, run.err);
        assert_eq!(run.err.is_empty(), code != 2 && line != "scan folder", "{line}: {}", run.err);
    }
}

#[test]
fn what_could_be_read_is_told_beside_what_could_not() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("b.txt", "no capture");
    room.write("c.pcap", capture(&exchange(51_001, OTHER).frames()));
    let run = room.run(&["scan", "none.pcap", "a.pcap", "b.txt", "c.pcap", "--fail-on", "low"]).ended(2);
    let sources: Vec<_> = run.leaks().iter().map(|leak| leak["source"].clone()).collect();
    assert_eq!(sources, ["a.pcap", "c.pcap"]);
    assert!(run.err.contains("cannot read none.pcap: No such file"), "{}", run.err);
    assert!(run.err.contains("b.txt is no capture file: it begins with 6e 6f 20"), "{}", run.err);
    assert_eq!(run.err.lines().count(), 2, "{}", run.err);
    assert_eq!(run.summary()["leaks"]["critical"], 2);
    let nothing = room.run(&["scan", "none.pcap", "--format", "table"]).ended(2).out;
    assert!(nothing.contains("found  nothing: no capture was read\n"), "{nothing}");
}

#[test]
fn in_folders_other_files_are_skipped_and_counted() {
    let room = Room::new();
    room.write("traces/a/one.pcap", leaking_file());
    room.write("traces/b/two", capture(&exchange(51_001, OTHER).frames()));
    room.write("traces/readme.md", "no capture");
    room.write("traces/z/empty", "");
    let run = room.run(&["scan", "traces"]).ended(0);
    let sources: Vec<_> = run.leaks().iter().map(|leak| leak["source"].clone()).collect();
    assert_eq!(sources, ["traces/a/one.pcap", "traces/b/two"]);
    assert_eq!(run.summary()["sources"], 2);
    assert_eq!(run.err, "leaktap: warning: skipped 2 files that are no captures (-v names them)\n");
    let run = room.run(&["scan", "traces", "-v"]).ended(0);
    for name in ["traces/readme.md", "traces/z/empty"] {
        assert!(run.err.contains(&format!("leaktap: skipped {name}: it is no capture\n")), "{}", run.err);
    }
    assert_eq!(room.run(&["scan", "traces", "-q"]).ended(0).err, "");
    let run = room.run(&["scan", "traces", "traces/readme.md"]).ended(2);
    assert!(run.err.contains("traces/readme.md is no capture file"), "{}", run.err);
}

#[test]
fn every_wrapping_tells_the_same() {
    let room = Room::new();
    let frames = two_leaks();
    let told = |run: Run| -> Vec<Value> {
        let mut leaks = run.ended(0).leaks();
        for leak in &mut leaks {
            leak["source"] = Value::Null;
            leak["id"] = Value::Null;
            leak["related"] = Value::Null;
        }
        leaks
    };
    let plain = capture(&frames);
    room.write("plain", &plain);
    let expected = told(room.run(&["scan", "plain"]));
    assert_eq!(expected.len(), 2);
    for (name, bytes) in [
        ("a.pcapng", pcapng(&frames)),
        ("a.gz", gz(&plain)),
        ("named-wrongly.txt", zst(&plain)),
        ("two-members.gz", [gz(&plain[..500]), gz(&plain[500..])].concat()),
        ("a.pcapng.zst", zst(&pcapng(&frames))),
    ] {
        room.write(name, &bytes);
        assert_eq!(told(room.run(&["scan", name])), expected, "{name}");
        let run = Run::of(room.command(&["scan", "-"]).write_stdin(bytes));
        assert!(run.leaks().iter().all(|leak| leak["source"] == "-"), "{name}");
        assert_eq!(told(run), expected, "{name} through a pipe");
    }
}

#[test]
fn of_a_damaged_capture_everything_before_the_fault_is_told() {
    let room = Room::new();
    let frames = two_leaks();
    let half = leaking().len();
    let whole = capture(&frames);
    let start = capture(&frames[..half]).len();
    // In the head and in the bytes of the first record of the second leak, and where a length is absurd.
    let mut absurd = whole.clone();
    absurd[start + 8..start + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let ng = pcapng(&frames);
    let ng_start = pcapng(&frames[..half]).len();
    let mut ng_absurd = ng.clone();
    ng_absurd[ng_start + 4..ng_start + 8].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    for (name, bytes, offset) in [
        ("head.pcap", whole[..start + 7].to_vec(), start),
        ("bytes.pcap", whole[..start + 30].to_vec(), start),
        ("absurd.pcap", absurd, start),
        ("head.pcapng", ng[..ng_start + 7].to_vec(), ng_start),
        ("bytes.pcapng", ng[..ng_start + 40].to_vec(), ng_start),
        ("absurd.pcapng", ng_absurd, ng_start),
        ("cut-inside.pcap.gz", gz(&whole[..start + 30]), start),
    ] {
        room.write(name, &bytes);
        for jobs in ["1", "2"] {
            let run = room.run(&["scan", name, "--jobs", jobs, "--fail-on", "low"]).ended(2);
            assert_eq!(run.leaks().len(), 1, "{name}");
            assert_eq!(run.summary()["frames"], half, "{name}");
            let expected = format!("leaktap: error: {name} is damaged at byte {offset}: ");
            assert!(run.err.starts_with(&expected), "{name}: {} instead of {expected}", run.err);
            assert!(run.err.ends_with("; everything before it was read\n"), "{}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        }
    }
    // A compressed stream that breaks off.
    let packed = gz(&whole);
    room.write("broken.pcap.gz", &packed[..packed.len() - 20]);
    let run = room.run(&["scan", "broken.pcap.gz"]).ended(2);
    assert!(run.err.contains("broken.pcap.gz is damaged at byte "), "{}", run.err);
}

#[test]
fn a_capture_cut_at_any_byte_is_read_to_there() {
    let room = Room::new();
    let whole = leaking_file();
    // A process each: every 41st byte meets every part of a record in turn.
    for end in (1..whole.len()).step_by(41) {
        let run = Run::of(room.command(&["scan", "-"]).write_stdin(&whole[..end]));
        assert!(matches!(run.code, 0 | 2), "{end}: {}", run.err);
        assert_eq!(run.events().last().unwrap()["type"], "summary", "{end}");
        assert!(!run.err.contains("internal error"), "{end}: {}", run.err);
    }
}
