//! HTTP made to be costly, through the whole engine: heads, chunks, bodies, exchanges without end.

use std::net::SocketAddr;

use leaktap::model::event::Event;
use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;

use super::linear;
use crate::cases::encoded;
use crate::support::{leaks, options, scan_frames};

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";

fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST /x HTTP/1.1\r\nHost: h\r\n{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    bytes
}

/// A request that leaks, to see that the stream is still followed.
fn last() -> Vec<u8> {
    format!("GET /last?key={KEY} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn to_server(mss: usize, bytes: &[u8]) -> Vec<Kept> {
    Connection::example(80).mss(mss).handshake().to_server(bytes).finish().frames()
}

fn to_client(mss: usize, bytes: &[u8]) -> Vec<Kept> {
    let ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    Connection::example(80).mss(mss).handshake().to_server(ask).to_client(bytes).finish().frames()
}

/// Rules and surfaces of the leaks, and the reasons of what was lost; nothing else may be said.
fn told(frames: &[Kept]) -> (Vec<String>, Vec<String>) {
    let (events, said, _) = scan_frames(frames, &options(1));
    assert!(said.problems.is_empty(), "{:?}", said.problems);
    let leaks = leaks(&events);
    let leaks =
        leaks.iter().map(|leak| format!("{} {}", leak.surface.as_str(), leak.name.as_deref().unwrap_or("-")));
    let lost = events.iter().filter_map(|event| match event {
        Event::Lost(lost) => Some(lost.reason.clone()),
        _ => None,
    });
    (leaks.collect(), lost.collect())
}

/// Eight times as many units cost about eight times as much.
fn assert_linear(what: &str, small: usize, frames: impl Fn(usize) -> Vec<Kept>) {
    let scan = |frames: &Vec<Kept>| {
        scan_frames(frames, &options(1));
    };
    if let Err(fault) = linear(small, frames, scan) {
        panic!("{what}: {fault}");
    }
}

fn keys(count: usize) -> impl Iterator<Item = String> {
    // Made up, each another.
    (0..count).map(|number| {
        let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("sk_live_Q{mixed:016x}Zt{:06x}", mixed >> 40)
    })
}

#[test]
fn one_byte_segments_of_a_long_head() {
    assert_linear("a head", 2_000, |bytes| {
        let pad = format!("A: {}\r\n", "b".repeat(bytes));
        to_server(1, &request(&pad, b""))
    });
}

#[test]
fn one_byte_segments_of_a_long_first_line() {
    assert_linear("a first line", 2_000, |bytes| {
        to_server(1, format!("GET /{} HTTP/1.1\r\n\r\n", "b".repeat(bytes)).as_bytes())
    });
}

#[test]
fn one_byte_segments_of_bodies_and_text() {
    assert_linear("a body", 2_000, |bytes| to_server(1, &request("", &vec![b'x'; bytes])));
    assert_linear("text", 2_000, |bytes| to_server(1, &vec![b'x'; bytes]));
    assert_linear("chunk extensions", 1_000, |bytes| {
        let chunks = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(bytes));
        to_server(1, format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes())
    });
    assert_linear("an answer that hesitates", 2_000, |bytes| {
        to_client(1, format!("HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 ".repeat(bytes / 9)).as_bytes())
    });
}

#[test]
fn a_head_of_a_mebibyte_is_told_and_what_follows_is_found() {
    let bytes = [request(&format!("A: {}\r\n", "b".repeat(1 << 20)), b""), last()].concat();
    let (leaks, lost) = told(&to_server(1448, &bytes));
    assert_eq!(leaks, ["request.query key"]);
    assert_eq!(lost, ["head-limit"]);
}

#[test]
fn a_hundred_thousand_headers_are_told_and_what_follows_is_found() {
    let head: String = (0..100_000).map(|number| format!("a{number}: b\r\n")).collect();
    let (leaks, lost) = told(&to_server(1448, &[request(&head, b""), last()].concat()));
    assert_eq!(leaks, ["request.query key"]);
    assert_eq!(lost, ["field-limit", "head-limit"]);
}

#[test]
fn headers_within_the_limit_are_all_looked_at() {
    let head: String = (0..900).map(|number| format!("a{number}: b\r\n")).collect();
    let (leaks, lost) = told(&to_server(1448, &request(&format!("{head}X-Key: {KEY}\r\n"), b"")));
    assert_eq!((leaks, lost), (vec!["request.header X-Key".to_owned()], vec![]));
    assert_linear("headers", 400, |count| {
        let head: String = (0..count).map(|number| format!("a{number}: %41token=b{number}\r\n")).collect();
        to_server(1448, &request(&head, b""))
    });
}

