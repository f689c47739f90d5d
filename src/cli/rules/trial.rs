//! What rules make of a text, a capture, or their own examples.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::sample::{self, Sample};
use super::{Exit, World, in_force};
use crate::model::redact;
use crate::model::{Confidence, Field, Severity, Surface};
use crate::pipeline::{self, Flow, Options, Watch};
use crate::rule::{Context, Match, Rule, RuleSet, Suppressed};
use crate::sink::{Fan, Place, Spec, Style, clean, paint, severity_style};
use crate::source;

/// Bytes of a text that are looked at.
const TEXT: u64 = 16 << 20;

/// First bytes of captures: pcap in both orders and resolutions, pcapng, gzip, zstd.
const MAGIC: [&[u8]; 7] = [
    &[0xa1, 0xb2, 0xc3, 0xd4],
    &[0xd4, 0xc3, 0xb2, 0xa1],
    &[0xa1, 0xb2, 0x3c, 0x4d],
    &[0x4d, 0x3c, 0xb2, 0xa1],
    &[0x0a, 0x0d, 0x0d, 0x0a],
    &[0x1f, 0x8b],
    &[0x28, 0xb5, 0x2f, 0xfd],
];

/// Tells what matches in a file, and what was suppressed.
pub(super) fn run(path: &Path, world: &World<'_>, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let rules = in_force(&world.config)?;
    let mut text = Vec::new();
    let reading = || format!("cannot read {}", clean(&path.to_string_lossy()));
    let mut input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path).with_context(reading)?),
    };
    (&mut input).take(4).read_to_end(&mut text).with_context(reading)?;
    if MAGIC.iter().any(|magic| text.starts_with(magic)) {
        if path.as_os_str() == "-" {
            bail!("a capture on standard input cannot be tested; give it as a file");
        }
        return capture(path, rules, world, out);
    }
    input.take(TEXT - 4).read_to_end(&mut text).with_context(reading)?;
    if text.len() as u64 == TEXT {
        tracing::warn!("the text goes on: its first 16 MiB were looked at");
    }
    report(&text, &rules, world.config.reveal, world.style(), out)?;
    Ok(Exit::Ran)
}

/// What a rule made of a text.
struct Found<'a> {
    rule: &'a Rule,
    line: usize,
    place: String,
    value: Vec<u8>,
    what: Result<Match, String>,
}

fn report(text: &[u8], rules: &RuleSet, reveal: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let found = look(text, rules);
    let (matches, suppressed): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.what.is_ok());
    for found in &matches {
        let Ok(found_match) = &found.what else { continue };
        let level = paint(found_match.severity.as_str(), severity_style(found_match.severity), style.color);
        writeln!(
            out,
            "line {}: {} ({level}, {} confidence) in {}: {}",
            found.line,
            clean(&found.rule.text.id),
            found_match.confidence.as_str(),
            clean(&found.place),
            shown(found, reveal),
        )?;
        for reason in &found_match.reasons {
            writeln!(out, "    {}", clean(reason))?;
        }
        if let Some(detail) = &found_match.detail {
            let shown = if reveal { detail.clone() } else { redact::excerpt(detail.as_bytes(), &[]) };
            writeln!(out, "    {}", clean(&shown))?;
        }
    }
    for found in &suppressed {
        let Err(reason) = &found.what else { continue };
        writeln!(
            out,
            "line {}: {} suppressed in {}: {}: {}",
            found.line,
            clean(&found.rule.text.id),
            clean(&found.place),
            shown(found, reveal),
            clean(reason)
        )?;
    }
    let matched =
        if matches.len() == 1 { "1 match".to_owned() } else { format!("{} matches", matches.len()) };
    writeln!(out, "{matched}, {} suppressed", suppressed.len())
}

fn shown(found: &Found<'_>, reveal: bool) -> String {
    match (found.value.is_empty(), reveal) {
        (true, _) => "no secret of its own".to_owned(),
        (false, true) => clean(&String::from_utf8_lossy(&found.value)).into_owned(),
        (false, false) => clean(&redact::redact(&found.value, found.rule.password)).into_owned(),
    }
}

