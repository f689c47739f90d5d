//! Leaks as JUnit XML, for build servers: each leak is a test case, which fails from `--fail-on` on (without it, always).

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::gathered::Gathered;
use super::say;
use super::text::{clean, count};
use super::{Output, Sink};
use crate::model::Severity;
use crate::model::event::{Event, Leak};

/// Test cases of one report: the worst leaks.
const LEAKS: usize = 25_000;

/// Gathers what comes and writes one report at the end.
pub struct Junit {
    out: Output,
    gathered: Gathered,
    fail_on: Severity,
}

impl Junit {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output, fail_on: Option<Severity>) -> Self {
        Self { out, gathered: Gathered::new(LEAKS), fail_on: fail_on.unwrap_or(Severity::Info) }
    }
}

impl Sink for Junit {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.gathered.add(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let text = report(&mut self.gathered, self.fail_on);
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

fn report(gathered: &mut Gathered, fail_on: Severity) -> String {
    let (leaks, more) = gathered.leaks();
    let mut leaks = leaks.to_vec();
    // Of one source together, each as it stood.
    leaks.sort_by(|a, b| a.source.cmp(&b.source));
    let failures = |leaks: &[Leak]| leaks.iter().filter(|leak| leak.severity >= fail_on).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail. A report without any test case is taken for a fault of the build.
    let _ = writeln!(
        text,
        "<testsuites name=\"leaktap\" tests=\"{}\" failures=\"{}\" errors=\"0\">",
        leaks.len().max(1),
        failures(&leaks)
    );
    if leaks.is_empty() {
        text.push_str(
            "  <testsuite name=\"leaktap\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">\n",
        );
        text.push_str("    <testcase classname=\"leaktap\" name=\"no leak was found\"/>\n  </testsuite>\n");
    }
    for suite in leaks.chunk_by(|a, b| a.source == b.source) {
        let name = suite.first().map(|leak| xml(&leak.source)).unwrap_or_default();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">",
            suite.len(),
            failures(suite)
        );
        for leak in suite {
            case(&mut text, leak, gathered.times(leak), leak.severity >= fail_on);
        }
        text.push_str("  </testsuite>\n");
    }
    let mut notes: Vec<String> = gathered
        .losses
        .iter()
        .map(|(reason, loss)| format!("not seen: {} {} ({} bytes)", loss.count, clean(reason), loss.bytes))
        .collect();
    if more > 0 {
        notes.push(format!("{} of lower severity are not among these", count(more, "leak", "leaks")));
    }
    for note in notes {
        let _ = writeln!(text, "  <!-- {} -->", xml(&note).replace("--", "- -"));
    }
    text.push_str("</testsuites>\n");
    text
}

/// What a server follows from run to run are `classname` and `name`: neither frame nor time is among them.
fn case(text: &mut String, leak: &Leak, times: u64, fails: bool) {
    let place = say::place(leak);
    let request = say::request(leak);
    let to = request.clone().unwrap_or_else(|| leak.flow.server.to_string());
    let _ = writeln!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\">",
        xml(&leak.rule),
        xml(&format!("{}: {place} of {to}", leak.title))
    );
    let mut told = vec![
        say::sentence(leak),
        format!("{} → {}", leak.flow.client, leak.flow.server),
        say::frames(leak.frames, &leak.source),
        format!("id {}, seen {}", leak.id, count(times, "time", "times")),
    ];
    told.extend(leak.advice.clone());
    let told: Vec<String> = told.iter().map(|line| xml(line)).collect();
    let (open, close) = if fails {
        let message = xml(&format!("{} in {place}", leak.title));
        let open = format!("<failure type=\"{}\" message=\"{message}\">", leak.severity.as_str());
        (open, "</failure>")
    } else {
        ("<system-out>".to_owned(), "</system-out>")
    };
    let _ = writeln!(text, "      {open}{}{close}\n    </testcase>", told.join("\n"));
}

/// Text that XML 1.0 takes between tags and quotes (section 2.2: hardly any control character).
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::example::{self, Buffer};
    use super::*;

    fn written(fail_on: Option<Severity>) -> String {
        let buffer = Buffer::default();
        let mut sink = Junit::new(Box::new(buffer.clone()), fail_on);
        for event in example::events() {
            sink.event(&event).unwrap();
        }
        sink.finish().unwrap();
        buffer.text()
    }

    #[test]
    fn a_leak_fails_from_the_level_on_that_the_run_fails_on() {
        let cases = written(None).matches("<testcase ").count();
        let mut before = cases;
        for (fail_on, least) in [(None, cases), (Some(Severity::Info), cases), (Some(Severity::High), 1)] {
            let text = written(fail_on);
            let failed = text.matches("<failure ").count();
            assert!(failed >= least && failed <= before, "{fail_on:?}: {text}");
            assert_eq!(text.matches("<testcase ").count(), cases);
            assert_eq!(failed + text.matches("<system-out>").count(), cases);
            assert!(text.contains(&format!("tests=\"{cases}\" failures=\"{failed}\" errors=\"0\">")));
            before = failed;
        }
        assert!(before < cases, "one of the example is of less than high severity");
    }
}
