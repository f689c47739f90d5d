//! Clear text of connections where no program can be loaded into the kernel: none.

use std::collections::BTreeMap;

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

/// What was read: nothing.
#[derive(Clone)]
pub struct Toll(());

impl Toll {
    /// Nothing.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// Clear text of the programs on this machine: there is none.
pub struct Tls {
    standing: Standing,
}

impl Tls {
    /// # Errors
    /// [`SourceError::Live`], always.
    pub fn open(_namespace: u32) -> Result<Self, SourceError> {
        Err(SourceError::Live { interface: "tls".to_owned(), reason: MISSING.to_owned() })
    }

    /// `tls`.
    #[must_use]
    pub fn name(&self) -> &str {
        "tls"
    }

    /// Nothing is watched.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Nothing.
    pub fn drops(&mut self) -> Drops {
        Drops::default()
    }

    /// Nothing.
    pub fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Nothing.
    #[must_use]
    pub fn toll(&self) -> Toll {
        Toll(())
    }
}

impl Source for Tls {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        Ok(Next::End)
    }

    fn position(&self) -> u64 {
        0
    }
}

/// # Errors
/// What is missing, and what mends it.
pub fn standing() -> Result<Standing, (String, String)> {
    let mend = "apt-get install clang libelf-dev zlib1g-dev && make build".to_owned();
    Err((MISSING.to_owned(), mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let error = Tls::open(0).err().unwrap().to_string();
        assert!(error.contains("build with the feature `ebpf`"), "{error}");
        assert!(standing().unwrap_err().1.contains("make build"));
    }
}
