//! The whole story of a leak.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::app::App;
use super::super::index::By;
use super::super::store::Entry;
use super::super::theme::Part;
use super::cells::{clock, cut, fit};
use super::lists::{badge, place, request};
use super::part;
use crate::model::Exposure;
use crate::model::event::{End, Explain, Leak, Process};
use crate::model::shown::{clean, columns, number, wrap};
use crate::model::story::Passage;

/// Columns of the labels on the left.
const LABEL: usize = 10;
/// Other leaks of the same secret that are listed.
const ELSEWHERE: usize = 12;
/// Lines of a message that are shown at most.
const MESSAGE: usize = 60;

/// The lines of a leak; without `whole` those that say most.
pub(super) fn lines(app: &App, serial: u64, width: u16, whole: bool) -> Vec<Line<'static>> {
    let mut page = Page { app, width: usize::from(width).max(20), lines: Vec::new() };
    match app.store.get(serial) {
        Some(entry) => page.leak(serial, entry, whole),
        None => {
            page.label("", "This leak is not held any more: too many came after it.", part(app, Part::Faint))
        }
    }
    page.lines
}

/// What an exposure means for whoever has to mend it.
fn meaning(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::QueryString => "in a query: logs, histories, Referer headers and caches keep it",
        Exposure::Url => "in a URL: logs, histories and Referer headers keep it",
        Exposure::Cleartext => "over clear transport: anyone on the way can read it",
        Exposure::Response => "the server handed it out",
        Exposure::Reflected => "what the client sent came back in the answer",
        Exposure::Traceback => "in a stack trace or debug page",
        Exposure::Log => "in a log record",
        Exposure::Stored => "written to a database in clear",
        Exposure::ClientSession => "readable inside what the client keeps: a cookie, a JWT",
        Exposure::Pii => "personal data",
        Exposure::Misconfiguration => "a setting that invites leaks",
    }
}

/// `python3 (4242), client, user alice, container 3f2a…: python3 app.py`
fn whose(process: &Process) -> String {
    let mut text = format!("{} ({})", process.name, process.pid);
    let end = process.end.map(|end| match end {
        End::Client => "client",
        End::Server => "server",
    });
    let short = |id: &str| id.chars().take(12).collect::<String>();
    let named = |what: &str, name: &Option<String>| name.as_deref().map(|name| format!("{what} {name}"));
    let container = process.container.as_deref().map(|id| format!("container {}", short(id)));
    let parts = [
        end.map(str::to_owned),
        named("user", &process.user),
        container,
        named("pod", &process.pod),
        named("unit", &process.unit),
    ];
    for part in parts.into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&part);
    }
    if let Some(command) = &process.command {
        text.push_str(": ");
        text.push_str(command);
    }
    text
}

