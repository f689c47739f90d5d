//! The values that may be revealed one at a time: bounded, each wiped when it goes.
//!
//! **Architecture Invariant:** a value is here as [`Secret`] alone; [`Vault::shown`] is the one door to it of the screen.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use zeroize::Zeroizing;

use crate::model::Secret;
use crate::model::shown::clean;

/// Values held, and bytes of them; of more the oldest go.
const VALUES: usize = 20_000;
const BYTES: usize = 8 << 20;

/// Values by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Vault {
    values: HashMap<String, Secret>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Vault {
    /// Keeps a value.
    pub(super) fn keep(&mut self, fingerprint: &str, value: Secret) {
        let length = value.expose().len();
        if length > BYTES || self.values.contains_key(fingerprint) {
            return;
        }
        self.bytes += length;
        self.values.insert(fingerprint.to_owned(), value);
        self.order.push_back(fingerprint.to_owned());
        while self.order.len() > VALUES || self.bytes > BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.values.remove(&oldest).map_or(0, |value| value.expose().len());
        }
    }

    /// Whether a value is held.
    pub(super) fn has(&self, fingerprint: &str) -> bool {
        self.values.contains_key(fingerprint)
    }

    /// A value as text that commands no terminal; base64 where it is none. It is wiped when dropped.
    pub(super) fn shown(&self, fingerprint: &str) -> Option<Zeroizing<String>> {
        let value = self.values.get(fingerprint)?.expose();
        Some(Zeroizing::new(match std::str::from_utf8(value) {
            Ok(text) => clean(text).into_owned(),
            Err(_) => format!("base64:{}", base64::engine::general_purpose::STANDARD.encode(value)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_and_the_oldest_go() {
        let mut vault = Vault::default();
        for number in 0..VALUES + 5 {
            vault.keep(&number.to_string(), Secret::new(b"made up"));
        }
        assert_eq!((vault.values.len(), vault.has("4"), vault.has("5")), (VALUES, false, true));
        let large = vec![b'x'; BYTES / 2];
        for name in ["a", "b", "c"] {
            vault.keep(name, Secret::new(&large));
        }
        assert_eq!((vault.values.len(), vault.bytes), (2, BYTES));
        vault.keep("too large", Secret::new(&vec![b'x'; BYTES + 1]));
        assert!(!vault.has("too large") && vault.has("c"));
    }

    #[test]
    fn what_is_shown_commands_no_terminal() {
        let mut vault = Vault::default();
        vault.keep("a", Secret::new(b"made\x1b[2Jup"));
        vault.keep("b", Secret::new(b"\xff\xfe"));
        assert_eq!(vault.shown("a").unwrap().as_str(), "made\\u{1b}[2Jup");
        assert_eq!(vault.shown("b").unwrap().as_str(), "base64://4=");
        assert!(vault.shown("c").is_none());
        assert!(!format!("{vault:?}").contains("made"));
    }
}
