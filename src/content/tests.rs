//! What every decoder owes: no panic on any bytes, spans within the input, and the wanted fields as a part of all.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::model::message::Origin;
use crate::model::{Direction, Surface};

const SEEDS: &[(&str, &str)] = &[
    (
        "application/json",
        r#"{"a":{"b":["x",{"c":"sk\u005fmade"},1,null]},"d":"https://u:p@h/?t=1","e":true}"#,
    ),
    ("application/x-ndjson", "{\"a\":1}\n{\"b\":[\"c\"]}\n"),
    ("application/x-www-form-urlencoded", "a=b&c%20d=e+f&g=&h&api_key=made%2Dup"),
    (
        "text/html",
        "<p>a <b>b</b></p><input name=k value='v&amp;w'><script>x=1</script><!-- c --><pre>d\ne</pre>",
    ),
    ("text/xml", "<a b='c'><d>e &lt; f</d><![CDATA[g]]><!-- h --><i/></a>"),
    (
        "multipart/form-data",
        "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--XX\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name=c\r\n\r\n{\"d\":\"e\"}\r\n--XX--",
    ),
    ("text/event-stream", "event: a\ndata: {\"b\":\"c\"}\n\ndata: d\ndata: e\n\n"),
    ("text/plain", "2026-11-22 password=made-up https://h/?k=v eyJhIjoxfQ.eyJiIjoyfQ.c2ln"),
];

fn media_of(essence: &str) -> Media {
    let boundary = essence.starts_with("multipart").then(|| b"XX".to_vec());
    Media { essence: essence.into(), boundary, ..Media::default() }
}

type Told = (Option<String>, Option<String>, Vec<u8>, Range<usize>);

fn all_told(decoder: &dyn Decoder, document: &Document<'_>, wanted: &Wanted<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    decoder.decode(document, wanted, &mut |field| {
        assert!(field.span.start <= field.span.end && field.span.end <= document.bytes.len());
        let own = |name: &Option<std::borrow::Cow<'_, str>>| name.as_deref().map(str::to_string);
        told.push((own(&field.name), own(&field.inner), field.value.to_vec(), field.span.clone()));
        layers(&field, &mut |inner| {
            assert!(inner.span.start >= field.span.start && inner.span.end <= field.span.end);
            assert!(!matches!(inner.origin, Origin::Plain | Origin::Text));
        });
    });
    told
}

#[test]
fn each_body_has_its_decoder() {
    let names: Vec<_> = SEEDS
        .iter()
        .map(|(essence, body)| {
            let media = media_of(essence);
            let document = Document {
                bytes: body.as_bytes(),
                media: &media,
                surface: Surface::RequestBody,
                partial: false,
            };
            decoder(&document).name()
        })
        .collect();
    assert_eq!(names, ["json", "json", "form", "html", "xml", "multipart", "sse", "text"]);
}

#[test]
fn looks_beat_a_missing_or_wrong_type() {
    for (essence, body, name) in [
        ("", "<!DOCTYPE html><p>", "html"),
        ("", "<?xml version='1.0'?><a/>", "xml"),
        ("text/html", "{\"a\":1}", "json"),
        ("application/x-www-form-urlencoded", "{\"a\":1}", "json"),
        ("", "a=b&c=d", "form"),
        ("application/json", "a: b", "text"),
        ("", "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nb", "multipart"),
        ("text/javascript", "var a = {\"b\": 1};", "text"),
        ("text/html", "plain", "html"),
        ("", "", "text"),
    ] {
        let media = media_of(essence);
        let document =
            Document { bytes: body.as_bytes(), media: &media, surface: Surface::RequestBody, partial: false };
        assert_eq!(decoder(&document).name(), name, "{essence} {body}");
    }
}

