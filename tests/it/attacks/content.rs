//! Bodies made to be costly: every decoder, every layer, the marks; with what makes each of them look twice.

use leaktap::content::{self, DECODERS, Document, InflateLimits, Media, Stop, Wanted, inflate};
use leaktap::model::{Field, Surface};

use super::linear;

/// What is repeated, and what stands before it.
const REPEATED: &[(&str, &str)] = &[
    ("", "a"),
    ("", " "),
    ("", "\n"),
    ("", "\r\n"),
    ("", "\0"),
    ("", "\""),
    ("", "\\"),
    ("", "\\\""),
    ("", "'"),
    ("", "["),
    ("", "{"),
    ("", "[{"),
    ("", "{\"a\":"),
    ("", "{\"a\":["),
    ("[", "1,"),
    ("[", "\"a\","),
    ("[", "\"a\" \t\n"),
    ("{", "\"a\":1,"),
    ("{", "\"a\":\"{\\\"b\\\":"),
    ("", "]"),
    ("", "}"),
    ("", "{}\n"),
    ("", "{\"a\":1}\n"),
    ("{\"a\":\"", "\\u0041"),
    ("", "\\u00"),
    ("", "<"),
    ("", "<a"),
    ("", "<a "),
    ("", "<a>"),
    ("<a ", "b=c "),
    ("<a ", "b='"),
    ("<a ", "b=\""),
    ("<a b=\"", "&amp;"),
    ("", "</"),
    ("", "</a>"),
    ("", "<!--"),
    ("", "<!-- -"),
    ("", "-->"),
    ("", "<script>"),
    ("", "<script></script>"),
    ("", "<style>"),
    ("", "<textarea><"),
    ("<script>", "</scrip"),
    ("<script>", "<!--"),
    ("", "<![CDATA["),
    ("", "<![CDATA[]]>"),
    ("", "<?"),
    ("", "<!DOCTYPE a ["),
    ("", "<!ENTITY a \"&b;\">"),
    ("", "&"),
    ("", "&#"),
    ("", "&#x41;"),
    ("", "&a=b"),
    ("", "a="),
    ("", "a[b]"),
    ("a", "[b]"),
    ("", "a[=&"),
    ("", "%"),
    ("", "%25"),
    ("", "%41"),
    ("", "a=%2541&"),
    ("", "="),
    ("", ";"),
    ("", ":"),
    ("", "://"),
    ("", "a://"),
    ("", "https://h/?a="),
    ("", "https://h/?a=b "),
    ("", "https://u:p@"),
    ("https://h/?", "a=https://h/?"),
    ("", "eyJ"),
    ("", "eyJ."),
    ("", "eyJhbGciOiJIUzI1NiJ9."),
    ("", "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln "),
    ("", ".eJ"),
    ("", "QUFBQUFB"),
    ("", "cGFzc3dvcmQ9bWFkZS11cA== "),
    ("", "data:a;base64,"),
    ("", "--"),
    ("", "--b\r\n"),
    ("", "--b\r\n\r\n"),
    ("", "\r\n--b"),
    ("", "\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx"),
    ("--b\r\n", "A: b\r\n"),
    ("--b\r\nContent-Disposition: form-data", "; name=\""),
    (
        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    ),
    ("", "data:"),
    ("", "data: x\n"),
    ("", "data: {\n"),
    ("", "data: x\n\n"),
    ("", "event: a\nid: b\n"),
    ("", "\r"),
    ("", "key = \"value\"\n"),
    ("", "\u{feff}"),
    ("", "\u{c3}\u{28}"),
];

/// Bytes of the small input.
const SMALL: usize = 24 << 10;

fn repeated(before: &str, unit: &str, bytes: usize) -> Vec<u8> {
    let mut text = before.as_bytes().to_vec();
    text.extend(unit.repeat(bytes / unit.len() + 1).into_bytes());
    text
}

fn every(faults: impl Fn(&str, &str) -> Vec<String>) {
    let faults: Vec<String> = REPEATED
        .iter()
        .flat_map(|(before, unit)| {
            faults(before, unit).into_iter().map(move |fault| format!("{before:?} + {unit:?}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_decoder_is_linear() {
    every(|before, unit| {
        let mut faults = Vec::new();
        for decoder in DECODERS {
            let media = Media { boundary: Some(b"b".to_vec()), ..Media::default() };
            let decode = |bytes: &Vec<u8>| {
                let surface = Surface::ResponseBody;
                let mut document = Document { bytes, media: &media, surface, partial: false };
                decoder.fits(&document);
                decoder.decode(&document, &Wanted::All, &mut |_| ());
                document.partial = true;
                decoder.decode(&document, &Wanted::All, &mut |_| ());
            };
            let grown = linear(SMALL, |bytes| repeated(before, unit, bytes), decode);
            faults.extend(grown.err().map(|fault| format!("{}: {fault}", decoder.name())));
        }
        faults
    });
}

#[test]
fn every_decoder_is_linear_where_much_is_wanted() {
    every(|before, unit| {
        let mut faults = Vec::new();
        for decoder in DECODERS {
            let media = Media { boundary: Some(b"b".to_vec()), ..Media::default() };
            let decode = |bytes: &Vec<u8>| {
                // A hit in each stretch of thirty-two bytes.
                let hits: Vec<_> = (0..bytes.len() / 32).map(|at| at * 32..at * 32 + 4).collect();
                let surface = Surface::ResponseBody;
                let document = Document { bytes, media: &media, surface, partial: false };
                decoder.decode(&document, &Wanted::At(&hits), &mut |_| ());
            };
            let grown = linear(SMALL, |bytes| repeated(before, unit, bytes), decode);
            faults.extend(grown.err().map(|fault| format!("{}: {fault}", decoder.name())));
        }
        faults
    });
}

#[test]
fn layers_and_marks_are_linear() {
    every(|before, unit| {
        let layers = |bytes: &Vec<u8>| {
            let mut field = Field::new(Surface::RequestBody, None, bytes.into(), 0..bytes.len());
            content::layers(&field, &mut |_| ());
            field.origin = leaktap::model::message::Origin::Text;
            content::layers(&field, &mut |_| ());
        };
        let marks = |bytes: &Vec<u8>| content::marks(bytes, &mut Vec::new());
        let grown = [
            linear(SMALL, |bytes| repeated(before, unit, bytes), layers),
            linear(SMALL, |bytes| repeated(before, unit, bytes), marks),
        ];
        grown.into_iter().filter_map(Result::err).collect()
    });
}

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    crate::cases::encoded(coding, bytes)
}

#[test]
fn bombs_of_every_coding_end_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let bomb = encoded(coding, &zeros);
        let limits = InflateLimits { total: 8 << 20, ratio: 100, free: 1 << 20 };
        let (out, result) = inflate(&[coding.to_owned()], &bomb, limits).unwrap();
        assert_eq!(result, Err(Stop::Bomb), "{coding}");
        assert!(out.len() as u64 <= limits.total, "{coding}: {}", out.len());
    }
}

#[test]
fn bombs_in_bombs_end_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    for inner in ["gzip", "deflate", "br", "zstd"] {
        for outer in ["gzip", "deflate", "br", "zstd"] {
            let bomb = encoded(outer, &encoded(inner, &zeros));
            let codings = [inner.to_owned(), outer.to_owned()];
            let (out, result) = inflate(&codings, &bomb, InflateLimits::default()).unwrap();
            assert_eq!(result, Err(Stop::Bomb), "{inner} in {outer}, {} bytes", bomb.len());
            assert!(out.len() <= 16 << 20, "{inner} in {outer}: {}", out.len());
        }
    }
}
