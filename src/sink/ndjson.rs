//! Events for programs: one JSON object a line.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{Output, Sink};
use crate::model::event::Event;

/// Version of the event format: the `v` of every line. It grows only where a consumer that ignores unknown fields would break.
const VERSION: u8 = 1;

/// Writes each event as it comes.
pub struct Ndjson {
    out: Output,
    line: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    event: &'a Event,
}

impl Ndjson {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, line: Vec::new() }
    }
}

/// Appends an event as one line, line break included (CONTRACT: events).
///
/// # Errors
/// Where the event cannot be told in JSON.
pub fn line(event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { v: VERSION, event })?;
    out.push(b'\n');
    Ok(())
}

/// Reads what [`line`] wrote; `None` where it is an event of a kind that this version does not know (CONTRACT: consumers accept what they
/// do not know).
///
/// # Errors
/// Where it is no event; without anything of what stood there.
pub fn read(line: &[u8]) -> Result<Option<Event>, String> {
    #[derive(Deserialize)]
    struct Head {
        v: u8,
        r#type: String,
    }
    let fault = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => "it is no event of leaktap".to_owned(),
        _ => format!("it is no JSON (column {})", error.column()),
    };
    let head: Head = serde_json::from_slice(line).map_err(fault)?;
    if head.v != VERSION || !["leak", "again", "lost", "summary"].contains(&head.r#type.as_str()) {
        return Ok(None);
    }
    serde_json::from_slice(line).map(Some).map_err(fault)
}

impl Sink for Ndjson {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        line(event, &mut self.line)?;
        self.out.write_all(&self.line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn every_kind_of_event_is_one_line() {
        let buffer = example::Buffer::default();
        let mut sink = Ndjson::new(Box::new(buffer.clone()));
        for event in example::events() {
            sink.event(&event).unwrap();
        }
        sink.finish().unwrap();
        let text = buffer.text();
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["v"], 1);
        }
        insta::assert_snapshot!(text);
    }

    /// The keys of CONTRACT.md's example, in its order.
    #[test]
    fn the_keys_stand_in_the_contracts_order() {
        let mut bytes = Vec::new();
        line(&example::events()[0], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let mut from = 0;
        for key in [
            "v",
            "type",
            "id",
            "time",
            "rule",
            "title",
            "exposures",
            "severity",
            "confidence",
            "cwe",
            "owasp",
            "surface",
            "name",
            "secret",
            "redacted",
            "length",
            "fingerprint",
            "flow",
            "client",
            "server",
            "transport",
            "protocol",
            "encrypted",
            "http",
            "method",
            "host",
            "target",
            "status",
            "message",
            "process",
            "source",
            "frames",
            "evidence",
            "advice",
            "related",
        ] {
            let key = format!("\"{key}\":");
            let at = text[from..].find(&key).unwrap_or_else(|| panic!("{key} behind {}", &text[..from]));
            from += at + key.len();
        }
        assert!(text.starts_with(r#"{"v":1,"type":"leak","id":""#));
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn what_was_written_can_be_read() {
        for event in example::events() {
            let mut bytes = Vec::new();
            line(&event, &mut bytes).unwrap();
            let mut again = Vec::new();
            line(&read(&bytes).unwrap().unwrap(), &mut again).unwrap();
            assert_eq!(again, bytes);
        }
        for (text, expected) in [
            (r#"{"v":1,"type":"dream"}"#, Ok(())),
            (r#"{"v":2,"type":"leak"}"#, Ok(())),
            (r#"{"v":1,"type":"leak"}"#, Err("it is no event of leaktap")),
            (r#"{"type":"leak"}"#, Err("it is no event of leaktap")),
            ("[]", Err("it is no event of leaktap")),
            ("leak", Err("it is no JSON (column 1)")),
            ("", Err("it is no JSON (column 0)")),
        ] {
            let told = read(text.as_bytes()).map(|event| assert!(event.is_none()));
            assert_eq!(told, expected.map_err(str::to_owned), "{text}");
        }
    }
}
