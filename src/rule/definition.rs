//! A rule as it is in force.

use std::fmt;
use std::sync::Arc;

use crate::model::finding::RuleText;
use crate::model::{Confidence, Severity, Surface};

use super::allow::Allowlist;
use super::check::{Check, Does, Mark};
use super::pattern::Pattern;

/// A rule; what it needs to match is private.
pub struct Rule {
    /// Identifier, title, weaknesses, advice.
    pub text: Arc<RuleText>,
    /// The file it was read from.
    pub file: String,
    /// The line in it, 1-based.
    pub line: u32,
    /// How bad.
    pub severity: Severity,
    /// How sure, before the checks.
    pub confidence: Confidence,
    /// Where it looks.
    pub surfaces: SurfaceSet,
    /// Lower-case words of which one must stand in the name or the value.
    pub keywords: Vec<String>,
    /// On the same value the higher one is told.
    pub specificity: i32,
    /// Shown by none of its characters (check `password`).
    pub password: bool,
    /// Told once for each host and name (check `once-per-host`).
    pub once_per_host: bool,
    /// Told only where the server is reached from another machine (check `remote`).
    pub remote: bool,
    /// Told only where one message holds so many values (check `many`).
    pub many: usize,
    /// Looks at fields of [`Origin::Whole`](crate::model::message::Origin::Whole) too (check `whole`).
    pub whole: bool,
    /// Rules of which each must be found in the same message too. The caller sees to it.
    pub requires: Vec<String>,
    /// Found only for rules that require it, and not told (`skipReport`).
    pub silent: bool,
    /// Where to read more.
    pub references: Vec<String>,
    /// gitleaks' tags.
    pub tags: Vec<String>,
    /// What it must and must not find.
    pub examples: Examples,
    /// What its matches are.
    pub kind: Kind,
    pub(super) signal: bool,
    pub(super) regex: Option<Pattern>,
    pub(super) names: Option<Pattern>,
    pub(super) path: Option<Pattern>,
    pub(super) entropy: Option<f32>,
    pub(super) checks: Vec<Check>,
    pub(super) allowlists: Vec<Arc<Allowlist>>,
    pub(super) status: Option<StatusFilter>,
    pub(super) content_types: Vec<String>,
    pub(super) inert: bool,
}

impl Rule {
    /// Whether it knows a secret by its own form: neither by the field's name nor, as the families `generic-*` do, by a
    /// name written before it.
    #[must_use]
    pub fn is_typed(&self) -> bool {
        self.names.is_none() && self.regex.is_some() && !self.text.id.starts_with("generic-")
            || self.has_structure()
    }

    /// The pattern, as it is compiled.
    #[must_use]
    pub fn regex(&self) -> Option<String> {
        self.regex.as_ref().map(|regex| format!("{regex:?}"))
    }

    /// The pattern of names.
    #[must_use]
    pub fn names(&self) -> Option<String> {
        self.names.as_ref().map(|names| format!("{names:?}"))
    }

    /// What its patterns were parsed into is needed no more.
    pub(super) fn forget_patterns(&mut self) {
        let patterns = [&mut self.regex, &mut self.names, &mut self.path];
        patterns.into_iter().flatten().for_each(Pattern::forget);
    }

    pub(super) fn has_structure(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.does, Does::Structure { .. }))
    }

    pub(super) fn is_gated(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.does, Does::Gate(_)))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({} at {}:{})", self.text.id, self.file, self.line)
    }
}

/// What a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A credential.
    Secret,
    /// A stack trace or debug page.
    Traceback,
    /// A setting that invites leaks.
    Misconfiguration,
    /// Personal data.
    Pii,
}

impl Kind {
    pub(super) fn of(checks: &[Check], has_value: bool) -> Self {
        let mut kind = Self::Secret;
        for check in checks {
            match check.does {
                Does::Structure { .. } if !has_value => kind = Self::Traceback,
                Does::Mark(Mark::Traceback) => kind = Self::Traceback,
                Does::Mark(Mark::Pii) => kind = Self::Pii,
                Does::Mark(Mark::Misconfiguration | Mark::Signal) => kind = Self::Misconfiguration,
                _ => {}
            }
        }
        kind
    }

    /// Whether a value is at stake.
    #[must_use]
    pub fn has_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Pii)
    }
}

/// Surfaces a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SurfaceSet(u16);

impl SurfaceSet {
    /// Every surface.
    pub const ANY: Self = Self(u16::MAX);
    /// None.
    pub const NONE: Self = Self(0);

    /// And this one.
    #[must_use]
    pub fn with(self, surface: Surface) -> Self {
        Self(self.0 | 1 << surface as u16)
    }

    /// Whether the surface is one of them.
    #[must_use]
    pub fn contains(self, surface: Surface) -> bool {
        self.0 & 1 << surface as u16 != 0
    }
}

/// `any`, or the surfaces, separated by commas.
impl fmt::Display for SurfaceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("any");
        }
        let names: Vec<&str> =
            Surface::ALL.into_iter().filter(|&surface| self.contains(surface)).map(Surface::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for SurfaceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Examples a rule is tried on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// It must find each.
    pub leak: Vec<String>,
    /// It must find none.
    pub fine: Vec<String>,
}

/// Status codes of answers, by class or one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusFilter(Vec<(u16, u16)>);

impl StatusFilter {
    /// Reads `5xx`, `404`, or several of them.
    pub(super) fn parse(texts: &[String]) -> Option<Self> {
        let mut ranges = Vec::new();
        for part in texts.iter().flat_map(|text| text.split([',', '|'])).map(str::trim) {
            let (class, rest) = part.split_at_checked(1)?;
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
            ranges.push(if rest.eq_ignore_ascii_case("xx") {
                (class * 100, class * 100 + 99)
            } else {
                let code: u16 = part.parse().ok().filter(|_| part.len() == 3)?;
                (code, code)
            });
        }
        if ranges.is_empty() { None } else { Some(Self(ranges)) }
    }

    /// Whether the status is one of them.
    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(from, to)| (from..=to).contains(&status))
    }

    /// One of them.
    pub(super) fn one(&self) -> Option<u16> {
        self.0.first().map(|&(from, _)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_class_or_a_code() {
        let parse = |text: &str| StatusFilter::parse(&[text.to_owned()]);
        let server = parse("5xx, 404").unwrap();
        for (status, contained) in [(500, true), (599, true), (404, true), (403, false), (200, false)] {
            assert_eq!(server.contains(status), contained, "{status}");
        }
        for wrong in ["", "xx", "6xx", "50", "5000", "abc", "é00"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn surfaces_are_a_set() {
        let set = SurfaceSet::NONE.with(Surface::Log).with(Surface::RequestQuery);
        assert!(set.contains(Surface::Log) && !set.contains(Surface::Login));
        assert_eq!(set.to_string(), "request.query, log");
        assert!(Surface::ALL.into_iter().all(|surface| SurfaceSet::ANY.contains(surface)));
        assert_eq!(SurfaceSet::ANY.to_string(), "any");
    }
}