struct Page<'a> {
    app: &'a App,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn leak(&mut self, serial: u64, entry: &Entry, whole: bool) {
        let leak = &entry.leak;
        self.head(serial, entry);
        let (text, faint) = (self.style(Part::Text), self.style(Part::Faint));
        self.label("where", &place(leak), text);
        self.label("", &request(leak), text);
        let mut flow = format!("{} → {}  {}", leak.flow.client, leak.flow.server, leak.flow.protocol);
        if let Some(http) = &leak.http {
            let status = http.status.map_or("no answer seen".to_owned(), |status| status.to_string());
            flow = format!("{flow}  {status}  message {}", http.message);
        }
        self.label("", &flow, faint);
        let [first, last] = leak.frames;
        let frames = if first == last { format!("frame {first}") } else { format!("frames {first}-{last}") };
        self.label("", &format!("{frames} of {}  at {}", leak.source, leak.time), faint);
        for (label, process) in
            [("by", leak.process.as_ref()), ("", leak.process.as_ref().and_then(|own| own.peer.as_deref()))]
        {
            if let Some(process) = process {
                self.label(label, &whose(process), text);
            }
        }
        for (at, exposure) in leak.exposures.iter().enumerate() {
            let label = if at == 0 { "how" } else { "" };
            self.label(label, &format!("{}: {}", exposure.as_str(), meaning(*exposure)), text);
        }
        if !whole {
            self.label("evidence", &leak.evidence, text);
            if let Some(advice) = &leak.advice {
                self.label("advice", advice, text);
            }
            return;
        }
        self.label("weakness", &[leak.cwe.join(" "), leak.owasp.join(" ")].join("  "), text);
        self.why(leak);
        if let Some(advice) = &leak.advice {
            self.label("advice", advice, self.style(Part::Title));
        }
        self.messages(entry);
        self.sightings(entry);
        self.elsewhere(serial, entry);
    }

    fn style(&self, of: Part) -> Style {
        part(self.app, of)
    }

    /// `C critical  Stripe secret key  sk_l…9f2c  32 characters`
    fn head(&mut self, serial: u64, entry: &Entry) {
        let leak = &entry.leak;
        let level = leak.severity;
        let mut spans = vec![Span::raw(" "), badge(self.app, level), Span::raw(" ")];
        spans.push(Span::styled(level.as_str(), self.app.setup.theme.severity(level)));
        spans.push(Span::raw("  "));
        spans.push(Span::styled(cut(&leak.title, self.width / 2), self.style(Part::Title)));
        let Some(secret) = &leak.secret else {
            self.lines.push(Line::from(spans));
            return;
        };
        spans.push(Span::raw("  "));
        spans.push(Span::styled(cut(&secret.redacted, 16), self.style(Part::Secret)));
        let is_narrow = self.width < 76;
        if !is_narrow {
            spans.push(Span::styled(format!("  {} characters", secret.length), self.style(Part::Faint)));
        }
        self.lines.push(Line::from(spans));
        let known = secret.fingerprint.get(..16).unwrap_or(&secret.fingerprint).to_owned();
        let length = if is_narrow { format!("  {} characters", secret.length) } else { String::new() };
        self.label("known as", &format!("{known}…{length}"), self.style(Part::Faint));
        let is_revealed = self.app.revealed.as_ref().is_some_and(|revealed| revealed.serial == serial);
        if is_revealed && let Some(value) = self.app.vault.shown(&secret.fingerprint) {
            let left = self
                .app
                .revealed
                .as_ref()
                .map_or(0, |revealed| revealed.until.saturating_sub(self.app.now).as_secs() + 1);
            self.label("revealed", &format!("for {left} s more; r hides it"), self.style(Part::Warning));
            for line in pieces(&value, self.width.saturating_sub(LABEL + 2)) {
                let spans =
                    vec![Span::raw(" ".repeat(LABEL + 1)), Span::styled(line, self.style(Part::Revealed))];
                self.lines.push(Line::from(spans));
            }
        }
    }

    fn why(&mut self, leak: &Leak) {
        let text = self.style(Part::Text);
        self.label("why", &format!("rule {}, {} confidence", leak.rule, leak.confidence.as_str()), text);
        for reason in leak.explain.iter().flat_map(Explain::texts) {
            self.label("", &reason, self.style(Part::Label));
        }
    }

    fn messages(&mut self, entry: &Entry) {
        match &entry.story {
            Some(story) => {
                let is_response = entry.leak.surface.is_response();
                for (title, passage, leaks) in
                    [("request", &story.request, !is_response), ("answer", &story.response, is_response)]
                {
                    if let Some(passage) = passage {
                        self.rule(&format!(
                            "{title}, redacted{}",
                            if leaks { ": here it leaks" } else { "" }
                        ));
                        self.passage(passage);
                    }
                }
            }
            None => {
                self.rule("evidence, redacted");
                for line in entry.leak.evidence.lines() {
                    self.label("", line, self.style(Part::Text));
                }
            }
        }
    }

    /// A message, its leaking places marked.
    fn passage(&mut self, passage: &Passage) {
        let mut at = 0;
        let room = self.width.saturating_sub(3);
        let mut shown = 0;
        for line in passage.text.split_inclusive('\n') {
            let (start, end) = (at, at + line.trim_end_matches('\n').len());
            at += line.len();
            if shown >= MESSAGE {
                self.label("", "…", self.style(Part::Faint));
                return;
            }
            // Stretches of the line that are marked or not.
            let mut parts: Vec<(&str, bool)> = Vec::new();
            let mut done = start;
            for mark in passage.marks.iter().filter(|mark| mark.start < end && mark.end > start) {
                let from = mark.start.clamp(done, end);
                let until = mark.end.clamp(from, end);
                parts.push((passage.text.get(done..from).unwrap_or_default(), false));
                parts.push((passage.text.get(from..until).unwrap_or_default(), true));
                done = until;
            }
            parts.push((passage.text.get(done..end).unwrap_or_default(), false));
            let mut spans = vec![Span::raw("  ")];
            let mut used = 0;
            for (text, is_marked) in parts {
                let style = self.style(if is_marked { Part::Leak } else { Part::Text });
                for letter in clean(text).chars() {
                    let step = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
                    if used + step > room {
                        self.lines.push(Line::from(std::mem::replace(&mut spans, vec![Span::raw("    ")])));
                        shown += 1;
                        used = 2;
                    }
                    used += step;
                    match spans.last_mut() {
                        Some(last)
                            if last.style == style
                                && last.content.len() < 4096
                                && !last.content.trim().is_empty() =>
                        {
                            last.content.to_mut().push(letter);
                        }
                        _ => spans.push(Span::styled(letter.to_string(), style)),
                    }
                }
            }
            self.lines.push(Line::from(spans));
            shown += 1;
        }
    }

    fn sightings(&mut self, entry: &Entry) {
        if entry.times < 2 {
            return;
        }
        self.rule(&format!("seen {} times", number(entry.times)));
        for (time, client, frame) in &entry.seen {
            self.label(&clock(*time), &format!("from {client}  frame {frame}"), self.style(Part::Text));
        }
        if entry.times as usize > entry.seen.len() {
            let [frame, _] = entry.leak.frames;
            let first = format!("from {}  frame {frame}, first", entry.leak.flow.client);
            self.label(&clock(entry.leak.time), &first, self.style(Part::Text));
        }
    }

    /// The same secret elsewhere, and what belongs to this leak.
    fn elsewhere(&mut self, serial: u64, entry: &Entry) {
        let leak = &entry.leak;
        let related: Vec<u64> = leak.related.iter().filter_map(|id| self.app.store.by_id(id)).collect();
        let key = entry.secret_key();
        let same = self.app.index.groups(By::Secret).get(key.as_str()).map(|group| &group.members);
        let same: Vec<u64> = same
            .into_iter()
            .flatten()
            .rev()
            .copied()
            .filter(|other| *other != serial && !related.contains(other))
            .collect();
        for (title, others) in [("belongs to it", related), ("the same elsewhere", same)] {
            if others.is_empty() {
                continue;
            }
            self.rule(title);
            for other in others.iter().take(ELSEWHERE) {
                let Some(other) = self.app.store.get(*other) else { continue };
                let mut spans = vec![Span::raw("  "), badge(self.app, other.leak.severity), Span::raw(" ")];
                spans.push(Span::styled(clock(other.leak.time), self.style(Part::Label)));
                let room = self.width.saturating_sub(14);
                let what =
                    if other.secret_key() == key { String::new() } else { format!("{}  ", other.leak.title) };
                let text = format!("{what}{}  {}", place(&other.leak), request(&other.leak));
                spans.push(Span::raw(format!(" {}", cut(&text, room))));
                self.lines.push(Line::from(spans));
            }
            if let Some(more) = others.len().checked_sub(ELSEWHERE).filter(|&more| more > 0) {
                self.label("", &format!("… and {more} more: = lists them"), self.style(Part::Faint));
            }
        }
    }

    /// `── title ─────`
    fn rule(&mut self, title: &str) {
        let left = self.width.saturating_sub(columns(title) + 5);
        let spans = vec![
            Span::styled(" ── ", self.style(Part::Faint)),
            Span::styled(title.to_owned(), self.style(Part::Label)),
            Span::styled(format!(" {}", "─".repeat(left.saturating_sub(1))), self.style(Part::Faint)),
        ];
        self.lines.push(Line::from(spans));
    }

    /// A label and text behind it, wrapped.
    fn label(&mut self, label: &str, text: &str, style: Style) {
        let room = self.width.saturating_sub(LABEL + 2);
        for (at, line) in wrap(&clean(text), room).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let spans = vec![
                Span::styled(format!(" {}", fit(label, LABEL - 1)), self.style(Part::Label)),
                Span::raw(" "),
                Span::styled(line, style),
            ];
            self.lines.push(Line::from(spans));
        }
    }
}

/// Text in pieces of at most `width` columns, spaces kept.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for letter in text.chars() {
        let step = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if used + step > width.max(1) {
            pieces.push(String::new());
            used = 0;
        }
        used += step;
        if let Some(last) = pieces.last_mut() {
            last.push(letter);
        }
    }
    pieces
}
