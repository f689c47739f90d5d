//! What must stand around a keyword for the pre-pass to count it: a look at a few bytes instead of a parse of the page.

use super::check::{Check, Does, Mark, Parameter};

/// Where the pre-pass looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The head of a message, or what is no message: every rule may look there.
    Any,
    /// A body.
    Body,
}

/// When a keyword counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Never: no rule that looks there has it.
    Never,
    /// Where a colon and an `@` follow before the authority of the URL ends.
    Userinfo,
    /// Where it is part of a name that a value of at least so many bytes is assigned to.
    Assigned(u8),
    /// The same, where it is a whole word of the name and digits stand in the value.
    Number(u8),
    /// The same, where an `@` stands in the value.
    Address(u8),
    /// Where at least so many bytes follow that break no word; `true`: and where a word begins.
    Run(u8, bool),
    /// Always.
    Always,
}

/// Bytes behind a keyword in which a value has to begin.
const REACH: usize = 64;
/// Bytes of a value in which its digits or its `@` have to stand, and how many digits.
const NEAR: usize = 64;
const DIGITS: usize = 5;
/// Bytes of a URL's userinfo.
const USERINFO: usize = 256;
/// Bytes of the rest of a name, on either side.
const NAME: usize = 40;
/// Tags that may stand within a token, and the bytes of one.
const TAGS: usize = 4;
const TAG: usize = 96;
/// Bytes of a word between a name and the credential.
const SCHEME: usize = 16;
/// How quotes are written within other text.
const QUOTES: [&[u8]; 10] =
    [b"%5d", b"%5b", b"&quot;", b"&#34;", b"&#39;", b"&#x27;", b"&apos;", b"u0022", b"u0027", b"%22"];

impl Guard {
    /// What a check asks of the keywords of its rule.
    pub(super) fn of(check: &Check) -> Option<Self> {
        let (Does::Mark(mark), Parameter::AtLeast(least)) = (check.does, &check.parameter) else {
            return None;
        };
        match mark {
            Mark::Assigned => Some(Self::Assigned(*least as u8)),
            Mark::AssignedNumber => Some(Self::Number(*least as u8)),
            Mark::AssignedAddress => Some(Self::Address(*least as u8)),
            _ => None,
        }
    }

    /// The weaker of two: what one of them lets pass.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, guard) | (guard, Self::Never) => guard,
            (Self::Assigned(a), Self::Assigned(b)) => Self::Assigned(a.min(b)),
            (Self::Run(a, first), Self::Run(b, second)) => Self::Run(a.min(b), first && second),
            (a, b) if a == b => a,
            _ => Self::Always,
        }
    }

    /// Whether a keyword at `start..end` counts. Looks at a bounded number of bytes around it; where the text ends before
    /// anything can be said, it counts.
    pub(super) fn lets_pass(self, bytes: &[u8], start: usize, end: usize) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Run(least, first) => {
                (!first || begins_word(bytes.get(..start).unwrap_or_default()))
                    && has_run(bytes.get(end..).unwrap_or_default(), usize::from(least))
            }
            Self::Userinfo => has_userinfo(bytes.get(end..).unwrap_or_default()),
            Self::Assigned(least) => is_assigned_or_attribute(bytes, start, end, least),
            Self::Number(least) => {
                let near = bytes.get(end..bytes.len().min(end + NEAR)).unwrap_or_default();
                near.iter().filter(|byte| byte.is_ascii_digit()).count() >= DIGITS
                    && is_whole_word(bytes, start, end)
                    && is_assigned_or_attribute(bytes, start, end, least)
            }
            Self::Address(least) => {
                let near = bytes.get(end..bytes.len().min(end + NEAR)).unwrap_or_default();
                let escaped = |mark: &[u8]| memchr::memmem::find(near, mark).is_some();
                (near.contains(&b'@') || escaped(b"%40") || escaped(b"u0040") || escaped(b"&#"))
                    && is_assigned_or_attribute(bytes, start, end, least)
            }
        }
    }
}

fn is_assigned_or_attribute(bytes: &[u8], start: usize, end: usize, least: u8) -> bool {
    is_assigned(bytes.get(start..end).unwrap_or_default(), bytes, end, least)
        || is_attribute(bytes.get(..start).unwrap_or_default())
}