/// Seeds spoiled at random: bytes replaced, cut, doubled.
fn spoiled() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let spoil = proptest::collection::vec((any::<u16>(), any::<u8>(), 0_u8..4), 0..8);
    (0..SEEDS.len(), spoil).prop_map(|(seed, spoils)| {
        let mut bytes = SEEDS[seed].1.as_bytes().to_vec();
        for (place, byte, kind) in spoils {
            let at = usize::from(place) % (bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend_from_within(at..),
                _ => bytes.insert(at, b"<>\"'{}[]&=%\\-;:.,/\r\n"[usize::from(byte) % 20]),
            }
        }
        (seed, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_make_a_decoder_panic((_, bytes) in spoiled(), noise in proptest::collection::vec(any::<u8>(), 0..200), partial: bool) {
        for bytes in [&bytes, &noise] {
            for (essence, _) in SEEDS {
                let media = media_of(essence);
                let document = Document { bytes, media: &media, surface: Surface::ResponseBody, partial };
                fields(&document, &Wanted::All, &mut |_| {});
                for decoder in DECODERS {
                    all_told(*decoder, &document, &Wanted::All);
                }
            }
            let mut found = Vec::new();
            marks(bytes, &mut found);
            prop_assert!(found.iter().all(|mark| mark.end <= bytes.len()));
            prop_assert!(found.is_sorted_by_key(|mark| mark.start));
            let _ = to_utf8(bytes, &Media { charset: Some("shift_jis".into()), ..Media::default() });
            let _ = is_opaque(&Media::default(), bytes);
        }
    }

    #[test]
    fn what_is_wanted_is_a_part_of_all((seed, bytes) in spoiled(), places in proptest::collection::vec((any::<u16>(), 1_usize..9), 0..4)) {
        let media = media_of(SEEDS[seed].0);
        let document = Document { bytes: &bytes, media: &media, surface: Surface::ResponseBody, partial: false };
        let mut places: Vec<_> = places
            .into_iter()
            .map(|(at, length)| {
                let at = usize::from(at) % (bytes.len() + 1);
                at..(at + length).min(bytes.len())
            })
            .collect();
        places.sort_by_key(|place| place.start);
        // The engine's places do not overlap either.
        places.dedup_by(|next, last| next.start < last.end);
        let wanted = Wanted::At(&places);
        let decoder = decoder(&document);
        let all = all_told(decoder, &document, &Wanted::All);
        let some = all_told(decoder, &document, &wanted);
        let mut rest = all.iter();
        for told in &some {
            prop_assert!(rest.any(|one| one == told), "{told:?} is not in its order in {all:?}");
        }
        // The span of joined text covers the markup between its pieces as well.
        for told in all.iter().filter(|told| told.0.is_some() && wanted.touches(&told.3)) {
            prop_assert!(some.contains(told), "{told:?} was wanted by {places:?}");
        }
    }

    #[test]
    fn no_head_makes_a_panic(target in proptest::collection::vec(any::<u8>(), 0..60), name in 0_usize..8, value in proptest::collection::vec(any::<u8>(), 0..80)) {
        use crate::model::http::{Header, RequestHead};
        let names = ["Cookie", "Authorization", "Referer", "Link", "Set-Cookie", "Refresh", "Content-Type", "X"];
        let values = [&b"Digest "[..], b"Basic ", b"AWS4-HMAC-SHA256 ", b""].map(|scheme| [scheme, &value].concat());
        for value in &values {
            let headers = [Header { name: names[name].as_bytes(), value }];
            let head = RequestHead { bytes: value, method: b"GET", target: &target, version: "http/1.1", headers: &headers };
            let mut check = |field: Field<'_>| {
                assert!(field.span.end <= value.len());
                layers(&field, &mut |_| {});
            };
            head::request(&head, &mut check);
            head::trailers(Direction::ToClient, &headers, &mut check);
            let _ = media(&headers);
        }
    }
}

/// Bodies that would be slow for what is not linear: each must pass within the test's patience.
#[test]
fn hostile_bodies_cost_linear_time() {
    let long = 1 << 20;
    let bodies: Vec<(&str, String)> = vec![
        ("application/json", "[".repeat(long)),
        ("application/json", "{\"a\":".repeat(long / 5)),
        ("application/json", format!("{}1", "[1,".repeat(long / 4))),
        ("application/json", "\"".repeat(long)),
        ("application/json", format!("[{}", "\"a\" ".repeat(long / 4))),
        ("application/json", format!("{{\"{}\":[{}", "k".repeat(1000), "1,".repeat(long / 2))),
        ("application/x-www-form-urlencoded", "a=b&".repeat(long / 4)),
        ("text/html", "<".repeat(long)),
        ("text/html", "<a ".repeat(long / 3)),
        ("text/html", "<a b=\"".repeat(long / 6)),
        ("text/html", "<!--".repeat(long / 4)),
        ("text/html", "<script></".repeat(long / 10)),
        ("text/html", "<b>x".repeat(long / 4)),
        ("text/xml", "<a>".repeat(long / 3)),
        ("text/xml", "<a>x".repeat(long / 4)),
        ("text/xml", "<![CDATA[".repeat(long / 9)),
        ("text/xml", "<!DOCTYPE [".repeat(long / 11)),
        ("multipart/form-data", "--XX\r\n".repeat(long / 6)),
        ("multipart/form-data", "--XX--".repeat(long / 6)),
        ("text/event-stream", "data:\n".repeat(long / 6)),
        ("text/event-stream", "data:x\n\n".repeat(long / 8)),
        ("text/plain", "://".repeat(long / 3)),
        ("text/plain", "http://".repeat(long / 7)),
        ("text/plain", "eyJ.".repeat(long / 4)),
        ("text/plain", "%41".repeat(long / 3)),
        ("text/plain", "&#".repeat(long / 2)),
        ("text/plain", "\\u00".repeat(long / 4)),
        ("text/plain", "YWJj".repeat(long / 4)),
    ];
    for (essence, body) in bodies {
        let started = std::time::Instant::now();
        let media = media_of(essence);
        let document = Document {
            bytes: body.as_bytes(),
            media: &media,
            surface: Surface::ResponseBody,
            partial: false,
        };
        fields(&document, &Wanted::All, &mut |field| layers(&field, &mut |_| {}));
        marks(body.as_bytes(), &mut Vec::new());
        let spent = started.elapsed();
        assert!(spent.as_secs() < 20, "{essence} {}…: {spent:?}", &body[..10]);
    }
}
