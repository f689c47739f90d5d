//! What every sink must do, whatever its format; and what each writes of the example.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rusqlite::types::ValueRef;

use super::example::{self, Buffer};
use super::*;
use crate::model::event::{Event, Leak};

const STYLE: Style = Style { color: false, width: 100, live: false, fail_on: None };

/// Everything there is that writes events.
fn formats() -> Vec<&'static Format> {
    FORMATS.iter().chain([&SYSLOG, &WEBHOOK]).collect()
}

/// A file of that format.
fn written(format: &Format, events: &[Event]) -> String {
    let mut buffer = Buffer::default();
    buffer.write_all(format.head.as_bytes()).unwrap();
    let mut sink = (format.open)(Box::new(buffer.clone()), STYLE);
    for event in events {
        sink.event(event).unwrap();
        sink.flush().unwrap();
    }
    sink.finish().unwrap();
    buffer.text()
}

/// What everything there is that writes events holds afterwards, by name: formats, and the database as rows.
fn everywhere(events: &[Event]) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> =
        formats().into_iter().map(|format| (format.name, written(format, events))).collect();
    all.push(("sqlite", rows(events)));
    all
}

/// The rows of a database of these events, each a line; but for when they were stored.
fn rows(events: &[Event]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaks.db");
    let mut sink = Sqlite::open(&path, 0o600, Fsync::Never, None).unwrap();
    for event in events {
        sink.event(event).unwrap();
    }
    sink.finish().unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut text = String::new();
    for query in ["SELECT * FROM leaks ORDER BY rowid", "SELECT * FROM lost ORDER BY rowid"] {
        let mut statement = database.prepare(query).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            for (at, name) in names.iter().enumerate().filter(|(_, name)| *name != "stored") {
                let value = match row.get_ref(at).unwrap() {
                    ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                    ValueRef::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                };
                text.push_str(&format!("{name}={value} "));
            }
            text.push('\n');
        }
    }
    text
}

/// A leak in which every text was chosen by an attacker.
fn hostile() -> Leak {
    const TEXT: &str = "<script>alert(1)</script> \u{1b}[2J\u{9b}31m\r\n=cmd|'/C calc'!A0 \"x\" | `y` \\ a=b \u{202e}gpj,\u{0}";
    let mut leak = example::leak();
    leak.title = TEXT.into();
    leak.name = Some(TEXT.into());
    leak.evidence = TEXT.repeat(3);
    leak.source = format!("{TEXT}.pcap");
    leak.flow.protocol = TEXT.into();
    leak.advice = Some(TEXT.into());
    if let Some(secret) = &mut leak.secret {
        secret.redacted = TEXT.into();
    }
    if let Some(http) = &mut leak.http {
        http.host = Some(TEXT.into());
        http.target = Some(format!("/{TEXT}"));
        http.method = Some(TEXT.into());
    }
    leak
}

#[test]
fn each_takes_every_kind_of_event_and_tells_each_leak() {
    let events = example::events();
    let once = everywhere(&events);
    for (name, text) in &once {
        // Messages of a log are framed by what carries them.
        assert!(text.ends_with('\n') || *name == "syslog", "{name} ends in the middle of a line");
        for event in &events {
            if let Event::Leak(leak) = event {
                for part in [leak.rule.as_str(), leak.source.as_str(), &leak.flow.client.ip().to_string()] {
                    // Markdown escapes some.
                    assert!(text.replace('\\', "").contains(part), "{name} does not tell {part} of {leak:?}");
                }
            }
        }
    }
    assert_eq!(once, everywhere(&events), "it differs from run to run");
}

#[test]
fn each_is_well_formed_without_any_event() {
    for format in formats() {
        let text = written(format, &[]);
        match format.name {
            "json" | "sarif" => drop(serde_json::from_str::<serde_json::Value>(&text).unwrap()),
            "csv" => assert_eq!(text, format.head),
            "html" => assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>\n")),
            "markdown" => assert!(text.contains("No leak was found"), "{text}"),
            "junit" => {
                assert!(text.contains("tests=\"1\" failures=\"0\"") && text.ends_with("</testsuites>\n"))
            }
            "table" => {}
            _ => assert_eq!(text, "", "{format:?}"),
        }
    }
    assert_eq!(rows(&[]), "");
}

