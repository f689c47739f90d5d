//! How a live capture goes, for Prometheus: text over HTTP, and whether it goes at all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::Severity;
use crate::model::event::Event;
use crate::model::pulse::Pulse;

use super::queued::Gauge;

/// A capture of which nothing was heard for so long is stalled.
const STALLED: Duration = Duration::from_secs(5);
/// How long one who asks may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a request that are read.
const REQUEST: usize = 4096;
/// Rules told apart; leaks of further ones are counted under one name.
const RULES: usize = 2000;

/// What is told. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    started: Instant,
    /// When a thread last said how it goes.
    heard: Instant,
    pulse: Pulse,
    leaks: BTreeMap<(String, Severity), u64>,
    again: u64,
    lost: BTreeMap<String, (u64, u64)>,
    sinks: Vec<(String, Gauge)>,
    kernel_buffer: u64,
}

impl Metrics {
    /// Nothing yet, of a capture that has so many bytes of the kernel's memory.
    #[must_use]
    pub fn new(kernel_buffer: u64) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            started: now,
            heard: now,
            pulse: Pulse::default(),
            leaks: BTreeMap::new(),
            again: 0,
            lost: BTreeMap::new(),
            sinks: Vec::new(),
            kernel_buffer,
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A sink behind a queue.
    pub fn sink(&self, name: String, gauge: Gauge) {
        self.with(|state| state.sinks.push((name, gauge)));
    }

    /// How it goes.
    pub fn pulse(&self, pulse: Pulse) {
        self.with(|state| (state.pulse, state.heard) = (pulse, Instant::now()));
    }

    /// What is told.
    pub fn event(&self, event: &Event) {
        self.with(|state| match event {
            Event::Leak(leak) => {
                let mut key = (leak.rule.clone(), leak.severity);
                if state.leaks.len() >= RULES && !state.leaks.contains_key(&key) {
                    key.0 = "other".to_owned();
                }
                *state.leaks.entry(key).or_default() += 1;
            }
            Event::Again(again) => state.again += again.times,
            Event::Lost(lost) => {
                let (count, bytes) = state.lost.entry(lost.reason.clone()).or_default();
                *count += lost.count;
                *bytes += lost.bytes;
            }
            Event::Summary(_) => {}
        });
    }

    /// Answers at `address`, from a thread of its own, until the process ends. The address that was bound.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn serve(
        &self,
        address: SocketAddr,
    ) -> io::Result<(SocketAddr, impl FnOnce() -> io::Result<()> + use<>)> {
        let listener = TcpListener::bind(address)?;
        let bound = listener.local_addr()?;
        let metrics = self.clone();
        let start = move || {
            thread::Builder::new().name("metrics".into()).spawn(move || {
                for stream in listener.incoming().flatten() {
                    // Who goes away or takes too long gets nothing more.
                    let _ = metrics.answer(stream);
                }
            })?;
            Ok(())
        };
        Ok((bound, start))
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request = Vec::new();
        let mut part = [0; 1024];
        let begun = Instant::now();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST {
            match stream.read(&mut part)? {
                0 => break,
                length => request.extend_from_slice(part.get(..length).unwrap_or_default()),
            }
            if begun.elapsed() > PATIENCE {
                return Ok(());
            }
        }
        let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let (status, kind, body) = self.reply(&String::from_utf8_lossy(line));
        let length = body.len();
        let is_head = line.starts_with(b"HEAD ");
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n"
        )?;
        if !is_head {
            stream.write_all(body.as_bytes())?;
        }
        stream.flush()
    }

    fn reply(&self, line: &str) -> (&'static str, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        if !matches!(method, "GET" | "HEAD") {
            return ("405 Method Not Allowed", TEXT, "only GET is answered\n".to_owned());
        }
        match path.split('?').next().unwrap_or_default() {
            "/metrics" => {
                ("200 OK", "text/plain; version=0.0.4; charset=utf-8", self.with(|state| state.text()))
            }
            "/health" | "/healthz" => self.with(|state| state.health()),
            _ => ("404 Not Found", TEXT, "there are /metrics and /health\n".to_owned()),
        }
    }
}

