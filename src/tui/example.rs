//! Leaks by hand for the tests of the screen; every name, address and secret in them is made up.

use crate::model::event::{End, Explain, Http, Leak, Process, SecretText};
use crate::model::{Confidence, Endpoint, Exposure, Severity, Surface, Timestamp, example};

/// Leaks of one of each of these kinds in turn.
pub(super) const KINDS: usize = 5;

/// A leak by number: kinds, hosts and clients go round.
pub(super) fn leak(number: usize) -> Leak {
    let mut leak = Leak {
        id: format!("{:032x}", number + 1),
        time: Timestamp::from_nanos(1_795_324_920_123_456_789 + number as i64 * 1_000_000_000),
        related: Vec::new(),
        explain: Some(Explain {
            checks: vec!["entropy>=3.0".into(), "not-placeholder".into()],
            entropy: Some(4.12),
            reasons: vec!["raised: in a query of this name".into()],
        }),
        ..example::leak()
    };
    leak.flow.client = Endpoint::v4([10, 0, 0, 1], 51_000 + (number % 1000) as u16);
    vary(&mut leak, number);
    leak
}

fn vary(leak: &mut Leak, number: usize) {
    let secret = |redacted: &str, length, fingerprint: &str| {
        Some(SecretText {
            redacted: redacted.into(),
            length,
            fingerprint: fingerprint.repeat(64 / fingerprint.len()),
            value: None,
            encoding: None,
        })
    };
    let http = |method: &str, host: &str, target: &str, status| {
        Some(Http {
            method: Some(method.into()),
            host: Some(host.into()),
            target: Some(target.into()),
            status,
            message: 1,
        })
    };
    match number % KINDS {
        1 => {
            leak.rule = "http-basic-password".into();
            leak.title = "Password of HTTP Basic authentication".into();
            leak.severity = Severity::High;
            leak.exposures = vec![Exposure::Cleartext];
            leak.surface = Surface::RequestHeader;
            leak.name = Some("Authorization".into());
            leak.secret = secret("…", 14, "f00d");
            leak.http = http("POST", "shop.example", "/login", Some(302));
            leak.flow.client = Endpoint::v4([10, 0, 0, 7], 40_001);
            leak.evidence = "Authorization: Basic …".into();
            leak.process = Some(Process {
                pid: 4242,
                name: "python3".into(),
                end: Some(End::Client),
                user: Some("alice".into()),
                command: Some("python3 shop.py --login".into()),
                peer: Some(Box::new(Process { pid: 17, name: "nginx".into(), ..Process::default() })),
                ..Process::default()
            });
        }
        2 => {
            leak.rule = "flask-debug-page".into();
            leak.title = "Debug page of Werkzeug".into();
            leak.severity = Severity::Medium;
            leak.exposures = vec![Exposure::Response, Exposure::Traceback];
            leak.surface = Surface::ResponseBody;
            leak.name = None;
            leak.secret = None;
            leak.http = http("GET", "127.0.0.1:5000", "/boom", Some(500));
            leak.evidence = "KeyError: 'MONGO_URI' at app.py:12 in index".into();
            leak.advice = Some("Switch debug mode off where others can reach it.".into());
        }
        3 => {
            leak.rule = "session-cookie".into();
            leak.title = "Session cookie over clear transport".into();
            leak.severity = Severity::Low;
            leak.confidence = Confidence::Low;
            leak.exposures = vec![Exposure::Cleartext];
            leak.surface = Surface::RequestCookie;
            leak.name = Some("sessionid\u{1b}[31m".into());
            leak.secret = secret("a8f0…11c2", 40, "00c2");
            leak.http = http("GET", "shop.example", "/cart/17", None);
            leak.evidence = "Cookie: sessionid=a8f0…11c2".into();
            leak.advice = None;
        }
        4 => {
            leak.exposures = vec![Exposure::Cleartext, Exposure::Response];
            leak.severity = Severity::High;
            leak.surface = Surface::ResponseBody;
            leak.name = Some("data.keys[0].secret".into());
            leak.evidence = r#"{"data":{"keys":[{"secret":"sk_l…9f2c"}]}}"#.into();
        }
        _ => {}
    }
}
