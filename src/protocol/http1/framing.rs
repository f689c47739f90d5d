//! How long the body of a message is (RFC 9112 section 6.3), and whether its head contradicts itself about it.

use crate::model::http::Header;

use super::head::trim;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    Nothing,
    /// After so many bytes, at least one.
    Counted(u64),
    /// With the chunk of size zero and the trailer section.
    Chunked,
    /// With the connection.
    Close,
    /// Nobody can tell: the head is faulty. It goes on until something looks like the next head.
    Unknown,
}

/// What the header fields that concern the parser announce.
#[derive(Debug, Default)]
pub(super) struct Announced<'a> {
    content_length: Option<Result<u64, Invalid>>,
    content_lengths_differ: bool,
    coding: Option<Coding>,
    /// The first token of `Upgrade`.
    pub(super) upgrade: Option<&'a [u8]>,
    /// Whether the client may wait for a 100 before it sends the body.
    pub(super) expects_continue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Invalid;

/// What the list of transfer codings comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Empty, or `identity` alone, which RFC 7230 took away: as if absent.
    Identity,
    /// `chunked` is last.
    Chunked,
    /// Something else is last.
    Other,
}

impl<'a> Announced<'a> {
    /// One pass over the names.
    pub(super) fn of(headers: &[Header<'a>]) -> Self {
        let mut announced = Self::default();
        for header in headers {
            let Header { name, value } = *header;
            match name.len() {
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    announced.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if name.eq_ignore_ascii_case(b"upgrade") && announced.upgrade.is_none() => {
                    announced.upgrade =
                        value.split(|&byte| byte == b',').map(trim).find(|token| !token.is_empty());
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => announced.add_length(value),
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => announced.add_coding(value),
                _ => {}
            }
        }
        announced
    }

    /// Equal numbers in a list or in repeated fields are one number (RFC 9110 section 8.6).
    fn add_length(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            let number = decimal(trim(element)).ok_or(Invalid);
            match self.content_length {
                None => self.content_length = Some(number),
                Some(known) if known != number => {
                    self.content_lengths_differ = true;
                    self.content_length = Some(Err(Invalid));
                }
                Some(_) => {}
            }
        }
    }

    fn add_coding(&mut self, value: &[u8]) {
        self.coding.get_or_insert(Coding::Identity);
        for element in value.split(|&byte| byte == b',') {
            let name = trim(element.split(|&byte| byte == b';').next().unwrap_or_default());
            let adds_nothing = name.is_empty()
                || name.eq_ignore_ascii_case(b"identity") && self.coding == Some(Coding::Identity);
            if name.eq_ignore_ascii_case(b"chunked") {
                self.coding = Some(Coding::Chunked);
            } else if !adds_nothing {
                self.coding = Some(Coding::Other);
            }
        }
    }

    /// The body of a request with these fields.
    pub(super) fn of_request(&self) -> Length {
        match self.coding {
            Some(Coding::Chunked) => Length::Chunked,
            Some(Coding::Other) => Length::Unknown,
            _ => self.counted().unwrap_or(Length::Nothing),
        }
    }

    /// The body of a response with these fields, where the status allows one.
    pub(super) fn of_response(&self) -> Length {
        match self.coding {
            Some(Coding::Chunked) => Length::Chunked,
            Some(Coding::Other) => Length::Close,
            _ => self.counted().unwrap_or(Length::Close),
        }
    }

    fn counted(&self) -> Option<Length> {
        self.content_length.map(|length| match length {
            Ok(0) => Length::Nothing,
            Ok(length) => Length::Counted(length),
            Err(Invalid) => Length::Unknown,
        })
    }

    /// The fields that contradict each other, as text: several lengths, or a length beside a transfer coding, which
    /// is how requests are smuggled (RFC 9112 section 11.2).
    pub(super) fn conflict(&self, headers: &[Header<'_>]) -> Option<Vec<u8>> {
        const LIMIT: usize = 512;
        if !self.content_lengths_differ && (self.coding.is_none() || self.content_length.is_none()) {
            return None;
        }
        let mut evidence = Vec::new();
        for header in headers {
            let concerned = header.name.eq_ignore_ascii_case(b"content-length")
                || header.name.eq_ignore_ascii_case(b"transfer-encoding");
            if concerned && evidence.len() < LIMIT {
                if !evidence.is_empty() {
                    evidence.extend_from_slice(b", ");
                }
                evidence.extend_from_slice(header.name);
                evidence.extend_from_slice(b": ");
                evidence.extend(header.value.iter().take(LIMIT));
            }
        }
        evidence.truncate(LIMIT);
        Some(evidence)
    }
}

/// `1*DIGIT`; `None` too where the number does not fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields; the length of a request and of a response with them; whether they conflict.
    type Case = (&'static [(&'static str, &'static str)], Length, Length, bool);

    #[test]
    fn lengths_follow_the_rfc() {
        use Length::{Chunked, Close, Counted, Nothing, Unknown};
        let cases: &[Case] = &[
            (&[], Nothing, Close, false),
            (&[("Content-Length", "5")], Counted(5), Counted(5), false),
            (&[("content-length", "0")], Nothing, Nothing, false),
            (&[("Content-Length", "5, 5")], Counted(5), Counted(5), false),
            (&[("Content-Length", "5"), ("Content-Length", "05")], Counted(5), Counted(5), false),
            (&[("Content-Length", "5, 6")], Unknown, Unknown, true),
            (&[("Content-Length", "5"), ("Content-Length", "6")], Unknown, Unknown, true),
            (&[("Content-Length", "+5")], Unknown, Unknown, false),
            (&[("Content-Length", "0x5")], Unknown, Unknown, false),
            (&[("Content-Length", "-1")], Unknown, Unknown, false),
            (&[("Content-Length", "")], Unknown, Unknown, false),
            (&[("Content-Length", "18446744073709551616")], Unknown, Unknown, false),
            (&[("Transfer-Encoding", "chunked")], Chunked, Chunked, false),
            (&[("Transfer-Encoding", "CHUNKED")], Chunked, Chunked, false),
            (&[("Transfer-Encoding", "gzip, chunked")], Chunked, Chunked, false),
            (&[("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "chunked;a=b")], Chunked, Chunked, false),
            (&[("Transfer-Encoding", "chunked, gzip")], Unknown, Close, false),
            (&[("Transfer-Encoding", "xchunked")], Unknown, Close, false),
            (&[("Transfer-Encoding", "identity")], Nothing, Close, false),
            (&[("Transfer-Encoding", "identity"), ("Content-Length", "3")], Counted(3), Counted(3), true),
            (&[("Transfer-Encoding", "chunked"), ("Content-Length", "3")], Chunked, Chunked, true),
            (&[("Transfer-Encoding", "xchunked"), ("Content-Length", "3")], Unknown, Close, true),
        ];
        for (fields, request, response, conflict) in cases {
            let headers: Vec<Header<'_>> = fields
                .iter()
                .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
                .collect();
            let announced = Announced::of(&headers);
            assert_eq!(announced.of_request(), *request, "{fields:?}");
            assert_eq!(announced.of_response(), *response, "{fields:?}");
            assert_eq!(announced.conflict(&headers).is_some(), *conflict, "{fields:?}");
        }
    }

    #[test]
    fn the_first_upgrade_counts() {
        let headers = [Header { name: b"UPGRADE", value: b" WebSocket , h2c" }];
        assert_eq!(Announced::of(&headers).upgrade, Some(b"WebSocket".as_slice()));
    }
}
