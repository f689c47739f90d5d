//! The head of a message taken apart: target, headers, cookies and credentials as fields.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr2, memmem};

use super::authorization::credentials;
use super::cookie::{cookies, set_cookie, unquoted};
use super::url::{self, Part};
use crate::model::http::{Header, RequestHead, ResponseHead, offset_in};
use crate::model::message::Origin;
use crate::model::text::percent_decode;
use crate::model::{Direction, Field, Surface};

/// The fields of a request: the target as a whole, its parts, then headers, in their order. A span is the place of the raw value in
/// `head.bytes`; `0..0` where the head has none.
pub fn request(head: &RequestHead<'_>, out: &mut dyn FnMut(Field<'_>)) {
    target(head.target, head.bytes, out);
    for header in head.headers {
        request_header(*header, head.bytes, out);
    }
}

/// The fields of a response: the reason phrase, headers in their order, then the head as a whole. Spans as in [`request`].
pub fn response(head: &ResponseHead<'_>, out: &mut dyn FnMut(Field<'_>)) {
    if !head.reason.is_empty() {
        let place = span(head.bytes, head.reason, &(0..0));
        out(Field::new(Surface::ResponseStatus, None, Cow::Borrowed(head.reason), place).from(Origin::Text));
    }
    for header in head.headers {
        response_header(*header, head.bytes, out);
    }
    if !head.bytes.is_empty() {
        let all = Field::new(Surface::ResponseHeader, None, Cow::Borrowed(head.bytes), 0..head.bytes.len());
        out(all.from(Origin::Whole));
    }
}

/// The fields of a trailer section (RFC 9110 section 6.5); spans are `0..0`.
pub fn trailers(direction: Direction, headers: &[Header<'_>], out: &mut dyn FnMut(Field<'_>)) {
    for header in headers {
        match direction {
            Direction::ToServer => request_header(*header, &[], out),
            Direction::ToClient => response_header(*header, &[], out),
        }
    }
}

fn target(target: &[u8], bytes: &[u8], out: &mut dyn FnMut(Field<'_>)) {
    let whole = span(bytes, target, &(0..0));
    if target.len() > 1 {
        let field = Field::new(Surface::RequestPath, None, Cow::Borrowed(target), whole.clone());
        out(field.from(Origin::Whole));
    }
    url::parts(target, false, &mut |part| {
        let at = |raw| span(bytes, raw, &whole);
        match part {
            Part::Segment(raw) | Part::User(raw) => {
                out(Field::new(Surface::RequestPath, None, percent_decode(raw, false), at(raw)));
            }
            Part::Password(raw) => {
                let field = Field::new(Surface::RequestPath, None, percent_decode(raw, false), at(raw));
                out(field.from(Origin::Userinfo));
            }
            Part::Fragment(name, raw) => {
                let field = Field::new(Surface::RequestPath, None, percent_decode(raw, true), at(raw));
                out(field.with_inner(name.map(|name| text(percent_decode(name, true)))));
            }
            Part::Parameter(name, raw) => {
                let name = name.map(|name| text(percent_decode(name, true)));
                out(Field::new(Surface::RequestQuery, name, percent_decode(raw, true), at(raw)));
            }
        }
    });
}

fn request_header(header: Header<'_>, bytes: &[u8], out: &mut dyn FnMut(Field<'_>)) {
    let carrier = Carrier::new(Surface::RequestHeader, header, bytes);
    let value = unfolded(header.value);
    match header.name.len() {
        0 => carrier.nameless(out),
        6 if header.name.eq_ignore_ascii_case(b"cookie") => {
            cookies(&value, &mut |name, raw| carrier.cookie(Surface::RequestCookie, name, raw, out));
        }
        13 | 19
            if header.name.eq_ignore_ascii_case(b"authorization")
                || header.name.eq_ignore_ascii_case(b"proxy-authorization") =>
        {
            credentials(&value, &mut |(origin, value, raw)| {
                out(Field::new(carrier.surface, Some(carrier.name()), value, carrier.span(raw)).from(origin));
            });
        }
        6 | 7
            if header.name.eq_ignore_ascii_case(b"referer")
                || header.name.eq_ignore_ascii_case(b"origin") =>
        {
            carrier.url(&value, out);
        }
        16 if header.name.eq_ignore_ascii_case(b"content-location") => carrier.url(&value, out),
        _ => carrier.plain(value, out),
    }
}

