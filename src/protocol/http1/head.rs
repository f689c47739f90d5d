//! Start lines and header fields, read as leniently as any receiver would (RFC 9112 sections 2 to 5).

use memchr::{memchr, memchr_iter, memrchr2};

use crate::model::http::Header;

/// Bytes of a head, with its empty line: what is longer is no head. The parser never asks for more to be kept.
pub const HEAD_LIMIT: usize = 256 * 1024;
/// Bytes of the first line of a request with a method that nobody knows.
pub(super) const ODD_LINE_LIMIT: usize = 16 * 1024;
/// Bytes of a method.
pub(super) const METHOD_LIMIT: usize = 32;
/// Fields of one head told one by one.
const FIELD_LIMIT: usize = 1000;
/// Bytes in which version and status must stand.
const STATUS_LIMIT: usize = 64;
/// White space in front of a request line.
const INDENT_LIMIT: usize = 64;

/// Methods that need no further sign: RFC 9110, PATCH, QUERY, WebDAV and what caches use.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"QUERY",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"UNLOCK",
    b"LOCK",
    b"REPORT",
    b"SEARCH",
    b"PURGE",
];

/// A request line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: &'static str,
}

/// What the bytes at the start of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// No head.
    No,
    /// Perhaps one: the first line is not complete.
    More,
    /// The first line of a head; so many bytes with its line feed.
    Line(usize),
    /// All of a request of HTTP/0.9.
    Simple(usize),
}

/// The bytes from `at` on; none where there are not so many.
pub(super) fn behind(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// The bytes in front of `at`; all where there are not so many.
pub(super) fn before(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(..at).unwrap_or(bytes)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z'
        | b'|' | b'~')
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without white space and line ends on both sides.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let Some(start) = bytes.iter().position(|byte| !is_white(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_white(byte)).map_or(0, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

pub(super) fn is_known_method(method: &[u8]) -> bool {
    METHODS.contains(&method)
}

/// Whether `bytes` begin with a known method, or are the begin of one.
pub(super) fn may_begin_with_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| match bytes.strip_prefix(*method) {
        Some(rest) => rest.first().copied().is_none_or(is_blank),
        None => method.starts_with(bytes),
    })
}

/// The longest known method that `bytes` ends with.
pub(super) fn known_method_at_end(bytes: &[u8]) -> Option<&'static [u8]> {
    METHODS.iter().copied().filter(|method| bytes.ends_with(method)).max_by_key(|method| method.len())
}

/// Method and what comes behind the white space after it.
fn split_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().take(METHOD_LIMIT + 1).position(|&byte| !is_token_byte(byte))?;
    let (method, rest) = line.split_at_checked(end)?;
    (!method.is_empty() && rest.first().copied().is_some_and(is_blank)).then(|| (method, trim(rest)))
}

/// A request line, with or without its end: the method is the first word, the version the last, all between is
/// the target. A method that nobody knows has to stand in a line that is otherwise in order.
pub(super) fn request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    let (method, rest) = split_method(trim(line))?;
    let version_start = memrchr2(b' ', b'\t', rest).map_or(0, |blank| blank + 1);
    let (target, version) = rest.split_at_checked(version_start)?;
    let Version { name, usual } = version_of(version)?;
    let target = trim(target);
    let plausible = is_known_method(method)
        || usual
            && !target.is_empty()
            && line.len() <= ODD_LINE_LIMIT
            && method.first().is_some_and(u8::is_ascii_alphabetic)
            && !target.iter().any(|&byte| is_control(byte) || is_blank(byte));
    plausible.then_some(RequestLine { method, target, version: name })
}

/// The request line of HTTP/0.9: `GET` and a target (RFC 1945 section 4.1).
fn simple_request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    let (method, target) = split_method(trim(line))?;
    let plausible = method == b"GET"
        && is_plain_target(target)
        && !target.iter().any(|&byte| byte == b' ' || is_control(byte) || byte == b'\t');
    plausible.then_some(RequestLine { method, target, version: "http/0.9" })
}

/// As much of a request line as there is: a known method and the begin of a target.
pub(super) fn cut_request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    if let Some(whole) = request_line(line) {
        return Some(whole);
    }
    let (method, rest) = split_method(line)?;
    if !is_known_method(method) || !rest.first().is_some_and(|&byte| byte > b' ' && byte != 0x7f) {
        return None;
    }
    let target = match memrchr2(b' ', b'\t', rest) {
        Some(blank) if b"HTTP/1.".starts_with(before(behind(rest, blank + 1), 7)) => {
            trim(before(rest, blank))
        }
        _ => rest,
    };
    Some(RequestLine { method, target, version: "http/1.1" })
}

