//! What holds for any bytes: no panic, no loop, nothing told that was not sent, nothing that depends on the cut.

use proptest::prelude::*;

use super::{Flow, Wire};
use crate::model::Direction;
use crate::protocol::contract::Probe;
use crate::protocol::http1::{HEAD_LIMIT, find_http_head, probe::probe};

const CLIENT: &[&str] = &[
    "GET /a?k=v HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /b HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost : h\r\n folded\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\n\r\n",
    "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "GET /old\r\n",
    "\r\n",
    "junk GET / HTTP/1.1\n",
];

const SERVER: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nrest",
    "</html>",
    "\n",
];

/// Bytes that the grammar cares about, and some others.
const BYTES: &[u8] = b"\r\n \t:;,/.HTTP1x0f\x00\xff";

fn wire() -> impl Strategy<Value = Vec<Wire>> {
    let step = prop_oneof![
        6 => proptest::sample::select(CLIENT).prop_map(|text| Wire::C(text.into())),
        6 => proptest::sample::select(SERVER).prop_map(|text| Wire::S(text.into())),
        1 => (1..40_u64).prop_map(Wire::CGap),
        1 => (1..40_u64).prop_map(Wire::SGap),
    ];
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..3_u8,
        proptest::sample::select(BYTES),
    );
    (prop::collection::vec(step, 1..8), prop::collection::vec(change, 0..5)).prop_map(
        |(mut wire, changes)| {
            for (step, place, how, byte) in changes {
                let step = step.index(wire.len());
                let (Wire::C(bytes) | Wire::S(bytes)) = &mut wire[step] else { continue };
                if bytes.is_empty() {
                    continue;
                }
                let place = place.index(bytes.len());
                match how {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    _ => {
                        bytes.remove(place);
                    }
                }
            }
            wire
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_conversation_is_read_the_same_in_every_cut(wire in wire(), size in 1..9_usize) {
        let sent: usize = wire.iter().map(|step| match step {
            Wire::C(bytes) | Wire::S(bytes) => bytes.len(),
            _ => 0,
        }).sum();
        let whole = Flow::play(&wire, |_, bytes| vec![bytes.to_vec()]);
        prop_assert!(whole.record.bytes_told <= sent);
        let cut = Flow::play(&wire, |_, bytes| bytes.chunks(size).map(<[u8]>::to_vec).collect());
        prop_assert_eq!(whole.told(), cut.told());
    }

    #[test]
    fn a_head_is_found_wherever_it_stands(junk in prop::collection::vec(any::<u8>(), 0..200), which in 0..2_usize) {
        let head = [CLIENT[0], SERVER[0]][which];
        let mut bytes = junk.clone();
        bytes.push(b'\n');
        bytes.extend_from_slice(head.as_bytes());
        prop_assert_eq!(find_http_head(&bytes), Some(junk.len() + 1));
        prop_assert_eq!(find_http_head(&junk), None);
    }

    #[test]
    fn any_bytes_in_any_direction(bytes in prop::collection::vec(proptest::sample::select(BYTES), 0..400)) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut flow = Flow::new();
            bytes.iter().for_each(|byte| flow.data(direction, &[*byte]));
            flow.end();
            prop_assert!(flow.record.bytes_told <= bytes.len());
        }
    }

    #[test]
    fn what_is_found_in_mid_stream_is_recognised(
        parts in prop::collection::vec(proptest::sample::select([CLIENT, SERVER].concat()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = parts.concat().into_bytes();
        let bytes = bytes.get(..cut.index(bytes.len() + 1)).unwrap_or_default();
        if let Some(at) = find_http_head(bytes) {
            let verdict = probe(&bytes[at..]);
            prop_assert!(matches!(verdict, Probe::Yes(Some(_))), "{verdict:?} {}", bytes[at..].escape_ascii());
        }
    }
}

#[test]
fn heads_in_mid_stream() {
    let cases: &[(&str, Option<usize>)] = &[
        ("GET / HTTP/1.1\r\n", Some(0)),
        ("x\r\nHTTP/1.1 200 OK\r\n", Some(3)),
        ("{\"a\":1}POST /x HTTP/1.1\r\nHost: h\r\n", Some(7)),
        ("</html>HTTP/1.1 404 Not Found\r\nServer: x", Some(7)),
        ("said: GET / HTTP/1.1\r\nand left", None),
        ("\"GET / HTTP/1.1\" 200 17\n", None),
        ("HTTP/1.", None),
        ("nothing here", None),
        ("", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(find_http_head(bytes.as_bytes()), *expected, "{bytes:?}");
    }
}

/// Openings, and what is then repeated for ever: each looks at a place where bytes could be searched again and again.
const HOSTILE: &[(&str, &str)] = &[
    ("GET /", "a"),
    ("GET / HTTP/1.1\r\nA: ", "a"),
    ("", "GET / HTTP/1.1\r\n"),
    ("", "GET / HTTP/1.1\r\n\r\n"),
    ("GET / HTTP/1.1\r\nA:", "\r\n "),
    ("GET / HTTP/1.1\r\n", "A\r\n"),
    ("", "HTTP/1."),
    ("", "HTTP/1.1 200 "),
    ("", "HTTP/1.1 200 OK\r\n"),
    ("", "HTTP/1.1 200 OK\r\n\r\n"),
    ("HTTP/1.1 200", " "),
    ("?", " HTTP/1.1"),
    ("?", " HTTP/1.1\n"),
    ("?", "GET / HTTP/1.1"),
    ("?", "GET /HTTP/1.1\n"),
    ("?", "?GET / HTTP/1.1\nA"),
    ("?", "?HTTP/1.1 200 OK\nA"),
    ("?", "GET "),
    ("?", "\0"),
    ("", "\r"),
    ("", "\n"),
    ("", " "),
    ("", "A"),
    ("", "A b"),
    ("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", "A b"),
    ("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", "\0"),
    ("CONNECT a:1 HTTP/1.1\r\n\r\n", "A b"),
    ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "?GET / HTTP/1.1\nA"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", ";"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n"),
    ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA:", "\n "),
    ("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 "),
    ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "?HTTP/1.1 200 OK\nA"),
];

/// A million flows open at once cost little beside the bytes of their heads.
#[test]
fn a_flow_is_small() {
    let size = std::mem::size_of::<crate::protocol::http1::Http1>();
    assert!(size <= 128, "{size}");
}

/// A search that starts over with every segment would take minutes here.
#[test]
fn hostile_streams_are_read_the_same_in_every_cut_within_the_limits() {
    const BYTES: usize = 300_000;
    for (opening, repeated) in HOSTILE {
        let repeated = repeated.repeat(BYTES / repeated.len());
        let bytes = [opening.as_bytes(), repeated.as_bytes()].concat();
        for direction in [Direction::ToServer, Direction::ToClient] {
            let [whole, segments, small] = [bytes.len(), 1448, 7].map(|size| {
                let mut flow = Flow::new();
                bytes.chunks(size).for_each(|piece| flow.data(direction, piece));
                assert!(flow.most_kept <= HEAD_LIMIT + size, "{opening:?} keeps {}", flow.most_kept);
                flow.end();
                assert!(flow.record.bytes_told <= bytes.len());
                flow.told()
            });
            assert!(whole == segments && whole == small, "{opening:?} {}", repeated.split_at(30).0);
        }
    }
}
