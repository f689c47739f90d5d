//! Events in the shape of Suricata's EVE records: leaks as alerts, what was not seen as anomalies, the summary as stats.

use std::io;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::record::Record;
use super::say;
use super::{Output, Sink};
use crate::model::event::{Event, Flow, Leak, Lost};
use crate::model::{Direction, Severity, Timestamp};

/// Who made the alert: no generator of Suricata's.
const GENERATOR: u32 = 27_764;

/// Writes each event as it comes. Further sightings are no records of their own: the stats count them.
pub struct Eve {
    out: Output,
    last: Timestamp,
}

impl Eve {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, last: Timestamp::default() }
    }
}

impl Sink for Eve {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let record = match event {
            Event::Leak(leak) => {
                self.last = leak.time;
                alert(leak)
            }
            Event::Again(again) => {
                self.last = self.last.max(again.last);
                return Ok(());
            }
            Event::Lost(lost) => anomaly(lost, self.last),
            Event::Summary(summary) => {
                let mut record = Record::default();
                record.set("timestamp", json!(stamp(self.last)));
                record.set("event_type", json!("stats"));
                record.set("stats", json!({"leaktap": summary}));
                record
            }
        };
        record.write(&mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn alert(leak: &Leak) -> Record {
    let mut record =
        record("alert", leak.time, Some((&leak.flow, say::direction(leak))), &leak.source, leak.frames[0]);
    if let Some(http) = &leak.http {
        record.set("tx_id", json!(http.message.saturating_sub(1)));
        record.set(
            "http",
            json!({
                "hostname": http.host,
                "url": http.target,
                "http_method": http.method,
                "protocol": leak.flow.protocol.to_uppercase(),
                "status": http.status,
            }),
        );
    }
    record.set(
        "alert",
        json!({
            "action": "allowed",
            "gid": GENERATOR,
            "signature_id": signature(&leak.rule),
            "rev": 1,
            "signature": leak.title,
            "category": "Sensitive Data Exposure",
            "severity": priority(leak.severity),
            "metadata": {
                "rule": [leak.rule],
                "confidence": [leak.confidence],
                "signature_severity": [leak.severity],
                "exposure": leak.exposures,
                "cwe": leak.cwe,
            },
        }),
    );
    record.set("leaktap", json!(leak));
    record
}

fn anomaly(lost: &Lost, last: Timestamp) -> Record {
    let flow = lost.flow.as_ref().map(|flow| (flow, lost.direction.unwrap_or(Direction::ToServer)));
    let mut record = record("anomaly", last, flow, &lost.source, lost.frames[0]);
    record.set("anomaly", json!({"type": "stream", "event": lost.reason}));
    record.set("leaktap", json!(lost));
    record
}

/// What all records begin with; the ends as the bytes went.
fn record(kind: &str, time: Timestamp, flow: Option<(&Flow, Direction)>, source: &str, frame: u64) -> Record {
    let mut record = Record::default();
    record.set("timestamp", json!(stamp(time)));
    record.set("event_type", json!(kind));
    record.set("pcap_cnt", json!(frame));
    record.set("pcap_filename", json!(source));
    if let Some((flow, direction)) = flow {
        let (from, to) = match direction {
            Direction::ToServer => (flow.client, flow.server),
            Direction::ToClient => (flow.server, flow.client),
        };
        record.set(
            "flow_id",
            json!(
                hash(&format!("{source} {} {} {}", flow.client, flow.server, flow.transport.as_str())) >> 11
            ),
        );
        record.set("src_ip", json!(from.ip()));
        record.set("src_port", json!(from.port));
        record.set("dest_ip", json!(to.ip()));
        record.set("dest_port", json!(to.port));
        record.set("proto", json!(flow.transport.as_str().to_uppercase()));
        record.set("app_proto", json!(app_proto(&flow.protocol)));
        record.set(
            "direction",
            json!(match direction {
                Direction::ToServer => "to_server",
                Direction::ToClient => "to_client",
            }),
        );
    }
    record
}

/// `2026-11-22T05:22:00.123456+0000`
fn stamp(time: Timestamp) -> String {
    let text = time.to_string();
    let micros = text.strip_suffix("Z").and_then(|text| text.get(..text.len().checked_sub(3)?));
    micros.map_or_else(|| text.clone(), |micros| format!("{micros}+0000"))
}

fn app_proto(protocol: &str) -> &str {
    match protocol {
        "http/2" | "h2" => "http2",
        "unknown" => "failed",
        other => other.split('/').next().unwrap_or(other),
    }
}

/// A number for each rule, the same on every machine.
fn signature(rule: &str) -> u32 {
    (hash(rule) >> 33) as u32
}

/// At most 53 bits of it are exact in every reader of JSON.
fn hash(text: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

/// 1 is the worst.
fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Critical | Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}