/// Whether a target has a form that hardly anything but HTTP sends.
pub(super) fn is_plain_target(target: &[u8]) -> bool {
    target.starts_with(b"/") || target.starts_with(b"http://") || target.starts_with(b"https://")
}

/// A status line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) version: &'static str,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

/// A status line, with or without its end.
pub(super) fn status_line(line: &[u8]) -> Option<StatusLine<'_>> {
    let line = trim(line);
    let end = line.iter().take(16).position(|&byte| is_blank(byte))?;
    let (version, rest) = line.split_at_checked(end)?;
    let version = version_of(version)?;
    let rest = trim(rest);
    let (digits, reason) = rest.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || reason.first().is_some_and(|&byte| !is_blank(byte)) {
        return None;
    }
    let status = digits.iter().fold(0_u16, |status, digit| status * 10 + u16::from(digit - b'0'));
    version.usual.then_some(StatusLine { version: version.name, status, reason: trim(reason) })
}

struct Version {
    name: &'static str,
    /// One digit each, and the first is 0 or 1.
    usual: bool,
}

fn version_of(token: &[u8]) -> Option<Version> {
    let (name, number) = token.split_at_checked(5)?;
    if !name.eq_ignore_ascii_case(b"HTTP/") {
        return None;
    }
    let dot = memchr(b'.', number)?;
    let (major, minor) = (before(number, dot), behind(number, dot + 1));
    let is_number = |digits: &[u8]| (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if !is_number(major) || !is_number(minor) {
        return None;
    }
    Some(match (major, minor) {
        (b"0", [_]) => Version { name: "http/0.9", usual: true },
        (b"1", b"0") => Version { name: "http/1.0", usual: true },
        (b"1", [_]) => Version { name: "http/1.1", usual: true },
        _ => Version { name: "http/1.1", usual: false },
    })
}

fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}

/// What a client's bytes are at the start of a message. In the first `scanned` of them there is no line feed.
pub(super) fn request_opening(bytes: &[u8], scanned: usize) -> Opening {
    let indent = bytes.iter().take(INDENT_LIMIT).take_while(|&&byte| is_blank(byte)).count();
    let start = behind(bytes, indent);
    let length = start.iter().take(METHOD_LIMIT + 1).take_while(|&&byte| is_token_byte(byte)).count();
    if length > METHOD_LIMIT {
        return Opening::No;
    }
    match start.get(length) {
        None => return Opening::More,
        Some(&byte) if length > 0 && is_blank(byte) => {}
        Some(_) => return Opening::No,
    }
    if let Some(end) = memchr(b'\n', behind(bytes, scanned)).map(|found| scanned + found) {
        let line = before(bytes, end);
        return if request_line(line).is_some() {
            Opening::Line(end + 1)
        } else if simple_request_line(line).is_some() {
            Opening::Simple(end + 1)
        } else {
            Opening::No
        };
    }
    let odd = || {
        bytes.len() > ODD_LINE_LIMIT
            || behind(bytes, scanned).iter().any(|&byte| is_control(byte) && byte != b'\r')
    };
    if !is_known_method(before(start, length)) && odd() { Opening::No } else { Opening::More }
}

/// What a server's bytes are at the start of a message. In the first `scanned` of them there is no line feed.
pub(super) fn response_opening(bytes: &[u8], scanned: usize) -> Opening {
    const NAME: &[u8] = b"HTTP/";
    let start = before(bytes, NAME.len());
    if !NAME.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start)) {
        return Opening::No;
    }
    let end = memchr(b'\n', behind(bytes, scanned)).map(|found| scanned + found);
    let near = before(bytes, end.unwrap_or(bytes.len()).min(STATUS_LIMIT));
    match end {
        _ if (end.is_some() || near.len() == STATUS_LIMIT) && status_line(near).is_none() => Opening::No,
        Some(end) => Opening::Line(end + 1),
        None => Opening::More,
    }
}

/// The simple request in a line that [`request_opening`] called so.
pub(super) fn simple_request(line: &[u8]) -> Option<RequestLine<'_>> {
    simple_request_line(line)
}

/// Where the head ends: the bytes of its lines without the last line end, and those with the empty line. Else up
/// to where the search need not be done again. In the first `scanned` bytes no head ends.
pub(super) fn head_end(bytes: &[u8], scanned: usize) -> Result<(usize, usize), usize> {
    for found in memchr_iter(b'\n', behind(bytes, scanned)) {
        let feed = scanned + found;
        let empty_line = match (bytes.get(feed + 1), bytes.get(feed + 2)) {
            (None, _) | (Some(b'\r'), None) => return Err(feed),
            (Some(b'\n'), _) => 1,
            (Some(b'\r'), Some(b'\n')) => 2,
            _ => continue,
        };
        let end = match before(bytes, feed).last() {
            Some(b'\r') => feed - 1,
            _ => feed,
        };
        return Ok((end, feed + 1 + empty_line));
    }
    Err(bytes.len())
}