#[test]
fn nothing_of_the_network_commands_a_terminal_or_a_browser() {
    let events = [Event::Leak(Box::new(hostile()))];
    for format in formats() {
        let text = written(format, &events);
        let raw: Vec<char> = text.chars().filter(|letter| letter.is_control() && *letter != '\n').collect();
        assert!(raw.is_empty() || raw.iter().all(|&letter| letter == '\u{9b}'), "{format:?} writes {raw:?}");
        // What people read is harmless wherever it is shown; programs get the text as JSON has it.
        if ["table", "html", "markdown", "csv", "cef", "junit"].contains(&format.name) {
            assert!(raw.is_empty(), "{format:?}");
            assert!(!text.contains('\u{202e}'), "{format:?}");
        }
        match format.name {
            "html" => assert_eq!(text.matches("<script>").count(), 1, "its own"),
            "junit" => {
                assert!(!text.contains("<script>") && text.matches("<testcase ").count() == 1, "{text}")
            }
            "markdown" => {
                let markup = outside_code(&text).replace("<br>", "");
                assert!(
                    !markup.contains('<') && !markup.contains("\n=") && !markup.contains('`'),
                    "{markup}"
                );
            }
            _ => {}
        }
    }
}

/// Markdown without what stands in code spans: between two runs of as many backticks.
fn outside_code(text: &str) -> String {
    let mut rest = text.to_owned();
    let mut found = String::new();
    while let Some(start) = rest.find('`') {
        let fence: String = rest[start..].chars().take_while(|&letter| letter == '`').collect();
        let is_escaped = rest[..start].ends_with('\\') && !rest[..start].ends_with("\\\\");
        let from = start + if is_escaped { 1 } else { fence.len() };
        found.push_str(rest[..start].trim_end_matches('\\'));
        rest = rest[from..].to_owned();
        if !is_escaped {
            let inside = rest.split(|letter| letter != '`').collect::<Vec<_>>();
            assert!(inside.contains(&fence.as_str()), "a code span has no end: {rest}");
            let mut at = 0;
            loop {
                let next = at + rest[at..].find('`').unwrap();
                let run = rest[next..].chars().take_while(|&letter| letter == '`').count();
                at = next + run;
                if run == fence.len() {
                    break;
                }
            }
            rest = rest[at..].to_owned();
        }
    }
    found + &rest
}

#[test]
fn each_line_of_a_stream_is_a_record() {
    for format in formats().into_iter().filter(|format| format.is_stream && format.name != "table") {
        let writes = Writes::default();
        let mut sink = (format.open)(Box::new(writes.clone()), STYLE);
        for event in example::events().iter().chain([&Event::Leak(Box::new(hostile()))]) {
            let before = writes.0.lock().unwrap().len();
            sink.event(event).unwrap();
            let all = writes.0.lock().unwrap();
            // A file is put aside between two writes, and a message of a log is one write.
            assert!(all.len() - before <= 1, "{format:?} writes an event in parts");
            for write in &all[before..] {
                let breaks = write.iter().filter(|&&byte| byte == b'\n').count();
                let is_line = write.ends_with(b"\n") && breaks == 1;
                assert!(is_line || (format.name == "syslog" && breaks == 0), "{format:?}");
            }
        }
    }
}

#[test]
fn each_line_that_is_json_is_valid() {
    let mut events = example::events();
    events.push(Event::Leak(Box::new(hostile())));
    for format in formats() {
        let text = written(format, &events);
        let lines: Vec<&str> = match format.name {
            "ndjson" | "webhook" | "ecs" | "eve" => text.lines().collect(),
            "json" | "sarif" => vec![&text],
            _ => continue,
        };
        for line in lines {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{format:?}: {error}: {line}"));
            assert!(value.is_object() || format.name == "json");
        }
    }
}