fn response_header(header: Header<'_>, bytes: &[u8], out: &mut dyn FnMut(Field<'_>)) {
    let carrier = Carrier::new(Surface::ResponseHeader, header, bytes);
    let value = unfolded(header.value);
    let is = |name: &[u8]| header.name.eq_ignore_ascii_case(name);
    match header.name.len() {
        0 => carrier.nameless(out),
        10 if is(b"set-cookie") => {
            set_cookie(&value, &mut |name, raw| carrier.cookie(Surface::ResponseCookie, name, raw, out));
        }
        8 | 16 if is(b"location") || is(b"content-location") => carrier.url(&value, out),
        7 if is(b"refresh") => match refresh(&value) {
            Some(url) => carrier.url(url, out),
            None => carrier.plain(value, out),
        },
        4 if is(b"link") => {
            let mut rest = &*value;
            let mut found = false;
            while let (_, Some(behind)) = url::split(rest, b'<') {
                let (url, next) = url::split(behind, b'>');
                carrier.url(url, out);
                found = true;
                rest = next.unwrap_or_default();
            }
            if !found {
                carrier.plain(value, out);
            }
        }
        _ => carrier.plain(value, out),
    }
}

/// The URL of `5; url=/next`.
fn refresh(value: &[u8]) -> Option<&[u8]> {
    let lower = value.to_ascii_lowercase();
    let at = memmem::find(&lower, b"url=")?;
    let url = value.get(at + 4..)?.trim_ascii();
    Some(url.strip_prefix(b"'").and_then(|url| url.strip_suffix(b"'")).unwrap_or(unquoted(url)))
}

/// One header field as the carrier of values.
struct Carrier<'a> {
    surface: Surface,
    header: Header<'a>,
    bytes: &'a [u8],
    whole: Range<usize>,
}

impl<'a> Carrier<'a> {
    fn new(surface: Surface, header: Header<'a>, bytes: &'a [u8]) -> Self {
        Self { surface, header, bytes, whole: span(bytes, header.value, &(0..0)) }
    }

    fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.header.name)
    }

    /// Where `raw` stands; the whole value where that was unfolded.
    fn span(&self, raw: &[u8]) -> Range<usize> {
        span(self.bytes, raw, &self.whole)
    }

    fn plain(&self, value: Cow<'_, [u8]>, out: &mut dyn FnMut(Field<'_>)) {
        let value = match value {
            Cow::Borrowed(value) if is_one_string(value) => Cow::Borrowed(unquoted(value)),
            value => value,
        };
        let span = self.span(&value);
        out(Field::new(self.surface, Some(self.name()), value, span));
    }

    /// Lines that are no field, or one of too many: running text.
    fn nameless(&self, out: &mut dyn FnMut(Field<'_>)) {
        let value = Cow::Borrowed(self.header.value);
        out(Field::new(self.surface, None, value, self.whole.clone()).from(Origin::Text));
    }

    fn cookie(&self, surface: Surface, name: Option<&[u8]>, raw: &[u8], out: &mut dyn FnMut(Field<'_>)) {
        let name = name.map(String::from_utf8_lossy);
        out(Field::new(surface, name, percent_decode(raw, false), self.span(raw)));
    }

    /// A URL keeps its carrier's surface and name; rules see the name of the parameter.
    fn url(&self, url: &[u8], out: &mut dyn FnMut(Field<'_>)) {
        let whole = Field::new(self.surface, Some(self.name()), Cow::Borrowed(url), self.span(url));
        out(whole.from(Origin::Whole));
        url::parts(url, true, &mut |part| {
            let (name, raw, plus, origin) = match part {
                Part::Segment(raw) | Part::User(raw) => (None, raw, false, Origin::Layer("url")),
                Part::Password(raw) => (None, raw, false, Origin::Userinfo),
                Part::Parameter(name, raw) | Part::Fragment(name, raw) => {
                    (name, raw, true, Origin::Layer("url"))
                }
            };
            let field =
                Field::new(self.surface, Some(self.name()), percent_decode(raw, plus), self.span(raw));
            out(field.from(origin).with_inner(name.map(|name| text(percent_decode(name, true)))));
        });
    }
}

/// One quoted string (RFC 9110 section 5.6.4) without quotes in it.
fn is_one_string(value: &[u8]) -> bool {
    value.len() > 2
        && value.starts_with(b"\"")
        && memchr::memchr_iter(b'"', value).nth(1) == Some(value.len() - 1)
}

fn span(bytes: &[u8], raw: &[u8], otherwise: &Range<usize>) -> Range<usize> {
    match offset_in(bytes, raw) {
        Some(start) => start..start + raw.len(),
        None => otherwise.clone(),
    }
}

/// Line folding (RFC 9112 section 5.2) becomes one space.
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut joined = Vec::with_capacity(value.len());
    for line in value.split(|byte| matches!(byte, b'\r' | b'\n')) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            if !joined.is_empty() {
                joined.push(b' ');
            }
            joined.extend_from_slice(line);
        }
    }
    Cow::Owned(joined)
}