fn chunked(chunks: &[u8]) -> Vec<u8> {
    [b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", chunks].concat()
}

#[test]
fn a_hundred_thousand_chunks_of_one_byte() {
    let body = format!("{}{{\"api_key\":\"{KEY}\"}}", " ".repeat(100_000));
    let mut chunks: Vec<u8> =
        body.bytes().flat_map(|byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']).collect();
    chunks.extend(b"0\r\n\r\n");
    let (leaks, lost) = told(&to_server(1448, &[chunked(&chunks), last()].concat()));
    assert_eq!(
        (leaks, lost),
        (vec!["request.body api_key".to_owned(), "request.query key".to_owned()], vec![])
    );
}

#[test]
fn chunk_sizes_beyond_reason() {
    for size in [
        "ffffffffffffffff",
        "fffffffffffffffff",
        "8000000000000000",
        &"f".repeat(10_000),
        &"0".repeat(10_000),
    ] {
        let bytes = chunked(format!("{size}\r\n{{\"api_key\":\"{KEY}\"}}\r\n0\r\n\r\n").as_bytes());
        let (leaks, _) = told(&to_server(1448, &bytes));
        assert_eq!(leaks.len(), 1, "{} {size:.20}", size.len());
    }
}

#[test]
fn endless_extensions_and_trailers() {
    for (bomb, reason) in [
        (format!("1;{}\r\nx\r\n0\r\n\r\n", "e=f;".repeat(250_000)), "chunk-limit"),
        (format!("0\r\n{}\r\n", "A: b\r\n".repeat(200_000)), "head-limit"),
    ] {
        let (leaks, lost) = told(&to_server(1448, &[chunked(bomb.as_bytes()), last()].concat()));
        assert_eq!(leaks, ["request.query key"]);
        assert_eq!(lost, [reason]);
    }
}

#[test]
fn a_gibibyte_of_zeros() {
    // Of a gibibyte: each of the sixteen members is 64 MiB.
    let member = encoded("gzip", &vec![0; 64 << 20]);
    let bomb = member.repeat(16);
    for (coding, body) in [("gzip", bomb.clone()), ("gzip, gzip", encoded("gzip", &bomb))] {
        let bytes = request(&format!("Content-Encoding: {coding}\r\n"), &body);
        let (leaks, lost) = told(&to_server(1448, &[bytes, last()].concat()));
        assert_eq!(leaks, ["request.query key"], "{coding}");
        assert_eq!(lost, ["decompression-limit"], "{coding}");
    }
}

#[test]
fn json_a_hundred_thousand_deep() {
    let body = format!("{}{{\"api_key\":\"{KEY}\"}}", "[{\"a\":".repeat(100_000));
    let (leaks, lost) = told(&to_server(
        1448,
        &[request("Content-Type: application/json\r\n", body.as_bytes()), last()].concat(),
    ));
    assert_eq!(
        (leaks, lost),
        (vec!["request.body api_key".to_owned(), "request.query key".to_owned()], vec![])
    );
    // The same as a string inside a string.
    let mut inner = format!("{{\"api_key\":\"{KEY}\"}}");
    for _ in 0..12 {
        inner = serde_json::json!({ "a": inner }).to_string();
    }
    told(&to_server(1448, &request("", inner.as_bytes())));
}

#[test]
fn a_hundred_thousand_parameters() {
    let pairs = |count: usize| (0..count).map(|number| format!("a{number}=b&")).collect::<String>();
    // As a form, since a request line of that length is refused.
    let form = format!("{}api_key={KEY}", pairs(100_000));
    let head = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (leaks, lost) = told(&to_server(1448, &request(head, form.as_bytes())));
    assert_eq!((leaks, lost), (vec!["request.body api_key".to_owned()], vec![]));
    let line = format!("GET /x?{}api_key={KEY} HTTP/1.1\r\n\r\n", pairs(20_000));
    let (leaks, lost) = told(&to_server(1448, line.as_bytes()));
    assert_eq!((leaks, lost), (vec!["request.query api_key".to_owned()], vec![]));
    let line = format!("GET /x?{}api_key={KEY} HTTP/1.1\r\n\r\n", pairs(100_000));
    let (leaks, lost) = told(&to_server(1448, &[line.as_bytes(), &last()].concat()));
    assert_eq!(lost, ["head-limit"]);
    assert!(leaks.iter().any(|leak| leak == "request.query key"), "{leaks:?}");
}

#[test]
fn ten_thousand_cookies() {
    let cookies: String = (0..10_000).map(|number| format!("a{number}=b; ")).collect();
    let (leaks, lost) = told(&to_server(1448, &request(&format!("Cookie: {cookies}api_key={KEY}\r\n"), b"")));
    assert_eq!((leaks, lost), (vec!["request.cookie api_key".to_owned()], vec![]));
}

#[test]
fn a_hundred_thousand_parts() {
    let part = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(100_000);
    let end = format!("--b\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\n{KEY}\r\n--b--\r\n");
    let head = "Content-Type: multipart/form-data; boundary=b\r\n";
    let (leaks, lost) = told(&to_server(1448, &request(head, format!("{part}{end}").as_bytes())));
    assert_eq!((leaks, lost), (vec!["request.body api_key".to_owned()], vec![]));
}

#[test]
fn many_leaks_in_one_message() {
    assert_linear("leaks of a form", 250, |count| {
        let pairs: Vec<String> =
            keys(count).enumerate().map(|(number, key)| format!("k{number}={key}")).collect();
        to_server(1448, &request("", pairs.join("&").as_bytes()))
    });
    assert_linear("leaks of a JSON answer", 250, |count| {
        let values: Vec<String> = keys(count).map(|key| format!("{{\"api_key\":\"{key}\"}}")).collect();
        let body = format!("[{}]", values.join(","));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        to_client(1448, &[head.as_bytes(), body.as_bytes()].concat())
    });
    assert_linear("leaks of a text", 250, |count| {
        let body = keys(count).collect::<Vec<_>>().join("\n");
        to_server(1448, &request("Content-Type: text/plain\r\n", body.as_bytes()))
    });
    assert_linear("leaks of a query", 250, |count| {
        let pairs: Vec<String> = keys(count).map(|key| format!("k={key}")).collect();
        to_server(1448, format!("GET /?{} HTTP/1.1\r\n\r\n", pairs.join("&")).as_bytes())
    });
}

#[test]
fn many_exchanges_without_answers() {
    assert_linear("requests", 500, |count| {
        let bytes: Vec<u8> = keys(count)
            .flat_map(|key| format!("GET /?k={key} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes())
            .collect();
        to_server(1448, &bytes)
    });
    assert_linear("answers", 1_000, |count| to_client(1448, &b"HTTP/1.1 204 No\r\n\r\n".repeat(count)));
    assert_linear("informational answers", 1_000, |count| {
        to_client(1448, &b"HTTP/1.1 100 Go\r\n\r\n".repeat(count))
    });
}

#[test]
fn tunnels_in_tunnels() {
    // All of it at once, each side ahead of the other.
    for count in [10, 2_700] {
        let ask = b"CONNECT h:443 HTTP/1.1\r\n\r\n".repeat(count);
        let answer = b"HTTP/1.1 200 OK\r\n\r\n".repeat(count);
        let frames = Connection::example(80)
            .mss(60_000)
            .handshake()
            .to_server(&ask)
            .to_client(&answer)
            .finish()
            .frames();
        let (leaks, _) = told(&frames);
        assert_eq!(leaks, Vec::<String>::new());
    }
    let ask = b"GET / HTTP/1.1\r\nUpgrade: h2c, a\r\nConnection: Upgrade\r\n\r\n".repeat(1000);
    let answer = b"HTTP/1.1 101 S\r\nUpgrade: http\r\nConnection: Upgrade\r\n\r\n".repeat(1000);
    told(
        &Connection::example(80).mss(60_000).handshake().to_server(&ask).to_client(&answer).finish().frames(),
    );
}

#[test]
fn many_secrets_that_come_back() {
    // Every request brings a secret, every answer holds them all.
    assert_linear("reflections", 30, |count| {
        let all = keys(count).collect::<Vec<_>>().join(" ");
        let mut connection = Connection::example(80).handshake();
        for key in keys(count) {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{all}", all.len());
            connection = connection
                .to_server(format!("GET /?k={key} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
                .to_client(&answer.as_bytes()[..answer.len().min(2000)]);
        }
        connection.finish().frames()
    });
}

#[test]
fn flows_that_fall_into_one_shard_are_all_looked_at() {
    // The shard of a flow follows from its ends without a secret: whoever knows how can fill one.
    let client = |port| SocketAddr::from(([192, 0, 2, 10], port));
    let server = SocketAddr::from(([192, 0, 2, 80], 80));
    let shard = |port| {
        let end = |address: SocketAddr| {
            leaktap::model::Endpoint::v4(
                [192, 0, 2, if address.port() == 80 { 80 } else { 10 }],
                address.port(),
            )
        };
        leaktap::model::FlowKey::new(end(client(port)), end(server), leaktap::model::Transport::Tcp)
            .0
            .spread()
            % 64
    };
    let ports: Vec<u16> = (1024..=u16::MAX).filter(|&port| shard(port) == 0).take(800).collect();
    assert!(ports.len() >= 800, "{}", ports.len());
    let frames: Vec<Kept> = ports
        .iter()
        .zip(keys(800))
        .flat_map(|(&port, key)| {
            let ask = format!("GET /?k={key} HTTP/1.1\r\nHost: h\r\n\r\n");
            Connection::new(client(port), server).handshake().to_server(ask.as_bytes()).frames()
        })
        .collect();
    for jobs in [1, 2] {
        let (events, ..) = scan_frames(&frames, &options(jobs));
        assert_eq!(leaks(&events).len(), ports.len());
    }
}
