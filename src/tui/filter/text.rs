//! Patterns over text: whole, in part, with wildcards; letters' case does not matter.

/// What a text is compared with.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    has_wildcards: bool,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), has_wildcards: text.contains(['*', '?']) }
    }

    /// Whether a text is like this: whole with wildcards or where `is_exact`, else anywhere within.
    pub(super) fn matches(&self, text: &str, is_exact: bool) -> bool {
        if self.has_wildcards {
            return is_like(text.as_bytes(), self.text.as_bytes());
        }
        if is_exact { text.eq_ignore_ascii_case(&self.text) } else { contains(text, &self.text) }
    }
}

/// Whether `part` stands in `text`, whatever the case of ASCII letters.
pub(super) fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Whether `text` is like `pattern`, in which `*` stands for any bytes and `?` for one.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    // Where the last star stood, and what it took so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(at) {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at += 1;
                of += 1;
            }
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    (at, of) = (*taken, *place + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(of..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_anything() {
        for (text, pattern, is) in [
            ("api.example.com", "api*", true),
            ("api.example.com", "*.COM", true),
            ("api.example.com", "a*e*m", true),
            ("api.example.com", "a?i.*", true),
            ("api.example.com", "b*", false),
            ("api.example.com", "api?", false),
            ("", "*", true),
            ("", "?", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a*a*a*a*a*c", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text, false), is, "{text} {pattern}");
        }
        assert!(Pattern::new("EXAMPLE").matches("api.example.com", false));
        assert!(!Pattern::new("example").matches("api.example.com", true));
    }
}
