//! The captures that benchmarks are measured on: the same seed gives the same bytes, and all that leaks in them is found.

use std::collections::BTreeSet;
use std::path::Path;

use leaktap::model::event::Leak;

use crate::generate::truth::{Told, Truth, compare};
use crate::generate::{WORKLOADS, Workload};
use crate::support::{leaks, options, scan_files};

/// Enough for a leak in each, in bytes.
const SIZE: usize = 1_200_000;

fn written(workload: &Workload, seed: u64) -> (Vec<u8>, Vec<Truth>) {
    let mut out = Vec::new();
    let truth = (workload.write)(seed, SIZE, &mut out).unwrap();
    (out, truth)
}

fn told(path: &Path, jobs: usize) -> BTreeSet<Told> {
    let (events, _, _) = scan_files(&[path], &options(jobs));
    let told = |leak: &Leak| {
        Some(Told {
            surface: leak.surface.as_str().to_owned(),
            name: leak.name.clone(),
            value: leak.secret.as_ref()?.value.clone()?,
            client: leak.flow.client.to_string(),
        })
    };
    leaks(&events).into_iter().filter_map(told).collect()
}

#[test]
fn a_seed_decides_every_byte() {
    for workload in WORKLOADS {
        let (bytes, truth) = written(workload, 1);
        assert!((bytes, truth) == written(workload, 1), "{}", workload.name);
        assert!(written(workload, 1).0 != written(workload, 2).0, "{}", workload.name);
    }
}

#[test]
fn what_leaks_in_a_generated_capture_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for workload in WORKLOADS {
        let (bytes, truth) = written(workload, 3);
        assert!(truth.iter().any(Truth::is_due), "{} leaks nothing", workload.name);
        let path = folder.path().join(workload.name);
        std::fs::write(&path, bytes).unwrap();
        let (missed, other) = compare(&truth, &told(&path, 1));
        assert!(missed.is_empty() && other == 0, "{}: missed {missed:#?}, {other} others", workload.name);
    }
}

#[test]
fn what_is_missed_and_what_is_none_is_seen() {
    let leak = |value: &str| Told {
        surface: "request.query".to_owned(),
        name: Some("key".to_owned()),
        value: value.to_owned(),
        client: "10.1.0.0:32768".to_owned(),
    };
    let truth = |value, typed, torn| Truth { leak: leak(value), typed, torn };
    let elsewhere = |value| Told { surface: "request.body".to_owned(), name: None, ..leak(value) };
    // A whole one, and a torn one that is known by its form; of one that is torn from its name nothing is asked.
    let known = [truth("whole", false, false), truth("torn", true, true), truth("nameless", false, true)];
    let cases = [
        (vec![leak("whole"), elsewhere("torn")], 0, 0),
        (vec![leak("whole"), elsewhere("torn"), elsewhere("nameless")], 0, 0),
        (vec![elsewhere("whole"), leak("torn")], 1, 0),
        (vec![leak("whole"), leak("another")], 1, 1),
        (vec![], 2, 0),
    ];
    for (told, missed, other) in cases {
        let found = compare(&known, &BTreeSet::from_iter(told.clone()));
        assert_eq!((found.0.len(), found.1), (missed, other), "{told:?}");
    }
}
