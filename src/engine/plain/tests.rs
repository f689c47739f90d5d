//! Made-up clear text through the engine: what leaks in spite of TLS, and what does not.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::{Engine, Intake, LIMITS, Report, Settings};
use crate::model::finding::Finding;
use crate::model::secret::FingerprintKey;
use crate::model::{Clear, Endpoint, Exposure, Plain, Timestamp};
use crate::rule::RuleSet;
use crate::source::{Next, Source, SourceError};

/// Made up.
const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";
const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [192, 0, 2, 80];

/// Pieces as a library for TLS would have them, told by the client's process.
#[derive(Default)]
struct Taps {
    pieces: VecDeque<(bool, What)>,
    number: u64,
    given: (bool, What),
    /// From this piece on the addresses are known.
    known: u64,
}

#[derive(Clone, Default)]
enum What {
    Data(Vec<u8>),
    Missing(u64),
    #[default]
    End,
}

impl Taps {
    fn of(pieces: &[(bool, &str)]) -> Self {
        let pieces = pieces.iter().map(|(sent, text)| {
            let text = text.replace("KEY", KEY);
            (*sent, What::Data(text.into_bytes()))
        });
        Self { pieces: pieces.collect(), ..Self::default() }
    }
}

impl Source for Taps {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        let Some(next) = self.pieces.pop_front() else { return Ok(Next::End) };
        self.given = next;
        self.number += 1;
        let is_known = self.number >= self.known;
        Ok(Next::Plain(Plain {
            number: self.number,
            time: Timestamp::from_nanos(1_700_000_000_000_000_000 + self.number as i64 * 1_000_000),
            connection: 7,
            local: if is_known { Endpoint::v4(CLIENT, 51_000) } else { Endpoint::of_process(4242) },
            remote: if is_known { Endpoint::v4(SERVER, 443) } else { Endpoint::of_process(0) },
            pid: 4242,
            uid: 1000,
            name: "made-up",
            sent: self.given.0,
            what: match &self.given.1 {
                What::Data(bytes) => Clear::Data(bytes),
                What::Missing(bytes) => Clear::Missing(*bytes),
                What::End => Clear::End,
            },
        }))
    }

    fn position(&self) -> u64 {
        self.number
    }
}

fn engine() -> Engine {
    Engine::new(&Settings {
        rules: Arc::new(RuleSet::load(true, &[]).unwrap()),
        key: FingerprintKey::new(b"the key of the tests"),
        limits: LIMITS,
        explain: false,
        watched: false,
    })
}

