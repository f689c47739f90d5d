//! Secrets stay secret: no output of any kind holds the value of one, as it is or encoded, unless it was asked for.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

/// Shorter values stand in other words by chance.
const SHORTEST: usize = 6;

/// Every secret that the captures are known to hold.
fn secrets() -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for entry in fs::read_dir(captures()).unwrap() {
        let path = entry.unwrap().path().join("expect.ndjson");
        let Ok(text) = fs::read_to_string(path) else { continue };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let leak: Value = serde_json::from_str(line).unwrap();
            values.extend(leak["value"].as_str().filter(|value| value.len() >= SHORTEST).map(str::to_owned));
        }
    }
    values
}

fn percent(value: &str, spared: &[u8], lower: bool) -> String {
    let mut text = String::new();
    for &byte in value.as_bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || spared.contains(&byte) => text.push(char::from(byte)),
            byte if lower => text += &format!("%{byte:02x}"),
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// A value as it is, and in the forms that it may stand in on the wire or in JSON.
fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    for spared in [&b"-_.~"[..], b"-_.~/", b"", b"-_.~!$&'()*+,;=:@/"] {
        forms.extend([percent(value, spared, false), percent(value, spared, true)]);
    }
    forms.insert(percent(value, b"-_. ", false).replace(' ', "+"));
    let json = serde_json::to_string(value).unwrap();
    forms.insert(json[1..json.len() - 1].to_owned());
    // Where it stands inside of a longer text that was encoded, it begins at any of three offsets; its own first and last
    // letters share theirs with its neighbours.
    for offset in 0..3 {
        let shifted = [&b"\0\0"[..offset], value.as_bytes()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            let inner = &encoded[if offset == 0 { 0 } else { 4 }..encoded.len() / 4 * 4];
            if inner.len() >= 8 {
                forms.insert(inner.to_owned());
            }
        }
    }
    forms
}

struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, name: &str, run: Run) {
        self.0.push((format!("{name}, standard output"), run.out));
        self.0.push((format!("{name}, standard error"), run.err));
    }
}

#[test]
fn no_value_of_any_capture_is_in_any_output() {
    let secrets = secrets();
    assert!(secrets.len() > 80, "{} secrets", secrets.len());
    let room = Room::new();
    let captures = captures_text();
    let mut outputs = Outputs(Vec::new());
    let scan = ["scan", &captures, "--severity", "info", "--every", "-vv", "--progress", "always"];
    let sinks = ["--sink", "ndjson:n", "--sink", "table:t"];
    outputs.add("ndjson", room.run(&[&scan[..], &sinks, &["--jobs", "1"]].concat()).ended(0));
    outputs
        .add("table", room.run(&[&scan[..], &["--format", "table", "--color", "always"]].concat()).ended(0));
    let many = room.run(&[&scan[..], &["--jobs", "3"]].concat()).ended(0);
    outputs.add("three jobs", many);
    outputs.0.push(("the ndjson sink".into(), room.read("n")));
    outputs.0.push(("the table sink".into(), room.read("t")));
    for entry in fs::read_dir(super::captures()).unwrap() {
        let path = entry.unwrap().path();
        let expected = fs::read(path.join("expect.ndjson")).unwrap_or_default();
        if !expected.is_empty() {
            let input = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            let input =
                input.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("input."));
            let input = input.last().unwrap();
            let name = path.display().to_string();
            outputs.add(&name, room.run(&["rules", "test", input.to_str().unwrap(), "-vv"]).ended(0));
        }
    }
    // As a text, each in words that a rule of names knows.
    let mut typed = String::new();
    for secret in secrets.iter().filter(|secret| !secret.contains('\n')) {
        typed += &format!(
            "api_key={}\nX-Api-Key: {secret}\nNote {secret} and so on\n",
            percent(secret, b"", false)
        );
    }
    outputs.add("a text", Run::of(room.command(&["rules", "test", "-", "-vv"]).write_stdin(typed)).ended(0));

    let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let search = AhoCorasick::new(&forms).unwrap();
    let mut found = Vec::new();
    for (name, text) in &outputs.0 {
        for hit in search.find_iter(text) {
            let start = text[..hit.start()].char_indices().rev().nth(60).map_or(0, |(start, _)| start);
            let before = text[start..hit.start()].escape_debug();
            found.push(format!("{name}: {}: …{before}", &text[hit.range()]));
        }
    }
    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
    // The search finds what is there.
    let revealed = room.run(&["scan", &captures, "-q", "--reveal", "--format", "table"]).ended(0).out;
    let shown = secrets.iter().filter(|secret| revealed.contains(secret.as_str())).count();
    assert!(shown > secrets.len() * 9 / 10, "{shown} of {}", secrets.len());
}

#[test]
fn the_forms_are_those_of_the_wire() {
    let forms = forms("a b/c+d=Zq9");
    for form in
        ["a b/c+d=Zq9", "a%20b%2Fc%2Bd%3DZq9", "a%20b%2fc%2bd%3dZq9", "a+b%2Fc%2Bd%3DZq9", "YSBiL2MrZD1a"]
    {
        assert!(forms.contains(form), "{form}: {forms:?}");
    }
    let inside = URL_SAFE_NO_PAD.encode("user:a b/c+d=Zq9!");
    assert!(forms.iter().any(|form| inside.contains(form)), "{inside}: {forms:?}");
}
