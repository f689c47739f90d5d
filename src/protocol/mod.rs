//! The list of protocols, and how a stream is recognised by its first bytes.

pub mod contract;
pub mod http1;
mod http2;
mod ssh;
mod tls;

pub use contract::{Output, Parser, Probe, Progress, Protocol};
pub use http1::find_http_head;

use crate::model::Direction;

/// Every protocol that is known, whether it is inspected or not. No two of them claim the same bytes.
pub const PROTOCOLS: &[Protocol] = &[http1::PROTOCOL, http2::PROTOCOL, tls::PROTOCOL, ssh::PROTOCOL];

/// What the first bytes of a stream say.
#[derive(Clone, Copy)]
pub enum Recognised {
    /// The protocol, and who sent the bytes where they tell.
    Known(&'static Protocol, Option<Direction>),
    /// No protocol that is known.
    Unknown,
    /// Too few bytes to say.
    More,
}

/// Recognises a stream by its first bytes, or by those of a segment in mid-stream.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Recognised {
    let mut more = false;
    for protocol in PROTOCOLS {
        match (protocol.probe)(bytes) {
            Probe::Yes(direction) => return Recognised::Known(protocol, direction),
            Probe::More => more = true,
            Probe::No => {}
        }
    }
    if more { Recognised::More } else { Recognised::Unknown }
}

/// The protocol of that name, or of that token of `Upgrade` (as in [`Progress::Switch`]).
#[must_use]
pub fn named(name: &str) -> Option<&'static Protocol> {
    let name = if matches!(name, "h2c" | "h2") { "http/2" } else { name };
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bytes: &[u8]) -> String {
        match recognise(bytes) {
            Recognised::Known(protocol, Some(direction)) => format!("{} {direction:?}", protocol.name),
            Recognised::Known(protocol, None) => protocol.name.to_owned(),
            Recognised::Unknown => "unknown".to_owned(),
            Recognised::More => "more".to_owned(),
        }
    }

    #[test]
    fn streams_are_recognised_by_content() {
        let long_target = [b"GET /".as_slice(), &[b'a'; 9000]].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"", "more"),
            (b"GET / HTTP/1.1\r\n", "http ToServer"),
            (b"GET /v1/x?api_key=cut-off-in-the-mid", "http ToServer"),
            (&long_target, "http ToServer"),
            (b"GE", "more"),
            (b"GET ", "more"),
            (b"GET x", "more"),
            (b"GET http://example.com/ HTTP/1.0\r\n", "http ToServer"),
            (b"\r\n\r\nPOST /x HTTP/1.1\r\n", "http ToServer"),
            (b"FROBNICATE /x HTTP/1.1\r\n", "http ToServer"),
            (b"FROBNICATE /x FTP/1.1\r\n", "unknown"),
            (b"CONNECT db.example:5432 HTTP/1.1\r\n", "http ToServer"),
            (b"OPTIONS * HTTP/1.1\r\n", "http ToServer"),
            (b"OPTIONS * RTSP/1.0\r\n", "unknown"),
            (b"OPTIONS sip:bob@example.com SIP/2.0\r\n", "unknown"),
            (b"get /lower HTTP/1.1\r\n", "http ToServer"),
            (b"GET /a target with spaces HTTP/1.1\r\n", "http ToServer"),
            (b"GET /old\r\n", "http ToServer"),
            (b"GET old\r\n", "unknown"),
            (b"HTTP/1.1 200 OK\r\n", "http ToClient"),
            (b"HTTP/1.0 404\r\n", "http ToClient"),
            (b"HTTP/1.", "more"),
            (b"HTTP/1.1 2", "more"),
            (b"HTTP/1.1 banana", "unknown"),
            (b"HTTP/2 200 OK\r\n", "unknown"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http/2 ToServer"),
            (b"PRI * HT", "more"),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "http/2"),
            (b"\x00\x00\x12\x04\x00\x00", "more"),
            (b"\x00\x00\x13\x04\x00\x00\x00\x00\x00", "unknown"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls ToServer"),
            (b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76", "tls ToClient"),
            (b"\x17\x03\x03\x40\x11abc", "tls"),
            (b"\x17\x03\x03\x49\x00abc", "unknown"),
            (b"\x17\x03\x03\x00\x00abc", "unknown"),
            (b"\x14\x03\x03\x00\x01\x01", "tls"),
            (b"\x14\x03\x03\x00\x09\x01", "unknown"),
            (b"\x15\x03\x03\x00\x02\x02\x28", "tls"),
            (b"\x16\x03", "more"),
            (b"\x16\x03\x05\x00\x10\x01", "unknown"),
            (b"\x18\x03\x03\x00\x10\x01", "unknown"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
            (b"SS", "more"),
            (b"220 mail.example.com ESMTP\r\n", "unknown"),
            (b"*1\r\n$4\r\nPING\r\n", "unknown"),
            (b"\x00\x01\x02\x03", "unknown"),
            (b"averyveryveryverylongwordwithoutanyspaceinit", "unknown"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(verdict(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for protocol in PROTOCOLS {
            assert_eq!(PROTOCOLS.iter().filter(|other| other.name == protocol.name).count(), 1);
            assert_eq!(protocol.parser.is_some(), protocol.not_inspected.is_empty(), "{}", protocol.name);
            assert_eq!(named(protocol.name).map(|found| found.name), Some(protocol.name));
        }
        assert_eq!(named("h2c").map(|found| found.name), Some("http/2"));
        assert!(named("gopher").is_none());
    }
}
