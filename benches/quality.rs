//! False alarms on benign web traffic: files of installed packages and documentation, served as HTTP answers, through
//! the whole engine; findings of severity medium or above per MB, and what they were.
//!
//! `cargo bench --bench quality -- [FOLDER...] [--size MB] [--keywords] [--show]`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement prints, and ends where it cannot go on"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use leaktap::model::event::Event;
use leaktap::model::secret::FingerprintKey;
use leaktap::model::{Confidence, Severity};
use leaktap::pipeline::{self, Flow, Options, Watch};
use leaktap::rule::RuleSet;
use leaktap::source::Input;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::write::capture;

/// Where Debian, Node, Python and Rust keep what is like a web site's files.
const FOLDERS: &[&str] = &[
    "/usr/share/doc",
    "/usr/share/javascript",
    "/usr/lib/node_modules",
    "/usr/lib/python3",
    "~/.pyenv/versions",
    "~/.cargo/registry/src",
    "~/.rustup/toolchains",
    "/usr/lib/python3/dist-packages",
];

/// Extensions and the media types they are served as; the share of each is limited, so that none drowns the others.
const KINDS: &[(&str, &str, usize)] = &[
    ("html", "text/html; charset=utf-8", 30),
    ("js", "application/javascript", 40),
    ("mjs", "application/javascript", 10),
    ("css", "text/css", 5),
    ("json", "application/json", 15),
    ("map", "application/json", 30),
    ("md", "text/markdown", 10),
    ("txt", "text/plain", 10),
    ("xml", "application/xml", 5),
    ("svg", "image/svg+xml", 2),
    ("yml", "text/yaml", 2),
    ("toml", "text/plain", 2),
    ("py", "text/x-python", 10),
    ("rs", "text/plain", 5),
    ("ts", "text/plain", 10),
];

/// Findings of severity medium or above that a MB may have.
const GOAL: f64 = 0.02;
/// Documents of which one may be taken for an error page.
const DOCUMENTS: usize = 500;
/// Bytes of one file that are served.
const LONGEST: u64 = 8 << 20;
/// Bytes of one capture, and answers of one connection.
const CAPTURE: usize = 32 << 20;
const ANSWERS: usize = 40;

struct Silent;

impl Watch for Silent {
    fn problem(&mut self, problem: &str) {
        eprintln!("problem: {problem}");
    }
    fn note(&mut self, _: &str) {}
    fn skipped(&mut self, _: &str) {}
    fn progress(&mut self, _: u64, _: u64) {}
}

struct Served {
    path: PathBuf,
    kind: &'static str,
}

fn main() {
    let mut size = 150;
    let (mut keywords, mut show) = (false, false);
    let mut folders = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" | "--test" => {}
            "--size" => size = arguments.next().and_then(|size| size.parse().ok()).expect("a number of MB"),
            "--keywords" => keywords = true,
            "--show" => show = true,
            folder => folders.push(PathBuf::from(folder)),
        }
    }
    if folders.is_empty() {
        let home = std::env::var("HOME").unwrap_or_default();
        folders = FOLDERS.iter().map(|folder| PathBuf::from(folder.replace('~', &home))).collect();
    }
    let rules = Arc::new(RuleSet::load(true, &[]).expect("the shipped rules"));
    let files = chosen(&folders, size << 20);
    if keywords {
        return count_keywords(&rules, &files);
    }
    let mut bytes = 0_u64;
    let mut found: BTreeMap<(Severity, String), Vec<String>> = BTreeMap::new();
    let mut batch: Vec<&Served> = Vec::new();
    let mut batch_size = 0;
    for (index, file) in files.iter().enumerate() {
        batch_size += fs::metadata(&file.path).map_or(0, |metadata| metadata.len() as usize);
        batch.push(file);
        if batch_size >= CAPTURE || index + 1 == files.len() {
            bytes += scan(&rules, &batch, &mut found);
            batch.clear();
            batch_size = 0;
        }
    }
    let megabytes = bytes as f64 / 1e6;
    println!("{} files, {megabytes:.1} MB", files.len());
    let mut alarms = 0;
    let mut pages = 0;
    for ((severity, rule), places) in found.iter().rev() {
        if *severity >= Severity::Medium {
            alarms += places.len();
        }
        let is_page = |rule: &&leaktap::rule::Rule| rule.kind == leaktap::rule::Kind::Traceback;
        if rules.named(rule).and_then(|id| rules.rule(id)).as_ref().is_some_and(is_page) {
            pages += places.len();
        }
        println!("{:<9} {:>4}  {rule}", severity.as_str(), places.len());
        for place in places.iter().take(if show { usize::MAX } else { 3 }) {
            println!("                 {place}");
        }
    }
    let rate = alarms as f64 / megabytes.max(f64::MIN_POSITIVE);
    println!("{alarms} of severity medium or above: {rate:.4} per MB (goal {GOAL})");
    println!("{pages} of {} documents are taken for an error page (at most 1 in {DOCUMENTS})", files.len());
    if rate > GOAL || pages * DOCUMENTS > files.len() {
        std::process::exit(1);
    }
}

