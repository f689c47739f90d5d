//! Whole-engine throughput on one core: MB/s of capture, and the ratio to a plain read of the same file.
//!
//! `cargo bench --bench scan -- [NAME...] [--size MB] [--seed N] [--write FOLDER]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

mod generate;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use generate::{Truth, WORKLOADS};
use leaktap::model::event::Event;
use leaktap::model::secret::FingerprintKey;
use leaktap::model::{Confidence, Severity};
use leaktap::pipeline::{self, Flow, Options, Watch};
use leaktap::rule::RuleSet;
use leaktap::source::Input;

struct Silent;

impl Watch for Silent {
    fn problem(&mut self, problem: &str) {
        eprintln!("problem: {problem}");
    }
    fn note(&mut self, _: &str) {}
    fn skipped(&mut self, _: &str) {}
    fn progress(&mut self, _: u64, _: u64) {}
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let megabytes: usize = option("--size").map_or(200, |size| size.parse().expect("a number of MB"));
    let seed: u64 = option("--seed").map_or(1, |seed| seed.parse().expect("a number"));
    let folder =
        option("--write").map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench"), PathBuf::from);
    let named: Vec<&String> =
        arguments.iter().filter(|argument| WORKLOADS.iter().any(|known| known.name == **argument)).collect();
    fs::create_dir_all(&folder).expect("a folder for captures");
    let rules = Arc::new(RuleSet::load(true, &[]).expect("the shipped rules"));
    println!(
        "{:<8} {:>8} {:>10} {:>10} {:>7} {:>10} {:>13}",
        "", "MB", "read MB/s", "scan MB/s", "ratio", "jobs 2", "leaks found"
    );
    for workload in WORKLOADS
        .iter()
        .filter(|workload| named.is_empty() || named.iter().any(|name| *name == workload.name))
    {
        let path = folder.join(format!("{}-{seed}-{megabytes}.pcap", workload.name));
        let mut out = BufWriter::new(File::create(&path).expect("a capture"));
        let truth = (workload.write)(seed, megabytes << 20, &mut out).expect("a capture");
        out.flush().expect("a capture");
        let size = fs::metadata(&path).expect("a capture").len() as f64 / 1e6;
        if option("--write").is_some() {
            write_truth(&path.with_extension("truth.ndjson"), &truth);
        }
        let read = best(3, || read_plain(&path));
        let mut found = BTreeSet::new();
        let one = best(3, || found = scan(&path, &rules, 1));
        let mut shared = BTreeSet::new();
        let two = best(2, || shared = scan(&path, &rules, 2));
        assert!(found == shared, "what is found depends on the number of jobs");
        let hits = truth.iter().filter(|known| found.contains(*known)).count();
        println!(
            "{:<8} {size:>8.0} {:>10.0} {:>10.0} {:>6.1}x {:>9.2}x {:>6} of {:<6} {}",
            workload.name,
            size / read.as_secs_f64(),
            size / one.as_secs_f64(),
            one.as_secs_f64() / read.as_secs_f64(),
            one.as_secs_f64() / two.as_secs_f64(),
            hits,
            truth.len(),
            if found.len() > hits {
                format!("+{} other; {}", found.len() - hits, workload.about)
            } else {
                workload.about.to_owned()
            },
        );
        if option("--write").is_none() {
            fs::remove_file(&path).expect("a capture");
        }
    }
}

fn best(times: usize, mut run: impl FnMut()) -> Duration {
    let spans = (0..times).map(|_| {
        let begin = Instant::now();
        run();
        begin.elapsed()
    });
    spans.min().unwrap_or_default()
}

fn read_plain(path: &Path) {
    let mut file = File::open(path).expect("a capture");
    let mut block = vec![0; 256 << 10];
    while file.read(&mut block).expect("a capture") > 0 {
        std::hint::black_box(&block);
    }
}

fn scan(path: &Path, rules: &Arc<RuleSet>, jobs: usize) -> BTreeSet<Truth> {
    let options = Options {
        jobs,
        filter: None,
        severity: Severity::Info,
        confidence: Confidence::Low,
        reveal: true,
        every: false,
        explain: false,
        key: FingerprintKey::new(b"bench"),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let input = Input { path: path.to_owned(), named: true, size: None };
    let mut found = BTreeSet::new();
    let mut on = |event: &Event| {
        if let Event::Leak(leak) = event
            && let Some(value) = leak.secret.as_ref().and_then(|secret| secret.value.clone())
        {
            found.insert(Truth {
                surface: leak.surface.as_str(),
                name: leak.name.clone(),
                value,
                client: leak.flow.client.to_string(),
            });
        }
        Flow::Go
    };
    pipeline::scan(&[input], Arc::clone(rules), &options, &mut on, &mut Silent);
    found
}

fn write_truth(path: &Path, truth: &[Truth]) {
    let mut out = BufWriter::new(File::create(path).expect("a truth file"));
    for known in truth {
        let line = serde_json::json!({"surface": known.surface, "name": known.name, "value": known.value, "client": known.client});
        writeln!(out, "{line}").expect("a truth file");
    }
}
