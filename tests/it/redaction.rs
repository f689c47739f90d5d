//! `leaktap redact`: nothing is found in the copy, no value stands in it, and all else is as it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leaktap::model::{Severity, event::Leak};
use leaktap::pipeline::Options;
use leaktap::redaction::{Masked, RedactError, redact};
use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::disturb;
use leaktap::source::memory::write::capture;

use crate::support::{self, RULES, frames_of, scan_files};

/// Made up.
const STRIPE: &str = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL";

fn default_options() -> Options {
    Options { severity: Severity::Low, ..support::options(1) }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let Ok(files) = fs::read_dir(entry.unwrap().path()) else { continue };
        found.extend(
            files
                .map(|file| file.unwrap().path())
                .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("input.")),
        );
    }
    found.sort();
    found
}

/// The sum that checksums are made of (RFC 1071), over all of a frame: where a checksum was mended, it is as it was.
fn sum(bytes: &[u8]) -> u64 {
    let total: u64 = bytes.iter().enumerate().map(|(at, &byte)| u64::from(byte) << (8 * (1 - at % 2))).sum();
    total % 0xffff
}

/// The copy of a capture, checked: nothing found, no value left, all else as it was.
fn checked(input: &Path, all: bool) -> (Masked, Vec<Kept>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.pcapng");
    let options = default_options();
    let masked = redact(input, &copy, &RULES, &options, all)
        .unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    let (events, said, _) = scan_files(&[&copy], &options);
    let left: Vec<&Leak> = support::leaks(&events);
    assert!(
        left.is_empty() && said.problems.is_empty(),
        "{}: {left:?} {said:?}",
        input.display(),
        said = said.problems
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left on the disk");

    let (before, after) = (frames_of(input), frames_of(&copy));
    assert_eq!(before.len(), after.len());
    let mut bytes = Vec::new();
    // The checksum of a datagram in fragments stands in one frame for what changed in others.
    let in_fragments =
        input.components().any(|part| part.as_os_str().to_string_lossy().contains("fragments"));
    let mut sums = [0, 0];
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        let name = format!("{} frame {}", input.display(), number + 1);
        assert_eq!(
            (before.time, before.link, before.original_len),
            (after.time, after.link, after.original_len),
            "{name}"
        );
        assert_eq!(before.bytes.len(), after.bytes.len(), "{name}");
        // What is behind the header of a link is at even places; of an odd one nothing is said.
        let both = [sum(&before.bytes), sum(&after.bytes)];
        assert!(in_fragments || both[0] == both[1], "{name}: a checksum is not mended: {both:?}");
        sums = [0, 1].map(|which| (sums[which] + both[which]) % 0xffff);
        bytes.extend_from_slice(&after.bytes);
    }
    assert_eq!(sums[0], sums[1], "{}: a checksum is not mended", input.display());
    let (events, _, _) = scan_files(&[input], &Options { reveal: true, ..options });
    for leak in support::leaks(&events) {
        let Some(value) = leak.secret.as_ref().and_then(|secret| secret.value.as_deref()) else { continue };
        if value.len() >= 8 {
            let is_left = bytes.windows(value.len()).any(|part| part == value.as_bytes());
            assert!(!is_left, "{}: {value} of {} is left", input.display(), leak.rule);
        }
    }
    (masked, after)
}

