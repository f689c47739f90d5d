//! Events by hand for the tests of faces; every name, address and secret in them is made up.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::model::event::{Again, End, Event, Flow, Http, Leak, Lost, Process, SecretText, Summary};
pub(crate) use crate::model::example::leak;
use crate::model::{Confidence, Direction, Endpoint, Exposure, Severity, Surface, Timestamp, Transport};

/// A writer whose bytes can be read afterwards.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// What was written.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn flow(client: u16) -> Flow {
    Flow {
        client: Endpoint::v4([10, 0, 0, 1], client),
        server: Endpoint::v4([10, 0, 0, 2], 80),
        transport: Transport::Tcp,
        protocol: "http/1.1".into(),
        encrypted: false,
    }
}

/// A server in a container that answers a client on the same machine.
fn process() -> Process {
    Process {
        pid: 4242,
        name: "python3".into(),
        container: Some("4f1cf5d4a2b7e0c9".repeat(4)),
        end: Some(End::Server),
        command: Some("python3 -m flask run".into()),
        user: Some("www-data".into()),
        uid: Some(33),
        runtime: Some("docker".into()),
        cgroup: Some(format!("/docker/{}", "4f1cf5d4a2b7e0c9".repeat(4))),
        peer: Some(Box::new(Process {
            pid: 4711,
            name: "curl".into(),
            end: Some(End::Client),
            command: Some("curl -u ann:… http://10.0.0.2/".into()),
            user: Some("ann".into()),
            uid: Some(1000),
            ..Process::default()
        })),
        ..Process::default()
    }
}

/// One of each kind, and what a table has to cope with.
pub(crate) fn events() -> Vec<Event> {
    let first = leak();
    let elsewhere = Leak {
        id: "41aa0000000000000000000000000001".into(),
        exposures: vec![Exposure::Cleartext, Exposure::Response],
        surface: Surface::ResponseBody,
        name: Some("data.keys[0].secret".into()),
        severity: Severity::High,
        evidence: r#"{"data":{"keys":[{"secret":"sk_l…9f2c"}]}}"#.into(),
        frames: [40, 40],
        process: Some(process()),
        ..leak()
    };
    let cookie = Leak {
        id: "c0".repeat(16),
        rule: "session-cookie".into(),
        title: "Session cookie over clear transport".into(),
        exposures: vec![Exposure::Cleartext],
        severity: Severity::Low,
        confidence: Confidence::Medium,
        surface: Surface::RequestCookie,
        name: Some("sessionid\u{1b}[31m".into()),
        secret: Some(SecretText {
            redacted: "a8f0…11c2".into(),
            length: 40,
            fingerprint: "00c2".repeat(16),
            value: None,
            encoding: None,
        }),
        http: Some(Http {
            method: Some("POST".into()),
            host: Some("shop.example".into()),
            target: Some("/cart".into()),
            status: None,
            message: 1,
        }),
        advice: None,
        related: Vec::new(),
        ..leak()
    };
    let traceback = Leak {
        id: "7b".repeat(16),
        rule: "flask-traceback".into(),
        title: "Werkzeug debug page".into(),
        exposures: vec![Exposure::Traceback],
        severity: Severity::Medium,
        confidence: Confidence::High,
        surface: Surface::ResponseBody,
        name: None,
        secret: None,
        http: Some(Http {
            method: Some("GET".into()),
            host: Some("10.0.0.2".into()),
            target: Some("/".into()),
            status: Some(500),
            message: 1,
        }),
        frames: [88, 131],
        evidence: "KeyError: 'MONGO_URI' at app.py:12 in index (Flask, debug)".into(),
        advice: Some("Turn debug mode off where others can reach it.".into()),
        related: Vec::new(),
        ..leak()
    };
    let login = Leak {
        id: "10".repeat(16),
        rule: "mongodb-login".into(),
        title: "Database password in a connection string".into(),
        exposures: vec![Exposure::Cleartext],
        severity: Severity::High,
        surface: Surface::Login,
        name: None,
        secret: Some(SecretText {
            redacted: "…".into(),
            length: 14,
            fingerprint: "f00d".repeat(16),
            value: None,
            encoding: None,
        }),
        flow: Flow { protocol: "mongodb".into(), ..flow(52_000) },
        http: None,
        frames: [7, 7],
        evidence: "mongodb://app:…@db.example:27017/shop".into(),
        advice: None,
        related: Vec::new(),
        ..leak()
    };
    let boxed = |leak| Event::Leak(Box::new(leak));
    vec![
        boxed(first),
        boxed(cookie),
        boxed(elsewhere),
        boxed(traceback),
        boxed(login),
        Event::Lost(Lost {
            reason: "conflicting-retransmission".into(),
            flow: Some(flow(51_000)),
            direction: Some(Direction::ToServer),
            count: 2,
            bytes: 1448,
            frames: [30, 31],
            source: "flask.pcap".into(),
            last_source: None,
        }),
        Event::Again(Again {
            id: leak().id,
            times: 4,
            last: Timestamp::from_nanos(1_795_324_960_000_000_000),
        }),
        Event::Summary(Box::new(summary())),
    ]
}

fn summary() -> Summary {
    let named = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        pairs.iter().map(|&(name, amount)| (name.to_owned(), amount)).collect()
    };
    Summary {
        sources: 2,
        frames: 12_345,
        bytes: 9_876_543,
        flows: 132,
        protocols: named(&[("http/1.1", 120), ("tls", 10), ("unknown", 2)]),
        messages: named(&[("http/1.1", 310)]),
        not_inspected: named(&[("encrypted", 10), ("unknown-protocol", 2)]),
        gaps: 3,
        gap_bytes: 4344,
        drops: 0,
        malformed: 1,
        leaks: [(Severity::Low, 1), (Severity::Medium, 1), (Severity::High, 2), (Severity::Critical, 1)]
            .into(),
        again: 4,
        held_back: named(&[("below-severity", 6)]),
        seconds: 41.25,
    }
}
