//! Rules as they are shown.

use std::io::{self, Write};

use anstyle::Style as Paint;
use serde::Serialize;

use super::Format;
use crate::model::shown::counted;
use crate::model::{Confidence, Severity, Surface};
use crate::rule::{Kind, Rule};
use crate::sink::{Style, clean, paint, severity_style, wrap};

/// What is shown of a rule; the keys of the JSON forms.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: Severity,
    pub(super) confidence: Confidence,
    pub(super) kind: &'static str,
    /// `any`, or the surfaces by name.
    pub(super) surfaces: Vec<&'static str>,
    pub(super) keywords: Vec<String>,
    /// The pattern of the value.
    pub(super) regex: Option<String>,
    /// The pattern of the field's name.
    pub(super) names: Option<String>,
    pub(super) checks: Vec<String>,
    pub(super) specificity: i32,
    pub(super) requires: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) cwe: Vec<String>,
    pub(super) advice: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) leak: Vec<String>,
    pub(super) fine: Vec<String>,
    pub(super) file: String,
    pub(super) line: u32,
}

impl From<&Rule> for View {
    fn from(rule: &Rule) -> Self {
        let named: Vec<&'static str> = Surface::ALL
            .into_iter()
            .filter(|&surface| rule.surfaces.contains(surface))
            .map(Surface::as_str)
            .collect();
        Self {
            id: rule.text.id.clone(),
            title: rule.text.title.clone(),
            severity: rule.severity,
            confidence: rule.confidence,
            kind: match rule.kind {
                Kind::Secret => "secret",
                Kind::Traceback => "traceback",
                Kind::Misconfiguration => "misconfiguration",
                Kind::Pii => "pii",
            },
            surfaces: if named.len() == Surface::ALL.len() { vec!["any"] } else { named },
            keywords: rule.keywords.clone(),
            regex: rule.regex(),
            names: rule.names(),
            checks: rule.text.checks.clone(),
            specificity: rule.specificity,
            requires: rule.requires.clone(),
            tags: rule.tags.clone(),
            cwe: rule.text.cwe.clone(),
            advice: rule.text.advice.clone(),
            references: rule.references.clone(),
            leak: rule.examples.leak.clone(),
            fine: rule.examples.fine.clone(),
            file: rule.file.clone(),
            line: rule.line,
        }
    }
}

/// Every rule, a line each.
pub(super) fn list(rules: &[View], format: Format, style: Style, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => return json(rules, out),
        Format::Ndjson => return rules.iter().try_for_each(|rule| ndjson(rule, out)),
        Format::Table => {}
    }
    let widest = rules.iter().map(|rule| rule.id.chars().count()).max().unwrap_or(0).clamp(2, 40);
    let left = widest + 2 + 8 + 2 + 10 + 2;
    let room = style.width.saturating_sub(left).max(20);
    let head = format!("{:widest$}  {:8}  {:10}  TITLE", "ID", "SEVERITY", "CONFIDENCE");
    writeln!(out, "{}", paint(&head, DIM, style.color))?;
    for rule in rules {
        let severity = format!("{:8}", rule.severity.as_str());
        let severity = paint(&severity, severity_style(rule.severity), style.color);
        let title = wrap(&clean(&rule.title), room).join(&format!("\n{:left$}", ""));
        writeln!(out, "{:widest$}  {severity}  {:10}  {title}", clean(&rule.id), rule.confidence.as_str())?;
    }
    writeln!(out, "{}", paint(&counted(rules.len() as u64, "rule"), DIM, style.color))
}

