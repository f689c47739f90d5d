//! What bears credentials by its name (`--all`): header fields, cookies, parameters, form fields, members of JSON and XML.

use std::ops::Range;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::RedactError;
use super::layout::{self, Message};

/// Words of names that bear credentials.
const WORDS: &str = "pass|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|auth|credential|session|sess|sid|signature|sig|csrf|xsrf|otp|pin|cookie|jwt|bearer|code|key";

/// A text in quotes; within a string of JSON its quotes are escaped.
const QUOTED: &str = r#"\\"((?:[^"\\]|\\[^"])*)|"((?:[^"\\]|\\.)*)|'([^']*)"#;

/// Finds them.
pub(super) struct Credentials {
    name: Regex,
    values: Vec<Regex>,
}

impl Credentials {
    pub(super) fn new() -> Result<Self, RedactError> {
        let build = |pattern: &str| {
            Regex::builder()
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .build(pattern)
                .map_err(|error| RedactError::Pattern(error.to_string()))
        };
        let named = format!(r"(?i)[\w.\-\[\]$]*(?:{WORDS})[\w.\-\[\]$]*");
        Ok(Self {
            name: build(&format!("(?i){WORDS}"))?,
            values: vec![
                // `"name": "value"`, `name=value`, `name: value`, and the first within a string of JSON.
                build(&format!(
                    r#"{named}\\?["']?\s*(?::\s*(?:{QUOTED}|([^\s"'&<>;,{{}}\[\]]+))|=\s*(?:{QUOTED}|([^\s"'&<>;,]+)))"#
                ))?,
                // `<name attribute="">value<`
                build(&format!(r"<{named}[^<>]*>([^<]+)<"))?,
                // A part of multipart.
                build(&format!(r#"name="{named}"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)"#))?,
            ],
        })
    }

    /// What to mask of a run of bytes.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for message in layout::messages(bytes) {
            self.head(bytes, &message, &mut found);
            if message.is_coded {
                // What is in it cannot be seen in place.
                found.extend(message.body);
            } else {
                for part in &message.body {
                    self.values(bytes, part.clone(), &mut found);
                }
            }
        }
        found
    }

    fn head(&self, bytes: &[u8], message: &Message, found: &mut Vec<Range<usize>>) {
        let head = bytes.get(message.head.clone()).unwrap_or_default();
        let line = head.iter().position(|&byte| byte == b'\n').unwrap_or(head.len());
        self.values(bytes, message.head.start..message.head.start + line, found);
        for field in layout::fields(bytes, message.head.clone()) {
            let name = bytes.get(field.name.clone()).unwrap_or_default().to_ascii_lowercase();
            let value = bytes.get(field.value.clone()).unwrap_or_default();
            match name.as_slice() {
                b"cookie" => found.extend(pairs(value, field.value.start, usize::MAX)),
                b"set-cookie" => found.extend(pairs(value, field.value.start, 1)),
                // The scheme stays: it is no secret, and says what stood there.
                b"authorization" | b"proxy-authorization" => {
                    let scheme = value.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1);
                    found.push(field.value.start + scheme..field.value.end);
                }
                b"referer" | b"location" => self.values(bytes, field.value, found),
                // What says how a secret is asked for, or which fields there are, is none.
                b"www-authenticate" | b"proxy-authenticate" | b"host" => {}
                name if name.starts_with(b"access-control-") || name.starts_with(b"sec-websocket-") => {}
                name if self.name.is_match(name) => found.push(field.value),
                _ => {}
            }
        }
    }

    fn values(&self, bytes: &[u8], part: Range<usize>, found: &mut Vec<Range<usize>>) {
        let text = bytes.get(part.clone()).unwrap_or_default();
        for pattern in &self.values {
            for captures in pattern.captures_iter(text) {
                let value = (1..captures.group_len()).find_map(|group| captures.get_group(group));
                found.extend(value.map(|value| part.start + value.start..part.start + value.end));
            }
        }
    }
}

/// The values of `name=value; name=value`.
fn pairs(value: &[u8], start: usize, most: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = start;
    for pair in value.split(|&byte| byte == b';').take(most) {
        if let Some(equals) = pair.iter().position(|&byte| byte == b'=') {
            found.push(at + equals + 1..at + pair.len());
        }
        at += pair.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_names_of_their_fields() {
        let text = "POST /login?user=ada&api_key=k1&page=2 HTTP/1.1\r\nHost: a\r\nX-Auth-Token: t1\r\nCookie: a=c1; b=c2\r\n\
                    Authorization: Bearer b1\r\nAccept: text/html\r\nContent-Length: 150\r\n\r\n\
                    {\"user\":\"ada\",\"password\":\"p\\\"1\",\"n\":{\"client_secret\" : 's1', \"pin\":1234}}<Password x=\"\">p2</Password>\
                    \r\nname=\"token\"\r\nX: y\r\n\r\nm1\r\n--";
        let found = Credentials::new().unwrap().find(text.as_bytes());
        let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
        for value in ["k1", "t1", "c1", "c2", "b1", "p\\\"1", "s1", "1234", "p2", "m1"] {
            assert!(
                found.contains(&value)
                    || (value.starts_with("p\\") && found.iter().any(|one| one.starts_with("p\\"))),
                "{value}: {found:?}"
            );
        }
        for value in ["ada", "2", "text/html", "150", "a"] {
            assert!(!found.contains(&value), "{value}: {found:?}");
        }
        let text = "HTTP/1.1 200 OK\r\nSet-Cookie: sid=c3; Path=/; HttpOnly\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\n\u{1}\u{2}\u{3}\u{4}";
        let found = Credentials::new().unwrap().find(text.as_bytes());
        let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["c3", "\u{1}\u{2}\u{3}\u{4}"]);
    }
}