/// Decoded bytes as a name.
pub(super) fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(target, header lines, expected "surface name|inner origin value @raw")`
    type Case = (&'static str, &'static str, &'static [&'static str]);

    fn tell(field: &Field<'_>, bytes: &[u8]) -> String {
        let origin = match field.origin {
            Origin::Plain => String::new(),
            Origin::Scheme(scheme) => format!(" <{scheme}>"),
            Origin::User(scheme) => format!(" <user {scheme}>"),
            Origin::Userinfo => " <userinfo>".to_string(),
            Origin::Text => " <text>".to_string(),
            Origin::Whole => " <whole>".to_string(),
            Origin::Layer(layer) => format!(" <{layer}>"),
        };
        format!(
            "{} {}{}{origin} {} @{}",
            field.surface.as_str(),
            field.name.as_deref().unwrap_or("-"),
            field.inner.as_deref().map(|inner| format!("|{inner}")).unwrap_or_default(),
            String::from_utf8_lossy(&field.value),
            String::from_utf8_lossy(&bytes[field.span.clone()]),
        )
    }

    type Out<'a> = &'a mut dyn FnMut(Field<'_>);

    /// The fields that are not several together.
    fn parts(cut: &mut dyn FnMut(Out<'_>), out: Out<'_>) {
        cut(&mut |field| {
            if field.origin != Origin::Whole {
                out(field);
            }
        });
    }

    #[test]
    fn targets_urls_and_heads_are_fields_as_a_whole() {
        let bytes = b"GET /a?b=c HTTP/1.1\r\nReferer: https://h/x?y=z";
        let headers = [Header { name: &bytes[21..28], value: &bytes[30..] }];
        let head = RequestHead {
            bytes,
            method: b"GET",
            target: &bytes[4..10],
            version: "http/1.1",
            headers: &headers,
        };
        let mut told = Vec::new();
        let mut note = |field: Field<'_>| {
            if field.origin == Origin::Whole {
                told.push(tell(&field, bytes));
            }
        };
        request(&head, &mut note);
        response(
            &ResponseHead { bytes, status: 200, reason: b"", version: "http/1.1", headers: &[] },
            &mut note,
        );
        let url = "https://h/x?y=z";
        let all = std::str::from_utf8(bytes).unwrap();
        assert_eq!(
            told,
            [
                "request.path - <whole> /a?b=c @/a?b=c".to_owned(),
                format!("request.header Referer <whole> {url} @{url}"),
                format!("response.header - <whole> {all} @{all}"),
            ]
        );
    }

    fn lines(text: &str) -> Vec<Header<'_>> {
        let mut headers = Vec::new();
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            // In these tables `¦` stands for a folded line's break.
            let (name, value) = line.split_once(':').unwrap();
            headers.push(Header { name: name.as_bytes(), value: value.trim().as_bytes() });
        }
        headers
    }

    #[test]
    fn a_request_becomes_fields() {
        let cases: &[Case] = &[
            (
                "/v1/a%20b?k=%41+c&e=",
                "",
                &[
                    "request.path - v1 @v1",
                    "request.path - a b @a%20b",
                    "request.query k A c @%41+c",
                    "request.query e  @",
                ],
            ),
            (
                "http://u:p%40@h/x?a[b]=1#t=2",
                "",
                &[
                    "request.path - u @u",
                    "request.path - <userinfo> p@ @p%40",
                    "request.path - x @x",
                    "request.query a[b] 1 @1",
                    "request.path -|t 2 @2",
                ],
            ),
            (
                "/",
                "Cookie: a=1; b=\"x%3D\"\r\nX-Key: made-up",
                &[
                    "request.cookie a 1 @1",
                    "request.cookie b x= @x%3D",
                    "request.header X-Key made-up @made-up",
                ],
            ),
            (
                "/",
                "authorization: Basic YTpi\r\nProxy-Authorization: Bearer t",
                &[
                    "request.header authorization <user basic> a @YTpi",
                    "request.header authorization <basic> b @YTpi",
                    "request.header Proxy-Authorization <bearer> t @t",
                ],
            ),
            (
                "/",
                "Referer: https://u:p@h/a?token=x#f=y\r\nOrigin: https://h",
                &[
                    "request.header Referer <url> u @u",
                    "request.header Referer <userinfo> p @p",
                    "request.header Referer <url> a @a",
                    "request.header Referer|token <url> x @x",
                    "request.header Referer|f <url> y @y",
                ],
            ),
        ];
        for (target, headers, expected) in cases {
            let bytes = format!("GET {target} HTTP/1.1\r\n{headers}");
            let headers = lines(bytes.split_once("\r\n").unwrap().1);
            let target = &bytes.as_bytes()[4..4 + target.len()];
            let head = RequestHead {
                bytes: bytes.as_bytes(),
                method: b"GET",
                target,
                version: "http/1.1",
                headers: &headers,
            };
            let mut told = Vec::new();
            parts(&mut |out| request(&head, out), &mut |field| told.push(tell(&field, bytes.as_bytes())));
            assert_eq!(told, *expected, "{bytes}");
        }
    }

    #[test]
    fn a_response_becomes_fields() {
        let bytes = "HTTP/1.1 302 Found\r\n\
            Set-Cookie: sid=made%20up; Path=/; HttpOnly\r\n\
            Location: /next?token=abc&x\r\n\
            Refresh: 5; URL='/r?key=d'\r\n\
            Link: </p?page=2>; rel=next, </q?page=3>; rel=last\r\n\
            WWW-Authenticate: Basic realm=x";
        let headers = lines(bytes.split_once("\r\n").unwrap().1);
        let head = ResponseHead {
            bytes: bytes.as_bytes(),
            status: 302,
            reason: &bytes.as_bytes()[13..18],
            version: "http/1.1",
            headers: &headers,
        };
        let mut told = Vec::new();
        parts(&mut |out| response(&head, out), &mut |field| told.push(tell(&field, bytes.as_bytes())));
        assert_eq!(
            told,
            [
                "response.status - <text> Found @Found",
                "response.cookie sid made up @made%20up",
                "response.header Location <url> next @next",
                "response.header Location|token <url> abc @abc",
                "response.header Location <url> x @x",
                "response.header Refresh <url> r @r",
                "response.header Refresh|key <url> d @d",
                "response.header Link <url> p @p",
                "response.header Link|page <url> 2 @2",
                "response.header Link <url> q @q",
                "response.header Link|page <url> 3 @3",
                "response.header WWW-Authenticate Basic realm=x @Basic realm=x",
            ]
        );
    }

    #[test]
    fn folded_lines_are_joined_and_point_at_the_whole() {
        let bytes = b"GET / HTTP/1.1\r\nX-A: one\r\n\t two\r\nCookie: a=1;\r\n b=2";
        let headers = [
            Header { name: &bytes[16..19], value: &bytes[21..31] },
            Header { name: b"Cookie", value: &bytes[41..] },
        ];
        let head =
            RequestHead { bytes, method: b"GET", target: b"/", version: "http/1.1", headers: &headers };
        let mut told = Vec::new();
        parts(&mut |out| request(&head, out), &mut |field| told.push((field.value.into_owned(), field.span)));
        assert_eq!(
            told,
            [
                (b"one two".to_vec(), 21..31),
                (b"1".to_vec(), 41..bytes.len()),
                (b"2".to_vec(), 41..bytes.len()),
            ]
        );
    }

    #[test]
    fn lines_without_a_name_are_text() {
        let bytes = b"GET / HTTP/1.1\r\nX-Key: made-up\r\nno field";
        let headers = [Header { name: b"", value: &bytes[16..] }];
        let head =
            RequestHead { bytes, method: b"GET", target: b"/", version: "http/1.1", headers: &headers };
        let mut told = Vec::new();
        parts(&mut |out| request(&head, out), &mut |field| told.push(tell(&field, bytes)));
        let text = "X-Key: made-up\r\nno field";
        assert_eq!(told, [format!("request.header - <text> {text} @{text}")]);
    }

    #[test]
    fn without_bytes_spans_are_empty() {
        let headers = [Header { name: b"x-key", value: b"made-up" }];
        let mut spans = Vec::new();
        trailers(Direction::ToServer, &headers, &mut |field| spans.push((field.surface, field.span)));
        let head = RequestHead {
            bytes: b"",
            method: b"GET",
            target: b"/a?b=c",
            version: "http/2",
            headers: &headers,
        };
        parts(&mut |out| request(&head, out), &mut |field| spans.push((field.surface, field.span)));
        assert_eq!(spans.len(), 4);
        assert!(spans.iter().all(|(_, span)| *span == (0..0)), "{spans:?}");
    }
}
