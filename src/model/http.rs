//! A message head of HTTP as every version of it sees one: what `protocol` cuts out and `content` takes apart.

/// The head of a request. All slices lie in `bytes` where they come from HTTP/1.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The head as it stood on the wire, without the empty line (empty for HTTP/2 and 3).
    pub bytes: &'a [u8],
    /// `GET`, `POST` …
    pub method: &'a [u8],
    /// The request target as sent (RFC 9112 section 3.2).
    pub target: &'a [u8],
    /// `http/1.0`, `http/1.1` …
    pub version: &'static str,
    /// The header fields in their order.
    pub headers: &'a [Header<'a>],
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The head as it stood on the wire, without the empty line (empty for HTTP/2 and 3).
    pub bytes: &'a [u8],
    /// `200`, `404` …
    pub status: u16,
    /// The reason phrase of HTTP/1; empty where there is none.
    pub reason: &'a [u8],
    /// `http/1.0`, `http/1.1` …
    pub version: &'static str,
    /// The header fields in their order.
    pub headers: &'a [Header<'a>],
}

/// One header field: the name as sent, the value without surrounding white space. A folded value still has its line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Field name.
    pub name: &'a [u8],
    /// Field value.
    pub value: &'a [u8],
}

/// The first value of the header `name` (compared without case).
#[must_use]
pub fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_bytes())).map(|header| header.value)
}

/// Where `inner` lies in `outer`, in bytes from its start; `None` where it lies elsewhere.
#[must_use]
pub fn offset_in(outer: &[u8], inner: &[u8]) -> Option<usize> {
    let offset = (inner.as_ptr() as usize).checked_sub(outer.as_ptr() as usize)?;
    (offset + inner.len() <= outer.len()).then_some(offset)
}
