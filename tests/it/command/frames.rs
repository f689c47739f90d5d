//! `--pcap-out`: the frames of leaking flows as pcapng, with comments, read by tshark where there is one.

use leaktap::source::memory::connection::datagram;

use super::*;
use crate::support::frames_of;

/// Fields of the frames of a capture, as tshark sees them; none where there is no tshark.
pub(crate) fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = std::process::Command::new("tshark");
    command.env("HOME", path.parent().unwrap()).args(["-2", "-r"]).arg(path).args([
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "separator=/t",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let Ok(output) = command.output() else {
        eprintln!("skipped: no tshark is installed (apt-get install tshark)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// A leak, a flow without any, a datagram.
fn mixed() -> Vec<Kept> {
    let mut frames = clean();
    frames.extend(exchange(51_001, STRIPE).finish().frames());
    frames.extend(datagram(
        frames[0].time,
        ([192, 0, 2, 10], 5353).into(),
        ([192, 0, 2, 80], 5353).into(),
        b"nothing here",
    ));
    frames
}

#[test]
fn only_the_flows_that_leak_are_written_and_the_leak_has_a_comment() {
    let room = Room::new();
    room.write("mixed.pcap", capture(&mixed()));
    let run = room.run(&["scan", "mixed.pcap", "--pcap-out", "leaks.pcapng"]).ended(0);
    let leak = run.leaks().remove(0);
    let found = frames_of(&room.path("leaks.pcapng"));
    let flow: Vec<Kept> = exchange(51_001, STRIPE).finish().frames();
    assert_eq!(found.len(), flow.len());
    for (found, expected) in found.iter().zip(&flow) {
        assert_eq!(
            (&found.bytes, found.link, found.original_len),
            (&expected.bytes, expected.link, expected.original_len)
        );
        assert_eq!(found.time, expected.time);
    }
    // What leaks there leaks in the copy.
    assert_eq!(room.run(&["scan", "leaks.pcapng"]).ended(0).leaks().len(), 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(room.path("leaks.pcapng")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "it holds secrets");
    let Some(rows) = tshark(
        &room.path("leaks.pcapng"),
        "frame.comment",
        &["http.request.uri", "frame.interface_name", "frame.comment"],
    ) else {
        return;
    };
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0][0].contains(STRIPE));
    assert_eq!(rows[0][1], "mixed.pcap");
    for part in [
        "leaktap: ",
        "Stripe secret key sk_l…8PfL in request.query api_key",
        "frame 12 of mixed.pcap",
        leak["id"].as_str().unwrap(),
    ] {
        assert!(rows[0][2].contains(part), "{part}: {rows:?}");
    }
    assert!(!rows[0][2].contains(STRIPE));
}

#[test]
fn joined_captures_a_pipe_and_several_files_are_written_too() {
    let room = Room::new();
    let frames = exchange(51_001, STRIPE).finish().frames();
    room.write("a.pcap0", capture(&frames[..4]));
    room.write("a.pcap1", capture(&frames[4..]));
    room.run(&["scan", "--join", "a.pcap0", "a.pcap1", "--pcap-out", "joined.pcapng"]).ended(0);
    assert_eq!(frames_of(&room.path("joined.pcapng")).len(), frames.len());
    room.write("b.pcap", capture(&mixed()));
    let mut command = room.command(&["scan", "-", "--pcap-out", "piped.pcapng"]);
    Run::of(command.write_stdin(capture(&mixed()))).ended(0);
    assert_eq!(frames_of(&room.path("piped.pcapng")).len(), frames.len());
    room.run(&["scan", "a.pcap0", "b.pcap", "--pcap-out", "several.pcapng", "--jobs", "3"]).ended(0);
    assert_eq!(frames_of(&room.path("several.pcapng")).len(), 4 + frames.len());
    let Some(rows) =
        tshark(&room.path("several.pcapng"), "frame.comment", &["frame.comment", "frame.interface_name"])
    else {
        return;
    };
    let sources: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(sources, ["a.pcap0", "b.pcap"]);
    let Some(rows) = tshark(&room.path("piped.pcapng"), "frame.comment", &["frame.comment"]) else { return };
    assert!(rows[0][0].contains("frame 12 of -"), "{rows:?}");
}

#[test]
fn nothing_is_overwritten_and_without_a_leak_the_file_is_empty() {
    let room = Room::new();
    room.write("clean.pcap", capture(&clean()));
    room.run(&["scan", "clean.pcap", "--pcap-out", "none.pcapng"]).ended(0);
    assert!(frames_of(&room.path("none.pcapng")).is_empty());
    for (arguments, message) in [
        (&["--pcap-out", "clean.pcap"][..], "--pcap-out would overwrite the input clean.pcap"),
        (&["--pcap-out", "x", "--sink", "csv:x"], "--pcap-out and a sink would write to x"),
        (&["--pcap-out", "no/such/x"], "cannot write no/such/x: No such file"),
    ] {
        let run = room.run(&[&["scan", "clean.pcap"], arguments].concat()).ended(2);
        assert!(run.err.contains(message), "{}", run.err);
    }
    assert_eq!(frames_of(&room.path("clean.pcap")).len(), clean().len());
}

/// Captures that come with the project: the copy holds the same leaks.
#[test]
fn what_leaks_in_a_capture_leaks_in_what_is_written() {
    let room = Room::new();
    let mut folders: Vec<PathBuf> =
        fs::read_dir(captures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("input.pcap").exists());
    folders.sort();
    // Some of each kind: each costs two runs of the program.
    for folder in folders.iter().step_by(11) {
        let input = folder.join("input.pcap");
        let name = folder.file_name().unwrap().to_str().unwrap();
        let run = room.run(&["scan", input.to_str().unwrap(), "--pcap-out", "out.pcapng"]).ended(0);
        let again = room.run(&["scan", "out.pcapng"]).ended(0);
        let keys = |run: &Run| -> Vec<String> {
            let mut keys: Vec<String> = run
                .leaks()
                .iter()
                .map(|leak| {
                    format!(
                        "{} {} {} {}",
                        leak["rule"], leak["surface"], leak["name"], leak["secret"]["fingerprint"]
                    )
                })
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&run), keys(&again), "{name}");
    }
}

/// The times of the frames that Wireshark counts to the connections of these frames, fragments included.
fn of_connections(path: &Path, numbers: &[u64]) -> Option<Vec<String>> {
    let fields = [
        "frame.number",
        "tcp.stream",
        "udp.stream",
        "ip.reassembled_in",
        "ipv6.reassembled.in",
        "frame.time_epoch",
    ];
    let rows = tshark(path, "frame", &fields)?;
    let stream = |row: &[String]| {
        if row[1].is_empty() { format!("udp {}", row[2]) } else { format!("tcp {}", row[1]) }
    };
    let is = |row: &[String], numbers: &[u64]| numbers.contains(&row[0].parse().unwrap());
    let streams: Vec<String> = rows.iter().filter(|row| is(row, numbers)).map(|row| stream(row)).collect();
    let whole: Vec<u64> = rows
        .iter()
        .filter(|row| streams.contains(&stream(row)) && row[3].is_empty() && row[4].is_empty())
        .map(|row| row[0].parse().unwrap())
        .collect();
    let is_part = |row: &[String]| {
        [&row[3], &row[4]]
            .iter()
            .any(|within| within.parse().is_ok_and(|number: u64| whole.contains(&number)))
    };
    Some(rows.iter().filter(|row| is(row, &whole) || is_part(row)).map(|row| row[5].clone()).collect())
}

#[test]
fn fragments_are_written_with_their_flow_and_no_others() {
    let room = Room::new();
    for name in ["ip-fragments", "ipv6-fragments", "ip-fragments-in-vxlan", "vxlan-fragmented"] {
        let input = captures().join(name).join("input.pcap");
        let run =
            room.run(&["scan", input.to_str().unwrap(), "--every", "--pcap-out", "out.pcapng"]).ended(0);
        assert!(!run.leaks().is_empty(), "{name}");
        let again = room.run(&["scan", "out.pcapng", "--every"]).ended(0);
        assert_eq!(again.leaks().len(), run.leaks().len(), "{name}");
        let missing = again.events().iter().any(|event| event["reason"] == "fragment-missing");
        assert!(!missing, "{name}: {}", again.out);
        let numbers: Vec<u64> = run.leaks().iter().map(|leak| leak["frames"][0].as_u64().unwrap()).collect();
        let Some(expected) = of_connections(&input, &numbers) else { return };
        let found = tshark(&room.path("out.pcapng"), "frame", &["frame.time_epoch"]).unwrap();
        assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), expected, "{name}");
        // The comment stands where Wireshark shows the datagram, put together.
        let said = tshark(
            &room.path("out.pcapng"),
            "frame.comment && (http || syslog || tcp.segments)",
            &["frame.time_epoch"],
        );
        let times = tshark(&input, "frame", &["frame.number", "frame.time_epoch"]).unwrap();
        let mut first: Vec<&String> = times
            .iter()
            .filter(|row| numbers.contains(&row[0].parse().unwrap()))
            .map(|row| &row[1])
            .collect();
        first.dedup();
        assert_eq!(said.unwrap().iter().flatten().collect::<Vec<_>>(), first, "{name}");
    }
}

