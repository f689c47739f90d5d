//! What a rule lets pass: allowlists and stop words.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::pattern::Pattern;

/// What an allowlist's patterns look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    /// The secret.
    #[default]
    Secret,
    /// Everything that matched.
    Match,
    /// The line it stands in.
    Line,
}

/// One allowlist.
#[derive(Debug, Default)]
pub(super) struct Allowlist {
    /// Whether all kinds of entries must agree, not just one.
    pub(super) all: bool,
    /// What the patterns look at.
    pub(super) target: Target,
    /// Patterns.
    pub(super) regexes: Vec<Pattern>,
    /// Words a secret may not have in it, in any case.
    pub(super) stopwords: Stopwords,
    /// Patterns of paths of captures.
    pub(super) paths: Vec<Pattern>,
    /// Whether it names commits, which a capture has not.
    pub(super) commits: bool,
    /// Of a whole file: the rules it is for; empty: all.
    pub(super) rules: Vec<String>,
}

/// Words, searched all at once.
#[derive(Debug, Default)]
pub(super) struct Stopwords {
    words: Vec<String>,
    automaton: OnceLock<Option<AhoCorasick>>,
}

/// A match that may be allowed.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) value: &'a [u8],
    pub(super) whole: &'a std::ops::Range<usize>,
    pub(super) secret: &'a [u8],
    pub(super) path: &'a str,
}

impl Allowlist {
    /// Why the candidate may pass; none where it may not.
    pub(super) fn allows(&self, candidate: &Candidate<'_>) -> Option<&'static str> {
        let mut kinds = 0;
        let mut reason = None;
        let mut agreed = 0;
        let mut say = |given: bool, holds: &dyn Fn() -> bool, why: &'static str| {
            if given {
                kinds += 1;
                if holds() {
                    agreed += 1;
                    reason = reason.or(Some(why));
                }
            }
        };
        say(self.commits, &|| false, "");
        say(!self.regexes.is_empty(), &|| self.matches(candidate), "on the allowlist");
        say(!self.stopwords.words.is_empty(), &|| self.stopwords.within(candidate.secret), "a stop word");
        say(
            !self.paths.is_empty(),
            &|| self.paths.iter().any(|path| path.is_match(candidate.path.as_bytes())),
            "the path is on the allowlist",
        );
        if self.all && agreed < kinds { None } else { reason }
    }

    /// Whether it is for the rule.
    pub(super) fn is_for(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|known| known == rule)
    }

    fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let text = match self.target {
            Target::Secret => candidate.secret,
            Target::Match => candidate.value.get(candidate.whole.clone()).unwrap_or_default(),
            Target::Line => line(candidate.value, candidate.whole),
        };
        self.regexes.iter().any(|regex| regex.is_match(text))
    }
}

impl Stopwords {
    /// Of these words.
    pub(super) fn new(words: Vec<String>) -> Self {
        Self { words, automaton: OnceLock::new() }
    }

    fn within(&self, secret: &[u8]) -> bool {
        let automaton = self
            .automaton
            .get_or_init(|| AhoCorasick::builder().ascii_case_insensitive(true).build(&self.words).ok());
        automaton.as_ref().is_some_and(|automaton| automaton.is_match(secret))
    }
}

/// The line around `range`, at most 4 KiB on each side.
fn line<'a>(value: &'a [u8], range: &std::ops::Range<usize>) -> &'a [u8] {
    const SIDE: usize = 4096;
    let from = range.start.saturating_sub(SIDE);
    let to = value.len().min(range.end.saturating_add(SIDE));
    let start = value
        .get(from..range.start)
        .and_then(|before| memchr::memrchr(b'\n', before))
        .map_or(from, |at| from + at + 1);
    let end = value
        .get(range.end..to)
        .and_then(|behind| memchr::memchr(b'\n', behind))
        .map_or(to, |at| range.end + at);
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text.to_owned()).unwrap()
    }

    #[test]
    fn either_or_all() {
        let candidate = Candidate {
            value: b"x\nkey=abcDUMMY # nosec\ny",
            whole: &(2..14),
            secret: b"abcDUMMY",
            path: "a/test.pcap",
        };
        let list = |all, regex: &str, target, stop: &str, path: &str| Allowlist {
            all,
            target,
            regexes: if regex.is_empty() { Vec::new() } else { vec![pattern(regex)] },
            stopwords: Stopwords::new(if stop.is_empty() { Vec::new() } else { vec![stop.to_owned()] }),
            paths: if path.is_empty() { Vec::new() } else { vec![pattern(path)] },
            ..Allowlist::default()
        };
        for (allowlist, allowed) in [
            (list(false, "^abc", Target::Secret, "", ""), true),
            (list(false, "^key", Target::Secret, "", ""), false),
            (list(false, "^key", Target::Match, "", ""), true),
            (list(false, "nosec$", Target::Match, "", ""), false),
            (list(false, "nosec$", Target::Line, "", ""), true),
            (list(false, "^x", Target::Line, "", ""), false),
            (list(false, "", Target::Secret, "dummy", ""), true),
            (list(false, "", Target::Secret, "key", ""), false),
            (list(false, "", Target::Secret, "", "^a/"), true),
            (list(false, "nope", Target::Secret, "dummy", ""), true),
            (list(true, "nope", Target::Secret, "dummy", ""), false),
            (list(true, "abc", Target::Secret, "dummy", "pcap$"), true),
            (Allowlist { commits: true, ..list(true, "abc", Target::Secret, "", "") }, false),
            (Allowlist::default(), false),
        ] {
            assert_eq!(allowlist.allows(&candidate).is_some(), allowed, "{allowlist:?}");
        }
    }
}
