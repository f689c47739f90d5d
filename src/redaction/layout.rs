//! The messages of a stream of HTTP/1: where their heads stand and where their bodies, chunk lines left out.

use std::ops::Range;

use memchr::memmem;

/// A message, or bytes that are none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// First line and header fields; empty of bytes that are no message.
    pub(super) head: Range<usize>,
    /// The body without chunk lines.
    pub(super) body: Vec<Range<usize>>,
    /// Whether the body is compressed.
    pub(super) is_coded: bool,
}

/// A header field: its name and value.
pub(super) struct Field {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The messages of some bytes, one behind the other; what follows no rule is one without a head.
pub(super) fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        if !begins(rest) {
            found.push(Message {
                head: at..at,
                body: std::iter::once(at..bytes.len()).collect(),
                is_coded: false,
            });
            break;
        }
        let head = at..at + head_length(rest);
        let (body, is_coded, end) = body(bytes, head.clone());
        at = end.max(head.end);
        found.push(Message { head, body, is_coded });
    }
    found
}

/// Whether a message begins here.
fn begins(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"HTTP/1.") {
        return true;
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    let version = line.len().checked_sub(8).and_then(|at| line.get(at..)).unwrap_or_default();
    !method.is_empty() && method.iter().all(u8::is_ascii_uppercase) && version.starts_with(b"HTTP/1.")
}

fn head_length(bytes: &[u8]) -> usize {
    let ends =
        [memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4), memmem::find(bytes, b"\n\n").map(|at| at + 2)];
    ends.into_iter().flatten().min().unwrap_or(bytes.len())
}

/// The fields of a head.
pub(super) fn fields(bytes: &[u8], head: Range<usize>) -> Vec<Field> {
    let mut found = Vec::new();
    let mut at = head.start;
    for (index, line) in
        bytes.get(head).unwrap_or_default().split_inclusive(|&byte| byte == b'\n').enumerate()
    {
        let start = at;
        at += line.len();
        let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|_| index > 0) else { continue };
        let value = line.get(colon + 1..).unwrap_or_default();
        let lead = value.len() - value.trim_ascii_start().len();
        let length = value.trim_ascii().len();
        let from = start + colon + 1 + lead;
        found.push(Field { name: start..start + colon, value: from..from + length });
    }
    found
}

/// The pieces of the body behind a head, whether it is compressed, and where it ends.
fn body(bytes: &[u8], head: Range<usize>) -> (Vec<Range<usize>>, bool, usize) {
    let value = |name: &str| {
        fields(bytes, head.clone()).into_iter().find_map(|field| {
            let own = bytes.get(field.name)?;
            own.eq_ignore_ascii_case(name.as_bytes())
                .then(|| bytes.get(field.value).unwrap_or_default().to_ascii_lowercase())
        })
    };
    let coding = value("content-encoding").filter(|coding| coding != b"identity");
    let transfer = value("transfer-encoding").unwrap_or_default();
    let is_coded = coding.is_some()
        || [&b"gzip"[..], b"deflate"].iter().any(|word| memmem::find(&transfer, word).is_some());
    let start = head.end;
    let rest = bytes.get(start..).unwrap_or_default();
    let is_response = bytes.get(head.clone()).is_some_and(|head| head.starts_with(b"HTTP/"));
    // An answer to HEAD says the length of a body that does not come.
    if rest.is_empty() || (is_response && rest.starts_with(b"HTTP/1.")) {
        return (Vec::new(), is_coded, start);
    }
    if memmem::find(&transfer, b"chunked").is_some() {
        let (pieces, end) = chunks(bytes, start);
        return (pieces, is_coded, end);
    }
    let length = value("content-length")
        .and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<usize>().ok());
    let end = match length {
        Some(length) => start.saturating_add(length).min(bytes.len()),
        None if is_response => bytes.len(),
        None => start,
    };
    let pieces = std::iter::once(start..end).filter(|piece| !piece.is_empty()).collect();
    (pieces, is_coded, end)
}

/// RFC 9112 section 7.1. Where the coding breaks, the rest is one piece.
fn chunks(bytes: &[u8], start: usize) -> (Vec<Range<usize>>, usize) {
    let mut pieces = Vec::new();
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = rest.iter().position(|&byte| byte == b'\n') else { break };
        let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size =
            std::str::from_utf8(&digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(size) = size else { break };
        at += line + 1;
        if size == 0 {
            let rest = bytes.get(at..).unwrap_or_default();
            // Trailers are a head without its first line.
            let end = if rest.starts_with(b"\r\n") { 2 } else { head_length(rest) };
            return (pieces, at + end);
        }
        let end = at.saturating_add(size).min(bytes.len());
        pieces.push(at..end);
        at = end + usize::from(bytes.get(end) == Some(&b'\r')) + 1;
        if at >= bytes.len() {
            return (pieces, bytes.len());
        }
    }
    if at < bytes.len() {
        pieces.push(at..bytes.len());
    }
    (pieces, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(String, Vec<String>, bool)> {
        let cut = |range: Range<usize>| text[range].to_owned();
        messages(text.as_bytes())
            .into_iter()
            .map(|message| (cut(message.head), message.body.into_iter().map(cut).collect(), message.is_coded))
            .collect()
    }

    fn owned(head: &str, body: &[&str], coded: bool) -> (String, Vec<String>, bool) {
        (head.to_owned(), body.iter().map(|&text| text.to_owned()).collect(), coded)
    }

    #[test]
    fn messages_are_cut_as_they_were_framed() {
        let long = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(
            parts(long),
            [
                owned("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", &["abc"], false),
                owned("GET /b HTTP/1.1\r\nHost: x\r\n\r\n", &[], false)
            ]
        );
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n";
        let text = format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
        assert_eq!(
            parts(&text),
            [owned(head, &["abc", "de"], true), owned("HTTP/1.1 204 No\r\n\r\n", &[], false)]
        );
        let open = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
        assert_eq!(parts(open), [owned("HTTP/1.0 200 OK\r\n\r\n", &["until the end"], false)]);
        for (text, bodies) in [
            ("nothing of it", vec!["nothing of it"]),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", vec!["zz\r\nabc"]),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", vec!["ab"]),
            ("GET / HTTP/1.1\r\nHost", vec![]),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", vec!["ab"]),
        ] {
            assert_eq!(parts(text)[0].1, bodies, "{text}");
        }
    }

    #[test]
    fn fields_have_names_and_values() {
        let head = b"GET /a:b HTTP/1.1\r\nHost:  x \r\nCookie: a=b\r\nbroken\r\n\r\n";
        let found: Vec<(&[u8], &[u8])> = fields(head, 0..head.len())
            .into_iter()
            .map(|field| (&head[field.name], &head[field.value]))
            .collect();
        assert_eq!(found, [(&b"Host"[..], &b"x"[..]), (b"Cookie", b"a=b")]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_every_part_lies_within_and_behind_the_last(
            text in "(HTTP/1.1 200|GET /|Transfer-Encoding: chunked|Content-Length: [0-9]{1,20}|\r\n|\n| |[0-9a-f]{1,18};|\\PC){0,40}"
        ) {
            let bytes = text.as_bytes();
            let mut last = 0;
            for message in messages(bytes) {
                for part in std::iter::once(message.head).chain(message.body) {
                    assert!(last <= part.start && part.start <= part.end && part.end <= bytes.len(), "{text:?}");
                    last = part.end;
                }
            }
        }
    }
}