/// Whether a name has the keyword as a word of its own: `user_ssn`, `userSsn`, not `className`.
fn is_whole_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    let (first, behind) = (bytes.get(start), bytes.get(end));
    let begins = before.is_none_or(|before| {
        !before.is_ascii_alphabetic()
            || before.is_ascii_lowercase() && first.is_some_and(u8::is_ascii_uppercase)
    });
    begins && behind.is_none_or(|behind| !behind.is_ascii_lowercase())
}

/// Whether so many bytes follow that break no word; markup may stand in the middle of a token, and counts for nothing.
fn has_run(mut rest: &[u8], mut least: usize) -> bool {
    for _ in 0..=TAGS {
        let near = rest.get(..least).unwrap_or(rest);
        let run = near.iter().position(|&byte| is_break(byte)).unwrap_or(near.len());
        if run == least {
            return true;
        }
        least -= run;
        rest = rest.get(run..).unwrap_or_default();
        let tag = rest.get(..TAG).unwrap_or(rest);
        match tag.strip_prefix(b"<").and_then(|tag| memchr::memchr(b'>', tag)) {
            Some(end) => rest = rest.get(end + 2..).unwrap_or_default(),
            None => return false,
        }
    }
    false
}

/// What follows `://`: a colon and an `@` before white space, a quote or markup. A slash ends it, unless what stands behind
/// the colon is no port.
fn has_userinfo(rest: &[u8]) -> bool {
    let mut colon = false;
    let mut digits = true;
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            b'@' if colon => return true,
            b':' => colon = true,
            b'/' | b'?' | b'#' | b'\\' if !colon || digits => return false,
            b'"' | b'\'' | b'`' | b'<' | b'>' | 0..=b' ' => return false,
            b'0'..=b'9' => {}
            _ if colon => digits = false,
            _ => {}
        }
        if at >= USERINFO {
            return false;
        }
    }
    true
}

/// `name="` of markup and of multipart bodies, `key="` of settings, in front of the name the keyword is part of.
fn is_attribute(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(NAME)..).unwrap_or_default();
    let name = near.iter().rev().take_while(|&&byte| is_name(byte) || matches!(byte, b'[' | b']')).count();
    let near = near.get(..near.len() - name).unwrap_or_default();
    let quotes = near.iter().rev().take_while(|&&byte| matches!(byte, b'"' | b'\'' | b'\\')).count();
    let near = near.get(..near.len() - quotes).unwrap_or_default();
    let Some(near) = near.strip_suffix(b"=") else { return false };
    let ends = |word: &[u8]| near.len() > word.len() && near.ends_with(word);
    ends(b"name") || ends(b"key")
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_assigned(keyword: &[u8], bytes: &[u8], end: usize, least: u8) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    let reach = rest.get(..REACH).unwrap_or(rest);
    let mut text = Text { rest: reach };
    if !matches!(keyword.last(), Some(b':' | b'=')) {
        text.skip(NAME, is_name);
        text.close();
        if !text.separator() {
            return text.rest.is_empty() && reach.len() == rest.len();
        }
    }
    let (quote, escaped) = text.open();
    let value = end + (reach.len() - text.rest.len());
    let value = bytes.get(value..).unwrap_or_default();
    if let Some(inner) = value.strip_prefix(b"{") {
        // `PWD={…}` of a connection string.
        return matches!(keyword.last(), Some(b'=')) || holds_value(inner);
    }
    has_length(value, quote, escaped, usize::from(least))
}

/// Whether a value of the length begins here, or the text ends within it.
fn has_length(value: &[u8], quote: Option<u8>, escaped: bool, least: usize) -> bool {
    let mut run = 0;
    for (at, &byte) in value.iter().enumerate() {
        let ends = match quote {
            Some(quote) => {
                let behind_slash = at.checked_sub(1).and_then(|before| value.get(before)) == Some(&b'\\');
                byte == quote && (escaped || !behind_slash) || byte == b'\n'
            }
            None => matches!(
                byte,
                0..=b' ' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b',' | b';' | b'&'
            ),
        };
        if !ends {
            run += 1;
            if run >= least {
                return true;
            }
            continue;
        }
        // `Bearer …`: the credential comes behind the scheme.
        let word = value.get(..at).unwrap_or_default();
        return byte == b' '
            && (2..=SCHEME).contains(&word.len())
            && word.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && value.get(at + 1..).is_some_and(|value| {
                let run = value.iter().take(least).take_while(|&&byte| !is_break(byte)).count();
                run >= least || run == value.len()
            });
    }
    true
}

