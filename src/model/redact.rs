//! The door that every shown text passes: what may be seen of a secret, a URL, a name, an excerpt.

mod command;

pub use command::command_line;

use super::text::{entropy, percent_decode};

/// What stands for what must not be seen.
pub const HIDDEN: &str = "…";

/// Longest excerpt shown, in characters.
const EXCERPT: usize = 240;
/// Bytes that hold as many characters: what comes behind them is not shown.
const ENOUGH: usize = 4 * EXCERPT;

/// What may be shown of a secret: at most its first 4 and last 4 characters, never more than a third of it; of a
/// `password`, or of bytes that are no text, nothing.
#[must_use]
pub fn redact(value: &[u8], password: bool) -> String {
    let Ok(text) = std::str::from_utf8(value) else { return HIDDEN.to_owned() };
    let length = text.chars().count();
    let shown = if password { 0 } else { (length / 6).min(4) };
    let shown_char = |character: char| if character.is_control() { '·' } else { character };
    let start = text.chars().take(shown).map(shown_char);
    let end = text.chars().skip(length - shown).map(shown_char);
    start.chain(HIDDEN.chars()).chain(end).collect()
}

/// A secret that is known to stand in what is shown, and what is shown in its place.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Its redacted form.
    pub redacted: &'a str,
}

