//! Interface of the rule room that faces are written against; the room itself replaces this file.

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

/// What is wrong with a rule file: `file:line: rule id: reason`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

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
    /// Its own examples.
    pub examples: Examples,
}

/// A set of surfaces.
#[derive(Clone, Copy, Debug)]
pub struct SurfaceSet(pub u16);

impl SurfaceSet {
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
    /// Of the secret in the value.
    pub secret: Range<usize>,
    /// Of all that matched.
    pub whole: Range<usize>,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Why.
    pub reasons: Vec<String>,
    /// What a traceback tells.
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
    pub reason: String,
}

impl RuleSet {
    /// Reads rule files.
    ///
    /// # Errors
    /// The first fault.
    pub fn load(_builtin: bool, paths: &[PathBuf]) -> Result<Self, RuleError> {
        match paths.first() {
            Some(path) => {
                Err(RuleError(format!("{}:1: the rule room is missing from this build", path.display())))
            }
            None => Ok(Self::default()),
        }
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
