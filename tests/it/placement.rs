//! Tokens of every typed rule placed on every surface, plain and encoded: each is found whole, at its place, by its rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leaktap::source::memory::connection::Connection;

use crate::support::{RULES, leaks, options, scan_frames};

/// What is placed: the rule and a value that it finds wherever it stands.
struct Token {
    rule: String,
    value: String,
}

/// Where: a name for it, the message with `{}` for the value, the surface, and the name that is told.
type Place = (&'static str, Request, &'static str, Option<&'static str>);

enum Request {
    Get(&'static str),
    Header(&'static str),
    Post(&'static str, &'static str),
    Answer(&'static str, &'static str),
}

use Request::{Answer, Get, Header, Post};

const PLACES: &[Place] = &[
    ("query", Get("/v1/items?page=2&ref={}&sort=asc"), "request.query", Some("ref")),
    ("path", Get("/v1/hooks/{}/run"), "request.path", None),
    ("bearer", Header("Authorization: Bearer {}"), "request.header", Some("Authorization")),
    ("key header", Header("X-API-Key: {}"), "request.header", Some("X-API-Key")),
    ("cookie", Header("Cookie: theme=dark; ref={}; lang=en"), "request.cookie", Some("ref")),
    (
        "json",
        Post("application/json", "{\"a\":1,\"data\":{\"ref\":\"{}\"}}"),
        "request.body",
        Some("data.ref"),
    ),
    ("form", Post("application/x-www-form-urlencoded", "a=1&ref={}&b=2"), "request.body", Some("ref")),
    (
        "xml",
        Post("application/xml", "<?xml version=\"1.0\"?><a><ref>{}</ref></a>"),
        "request.body",
        Some("a.ref"),
    ),
    (
        "json in json",
        Answer("application/json", "{\"payload\":\"{\\\"ref\\\":\\\"{}\\\"}\"}"),
        "response.body",
        Some("payload.ref"),
    ),
    (
        "attribute",
        Answer("text/html", "<!doctype html><html><body><div data-ref=\"{}\">x</div></body></html>"),
        "response.body",
        Some("div.@data-ref"),
    ),
    ("text", Answer("text/plain", "It was created: {} and is active.\n"), "response.body", None),
    (
        "multipart",
        Post(
            "multipart/form-data; boundary=leaf",
            "--leaf\r\nContent-Disposition: form-data; name=\"ref\"\r\n\r\n{}\r\n--leaf--\r\n",
        ),
        "request.body",
        Some("ref"),
    ),
];

const ENCODED: &[(&str, Encoding, Place)] = &[
    ("percent query", Percent, ("", Get("/v1/items?ref={}&sort=asc"), "request.query", Some("ref"))),
    ("percent path", Percent, ("", Get("/v1/hooks/{}/run"), "request.path", None)),
    (
        "percent form",
        Percent,
        ("", Post("application/x-www-form-urlencoded", "a=1&ref={}&b=2"), "request.body", Some("ref")),
    ),
    ("percent cookie", Percent, ("", Header("Cookie: theme=dark; ref={}"), "request.cookie", Some("ref"))),
    ("base64 query", Base64, ("", Get("/v1/items?ref={}&sort=asc"), "request.query", Some("ref"))),
    ("base64 header", Base64, ("", Header("X-Ref: {}"), "request.header", Some("X-Ref"))),
    (
        "base64 json",
        Base64,
        ("", Post("application/json", "{\"data\":{\"ref\":\"{}\"}}"), "request.body", Some("data.ref")),
    ),
    ("base64 text", Base64, ("", Answer("text/plain", "It is {} now.\n"), "response.body", None)),
    (
        "escaped json",
        Escaped,
        ("", Post("application/json", "{\"data\":{\"ref\":\"{}\"}}"), "request.body", Some("data.ref")),
    ),
    (
        "escaped answer",
        Escaped,
        ("", Answer("application/json", "[{\"ref\":\"{}\"}]"), "response.body", Some("[0].ref")),
    ),
];

#[derive(Clone, Copy)]
enum Encoding {
    Percent,
    Base64,
    Escaped,
}

use Encoding::{Base64, Escaped, Percent};

impl Encoding {
    fn apply(self, value: &str) -> String {
        match self {
            // Every third character more than has to be: what clients encode differs.
            Percent => value.bytes().enumerate().fold(String::new(), |mut out, (at, byte)| {
                if !byte.is_ascii_alphanumeric() || at % 3 == 1 {
                    let _ = write!(out, "%{byte:02X}");
                } else {
                    out.push(char::from(byte));
                }
                out
            }),
            Base64 => STANDARD.encode(format!("ref={value}")),
            Escaped => value.chars().enumerate().fold(String::new(), |mut out, (at, letter)| {
                if !letter.is_ascii_alphanumeric() || at % 3 == 1 {
                    let _ = write!(out, "\\u{:04x}", u32::from(letter));
                } else {
                    out.push(letter);
                }
                out
            }),
        }
    }
}

/// The secrets of the shipped rules' examples, as far as a rule finds them without anything around.
fn tokens() -> Vec<Token> {
    let mut frames = Vec::new();
    let mut placed = Vec::new();
    for rule in RULES.rules() {
        for example in &rule.examples.leak {
            placed.push((rule.text.id.clone(), example));
        }
    }
    let text = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let get = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (number, (_, example)) in placed.iter().enumerate() {
        frames
            .extend(connection(number).to_server(get).to_client(text(example).as_bytes()).finish().frames());
    }
    let (events, ..) = scan_frames(&frames, &options(1));
    for leak in leaks(&events) {
        let Some((rule, _)) = placed.get(number_of(leak)) else { continue };
        let value = leak.secret.as_ref().and_then(|secret| secret.value.clone());
        if let (true, Some(value)) = (leak.rule == *rule, value) {
            found.entry(rule.clone()).or_insert(value);
        }
    }
    let candidates: Vec<(String, String)> = found
        .into_iter()
        .filter(|(_, value)| {
            !value.contains(|letter: char| letter.is_whitespace() || "\"<>&".contains(letter))
        })
        .collect();
    let mut frames = Vec::new();
    for (number, (_, value)) in candidates.iter().enumerate() {
        let body = text(&format!("see {value} there\n"));
        frames.extend(connection(number).to_server(get).to_client(body.as_bytes()).finish().frames());
    }
    let (events, ..) = scan_frames(&frames, &options(1));
    let mut bare: Vec<usize> = leaks(&events)
        .into_iter()
        .filter(|leak| candidates.get(number_of(leak)).is_some_and(|(rule, _)| *rule == leak.rule))
        .map(number_of)
        .collect();
    bare.sort_unstable();
    bare.dedup();
    bare.into_iter()
        .filter_map(|number| candidates.get(number))
        .map(|(rule, value)| Token { rule: rule.clone(), value: value.clone() })
        .collect()
}

/// A connection by its number, which its server's address tells.
fn connection(number: usize) -> Connection {
    let [_, _, high, low] = (number as u32).to_be_bytes();
    let client = SocketAddr::from(([198, 51, 100, 7], 51_000));
    Connection::new(client, SocketAddr::from(([203, 0, high, low], 80))).mss(16_000).handshake()
}

fn number_of(leak: &leaktap::model::event::Leak) -> usize {
    match leak.flow.server.ip() {
        std::net::IpAddr::V4(address) => {
            let [_, _, high, low] = address.octets();
            usize::from(high) << 8 | usize::from(low)
        }
        std::net::IpAddr::V6(_) => usize::MAX,
    }
}

fn exchange(connection: Connection, request: &Request, value: &str) -> Connection {
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned();
    let (request, answer) = match request {
        Get(target) => {
            (format!("GET {} HTTP/1.1\r\nHost: a.test\r\n\r\n", target.replace("{}", value)), plain)
        }
        Header(line) => {
            (format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n\r\n", line.replace("{}", value)), plain)
        }
        Post(kind, body) => {
            let body = body.replace("{}", value);
            let head = format!(
                "POST /in HTTP/1.1\r\nHost: a.test\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            (head + &body, plain)
        }
        Answer(kind, body) => {
            let body = body.replace("{}", value);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), answer)
        }
    };
    connection.to_server(request.as_bytes()).to_client(answer.as_bytes()).finish()
}

/// The share found, and what was not.
fn share(tokens: &[Token], places: &[(&str, Option<Encoding>, &Place)]) -> (f64, String) {
    let mut frames = Vec::new();
    let mut all = Vec::new();
    for token in tokens {
        for (title, encoding, place) in places {
            // What a target or a cookie cannot hold is encoded there.
            let special = |letter: char| !(letter.is_ascii_alphanumeric() || "-_.~".contains(letter));
            let is_target = matches!(place.1, Get(_)) || place.2 == "request.cookie" || *title == "form";
            let value = match encoding {
                Some(encoding) => encoding.apply(&token.value),
                None if is_target => token.value.chars().fold(String::new(), |mut out, letter| {
                    if special(letter) {
                        let _ = write!(out, "%{:02X}", u32::from(letter));
                    } else {
                        out.push(letter);
                    }
                    out
                }),
                None => token.value.clone(),
            };
            frames.extend(exchange(connection(all.len()), &place.1, &value).frames());
            all.push((token, *title, *place, false));
        }
    }
    let (events, ..) = scan_frames(&frames, &options(1));
    for leak in leaks(&events) {
        let Some((token, _, place, found)) = all.get_mut(number_of(leak)) else { continue };
        let value = leak.secret.as_ref().and_then(|secret| secret.value.as_deref());
        *found |= leak.rule == token.rule
            && leak.surface.as_str() == place.2
            && leak.name.as_deref() == place.3
            && value == Some(token.value.as_str());
    }
    let missed: Vec<_> = all.iter().filter(|(.., found)| !found).collect();
    let mut text = String::new();
    for (token, title, ..) in missed.iter().take(60) {
        let _ = writeln!(text, "  {title}: {} {}", token.rule, token.value);
    }
    (1.0 - missed.len() as f64 / all.len() as f64, text)
}

#[test]
fn tokens_are_found_on_every_surface() {
    let tokens = tokens();
    assert!(tokens.len() >= 80, "{} token types", tokens.len());
    let places: Vec<_> = PLACES.iter().map(|place| (place.0, None, place)).collect();
    let (share, missed) = share(&tokens, &places);
    assert!(
        share >= 0.99,
        "{:.2} % of {} tokens in {} places\n{missed}",
        share * 100.0,
        tokens.len(),
        places.len()
    );
}

#[test]
fn encoded_tokens_are_found() {
    let tokens = tokens();
    let places: Vec<_> =
        ENCODED.iter().map(|(title, encoding, place)| (*title, Some(*encoding), place)).collect();
    let (share, missed) = share(&tokens, &places);
    assert!(
        share >= 0.97,
        "{:.2} % of {} tokens in {} places\n{missed}",
        share * 100.0,
        tokens.len(),
        places.len()
    );
}