/// All of one rule.
pub(super) fn show(rule: &View, format: Format, style: Style, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => return json(rule, out),
        Format::Ndjson => return ndjson(rule, out),
        Format::Table => {}
    }
    let title = clean(&rule.title);
    writeln!(out, "{}", paint(&title, Paint::new().bold(), style.color))?;
    let surfaces = rule.surfaces.join(", ");
    let keywords = rule.keywords.join(", ");
    let requires = rule.requires.join(", ");
    let specificity = rule.specificity.to_string();
    let checks = rule.checks.join(", ");
    let tags = rule.tags.join(", ");
    let cwe = rule.cwe.join(", ");
    let place = format!("{}:{}", rule.file, rule.line);
    let severity = paint(rule.severity.as_str(), severity_style(rule.severity), style.color);
    row("id", &clean(&rule.id), style, out)?;
    label("severity", style, out)?;
    writeln!(out, "{severity}")?;
    row("confidence", rule.confidence.as_str(), style, out)?;
    for (name, text) in [
        ("kind", rule.kind),
        ("surfaces", &surfaces),
        ("names", rule.names.as_deref().unwrap_or_default()),
        ("keywords", &keywords),
        ("regex", rule.regex.as_deref().unwrap_or_default()),
        ("checks", &checks),
        ("requires", &requires),
        ("specificity", &specificity),
        ("tags", &tags),
        ("cwe", &cwe),
        ("advice", rule.advice.as_deref().unwrap_or_default()),
    ] {
        row(name, &clean(text), style, out)?;
    }
    for (name, texts) in [("read on", &rule.references), ("finds", &rule.leak), ("leaves", &rule.fine)] {
        for (index, text) in texts.iter().enumerate() {
            row(if index == 0 { name } else { "" }, &clean(text), style, out)?;
        }
    }
    row("from", &clean(&place), style, out)
}

const DIM: Paint = Paint::new().dimmed();
const LABEL: usize = 11;

fn label(name: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:pad$}{}  ", "", paint(name, DIM, style.color), pad = LABEL.saturating_sub(name.len()))
}

fn row(name: &str, text: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let lines = match name {
        // Patterns and examples are there to be copied.
        "regex" | "names" | "finds" | "leaves" | "" if !text.is_empty() => vec![text.to_owned()],
        _ => wrap(text, style.width.saturating_sub(LABEL + 2)),
    };
    for (index, line) in lines.iter().enumerate() {
        label(if index == 0 { name } else { "" }, Style { color: style.color && index == 0, ..style }, out)?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn ndjson(value: &View, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn json<T: Serialize + ?Sized>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<View> {
        let stripe = View {
            id: "stripe-secret-key".into(),
            title: "Stripe secret key".into(),
            severity: Severity::Critical,
            confidence: Confidence::High,
            surfaces: vec!["any"],
            keywords: vec!["sk_live_".into(), "sk_test_".into()],
            specificity: 10,
            requires: Vec::new(),
            kind: "secret",
            regex: Some(r"\b(sk_(?:live|test)_[0-9a-zA-Z]{24,247})\b".into()),
            names: None,
            checks: vec!["entropy>=3.0".into(), "not-placeholder".into()],
            tags: Vec::new(),
            cwe: vec!["CWE-798".into()],
            advice: Some(
                "Roll the key in the Stripe dashboard; send it in a header over TLS and never in a URL."
                    .into(),
            ),
            references: vec!["https://docs.stripe.com/keys".into()],
            leak: vec!["Authorization: Bearer sk_live_MadeUpForThisTest000000000".into()],
            fine: vec!["sk_live_your_key_here".into(), "sk_live_".into()],
            file: "rules/payment.toml".into(),
            line: 12,
        };
        let cookie = View {
            id: "session-cookie".into(),
            title: "Session cookie over clear transport, which whoever sees it can use in its owner's stead"
                .into(),
            severity: Severity::Low,
            confidence: Confidence::Medium,
            surfaces: vec!["request.cookie", "response.cookie"],
            checks: vec!["once-per-host".into()],
            ..stripe.clone()
        };
        vec![stripe, cookie]
    }

    fn written(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const PLAIN: Style = Style { color: false, width: 90, live: false, fail_on: None };

    #[test]
    fn a_list_for_people() {
        insta::assert_snapshot!(written(|out| list(&rules(), Format::Table, PLAIN, out)));
    }

    #[test]
    fn one_rule_for_people() {
        insta::assert_snapshot!(written(|out| show(&rules()[0], Format::Table, PLAIN, out)));
        let colour = written(|out| show(&rules()[0], Format::Table, Style { color: true, ..PLAIN }, out));
        let plain = written(|out| show(&rules()[0], Format::Table, PLAIN, out));
        assert_ne!(colour, plain);
        assert_eq!(anstream::adapter::strip_str(&colour).to_string(), plain);
    }

    #[test]
    fn rules_for_programs() {
        let lines = written(|out| list(&rules(), Format::Ndjson, PLAIN, out));
        let each: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let array = written(|out| list(&rules(), Format::Json, PLAIN, out));
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&array).unwrap(), each);
        assert_eq!(each[0]["id"], "stripe-secret-key");
        assert_eq!(each[1]["surfaces"], serde_json::json!(["request.cookie", "response.cookie"]));
    }
}
