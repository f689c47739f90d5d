//! Rules are data; this room reads them and says what matches.

mod allow;
mod check;
mod definition;
pub mod example;
mod file;
mod gitleaks;
mod guard;
mod import;
mod index;
mod load;
mod matcher;
mod pattern;
mod walk;

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use crate::model::{Confidence, Field, Severity};

pub use definition::{Examples, Kind, Rule, SurfaceSet};
pub use file::{Fault, RuleError};
pub use import::{Imported, import};
pub use index::Occurrence;

use guard::Part;
use index::Index;

/// The rules in force. Shared between workers.
pub struct RuleSet {
    rules: Vec<Rule>,
    index: Index,
}

/// A rule, by its place in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What is known of the message a field belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Status of the answer the field belongs to.
    pub status: Option<u16>,
    /// Media type of the body the field stands in, lower case; empty outside bodies.
    pub essence: &'a str,
    /// Path of the capture; empty if there is none.
    pub path: &'a str,
    /// When it was sent, in seconds since 1970, where that is known: credentials may say when they expire.
    pub now: Option<i64>,
}

/// What a rule found in a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The rule.
    pub rule: RuleId,
    /// What it is.
    pub kind: Kind,
    /// The secret, in the field's value; empty for kinds without one.
    pub secret: Range<usize>,
    /// The secret where it stands there encoded: what to tell instead of the slice.
    pub replaced: Option<Vec<u8>>,
    /// Everything that matched, in the field's value.
    pub whole: Range<usize>,
    /// How bad.
    pub severity: Severity,
    /// How sure, after the checks.
    pub confidence: Confidence,
    /// What was noted, and what moved the confidence: `raised: luhn ok`.
    pub reasons: Vec<Cow<'static, str>>,
    /// What a trace or page tells: `KeyError: 'MONGO_URI' at app.py:12 in index`. **Not redacted.**
    pub detail: Option<String>,
}

/// What a rule would have found, and why it did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Suppressed {
    /// The rule.
    pub rule: RuleId,
    /// Where, in the field's value.
    pub secret: Range<usize>,
    /// Why: `entropy 1.2`, `on the allowlist`, `stripe-secret-key is more specific` …
    pub reason: Cow<'static, str>,
}

impl Match {
    /// The secret to tell, of the field's value.
    #[must_use]
    pub fn value<'a>(&'a self, field: &'a [u8]) -> &'a [u8] {
        match &self.replaced {
            Some(replaced) => replaced,
            None => field.get(self.secret.clone()).unwrap_or_default(),
        }
    }
}

impl RuleSet {
    /// Reads rule files, the embedded ones first. A later file overrides rules of an earlier one by their id. Of a
    /// folder every `*.toml` is read, sorted by path.
    ///
    /// # Errors
    /// Every fault of every file, with file and line; nothing is loaded then.
    pub fn load(builtin: bool, paths: &[PathBuf]) -> Result<Self, RuleError> {
        load::load(builtin, paths)
    }

    /// What is wrong with rule files: faults, or examples that their rule does not hold to.
    #[must_use]
    pub fn check(builtin: bool, paths: &[PathBuf]) -> Vec<Fault> {
        match Self::load(builtin, paths) {
            Ok(set) => set.check_examples(),
            Err(error) => error.faults,
        }
    }

    /// Every rule; a [`RuleId`] counts in it.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.0 as usize)
    }

    /// A rule by its identifier.
    #[must_use]
    pub fn named(&self, id: &str) -> Option<RuleId> {
        let at = self.rules.iter().position(|rule| rule.text.id == id)?;
        u32::try_from(at).ok().map(RuleId)
    }

    /// A rule with the check `signal`, by its identifier.
    #[must_use]
    pub fn signal(&self, rule: &str) -> Option<RuleId> {
        self.named(rule).filter(|&id| self.rule(id).is_some_and(|rule| rule.signal))
    }

    /// Whether a rule has no keyword at all, so that [`RuleSet::scan`] cannot lead to what it finds: fields of
    /// every place have to be shown then. No embedded rule is such.
    #[must_use]
    pub fn exhaustive(&self) -> bool {
        self.index.is_exhaustive()
    }

    /// The keyword pre-pass: appends every keyword in the bytes (at most 4 GiB of them), sorted by start. ASCII case is
    /// ignored. Keywords that are names count where a value is assigned to them, `…://` where a password follows.
    pub fn scan(&self, bytes: &[u8], found: &mut Vec<Occurrence>) {
        self.index.scan(bytes, 0..bytes.len(), Part::Any, found);
    }

    /// The same of a part of the bytes; whether any keyword stands there, counted or not.
    pub fn scan_part(&self, bytes: &[u8], part: Range<usize>, found: &mut Vec<Occurrence>) -> bool {
        self.index.scan(bytes, part, Part::Any, found)
    }

    /// The same of a body: without the keywords of rules that look at no body.
    pub fn scan_body(&self, bytes: &[u8], found: &mut Vec<Occurrence>) {
        self.index.scan(bytes, 0..bytes.len(), Part::Body, found);
    }

    /// Whether a keyword leads to a rule that knows pages and traces by their structure and looks at whole documents.
    #[must_use]
    pub fn leads_to_pages(&self, found: &[Occurrence]) -> bool {
        let is = |rule: &Rule| rule.whole && rule.has_structure();
        self.index.leads_to(found, |rule| self.rules.get(rule as usize).is_some_and(is))
    }

    /// What matches in one field, by its place: at most one match for each stretch of the value. The higher
    /// specificity wins, then the higher confidence, then the longer, then the earlier rule. Traces and pages compete
    /// with each other only.
    pub fn field(
        &self,
        field: &Field<'_>,
        context: &Context<'_>,
        out: &mut Vec<Match>,
        suppressed: Option<&mut Vec<Suppressed>>,
    ) {
        matcher::field(self, field, None, context, out, suppressed);
    }

    /// The same for a field whose value stands in bytes that [`RuleSet::scan`] has seen: `known` are the keywords in it,
    /// their places counted from the byte `origin` bytes before the value's first.
    pub fn known_field(
        &self,
        field: &Field<'_>,
        known: (&[Occurrence], usize),
        context: &Context<'_>,
        out: &mut Vec<Match>,
        suppressed: Option<&mut Vec<Suppressed>>,
    ) {
        matcher::field(self, field, Some(known), context, out, suppressed);
    }
}

#[cfg(test)]
mod tests;
