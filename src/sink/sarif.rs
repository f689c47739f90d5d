//! Leaks as SARIF 2.1.0, for code scanning: a result points at its capture, and its line is the number of the frame.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};

use serde_json::{Value, json};
use serde_sarif::sarif::{
    Artifact, ArtifactLocation, Invocation, Location, LogicalLocation, Message, MultiformatMessageString,
    Notification, PhysicalLocation, PropertyBag, Region, ReportingConfiguration, ReportingDescriptor,
    Result as Found, ResultLevel, Run, RunAutomationDetails, SCHEMA_URL, Sarif as Log, Tool, ToolComponent,
    WebRequest, WebResponse,
};
use sha2::{Digest as _, Sha256};

use super::gathered::Gathered;
use super::say;
use super::text::{clean, count};
use super::{Output, Sink};
use crate::model::event::{Event, Leak};
use crate::model::shown::counted;
use crate::model::{Confidence, Severity, route};

/// Results of one run, the worst: code scanning takes no more.
const LEAKS: usize = 25_000;

/// Gathers what comes and writes one log at the end.
pub struct Sarif {
    out: Output,
    gathered: Gathered,
}

impl Sarif {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, gathered: Gathered::new(LEAKS) }
    }
}

impl Sink for Sarif {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.gathered.add(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&log(&mut self.gathered))?;
        text.push(b'\n');
        self.out.write_all(&text)?;
        self.out.flush()
    }
}

fn log(gathered: &mut Gathered) -> Log {
    let (leaks, more) = gathered.leaks();
    let leaks = leaks.to_vec();
    let mut rules = Vec::new();
    let mut known: HashMap<&str, i64> = HashMap::new();
    let mut sources: Vec<&str> = Vec::new();
    for leak in &leaks {
        known.entry(&leak.rule).or_insert_with(|| {
            rules.push(rule(leak));
            rules.len() as i64 - 1
        });
        if sources.last() != Some(&leak.source.as_str()) {
            sources.push(&leak.source);
        }
    }
    sources.sort_unstable();
    sources.dedup();
    let index = |rule: &str| known.get(rule).copied().unwrap_or(-1);
    let results: Vec<Found> =
        leaks.iter().map(|leak| result(leak, index(&leak.rule), gathered.times(leak))).collect();

    let mut notes: Vec<Notification> = gathered
        .losses
        .iter()
        .map(|(reason, loss)| {
            note(
                "warning",
                &format!("not seen: {} {} ({})", loss.count, clean(reason), counted(loss.bytes, "byte")),
            )
        })
        .collect();
    if more > 0 {
        notes.push(note(
            "warning",
            &format!("{} of lower severity are not among the results", count(more, "leak", "leaks")),
        ));
    }
    let invocation =
        Invocation::builder().execution_successful(true).tool_execution_notifications(notes).build();
    let artifacts: Vec<Artifact> = sources
        .into_iter()
        .map(|source| {
            Artifact::builder().location(artifact(source)).roles(vec![json!("analysisTarget")]).build()
        })
        .collect();
    let driver = ToolComponent::builder()
        .name("leaktap")
        .version(env!("CARGO_PKG_VERSION"))
        .semantic_version(env!("CARGO_PKG_VERSION"))
        .short_description(MultiformatMessageString::from(&env!("CARGO_PKG_DESCRIPTION").to_owned()))
        .rules(rules)
        .build();
    let mut run = Run::builder()
        .tool(Tool::from(driver))
        .automation_details(RunAutomationDetails::builder().id("leaktap/").build())
        .artifacts(artifacts)
        .invocations(vec![invocation])
        .results(results)
        .build();
    run.properties = gathered.summary.as_ref().map(|summary| bag(Vec::new(), [("summary", json!(summary))]));
    Log::builder().schema(SCHEMA_URL).version(json!("2.1.0")).runs(vec![run]).build()
}

fn bag<const N: usize>(tags: Vec<String>, properties: [(&str, Value); N]) -> PropertyBag {
    let properties: BTreeMap<String, Value> =
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut bag = PropertyBag::builder().additional_properties(properties).build();
    bag.tags = Some(tags).filter(|tags| !tags.is_empty());
    bag
}

fn note(level: &str, text: &str) -> Notification {
    Notification::builder().level(json!(level)).message(Message::from(text)).build()
}

/// What the leaks of a rule have in common, as its first (and so worst) leak tells it.
fn rule(leak: &Leak) -> ReportingDescriptor {
    let mut tags = vec!["security".to_owned()];
    tags.extend(leak.cwe.iter().map(|weakness| format!("external/cwe/{}", weakness.to_ascii_lowercase())));
    let properties = bag(
        tags,
        [
            ("precision", json!(precision(leak.confidence))),
            ("security-severity", json!(format!("{:.1}", score(leak.severity)))),
        ],
    );
    let mut rule = ReportingDescriptor::builder()
        .id(leak.rule.clone())
        .name(leak.rule.clone())
        .short_description(MultiformatMessageString::from(&leak.title))
        .full_description(MultiformatMessageString::from(&format!(
            "{} in clear in network traffic",
            leak.title
        )))
        .default_configuration(ReportingConfiguration::builder().level(json!(level(leak.severity))).build())
        .properties(properties)
        .build();
    rule.help = leak.advice.as_ref().map(MultiformatMessageString::from);
    rule
}

