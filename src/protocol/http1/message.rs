//! A message's head: read strictly where it can be, leniently where it must be, told, and what follows from it.

use std::mem::MaybeUninit;

use memchr::memchr;

use super::framing::{Announced, Length};
use super::head::{self, HEAD_LIMIT, RequestLine, StatusLine, before, behind};
use super::outstanding::Kind;
use super::{Http1, MANY_FIELDS, Step};
use crate::model::Direction;
use crate::model::http::{Header, RequestHead, ResponseHead};
use crate::protocol::contract::Output;

/// The rule told of heads whose lengths contradict each other.
const CONFLICTING_LENGTHS: &str = "http-conflicting-lengths";
/// Fields of a head read without an allocation.
const FIELDS: usize = 64;

/// Bytes are no head: their first line is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoHead;

/// What stands behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The body, if there is one, and the next message.
    Body,
    /// Another protocol, in both directions.
    Switch(Option<&'static str>),
}

impl Next {
    /// The step over a head of `length` bytes.
    pub(super) fn step(self, length: usize) -> Step {
        match self {
            Self::Body => Step::Used(length),
            Self::Switch(to) => Step::Switch(length, to),
        }
    }
}

impl Http1 {
    /// A head of whatever spelling, whole or cut off.
    ///
    /// # Errors
    /// Its first line is none.
    pub(super) fn lenient_head(
        &mut self,
        direction: Direction,
        head: &[u8],
        whole: bool,
        out: &mut dyn Output,
    ) -> Result<Next, NoHead> {
        let line_end = memchr(b'\n', head);
        let line = before(head, line_end.unwrap_or(head.len()));
        let block = line_end.map_or(&[][..], |end| behind(head, end + 1));
        let mut headers = Vec::new();
        let beyond = head::fields(block, !whole, &mut headers);
        let tell_limit = |out: &mut dyn Output| {
            if beyond > 0 {
                out.lost(direction, MANY_FIELDS, beyond as u64);
            }
        };
        match direction {
            Direction::ToServer => {
                let line = match line_end {
                    None if !whole => head::cut_request_line(line),
                    _ => head::request_line(line),
                };
                let line = line.ok_or(NoHead)?;
                tell_limit(out);
                self.request(head, line, &headers, whole, out);
                Ok(Next::Body)
            }
            Direction::ToClient => {
                let StatusLine { version, status, reason } = head::status_line(line).ok_or(NoHead)?;
                tell_limit(out);
                let head = ResponseHead { bytes: head, status, reason, version, headers: &headers };
                Ok(self.response(&head, whole, out))
            }
        }
    }

