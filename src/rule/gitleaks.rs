//! What gitleaks' rule files mean by their patterns: Go's RE2 syntax, and two of its habits.

/// How most of its patterns end: a value must be followed by a quote, a space or the end.
const TERMINATOR: &str = r#"(?:[\x60'"\s;]|\\[nrt]|$)"#;
/// The same, and what else ends a value in a URL, in markup and in a list.
const WIDER_TERMINATOR: &str = r#"(?:[\x60'"\s;&<>,|)\]}#?/:%\\]|$)"#;

/// A pattern of Go's syntax in that of `regex-syntax`: literal `{`, `[`, `&&`, `--`, `~~` in a class and `\<`, `\>`
/// are escaped or freed, `\Q…\E` is spelled out. What is wrong stays wrong.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(first) = rest.chars().next() {
        let behind = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '\\' => escape(behind, &mut out),
            '[' if !in_class => {
                in_class = true;
                class_start(behind, &mut out)
            }
            '[' => match posix_class(rest) {
                Some(name) => {
                    out.push_str(name);
                    rest.get(name.len()..).unwrap_or_default()
                }
                None => {
                    out.push_str("\\[");
                    behind
                }
            },
            ']' if in_class => {
                in_class = false;
                out.push(']');
                behind
            }
            '&' | '~' | '-' if in_class && behind.starts_with(first) => {
                out.extend([first, '\\', first]);
                behind.get(1..).unwrap_or_default()
            }
            '{' if !in_class && !is_counted_repetition(behind) => {
                out.push_str("\\{");
                behind
            }
            other => {
                out.push(other);
                behind
            }
        };
    }
    out
}

/// The pattern of a gitleaks rule, which also ends where a value ends in a URL, in markup and in a list.
pub(super) fn widen(pattern: &str) -> String {
    match pattern.strip_suffix(TERMINATOR) {
        Some(start) => format!("{start}{WIDER_TERMINATOR}"),
        None => pattern.to_owned(),
    }
}

/// A pattern of an allowlist. `^true|false|null$` (gitleaks' own global one) means to be anchored at both ends.
pub(super) fn allowlist(pattern: &str) -> String {
    let bare = pattern.strip_prefix("(?i)").unwrap_or(pattern);
    let words = bare.strip_prefix('^').and_then(|words| words.strip_suffix('$'));
    match words {
        Some(words)
            if words.contains('|')
                && words.bytes().all(|byte| byte == b'|' || byte.is_ascii_alphanumeric()) =>
        {
            let flags = if bare.len() < pattern.len() { "(?i)" } else { "" };
            format!("{flags}^(?:{words})$")
        }
        _ => translate(pattern),
    }
}

fn escape<'a>(behind: &'a str, out: &mut String) -> &'a str {
    let Some(escaped) = behind.chars().next() else {
        out.push('\\');
        return behind;
    };
    let rest = behind.get(escaped.len_utf8()..).unwrap_or_default();
    match escaped {
        'Q' => {
            let (literal, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex_syntax::escape(literal));
            rest
        }
        '<' | '>' => {
            out.push(escaped);
            rest
        }
        _ => {
            out.extend(['\\', escaped]);
            rest
        }
    }
}

/// Behind the `[`: a `^`, then a `]` or `-` that stands for itself.
fn class_start<'a>(behind: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = behind;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    for literal in [']', '-'] {
        if let Some(behind) = rest.strip_prefix(literal) {
            out.extend(['\\', literal]);
            return behind;
        }
    }
    rest
}

fn posix_class(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix("[:")?;
    let end = inner.find(":]")?;
    let name = inner.get(..end)?;
    let is_name = name.trim_start_matches('^').bytes().all(|byte| byte.is_ascii_lowercase());
    if is_name { rest.get(..end + 4) } else { None }
}

fn is_counted_repetition(behind: &str) -> bool {
    let Some((inner, _)) = behind.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_is_translated() {
        for (go, rust) in [
            ("a{3}b{2,}c{1,9}", "a{3}b{2,}c{1,9}"),
            ("{{x}}", r"\{\{x}}"),
            ("x{,3}{a}", r"x\{,3}\{a}"),
            (r"\{a", r"\{a"),
            ("[[a]", r"[\[a]"),
            ("[[:alpha:]_]", "[[:alpha:]_]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[-a]", r"[\-a]"),
            ("[a&&b]", r"[a&\&b]"),
            (r"\<a\>", "<a>"),
            (r"\Qa.b\Ec", r"a\.bc"),
            (r"key\z", r"key\z"),
            ("[{]{2}", "[{]{2}"),
        ] {
            assert_eq!(translate(go), rust, "{go}");
            assert!(
                regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(rust).is_ok(),
                "{rust}"
            );
        }
    }

    #[test]
    fn an_unanchored_word_list_is_anchored() {
        assert_eq!(allowlist("^true|false|null$"), "^(?:true|false|null)$");
        assert_eq!(allowlist("(?i)^true|false|null$"), "(?i)^(?:true|false|null)$");
        assert_eq!(allowlist("^(?:a|b)$"), "^(?:a|b)$");
        assert_eq!(allowlist(r"^\$|b$"), r"^\$|b$");
    }

    #[test]
    fn the_usual_terminator_is_widened() {
        let rule = format!("k=([a-z]{{4}}){TERMINATOR}");
        assert_eq!(widen(&rule), format!("k=([a-z]{{4}}){WIDER_TERMINATOR}"));
        assert_eq!(widen("k=([a-z]{4})"), "k=([a-z]{4})");
    }
}
