//! Interface of the pipeline that faces are written against; the pipeline itself replaces this file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::model::event::Event;
use crate::model::secret::FingerprintKey;
use crate::model::{Confidence, Severity};
use crate::rule::RuleSet;

/// What a run is to do.
pub struct Options {
    /// Workers.
    pub jobs: usize,
    /// A capture filter in libpcap's syntax.
    pub filter: Option<String>,
    /// The least severity to tell.
    pub severity: Severity,
    /// The least confidence to tell.
    pub confidence: Confidence,
    /// Whether values are told.
    pub reveal: bool,
    /// Whether each sighting is told.
    pub every: bool,
    /// The installation's fingerprint key.
    pub key: FingerprintKey,
    /// Set from outside to end early and cleanly.
    pub stop: Arc<AtomicBool>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// The path as reached from what was asked for.
    pub display: String,
    /// Named itself, not found in a folder.
    pub explicit: bool,
    /// Its size, where that is known.
    pub bytes: Option<u64>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Go,
    /// Nobody listens any more.
    Stop,
}

/// Who is told how a run goes.
pub trait Watch {
    /// Something could not be done; the run goes on.
    fn problem(&mut self, problem: &str);
    /// A file of a folder is no capture.
    fn skipped(&mut self, path: &str);
    /// Bytes read and leaks told so far.
    fn progress(&mut self, bytes: u64, leaks: u64);
    /// A candidate was held back by its rule: where, its redacted form (revealed where the options say so), and why.
    fn suppressed(&mut self, _rule: &str, _place: &str, _redacted: &str, _reason: &str) {}
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The worst leak told.
    pub worst: Option<Severity>,
    /// What could not be done.
    pub problems: u64,
    /// Files of folders that are no captures.
    pub skipped: u64,
}

/// The inputs that arguments name; what cannot be reached stands in its place as an error.
#[must_use]
pub fn inputs(arguments: &[PathBuf]) -> Vec<Result<Input, String>> {
    arguments
        .iter()
        .map(|path| {
            let display = path.display().to_string();
            let bytes = match std::fs::metadata(path) {
                _ if display == "-" => None,
                Ok(metadata) => metadata.is_file().then_some(metadata.len()),
                Err(error) => return Err(format!("cannot read {display}: {error}")),
            };
            Ok(Input { path: path.clone(), display, explicit: true, bytes })
        })
        .collect()
}

/// Reads the inputs in their order and tells what leaks in them.
pub fn scan(
    inputs: &[Input],
    _rules: Arc<RuleSet>,
    _options: &Options,
    _on: &mut dyn FnMut(&Event) -> Flow,
    watch: &mut dyn Watch,
) -> Outcome {
    for input in inputs {
        watch.problem(&format!("cannot read {}: the pipeline is missing from this build", input.display));
    }
    Outcome { problems: inputs.len() as u64, ..Outcome::default() }
}
