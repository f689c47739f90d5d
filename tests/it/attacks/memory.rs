//! Captures made to take memory, scanned in an address space that is too small for what they ask for.
//!
//! The suite sends a thirtieth of them, which fits; `make soak` all.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::process::Command;

use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::write::capture;

use crate::cases::encoded;

/// What a scan of a small capture needs, all limits full, and room for one more of the largest messages.
const MEBIBYTES: usize = 900;

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";

/// So many in `make soak`, else a thirtieth.
fn many(count: usize) -> usize {
    if std::env::var("LEAKTAP_SOAK").is_ok() { count } else { count / 30 }
}

/// Scans the frames of so many connections, each made by `connection` of its number and left open, in an address space of
/// [`MEBIBYTES`]. Gives the lines that were told.
fn scan(count: usize, connection: impl Fn(Connection, usize) -> Connection) -> String {
    let mut file = tempfile::Builder::new().suffix(".pcap").tempfile().unwrap();
    let mut out = BufWriter::new(File::create(file.path()).unwrap());
    for number in 0..count {
        let client = SocketAddr::from(([10, 1, (number >> 14) as u8, 1], 1024 + (number & 0x3fff) as u16));
        let begun = Connection::new(client, SocketAddr::from(([192, 0, 2, 80], 80))).mss(60_000).handshake();
        let frames: Vec<Kept> = connection(begun, number).frames();
        let bytes = capture(&frames);
        // The header of a file once.
        out.write_all(bytes.get(if number == 0 { 0 } else { 24 }..).unwrap()).unwrap();
    }
    out.flush().unwrap();
    drop(out);
    file.flush().unwrap();
    let limited = format!("ulimit -v {} && exec \"$@\"", MEBIBYTES << 10);
    let told = Command::new("sh")
        .args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_leaktap")])
        .args(["scan", "--jobs", "1", "--format", "ndjson", "--progress", "never"])
        .arg(file.path())
        .env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(0), "{errors}");
    String::from_utf8(told.stdout).unwrap()
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn bodies_that_unpack_and_never_end() {
    // Below the ratio that makes a bomb, each: 3.9 MB of 4 kB.
    for (coding, count) in [("gzip", many(600)), ("br", many(600)), ("zstd", many(600))] {
        let mut body = encoded(coding, &vec![b' '; 3_900_000]);
        body.truncate(body.len() - 1);
        // Brotli and zstd make less of it: padding keeps below the ratio.
        let padding = if coding == "gzip" { 0 } else { 5_000 };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len() + padding + 10
        );
        let told = scan(count, |connection, number| {
            let last = format!("GET /?k={KEY}{number:06} HTTP/1.1\r\n\r\n");
            let answer = [head.as_bytes(), &body].concat();
            let asked = if number + 1 == count { last.as_bytes() } else { ASK };
            connection.to_server(asked).to_client(&answer)
        });
        assert_eq!(told.matches("\"type\":\"leak\"").count(), 1, "{coding}");
    }
}

#[test]
fn heads_that_never_end() {
    let part = vec![b'a'; 200_000];
    let told =
        scan(many(5_000), |connection, _| connection.to_server(b"GET / HTTP/1.1\r\nA: ").to_server(&part));
    assert_eq!(told.contains("\"reason\":\"memory-limit\""), many(30) == 30);
}

#[test]
fn requests_that_nobody_answers() {
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x/".repeat(3_500)).repeat(200);
    scan(many(600), |connection, _| connection.to_server(target.as_bytes()));
}

#[test]
fn bodies_that_never_end() {
    let body = vec![b' '; 300_000];
    let told = scan(many(4_000), |connection, number| {
        let end = format!("{{\"api_key\":\"{KEY}{number:06}\"}}");
        let head = b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
        connection.to_server(head).to_server(&body).to_server(end.as_bytes())
    });
    assert_eq!(told.matches("\"type\":\"leak\"").count(), many(4_000));
}