#[test]
fn a_value_is_shown_only_where_it_was_told() {
    const VALUE: &str = "sk_live_madeUpForThisTest0000000";
    let mut leak = example::leak();
    for (name, hidden) in everywhere(&[Event::Leak(Box::new(leak.clone()))]) {
        assert!(hidden.contains("sk_l…9f2c"), "{name}");
        assert!(!hidden.contains(VALUE), "{name}");
    }
    if let Some(secret) = &mut leak.secret {
        secret.value = Some(VALUE.into());
    }
    for (name, shown) in everywhere(&[Event::Leak(Box::new(leak.clone()))]) {
        assert!(shown.contains(VALUE), "{name}");
    }
}

#[test]
fn a_failing_output_is_told_as_it_is() {
    for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
        for format in formats() {
            let mut sink = (format.open)(Box::new(Failing(kind)), STYLE);
            let mut result = Ok(());
            for event in example::events() {
                result = result.and_then(|()| sink.event(&event));
            }
            let error = result.and_then(|()| sink.finish()).unwrap_err();
            assert_eq!(error.kind(), kind, "{format:?}");
        }
    }
}

#[test]
fn a_full_database_is_told_and_takes_more_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaks.db");
    let mut sink = Sqlite::open(&path, 0o600, Fsync::Never, None).unwrap();
    sink.pages(Some(20));
    let leak = |number: u32| {
        let evidence = "x".repeat(20_000);
        Event::Leak(Box::new(Leak { id: format!("{number:032x}"), evidence, ..example::leak() }))
    };
    let tell = |sink: &mut Sqlite, number| sink.event(&leak(number)).and_then(|()| sink.flush());
    let (full, error) = (0..50).find_map(|number| Some((number, tell(&mut sink, number).err()?))).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    sink.pages(None);
    // Two in one transaction, of which the second has no room: the first stays to be written.
    sink.event(&leak(100)).unwrap();
    sink.pages(Some(1));
    let refused = (101..200).find(|number| sink.event(&leak(*number)).is_err()).unwrap();
    sink.pages(None);
    tell(&mut sink, 300).unwrap();
    sink.finish().unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut ids = database.prepare("SELECT id FROM leaks ORDER BY id").unwrap();
    let found: Vec<String> = ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let kept = (0..full).chain(100..refused).chain([300]).map(|number| format!("{number:032x}"));
    assert_eq!(found, kept.collect::<Vec<_>>(), "what was refused is lost, and nothing else");
}

#[test]
fn ten_thousand_leaks_are_no_burden() {
    let leaks: Vec<Event> = (0..12_000_u32)
        .map(|number| {
            let id = format!("{number:032x}");
            Event::Leak(Box::new(Leak {
                id,
                frames: [u64::from(number), u64::from(number)],
                ..example::leak()
            }))
        })
        .collect();
    for format in formats().into_iter().filter(|format| !format.is_stream || format.name == "table") {
        let text = written(format, &leaks);
        match format.name {
            "html" => assert!(text.contains("2,000 leaks of lower severity are not shown")),
            "markdown" => assert!(text.contains("11,000 leaks more are not shown")),
            "table" => assert!(text.contains("12,000 critical")),
            _ => assert!(text.contains(&format!("{:032x}", 11_999)), "{format:?} holds all of them"),
        }
    }
    assert_eq!(rows(&leaks).lines().count(), leaks.len());
}

/// What each writes of the example, for the eye.
#[test]
fn the_example() {
    for format in FORMATS.iter().filter(|format| !["table", "ndjson"].contains(&format.name)) {
        let mut text = written(format, &example::events());
        if format.name == "html" {
            // Style and script are files of their own.
            for (start, end) in [("<style>\n", "</style>"), ("<script>", "</script>"), ("'sha256-", "'")] {
                let from = text.find(start).unwrap() + start.len();
                let until = from + text[from..].find(end).unwrap();
                text.replace_range(from..until, "…");
            }
        }
        let text = text.replace(env!("CARGO_PKG_VERSION"), "[version]");
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(format.name, text) });
    }
}

#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}
