//! The README's path from rotated files to the frame in Wireshark, its commands as they stand there.

use super::*;

/// The commands of the section, each a line.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split("### From rotated files to the frame in Wireshark").nth(1).unwrap();
    let block = section.split("```sh").nth(1).unwrap().split("```").next().unwrap();
    block
        .lines()
        .map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn a_stranger_gets_from_rotated_files_to_the_frame() {
    let room = Room::new();
    let commands = commands();
    assert!(commands[0].starts_with("tcpdump -i eth0 -G 3600 -w 'ring-"), "{commands:?}");
    // What tcpdump -G would have left: files named so, a connection across two of them.
    let frames = two_leaks();
    room.write("ring-20261122-080000.pcap", capture(&frames[..6]));
    room.write("ring-20261122-090000.pcap", capture(&frames[6..]));

    let program = Path::new(env!("CARGO_BIN_EXE_leaktap"));
    let mut shell = assert_cmd::Command::new("sh");
    shell.args(["-c", &commands[1]]).current_dir(room.path("")).env_clear().envs(room.environment());
    shell.env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
    let run = Run::of(&mut shell).ended(0);
    assert_eq!(run.leaks().len(), 2);

    // The report names the file and the frame, and the command that opens Wireshark there.
    let page = room.read("report.html");
    let found: Vec<(String, u64)> = page
        .match_indices("<dd>wireshark -r ")
        .map(|(at, mark)| {
            let rest = page[at + mark.len()..].split("</dd>").next().unwrap();
            let (file, number) = rest.split_once(" -g ").unwrap();
            (file.to_owned(), number.parse().unwrap())
        })
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for (file, number) in &found {
        let frame = &crate::support::frames_of(&room.path(file))[*number as usize - 1];
        let text = String::from_utf8_lossy(&frame.bytes);
        assert!(text.contains("api_key=sk_live_"), "{file} {number}: {text}");
        if let Some(rows) = super::frames::tshark(
            &room.path(file),
            &format!("frame.number == {number}"),
            &["http.request.uri"],
        ) {
            assert!(rows[0][0].contains("api_key=sk_live_"), "{rows:?}");
        }
    }
    // And the leaking connections alone, whole, with comments.
    assert_eq!(crate::support::frames_of(&room.path("leaks.pcapng")).len(), frames.len());
    if let Some(rows) = super::frames::tshark(
        &room.path("leaks.pcapng"),
        "frame.comment",
        &["frame.comment", "frame.interface_name"],
    ) {
        let files: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        let mut expected: Vec<&str> = found.iter().map(|(file, _)| file.as_str()).collect();
        expected.sort_unstable();
        assert_eq!(files, expected);
    }
}

/// The files of `captures/rotated`, which `tcpdump -G 1` left.
#[test]
fn files_that_tcpdump_rotated_lead_to_the_frame() {
    let room = Room::new();
    let folder = captures().join("rotated");
    for (number, name) in ["080000", "090000", "100000"].iter().enumerate() {
        let bytes = fs::read(folder.join(format!("input.pcap{number}"))).unwrap();
        room.write(&format!("ring-20261122-{name}.pcap"), bytes);
    }
    let program = Path::new(env!("CARGO_BIN_EXE_leaktap"));
    let mut shell = assert_cmd::Command::new("sh");
    shell.args(["-c", &commands()[1]]).current_dir(room.path("")).env_clear().envs(room.environment());
    shell.env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
    let run = Run::of(&mut shell).ended(0);
    let page = room.read("report.html");
    let mut seen = 0;
    for line in fs::read_to_string(folder.join("expect.ndjson")).unwrap().lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let leak = run.leaks().into_iter().find(|leak| leak["rule"] == expected["rule"]).unwrap();
        let (file, number) = (leak["source"].as_str().unwrap(), leak["frames"][0].as_u64().unwrap());
        assert!(page.contains(&format!("<dd>wireshark -r {file} -g {number}</dd>")), "{file} {number}");
        // The value begins in that frame; where it lies across two files it ends in another one.
        let value = expected["value"].as_str().unwrap();
        let Some(rows) =
            super::frames::tshark(&room.path(file), &format!("frame.number == {number}"), &["tcp.payload"])
        else {
            return;
        };
        let payload: Vec<u8> = rows[0][0]
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect();
        let begins = (8..=value.len()).rev().any(|length| {
            let part = &value.as_bytes()[..length];
            payload.windows(length).any(|window| window == part)
                && (length == value.len() || payload.ends_with(part))
        });
        assert!(begins, "{file} {number}: {}", String::from_utf8_lossy(&payload));
        seen += 1;
    }
    assert_eq!(seen, 2);
}