impl State {
    fn health(&self) -> (&'static str, &'static str, String) {
        let silent = self.heard.elapsed();
        let failing: Vec<&str> = self
            .sinks
            .iter()
            .filter(|(_, gauge)| gauge.is_failing())
            .map(|(name, _)| name.as_str())
            .collect();
        let (status, word) = match (silent < STALLED, failing.is_empty()) {
            (true, true) => ("200 OK", "ok"),
            // The capture goes on all the same.
            (true, false) => ("200 OK", "degraded"),
            (false, _) => ("503 Service Unavailable", "stalled"),
        };
        let body = serde_json::json!({
            "status": word,
            "uptime_seconds": self.started.elapsed().as_secs(),
            "silent_seconds": silent.as_secs_f64(),
            "failing_sinks": failing,
        });
        (status, "application/json", format!("{body}\n"))
    }

    /// The text format of Prometheus, version 0.0.4.
    fn text(&self) -> String {
        let mut page = Page::default();
        let pulse = &self.pulse;
        page.one("frames_total", "counter", "Frames read.", pulse.frames as f64);
        page.one("bytes_total", "counter", "Bytes of frames read.", pulse.bytes as f64);
        page.each(
            "dropped_frames_total",
            "counter",
            "Frames dropped before they could be read, by cause.",
            "cause",
            &pulse.drops,
        );
        page.one(
            "malformed_frames_total",
            "counter",
            "Frames whose headers contradict themselves.",
            pulse.malformed as f64,
        );
        page.each(
            "not_inspected_total",
            "counter",
            "Frames, flows and bodies not looked into.",
            "reason",
            &pulse.not_inspected,
        );
        page.one("flows", "gauge", "Flows at present.", pulse.open as f64);
        page.one("flows_total", "counter", "Flows since the start.", pulse.flows as f64);
        page.each("messages_total", "counter", "Messages by protocol.", "protocol", &pulse.messages);
        page.one("gaps_total", "counter", "Holes in streams.", pulse.gaps.0 as f64);
        page.one("gap_bytes_total", "counter", "Bytes missing in those.", pulse.gaps.1 as f64);
        let mut parts = vec![
            ("flows", pulse.held),
            ("fragments", pulse.fragments),
            ("kernel-buffer", self.kernel_buffer),
        ];
        parts.extend(super::resident().map(|resident| ("resident", resident)));
        page.head("memory_bytes", "gauge", "Memory by part; resident is that of the whole process.");
        for (part, bytes) in parts {
            page.line("memory_bytes", &[("part", part)], bytes as f64);
        }
        page.head("leaks_total", "counter", "Leaks told, by rule and severity.");
        for ((rule, severity), count) in &self.leaks {
            page.line("leaks_total", &[("rule", rule), ("severity", severity.as_str())], *count as f64);
        }
        page.one(
            "sightings_again_total",
            "counter",
            "Further sightings of leaks told before.",
            self.again as f64,
        );
        page.head("lost_total", "counter", "What could not be seen, by reason.");
        for (reason, (count, _)) in &self.lost {
            page.line("lost_total", &[("reason", reason)], *count as f64);
        }
        page.head("lost_bytes_total", "counter", "Bytes of that.");
        for (reason, (_, bytes)) in &self.lost {
            page.line("lost_bytes_total", &[("reason", reason)], *bytes as f64);
        }
        for (name, help, value) in [
            ("queue_batches", "Batches of frames that wait before a worker.", 0),
            ("queue_room_batches", "For how many there is room.", 1),
        ] {
            page.head(name, "gauge", help);
            for (worker, &(waiting, room)) in pulse.queues.iter().enumerate() {
                let number = if value == 0 { waiting } else { room };
                page.line(name, &[("worker", &worker.to_string())], number as f64);
            }
        }
        type Read = fn(&Gauge) -> f64;
        let sinks: [(&str, &str, &str, Read); 4] = [
            ("sink_queue_events", "gauge", "Events that wait for a sink.", |gauge| gauge.waiting() as f64),
            ("sink_lag_seconds", "gauge", "Age of the oldest event that a sink has not taken.", |gauge| {
                gauge.lag().as_secs_f64()
            }),
            ("sink_lost_events_total", "counter", "Events that did not reach a sink.", |gauge| {
                gauge.lost() as f64
            }),
            ("sink_failing", "gauge", "Whether a sink fails at present.", |gauge| {
                f64::from(u8::from(gauge.is_failing()))
            }),
        ];
        for (name, kind, help, read) in sinks {
            page.head(name, kind, help);
            for (sink, gauge) in &self.sinks {
                page.line(name, &[("sink", sink)], read(gauge));
            }
        }
        let behind = pulse.behind.unwrap_or_default().as_secs_f64();
        page.one("behind_seconds", "gauge", "How far what is looked at is behind real time.", behind);
        page.one("uptime_seconds", "gauge", "Seconds since the start.", self.started.elapsed().as_secs_f64());
        page.head("build_info", "gauge", "The version.");
        page.line("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.text
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP leaktap_{name} {help}\n# TYPE leaktap_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "leaktap_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{value}\"", if at == 0 { "{" } else { "," });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn each(&mut self, name: &str, kind: &str, help: &str, label: &str, values: &BTreeMap<String, u64>) {
        self.head(name, kind, help);
        for (key, value) in values {
            self.line(name, &[(label, key)], *value as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::example;

    fn filled() -> Metrics {
        let metrics = Metrics::new(64 << 20);
        example::events().iter().for_each(|event| metrics.event(event));
        metrics.pulse(Pulse {
            frames: 1_000_000_000_000,
            bytes: 7,
            drops: [("queue-drop".to_owned(), 3)].into(),
            queues: vec![(2, 64), (0, 64)],
            behind: Some(Duration::from_millis(250)),
            ..Pulse::default()
        });
        metrics
    }

    #[test]
    fn what_is_counted_is_told_in_the_text_format_of_prometheus() {
        let text = filled().reply("GET /metrics HTTP/1.1").2;
        for line in [
            "leaktap_frames_total 1000000000000",
            "leaktap_dropped_frames_total{cause=\"queue-drop\"} 3",
            "leaktap_queue_batches{worker=\"0\"} 2",
            "leaktap_memory_bytes{part=\"kernel-buffer\"} 67108864",
            "leaktap_leaks_total{rule=\"stripe-secret-key\",severity=\"critical\"} 1",
            "leaktap_lost_total{reason=\"conflicting-retransmission\"} 2",
            "leaktap_sightings_again_total 4",
            "leaktap_behind_seconds 0.25",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
        }
        // Every value has its kind said before it, once.
        let mut said = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(said.insert(rest.split(' ').next().unwrap().to_owned()), "{line}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(said.contains(name), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn no_text_of_the_network_breaks_a_line() {
        let mut page = Page::default();
        page.line("x", &[("a", "q\"\\\nleaktap_y 1")], 1.0);
        assert_eq!(page.text, "leaktap_x{a=\"q\\\"\\\\\\nleaktap_y 1\"} 1\n");
    }

    #[test]
    fn health_says_whether_it_goes_on() {
        let metrics = filled();
        let (status, _, body) = metrics.reply("GET /health HTTP/1.1");
        assert!((status, body.contains("\"status\":\"ok\"")) == ("200 OK", true), "{body}");
        metrics.with(|state| state.heard = Instant::now().checked_sub(2 * STALLED).unwrap());
        assert_eq!(metrics.reply("GET /health HTTP/1.1").0, "503 Service Unavailable");
        assert_eq!(metrics.reply("GET / HTTP/1.1").0, "404 Not Found");
        assert_eq!(metrics.reply("POST /metrics HTTP/1.1").0, "405 Method Not Allowed");
        assert_eq!(metrics.reply("").0, "405 Method Not Allowed");
    }

    #[test]
    fn it_answers_over_http_and_who_says_nothing_holds_nobody_up() {
        let metrics = filled();
        let (address, start) = metrics.serve(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        start().unwrap();
        let silent = TcpStream::connect(address).unwrap();
        drop(silent);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("} 1\n"), "{text}");
    }
}