fn result(leak: &Leak, index: i64, times: u64) -> Found {
    let [first, last] = leak.frames.map(|frame| i64::try_from(frame).unwrap_or(i64::MAX));
    let region = Region::builder().start_line(first.max(1)).end_line(last.max(first).max(1)).build();
    let physical =
        PhysicalLocation::builder().artifact_location(artifact(&leak.source)).region(region).build();
    let name = clean(&say::place(leak)).into_owned();
    let logical = LogicalLocation::builder()
        .name(clean(leak.name.as_deref().unwrap_or(leak.surface.as_str())).into_owned())
        .fully_qualified_name(name)
        .kind("parameter")
        .build();
    let location = Location::builder().physical_location(physical).logical_locations(vec![logical]).build();
    let identity = identity(leak);
    let short: String = identity.chars().take(16).collect();
    let mut result = Found::builder()
        .rule_id(leak.rule.clone())
        .rule_index(index)
        .level(level(leak.severity))
        .message(Message::from(&say::sentence(leak)))
        .locations(vec![location])
        .fingerprints(BTreeMap::from([("leaktap/v1".to_owned(), identity)]))
        // The only key by which code scanning follows an alert from run to run.
        .partial_fingerprints(BTreeMap::from([("primaryLocationLineHash".to_owned(), format!("{short}:1"))]))
        .occurrence_count(i64::try_from(times).unwrap_or(i64::MAX))
        .properties(bag(Vec::new(), [("leak", json!(leak))]))
        .build();
    if let Some(http) = &leak.http {
        let mut request = WebRequest::builder().protocol("http").build();
        request.method.clone_from(&http.method);
        request.target = http.target.as_deref().map(|target| clean(target).into_owned());
        request.version = leak.flow.protocol.split_once('/').map(|(_, version)| version.to_owned());
        result.web_request = Some(request);
        result.web_response =
            http.status.map(|status| WebResponse::builder().status_code(i64::from(status)).build());
    }
    result
}

/// What is the same leak in every capture: rule, place, endpoint and secret, but neither frame, time nor client.
fn identity(leak: &Leak) -> String {
    let http = leak.http.as_ref();
    let (host, target) =
        (http.and_then(|http| http.host.as_deref()), http.and_then(|http| http.target.as_deref()));
    let endpoint = route::endpoint(host, &leak.flow.server.to_string(), target);
    let value = leak.secret.as_ref().map_or(leak.evidence.as_str(), |secret| &secret.fingerprint);
    let mut hash = Sha256::new();
    for part in
        [&leak.rule, leak.surface.as_str(), leak.name.as_deref().unwrap_or_default(), &endpoint, value]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The capture as a URI reference (RFC 3986): what is relative stays relative.
fn artifact(source: &str) -> ArtifactLocation {
    const PATH: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let path = percent_encoding::utf8_percent_encode(source, &PATH);
    let uri = if source.starts_with('/') { format!("file://{path}") } else { path.to_string() };
    ArtifactLocation::builder().uri(uri).build()
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Critical | Severity::High => ResultLevel::Error,
        Severity::Medium => ResultLevel::Warning,
        Severity::Low | Severity::Info => ResultLevel::Note,
    }
}

/// On the scale that code scanning sorts by: over 9 critical, 7 high, 4 medium.
fn score(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 9.5,
        Severity::High => 8.0,
        Severity::Medium => 5.5,
        Severity::Low => 3.0,
        Severity::Info => 1.0,
    }
}

fn precision(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "very-high",
        Confidence::Medium => "high",
        Confidence::Low => "medium",
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_leak_keeps_its_identity_from_capture_to_capture() {
        let leak = example::leak();
        let later = Leak {
            id: "00".repeat(16),
            frames: [99, 100],
            source: "tuesday.pcap".into(),
            time: leak.time.after(std::time::Duration::from_secs(86_400)),
            ..leak.clone()
        };
        assert_eq!(identity(&leak), identity(&later));
        let elsewhere = Leak { name: Some("token".into()), ..leak.clone() };
        assert_ne!(identity(&leak), identity(&elsewhere));
    }

    #[test]
    fn a_capture_is_a_uri() {
        for (source, uri) in [
            ("flask.pcap", "flask.pcap"),
            ("a b/ü#1:2.pcap", "a%20b/%C3%BC%231%3A2.pcap"),
            ("/var/a?.pcap", "file:///var/a%3F.pcap"),
            ("-", "-"),
        ] {
            assert_eq!(artifact(source).uri.as_deref(), Some(uri));
        }
    }
}
