//! Events by the Elastic Common Schema: one JSON object a line, the leak as leaktap tells it beside the common fields.

use std::io;

use serde_json::{Value, json};

use super::record::Record;
use super::say;
use super::{Output, Sink};
use crate::model::event::{Event, Flow, Leak, Lost};
use crate::model::{Direction, Endpoint, Severity, Timestamp};

/// The version of the schema whose fields are used.
const VERSION: &str = "8.17.0";

/// Writes each event as it comes.
pub struct Ecs {
    out: Output,
    /// When the last event was, for those that have no time of their own.
    last: Timestamp,
}

impl Ecs {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, last: Timestamp::default() }
    }
}

impl Sink for Ecs {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut object = match event {
            Event::Leak(leak) => leak_of(leak),
            Event::Again(again) => {
                let event = json!({
                    "kind": "event", "category": ["network"], "type": ["info"], "module": "leaktap", "dataset": "leaktap.again", "id": again.id,
                });
                bare(&format!("seen again: {}", again.id), event, json!(again))
            }
            Event::Lost(lost) => lost_of(lost),
            Event::Summary(summary) => {
                let event = json!({
                    "kind": "metric", "category": ["network"], "type": ["info"], "module": "leaktap", "dataset": "leaktap.summary",
                });
                bare("summary", event, json!(summary))
            }
        };
        self.last = match event {
            Event::Leak(leak) => leak.time,
            Event::Again(again) => self.last.max(again.last),
            Event::Lost(_) | Event::Summary(_) => self.last,
        };
        object.set("@timestamp", json!(self.last));
        object.set("ecs", json!({"version": VERSION}));
        object.set("observer", json!({"vendor": "leaktap", "product": "leaktap", "type": "sensor", "version": env!("CARGO_PKG_VERSION")}));
        object.write(&mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn leak_of(leak: &Leak) -> Record {
    let mut object = flow_of(&leak.flow, say::direction(leak));
    object.set("message", json!(say::sentence(leak)));
    object.set(
        "event",
        json!({
            "kind": "alert",
            "category": ["network"],
            "type": ["info"],
            "module": "leaktap",
                "dataset": "leaktap.leak",
            "id": leak.id,
            "action": leak.exposures.first().map(|exposure| exposure.as_str()),
            "severity": number(leak.severity),
            "risk_score": number(leak.severity),
        }),
    );
    object.set("rule", json!({"id": leak.rule, "name": leak.title, "category": leak.exposures}));
    object.set(
        "tags",
        json!(
            leak.cwe
                .iter()
                .map(String::as_str)
                .chain(leak.owasp.iter().map(AsRef::as_ref))
                .collect::<Vec<_>>()
        ),
    );
    object.set("log", json!({"file": {"path": leak.source}}));
    if let Some(http) = &leak.http {
        let (path, query) =
            match http.target.as_deref().map(|target| target.split_once('?').unwrap_or((target, ""))) {
                Some((path, query)) => (Some(path), Some(query).filter(|query| !query.is_empty())),
                None => (None, None),
            };
        object
            .set("url", json!({"domain": http.host, "original": http.target, "path": path, "query": query}));
        object.set(
            "http",
            json!({
                "request": {"method": http.method},
                "response": {"status_code": http.status},
                "version": leak.flow.protocol.split_once('/').map(|(_, version)| version),
            }),
        );
    }
    if let Some(process) = &leak.process {
        object.set("process", json!({"pid": process.pid, "name": process.name}));
        if let Some(container) = &process.container {
            object.set("container", json!({"name": container}));
        }
    }
    object.set("leaktap", json!(leak));
    object
}

fn lost_of(lost: &Lost) -> Record {
    let mut object = match &lost.flow {
        Some(flow) => flow_of(flow, lost.direction.unwrap_or(Direction::ToServer)),
        None => Record::default(),
    };
    object.set("message", json!(format!("not seen: {}", lost.reason)));
    object.set("event", json!({
        "kind": "event", "category": ["network"], "type": ["info"], "module": "leaktap", "dataset": "leaktap.lost", "reason": lost.reason,
    }));
    object.set("log", json!({"file": {"path": lost.source}}));
    object.set("leaktap", json!(lost));
    object
}

/// The ends: source and destination as the bytes went, client and server as the exchange.
fn flow_of(flow: &Flow, direction: Direction) -> Record {
    let end = |end: &Endpoint| json!({"address": end.ip(), "ip": end.ip(), "port": end.port});
    let (client, server) = (end(&flow.client), end(&flow.server));
    let (source, destination) = match direction {
        Direction::ToServer => (&client, &server),
        Direction::ToClient => (&server, &client),
    };
    let mut object = Record::default();
    object.set("source", source.clone());
    object.set("destination", destination.clone());
    object.set(
        "network",
        json!({
            "transport": flow.transport,
            "type": if flow.client.ip().is_ipv4() { "ipv4" } else { "ipv6" },
            "protocol": flow.protocol.split('/').next(),
        }),
    );
    object.set("client", client);
    object.set("server", server);
    object
}

/// What belongs to no flow.
fn bare(message: &str, event: Value, own: Value) -> Record {
    let mut object = Record::default();
    object.set("message", json!(message));
    object.set("event", event);
    object.set("leaktap", own);
    object
}

/// On the scale of 0 to 100 that Elastic's rules use.
fn number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 10,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}