/// The same value is told once: where it has a name rather than as running text.
fn look<'a>(text: &[u8], rules: &'a RuleSet) -> Vec<Found<'a>> {
    let mut all = Vec::new();
    let mut matched: HashSet<Vec<u8>> = HashSet::new();
    let mut suppressed: HashSet<(u32, Vec<u8>)> = HashSet::new();
    for sample in sample::fields(text) {
        let (matches, held) = try_field(rules, &sample);
        for found in matches {
            let value = found.value(&sample.field.value).to_vec();
            // Tracebacks and the like have no value: they are known by what they tell.
            let mark = if value.is_empty() {
                format!("{} {:?}", found.rule.0, found.detail).into_bytes()
            } else {
                value.clone()
            };
            if !matched.insert(mark) {
                continue;
            }
            let start = if value.is_empty() { found.whole.start } else { found.secret.start };
            all.extend(rules.rule(found.rule).map(|rule| tell(rule, &sample, start, value, Ok(found))));
        }
        for held in held {
            let value = sample.field.value.get(held.secret.clone()).unwrap_or_default().to_vec();
            if !suppressed.insert((held.rule.0, value.clone())) {
                continue;
            }
            let (start, reason) = (held.secret.start, held.reason.to_string());
            all.extend(rules.rule(held.rule).map(|rule| tell(rule, &sample, start, value, Err(reason))));
        }
    }
    // One reading of a text may refuse what another one knows.
    all.retain(|found| found.what.is_ok() || !matched.contains(&found.value));
    all.sort_by_key(|found| found.line);
    all
}

fn tell<'a>(
    rule: &'a Rule,
    sample: &Sample,
    start: usize,
    value: Vec<u8>,
    what: Result<Match, String>,
) -> Found<'a> {
    let field = &sample.field;
    let before = field.value.get(..start).unwrap_or_default();
    let place = match &field.name {
        Some(name) => format!("{} {}", field.surface.as_str(), redact::name(name, &[])),
        None if sample.field.origin == crate::model::message::Origin::Text => "the text".to_owned(),
        None => field.surface.as_str().to_owned(),
    };
    let line = sample.line + before.iter().filter(|&&byte| byte == b'\n').count();
    Found { rule, line, place, value, what }
}

/// Tries a field in both directions, for a text does not say which one it went.
fn try_field(rules: &RuleSet, sample: &Sample) -> (Vec<Match>, Vec<Suppressed>) {
    let (mut matches, mut suppressed) = (Vec::new(), Vec::new());
    // Rules that look at error pages only shall be tried too.
    let context = Context { status: Some(500), essence: "", path: "", now: None };
    let guess = sample.field.surface;
    let others: &[Surface] = match guess {
        Surface::RequestHeader => &[Surface::ResponseHeader],
        Surface::RequestCookie => &[Surface::ResponseCookie],
        Surface::ResponseCookie => &[Surface::RequestCookie],
        // A pair may be a form's too.
        Surface::RequestQuery => &[Surface::RequestBody, Surface::ResponseBody],
        Surface::RequestBody => &[Surface::ResponseBody],
        _ => &[],
    };
    for surface in std::iter::once(guess).chain(others.iter().copied()) {
        let field = Field { surface, ..sample.field.clone() };
        rules.field(&field, &context, &mut matches, Some(&mut suppressed));
    }
    (matches, suppressed)
}

/// Scans a capture with nothing held back, as a table; then what was suppressed.
fn capture(path: &Path, rules: RuleSet, world: &World<'_>, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let options = Options {
        jobs: 1,
        filter: None,
        severity: Severity::Info,
        confidence: Confidence::Low,
        reveal: world.config.reveal,
        every: false,
        join: false,
        explain: true,
        pulse: false,
        metered: false,
        key: crate::config::key::fingerprint_key(world.environment)?.0,
        confine: None,
        tape: None,
        stop: super::super::signals::stop().context("cannot handle signals")?,
    };
    let table = Spec { format: crate::sink::format("table")?, place: Place::Standard };
    let mut fan = Fan::default();
    fan.add(table.to_string(), super::super::telling::plain(&table, world)?);
    let inputs: Vec<_> = source::inputs(&[path.to_path_buf()]).into_iter().filter_map(Result::ok).collect();
    let mut failed = false;
    let mut fail = |failure: crate::sink::Failure| {
        failed = true;
        tracing::error!("cannot write to standard output: {}", failure.error);
    };
    let mut listener = Listener::default();
    let outcome = pipeline::scan(
        &inputs,
        Arc::new(rules),
        &options,
        &mut |event| {
            fan.event(event, &mut fail);
            if fan.is_empty() { Flow::Stop } else { Flow::Go }
        },
        &mut listener,
    );
    fan.finish(&mut fail);
    listener.tell(out)?;
    Ok(if outcome.problems > 0 || failed { Exit::Failed } else { Exit::Ran })
}