/// The files to serve: of each kind up to its share, spread over the folders by a hash of their names.
fn chosen(folders: &[PathBuf], size: usize) -> Vec<Served> {
    let mut all: Vec<(u64, PathBuf, u64, usize)> = Vec::new();
    for folder in folders {
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten() {
            let extension =
                entry.path().extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let Some(kind) = KINDS.iter().position(|(known, ..)| *known == extension) else { continue };
            let length = entry.metadata().map_or(0, |metadata| metadata.len());
            if entry.file_type().is_file() && (200..=LONGEST).contains(&length) {
                all.push((hash(entry.path()), entry.into_path(), length, kind));
            }
        }
    }
    all.sort();
    all.dedup_by(|one, other| one.1 == other.1);
    let shares: usize = KINDS.iter().map(|(.., share)| share).sum();
    let mut left: Vec<u64> = KINDS.iter().map(|(.., share)| (size / shares * share) as u64).collect();
    let mut files = Vec::new();
    for (_, path, length, kind) in all {
        let (Some(left), Some((_, media, _))) = (left.get_mut(kind), KINDS.get(kind)) else { continue };
        if *left >= length {
            *left -= length;
            files.push(Served { path, kind: media });
        }
    }
    files
}

/// FNV-1a of a path: the same files on every run.
fn hash(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Serves the files, notes what was found, and gives the bytes served.
fn scan(
    rules: &Arc<RuleSet>,
    files: &[&Served],
    found: &mut BTreeMap<(Severity, String), Vec<String>>,
) -> u64 {
    let mut bytes = 0;
    let mut frames = Vec::new();
    for (number, answers) in files.chunks(ANSWERS).enumerate() {
        let client = SocketAddr::from(([192, 0, 2, 10], 1024 + number as u16));
        let server = SocketAddr::from(([198, 51, 100, 80], 80));
        let mut connection = Connection::new(client, server).mss(16_000).handshake();
        for (index, file) in answers.iter().enumerate() {
            let Ok(body) = fs::read(&file.path) else { continue };
            bytes += body.len() as u64;
            let target = number * ANSWERS + index;
            let request = format!(
                "GET /f/{target} HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nUser-Agent: Mozilla/5.0\r\n\r\n"
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nETag: \"{:x}-{:x}\"\r\nContent-Length: {}\r\n\r\n",
                file.kind,
                hash(&file.path),
                body.len(),
                body.len()
            );
            connection = connection.to_server(request.as_bytes()).to_client(head.as_bytes()).to_client(&body);
        }
        frames.extend(connection.finish().frames());
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("quality-{}.pcap", std::process::id()));
    fs::write(&path, capture(&frames)).expect("a capture");
    let options = Options {
        jobs: 1,
        filter: None,
        severity: Severity::Info,
        confidence: Confidence::Low,
        reveal: false,
        every: false,
        join: false,
        explain: false,
        pulse: false,
        metered: false,
        key: FingerprintKey::new(b"the key of the bench"),
        confine: None,
        tape: None,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let mut on = |event: &Event| {
        if let Event::Leak(leak) = event {
            let target = leak.http.as_ref().and_then(|http| http.target.as_deref()).unwrap_or_default();
            let file = target.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
            let file = file.and_then(|number| files.get(number));
            let place = file.map(|file| file.path.display().to_string()).unwrap_or_default();
            let evidence: String = leak.evidence.chars().take(100).collect();
            let name = leak.name.as_deref().unwrap_or("-");
            let severity = leak.severity;
            let entry = format!("{place}: {} {name}: {evidence}", leak.confidence.as_str());
            found.entry((severity, leak.rule.clone())).or_default().push(entry);
        }
        Flow::Go
    };
    let inputs = [Input { path: path.clone(), named: true, size: None }];
    pipeline::scan(&inputs, Arc::clone(rules), &options, &mut on, &mut Silent);
    let _ = fs::remove_file(&path);
    bytes
}

/// Which keywords stand in the files, by kind of file: those that lead to much work and to nothing.
fn count_keywords(rules: &RuleSet, files: &[Served]) {
    let mut bytes = 0;
    let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let (mut with, mut hits) = (0_usize, Vec::new());
    for file in files {
        let Ok(body) = fs::read(&file.path) else { continue };
        bytes += body.len();
        hits.clear();
        rules.scan_body(&body, &mut hits);
        with += usize::from(!hits.is_empty());
        for hit in &hits {
            let word =
                body.get(hit.start as usize..hit.end as usize).unwrap_or_default().to_ascii_lowercase();
            *counts.entry(word).or_default() += 1;
        }
    }
    let megabytes = bytes as f64 / 1e6;
    let all: usize = counts.values().sum();
    println!("{} files, {megabytes:.1} MB, {with} files with a hit", files.len());
    println!("{:>8.1} hits per MB", all as f64 / megabytes);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (word, count) in counts.iter().take(60) {
        println!("{:>8.2}  {}", *count as f64 / megabytes, String::from_utf8_lossy(word));
    }
}
