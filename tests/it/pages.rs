//! Answers of real frameworks to a request that fails: pages that leak a trace are told, those of production are not.

use std::fs;
use std::path::{Path, PathBuf};

use leaktap::model::Exposure;
use leaktap::source::memory::connection::Connection;

use crate::support::{leaks, options, scan_frames};

/// Recorded answers, by the name of their file.
fn answers(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Rules of the tracebacks told of an answer.
fn tracebacks(answer: &[u8]) -> Vec<String> {
    let request = b"GET /boom HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    let connection = Connection::example(80).handshake().to_server(request).to_client(answer);
    let (events, ..) = scan_frames(&connection.finish().frames(), &options(1));
    let told = leaks(&events).into_iter();
    told.filter(|leak| leak.exposures.contains(&Exposure::Traceback) && leak.secret.is_none())
        .map(|leak| format!("{}: {}", leak.rule, leak.evidence))
        .collect()
}

#[test]
fn pages_that_leak_a_trace_are_told() {
    let pages = answers("leaking");
    let frameworks: std::collections::BTreeSet<&str> =
        pages.iter().filter_map(|(name, _)| name.split(['-', '_', '.']).next()).collect();
    assert!(frameworks.len() >= 20, "{frameworks:?}");
    let (mut missed, mut double) = (Vec::new(), Vec::new());
    for (name, answer) in &pages {
        let told = tracebacks(answer);
        if std::env::var("PAGES").is_ok() {
            eprintln!("{name}: {told:?}");
        }
        match told.len() {
            0 => missed.push(name),
            1 => {}
            _ => double.push((name, told)),
        }
    }
    let share = 1.0 - missed.len() as f64 / pages.len() as f64;
    assert!(share >= 0.95, "{:.1} % of {} pages; missed: {missed:?}", share * 100.0, pages.len());
    assert!(double.is_empty(), "told more than once: {double:?}");
}

#[test]
fn pages_of_production_are_not() {
    for (name, answer) in answers("production") {
        let told = tracebacks(&answer);
        assert!(told.is_empty(), "{name}: {told:?}");
    }
}
