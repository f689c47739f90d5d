//! A leak as the engine found it: which secret, where, how, how bad and how sure.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::secret::Fingerprint;
use super::story::Story;
use super::{Endpoint, Secret, Surface, Timestamp, Transport};

/// How bad if true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Little harm by itself.
    Low,
    /// Mend it.
    Medium,
    /// Mend it soon.
    High,
    /// Mend it now.
    Critical,
}

impl Severity {
    /// Every level, the mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// `info` … `critical`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// One level milder.
    #[must_use]
    pub fn milder(self) -> Self {
        match self {
            Self::Info | Self::Low => Self::Info,
            Self::Medium => Self::Low,
            Self::High => Self::Medium,
            Self::Critical => Self::High,
        }
    }
}

/// How sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It may be one.
    Low,
    /// It probably is.
    Medium,
    /// It is.
    High,
}

impl Confidence {
    /// `low`, `medium`, `high`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How a secret leaks (CONTRACT: exposure). A closed set, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// In a query parameter.
    QueryString,
    /// In a path, userinfo, Referer or Location.
    Url,
    /// Over unencrypted transport.
    Cleartext,
    /// The server handed it out.
    Response,
    /// A secret of the request came back in a response.
    Reflected,
    /// In a stack trace, debug page or database error.
    Traceback,
    /// In a log record.
    Log,
    /// Written to a database in clear.
    Stored,
    /// Readable inside a client-side cookie or JWT.
    ClientSession,
    /// Personal data.
    Pii,
    /// A setting that invites leaks.
    Misconfiguration,
}

impl Exposure {
    /// `query-string` … as events tell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueryString => "query-string",
            Self::Url => "url",
            Self::Cleartext => "cleartext",
            Self::Response => "response",
            Self::Reflected => "reflected",
            Self::Traceback => "traceback",
            Self::Log => "log",
            Self::Stored => "stored",
            Self::ClientSession => "client-session",
            Self::Pii => "pii",
            Self::Misconfiguration => "misconfiguration",
        }
    }

    /// The weaknesses (CWE) that follow from it.
    #[must_use]
    pub fn cwe(self) -> &'static [&'static str] {
        match self {
            Self::QueryString => &["CWE-598"],
            Self::Url => &["CWE-200"],
            Self::Cleartext => &["CWE-319", "CWE-522"],
            Self::Response => &["CWE-200", "CWE-213"],
            Self::Reflected => &["CWE-201"],
            Self::Traceback => &["CWE-209", "CWE-215"],
            Self::Log => &["CWE-532"],
            Self::Stored => &["CWE-312"],
            Self::ClientSession => &["CWE-315"],
            Self::Pii => &["CWE-359"],
            Self::Misconfiguration => &["CWE-16"],
        }
    }

    /// The entries of the OWASP API Security Top 10 (2023) that follow from it.
    #[must_use]
    pub fn owasp(self) -> &'static [&'static str] {
        match self {
            Self::QueryString | Self::Url | Self::ClientSession => &["API2:2023"],
            Self::Response | Self::Reflected | Self::Pii => &["API3:2023"],
            Self::Cleartext | Self::Traceback | Self::Log | Self::Stored | Self::Misconfiguration => {
                &["API8:2023"]
            }
        }
    }
}

/// The identity of a finding: 16 bytes of a SHA-256 over source, frame, surface, name, rule and fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingId(pub [u8; 16]);

impl FindingId {
    /// The identity of what `rule` says follows from this one.
    #[must_use]
    pub fn following(self, rule: &str) -> Self {
        let digest: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(rule).finalize().into();
        digest.first_chunk().map_or(self, |start| Self(*start))
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a finding tells of its rule.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleText {
    /// Unique, kebab-case.
    pub id: String,
    /// What it finds.
    pub title: String,
    /// Weaknesses beside those that follow from the exposure.
    pub cwe: Vec<String>,
    /// What to do.
    pub advice: Option<String>,
    /// The checks that judge what it finds, as rule files name them.
    pub checks: Vec<String>,
}

/// The secret of a finding, with all that may be told of it.
#[derive(Clone, Debug)]
pub struct FoundSecret {
    /// The value.
    pub value: Secret,
    /// What may be shown of it.
    pub redacted: String,
    /// What it is recognised by.
    pub fingerprint: Fingerprint,
}

/// The flow of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowText {
    /// Who asked.
    pub client: Endpoint,
    /// Who answered.
    pub server: Endpoint,
    /// TCP or UDP.
    pub transport: Transport,
    /// `http/1.1` …; `unknown` where nobody knows it.
    pub protocol: &'static str,
    /// Whether the wire carried it encrypted.
    pub encrypted: bool,
}

/// The HTTP exchange of a finding; every text redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpText {
    /// `GET` …; none where the request was never seen.
    pub method: Option<String>,
    /// The `Host`.
    pub host: Option<String>,
    /// The target, secrets and other query values masked.
    pub target: Option<String>,
    /// The status of the final answer, once known.
    pub status: Option<u16>,
    /// 1-based number of the exchange in its flow.
    pub message: u32,
}

/// One secret (or traceback, misconfiguration …) at one place of one message.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its identity.
    pub id: FindingId,
    /// Capture time of the first frame that carries the value.
    pub time: Timestamp,
    /// The rule that knew it.
    pub rule: Arc<RuleText>,
    /// How it leaks, sorted, without repeats.
    pub exposures: Vec<Exposure>,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The place.
    pub surface: Surface,
    /// What names it there, tokens masked.
    pub name: Option<String>,
    /// The secret; none for tracebacks and misconfigurations.
    pub secret: Option<FoundSecret>,
    /// Who talks to whom.
    pub flow: FlowText,
    /// The exchange.
    pub http: Option<HttpText>,
    /// The capture, as reached from the input given.
    pub source: Arc<str>,
    /// First and last frame that carry the value.
    pub frames: [u64; 2],
    /// The capture of the last frame, where joined captures have it in another one.
    pub last_source: Option<Arc<str>>,
    /// A redacted excerpt.
    pub evidence: String,
    /// Findings that belong to it.
    pub related: Vec<FindingId>,
    /// Whether caches may store the answer it stands in.
    pub cacheable: bool,
    /// What makes another sighting the same leak.
    pub once: Once,
    /// The message it stands in; only where somebody watches.
    pub story: Option<Box<Story>>,
    /// What was noted of it, and what moved confidence or severity: `raised: luhn ok`.
    pub reasons: Vec<Cow<'static, str>>,
}

/// How often a finding is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// For each value at each place.
    PerValue,
    /// For each host and name, whatever the value: opaque session cookies, misconfigurations.
    PerHost,
    /// For each path of a host, whatever the value: personal data.
    PerEndpoint,
}