/// A request target or URL with all masked that may be secret, found or not: userinfo, query and fragment values of more
/// than five characters, whatever looks like a token, and every `known` secret, encoded or not.
#[must_use]
pub fn url(raw: &[u8], known: &[Known<'_>]) -> String {
    let mut shown = String::with_capacity(raw.len().min(2 * ENOUGH));
    let (rest, fragment) = split(raw, b'#');
    let (path, query) = split(rest, b'?');
    let path = match scheme_end(path) {
        Some(end) => {
            let (scheme, rest) = path.split_at(end);
            push_text(&mut shown, scheme);
            let slash = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(slash);
            let host = match memchr::memrchr(b'@', authority) {
                Some(at) => {
                    shown.push_str(HIDDEN);
                    authority.get(at..).unwrap_or_default()
                }
                None => authority,
            };
            push_part(&mut shown, host, known, usize::MAX);
            path
        }
        None => path,
    };
    for (index, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if shown.len() > ENOUGH {
            break;
        }
        if index > 0 {
            shown.push('/');
        }
        push_part(&mut shown, segment, known, usize::MAX);
    }
    for (mark, part) in [('?', query), ('#', fragment)] {
        let Some(part) = part else { continue };
        shown.push(mark);
        push_pairs(&mut shown, part, known);
    }
    shorten(shown)
}

/// The name of a field with everything masked in it that looks like a token.
#[must_use]
pub fn name(raw: &str, known: &[Known<'_>]) -> String {
    let mut shown = String::with_capacity(raw.len().min(2 * ENOUGH));
    let parts = raw.split_inclusive(['.', '[', ']', ' ', '/']);
    for part in parts {
        let (word, mark) = match part.char_indices().next_back() {
            Some((at, mark @ ('.' | '[' | ']' | ' ' | '/'))) => (part.get(..at).unwrap_or(""), Some(mark)),
            _ => (part, None),
        };
        push_part(&mut shown, word.as_bytes(), known, usize::MAX);
        shown.extend(mark);
    }
    // A token that has one of the marks in it.
    hide_known(&mut shown, known);
    shorten(shown)
}

/// The value of a header field: cookies and credentials masked whatever they are, URLs as [`url`] does, the rest as an
/// [`excerpt`].
#[must_use]
pub fn header(name: &[u8], value: &[u8], known: &[Known<'_>]) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let pair = |pair: &[u8]| {
        let (name, value) = split(pair.trim_ascii(), b'=');
        let mut shown = String::new();
        match value {
            Some(value) => {
                push_part(&mut shown, name, known, usize::MAX);
                shown.push('=');
                push_secret(&mut shown, value, known);
            }
            None => push_secret(&mut shown, name, known),
        }
        shown
    };
    let shown = match name.as_str() {
        "cookie" => value.split(|&byte| byte == b';').map(pair).collect::<Vec<_>>().join("; "),
        "set-cookie" => {
            let mut parts = value.split(|&byte| byte == b';');
            let first = parts.next().map(pair);
            let rest = parts.map(|part| excerpt(part.trim_ascii(), known));
            first.into_iter().chain(rest).collect::<Vec<_>>().join("; ")
        }
        "location" | "content-location" | "referer" | "refresh" | "link" => url(value, known),
        // Where they come from is no secret of theirs.
        "www-authenticate" | "proxy-authenticate" | "access-control-allow-credentials" => {
            excerpt(value, known)
        }
        name if is_telling(name) => {
            let (scheme, rest) = split(value.trim_ascii(), b' ');
            let mut shown = String::new();
            match rest.filter(|_| std::str::from_utf8(scheme).is_ok_and(is_scheme)) {
                Some(credential) => {
                    push_text(&mut shown, scheme);
                    shown.push(' ');
                    push_secret(&mut shown, credential.trim_ascii(), known);
                }
                None => push_secret(&mut shown, value, known),
            }
            shown
        }
        _ => excerpt(value, known),
    };
    shorten(shown)
}

/// What is masked whatever it is; a known secret that it is, or holds, by its redacted form.
fn push_secret(shown: &mut String, raw: &[u8], known: &[Known<'_>]) {
    let decoded = percent_decode(raw, true);
    let fits = |secret: &&Known<'_>| secret.value == &*decoded || secret.value == raw;
    let within = |secret: &&Known<'_>| {
        !secret.value.is_empty() && memchr::memmem::find(&decoded, secret.value).is_some()
    };
    match (known.iter().find(fits), known.iter().find(within)) {
        (Some(secret), _) => shown.push_str(secret.redacted),
        (None, Some(secret)) => {
            shown.push_str(HIDDEN);
            shown.push_str(secret.redacted);
            shown.push_str(HIDDEN);
        }
        (None, None) => shown.push_str(HIDDEN),
    }
}

/// A stretch of a message: as an [`excerpt`], but with its lines, and as long as it is.
#[must_use]
pub fn passage(raw: &[u8], known: &[Known<'_>]) -> String {
    masked(raw, known, usize::MAX)
}

/// An excerpt of running text: known secrets, URLs, values behind telling names and tokens masked.
#[must_use]
pub fn excerpt(raw: &[u8], known: &[Known<'_>]) -> String {
    shorten(masked(raw, known, ENOUGH))
}

/// Masks text until `enough` bytes of it are there; without a limit its lines stay.
fn masked(raw: &[u8], known: &[Known<'_>], enough: usize) -> String {
    let mut text = String::from_utf8_lossy(raw).into_owned();
    hide_known(&mut text, known);
    let mut shown = String::with_capacity(text.len().min(2 * ENOUGH));
    let mut hide_next = false;
    let is_break = |character: char| {
        character.is_whitespace()
            || matches!(
                character,
                '"' | '\'' | '<' | '>' | '(' | ')' | ',' | ';' | '&' | '=' | '{' | '}' | '`'
            )
    };
    for part in text.split_inclusive(is_break) {
        if shown.len() > enough {
            break;
        }
        let mark = part.chars().next_back().filter(|&character| is_break(character));
        let word = part.strip_suffix(|_: char| mark.is_some()).unwrap_or(part);
        if word.is_empty() {
            hide_next &= mark.is_some_and(|mark| matches!(mark, ' ' | '=' | '"' | '\'' | '{'));
        } else if word.contains(HIDDEN) && !word.contains("://") {
            shown.push_str(word);
            hide_next = false;
        } else if word.contains("://") {
            // A query was cut off at its `=`: what is left is masked like a whole URL, its last name a name.
            let named = mark == Some('=') && word.contains('?');
            let whole = if named { format!("{word}=") } else { word.to_owned() };
            let masked = url(whole.as_bytes(), known);
            shown.push_str(if named { masked.strip_suffix('=').unwrap_or(&masked) } else { &masked });
            hide_next = is_telling(word.rsplit(['?', '&']).next().unwrap_or(word));
        } else if hide_next && (is_between(word) || is_scheme(word)) {
            // The value is still to come.
            shown.push_str(word);
        } else if hide_next {
            shown.push_str(HIDDEN);
            hide_next = false;
        } else {
            push_part(&mut shown, word.as_bytes(), known, usize::MAX);
            hide_next = mark.is_some_and(|mark| matches!(mark, '=' | '"' | '\'')) && is_telling(word)
                || word.ends_with(':') && is_telling(word);
        }
        match mark {
            Some('\n') if enough == usize::MAX => shown.push('\n'),
            Some(mark) if mark.is_control() => shown.push(' '),
            mark => shown.extend(mark),
        }
    }
    shown
}

/// Whether a word may be a token: what a path segment or a field name is masked for.
#[must_use]
pub fn looks_like_token(word: &[u8]) -> bool {
    if word.len() < 12
        || !word.iter().all(|&byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>'))
    {
        return false;
    }
    let whole = Alphabet::of(word);
    word.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        let alphabet = Alphabet::of(run);
        match run.len() {
            0..=9 => false,
            10..=15 => alphabet.digits >= 2 && whole.letters() >= 1,
            _ => {
                alphabet.digits >= 2
                    || alphabet.upper > 1 && alphabet.lower > 0 && run.len() >= 20 && entropy(run) >= 3.8
            }
        }
    }) || word.len() >= 20 && whole.digits >= 3 && whole.upper > 0 && whole.lower > 0 && entropy(word) >= 3.8
}

struct Alphabet {
    upper: usize,
    lower: usize,
    digits: usize,
}

impl Alphabet {
    fn of(word: &[u8]) -> Self {
        let count = |of: fn(&u8) -> bool| word.iter().filter(|byte| of(byte)).count();
        Self {
            upper: count(u8::is_ascii_uppercase),
            lower: count(u8::is_ascii_lowercase),
            digits: count(u8::is_ascii_digit),
        }
    }

    fn letters(&self) -> usize {
        self.upper + self.lower
    }
}

/// What stands between a name and its value: the colon of JSON, escapes of quotes.
fn is_between(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b':' | b'\\'))
}

/// The scheme in front of a credential (RFC 9110 section 11.1).
fn is_scheme(word: &str) -> bool {
    ["basic", "bearer", "digest", "token", "apikey"].iter().any(|scheme| scheme.eq_ignore_ascii_case(word))
}

/// Whether a name by itself says that its value is secret.
fn is_telling(name: &str) -> bool {
    const TELLING: [&str; 12] = [
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "auth",
        "credential",
        "signature",
        "session",
        "cookie",
        "sid",
        "pin",
    ];
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|telling| name.contains(telling))
        && !name.ends_with("error:")
        && !name.ends_with("exception:")
}

fn split(bytes: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(mark, bytes).and_then(|at| bytes.split_at_checked(at)) {
        Some((before, behind)) => (before, behind.get(1..)),
        None => (bytes, None),
    }
}

/// Where the authority of `scheme://authority` (or `//authority`) begins.
fn scheme_end(bytes: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(bytes, b"://")?;
    let scheme = bytes.get(..at)?;
    scheme
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':'))
        .then_some(at + 3)
}

