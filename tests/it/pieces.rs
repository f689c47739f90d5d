//! Long bodies are looked at piece by piece: what lies at, across or far behind the seams is found all the same, under the
//! same name as in a short body.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use leaktap::source::memory::connection::Connection;

use crate::support::{leaks, options, scan_frames};

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";
/// Where pieces end, and how far from it the secrets are put.
const SEAM: usize = 12 << 10;
const AROUND: usize = 2 << 10;

/// Names and values of what leaks in the body of an answer.
fn told(kind: &str, body: &str) -> Vec<(String, String)> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = [head.as_bytes(), body.as_bytes()].concat();
    let ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let frames =
        Connection::example(80).mss(1448).handshake().to_server(ask).to_client(&answer).finish().frames();
    let (events, said, _) = scan_frames(&frames, &options(1));
    assert!(said.problems.is_empty(), "{:?}", said.problems);
    let leak = |leak: &&leaktap::model::event::Leak| {
        let value = leak.secret.as_ref().map(|secret| secret.redacted.clone()).unwrap_or_default();
        (leak.name.clone().unwrap_or_default(), format!("{} {value}", leak.rule))
    };
    leaks(&events).iter().map(leak).collect()
}

/// A body of each format with `before` bytes of filling in front of the secret and more behind it, and what its leak is called.
type Format = (&'static str, fn(usize) -> String, &'static str, &'static str);

fn prose(length: usize) -> String {
    "nothing of note stands here, only words and (1, 2, 3) numbers; ".chars().cycle().take(length).collect()
}

const FORMATS: [Format; 6] = [
    (
        "application/json",
        |before| {
            format!(
                r#"{{"list":[{{"a":"{}"}},{{"keys":{{"stripe":"{KEY}"}}}}],"end":"{}"}}"#,
                prose(before),
                prose(3 * SEAM)
            )
        },
        "list[1].keys.stripe",
        "stripe-secret-key",
    ),
    (
        "text/html",
        |before| {
            format!(
                "<html><body><p>{}</p><div data-k=\"{KEY}\"></div><p>{}</p></body></html>",
                prose(before),
                prose(3 * SEAM)
            )
        },
        "div.@data-k",
        "stripe-secret-key",
    ),
    (
        "application/javascript",
        |before| {
            format!(
                "/* {} */ var api_password = \"Riedgras-417-Weiher\"; /* {} */",
                prose(before),
                prose(3 * SEAM)
            )
        },
        "",
        "generic-password-in-text",
    ),
    (
        "text/plain",
        |before| {
            let digits = "q8Zw2nVd4Lk9Xb3TyR7cHf5J".repeat(60);
            let lines: Vec<&str> =
                digits.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!(
                "{}\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n{}\n-----END RSA PRIVATE KEY-----\n{}",
                prose(before),
                lines.join("\n"),
                prose(3 * SEAM)
            )
        },
        "",
        "private-key",
    ),
    (
        "text/plain",
        |before| {
            format!(
                "{}\nTraceback (most recent call last):\n  File \"/srv/app.py\", line 12, in index\n    return db.find(name)\n           \
                 ^^^^^^^^^^^^^\nKeyError: 'name'\n\n{}",
                prose(before),
                prose(3 * SEAM)
            )
        },
        "",
        "python-traceback",
    ),
    (
        // Seen only where the run is whole: its first half decodes to prose.
        "application/javascript",
        |before| {
            let blob = STANDARD.encode(format!("{} {KEY}", prose(3000)));
            format!("/* {} */ load(\"{blob}\"); /* {} */", prose(before), prose(3 * SEAM))
        },
        "",
        "stripe-secret-key",
    ),
];

#[test]
fn what_lies_at_a_seam_is_found() {
    for (kind, body, name, rule) in FORMATS {
        let expected = told(kind, &body(10));
        assert_eq!(expected.len(), 1, "{kind}: {expected:?}");
        assert_eq!(expected[0].0, name, "{kind}");
        assert!(expected[0].1.starts_with(rule), "{kind}: {expected:?}");
        for before in (SEAM - AROUND..SEAM + AROUND / 2).step_by(127).chain([3 * SEAM, 100_000]) {
            assert_eq!(told(kind, &body(before)), expected, "{kind}, {before} bytes before it");
        }
    }
}