    /// A request head in the spelling of the RFC: how many bytes it and its empty line have.
    pub(super) fn usual_request(&mut self, bytes: &[u8], out: &mut dyn Output) -> Option<usize> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(bytes, &mut fields);
        let Ok(httparse::Status::Complete(length)) = status else { return None };
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return None;
        };
        if length > HEAD_LIMIT || !head::is_known_method(method.as_bytes()) && !is_request_line(bytes) {
            return None;
        }
        let mut headers = [Header { name: &[], value: &[] }; FIELDS];
        let headers = copy_fields(&mut headers, parsed.headers);
        let line = RequestLine {
            method: method.as_bytes(),
            target: target.as_bytes(),
            version: usual_version(version),
        };
        self.request(without_line_ends(before(bytes, length)), line, headers, true, out);
        Some(length)
    }

    /// A response head in the spelling of the RFC.
    pub(super) fn usual_response(&mut self, bytes: &[u8], out: &mut dyn Output) -> Option<Step> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            bytes,
            &mut fields,
        );
        let Ok(httparse::Status::Complete(length)) = status else { return None };
        let (Some(version), Some(status)) = (parsed.version, parsed.code) else { return None };
        if length > HEAD_LIMIT {
            return None;
        }
        let reason = match parsed.reason {
            Some(reason) if !reason.is_empty() => reason.as_bytes(),
            // One beyond ASCII is left out there.
            _ => head::status_line(first_line(bytes)).map_or(&[][..], |line| line.reason),
        };
        let mut headers = [Header { name: &[], value: &[] }; FIELDS];
        let headers = copy_fields(&mut headers, parsed.headers);
        let head = ResponseHead {
            bytes: without_line_ends(before(bytes, length)),
            status,
            reason,
            version: usual_version(version),
            headers,
        };
        Some(self.response(&head, true, out).step(length))
    }

    /// Tells a request head and enters its body; that of one that is not `whole` is over.
    pub(super) fn request(
        &mut self,
        head: &[u8],
        line: RequestLine<'_>,
        headers: &[Header<'_>],
        whole: bool,
        out: &mut dyn Output,
    ) {
        const DIRECTION: Direction = Direction::ToServer;
        let RequestLine { method, target, version } = line;
        let announced = Announced::of(headers);
        let kind = match method {
            b"HEAD" => Kind::Head,
            b"CONNECT" => Kind::Connect,
            _ if version == "http/0.9" && headers.is_empty() => Kind::Simple,
            _ => announced.upgrade.map_or(Kind::Ordinary, |token| Kind::Upgrade(upgrade_to(token))),
        };
        self.pipelined |= !self.outstanding.is_empty() && !self.answers_lost;
        let exchange = self.outstanding.push(kind);
        out.request(exchange, &RequestHead { bytes: head, method, target, version, headers });
        if let Some(evidence) = announced.conflict(headers) {
            out.signal(DIRECTION, CONFLICTING_LENGTHS, &evidence);
        }
        if !whole {
            out.end(DIRECTION, false);
            return;
        }
        // CONNECT has no content (RFC 9110 section 9.3.6).
        let length = if kind == Kind::Connect { Length::Nothing } else { announced.of_request() };
        self.enter_body(DIRECTION, length, announced.expects_continue, out);
    }

    /// Tells a response head and enters its body; that of one that is not `whole` is over.
    pub(super) fn response(&mut self, head: &ResponseHead<'_>, whole: bool, out: &mut dyn Output) -> Next {
        const DIRECTION: Direction = Direction::ToClient;
        if std::mem::take(&mut self.answers_lost) && !self.pipelined {
            self.outstanding.keep_newest();
        }
        let asked = self.outstanding.front();
        let (exchange, kind) = match asked {
            Some(asked) => asked,
            None => (self.outstanding.push(Kind::Ordinary), Kind::Ordinary),
        };
        let interim = matches!(head.status, 100..=199);
        if !interim {
            self.outstanding.pop();
        }
        let announced = Announced::of(head.headers);
        out.response(exchange, head);
        if let Some(evidence) = announced.conflict(head.headers) {
            out.signal(DIRECTION, CONFLICTING_LENGTHS, &evidence);
        }
        if !whole {
            out.end(DIRECTION, false);
            return Next::Body;
        }
        let next = match (kind, head.status) {
            (Kind::Connect, 200..=299) => Next::Switch(None),
            (Kind::Upgrade(to), 101) => Next::Switch(announced.upgrade.map_or(to, upgrade_to)),
            (_, 101) => Next::Switch(announced.upgrade.and_then(upgrade_to)),
            _ => Next::Body,
        };
        let bodiless =
            next != Next::Body || interim || kind == Kind::Head || matches!(head.status, 204 | 304);
        let length = if bodiless { Length::Nothing } else { announced.of_response() };
        // An answer to a request never seen may be one to HEAD.
        self.enter_body(DIRECTION, length, asked.is_none(), out);
        next
    }

    /// The answer to a request of HTTP/0.9 has no head (RFC 1945 section 6): it is told as a 200, like gateways do.
    pub(super) fn simple_response(&mut self, out: &mut dyn Output) -> Step {
        let head = ResponseHead { bytes: b"", status: 200, reason: b"", version: "http/0.9", headers: &[] };
        self.response(&head, true, out);
        Step::Used(0)
    }
}

/// Whether the first line is a request line for those who read leniently too.
fn is_request_line(head: &[u8]) -> bool {
    head::request_line(first_line(head)).is_some()
}

fn first_line(head: &[u8]) -> &[u8] {
    before(head, memchr(b'\n', head).unwrap_or(head.len()))
}

fn copy_fields<'a, 'b>(into: &'a mut [Header<'b>], fields: &[httparse::Header<'b>]) -> &'a [Header<'b>] {
    for (header, field) in into.iter_mut().zip(fields) {
        *header = Header { name: field.name.as_bytes(), value: field.value };
    }
    into.get(..fields.len()).unwrap_or_default()
}

fn usual_version(minor: u8) -> &'static str {
    if minor == 0 { "http/1.0" } else { "http/1.1" }
}

/// The lines of a head without the empty one and the line end before it.
fn without_line_ends(head: &[u8]) -> &[u8] {
    let line_end = |bytes: &'_ [u8]| match bytes {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    let lines = before(head, head.len() - line_end(head));
    before(lines, lines.len() - line_end(lines))
}

/// What a token of `Upgrade` is called in [`Progress::Switch`]; `None` for what is to be recognised anew.
fn upgrade_to(token: &[u8]) -> Option<&'static str> {
    ["websocket", "h2c"].into_iter().find(|name| name.as_bytes().eq_ignore_ascii_case(token))
}
