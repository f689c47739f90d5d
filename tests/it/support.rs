//! What the tests share: captures in memory scanned by the whole engine, and leaks reduced to what cases speak of.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use leaktap::model::event::{Event, Leak};
use leaktap::model::secret::FingerprintKey;
use leaktap::model::{Confidence, Severity};
use leaktap::pipeline::{self, Flow, Options, Outcome, Watch};
use leaktap::rule::RuleSet;
use leaktap::source::memory::Kept;
use leaktap::source::memory::write::capture;
use leaktap::source::{self, Input};
use serde::Deserialize;

/// The shipped rules, loaded once.
pub(crate) static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    Arc::new(RuleSet::load(true, &[]).unwrap_or_else(|error| panic!("the shipped rules: {error}")))
});

/// What two tellings of one leak have in common however the network spoiled the frames: rule, surface, name, value,
/// exposures.
pub(crate) type Key = (String, String, Option<String>, Option<String>, Vec<String>);

/// A leak as a case expects it. What is left out is not compared.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) rule: String,
    pub(crate) surface: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) value: Option<String>,
    pub(crate) exposures: Vec<String>,
    #[serde(default)]
    pub(crate) severity: Option<String>,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) frames: Option<[u64; 2]>,
    #[serde(default)]
    pub(crate) evidence: Option<String>,
    #[serde(default)]
    pub(crate) confidence: Option<String>,
    /// Whether the status is null.
    #[serde(default)]
    pub(crate) unanswered: Option<bool>,
    /// How many leaks it is related to.
    #[serde(default)]
    pub(crate) related: Option<usize>,
    /// Client and server.
    #[serde(default)]
    pub(crate) flow: Option<[String; 2]>,
}

impl Expected {
    /// The leak, with what `like` leaves out left out.
    pub(crate) fn of(leak: &Leak, like: &Self) -> Self {
        let exposures = leak.exposures.iter().map(|exposure| serde_json::to_value(exposure).unwrap());
        Self {
            rule: leak.rule.clone(),
            surface: leak.surface.as_str().to_owned(),
            name: leak.name.clone(),
            value: leak.secret.as_ref().and_then(|secret| secret.value.clone()),
            exposures: exposures.map(|exposure| exposure.as_str().unwrap().to_owned()).collect(),
            severity: like.severity.as_ref().map(|_| leak.severity.as_str().to_owned()),
            status: like.status.and(leak.http.as_ref()).and_then(|http| http.status),
            frames: like.frames.map(|_| leak.frames),
            evidence: like.evidence.as_ref().map(|_| leak.evidence.clone()),
            confidence: like.confidence.as_ref().map(|_| leak.confidence.as_str().to_owned()),
            unanswered: like.unanswered.map(|_| leak.http.as_ref().is_none_or(|http| http.status.is_none())),
            related: like.related.map(|_| leak.related.len()),
            flow: like.flow.as_ref().map(|_| [leak.flow.client.to_string(), leak.flow.server.to_string()]),
        }
    }

    /// What two tellings of one leak have in common however the network spoiled the frames.
    pub(crate) fn key(&self) -> Key {
        (
            self.rule.clone(),
            self.surface.clone(),
            self.name.clone(),
            self.value.clone(),
            self.exposures.clone(),
        )
    }
}

/// A leak that nothing is left out of but severity, status, frames and evidence.
pub(crate) fn plain(leak: &Leak) -> Expected {
    let like = Expected {
        rule: String::new(),
        surface: String::new(),
        name: None,
        value: None,
        exposures: Vec::new(),
        severity: None,
        status: None,
        frames: None,
        evidence: None,
        confidence: None,
        unanswered: None,
        related: None,
        flow: None,
    };
    Expected::of(leak, &like)
}

/// What a scan said beside its events.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) problems: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) skipped: Vec<String>,
}

impl Watch for Said {
    fn problem(&mut self, problem: &str) {
        self.problems.push(problem.to_owned());
    }
    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }
    fn skipped(&mut self, path: &str) {
        self.skipped.push(path.to_owned());
    }
    fn progress(&mut self, _bytes: u64, _leaks: u64) {}
}

pub(crate) fn options(jobs: usize) -> Options {
    Options {
        jobs,
        filter: None,
        severity: Severity::Info,
        confidence: Confidence::Low,
        reveal: true,
        every: false,
        join: false,
        explain: false,
        pulse: false,
        metered: false,
        key: FingerprintKey::new(b"the key of the tests"),
        confine: None,
        tape: None,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

/// All events of a scan of some files.
pub(crate) fn scan_files(paths: &[&Path], options: &Options) -> (Vec<Event>, Said, Outcome) {
    let inputs: Vec<Input> =
        paths.iter().map(|path| Input { path: path.to_path_buf(), named: true, size: None }).collect();
    let mut events = Vec::new();
    let mut said = Said::default();
    let mut on = |event: &Event| {
        events.push(event.clone());
        Flow::Go
    };
    let outcome = pipeline::scan(&inputs, Arc::clone(&RULES), options, &mut on, &mut said);
    (events, said, outcome)
}

/// All events of a scan of frames.
pub(crate) fn scan_frames(frames: &[Kept], options: &Options) -> (Vec<Event>, Said, Outcome) {
    let file = tempfile::Builder::new().suffix(".pcap").tempfile().unwrap();
    std::fs::write(file.path(), capture(frames)).unwrap();
    scan_files(&[file.path()], options)
}

/// What follows from nearly every leak in clear: tests of other things do not name it.
const CONSEQUENCES: [&str; 2] = ["key-over-plain-http", "secret-in-cacheable-answer"];

/// The leaks, without what only follows from them.
pub(crate) fn leaks(events: &[Event]) -> Vec<&Leak> {
    let leaks = events.iter().filter_map(|event| match event {
        Event::Leak(leak) if !CONSEQUENCES.contains(&leak.rule.as_str()) => Some(&**leak),
        _ => None,
    });
    leaks.collect()
}

/// The leaks of some frames, by what they have in common however the network spoiled the frames.
pub(crate) fn found(frames: &[Kept]) -> BTreeSet<Key> {
    let (events, _, _) = scan_frames(frames, &options(1));
    leaks(&events).into_iter().map(|leak| plain(leak).key()).collect()
}

/// The frames of a capture file.
pub(crate) fn frames_of(path: &Path) -> Vec<Kept> {
    let mut file = source::open(path, None).unwrap();
    source::memory::keep(&mut file).unwrap_or_else(|(frames, _)| frames)
}
