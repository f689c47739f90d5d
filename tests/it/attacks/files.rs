//! Captures that break off at every byte, and captures with bytes that were changed at random.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use leaktap::model::event::Event;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::write::{capture, pcapng};
use leaktap::source::memory::{Kept, keep};
use leaktap::source::{SourceError, from_reader};

use crate::cases::encoded;
use crate::support::{options, scan_files};

fn read(bytes: &[u8]) -> (Vec<Kept>, Option<SourceError>) {
    match from_reader(Path::new("attack"), Box::new(Cursor::new(bytes.to_vec())), None) {
        Err(error) => (Vec::new(), Some(error)),
        Ok(mut file) => match keep(&mut file) {
            Ok(frames) => (frames, None),
            Err((frames, error)) => (frames, Some(error)),
        },
    }
}

#[test]
fn a_capture_cut_at_every_byte_gives_what_came_before() {
    let ask = b"GET /?k=sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG HTTP/1.1\r\nHost: h\r\n\r\n";
    let frames = Connection::example(80)
        .handshake()
        .to_server(ask)
        .to_client(b"HTTP/1.1 204 No\r\n\r\n")
        .finish()
        .frames();
    let (plain, next) = (capture(&frames), pcapng(&frames));
    for (what, file) in [
        ("pcap", plain.clone()),
        ("pcapng", next.clone()),
        ("pcap.gz", encoded("gzip", &plain)),
        ("pcapng.zst", encoded("zstd", &next)),
    ] {
        let (whole, fault) = read(&file);
        assert!(fault.is_none() && whole == frames, "{what}");
        let mut before = 0;
        for end in 0..file.len() {
            let (got, fault) = read(&file[..end]);
            assert!(frames.starts_with(&got), "{what} cut at {end}");
            assert!(got.len() >= before, "{what} cut at {end}: fewer frames than a byte before");
            before = got.len();
            // Between two frames a cut shows only where the file is compressed.
            assert!(
                fault.is_some() || (got.len() < frames.len() || end + 32 > file.len()),
                "{what} cut at {end}"
            );
        }
        // A compressed one of that size is one block, there or not.
        assert!(before + 1 >= frames.len() || what.ends_with("zst"), "{what}: {before}");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// Changes some bytes, takes some out, or puts some in twice.
fn spoiled(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + random.below(12) {
        let at = 24 + random.below(bytes.len() - 24);
        let end = bytes.len().min(at + 1 + random.below(64));
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes
                .splice(
                    at..at,
                    file[at.min(file.len())..end.min(file.len()).max(at.min(file.len()))].to_vec(),
                )
                .for_each(drop),
            2 => bytes[at..end].iter_mut().for_each(|byte| *byte = 0xff),
            3 => bytes[at] = b"\0\r\n %\"{<&;=:"[random.below(12)],
            _ => bytes[at] ^= 1 << random.below(8),
        }
        if bytes.len() < 64 {
            break;
        }
    }
    bytes
}

/// Every capture and the values that are found in it as it is.
fn captures() -> Vec<(PathBuf, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let Ok(expected) = fs::read_to_string(entry.path().join("expect.ndjson")) else { continue };
        let values = expected.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("value")?.as_str().map(str::to_owned).filter(|value| value.len() >= 8)
        });
        let values: Vec<String> = values.collect();
        let inputs = fs::read_dir(entry.path()).unwrap().flatten().map(|file| file.path());
        let input = inputs
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input.")));
        found.extend(input.map(|input| (input, values.clone())));
    }
    found.sort();
    found
}

#[test]
fn spoiled_captures_tell_no_secret_and_the_same_whatever_the_jobs() {
    let rounds = if std::env::var("LEAKTAP_SOAK").is_ok() { 50 } else { 1 };
    let mut random = Random(3);
    let captures = captures();
    assert!(captures.len() >= 80);
    for _ in 0..rounds {
        for (path, values) in &captures {
            let bytes = spoiled(&fs::read(path).unwrap(), &mut random);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let told = |jobs: usize| {
                let mut options = options(jobs);
                options.reveal = false;
                let (events, said, _) = scan_files(&[file.path()], &options);
                let lines: Vec<String> =
                    events.iter().map(|event: &Event| serde_json::to_string(event).unwrap()).collect();
                (lines.join("\n"), said.problems)
            };
            let (one, two) = (told(1), told(2));
            assert_eq!(one, two, "{}", path.display());
            for value in values {
                assert!(!one.0.contains(value.as_str()), "{}: a secret is told", path.display());
            }
        }
    }
}
