//! What a run says becomes news for the screen, and events for the sinks beside it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Looked;
use crate::baseline::{Baseline, Sighting as Known};
use crate::cli::rules;
use crate::cli::telling::Telling;
use crate::config::Config;
use crate::model::event::{self, Event, Process};
use crate::model::finding::{Finding, FindingId};
use crate::model::pulse::Pulse;
use crate::model::{Severity, Timestamp};
use crate::pipeline::{Courier, Flow, Options, Outcome, Pace, Watch};
use crate::rule::RuleSet;
use crate::tui::{News, RuleNow, Sighting, Told};

/// Brings the news of one run.
pub(super) struct Newsman<'a> {
    courier: Courier,
    config: &'a Config,
    reload: &'a AtomicBool,
    telling: Option<Telling>,
    knows: Knows,
    /// Whether values may be revealed: else none leaves the run.
    reveals: bool,
}

/// What is known to the user: the screen has it muted, other sinks do not get it.
struct Knows {
    baseline: Baseline,
    begun: Timestamp,
    /// Whether the leak at hand is known.
    at_hand: bool,
    /// The worst that is not known.
    worst: Option<Severity>,
}

impl<'a> Newsman<'a> {
    pub(super) fn new(
        courier: Courier,
        config: &'a Config,
        reload: &'a AtomicBool,
        (baseline, begun): (Baseline, Timestamp),
        telling: Option<Telling>,
        reveals: bool,
    ) -> Self {
        let knows = Knows { baseline, begun, at_hand: false, worst: None };
        Self { courier, config, reload, telling, knows, reveals }
    }

    /// Runs to the end; what it came to, and whether a sink failed.
    pub(super) fn run(
        self,
        looked: Looked,
        rules: Arc<RuleSet>,
        options: &Options,
        pace: &Pace,
    ) -> (Outcome, bool) {
        let Self { courier, config, reload, mut telling, knows, reveals } = self;
        courier.bring(News::Rules(listed(&rules), false));
        let knows = std::cell::RefCell::new(knows);
        let mut watching = Watching { courier: &courier, config, reload, knows: &knows, reveals };
        let mut on = |event: &Event| {
            match event {
                Event::Lost(lost) => courier.bring(News::Lost(lost.clone())),
                Event::Summary(summary) => courier.bring(News::Summary(summary.clone())),
                // The screen has more of these by other ways.
                Event::Leak(_) | Event::Again(_) => {}
            }
            let is_known = matches!(event, Event::Leak(_)) && knows.borrow().at_hand;
            if let (Some(telling), false) = (&mut telling, is_known) {
                // A screen goes on without its sinks.
                let _ = telling.event(event);
            }
            Flow::Go
        };
        let mut outcome = looked.run(rules, options, pace, &mut on, &mut watching);
        outcome.worst = knows.borrow().worst;
        let mut failed = false;
        if let Some(telling) = &mut telling {
            telling.finish();
            failed = telling.failed;
        }
        (outcome, failed)
    }
}

/// The rules in force, as the screen lists them.
fn listed(rules: &RuleSet) -> Vec<RuleNow> {
    rules.rules().iter().map(|rule| RuleNow { id: rule.text.id.clone(), file: rule.file.clone() }).collect()
}

struct Watching<'a> {
    courier: &'a Courier,
    config: &'a Config,
    reload: &'a AtomicBool,
    knows: &'a std::cell::RefCell<Knows>,
    reveals: bool,
}

impl Watch for Watching<'_> {
    fn problem(&mut self, problem: &str) {
        self.courier.bring(News::Note(problem.to_owned(), true));
    }

    fn note(&mut self, note: &str) {
        self.courier.bring(News::Note(note.to_owned(), false));
    }

    fn skipped(&mut self, path: &str) {
        self.courier.bring(News::Note(format!("skipped {path}: it is no capture"), false));
    }

    fn told(&mut self, finding: &Finding, process: Option<&Process>) {
        let mut knows = self.knows.borrow_mut();
        let now = knows.begun.max(finding.time);
        knows.at_hand = knows.baseline.knows(&Known::from(finding), now).is_some();
        if !knows.at_hand {
            knows.worst = knows.worst.max(Some(finding.severity));
        }
        let value = finding.secret.as_ref().filter(|_| self.reveals).map(|secret| secret.value.clone());
        let leak = event::leak(finding, process.cloned(), false, true);
        let story = finding.story.clone();
        self.courier.bring(News::Leak(Box::new(Told { leak, value, story })));
    }

    fn sighting(&mut self, told: FindingId, finding: &Finding) {
        let [frame, _] = finding.frames;
        let sighting = Sighting { leak: told, time: finding.time, client: finding.flow.client, frame };
        self.courier.bring(News::Sighting(sighting));
    }

    fn pulse(&mut self, mut pulse: Box<Pulse>) {
        pulse.memory = memory();
        self.courier.bring(News::Pulse(pulse));
    }

    fn rules(&mut self) -> Option<Arc<RuleSet>> {
        if !self.reload.swap(false, Ordering::Relaxed) {
            return None;
        }
        match rules::in_force(self.config) {
            Ok(rules) => {
                self.courier.bring(News::Rules(listed(&rules), true));
                Some(Arc::new(rules))
            }
            Err(error) => {
                for line in format!("{error:#}").lines() {
                    self.problem(line);
                }
                self.problem("the rules in force stay as they were");
                None
            }
        }
    }

    fn progress(&mut self, _bytes: u64, _leaks: u64) {}
}

/// Bytes of memory of this process, where the system tells.
fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
