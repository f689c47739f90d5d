//! Leaks as a page of Markdown: for issues, pull requests and wikis.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::gathered::Gathered;
use super::say;
use super::text::{bytes, clean, count, number, shorten};
use super::{Output, Sink};
use crate::model::Severity;
use crate::model::event::{Event, Leak};

/// Leaks that one page holds: the worst.
const LEAKS: usize = 1000;

/// Gathers what comes and writes one page at the end.
pub struct Markdown {
    out: Output,
    gathered: Gathered,
}

impl Markdown {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, gathered: Gathered::new(LEAKS) }
    }
}

impl Sink for Markdown {
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

fn page(gathered: &mut Gathered) -> String {
    let (leaks, more) = gathered.leaks();
    let leaks = leaks.to_vec();
    let mut page = String::from("# Leaks\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{}\n", found(&leaks, more));
    if !leaks.is_empty() {
        page.push_str("| severity | what | secret | where | frame |\n|---|---|---|---|---|\n");
        for leak in &leaks {
            let request =
                say::request(leak).map(|request| format!("<br>{}", code(&request))).unwrap_or_default();
            let secret = leak.secret.as_ref().map(|secret| code(say::secret(secret))).unwrap_or_default();
            let times = match gathered.times(leak) {
                1 => String::new(),
                times => format!("<br>seen {} times", number(times)),
            };
            let _ = writeln!(
                page,
                "| {} | {}<br>{} | {secret} | {}{request}<br>{} → {} | {}{times} |",
                leak.severity.as_str(),
                plain(&leak.title),
                code(&leak.rule),
                code(&say::place(leak)),
                leak.flow.client,
                leak.flow.server,
                plain(&say::frames(leak.frames, &leak.source)),
            );
        }
        page.push('\n');
    }
    if more > 0 {
        let more = count(more, "leak", "leaks");
        let _ = writeln!(page, "{more} more are not shown; the format ndjson tells every one.\n");
    }
    advice(&mut page, &leaks);
    if let Some(summary) = &gathered.summary {
        let _ = writeln!(page, "## What was read\n");
        let _ = writeln!(
            page,
            "{}, {}, {}, {}.\n",
            count(summary.sources, "capture", "captures"),
            count(summary.frames, "frame", "frames"),
            bytes(summary.bytes),
            count(summary.flows, "flow", "flows"),
        );
    }
    not_seen(&mut page, gathered);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn found(leaks: &[Leak], more: u64) -> String {
    if leaks.is_empty() {
        return "No leak was found.".to_owned();
    }
    let by = |severity| leaks.iter().filter(|leak| leak.severity == severity).count() as u64;
    let mut parts: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .map(|&severity| (by(severity), severity))
        .filter(|&(amount, _)| amount > 0)
        .map(|(amount, severity)| format!("**{}** {}", number(amount), severity.as_str()))
        .collect();
    if more > 0 {
        parts.push(format!("{} more", number(more)));
    }
    format!("Found: {}.", parts.join(", "))
}

/// What to do, once for each rule.
fn advice(page: &mut String, leaks: &[Leak]) {
    let mut rules: Vec<&str> = Vec::new();
    for leak in leaks {
        let Some(advice) = &leak.advice else { continue };
        if rules.contains(&leak.rule.as_str()) {
            continue;
        }
        if rules.is_empty() {
            page.push_str("## What to do\n\n");
        }
        rules.push(&leak.rule);
        let _ = writeln!(page, "- **{}**: {}", plain(&leak.title), plain(advice));
    }
    if !rules.is_empty() {
        page.push('\n');
    }
}

fn not_seen(page: &mut String, gathered: &Gathered) {
    let mut lines = Vec::new();
    if let Some(summary) = &gathered.summary {
        lines.extend(
            summary
                .held_back
                .iter()
                .map(|(cause, amount)| format!("{} {} (held back)", number(*amount), plain(cause))),
        );
        lines.extend(
            summary
                .not_inspected
                .iter()
                .map(|(reason, amount)| format!("{} {} (not inspected)", number(*amount), plain(reason))),
        );
    }
    for (reason, loss) in gathered.losses.iter() {
        let size = if loss.bytes > 0 { format!(", {}", bytes(loss.bytes)) } else { String::new() };
        lines.push(format!("{} {}{size}", number(loss.count), plain(reason)));
    }
    if !lines.is_empty() {
        page.push_str("## What was not seen\n\n");
        lines.iter().for_each(|line| {
            let _ = writeln!(page, "- {line}");
        });
    }
}

/// Text in which nothing is markup.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for character in shorten(&clean(text), 1000).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' | '!' => {
                safe.push('\\');
                safe.push(character);
            }
            other => safe.push(other),
        }
    }
    safe
}

/// Text as it is, in a table's cell too (GFM: a `|` is escaped even in code).
fn code(text: &str) -> String {
    let text = shorten(&clean(text), 1000).replace('|', "\\|");
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let room = if longest > 0 || text.starts_with(' ') { " " } else { "" };
    if text.is_empty() { text } else { format!("{fence}{room}{text}{room}{fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_network_is_markup() {
        for (text, as_plain, as_code) in [
            ("a_b", "a\\_b", "`a_b`"),
            ("<script>x</script>", "&lt;script>x&lt;/script>", "`<script>x</script>`"),
            ("a|b", "a\\|b", "`a\\|b`"),
            ("`x`", "\\`x\\`", "`` `x` ``"),
            ("a``b", "a\\`\\`b", "``` a``b ```"),
            ("[a](http://b) @team #1", "\\[a\\](http://b) \\@team \\#1", "`[a](http://b) @team #1`"),
            ("line\nbreak", "line\\\\nbreak", "`line\\nbreak`"),
            ("", "", ""),
        ] {
            assert_eq!(plain(text), as_plain);
            assert_eq!(code(text), as_code);
        }
    }
}
