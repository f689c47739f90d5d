//! What faces read: events, one JSON object a line, with redacted text only.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, FlowText};
use super::{Confidence, Endpoint, Exposure, Severity, Surface, Timestamp, Transport};

/// One line of output (CONTRACT: events).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// One secret at one place.
    Leak(Box<Leak>),
    /// Further sightings of a leak told before.
    Again(Again),
    /// What could not be seen.
    Lost(Lost),
    /// The last line.
    Summary(Box<Summary>),
}

/// A leak.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leak {
    /// Identity: sending it twice is harmless downstream.
    pub id: String,
    /// Capture time of the first frame that carries the value.
    pub time: Timestamp,
    /// Rule identifier.
    pub rule: String,
    /// What the rule finds.
    pub title: String,
    /// How it leaks.
    pub exposures: Vec<Exposure>,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Weaknesses.
    pub cwe: Vec<String>,
    /// OWASP API Security Top 10 entries.
    pub owasp: Vec<Cow<'static, str>>,
    /// The place.
    pub surface: Surface,
    /// What names it there.
    pub name: Option<String>,
    /// The secret, redacted.
    pub secret: Option<SecretText>,
    /// Who talks to whom.
    pub flow: Flow,
    /// The exchange.
    pub http: Option<Http>,
    /// Who leaked, where that is known; else who got it.
    pub process: Option<Process>,
    /// The capture.
    pub source: String,
    /// First and last frame that carry the value.
    pub frames: [u64; 2],
    /// The file of the last frame, where joined captures have it in another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_source: Option<String>,
    /// A redacted excerpt.
    pub evidence: String,
    /// What to do.
    pub advice: Option<String>,
    /// Identities of leaks that belong to it.
    pub related: Vec<String>,
    /// Why it was told, as sure and as bad as it is: only with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// Why a leak was told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explain {
    /// The checks of its rule.
    pub checks: Vec<String>,
    /// Entropy of the secret in bits a byte; none without a secret.
    pub entropy: Option<f32>,
    /// What was noted, and what moved confidence or severity: `raised: luhn ok`.
    pub reasons: Vec<String>,
}

impl Explain {
    /// What it says, line by line.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let checks = (!self.checks.is_empty()).then(|| format!("checks {}", self.checks.join(", ")));
        let entropy = self.entropy.map(|bits| format!("entropy {bits}"));
        checks.into_iter().chain(entropy).chain(self.reasons.iter().cloned())
    }
}

/// What is told of a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretText {
    /// What may be shown.
    pub redacted: String,
    /// Characters (bytes, where it is not UTF-8).
    pub length: usize,
    /// HMAC-SHA-256 under the installation's key, hexadecimal.
    pub fingerprint: String,
    /// The value itself: only with `--reveal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `base64` where the value is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Cow<'static, str>>,
}

/// The flow of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Who asked.
    pub client: Endpoint,
    /// Who answered.
    pub server: Endpoint,
    /// `tcp` or `udp`.
    pub transport: Transport,
    /// `http/1.1` …
    pub protocol: String,
    /// Whether the wire carried it encrypted.
    pub encrypted: bool,
}

impl From<&FlowText> for Flow {
    fn from(flow: &FlowText) -> Self {
        Self {
            client: flow.client,
            server: flow.server,
            transport: flow.transport,
            protocol: flow.protocol.to_owned(),
            encrypted: flow.encrypted,
        }
    }
}

/// The HTTP exchange of a leak.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Http {
    /// Method of the request.
    pub method: Option<String>,
    /// `Host`.
    pub host: Option<String>,
    /// Target, masked.
    pub target: Option<String>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// 1-based number of the exchange in its flow.
    pub message: u32,
}

/// The process at one end of a flow, and at the other where that is on this machine too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process identifier.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The container it runs in.
    pub container: Option<String>,
    /// Which end of the flow it is: the one that sent the value, where that one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Its command line, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The name of its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The number of its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// What runs the container: `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `systemd-nspawn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Cow<'static, str>>,
    /// The UID of its Kubernetes pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its systemd unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The path of its control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The process at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Box<Process>>,
}

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Who asked.
    Client,
    /// Who answered.
    Server,
}

/// Further sightings of a leak.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Again {
    /// The leak.
    pub id: String,
    /// How often it was seen again.
    pub times: u64,
    /// When last.
    pub last: Timestamp,
}

/// What could not be seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lost {
    /// Why: `gap`, `conflicting-retransmission`, `flow-limit` …
    pub reason: String,
    /// In which flow, where it concerns one.
    pub flow: Option<Flow>,
    /// In which direction of it.
    pub direction: Option<super::Direction>,
    /// How often.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The first and last frame at which it was noticed.
    pub frames: [u64; 2],
    /// The capture.
    pub source: String,
    /// The file of the last frame, where joined captures have it in another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_source: Option<String>,
}

