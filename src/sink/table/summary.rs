//! The end of the table: what was read, what was found, and what was not seen.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style as Paint};

use super::super::gathered::Losses;
use super::super::text::{bytes, clean, count, join, number};
use super::{Group, Page};
use crate::model::Severity;
use crate::model::event::Summary;

/// Columns of the labels.
const LABEL: usize = 13;
/// Writes the block; without a summary (a run that was cut off before it) what the leaks themselves tell.
pub(super) fn write(page: &mut Page, summary: Option<&Summary>, groups: &[Group], losses: &Losses) {
    if let Some(summary) = summary {
        row(page, "read", &read(summary), Paint::new());
    }
    row_found(page, summary, groups);
    let Some(summary) = summary else { return row_lost(page, losses, None) };
    row(page, "held back", &tally(&summary.held_back), Paint::new());
    row(page, "not inspected", &tally(&summary.not_inspected), Paint::new());
    row_lost(page, losses, Some(summary));
}

fn read(summary: &Summary) -> Vec<String> {
    vec![
        count(summary.sources, "capture", "captures"),
        count(summary.frames, "frame", "frames"),
        bytes(summary.bytes),
        split(count(summary.flows, "flow", "flows"), &summary.protocols),
        split(count(summary.messages.values().sum(), "message", "messages"), &summary.messages),
        span(summary.seconds),
    ]
}

fn row_found(page: &mut Page, summary: Option<&Summary>, groups: &[Group]) {
    let mut leaks: BTreeMap<Severity, u64> = BTreeMap::new();
    match summary {
        Some(summary) => leaks.clone_from(&summary.leaks),
        None => {
            for place in groups.iter().flat_map(|group| &group.places) {
                *leaks.entry(place.severity).or_default() += 1;
            }
        }
    }
    if summary.is_some_and(|summary| summary.sources == 0) {
        return row(page, "found", &["nothing: no capture was read".to_owned()], Paint::new());
    }
    if leaks.values().all(|&amount| amount == 0) {
        let calm = if page.style.color { AnsiColor::Green.on_default() } else { Paint::new() };
        return row(page, "found", &["no leak".to_owned()], calm);
    }
    let mut parts: Vec<String> = leaks
        .iter()
        .rev()
        .filter(|&(_, &amount)| amount > 0)
        .map(|(severity, &amount)| format!("{} {}", number(amount), severity.as_str()))
        .collect();
    let secrets = groups.iter().filter(|group| group.secret.is_some()).count() as u64;
    if secrets > 0 {
        parts.push(count(secrets, "secret", "secrets"));
    }
    if let Some(again) = summary.map(|summary| summary.again).filter(|&again| again > 0) {
        parts.push(format!("{} seen again", number(again)));
    }
    row(page, "found", &parts, Paint::new().bold());
}

/// What is missing: the counts of the summary, and of the losses told what those do not say.
fn row_lost(page: &mut Page, losses: &Losses, summary: Option<&Summary>) {
    let mut parts = Vec::new();
    if let Some(summary) = summary {
        if summary.gaps > 0 {
            parts.push(format!("{} ({})", count(summary.gaps, "gap", "gaps"), bytes(summary.gap_bytes)));
        }
        if summary.drops > 0 {
            parts.push(count(summary.drops, "frame dropped", "frames dropped"));
        }
        if summary.malformed > 0 {
            parts.push(count(summary.malformed, "malformed frame", "malformed frames"));
        }
    }
    for (reason, loss) in losses.iter() {
        if reason == "gap" && summary.is_some_and(|summary| summary.gaps > 0) {
            continue;
        }
        let reason = clean(reason);
        let size = if loss.bytes > 0 { format!(" ({})", bytes(loss.bytes)) } else { String::new() };
        parts.push(format!("{} {reason}{size}", number(loss.count)));
    }
    row(page, "not seen", &parts, AnsiColor::Yellow.on_default());
}

fn row(page: &mut Page, label: &str, parts: &[String], style: Paint) {
    let room = page.style.width.saturating_sub(LABEL + 2);
    page.lines(label, LABEL, &join(parts, room), style);
}

/// `3 flows (2 http/1.1, 1 tls)`; a single kind needs no number of its own.
fn split(total: String, kinds: &BTreeMap<String, u64>) -> String {
    let parts = tally(kinds);
    match kinds.len() {
        0 => total,
        1 => format!("{total} ({})", kinds.keys().map(|kind| clean(kind)).collect::<String>()),
        _ => format!("{total} ({})", parts.join(", ")),
    }
}

/// `4 encrypted`, the most first.
fn tally(amounts: &BTreeMap<String, u64>) -> Vec<String> {
    let mut amounts: Vec<(&String, u64)> =
        amounts.iter().map(|(key, &amount)| (key, amount)).filter(|&(_, amount)| amount > 0).collect();
    amounts.sort_by_key(|&(_, amount)| std::cmp::Reverse(amount));
    amounts.into_iter().map(|(key, amount)| format!("{} {}", number(amount), clean(key))).collect()
}

/// Capture time from the first frame to the last.
fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds <= 0.0 {
        return String::new();
    }
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0} ms", seconds * 1000.0),
        1..=119 => format!("{seconds:.1} s"),
        120..=7199 => format!("{} min {} s", whole / 60, whole % 60),
        7200..=172_799 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} days {} h", number(whole / 86_400), whole / 3600 % 24),
    }
}
