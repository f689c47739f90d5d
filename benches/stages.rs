//! Each stage of the engine by itself, over what the stages before it made of a generated capture: its speed, and beside it
//! that of the plainest pass over the same bytes.
//!
//! `cargo bench --bench stages -- [NAME...] [--size MB] [--runs N]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends where it cannot go on"
)]
#![expect(
    dead_code,
    reason = "of the generator the captures alone are of use here, not their truth and goals"
)]

mod generate;
mod prepare;

use std::hint::black_box;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, StartKind};
use rustix::time::{ClockId, clock_gettime};

use generate::WORKLOADS;
use leaktap::content::{self, Document, Media, Wanted};
use leaktap::engine::{Engine, Intake, LIMITS, Settings};
use leaktap::flow::Now;
use leaktap::model::secret::FingerprintKey;
use leaktap::model::{Frame, Surface, Timestamp};
use leaktap::packet::{self, Packet};
use leaktap::rule::RuleSet;
use leaktap::source::{self, Next, Source};
use prepare::{Kept, Order, Silent, Taker, decode, frames, reassembled};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The workloads that are measured where none is named, the MB of each, and runs of each pass (the fastest counts).
const NAMED: [&str; 3] = ["bulk", "small", "hostile"];
const SIZE: usize = 64;
const RUNS: usize = 5;

/// What bounds the stages.
const READ: &str = "read of the memory";
const WALK: &str = "one walk of the automaton";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let any = WORKLOADS.iter().any(|workload| has(workload.name));
    let rules = Arc::new(RuleSet::load(true, &[]).expect("the shipped rules"));
    let runs = number("--runs").unwrap_or(RUNS).max(1);
    println!(
        "{:<8} {:<12} {:>6} {:>8}   {:<24} {:>8} {:>8}",
        "", "", "MB", "MB/s", "bound", "MB/s", "x bound"
    );
    for workload in WORKLOADS {
        if has(workload.name) || !any && NAMED.contains(&workload.name) {
            let mut capture = Vec::new();
            let size = number("--size").unwrap_or(SIZE) * 1_000_000;
            (workload.write)(1, size, &mut capture).expect("a capture");
            stages(&Lines { runs, workload: workload.name }, &rules, &Arc::from(capture));
        }
    }
}

/// Prints a line of each stage.
struct Lines {
    runs: usize,
    workload: &'static str,
}

impl Lines {
    fn print(&self, stage: &str, bytes: usize, pass: &mut dyn FnMut(), bound: &str, plain: &mut dyn FnMut()) {
        let size = bytes as f64 / 1e6;
        let (speed, most) = (size / self.fastest(pass), size / self.fastest(plain));
        println!(
            "{:<8} {stage:<12} {size:>6.0} {speed:>8.0}   {bound:<24} {most:>8.0} {:>8.1}",
            self.workload,
            most / speed
        );
    }

    /// Seconds of processor time of the fastest run.
    fn fastest(&self, pass: &mut dyn FnMut()) -> f64 {
        let spans = (0..self.runs).map(|_| {
            let begin = processor();
            pass();
            (processor() - begin).as_secs_f64()
        });
        spans.fold(f64::INFINITY, f64::min).max(1e-9)
    }
}

fn processor() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// A body of an answer: as sent, decoded, and where in it keywords stand.
struct Body {
    media: Media,
    sent: Vec<u8>,
    text: Vec<u8>,
    hits: Vec<Range<usize>>,
}

impl Body {
    fn new(rules: &RuleSet, media: Media, sent: Vec<u8>) -> Self {
        let text = decode(&media, &sent);
        let mut found = Vec::new();
        rules.scan_body(&text, &mut found);
        let hits = found.iter().map(|found| found.start as usize..found.end as usize).collect();
        Self { media, sent, text, hits }
    }
}

