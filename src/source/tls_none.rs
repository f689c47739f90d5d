//! Clear text of connections where no program can be loaded into the kernel: none.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::live::Drops;
use super::{Next, Source, SourceError};

/// What is missing.
const MISSING: &str =
    "this build cannot load programs into the kernel: build with the feature `ebpf`, on Linux";

/// How it stands with what is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Files watched, by family: OpenSSL, GnuTLS, Go …
    pub files: BTreeMap<&'static str, usize>,
    /// What the kernel refused, and what that costs.
    pub refused: Vec<String>,
}

/// What was read: there is none.
pub struct Toll(Infallible);

impl Toll {
    /// Nothing.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        match self.0 {}
    }
}

/// Clear text of the programs on this machine: there can be none.
pub struct Tls(Infallible);

impl Tls {
    /// # Errors
    /// [`SourceError::Live`], always.
    pub fn open(_namespace: u32) -> Result<Self, SourceError> {
        Err(SourceError::Live { interface: "tls".to_owned(), reason: MISSING.to_owned() })
    }

    /// Nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// Nothing.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        match self.0 {}
    }

    /// Nothing.
    pub fn drops(&mut self) -> Drops {
        match self.0 {}
    }

    /// Nothing.
    pub fn notes(&mut self) -> Vec<String> {
        match self.0 {}
    }

    /// Nothing.
    #[must_use]
    pub fn toll(&self) -> Toll {
        match self.0 {}
    }
}

impl Source for Tls {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        match self.0 {}
    }

    fn position(&self) -> u64 {
        match self.0 {}
    }
}

/// # Errors
/// What is missing, and what mends it.
pub fn standing() -> Result<Standing, (String, String)> {
    let mend = "apt-get install clang libelf-dev zlib1g-dev && make build".to_owned();
    Err((MISSING.to_owned(), mend))
}