fn push_pairs(shown: &mut String, pairs: &[u8], known: &[Known<'_>]) {
    for (index, pair) in pairs.split(|&byte| byte == b'&').enumerate() {
        if shown.len() > ENOUGH {
            break;
        }
        if index > 0 {
            shown.push('&');
        }
        let (name, value) = split(pair, b'=');
        match value {
            Some(value) => {
                push_part(shown, name, known, usize::MAX);
                shown.push('=');
                push_part(shown, value, known, 5);
            }
            None => push_part(shown, name, known, 5),
        }
    }
}

/// One word: a known secret by its redacted form, what is longer than `longest` hidden, a token redacted.
fn push_part(shown: &mut String, raw: &[u8], known: &[Known<'_>], longest: usize) {
    let decoded = percent_decode(raw, true);
    for secret in known {
        if secret.value == &*decoded || secret.value == raw {
            shown.push_str(secret.redacted);
            return;
        }
    }
    let holds_one = |text: &[u8]| {
        known
            .iter()
            .any(|secret| !secret.value.is_empty() && memchr::memmem::find(text, secret.value).is_some())
    };
    if holds_one(&decoded) || holds_one(raw) || String::from_utf8_lossy(&decoded).chars().count() > longest {
        shown.push_str(HIDDEN);
    } else if looks_like_token(&decoded)
        || raw.split(|byte| matches!(byte, b';' | b',')).any(looks_like_token)
    {
        shown.push_str(&redact(&decoded, false));
    } else {
        push_text(shown, raw);
    }
}

fn push_text(shown: &mut String, raw: &[u8]) {
    shown.extend(
        String::from_utf8_lossy(raw)
            .chars()
            .map(|character| if character.is_control() { '·' } else { character }),
    );
}

fn hide_known(text: &mut String, known: &[Known<'_>]) {
    for secret in known {
        let Ok(value) = std::str::from_utf8(secret.value) else { continue };
        if !value.is_empty() && text.contains(value) {
            *text = text.replace(value, secret.redacted);
        }
    }
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{}{HIDDEN}", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "zx81Kq0mPa55Lw3Tn7Rb29Vd";

    #[test]
    fn a_third_at_most_and_nothing_of_a_password() {
        for (value, password, shown) in [
            (KEY, false, "zx81…29Vd"),
            ("abcdefghijkl", false, "ab…kl"),
            ("abcdef", false, "a…f"),
            ("abcde", false, "…"),
            ("", false, "…"),
            (KEY, true, "…"),
            ("ä2345öüß9012", false, "ä2…12"),
        ] {
            assert_eq!(redact(value.as_bytes(), password), shown, "{value}");
        }
        assert_eq!(redact(b"\xff\xfe0123456789012345", false), "…");
    }

    #[test]
    fn urls_are_masked_whether_known_or_not() {
        let known = [Known { value: b"p&w", redacted: HIDDEN }];
        for (raw, shown) in [
            ("/v1/items?page=2&sort=name", "/v1/items?page=2&sort=name"),
            ("/v1/items?q=elephant&x", "/v1/items?q=…&x"),
            ("/hooks/zx81Kq0mPa55Lw3Tn7Rb29Vd/send", "/hooks/zx81…29Vd/send"),
            ("/login?pw=p%26w&next=/", "/login?pw=…&next=/"),
            ("http://bob:pa55@api.example.com/x", "http://…@api.example.com/x"),
            ("http://bob@api.example.com/x#access=abcdefgh", "http://…@api.example.com/x#access=…"),
            ("/a?zx81Kq0mPa55Lw3Tn7Rb29Vd", "/a?…"),
            ("/users/550e8400-e29b-41d4-a716-446655440000", "/users/550e…0000"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(url(raw.as_bytes(), &known), shown, "{raw}");
        }
    }

    #[test]
    fn names_keep_their_shape() {
        assert_eq!(name("data.keys[0].secret", &[]), "data.keys[0].secret");
        assert_eq!(name("X-Functions-Key", &[]), "X-Functions-Key");
        assert_eq!(name("sessions.zx81Kq0mPa55Lw3Tn7Rb29Vd.user", &[]), "sessions.zx81…29Vd.user");
    }

    #[test]
    fn excerpts_hide_values_behind_telling_names() {
        let known = [Known { value: b"S3cr3t!", redacted: HIDDEN }];
        for (raw, shown) in [
            ("KeyError: 'MONGO_URI'", "KeyError: 'MONGO_URI'"),
            ("mssql+pyodbc://app:S3cr3t!@db.internal/prod", "mssql+pyodbc://…@db.internal/prod"),
            ("UID=sa;PWD=hunter2;Database=x", "UID=sa;PWD=…;Database=x"),
            (
                "failed for https://api.example.com/x?api_key=abc123def",
                "failed for https://api.example.com/x?api_key=…",
            ),
            ("key zx81Kq0mPa55Lw3Tn7Rb29Vd refused", "key zx81…29Vd refused"),
            ("a\r\nb", "a  b"),
            ("\"api_key\": \"abc123def\", \"page\": \"two\"", "\"api_key\": \"…\", \"page\": \"two\""),
            ("{\\\"password\\\":\\\"hunter2\\\"}", "{\\\"password\\\":\\\"…\"}"),
            ("Authorization: Basic hunter2", "Authorization: Basic …"),
        ] {
            assert_eq!(excerpt(raw.as_bytes(), &known), shown, "{raw}");
        }
    }

    #[test]
    fn ordinary_words_are_no_tokens() {
        for word in [
            "users",
            "application-settings",
            "python3.11",
            "v1.2.3",
            "2026-11-22",
            "getUserByIdentifier",
            "X-Forwarded-For",
            "jquery-3.7.1.min.js",
        ] {
            assert!(!looks_like_token(word.as_bytes()), "{word}");
        }
        for word in [KEY, "0123456789abcdef0123456789abcdef", "sk_live_51HxQ0aBcDeFgHiJkLm"] {
            assert!(looks_like_token(word.as_bytes()), "{word}");
        }
    }

    proptest! {
        #[test]
        fn a_known_secret_never_passes(before in "[ -~]{0,40}", secret in "[A-Za-z0-9!@#%_-]{8,40}", behind in "[ -~]{0,40}") {
            let redacted = redact(secret.as_bytes(), true);
            let known = [Known { value: secret.as_bytes(), redacted: &redacted }];
            let raw = format!("{before}{secret}{behind}");
            prop_assert!(!excerpt(raw.as_bytes(), &known).contains(&secret));
            prop_assert!(!name(&raw, &known).contains(&secret));
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let target = format!("/a/{encoded}?x={encoded}#{encoded}");
            prop_assert_eq!(url(target.as_bytes(), &known), format!("/a/{HIDDEN}?x={HIDDEN}#{HIDDEN}"));
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (url(&raw, &[]), excerpt(&raw, &[]), redact(&raw, false), looks_like_token(&raw));
            let _ = name(&String::from_utf8_lossy(&raw), &[]);
        }
    }
}