#[test]
fn fragments_across_joined_files_keep_the_numbers_of_their_files() {
    let room = Room::new();
    let frames = frames_of(&captures().join("ipv6-fragments").join("input.pcap"));
    // A datagram of three fragments, the last of them in the next file.
    room.write("a.pcap0", capture(&frames[..2]));
    room.write("a.pcap1", capture(&frames[2..3]));
    let run = room.run(&["scan", "--join", "a.pcap0", "a.pcap1", "--pcap-out", "joined.pcapng"]).ended(0);
    let leak = run.leaks().remove(0);
    assert_eq!((&leak["source"], &leak["frames"]), (&"a.pcap1".into(), &serde_json::json!([1, 1])));
    assert_eq!(frames_of(&room.path("joined.pcapng")).len(), 3);
    assert_eq!(room.run(&["scan", "joined.pcapng"]).ended(0).leaks().len(), 1);
    let fields = ["frame.number", "frame.interface_name", "frame.comment"];
    let Some(rows) = tshark(&room.path("joined.pcapng"), "frame.comment", &fields) else { return };
    assert_eq!((rows.len(), rows[0][0].as_str(), rows[0][1].as_str()), (1, "3", "a.pcap1"), "{rows:?}");
    assert!(rows[0][2].contains("frame 1 of a.pcap1"), "{rows:?}");
}