/// Lines of what was suppressed; the others are counted.
const LINES: usize = 1000;

/// Gathers what was suppressed: each thing once, as often as it was.
#[derive(Default)]
struct Listener {
    lines: Vec<(String, u64)>,
    known: HashMap<String, usize>,
    more: u64,
}

impl Listener {
    fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        for (line, times) in &self.lines {
            match times {
                1 => writeln!(out, "{line}")?,
                times => writeln!(out, "{line} ({times} times)")?,
            }
        }
        if self.more > 0 {
            writeln!(out, "… and {} more", self.more)?;
        }
        writeln!(out, "{} suppressed", self.lines.iter().map(|(_, times)| times).sum::<u64>() + self.more)
    }
}

impl Watch for Listener {
    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
    }

    fn note(&mut self, note: &str) {
        tracing::warn!("{note}");
    }

    fn skipped(&mut self, _: &str) {}

    fn suppressed(&mut self, rule: &str, place: &str, redacted: &str, reason: &str) {
        let line =
            format!("{} suppressed in {}: {}: {}", clean(rule), clean(place), clean(redacted), clean(reason));
        if let Some((_, times)) = self.known.get(&line).and_then(|&index| self.lines.get_mut(index)) {
            *times += 1;
        } else if self.lines.len() < LINES {
            self.known.insert(line.clone(), self.lines.len());
            self.lines.push((line, 1));
        } else {
            self.more += 1;
        }
    }

    fn progress(&mut self, _: u64, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
[[rules]]
id = "shed-key"
description = "Shed key"
regex = '''\b(shed_[0-9a-z]{16})\b'''
keywords = ["shed_"]
severity = "critical"
confidence = "high"
checks = ["not-placeholder"]

[[rules]]
id = "shed-password"
description = "Shed password"
regex = '''(.{6,40})'''
names = '''(?i)^shed[_-]?pass'''
keywords = ["shed"]
checks = ["password"]
"#;

    fn tried(text: &str, reveal: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shed.toml");
        std::fs::write(&path, RULES).unwrap();
        let rules = RuleSet::load(false, &[path]).unwrap();
        let mut out = Vec::new();
        report(
            text.as_bytes(),
            &rules,
            reveal,
            Style { color: false, width: 100, live: false, fail_on: None },
            &mut out,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    const TEXT: &str =
        "GET /?key=shed_0a1b2c3d4e5f6g7h HTTP/1.1\n\nshed_pass=made-up-9\nX-Key: shed_xxxxxxxxxxxxxxxx\n";

    #[test]
    fn what_matches_is_told_once_where_it_has_a_name() {
        let told = tried(TEXT, false);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines.first(),
            Some(&"line 1: shed-key (critical, high confidence) in request.query key: she…g7h")
        );
        assert!(told.contains("line 3: shed-password"), "{told}");
        assert!(told.contains("line 4: shed-key suppressed in request.header X-Key: "), "{told}");
        assert_eq!(lines.last(), Some(&"2 matches, 1 suppressed"));
    }

    #[test]
    fn what_was_suppressed_is_told_once_and_not_without_end() {
        let mut listener = Listener::default();
        for number in 0..LINES + 7 {
            for _ in 0..2 {
                listener.suppressed(
                    "shed-key",
                    &format!("request.query k{number}"),
                    "she…g7h",
                    "entropy 1.2",
                );
            }
        }
        let mut out = Vec::new();
        listener.tell(&mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), LINES + 2);
        assert_eq!(
            lines.first(),
            Some(&"shed-key suppressed in request.query k0: she…g7h: entropy 1.2 (2 times)")
        );
        assert_eq!(lines.get(LINES..), Some(&["… and 14 more", "2014 suppressed"][..]));
    }

    #[test]
    fn values_are_shown_only_when_revealed() {
        let (hidden, shown) = (tried(TEXT, false), tried(TEXT, true));
        for secret in ["shed_0a1b2c3d4e5f6g7h", "made-up-9"] {
            assert!(!hidden.contains(secret), "{hidden}");
            assert!(shown.contains(secret), "{shown}");
        }
    }
}
