//! What is found becomes events: filtered, told once, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{Consequences, LostInFlow, Released, Report};
use crate::ledger::Ledger;
use crate::model::event::{self, End, Event, Flow as FlowEvent, Lost, Process};
use crate::model::finding::Finding;
use crate::model::origin::Placed;
use crate::model::{FlowKey, Severity};
use crate::packet::GivenUp;
use crate::process::Attribution;
use crate::rule::RuleSet;

use super::{Capture, Flow, Options, Read, Watch};

/// Takes what engines release, in order, and passes events on.
pub(super) struct Teller<'a> {
    options: &'a Options,
    on: &'a mut dyn FnMut(&Event) -> Flow,
    ledger: Ledger,
    consequences: Consequences,
    /// Knows whose connections are, live.
    attribution: Option<&'a Attribution>,
    leaks: BTreeMap<Severity, u64>,
    held_back: BTreeMap<String, u64>,
    again: u64,
    /// What one frame released: related findings come together, and refer to each other.
    together: Vec<Together>,
    frame: u64,
    /// The worst leak told.
    pub(super) worst: Option<Severity>,
    stopped: bool,
}

impl<'a> Teller<'a> {
    pub(super) fn new(options: &'a Options, rules: &RuleSet, on: &'a mut dyn FnMut(&Event) -> Flow) -> Self {
        Self {
            options,
            on,
            ledger: Ledger::default(),
            consequences: Consequences::new(rules),
            attribution: None,
            leaks: BTreeMap::new(),
            held_back: BTreeMap::new(),
            again: 0,
            together: Vec::new(),
            frame: 0,
            worst: None,
            stopped: false,
        }
    }

    /// From here on leaks name their processes.
    pub(super) fn attribute(&mut self, attribution: Option<&'a Attribution>) {
        self.attribution = attribution;
    }

    /// Takes what was released of the capture `source`. It may wait for [`Teller::settle`].
    pub(super) fn tell(&mut self, released: Released, capture: &Capture, watch: &mut dyn Watch) {
        if released.frame != self.frame {
            self.settle(watch);
            self.frame = released.frame;
        }
        match released.report {
            Report::Finding(finding) => self.finding(finding, watch),
            Report::Lost(lost) => self.together.push(Together::Lost(lost_event(&lost, capture))),
            Report::Suppressed(unsaid) => {
                watch.suppressed(&unsaid.rule, &unsaid.place, &unsaid.redacted, &unsaid.reason)
            }
        }
    }

    /// Tells what waits: all that one frame released has been taken.
    pub(super) fn settle(&mut self, watch: &mut dyn Watch) {
        for report in std::mem::take(&mut self.together) {
            match report {
                Together::Lost(lost) => self.emit(&Event::Lost(lost)),
                Together::Finding(mut finding, process) => {
                    self.ledger.relate(&mut finding);
                    *self.leaks.entry(finding.severity).or_default() += 1;
                    self.worst = self.worst.max(Some(finding.severity));
                    watch.told(&finding, process.as_ref());
                    let leak = event::leak(&finding, process, self.options.reveal, self.options.explain);
                    self.emit(&Event::Leak(Box::new(leak)));
                }
            }
        }
    }

    fn finding(&mut self, finding: Box<Finding>, watch: &mut dyn Watch) {
        let (is_wanted, process) = self.who(&finding);
        let held_back = if finding.severity < self.options.severity {
            Some("below-severity")
        } else if finding.confidence < self.options.confidence {
            Some("below-confidence")
        } else if !is_wanted {
            Some("other-process")
        } else if watch.is_known(&finding) {
            Some("known")
        } else {
            None
        };
        if let Some(cause) = held_back {
            *self.held_back.entry(cause.to_owned()).or_default() += 1;
            return;
        }
        if !self.ledger.is_first(&finding) {
            self.again += 1;
            if let Some(told) = self.ledger.told(&finding) {
                watch.sighting(told, &finding);
            }
            if !self.options.every {
                return;
            }
        }
        let follows = self.consequences.of(&finding).filter(|follows| {
            follows.severity >= self.options.severity && follows.confidence >= self.options.confidence
        });
        self.together.push(Together::Finding(finding, process.clone()));
        if let Some(follows) = follows
            && !self.ledger.knows(&follows)
            && !watch.is_known(&follows)
            && self.ledger.is_first(&follows)
        {
            self.together.push(Together::Finding(Box::new(follows), process));
        }
    }

