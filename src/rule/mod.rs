//! Interface of the rule room that faces are written against; the room itself replaces this file.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::finding::RuleText;
use crate::model::{Confidence, Field, Severity, Surface};

/// The rules in force.
#[derive(Debug, Default)]
pub struct RuleSet(Vec<Rule>);

/// Index into the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(pub u32);

/// What is wrong with rule files.
#[derive(Debug)]
pub struct RuleError {
    /// Every fault.
    pub faults: Vec<Fault>,
}

impl std::error::Error for RuleError {}

/// A line a fault.
impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.iter().try_for_each(|fault| write!(f, "{fault}"))
    }
}

/// One fault of a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The rule, where one is meant.
    pub rule: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// `file:line: rule: reason`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// One rule, as loaded.
#[derive(Debug)]
pub struct Rule {
    /// What findings tell of it.
    pub text: Arc<RuleText>,
    /// Its file.
    pub file: String,
    /// Its line there.
    pub line: u32,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Where it looks.
    pub surfaces: SurfaceSet,
    /// One of them must be near.
    pub keywords: Vec<String>,
    /// On the same value the higher one is told.
    pub specificity: i32,
    /// Shown by none of its characters.
    pub password: bool,
    /// Told once for each host.
    pub once_per_host: bool,
    /// Only together with these.
    pub requires: Vec<String>,
    /// Where to read on.
    pub references: Vec<String>,
    /// gitleaks' tags.
    pub tags: Vec<String>,
    /// Its own examples.
    pub examples: Examples,
    /// What its matches are.
    pub kind: Kind,
}

impl Rule {
    /// The pattern.
    #[must_use]
    pub fn regex(&self) -> Option<String> {
        None
    }

    /// The pattern of names.
    #[must_use]
    pub fn names(&self) -> Option<String> {
        None
    }

    /// The checks, as a rule file writes them.
    #[must_use]
    pub fn checks(&self) -> Vec<String> {
        Vec::new()
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

/// A set of surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurfaceSet(u16);

impl SurfaceSet {
    /// Every surface.
    pub const ANY: Self = Self(u16::MAX);

    /// Whether a surface is in it.
    #[must_use]
    pub fn contains(self, surface: Surface) -> bool {
        self.0 >> (surface as u16) & 1 == 1
    }
}

/// Texts in which a rule must, and must not, find something.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// It must.
    pub leak: Vec<String>,
    /// It must not.
    pub fine: Vec<String>,
}

/// What is known around a field.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Of the answer the field belongs to.
    pub status: Option<u16>,
    /// Media type of its body.
    pub essence: &'a str,
    /// The capture's path.
    pub path: &'a str,
}

/// A match in a field.
#[derive(Clone, Debug)]
pub struct Match {
    /// Whose.
    pub rule: RuleId,
    /// What it is.
    pub kind: Kind,
    /// Of the secret in the value.
    pub secret: Range<usize>,
    /// Of all that matched.
    pub whole: Range<usize>,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Why.
    pub reasons: Vec<Cow<'static, str>>,
    /// What a traceback tells. **Not redacted.**
    pub detail: Option<String>,
}

/// A candidate that was held back.
#[derive(Clone, Debug)]
pub struct Suppressed {
    /// Whose.
    pub rule: RuleId,
    /// Of the candidate in the value.
    pub secret: Range<usize>,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl RuleSet {
    /// Reads rule files.
    ///
    /// # Errors
    /// The first fault.
    pub fn load(_builtin: bool, paths: &[PathBuf]) -> Result<Self, RuleError> {
        match paths.first() {
            Some(path) => Err(RuleError {
                faults: vec![Fault {
                    file: path.display().to_string(),
                    line: 1,
                    rule: None,
                    reason: "the rule room is missing from this build".to_owned(),
                }],
            }),
            None => Ok(Self::default()),
        }
    }

    /// What is wrong with rule files: faults, or examples that their rule does not hold to.
    #[must_use]
    pub fn check(builtin: bool, paths: &[PathBuf]) -> Vec<Fault> {
        Self::load(builtin, paths).map_or_else(|error| error.faults, |_| Vec::new())
    }

    /// Every rule.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The rule of that index.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.0.get(id.0 as usize)
    }

    /// What matches in one field.
    pub fn field(
        &self,
        _field: &Field<'_>,
        _context: &Context<'_>,
        _out: &mut Vec<Match>,
        _suppressed: Option<&mut Vec<Suppressed>>,
    ) {
    }
}
