//! What rules cost: time and memory to load them, and the walk over bytes with as many rules again and ten times as many.
//!
//! `cargo bench --bench rules`; fails where loading takes too long or too much.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement prints, and ends where it cannot go on"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leaktap::rule::RuleSet;

/// Loading the shipped rules takes at most so long, and so many MiB more.
const LOADING: Duration = Duration::from_millis(60);
const MEMORY: usize = 30;
/// The walk with ten times the rules takes at most so many times as long.
const GROWTH: f64 = 1.5;
/// Bytes that are walked, and how often; the best counts.
const BYTES: usize = 64 << 20;
const ROUNDS: usize = 5;
/// Bytes of the text that show what is common in it.
const SAMPLE: usize = 256 << 10;

fn main() {
    let before = resident();
    let (rules, loading) = best(ROUNDS, || RuleSet::load(true, &[]).expect("the shipped rules"));
    let held = resident().saturating_sub(before);
    println!("{} rules load in {loading:.1?} and hold {held} MiB", rules.rules().len());
    let text = page();
    let mut first = None;
    let mut growth = 1.0;
    for times in [1, 2, 5, 10] {
        let path = multiplied(&rules, times, &text);
        let paths: Vec<PathBuf> = path.iter().cloned().collect();
        let more = RuleSet::load(true, &paths).expect("rules made of the shipped ones");
        let (hits, walk) = best(ROUNDS, || {
            let mut hits = Vec::new();
            more.scan_body(&text, &mut hits);
            hits.len()
        });
        let speed = text.len() as f64 / walk.as_secs_f64() / 1e6;
        growth = walk.as_secs_f64() / *first.get_or_insert(walk.as_secs_f64());
        println!(
            "{times:>3} x: {:>5} rules, {speed:>6.0} MB/s, {hits} keywords, {growth:.2} times as long",
            more.rules().len()
        );
        path.map(fs::remove_file);
    }
    let too_much = loading > LOADING || held > MEMORY || growth > GROWTH;
    if too_much {
        println!("above {LOADING:?}, {MEMORY} MiB or {GROWTH} times");
        std::process::exit(1);
    }
}

/// The fastest of some runs, and what it gave.
fn best<T>(rounds: usize, mut run: impl FnMut() -> T) -> (T, Duration) {
    let mut fastest: Option<(T, Duration)> = None;
    for _ in 0..rounds {
        let begin = Instant::now();
        let value = run();
        let took = begin.elapsed();
        if fastest.as_ref().is_none_or(|(_, best)| took < *best) {
            fastest = Some((value, took));
        }
    }
    fastest.expect("at least one round")
}

/// A file with the typed rules so many times less one, their prefixes changed: other keywords of the same look.
fn multiplied(rules: &RuleSet, times: usize, page: &[u8]) -> Option<PathBuf> {
    let sample = page.get(..SAMPLE).expect("a page").to_ascii_lowercase();
    let mut text = String::new();
    for round in 1..times {
        for rule in rules.rules().iter().filter(|rule| rule.is_typed() && rule.regex().is_some()) {
            let keywords: Vec<String> =
                rule.keywords.iter().map(|keyword| other(keyword, round, &sample)).collect();
            let _ = writeln!(
                text,
                "[[rules]]\nid = \"{}-{round}\"\nregex = '''\\b([a-z0-9_]{{24,64}})\\b'''\nkeywords = {keywords:?}",
                rule.text.id
            );
        }
    }
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rules-{}-{times}.toml", std::process::id()));
    (times > 1).then(|| {
        fs::write(&path, text).expect("a rule file");
        path
    })
}

/// A keyword of the same length and kinds of characters, as rare in the text as those of the shipped rules.
fn other(keyword: &str, round: usize, sample: &[u8]) -> String {
    let rare = |word: &String| memchr::memmem::find(sample, word.as_bytes()).is_none();
    (0..26).map(|more| shifted(keyword, round + more)).find(rare).unwrap_or_else(|| shifted(keyword, round))
}

fn shifted(keyword: &str, round: usize) -> String {
    let shift = |first: u8, byte: u8, count: usize| {
        char::from(first + ((usize::from(byte - first) + round * 7 + 3) % count) as u8)
    };
    keyword
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' => shift(b'a', byte, 26),
            b'0'..=b'9' => shift(b'0', byte, 10),
            other => char::from(other),
        })
        .collect()
}

/// Text like that of scripts and pages, without any secret.
fn page() -> Vec<u8> {
    let mut text = String::with_capacity(BYTES + 256);
    let mut number = 0_u64;
    while text.len() < BYTES {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = (number >> 33 & 0xffff, number >> 17 & 0xffff);
        let _ = writeln!(
            text,
            "<li class=\"row r{a}\"><a href=\"/items/{b}?page={a}\" title=\"Kettle {b}\">Kettle {a}</a> function(e,t){{return e.n{a}+t.m{b}}}</li>"
        );
    }
    text.into_bytes()
}

/// MiB that the process holds; 0 where the system does not say.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()));
    (pages.unwrap_or(0) * 4096) >> 20
}