/// The header fields in the lines of `block`, however badly they are written: folded lines belong to the value
/// before them, white space around names is dropped, a line without a colon is a value without a name. Where the
/// block is `cut` its last line may break off. The lines beyond the limit are one value without a name; so many bytes
/// of them are returned.
pub(super) fn fields<'a>(block: &'a [u8], cut: bool, fields: &mut Vec<Header<'a>>) -> usize {
    /// A field whose value may go on in the next line: name, and where the value starts and ends.
    struct Open<'a>(&'a [u8], usize, usize);
    let close = |Open(name, start, end): Open<'a>| Header {
        name,
        value: trim(block.get(start..end).unwrap_or_default()),
    };
    let mut open: Option<Open<'a>> = None;
    let mut start = 0;
    while start < block.len() {
        let end = memchr(b'\n', behind(block, start)).map_or(block.len(), |feed| start + feed + 1);
        let line = block.get(start..end).unwrap_or_default();
        let folded = line.first().copied().is_some_and(is_blank);
        match &mut open {
            Some(Open(_, _, value_end)) if folded => *value_end = end,
            _ if trim(line).is_empty() => {}
            _ => {
                fields.extend(open.take().map(close));
                if fields.len() >= FIELD_LIMIT {
                    let beyond = behind(block, start);
                    fields.push(Header { name: b"", value: trim(beyond) });
                    return beyond.len();
                }
                open = Some(match memchr(b':', line) {
                    Some(colon) => Open(trim(before(line, colon)), start + colon + 1, end),
                    None if cut && !line.ends_with(b"\n") => Open(trim(line), end, end),
                    None => Open(b"", start, end),
                });
            }
        }
        start = end;
    }
    fields.extend(open.map(close));
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_read_leniently() {
        type Parts = (&'static str, &'static str, &'static str);
        let cases: &[(&str, Option<Parts>)] = &[
            ("BREW /p o t HTTP/1.1", None),
            ("10.0.0.1 /x HTTP/1.1", None),
            ("GET / HTTP/1.1", Some(("GET", "/", "http/1.1"))),
            ("GET / HTTP/1.0\r", Some(("GET", "/", "http/1.0"))),
            (" \tGET\t/ \t HTTP/1.1 ", Some(("GET", "/", "http/1.1"))),
            ("GET /a b c HTTP/1.1", Some(("GET", "/a b c", "http/1.1"))),
            ("GET / http/1.1", Some(("GET", "/", "http/1.1"))),
            ("GET / HTTP/1.7", Some(("GET", "/", "http/1.1"))),
            ("GET / HTTP/9.9", Some(("GET", "/", "http/1.1"))),
            ("GET  HTTP/1.1", Some(("GET", "", "http/1.1"))),
            ("M-SEARCH * HTTP/1.1", Some(("M-SEARCH", "*", "http/1.1"))),
            ("PRI * HTTP/2.0", None),
            ("BREW /pot HTTP/1.x", None),
            ("BREW /po\x01t HTTP/1.1", None),
            ("GET /", None),
            ("G(T / HTTP/1.1", None),
            ("/ HTTP/1.1", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let found = request_line(line.as_bytes());
            let expected = expected.map(|(method, target, version)| RequestLine {
                method: method.as_bytes(),
                target: target.as_bytes(),
                version,
            });
            assert_eq!(found, expected, "{line:?}");
        }
    }

    #[test]
    fn status_lines_are_read_leniently() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some(("http/1.1", 200, "OK"))),
            ("HTTP/1.0 404\r", Some(("http/1.0", 404, ""))),
            ("http/1.1  503  Busy now \r\n", Some(("http/1.1", 503, "Busy now"))),
            ("HTTP/1.1 2000 OK", None),
            ("HTTP/1.1 20", None),
            ("HTTP/2.0 200 OK", None),
            ("HTTP/1.1", None),
        ] {
            let expected = expected.map(|(version, status, reason)| StatusLine {
                version,
                status,
                reason: str::as_bytes(reason),
            });
            assert_eq!(status_line(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn fields_beyond_the_limit_are_one_value() {
        let block = "A: 1\r\n".repeat(1500);
        let mut found = Vec::new();
        assert_eq!(fields(block.as_bytes(), false, &mut found), 500 * 6);
        assert_eq!(found.len(), FIELD_LIMIT + 1);
        let last = found.last().unwrap();
        assert_eq!((last.name.len(), last.value.len()), (0, 500 * 6 - 2));
    }
}
