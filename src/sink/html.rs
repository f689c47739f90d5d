//! Leaks as one HTML file that needs nothing else: summary, plots, a table that can be filtered, redacted evidence.
//!
//! **Architecture Invariant:** the page loads nothing and runs no script but its own: its policy names the digest of that one.

mod plot;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::gathered::Gathered;
use super::say;
use super::text::{bytes, clean, count, number, shorten};
use super::{Output, Sink};
use crate::model::Severity;
use crate::model::event::{Event, Explain, Leak, Summary};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Leaks that one page holds: the worst. A browser shows as many at ease.
const LEAKS: usize = 10_000;
/// Characters shown of one text.
const TEXT: usize = 4096;

/// Gathers what comes and writes one page at the end.
pub struct Html {
    out: Output,
    gathered: Gathered,
}

impl Html {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, gathered: Gathered::new(LEAKS) }
    }
}

impl Sink for Html {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.gathered.add(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let text = page(&mut self.gathered);
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// Text in which nothing is markup, in an element or a quoted attribute.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for character in shorten(&clean(text), TEXT).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn page(gathered: &mut Gathered) -> String {
    let (leaks, more) = gathered.leaks();
    let leaks = leaks.to_vec();
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(SCRIPT));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Leaks: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        found(&leaks, more)
    );
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<header><h1>Leaks</h1><p class=\"found\">{}</p></header>\n<main>",
        found(&leaks, more)
    );
    overview(&mut page, gathered.summary.as_deref(), &leaks);
    if !leaks.is_empty() {
        plot::severities(&mut page, &leaks);
        plot::hosts(&mut page, &leaks);
        plot::times(&mut page, &leaks);
        table(&mut page, &leaks, gathered, more);
    }
    unseen(&mut page, gathered);
    let _ = write!(
        page,
        "</main>\n<footer>leaktap {}. Values are redacted unless they were asked for.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

/// `2 critical, 1 low`
fn found(leaks: &[Leak], more: u64) -> String {
    let by = |severity| leaks.iter().filter(|leak| leak.severity == severity).count() as u64;
    let mut parts: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .map(|&severity| (by(severity), severity))
        .filter(|&(amount, _)| amount > 0)
        .map(|(amount, severity)| format!("{} {}", number(amount), severity.as_str()))
        .collect();
    if more > 0 {
        parts.push(format!("{} more that are not shown", number(more)));
    }
    if parts.is_empty() { "none found".to_owned() } else { parts.join(", ") }
}

fn overview(page: &mut String, summary: Option<&Summary>, leaks: &[Leak]) {
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut secrets: Vec<&str> = leaks
        .iter()
        .filter_map(|leak| leak.secret.as_ref())
        .map(|secret| secret.fingerprint.as_str())
        .collect();
    secrets.sort_unstable();
    secrets.dedup();
    facts.push(("secrets", number(secrets.len() as u64)));
    if let (Some(first), Some(last)) =
        (leaks.iter().map(|leak| leak.time).min(), leaks.iter().map(|leak| leak.time).max())
    {
        facts.push(("first leak", moment(&first.to_string())));
        facts.push(("last leak", moment(&last.to_string())));
    }
    if let Some(summary) = summary {
        facts.push(("captures", number(summary.sources)));
        facts.push(("frames", number(summary.frames)));
        facts.push(("read", bytes(summary.bytes)));
        facts.push(("flows", number(summary.flows)));
        facts.push(("seen again", number(summary.again)));
    }
    page.push_str("<section id=\"summary\"><h2>Summary</h2><dl>");
    for (name, value) in facts {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", text(&value));
    }
    page.push_str("</dl></section>\n");
}

/// `2026-11-22 05:22:00 UTC`
fn moment(time: &str) -> String {
    match time.split_once('T') {
        Some((day, clock)) => format!("{day} {} UTC", clock.get(..8).unwrap_or(clock)),
        None => time.to_owned(),
    }
}

fn table(page: &mut String, leaks: &[Leak], gathered: &Gathered, more: u64) {
    page.push_str(
        "<section id=\"leaks\"><h2>Leaks</h2>\n<form class=\"filters\">\
         <label>Search <input id=\"search\" type=\"search\" placeholder=\"rule, host, parameter, file …\"></label>\
         <label>Severity <select id=\"severity\"><option value=\"\">all</option>",
    );
    for severity in Severity::ALL.iter().rev().map(|severity| severity.as_str()) {
        let _ = write!(page, "<option value=\"{severity}\">{severity}</option>");
    }
    page.push_str("</select></label>");
    for (id, label, values) in [
        ("host", "Host", distinct(leaks.iter().map(say::host))),
        ("rule", "Rule", distinct(leaks.iter().map(|leak| leak.rule.clone()))),
        (
            "exposure",
            "Exposure",
            distinct(
                leaks
                    .iter()
                    .flat_map(|leak| leak.exposures.iter().map(|exposure| exposure.as_str().to_owned())),
            ),
        ),
    ] {
        let _ = write!(page, "<label>{label} <select id=\"{id}\"><option value=\"\">all</option>");
        for value in values {
            let _ = write!(page, "<option value=\"{0}\">{0}</option>", text(&value));
        }
        page.push_str("</select></label>");
    }
    let _ = write!(
        page,
        "<button type=\"reset\">Clear</button> <output id=\"shown\">{0} of {0}</output></form>\n\
         <table><thead><tr><th data-sort=\"rank\">Severity</th><th data-sort=\"what\">What</th><th data-sort=\"host\">Where</th>\
         <th data-sort=\"time\">Time</th><th data-sort=\"frame\">Frame</th></tr></thead>\n<tbody>\n",
        leaks.len()
    );
    for leak in leaks {
        row(page, leak, gathered.times(leak));
    }
    page.push_str("</tbody></table>\n");
    if more > 0 {
        let _ = writeln!(
            page,
            "<p class=\"more\">{} of lower severity are not shown: this page holds {}. The format ndjson tells every one.</p>",
            count(more, "leak", "leaks"),
            number(LEAKS as u64)
        );
    }
    page.push_str("</section>\n");
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn row(page: &mut String, leak: &Leak, times: u64) {
    let severity = leak.severity.as_str();
    let host = say::host(leak);
    let exposures: Vec<&str> = leak.exposures.iter().map(|exposure| exposure.as_str()).collect();
    let secret = leak.secret.as_ref().map(say::secret);
    let request = say::request(leak);
    let _ = write!(
        page,
        "<tr class=\"{severity}\" id=\"l{}\" data-severity=\"{severity}\" data-rank=\"{}\" data-host=\"{}\" data-rule=\"{}\" data-exposure=\"{}\" \
         data-what=\"{}\" data-time=\"{}\" data-frame=\"{} {:020}\">",
        text(&leak.id),
        leak.severity as u8,
        text(&host),
        text(&leak.rule),
        exposures.join(" "),
        text(&leak.title),
        leak.time.as_nanos(),
        text(&leak.source),
        leak.frames[0],
    );
    let _ = write!(
        page,
        "<td><span class=\"badge {severity}\">{severity}</span></td><td><details><summary>{}{}</summary>",
        text(&leak.title),
        secret.map(|secret| format!(" <code>{}</code>", text(secret))).unwrap_or_default()
    );
    details(page, leak, times, &exposures);
    let _ = writeln!(
        page,
        "</details></td><td><b>{}</b><br><code>{}</code></td><td><time datetime=\"{}\">{}</time></td><td>{}</td></tr>",
        text(&say::place(leak)),
        text(request.as_deref().unwrap_or(&host)),
        leak.time,
        text(&moment(&leak.time.to_string())),
        text(&say::frames(leak.frames, &leak.source)),
    );
}

fn details(page: &mut String, leak: &Leak, times: u64, exposures: &[&str]) {
    let mut entries: Vec<(&str, String)> = vec![
        ("evidence", leak.evidence.clone()),
        (
            "how",
            format!("{}; {} confidence; rule {}", exposures.join(", "), leak.confidence.as_str(), leak.rule),
        ),
        ("flow", format!("{} -> {} ({})", leak.flow.client, leak.flow.server, leak.flow.protocol)),
    ];
    if let Some(status) = leak.http.as_ref().and_then(|http| http.status) {
        entries.push(("answer", status.to_string()));
    }
    if let Some(secret) = &leak.secret {
        let unit = if secret.encoding.is_some() { "bytes, shown as base64" } else { "characters" };
        entries.push(("secret", format!("{} {unit}, fingerprint {}", secret.length, secret.fingerprint)));
    }
    if let Some(process) = &leak.process {
        entries.push(("process", format!("{} ({})", process.name, process.pid)));
    }
    if times > 1 {
        entries.push(("seen", format!("{} times", number(times))));
    }
    entries.push((
        "weakness",
        leak.cwe
            .iter()
            .map(String::as_str)
            .chain(leak.owasp.iter().map(AsRef::as_ref))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    entries.extend(leak.advice.clone().map(|advice| ("advice", advice)));
    for reason in leak.explain.iter().flat_map(Explain::texts) {
        entries.push(("why", reason));
    }
    entries.push(("wireshark", wireshark(leak)));
    page.push_str("<dl>");
    for (name, value) in entries.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", text(&value));
    }
    let _ = write!(page, "<dt>id</dt><dd>{}</dd>", text(&leak.id));
    if !leak.related.is_empty() {
        page.push_str("<dt>related</dt><dd>");
        for id in &leak.related {
            let _ = write!(page, "<a href=\"#l{0}\">{1}…</a> ", text(id), text(id.get(..8).unwrap_or(id)));
        }
        page.push_str("</dd>");
    }
    page.push_str("</dl>");
}

/// The command that opens the capture at the frame.
fn wireshark(leak: &Leak) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:=@".contains(letter);
    let source = match leak.source.chars().all(is_plain) && !leak.source.starts_with('-') {
        true => leak.source.clone(),
        false => format!("'{}'", leak.source.replace('\'', "'\\''")),
    };
    format!("wireshark -r {source} -g {}", leak.frames[0])
}

fn unseen(page: &mut String, gathered: &Gathered) {
    let mut rows: Vec<(String, String)> = Vec::new();
    if let Some(summary) = &gathered.summary {
        rows.extend(
            summary.held_back.iter().map(|(cause, amount)| (format!("held back: {cause}"), number(*amount))),
        );
        rows.extend(
            summary
                .not_inspected
                .iter()
                .map(|(reason, amount)| (format!("not inspected: {reason}"), number(*amount))),
        );
        if summary.malformed > 0 {
            rows.push(("malformed frames".to_owned(), number(summary.malformed)));
        }
        if summary.drops > 0 {
            rows.push(("frames dropped".to_owned(), number(summary.drops)));
        }
    }
    for (reason, loss) in gathered.losses.iter() {
        let size = if loss.bytes > 0 { format!(" ({})", bytes(loss.bytes)) } else { String::new() };
        rows.push((reason.to_owned(), format!("{}{size}", number(loss.count))));
    }
    if rows.is_empty() {
        return;
    }
    page.push_str("<section id=\"unseen\"><h2>What was not seen</h2><dl>");
    for (name, value) in rows {
        let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd></div>", text(&name), text(&value));
    }
    page.push_str("</dl></section>\n");
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn nothing_of_the_network_is_markup() {
        assert_eq!(
            text("<a href=\"x\" onload='y'>&\u{1b}"),
            "&lt;a href=&quot;x&quot; onload=&#39;y&#39;&gt;&amp;\\u{1b}"
        );
    }

    #[test]
    fn the_command_for_wireshark_holds_no_surprise() {
        for (source, command) in [
            ("a/b.pcap", "wireshark -r a/b.pcap -g 17"),
            ("a b.pcap", "wireshark -r 'a b.pcap' -g 17"),
            ("$(id)'.pcap", "wireshark -r '$(id)'\\''.pcap' -g 17"),
            ("-i", "wireshark -r '-i' -g 17"),
        ] {
            assert_eq!(wireshark(&Leak { source: source.into(), ..example::leak() }), command);
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let mut gathered = Gathered::new(LEAKS);
        example::events().iter().for_each(|event| gathered.add(event));
        let page = page(&mut gathered);
        for mark in
            ["src=", "<link", "@import", "url(", "<img", "<iframe", "<object", "fetch(", "XMLHttpRequest"]
        {
            assert!(!page.contains(mark), "{mark}");
        }
        for (at, _) in page.match_indices("href=\"") {
            assert!(page[at..].starts_with("href=\"#l"), "{}", &page[at..at + 40]);
        }
    }
}
