//! Every format of real captures: read back by what reads it, and the list of them in the README.

mod browser;

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use leaktap::model::event::{Event, Leak};
use leaktap::sink::{FORMATS, Style};
use serde_json::Value;

use super::support::RULES;

/// The program over the captures that come with the project, without anything of this process' environment.
pub(crate) fn leaktap(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_leaktap"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn captures(format: &str) -> String {
    leaktap(&["scan", "captures", "--format", format])
}

/// The leaks as ndjson tells them.
fn leaks() -> Vec<Value> {
    let events = captures("ndjson");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["type"] == "leak").collect()
}

fn field<'a>(leaks: &'a [Value], name: &str) -> Vec<&'a str> {
    let mut values: Vec<&str> = leaks.iter().map(|leak| leak[name].as_str().unwrap()).collect();
    values.sort_unstable();
    values
}

/// The published schema (OASIS; the copy is that of the crate serde-sarif).
#[test]
fn sarif_is_valid_and_its_identities_are_stable() {
    let mut schema: Value = serde_json::from_str(include_str!("../schemas/sarif-2.1.0.json")).unwrap();
    // Its one pattern that is no regular expression (a bracket too many), of fields that leaktap does not write.
    for object in ["run", "toolComponent"] {
        schema["definitions"][object]["properties"]["language"]
            .as_object_mut()
            .unwrap()
            .remove("pattern")
            .unwrap();
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let log: Value = serde_json::from_str(&captures("sarif")).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&log).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let mut broken = log.clone();
    broken["runs"][0]["results"][0]["level"] = "grave".into();
    assert!(!validator.is_valid(&broken), "the schema sees what is wrong");

    let results = log["runs"][0]["results"].as_array().unwrap();
    let leaks = leaks();
    assert_eq!(results.len(), leaks.len());
    assert!(results.len() > 100, "{}", results.len());
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_i64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        let leak = &result["properties"]["leak"];
        assert_eq!(place["artifactLocation"]["uri"], leak["source"]);
        assert_eq!(place["region"]["startLine"], leak["frames"][0]);
    }
    // The same captures reached by another way (other files, other identities of leaks) have the same fingerprints.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copied.pcap");
    std::fs::copy("captures/flask-basic/input.pcap", &copy).unwrap();
    let prints = |input: &str| -> Vec<Value> {
        let log: Value = serde_json::from_str(&leaktap(&["scan", input, "--format", "sarif"])).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["partialFingerprints"].clone()).collect()
    };
    let here = prints("captures/flask-basic/input.pcap");
    assert!(!here.is_empty());
    assert_eq!(here, prints(copy.to_str().unwrap()));
}

#[test]
fn each_format_tells_every_leak_of_the_captures() {
    let leaks = leaks();
    let ids = field(&leaks, "id");
    let lines = |format: &str| -> Vec<Value> {
        captures(format).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    let json: Vec<Value> = serde_json::from_str(&captures("json")).unwrap();
    let json: Vec<Value> = json.into_iter().filter(|event| event["type"] == "leak").collect();
    assert_eq!(json, leaks);

    let rows = captures("csv");
    let mut reader = csv::Reader::from_reader(rows.as_bytes());
    let id = reader.headers().unwrap().iter().position(|name| name == "id").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let mut found: Vec<&str> = rows.iter().map(|row| &row[id]).collect();
    found.sort_unstable();
    assert_eq!(found, ids);

    let ecs: Vec<Value> =
        lines("ecs").into_iter().filter(|event| event["event"]["kind"] == "alert").collect();
    for event in &ecs {
        assert!(event["@timestamp"].is_string() && event["ecs"]["version"].is_string(), "{event}");
        assert!(event["source"]["ip"].is_string() && event["event"]["category"].is_array(), "{event}");
    }
    let mut found: Vec<&str> = ecs.iter().map(|event| event["event"]["id"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ids);

    let eve: Vec<Value> = lines("eve").into_iter().filter(|event| event["event_type"] == "alert").collect();
    let mut found: Vec<&str> = eve.iter().map(|event| event["leaktap"]["id"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ids);
    for event in &eve {
        assert_eq!(event["pcap_cnt"], event["leaktap"]["frames"][0]);
        assert!(event["alert"]["signature_id"].is_u64() && event["flow_id"].is_u64(), "{event}");
    }

    let text = captures("cef");
    let mut found: Vec<String> = text
        .lines()
        .filter(|line| !line.contains("|lost:") && !line.contains("|summary|"))
        .map(|line| cef(line).into_iter().find(|(key, _)| key == "externalId").unwrap().1)
        .collect();
    found.sort_unstable();
    assert_eq!(found, ids);

    let page = captures("html");
    for id in &ids {
        assert!(page.contains(&format!("id=\"l{id}\"")), "{id}");
    }
    let page = captures("markdown");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("<br>")).count();
    assert_eq!(rows, ids.len());
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 6, "{line}");
    }
}

/// The extension of a record, as a reader of the format takes it apart.
fn cef(line: &str) -> Vec<(String, String)> {
    let mut rest = line.strip_prefix("CEF:0|").unwrap();
    for _ in 0..6 {
        let end =
            rest.char_indices().find(|&(at, letter)| letter == '|' && !rest[..at].ends_with('\\')).unwrap().0;
        rest = &rest[end + 1..];
    }
    // A key begins behind a space and ends before an `=` that is not escaped.
    let marks: Vec<(usize, usize)> = rest
        .match_indices('=')
        .filter(|(at, _)| !rest[..*at].ends_with('\\'))
        .map(|(at, _)| (rest[..at].rfind(' ').map_or(0, |space| space + 1), at))
        .collect();
    let ends = marks.iter().skip(1).map(|&(start, _)| start.saturating_sub(1)).chain([rest.len()]);
    marks
        .iter()
        .zip(ends)
        .map(|(&(start, at), end)| {
            (rest[start..at].to_owned(), rest[at + 1..end].replace("\\=", "=").replace("\\\\", "\\"))
        })
        .collect()
}

#[test]
fn no_two_rules_share_a_signature() {
    #[derive(Clone, Default)]
    struct Buffer(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let leak: Leak = serde_json::from_value(leaks().remove(0)).unwrap();
    let eve = FORMATS.iter().find(|format| format.name == "eve").unwrap();
    let buffer = Buffer::default();
    let mut sink =
        (eve.open)(Box::new(buffer.clone()), Style { color: false, width: 80, live: false, fail_on: None });
    for rule in RULES.rules() {
        let leak = Leak { rule: rule.text.id.clone(), ..leak.clone() };
        sink.event(&Event::Leak(Box::new(leak))).unwrap();
    }
    let bytes = buffer.0.lock().unwrap();
    let records: Vec<Value> = std::str::from_utf8(&bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: HashSet<u64> =
        records.iter().map(|record| record["alert"]["signature_id"].as_u64().unwrap()).collect();
    assert!(records.len() > 500);
    assert_eq!(numbers.len(), records.len());
}

/// The README's table is made from the list: this is its text.
#[test]
fn the_readme_lists_the_formats_there_are() {
    let mut table = String::from("| format | for | written |\n|---|---|---|\n");
    for format in FORMATS {
        let when = if format.is_stream { "record by record" } else { "as one document" };
        table += &format!("| `{}` | {} | {when} |\n", format.name, format.about);
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(&table), "put this into README.md:\n\n{table}");
}
