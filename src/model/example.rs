//! A leak for the tests of those that show leaks.

use super::event::{Flow, Http, Leak, SecretText};
use super::{Confidence, Endpoint, Exposure, Severity, Surface, Timestamp, Transport};

/// A leaked Stripe key, as CONTRACT.md shows it.
pub(crate) fn leak() -> Leak {
    Leak {
        id: "9f0c5d3a7be14f6688aa0b1c2d3e4f50".into(),
        time: Timestamp::from_nanos(1_795_324_920_123_456_789),
        rule: "stripe-secret-key".into(),
        title: "Stripe secret key".into(),
        exposures: vec![Exposure::QueryString, Exposure::Cleartext],
        severity: Severity::Critical,
        confidence: Confidence::High,
        cwe: vec!["CWE-598".into(), "CWE-319".into()],
        owasp: vec!["API2:2023".into(), "API8:2023".into()],
        surface: Surface::RequestQuery,
        name: Some("api_key".into()),
        secret: Some(SecretText {
            redacted: "sk_l…9f2c".into(),
            length: 32,
            fingerprint: "6b1e90d2".repeat(8),
            value: None,
            encoding: None,
        }),
        flow: Flow {
            client: Endpoint::v4([10, 0, 0, 1], 51_000),
            server: Endpoint::v4([10, 0, 0, 2], 80),
            transport: Transport::Tcp,
            protocol: "http/1.1".into(),
            encrypted: false,
        },
        http: Some(Http {
            method: Some("GET".into()),
            host: Some("api.example.com".into()),
            target: Some("/v1/charges?api_key=sk_l…9f2c&limit=3".into()),
            status: Some(200),
            message: 3,
        }),
        process: None,
        source: "flask.pcap".into(),
        frames: [17, 21],
        last_source: None,
        evidence: "GET /v1/charges?api_key=sk_l…9f2c&limit=3 HTTP/1.1".into(),
        advice: Some("Send the key in a header over TLS; roll this one in the Stripe dashboard.".into()),
        related: vec!["41aa0000000000000000000000000001".into()],
        explain: None,
    }
}