fn stages(lines: &Lines, rules: &Arc<RuleSet>, capture: &Arc<[u8]>) {
    let frames = frames(capture);
    let at = |frame: &Frame<'_>| Now { frame: frame.number, time: frame.time };
    let packets: Vec<(Packet<'_>, Now)> =
        frames.iter().map(|frame| (packet::decode(frame), at(frame))).collect();
    let order = reassembled::<Order>(&packets);
    let mut taker = Taker { kept: Some(Kept::default()), ..Taker::default() };
    order.by_flow().parse(&mut taker);
    let Kept { heads, bodies } = taker.kept.unwrap_or_default();
    let bodies: Vec<Body> = bodies.into_iter().map(|(media, sent)| Body::new(rules, media, sent)).collect();
    let heads = || heads.iter().map(Vec::as_slice);
    let texts = || bodies.iter().map(|body| body.text.as_slice());
    let keywords = automaton(rules);
    let whole = capture.len();
    let (streams, decoded) = (order.bytes.len(), texts().map(<[u8]>::len).sum());

    let mut read = || sum(capture);
    lines.print("source", whole, &mut || walk(capture), READ, &mut read);
    lines.print("decode", whole, &mut || frames.iter().for_each(decode_frame), READ, &mut read);
    lines.print("reassembly", whole, &mut || reassemble(&packets), READ, &mut read);
    for (name, heads) in [("http1", false), ("http1, heads", true)] {
        let mut pass = || order.parse(&mut Taker { heads, kept: None });
        lines.print(name, streams, &mut pass, READ, &mut || sum(&order.bytes));
    }
    let mut pass = || bodies.iter().for_each(content);
    let mut search = || texts().for_each(two_bytes);
    lines.print("content", decoded, &mut pass, "search for two bytes", &mut search);
    let mut found = Vec::new();
    let mut match_heads = || {
        heads().for_each(|head| {
            found.clear();
            rules.scan(head, &mut found);
        });
    };
    let mut walk = || heads().for_each(|head| one_walk(&keywords, head));
    lines.print("match, heads", heads().map(<[u8]>::len).sum(), &mut match_heads, WALK, &mut walk);
    let mut found = Vec::new();
    let mut match_bodies = || {
        texts().for_each(|text| {
            found.clear();
            rules.scan_body(text, &mut found);
        });
    };
    let mut walk = || texts().for_each(|text| one_walk(&keywords, text));
    lines.print("match", decoded, &mut match_bodies, WALK, &mut walk);
    lines.print("engine", whole, &mut || engine(rules, &frames), READ, &mut read);
}

/// Every byte is looked at, eight at a time.
fn sum(bytes: &[u8]) {
    let (words, _) = bytes.as_chunks::<8>();
    black_box(words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word))));
}

/// Reads a capture as from a file that is in memory.
fn walk(capture: &Arc<[u8]>) {
    let file = Box::new(Cursor::new(Arc::clone(capture)));
    let mut source = source::from_reader(Path::new("bench"), file, None).expect("a capture");
    while let Next::Frame(frame) = source.next().expect("a capture") {
        black_box(frame.bytes.len());
    }
}

fn decode_frame(frame: &Frame<'_>) {
    black_box(packet::decode(frame));
}

fn reassemble(packets: &[(Packet<'_>, Now)]) {
    black_box(reassembled::<Silent>(packets));
}

/// What the engine does with a body beside the rules: codings undone, marks of what is encoded looked for, structure read where
/// keywords stand.
fn content(body: &Body) {
    let text = decode(&body.media, &body.sent);
    let mut places = Vec::new();
    content::marks(&text, &mut places);
    places.extend_from_slice(&body.hits);
    places.sort_by_key(|place| place.start);
    if !places.is_empty() {
        let document =
            Document { bytes: &text, media: &body.media, surface: Surface::ResponseBody, partial: false };
        content::fields(&document, &Wanted::At(&places), &mut |field| drop(black_box(field)));
    }
}

fn engine(rules: &Arc<RuleSet>, frames: &[Frame<'_>]) {
    let key = FingerprintKey::new(b"bench");
    let settings = Settings { rules: Arc::clone(rules), key, limits: LIMITS, explain: false, watched: false };
    let mut engine = Engine::new(&settings);
    let mut intake = Intake::default();
    let mut last = (0, Timestamp::default());
    for frame in frames {
        last = (frame.number, frame.time);
        intake.sort(frame, |shard, frame, packet| engine.packet(shard, packet, frame.number, frame.time));
    }
    engine.finish(last.0, last.1);
    engine.released().for_each(|released| drop(black_box(released)));
}

/// All keywords in one automaton, as the rules have them.
fn automaton(rules: &RuleSet) -> DFA {
    let mut keywords: Vec<&String> = rules.rules().iter().flat_map(|rule| &rule.keywords).collect();
    keywords.sort_unstable();
    keywords.dedup();
    DFA::builder()
        .ascii_case_insensitive(true)
        .start_kind(StartKind::Unanchored)
        .prefilter(false)
        .build(keywords)
        .expect("an automaton")
}

/// One look-up a byte; what is found is counted.
fn one_walk(automaton: &DFA, bytes: &[u8]) {
    let mut state = automaton.start_state(Anchored::No).expect("a start");
    let mut found = 0;
    for &byte in bytes {
        state = automaton.next_state(Anchored::No, state, byte);
        found += usize::from(automaton.is_special(state) && automaton.is_match(state));
    }
    black_box(found);
}

/// Those that say that something is encoded.
fn two_bytes(bytes: &[u8]) {
    black_box(memchr::memchr2_iter(b'%', b'\\', bytes).count());
}
