//! Leaks for people: grouped by secret, the worst first, and at the end what was read and what was not.

mod groups;
mod summary;

use std::io::{self, Write as _};

use anstyle::Style as Paint;

use self::groups::{Group, Groups, Place};
use super::gathered::Losses;
use super::text::{clean, columns, count, join, number, paint, severity_style, shorten, wrap};
use super::{Output, Sink, Style};
use crate::model::event::{Event, Leak, Summary};

/// Columns of the labels on the left: `CRITICAL`, `  advice`.
const LABEL: usize = 8;
/// Where text begins.
const INDENT: usize = LABEL + 2;
/// Places shown of one secret.
const PLACES: usize = 20;
/// Leaks kept; the others are counted.
const LEAKS: usize = 100_000;

/// Collects what comes and writes it at the end; live, each leak as it comes and at the end the summary.
pub struct Table {
    out: Output,
    style: Style,
    groups: Groups,
    losses: Losses,
    summary: Option<Box<Summary>>,
}

impl Table {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output, style: Style) -> Self {
        Self {
            out,
            style: Style { width: style.width.max(40), ..style },
            groups: Groups::new(LEAKS),
            losses: Losses::default(),
            summary: None,
        }
    }
}

impl Table {
    /// Writes one leak by itself.
    fn show(&mut self, leak: &Leak) -> io::Result<()> {
        let mut one = Groups::new(1);
        one.add(leak);
        let mut page = Page { text: String::new(), style: self.style };
        for group in &one.worst_first() {
            page.group(group);
            page.text.push('\n');
        }
        self.out.write_all(page.text.as_bytes())?;
        self.out.flush()
    }
}

impl Sink for Table {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Leak(leak) => {
                self.groups.add(leak);
                if self.style.live {
                    self.show(leak)?;
                }
            }
            Event::Again(again) => self.groups.again(&again.id, again.times),
            Event::Lost(lost) => self.losses.add(lost),
            Event::Summary(summary) => self.summary = Some(summary.clone()),
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut page = Page { text: String::new(), style: self.style };
        let overflow = self.groups.overflow();
        let groups = std::mem::replace(&mut self.groups, Groups::new(0)).worst_first();
        if !self.style.live {
            for group in &groups {
                page.group(group);
                page.text.push('\n');
            }
        }
        if overflow > 0 && !self.style.live {
            page.entry(
                "more",
                &format!(
                    "{} are not shown: this table holds {}. The format ndjson tells every one.",
                    count(overflow, "leak", "leaks"),
                    number(LEAKS as u64)
                ),
                Paint::new(),
            );
            page.text.push('\n');
        }
        summary::write(&mut page, self.summary.as_deref(), &groups, &self.losses);
        self.out.write_all(page.text.as_bytes())?;
        self.out.flush()
    }
}

/// What is being written.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn group(&mut self, group: &Group) {
        self.head(group);
        for place in group.places.iter().take(PLACES) {
            self.place(group, place);
        }
        if let Some(more) = group.places.len().checked_sub(PLACES).filter(|&more| more > 0) {
            self.entry("", &format!("… and {}", count(more as u64, "more place", "more places")), DIM);
        }
        let exposures: Vec<&str> = group.exposures.iter().map(|exposure| exposure.as_str()).collect();
        self.parts(
            "how",
            &[
                exposures.join(", "),
                format!("{} confidence", group.confidence.as_str()),
                format!("rule {}", clean(&group.rule)),
            ],
            Paint::new(),
        );
        for (index, reason) in group.why.iter().enumerate() {
            self.entry(if index == 0 { "why" } else { "" }, &clean(reason), Paint::new());
        }
        for advice in &group.advice {
            self.entry("advice", &clean(advice), Paint::new());
        }
    }

    /// `CRITICAL  Stripe secret key  sk_l…9f2c  32 characters`
    fn head(&mut self, group: &Group) {
        let label = format!("{:>LABEL$}", group.severity.as_str().to_uppercase());
        let pad = label.len() - label.trim_start().len();
        self.text.extend(std::iter::repeat_n(' ', pad));
        let painted = paint(label.trim_start(), severity_style(group.severity), self.style.color);
        self.text.push_str(&painted);

        let mut parts = vec![(clean(&group.title).into_owned(), BOLD)];
        if let Some(secret) = &group.secret {
            parts.push((shorten(&clean(&secret.shown), 400).into_owned(), Paint::new()));
            parts.push((secret.remark(), DIM));
        }
        let mut used = LABEL;
        for (text, style) in parts {
            for (index, line) in wrap(&text, self.room()).into_iter().enumerate() {
                if index > 0 || (used > LABEL && used + 2 + columns(&line) > self.style.width) {
                    self.text.push('\n');
                    self.text.extend(std::iter::repeat_n(' ', LABEL));
                    used = LABEL;
                }
                used += 2 + columns(&line);
                self.text.push_str("  ");
                let painted = paint(&line, style, self.style.color);
                self.text.push_str(&painted);
            }
        }
        self.text.push('\n');
    }

    fn place(&mut self, group: &Group, place: &Place) {
        let mut position = place.surface.as_str().to_owned();
        if let Some(name) = &place.name {
            position.push(' ');
            position.push_str(&shorten(&clean(name), 120));
        }
        let mut parts = vec![position];
        if place.title != group.title {
            parts.push(clean(&place.title).into_owned());
        }
        if place.severity != group.severity {
            parts.push(place.severity.as_str().to_owned());
        }
        self.parts("where", &parts, Paint::new());
        if let Some(request) = &place.request {
            self.entry("", &shorten(&clean(request), 3 * self.room()), Paint::new());
        }
        if let Some(evidence) = &place.evidence {
            for line in evidence.lines().filter(|line| !line.trim().is_empty()).take(6) {
                self.entry("", &shorten(&clean(line), 2 * self.room()), ITALIC);
            }
        }
        let mut parts =
            vec![format!("{} -> {}", place.client, place.server), clean(&place.protocol).into_owned()];
        parts.extend(place.status.clone());
        parts.push(place.frames());
        if place.times > 1 {
            parts.push(format!("seen {} times", number(place.times)));
        }
        self.parts("", &parts, DIM);
        for (index, process) in place.processes.iter().enumerate() {
            let parts: Vec<String> =
                process.iter().map(|part| shorten(&clean(part), 2 * self.room()).into_owned()).collect();
            self.parts(if index == 0 { "who" } else { "" }, &parts, Paint::new());
        }
    }

    /// A label and text behind it, wrapped.
    fn entry(&mut self, label: &str, text: &str, style: Paint) {
        self.lines(label, LABEL, &wrap(text, self.room()), style);
    }

    /// A label and parts behind it, wrapped between them.
    fn parts(&mut self, label: &str, parts: &[String], style: Paint) {
        self.lines(label, LABEL, &join(parts, self.room()), style);
    }

    fn lines(&mut self, label: &str, margin: usize, lines: &[String], style: Paint) {
        for (index, line) in lines.iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.text.extend(std::iter::repeat_n(' ', margin.saturating_sub(label.len())));
            if !label.is_empty() {
                let painted = paint(label, DIM, self.style.color);
                self.text.push_str(&painted);
            }
            self.text.push_str("  ");
            let painted = paint(line, style, self.style.color);
            self.text.push_str(&painted);
            self.text.push('\n');
        }
    }

    fn room(&self) -> usize {
        self.style.width.saturating_sub(INDENT)
    }
}

const BOLD: Paint = Paint::new().bold();
const DIM: Paint = Paint::new().dimmed();
const ITALIC: Paint = Paint::new().italic();

#[cfg(test)]
mod tests;
