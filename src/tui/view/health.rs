//! How the run goes: what was read, what was lost and why, what waits, what is in force.

use std::collections::BTreeMap;

use ratatui::text::{Line, Span};

use super::super::app::App;
use super::super::store::LEAKS;
use super::super::theme::Part;
use super::cells::{cut, fit};
use super::part;
use crate::model::shown::{bytes, clean, count, number, wrap};

/// Columns of the labels.
const LABEL: usize = 14;
/// Files of rules that are listed.
const FILES: usize = 40;

pub(super) fn lines(app: &App) -> Vec<Line<'static>> {
    let mut page = Page { app, lines: Vec::new() };
    page.read();
    page.losses();
    page.room();
    page.mutes();
    page.rules();
    page.notes();
    page.lines
}

struct Page<'a> {
    app: &'a App,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn read(&mut self) {
        let pulse = &self.app.pulse;
        self.title("Read");
        self.entry("frames", &format!("{}, {}", number(pulse.frames), bytes(pulse.bytes)), Part::Text);
        self.entry("flows", &format!("{}, {} open", number(pulse.flows), number(pulse.open)), Part::Text);
        self.entry("finished", &listed(&pulse.protocols), Part::Text);
        self.entry("messages", &listed(&pulse.messages), Part::Text);
        if let Some(behind) = pulse.behind {
            let style = if behind.as_secs() >= 2 { Part::Warning } else { Part::Text };
            self.entry("behind", &format!("{:.1} s behind the wire", behind.as_secs_f32()), style);
        }
        if let Some(summary) = &self.app.summary {
            let leaks: u64 = summary.leaks.values().sum();
            let text = format!(
                "the run is over: {} in {:.1} s of capture",
                count(leaks, "leak", "leaks"),
                summary.seconds
            );
            self.entry("end", &text, Part::Title);
        }
    }

    fn losses(&mut self) {
        let pulse = &self.app.pulse;
        self.title("Lost and not looked into");
        let mut is_whole = true;
        for (reason, &frames) in pulse.drops.iter().filter(|(_, frames)| **frames > 0) {
            is_whole = false;
            self.entry(reason, &count(frames, "frame", "frames"), Part::Fault);
        }
        if self.app.dropped > 0 {
            is_whole = false;
            let text = format!(
                "{} did not reach this screen; other sinks have them",
                count(self.app.dropped, "piece of news", "pieces of news")
            );
            self.entry("screen", &text, Part::Fault);
        }
        for (reason, loss) in &self.app.losses {
            if pulse.drops.contains_key(reason) {
                continue;
            }
            is_whole = false;
            let size = if loss.bytes > 0 { format!(", {}", bytes(loss.bytes)) } else { String::new() };
            self.entry(reason, &format!("{}{size}", count(loss.count, "time", "times")), Part::Warning);
        }
        for (reason, &amount) in &pulse.not_inspected {
            is_whole = false;
            self.entry(reason, &format!("{}, not looked into", number(amount)), Part::Text);
        }
        let (gaps, missing) = pulse.gaps;
        if gaps > 0 {
            let text = format!("{} in streams, {} missing", count(gaps, "hole", "holes"), bytes(missing));
            self.entry("gaps", &text, Part::Warning);
            is_whole = false;
        }
        if pulse.malformed > 0 {
            self.entry("malformed", &count(pulse.malformed, "frame", "frames"), Part::Text);
            is_whole = false;
        }
        if is_whole {
            self.entry("", "nothing", Part::Good);
        }
    }

    fn room(&mut self) {
        let app = self.app;
        let pulse = &app.pulse;
        self.title("Room");
        let gone = app.store.gone();
        let text = match gone {
            0 => format!("{} of {}", number(app.store.len() as u64), number(LEAKS as u64)),
            gone => format!("{} held; {} older ones went", number(app.store.len() as u64), number(gone)),
        };
        self.entry("leaks", &text, if gone > 0 { Part::Warning } else { Part::Text });
        let queues: Vec<String> =
            pulse.queues.iter().map(|(waiting, room)| format!("{waiting}/{room}")).collect();
        self.entry("queues", &queues.join("  "), Part::Text);
        self.entry("streams", &format!("{} held", bytes(pulse.held)), Part::Text);
        if let Some(memory) = pulse.memory {
            self.entry("memory", &bytes(memory), Part::Text);
        }
    }

    fn mutes(&mut self) {
        let mutes = self.app.mutes.entries();
        if mutes.is_empty() {
            return;
        }
        self.title("Muted");
        let kept = match &self.app.setup.baseline {
            Some(baseline) => format!("kept in {baseline}"),
            None => "until the end of this run: --baseline FILE keeps it".to_owned(),
        };
        self.entry("", &kept, Part::Faint);
        for mute in mutes {
            let reason = mute.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let until = mute.expires.map(|day| format!(", until {day}")).unwrap_or_default();
            self.entry("", &format!("{mute}{until}{reason}"), Part::Text);
        }
    }

    fn rules(&mut self) {
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for rule in &self.app.rules {
            *files.entry(&rule.file).or_default() += 1;
        }
        self.title("Rules");
        self.entry("in force", &number(self.app.rules.len() as u64), Part::Text);
        for (file, rules) in files.iter().take(FILES) {
            self.entry("", &format!("{} of {file}", number(*rules as u64)), Part::Label);
        }
    }

    fn notes(&mut self) {
        if self.app.notes.is_empty() {
            return;
        }
        self.title("Said");
        for (text, is_fault) in self.app.notes.iter().rev() {
            self.entry("", text, if *is_fault { Part::Fault } else { Part::Text });
        }
    }

    fn title(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        let style = part(self.app, Part::Title);
        self.lines.push(Line::from(Span::styled(format!(" {title}"), style)));
    }

    fn entry(&mut self, label: &str, text: &str, style: Part) {
        if text.is_empty() {
            return;
        }
        let width = usize::from(self.app.size.width);
        let label_width = LABEL.max(label.len().min(28));
        for (at, line) in wrap(&clean(text), width.saturating_sub(label_width + 5)).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.lines.push(Line::from(vec![
                Span::styled(format!("   {} ", fit(label, label_width)), part(self.app, Part::Label)),
                Span::styled(cut(&line, width), part(self.app, style)),
            ]));
        }
    }
}

/// `http/1.1 12, tls 3`
fn listed(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} {}", number(*count))).collect();
    parts.join(", ")
}
