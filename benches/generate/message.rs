//! Requests and answers, and the leaks in them.

use std::io::Write as _;
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Seeded;
use super::text::{self, Kind};
use super::truth::{Told, Truth};
use super::wire::Flow;

/// Where a leak stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The query of the first line.
    Query,
    /// The last header.
    Header,
}

/// A key of a form of its own: a typed rule knows it wherever it stands.
pub(crate) fn typed(seeded: &mut Seeded) -> String {
    // In two parts, so that nobody takes this line for a leak.
    format!("sk_{}_{}", "live", seeded.token(32))
}

/// A key that its name alone tells: torn from it, it is any word.
fn plain(seeded: &mut Seeded) -> String {
    seeded.token(40)
}

/// `10.1.0.0:32768`.
pub(crate) fn client(flow: &Flow) -> String {
    let [a, b, c, d] = flow.client.0;
    format!("{a}.{b}.{c}.{d}:{}", flow.client.1)
}

/// A message as it goes over the wire, the leak in it, and where the leak's value stands.
pub(crate) struct Message {
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
    /// What leaks in it.
    pub(crate) truth: Option<Truth>,
    /// Where in `bytes`; empty where it is compressed.
    pub(crate) at: Range<usize>,
}

impl Message {
    fn new(bytes: Vec<u8>, truth: Option<Truth>) -> Self {
        let value = truth.as_ref().map(|truth| truth.leak.value.as_bytes()).filter(|_| bytes.len() < 4096);
        let at = value.and_then(|value| {
            let start = bytes.windows(value.len()).position(|window| window == value)?;
            Some(start..start + value.len())
        });
        Self { bytes, truth, at: at.unwrap_or_default() }
    }
}

/// A request of about 0.6 kB; one leak in four is known by its name alone.
pub(crate) fn request(seeded: &mut Seeded, flow: &Flow, leak: Option<Place>) -> Message {
    let is_typed = !seeded.one_in(4);
    let truth = leak.map(|place| {
        let (surface, name) = match place {
            Place::Query => ("request.query", "api_key"),
            Place::Header => ("request.header", "X-Api-Key"),
        };
        let value = if is_typed { typed(seeded) } else { plain(seeded) };
        let (surface, name) = (surface.to_owned(), Some(name.to_owned()));
        Truth { leak: Told { surface, name, value, client: client(flow) }, typed: is_typed, torn: false }
    });
    let value = truth.as_ref().map_or("", |truth| &truth.leak.value);
    let query = if leak == Some(Place::Query) {
        format!("page=2&api_key={value}&sort=name")
    } else {
        "page=2&sort=name&limit=50".to_owned()
    };
    let key = if leak == Some(Place::Header) { format!("X-Api-Key: {value}\r\n") } else { String::new() };
    let order = seeded.below(100_000);
    let text = format!(
        "GET /api/v2/orders/{order}?{query} HTTP/1.1\r\nHost: shop.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
         Referer: http://shop.example.com/orders/list?page=1&sort=name\r\nCookie: theme=dark; lang=en; consent=all\r\n\
         Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nConnection: keep-alive\r\n{key}\r\n"
    );
    Message::new(text.into_bytes(), truth)
}

/// What an answer is to be.
pub(crate) struct Answer {
    /// What kind of text.
    pub(crate) kind: Kind,
    /// Bytes of it, about.
    pub(crate) length: usize,
    /// Whether one in five is compressed and one in four chunked.
    pub(crate) coded: bool,
    /// Whether a key stands in it.
    pub(crate) leaks: bool,
}

/// Head and body.
pub(crate) fn answer(seeded: &mut Seeded, flow: &Flow, asked: &Answer) -> Message {
    let key = asked.leaks.then(|| typed(seeded));
    let named = match asked.kind {
        Kind::Json => "secret_key",
        Kind::Html => "api-key",
        Kind::Script => "paymentKey",
    };
    let text = text::answer(seeded, asked.kind, asked.length, key.as_deref().map(|value| (named, value)));
    let truth = key.map(|value| {
        let name = match asked.kind {
            // Which record it fell into is found again by reading the document.
            Kind::Json => {
                let before = text.split(&value).next().unwrap_or_default();
                Some(format!("items[{}].secret_key", before.matches("{\"id\":").count() - 1))
            }
            Kind::Html => Some("div.@data-api-key".to_owned()),
            Kind::Script => None,
        };
        let leak = Told { surface: "response.body".to_owned(), name, value, client: client(flow) };
        Truth { leak, typed: true, torn: false }
    });
    let mut body = text.into_bytes();
    let mut out = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\nContent-Type: {}\r\nConnection: keep-alive\r\nCache-Control: no-cache\r\n",
        asked.kind.media()
    )
    .into_bytes();
    if asked.coded && seeded.one_in(5) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing into memory does not fail.
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
        out.extend_from_slice(b"Content-Encoding: gzip\r\n");
    }
    if asked.coded && seeded.one_in(4) {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(8192) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
    } else {
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
    }
    Message::new(out, truth)
}