#[test]
fn nothing_is_found_in_the_copy_of_any_capture() {
    let mut sightings = 0;
    let mut widened = BTreeSet::new();
    for input in captures() {
        let (masked, _) = checked(&input, false);
        sightings += masked.sightings;
        if masked.widened > 0 {
            widened.insert(input.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert!(sightings > 150, "{sightings}");
    // Values are masked where they stand; more only where they cannot be seen (compressed), or are no value (a page).
    for case in ["answer-br", "answer-gzip", "answer-zstd", "django-debug"] {
        assert!(widened.contains(case), "{case}: {widened:?}");
    }
    for case in
        ["flask-basic", "flask-json-escaped", "flask-cookie", "chunk-border", "flask-form", "base64-values"]
    {
        assert!(!widened.contains(case), "{case}: {widened:?}");
    }
}

#[test]
fn with_all_every_copy_is_clean_too_and_the_rest_stays_readable() {
    for input in captures().iter().step_by(5) {
        checked(input, true);
    }
    let exchange = Connection::example(8080)
        .handshake()
        .to_server(b"POST /login?next=/home&csrf=made-up-1 HTTP/1.1\r\nHost: a.example\r\nCookie: theme=dark1; lang=english\r\nContent-Length: 34\r\n\r\nuser=ada&password=hunter2&remember")
        .to_client(b"HTTP/1.1 200 OK\r\nSet-Cookie: visits=twelve; Path=/\r\nContent-Type: application/json\r\nContent-Length: 45\r\n\r\n{\"ok\":true,\"sessionToken\":\"abc\",\"name\":\"Ada\"}")
        .finish()
        .frames();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), capture(&exchange)).unwrap();
    let (_, frames) = checked(file.path(), true);
    let text: String =
        frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
    for gone in ["made-up-1", "dark1", "english", "hunter2", "twelve", "\"abc\""] {
        assert!(!text.contains(gone), "{gone}");
    }
    for kept in [
        "POST /login?next=/home&csrf=xxxxxxxxx HTTP",
        "theme=xxxxx",
        "user=ada&password=xxxxxxx&",
        "Path=/",
        "\"sessionToken\":\"xxx\",\"name\":\"Ada\"",
    ] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
}

/// One exchange with a secret in the query, in a chunked body, and escaped.
fn leaking() -> Vec<Kept> {
    leaking_in(1460)
}

fn leaking_in(mss: usize) -> Vec<Kept> {
    let (one, other) = STRIPE.split_at(11);
    let body = format!(
        "{:x}\r\n{{\"key\":\"{one}\r\n{:x}\r\n{other}\"}}\r\n0\r\n\r\n",
        8 + one.len(),
        other.len() + 2
    );
    Connection::example(8080)
        .mss(mss)
        .handshake()
        .to_server(format!("GET /a?api_key={STRIPE} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes())
        .to_client(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes())
        .finish()
        .frames()
}

/// IPv4 in Ethernet, each packet in fragments of at most `size` bytes of payload.
fn fragmented(frames: &[Kept], size: usize) -> Vec<Kept> {
    let mut found = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let (ethernet, packet) = frame.bytes.split_at(14);
        let (header, payload) = packet.split_at(20);
        for (index, part) in payload.chunks(size).enumerate() {
            let mut header = header.to_vec();
            header[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            header[4..6].copy_from_slice(&(number as u16 + 1).to_be_bytes());
            let more = u16::from((index + 1) * size < payload.len()) << 13;
            header[6..8].copy_from_slice(&(more | (index * size / 8) as u16).to_be_bytes());
            let bytes = [ethernet, &header, part].concat();
            found.push(Kept { original_len: bytes.len() as u32, bytes, ..frame.clone() });
        }
    }
    found
}

#[test]
fn a_spoiled_capture_is_masked_as_well() {
    let frames = leaking();
    for (name, frames) in [
        ("as it is", frames.clone()),
        ("one byte a segment", disturb::segmented(&frames, 1)),
        ("shuffled", disturb::shuffled(&disturb::segmented(&frames, 7), 5, 1)),
        ("doubled", disturb::doubled(&frames)),
        ("round the sequence space", disturb::wrapped(&disturb::segmented(&frames, 5))),
        ("without handshake", disturb::without_handshake(&frames)),
        ("VLAN", disturb::vlan(&frames)),
        ("QinQ", disturb::qinq(&frames)),
        ("IPv6", disturb::over_ipv6(&frames)),
        ("in fragments", fragmented(&disturb::segmented(&frames, 400), 48)),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), capture(&frames)).unwrap();
        let (events, _, _) = scan_files(&[file.path()], &default_options());
        assert!(!support::leaks(&events).is_empty(), "{name}: nothing to mask");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let masked = redact(file.path(), &copy, &RULES, &default_options(), false)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(masked.bytes > 0, "{name}");
        let (events, _, _) = scan_files(&[&copy], &default_options());
        assert!(support::leaks(&events).is_empty(), "{name}");
        if name == "in fragments" {
            // The sum of a datagram is spread over its fragments.
            let total = |frames: &[Kept]| {
                sum(&frames.iter().flat_map(|frame| frame.bytes[34..].to_vec()).collect::<Vec<u8>>())
            };
            assert_eq!(total(&frames), total(&frames_of(&copy)));
        } else {
            for (before, after) in frames.iter().zip(frames_of(&copy)) {
                assert_eq!(sum(&before.bytes), sum(&after.bytes), "{name}");
            }
        }
    }
}

/// Where tshark is installed: every checksum that was right is right, and the exchanges are read as they were.
#[test]
fn wireshark_reads_the_copy() {
    let count = |path: &Path, filter: &str| -> Option<usize> {
        let output = std::process::Command::new("tshark")
            .env("HOME", path.parent().unwrap())
            .args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-r"])
            .arg(path)
            .output()
            .ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout.iter().filter(|&&byte| byte == b'\n').count())
    };
    let folder = tempfile::tempdir().unwrap();
    let (input, copy) = (folder.path().join("input.pcap"), folder.path().join("copy.pcapng"));
    fs::write(&input, capture(&leaking_in(50))).unwrap();
    redact(&input, &copy, &RULES, &default_options(), false).unwrap();
    let Some(frames) = count(&input, "tcp.checksum.status == 1") else {
        eprintln!("skipped: no tshark is installed (apt-get install tshark)");
        return;
    };
    assert_eq!(frames, frames_of(&input).len(), "the checksums of the test are right");
    assert_eq!(count(&copy, "tcp.checksum.status == 1"), Some(frames));
    for filter in ["http.request", "http.response", "json", "tcp.analysis.flags", "_ws.malformed"] {
        assert_eq!(count(&copy, filter), count(&input, filter), "{filter}");
    }
}

#[test]
fn where_no_clean_copy_can_be_made_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.pcapng");
    let input = folder.path().join("input.pcap");
    let options = default_options();
    let bytes = capture(&leaking());
    fs::write(&input, &bytes[..bytes.len() - 10]).unwrap();
    assert!(matches!(redact(&input, &copy, &RULES, &options, false), Err(RedactError::Unread(_))));
    fs::write(&input, "no capture").unwrap();
    assert!(redact(&input, &copy, &RULES, &options, false).is_err());
    fs::write(&input, &bytes).unwrap();
    assert!(matches!(
        redact(&input, &folder.path().join("no/such/copy"), &RULES, &options, false),
        Err(RedactError::Write { .. })
    ));
    let stopped = default_options();
    stopped.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(redact(&input, &copy, &RULES, &stopped, false), Err(RedactError::Stopped)));
    assert!(!copy.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // Rules of one's own count as the shipped ones do.
    let rules = Arc::clone(&RULES);
    redact(&input, &copy, &rules, &options, false).unwrap();
    assert!(copy.exists());
}
