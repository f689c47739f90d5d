//! Leaks in ArcSight's Common Event Format, version 0: one line each, for SIEMs.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::say;
use super::text::clean;
use super::{Output, Sink};
use crate::model::event::{Event, Leak, Lost, Summary};
use crate::model::{Direction, Severity};

/// Writes leaks, what was not seen and the summary as they come; the summary counts further sightings.
pub struct Cef {
    out: Output,
}

impl Cef {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out }
    }
}

impl Sink for Cef {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut line = match event {
            Event::Leak(leak) => leak_line(leak),
            Event::Lost(lost) => lost_line(lost),
            Event::Summary(summary) => summary_line(summary),
            Event::Again(_) => return Ok(()),
        };
        // A file is put aside between two writes.
        line.0.push('\n');
        self.out.write_all(line.0.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn leak_line(leak: &Leak) -> Line {
    let mut line = Line::new(&leak.rule, &leak.title, number(leak.severity));
    line.add("rt", &(leak.time.as_nanos() / 1_000_000).to_string());
    let (from, to) = match say::direction(leak) {
        Direction::ToServer => (leak.flow.client, leak.flow.server),
        Direction::ToClient => (leak.flow.server, leak.flow.client),
    };
    line.ends(from, to);
    line.add("proto", &leak.flow.transport.as_str().to_uppercase());
    line.add("app", &leak.flow.protocol);
    line.add("cat", &leak.exposures.iter().map(|exposure| exposure.as_str()).collect::<Vec<_>>().join(" "));
    line.add("externalId", &leak.id);
    line.add("msg", &say::sentence(leak));
    if let Some(http) = &leak.http {
        line.maybe("requestMethod", http.method.as_deref());
        line.maybe("request", http.target.as_deref());
        line.maybe("dhost", http.host.as_deref());
        line.maybe("outcome", http.status.map(|status| status.to_string()).as_deref());
    }
    if let Some(process) = &leak.process {
        line.add("sproc", &process.name);
        line.add("spid", &process.pid.to_string());
    }
    line.add("fname", &leak.source);
    line.custom("cn1", "frame", &leak.frames[0].to_string());
    line.custom("cs1", "secret", leak.secret.as_ref().map_or("", say::secret));
    line.custom("cs2", "fingerprint", leak.secret.as_ref().map_or("", |secret| &secret.fingerprint));
    line.custom("cs3", "surface", &say::place(leak));
    line.custom("cs4", "confidence", leak.confidence.as_str());
    line.custom("cs5", "evidence", &leak.evidence);
    line.custom("cs6", "weaknesses", &leak.cwe.join(" "));
    line
}

fn lost_line(lost: &Lost) -> Line {
    let mut line = Line::new(&format!("lost:{}", lost.reason), "Not seen", 1);
    if let Some(flow) = &lost.flow {
        let (from, to) = match lost.direction {
            Some(Direction::ToClient) => (flow.server, flow.client),
            _ => (flow.client, flow.server),
        };
        line.ends(from, to);
        line.add("app", &flow.protocol);
    }
    line.add("reason", &lost.reason);
    line.add("cnt", &lost.count.to_string());
    line.add("fname", &lost.source);
    line.custom("cn1", "frame", &lost.frames[0].to_string());
    line.custom("cn2", "bytes", &lost.bytes.to_string());
    line
}

fn summary_line(summary: &Summary) -> Line {
    let mut line = Line::new("summary", "What was read", 0);
    line.custom("cn1", "frames", &summary.frames.to_string());
    line.custom("cn2", "leaks", &summary.leaks.values().sum::<u64>().to_string());
    line.custom("cn3", "dropped", &summary.drops.to_string());
    let tally = |amounts: &std::collections::BTreeMap<String, u64>| {
        amounts.iter().map(|(name, amount)| format!("{amount} {name}")).collect::<Vec<_>>().join(", ")
    };
    line.custom("cs1", "protocols", &tally(&summary.protocols));
    line.custom("cs2", "not inspected", &tally(&summary.not_inspected));
    line.custom("cs3", "held back", &tally(&summary.held_back));
    line
}

/// One record, without its line break.
struct Line(String);

impl Line {
    fn new(id: &str, name: &str, severity: u8) -> Self {
        let escape = |text: &str| clean(text).replace('\\', "\\\\").replace('|', "\\|");
        let version = env!("CARGO_PKG_VERSION");
        Self(format!("CEF:0|leaktap|leaktap|{version}|{}|{}|{severity}|", escape(id), escape(name)))
    }

    fn add(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if !self.0.ends_with('|') {
            self.0.push(' ');
        }
        let value = clean(value).replace('\\', "\\\\").replace('=', "\\=");
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{key}={value}");
    }

    fn maybe(&mut self, key: &str, value: Option<&str>) {
        self.add(key, value.unwrap_or_default());
    }

    fn custom(&mut self, key: &str, label: &str, value: &str) {
        if !value.is_empty() {
            self.add(&format!("{key}Label"), label);
            self.add(key, value);
        }
    }

    fn ends(&mut self, from: crate::model::Endpoint, to: crate::model::Endpoint) {
        // Addresses of IPv6 have keys of their own.
        let keys = if from.ip().is_ipv4() { ["src", "dst"] } else { ["c6a2", "c6a3"] };
        if from.ip().is_ipv4() {
            self.add(keys[0], &from.ip().to_string());
            self.add(keys[1], &to.ip().to_string());
        } else {
            self.custom(keys[0], "Source IPv6 Address", &from.ip().to_string());
            self.custom(keys[1], "Destination IPv6 Address", &to.ip().to_string());
        }
        self.add("spt", &from.port.to_string());
        self.add("dpt", &to.port.to_string());
    }
}

/// On the scale of 0 to 10.
fn number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 2,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_uses_is_escaped() {
        let mut line = Line::new("a|b\\c", "d|e", 3);
        line.add("msg", "x=y\\z|w\nv");
        assert!(line.0.ends_with(r"|a\|b\\c|d\|e|3|msg=x\=y\\z|w\\nv"), "{}", line.0);
    }
}