/// What was done, and what was not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Captures read.
    pub sources: u64,
    /// Frames read.
    pub frames: u64,
    /// Bytes of frames read.
    pub bytes: u64,
    /// Flows seen.
    pub flows: u64,
    /// Flows by protocol.
    pub protocols: BTreeMap<String, u64>,
    /// Messages by protocol.
    pub messages: BTreeMap<String, u64>,
    /// What was not inspected, and why: frames, flows or bodies by reason.
    pub not_inspected: BTreeMap<String, u64>,
    /// Holes in streams.
    pub gaps: u64,
    /// Bytes missing in those holes.
    pub gap_bytes: u64,
    /// Frames dropped before they could be read.
    pub drops: u64,
    /// Frames that are not what their headers say.
    pub malformed: u64,
    /// Leaks told, by severity.
    pub leaks: BTreeMap<Severity, u64>,
    /// Further sightings.
    pub again: u64,
    /// Leaks held back, by cause (`below-severity`, `below-confidence`).
    pub held_back: BTreeMap<String, u64>,
    /// Capture time from the first frame to the last, in seconds.
    pub seconds: f64,
}

impl Summary {
    /// Adds what another run did.
    pub fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Clone>(own: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>) {
            for (key, amount) in other {
                let own = own.entry(key.clone()).or_default();
                *own = own.saturating_add(*amount);
            }
        }
        for (own, other) in [
            (&mut self.sources, other.sources),
            (&mut self.frames, other.frames),
            (&mut self.bytes, other.bytes),
            (&mut self.flows, other.flows),
            (&mut self.gaps, other.gaps),
            (&mut self.gap_bytes, other.gap_bytes),
            (&mut self.drops, other.drops),
            (&mut self.malformed, other.malformed),
            (&mut self.again, other.again),
        ] {
            *own = own.saturating_add(other);
        }
        sum(&mut self.protocols, &other.protocols);
        sum(&mut self.messages, &other.messages);
        sum(&mut self.not_inspected, &other.not_inspected);
        sum(&mut self.leaks, &other.leaks);
        sum(&mut self.held_back, &other.held_back);
        self.seconds += other.seconds;
    }
}

/// The texts a leak is made of, redacted; the value only where `reveal` says so, the reasons where `explain` does.
#[must_use]
pub fn leak(finding: &Finding, process: Option<Process>, reveal: bool, explain: bool) -> Leak {
    let mut cwe: Vec<String> = finding.rule.cwe.clone();
    let mut owasp = Vec::new();
    for exposure in &finding.exposures {
        cwe.extend(exposure.cwe().iter().map(|&weakness| weakness.to_owned()));
        owasp.extend(exposure.owasp().iter().map(|&entry| Cow::Borrowed(entry)));
    }
    let mut seen = std::collections::HashSet::new();
    cwe.retain(|weakness| seen.insert(weakness.clone()));
    owasp.sort_unstable();
    owasp.dedup();
    Leak {
        id: finding.id.to_string(),
        time: finding.time,
        rule: finding.rule.id.clone(),
        title: finding.rule.title.clone(),
        exposures: finding.exposures.clone(),
        severity: finding.severity,
        confidence: finding.confidence,
        cwe,
        owasp,
        surface: finding.surface,
        name: finding.name.clone(),
        secret: finding.secret.as_ref().map(|secret| {
            let (value, encoding) = if reveal { revealed(secret.value.expose()) } else { (None, None) };
            SecretText {
                redacted: secret.redacted.clone(),
                length: secret.value.length(),
                fingerprint: secret.fingerprint.to_string(),
                value,
                encoding,
            }
        }),
        flow: Flow::from(&finding.flow),
        http: finding.http.as_ref().map(|http| Http {
            method: http.method.clone(),
            host: http.host.clone(),
            target: http.target.clone(),
            status: http.status,
            message: http.message,
        }),
        process,
        source: finding.source.to_string(),
        frames: finding.frames,
        last_source: finding.last_source.as_ref().map(ToString::to_string),
        evidence: finding.evidence.clone(),
        advice: finding.rule.advice.clone(),
        related: finding.related.iter().map(ToString::to_string).collect(),
        explain: explain.then(|| Explain {
            checks: finding.rule.checks.clone(),
            entropy: finding.secret.as_ref().map(|secret| {
                let bits = super::text::entropy(secret.value.expose());
                (bits * 100.0).round() / 100.0
            }),
            reasons: finding.reasons.iter().map(|reason| reason.clone().into_owned()).collect(),
        }),
    }
}

fn revealed(value: &[u8]) -> (Option<String>, Option<Cow<'static, str>>) {
    use base64::Engine as _;
    match std::str::from_utf8(value) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (Some(base64::engine::general_purpose::STANDARD.encode(value)), Some("base64".into())),
    }
}
