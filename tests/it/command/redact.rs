//! `leaktap redact` as a command: what it says, what it refuses.

use super::*;

#[test]
fn a_copy_is_made_that_leaks_nothing() {
    let room = Room::new();
    room.write("a.pcap", capture(&two_leaks()));
    let run = room.run(&["redact", "a.pcap", "-o", "shared.pcapng"]).ended(0);
    assert!(run.out.is_empty());
    assert!(
        run.err.contains("shared.pcapng: 2 sightings of leaks; 64 bytes masked in 2 frames"),
        "{}",
        run.err
    );
    assert_eq!(room.run(&["scan", "shared.pcapng", "--fail-on", "low"]).ended(0).leaks().len(), 0);
    assert_eq!(room.run(&["scan", "a.pcap"]).ended(0).leaks().len(), 2, "the input is as it was");
    assert_eq!(room.run(&["redact", "a.pcap", "-o", "quiet.pcapng", "-q"]).ended(0).err, "");
    let zipped = zstd::encode_all(fs::read(room.path("a.pcap")).unwrap().as_slice(), 1).unwrap();
    room.write("a.pcap.zst", zipped);
    room.run(&["redact", "a.pcap.zst", "-o", "zipped.pcapng", "--all"]).ended(0);
    assert_eq!(room.run(&["scan", "zipped.pcapng"]).ended(0).leaks().len(), 0);
}

#[test]
fn what_cannot_be_copied_is_refused() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("text", "no capture");
    for (arguments, message) in [
        (
            &["redact", "-", "-o", "x"][..],
            "- can be read once only, and redact reads its input several times",
        ),
        (&["redact", "a.pcap", "-o", "./a.pcap"], "the copy would overwrite the input a.pcap"),
        (&["redact", ".", "-o", "x"], ". is a folder: give one capture"),
        (&["redact", "text", "-o", "x"], "text is no capture file"),
        (&["redact", "none.pcap", "-o", "x"], "cannot read none.pcap"),
        (&["redact", "a.pcap"], "--output <OUT>"),
    ] {
        let run = room.run(arguments).ended(2);
        assert!(run.err.contains(message), "{}", run.err);
        assert!(!room.path("x").exists());
    }
    assert_eq!(fs::read(room.path("a.pcap")).unwrap(), leaking_file());
}