/// Whether a word begins behind these bytes, which may end in an escape: `%3D`, `\n`, `\u003d`.
fn begins_word(before: &[u8]) -> bool {
    match before {
        [] => true,
        [.., last] if !(last.is_ascii_alphanumeric() || *last == b'_') => true,
        [.., b'%', a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        [.., b'\\', b'n' | b'r' | b't' | b'f' | b'b'] => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()),
        _ => false,
    }
}

/// What no token holds, and no encoded form of one.
pub(super) fn is_break(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b',')
}

/// `{"value": …`: the name goes on.
fn holds_value(inner: &[u8]) -> bool {
    let mut text = Text { rest: inner.get(..REACH).unwrap_or(inner) };
    text.skip(REACH, |byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\'));
    text.rest.starts_with(b"value") || text.rest.starts_with(b"text")
}

/// What is left to read behind a keyword.
struct Text<'a> {
    rest: &'a [u8],
}

impl Text<'_> {
    fn skip(&mut self, most: usize, is: impl Fn(u8) -> bool) -> usize {
        let count = self.rest.iter().take(most).take_while(|&&byte| is(byte)).count();
        self.rest = self.rest.get(count..).unwrap_or_default();
        count
    }

    fn strip(&mut self, word: &[u8]) -> bool {
        match self.rest.get(..word.len()) {
            Some(start) if start.eq_ignore_ascii_case(word) => {
                self.rest = self.rest.get(word.len()..).unwrap_or_default();
                true
            }
            _ => false,
        }
    }

    /// What ends a name: quotes, however written, brackets, white space.
    fn close(&mut self) {
        for _ in 0..4 {
            let closed = self.skip(12, |byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']')
            });
            let bracket = self.strip(b"%5d");
            if !bracket && !QUOTES.iter().any(|quote| self.strip(quote)) && closed == 0 {
                return;
            }
        }
    }

    fn separator(&mut self) -> bool {
        let written = self.skip(3, |byte| matches!(byte, b':' | b'=' | b'>')) > 0;
        written || [&b"%3d"[..], b"%3a", b"value=", b"content=", b"&gt;"].iter().any(|word| self.strip(word))
    }

    /// Up to where the value begins; the quote it stands in, and whether that is escaped.
    fn open(&mut self) -> (Option<u8>, bool) {
        self.skip(8, |byte| byte.is_ascii_whitespace());
        self.strip(b"<![cdata[");
        let escaped = self.skip(8, |byte| byte == b'\\') > 0;
        let quote = self.rest.first().copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        if quote.is_some() {
            self.skip(1, |_| true);
        } else {
            let _ = self.strip(b"<![cdata[") || QUOTES.iter().any(|quote| self.strip(quote));
        }
        (quote, escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(guard: Guard, keyword: &str, text: &str) -> bool {
        let start = text.to_ascii_lowercase().find(keyword).unwrap();
        guard.lets_pass(text.as_bytes(), start, start + keyword.len())
    }

    #[test]
    fn a_url_counts_with_userinfo() {
        for (text, counts) in [
            ("https://mira:Weiher-58@intra.example/list", true),
            ("redis://:tr0ut@cache:6379/0", true),
            ("x://a:b/c@host ", true),
            ("https://user", true),
            ("https://cdn.example/npm/x@1.2.3/y.js ", false),
            ("https://intra.example:8443/@mira ", false),
            ("https://mira@files.example/ ", false),
            ("https://docs.example/a \"mail@example\"", false),
            ("<a href=\"http://docs.example\">x:y@z", false),
        ] {
            assert_eq!(passes(Guard::Userinfo, "://", text), counts, "{text}");
        }
    }

    #[test]
    fn a_name_counts_with_a_value() {
        let value = "q8Zw2nVd4Lk9Xb3T";
        for form in [
            "token={}",
            "token={}&x=1 ",
            "access_token: {}\n",
            "{\"tokenValue\": \"{}\"}",
            "{\\\"token\\\":\\\"{}\\\"}",
            "token => '{}'",
            "token := \"{}\"",
            "<token>{}</token>",
            "<input name=\"token\" type=\"hidden\" value=\"{}\">",
            "<meta name='x-token' content='{}'>",
            "Content-Disposition: form-data; name=\"token\"\r\n\r\n{}\r\n",
            "<add key=\"app.token\" value=\"{}\"/>",
            "x%5Btoken%3D{}",
            "&quot;token&quot;: &quot;{}&quot;",
            "\\u0022token\\u0022:\\u0022{}\\u0022",
            "X-Token: Bearer {}\r\n",
            "params[token]={} ",
            "{\"token\": {\"value\": \"{}\"}}",
            "the end: token",
        ] {
            let text = form.replace("{}", value);
            assert!(passes(Guard::Assigned(16), "token", &text), "{text}");
        }
        for text in [
            "the token is read here",
            "token: this one\n",
            "var token = e.token, x",
            "token: read it before you goOn(there)",
            "<span class=\"token punctuation\">(</span>",
            "if (token == null) ",
            "tokens, and more",
            "{\"token\": \"\"}",
            "{\"token\": {\"type\": \"string\"}}",
            "<b>token</b> of a session that ends",
        ] {
            assert!(!passes(Guard::Assigned(16), "token", text), "{text}");
        }
        assert!(passes(Guard::Assigned(3), "pwd=", "pwd=abc;"));
        assert!(!passes(Guard::Assigned(3), "pwd=", "pwd=a;"));
    }

    #[test]
    fn a_name_counts_with_what_its_value_must_hold() {
        let (number, address) = (Guard::Number(8), Guard::Address(6));
        for (guard, keyword, text, counts) in [
            (number, "ssn", "{\"ssn\": \"512-48-3307\"}", true),
            (number, "ssn", "user_ssn=512483307&x=1 ", true),
            (number, "ssn", "{\"userSsn\":512483307}", true),
            (number, "ssn", "<input name=\"ssn\" value=\"512-48-3307\">", true),
            (number, "ssn", "{className:\"x1-x2-x3-x4-x5-x6\"}", false),
            (number, "ssn", "{\"ssn\": \"not told here\", \"a\": 1}", false),
            (number, "ssn", "{\"ssns\": \"512-48-3307\"}", false),
            (address, "email", "{\"email\": \"mira@blue.example\"}", true),
            (address, "email", "email=mira%40blue.example ", true),
            (address, "email", "{\"email\": \"Please enter one, and make it valid\"}", false),
            (
                address,
                "email",
                "<input type=\"email\" name=\"email\" placeholder=\"your address\">          ",
                false,
            ),
        ] {
            assert_eq!(passes(guard, keyword, text), counts, "{text}");
        }
    }

    #[test]
    fn a_prefix_counts_where_a_token_is_long_enough() {
        for (text, counts) in [
            ("napi_0123456789", true),
            ("x=napi_0123456789&", true),
            ("x%3Dnapi_0123456789", true),
            ("\\nnapi_0123456789", true),
            ("\\u003dnapi_0123456789", true),
            ("napi_get_value(", true),
            ("napi_0123</b><b class=x>456789", true),
            ("napi_get</h2><p>of it", false),
            ("napi_get</li>", false),
            ("napi_value x", false),
            ("xnapi_0123456789", false),
            ("napi_01234567", false),
        ] {
            assert_eq!(passes(Guard::Run(9, true), "napi_", text), counts, "{text}");
        }
        assert!(passes(Guard::Run(9, false), "napi_", "xnapi_0123456789"));
    }

    #[test]
    fn of_two_rules_the_weaker_guard_holds() {
        use Guard::{Always, Assigned, Never, Userinfo};
        for (one, other, both) in [
            (Never, Never, Never),
            (Never, Userinfo, Userinfo),
            (Assigned(16), Assigned(3), Assigned(3)),
            (Assigned(16), Userinfo, Always),
            (Userinfo, Userinfo, Userinfo),
            (Always, Never, Always),
        ] {
            assert_eq!(one.or(other), both);
            assert_eq!(other.or(one), both);
        }
    }
}