/// What is told of it, and of what was lost.
fn told(mut taps: Taps) -> (Vec<Finding>, Vec<(&'static str, u64)>) {
    let mut engine = engine();
    let mut intake = Intake::default();
    while let Ok(Next::Plain(plain)) = taps.next() {
        engine.plain(intake.plain(&plain), &plain);
    }
    engine.finish(taps.number, Timestamp::default());
    assert_eq!((engine.open(), engine.held()), (0, 0), "nothing is kept");
    let (mut findings, mut lost) = (Vec::new(), Vec::new());
    for released in engine.released() {
        match released.report {
            Report::Finding(finding) => findings.push(*finding),
            Report::Lost(loss) => lost.push((loss.reason, loss.bytes)),
            Report::Suppressed(_) => {}
        }
    }
    (findings, lost)
}

const SENT: bool = true;
const RECEIVED: bool = false;
const OK: (bool, &str) = (RECEIVED, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

#[test]
fn only_what_leaks_in_spite_of_tls_is_told() {
    use Exposure::{Misconfiguration, Pii, QueryString, Reflected, Response, Traceback, Url};
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.replace("KEY", KEY).len()
        )
    };
    let handed_out = answer(r#"{"stripe":"KEY"}"#);
    let page = "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 7, in <module>\n    pay(1)\n  File \"/srv/app/pay.py\", line 3, in pay\n    raise ValueError(\"no\")\nValueError: no\n";
    let failed = format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let person = answer(r#"{"cardNumber":"4539 1488 0343 6467","holder":"Ada Example"}"#);
    for (why, pieces, exposures) in [
        (
            "a query",
            vec![(SENT, "GET /a?api_key=KEY HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), OK],
            vec![vec![QueryString]],
        ),
        ("a path", vec![(SENT, "GET /a/KEY/b HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), OK], vec![vec![Url]]),
        (
            "a Referer",
            vec![
                (SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\nReferer: https://a.example/?k=KEY\r\n\r\n"),
                OK,
            ],
            vec![vec![Url]],
        ),
        (
            "a header is where a key belongs",
            vec![(SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\nAuthorization: Bearer KEY\r\n\r\n"), OK],
            vec![],
        ),
        (
            "and so is a body",
            vec![
                (
                    SENT,
                    "POST / HTTP/1.1\r\nHost: 192.0.2.80\r\nContent-Type: application/json\r\nContent-Length: 46\r\n\r\n{\"api_key\":\"KEY\"}",
                ),
                OK,
            ],
            vec![],
        ),
        (
            "an answer",
            vec![(SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), (RECEIVED, &handed_out)],
            vec![vec![Response]],
        ),
        (
            "a key that comes back, though its header is not told",
            vec![
                (SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\nX-Api-Key: KEY\r\n\r\n"),
                (RECEIVED, &handed_out),
            ],
            vec![vec![Response, Reflected]],
        ),
        (
            "a session that begins",
            vec![
                (SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"),
                (
                    RECEIVED,
                    "HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=oaikych2b1wl0nawcsg137t0a4khh06p; Secure; HttpOnly\r\nContent-Length: 0\r\n\r\n",
                ),
            ],
            vec![],
        ),
        (
            "a traceback",
            vec![(SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), (RECEIVED, &failed)],
            vec![vec![Response, Traceback]],
        ),
        (
            "personal data in an answer",
            vec![(SENT, "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), (RECEIVED, &person)],
            vec![],
        ),
        (
            "and in a query",
            vec![(SENT, "GET /pay?ccnum=4539148803436467 HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"), OK],
            vec![vec![QueryString, Pii]],
        ),
        (
            "a name without HSTS",
            vec![(SENT, "GET / HTTP/1.1\r\nHost: shop.blue.example\r\n\r\n"), OK],
            vec![vec![Misconfiguration]],
        ),
        (
            "a name with it",
            vec![
                (SENT, "GET / HTTP/1.1\r\nHost: shop.blue.example\r\n\r\n"),
                (
                    RECEIVED,
                    "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=63072000\r\nContent-Length: 0\r\n\r\n",
                ),
            ],
            vec![],
        ),
    ] {
        let (findings, lost) = told(Taps::of(&pieces));
        let told: Vec<_> = findings.iter().map(|finding| finding.exposures.clone()).collect();
        assert_eq!(told, exposures, "{why}: {findings:#?}");
        assert!(lost.is_empty(), "{why}");
        for finding in findings {
            assert!(finding.flow.encrypted && !finding.exposures.contains(&Exposure::Cleartext), "{why}");
            assert_eq!(finding.flow.client, Endpoint::v4(CLIENT, 51_000), "{why}");
            assert_eq!(finding.flow.server, Endpoint::v4(SERVER, 443), "{why}");
        }
    }
}

#[test]
fn addresses_that_become_known_later_turn_nothing_round() {
    let (first, rest) = ("GET /?api_key=", "KEY HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n");
    for known in [1, 2, 3, 4] {
        let taps = Taps { known, ..Taps::of(&[(SENT, first), (SENT, rest), OK]) };
        let (findings, _) = told(taps);
        let [finding] = findings.as_slice() else { panic!("{known}: {findings:#?}") };
        assert_eq!(finding.http.as_ref().unwrap().status, Some(200), "{known}");
        let client = match known {
            1 | 2 => Endpoint::v4(CLIENT, 51_000),
            _ => Endpoint::of_process(4242),
        };
        assert_eq!(finding.flow.client, client, "{known}");
    }
}

#[test]
fn what_nobody_saw_is_told_and_what_follows_is_read() {
    let mut taps = Taps::of(&[
        (SENT, "POST / HTTP/1.1\r\nHost: 192.0.2.80\r\nContent-Length: 100000\r\n\r\nabc"),
        (SENT, "GET /?api_key=KEY HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n"),
        OK,
        OK,
    ]);
    taps.pieces.insert(1, (SENT, What::Missing(99_997)));
    let (findings, lost) = told(taps);
    assert_eq!(lost, [("gap", 99_997)]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].frames, [3, 3]);
}

#[test]
fn a_connection_that_ends_is_forgotten_and_what_waits_is_told() {
    let mut taps = Taps::of(&[(SENT, "GET /?api_key=KEY HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n")]);
    taps.pieces.push_back((SENT, What::End));
    let mut engine = engine();
    let mut intake = Intake::default();
    while let Ok(Next::Plain(plain)) = taps.next() {
        engine.plain(intake.plain(&plain), &plain);
    }
    assert_eq!(engine.open(), 0);
    assert_eq!(engine.released().count(), 1, "no answer will come");
    assert_eq!(engine.stats().flows, 1);
    assert_eq!(intake.stats().frames, 2);
}
