//! Real captures, as they are and spoiled as networks do: the same findings, except where the fault truly removes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use leaktap::source::memory::Kept;
use leaktap::source::memory::disturb::{self, Half};

use leaktap::pipeline::Options;

use crate::support::{Expected, Key, found, frames_of, leaks, options, plain, scan_files, scan_frames};

struct Case {
    name: String,
    /// Several are one capture.
    inputs: Vec<PathBuf>,
    expected: BTreeSet<Key>,
}

impl Case {
    /// All frames, by time.
    fn frames(&self) -> Vec<Kept> {
        let mut frames: Vec<Kept> = self.inputs.iter().flat_map(|input| frames_of(input)).collect();
        if self.inputs.len() > 1 {
            frames.sort_by_key(|frame| frame.time);
        }
        frames
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let expectation = path.join("expect.ndjson");
        if !expectation.exists() {
            continue;
        }
        let mut inputs: Vec<PathBuf> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("input."))
            .collect();
        assert!(!inputs.is_empty(), "{}", path.display());
        inputs.sort();
        let text = fs::read_to_string(expectation).unwrap();
        let expected = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let expected: Expected = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
            expected.key()
        });
        cases.push(Case {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            expected: expected.collect(),
            inputs,
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn difference(expected: &BTreeSet<Key>, found: &BTreeSet<Key>) -> String {
    let mut told = String::new();
    for missing in expected.difference(found) {
        told += &format!("  not found: {missing:?}\n");
    }
    for surplus in found.difference(expected) {
        told += &format!("  surplus:   {surplus:?}\n");
    }
    told
}

#[test]
fn every_capture_tells_its_leaks_once_and_nothing_else() {
    let cases = all();
    assert!(cases.len() >= 40, "{} captures", cases.len());
    let mut faults = Vec::new();
    for case in &cases {
        let inputs: Vec<&Path> = case.inputs.iter().map(PathBuf::as_path).collect();
        let (events, _, _) = scan_files(&inputs, &Options { join: inputs.len() > 1, ..options(1) });
        let told: Vec<Key> = leaks(&events).into_iter().map(|leak| plain(leak).key()).collect();
        let found: BTreeSet<Key> = told.iter().cloned().collect();
        let mut fault = difference(&case.expected, &found);
        if told.len() != found.len() {
            fault += "  told more than once\n";
        }
        if !fault.is_empty() {
            faults.push(format!("{}\n{fault}", case.name));
        }
    }
    assert!(faults.is_empty(), "{} of {} captures:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// Spoils every capture and compares with what is found in it as it is.
fn same_when(spoil: impl Fn(&[Kept]) -> Vec<Kept>, except: &[&str]) {
    let mut faults = Vec::new();
    for case in all() {
        if except.contains(&case.name.as_str()) {
            continue;
        }
        let frames = case.frames();
        let fault = difference(&case.expected, &found(&spoil(&frames)));
        if !fault.is_empty() {
            faults.push(format!("{}\n{fault}", case.name));
        }
    }
    assert!(faults.is_empty(), "{} captures:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn shuffled_frames_change_nothing() {
    same_when(|frames| disturb::shuffled(frames, 4, 7), &[]);
}

#[test]
fn doubled_frames_change_nothing() {
    same_when(disturb::doubled, &[]);
}

#[test]
fn one_byte_segments_change_nothing() {
    same_when(|frames| disturb::segmented(frames, 1), &[]);
}

#[test]
fn the_end_of_the_sequence_space_changes_nothing() {
    // Of segments in fragments the numbers cannot be moved.
    same_when(disturb::wrapped, &["ip-fragments"]);
}

#[test]
fn a_missing_handshake_changes_nothing() {
    same_when(disturb::without_handshake, &[]);
}

#[test]
fn vlan_tags_change_nothing() {
    same_when(disturb::vlan, &[]);
    same_when(disturb::qinq, &[]);
}

#[test]
fn a_vxlan_around_every_packet_changes_nothing() {
    same_when(disturb::vxlan, &[]);
}

#[test]
fn a_gre_tunnel_around_every_packet_changes_nothing() {
    same_when(disturb::gre, &[]);
}

#[test]
fn fragments_change_nothing_whatever_their_order() {
    same_when(|frames| disturb::fragmented(frames, 64), &[]);
    same_when(|frames| disturb::shuffled(&disturb::fragmented(frames, 256), 4, 7), &[]);
}

#[test]
fn fragments_of_a_tunnel_and_within_it_change_nothing() {
    same_when(|frames| disturb::fragmented(&disturb::vxlan(&disturb::fragmented(frames, 400)), 96), &[]);
}

#[test]
fn a_packet_that_is_seen_bare_and_tunnelled_is_one() {
    let both = |frames: &[Kept]| {
        let tunnelled = disturb::vxlan(frames);
        frames
            .iter()
            .zip(&tunnelled)
            .flat_map(|(bare, tunnelled)| [bare.clone(), tunnelled.clone()])
            .collect()
    };
    same_when(both, &[]);
    for case in all() {
        let told = |frames: &[Kept]| {
            let (events, _, _) = scan_frames(frames, &options(1));
            leaks(&events).len()
        };
        assert_eq!(told(&both(&case.frames())), case.expected.len(), "{}", case.name);
    }
}

#[test]
fn of_one_direction_its_own_leaks_are_found() {
    let mut faults = Vec::new();
    for case in all() {
        let frames = case.frames();
        for (half, own) in [(Half::ToServer, "request."), (Half::ToClient, "response.")] {
            let left = disturb::one_direction(&frames, half);
            // What came back is known as such only where it was seen to go there.
            let strip = |keys: &BTreeSet<Key>| -> BTreeSet<(String, Option<String>, Option<String>)> {
                let own_ones = keys
                    .iter()
                    .filter(|key| key.1.starts_with(own) && !key.4.contains(&"reflected".to_owned()));
                own_ones.map(|key| (key.1.clone(), key.2.clone(), key.3.clone())).collect()
            };
            let (expected, found) = (strip(&case.expected), strip(&found(&left)));
            let missing: Vec<_> = expected.difference(&found).collect();
            if !missing.is_empty() {
                faults.push(format!("{} {half:?}: {missing:?}", case.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