    /// Whether a finding is of those that are asked for, and whose it is.
    fn who(&self, finding: &Finding) -> (bool, Option<Process>) {
        let Some(attribution) = self.attribution else { return (true, None) };
        let flow = &finding.flow;
        let (key, client) = FlowKey::new(flow.client, flow.server, flow.transport);
        let parties = attribution.of(key, client);
        let sender = if finding.surface.is_of_response() { End::Server } else { End::Client };
        (attribution.admits(&parties), parties.told(sender))
    }

    /// Fragments that could not be put together.
    pub(super) fn given_up(&mut self, given_up: &[GivenUp], capture: &Capture, watch: &mut dyn Watch) {
        for given_up in given_up {
            self.lost(given_up_event(given_up, capture), watch);
        }
    }

    /// What was lost outside any flow.
    pub(super) fn lost(&mut self, lost: Lost, watch: &mut dyn Watch) {
        self.settle(watch);
        self.emit(&Event::Lost(lost));
    }

    /// Other rules are in force from here on.
    pub(super) fn follow(&mut self, rules: &RuleSet) {
        self.consequences = Consequences::new(rules);
    }

    /// Tells the sightings of known leaks that were not told yet.
    pub(super) fn again(&mut self) {
        if !self.options.every {
            for again in self.ledger.again() {
                self.emit(&Event::Again(again));
            }
        }
    }

    /// The last events: further sightings, and the summary.
    pub(super) fn finish(&mut self, read: &Read, watch: &mut dyn Watch) {
        self.settle(watch);
        self.again();
        let mut summary = read.stats.summary();
        summary.sources = read.sources;
        summary.leaks = std::mem::take(&mut self.leaks);
        summary.held_back = std::mem::take(&mut self.held_back);
        summary.again = self.again;
        summary.drops = read.drops;
        self.emit(&Event::Summary(Box::new(summary)));
    }

    /// Leaks told so far.
    pub(super) fn leaks(&self) -> u64 {
        self.leaks.values().sum()
    }

    /// Whether nobody listens any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn emit(&mut self, event: &Event) {
        if !self.stopped && (self.on)(event) == Flow::Stop {
            self.stopped = true;
        }
    }
}

enum Together {
    Finding(Box<Finding>, Option<Process>),
    Lost(Lost),
}

fn lost_event(lost: &LostInFlow, capture: &Capture) -> Lost {
    Lost {
        flow: Some(FlowEvent::from(&lost.flow)),
        direction: Some(lost.direction),
        ..lost_at(lost.reason, [lost.count, lost.bytes], lost.frames, capture)
    }
}

/// Fragments of which no datagram could be made.
pub(super) fn given_up_event(given_up: &GivenUp, capture: &Capture) -> Lost {
    lost_at(given_up.reason, [given_up.count, given_up.bytes], given_up.frames, capture)
}

fn lost_at(reason: &str, [count, bytes]: [u64; 2], frames: [u64; 2], capture: &Capture) -> Lost {
    let placed = capture.origins.as_ref().and_then(|origins| origins.of_both(frames));
    let Placed { source, frames, last_source } =
        placed.unwrap_or_else(|| Placed { source: Arc::clone(&capture.name), frames, last_source: None });
    Lost {
        reason: reason.to_owned(),
        flow: None,
        direction: None,
        count,
        bytes,
        frames,
        source: source.to_string(),
        last_source: last_source.as_ref().map(ToString::to_string),
    }
}
