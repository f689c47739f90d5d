//! Turns a configuration of gitleaks (or betterleaks) into a rule file of leaktap's own form.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::{RuleError, file, gitleaks};

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The rule file.
    pub text: String,
    /// Rules in it.
    pub rules: usize,
    /// Rules that were left out, and why: `some-id: for paths alone`.
    pub left_out: Vec<String>,
}

/// Reads the text of a configuration, by the name `file`, and writes it anew: patterns in the syntax of leaktap, with the
/// ends that values have in URLs and markup; severity, confidence and specificity said; `allowlist` and `required` in their
/// present form. What it finds stays the same.
///
/// # Errors
/// Every fault of the file, with its line.
pub fn import(file: &str, text: &str) -> Result<Imported, RuleError> {
    let mut faults = Vec::new();
    file::read(file, text, &mut faults);
    let table: Table = match text.parse() {
        Ok(table) if faults.is_empty() => table,
        _ => return Err(RuleError { faults }),
    };
    let mut imported = Imported { text: String::new(), rules: 0, left_out: Vec::new() };
    let out = &mut imported.text;
    let _ = writeln!(out, "# Imported from {} by leaktap rules import.", one_line(file));
    for (key, value) in &table {
        match (key.to_ascii_lowercase().as_str(), value) {
            ("title", Value::String(title)) => {
                let _ = writeln!(out, "# {}", one_line(title));
            }
            ("extend", Value::Table(extend)) => {
                let _ = writeln!(out, "\n[extend]");
                for (key, value) in extend {
                    let _ = writeln!(out, "{key} = {value}");
                }
            }
            _ => {}
        }
    }
    for rule in tables(&table, &["rules"]) {
        let id = string(rule, "id").unwrap_or_default();
        match string(rule, "regex") {
            Some(regex) => {
                rule_text(rule, id, regex, out);
                imported.rules += 1;
            }
            None => imported.left_out.push(format!("{id}: for paths alone")),
        }
    }
    for list in tables(&table, &["allowlist", "allowlists"]) {
        allowlist("allowlists", list, out);
    }
    dropped("allowlists", string(&table, "filter").map(file::drops).unwrap_or_default(), out);
    Ok(imported)
}

fn rule_text(rule: &Table, id: &str, regex: &str, out: &mut String) {
    let _ = writeln!(out, "\n[[rules]]");
    let mut line = |key: &str, text: &str| {
        let _ = writeln!(out, "{key} = {text}");
    };
    line("id", &quoted(id));
    if let Some(description) = string(rule, "description") {
        line("description", &quoted(description));
    }
    line("regex", &quoted(&gitleaks::translate(&gitleaks::widen(regex))));
    if let Some(Value::Integer(group)) = entry(rule, "secretgroup").or_else(|| entry(rule, "valuegroup")) {
        line("secretGroup", &group.to_string());
    }
    let keywords: Vec<String> = strings(rule, "keywords").map(str::to_ascii_lowercase).collect();
    if !keywords.is_empty() {
        line("keywords", &list(keywords.iter().map(String::as_str)));
    }
    // What gitleaks' rules have where they say nothing of it.
    let is_generic = id.starts_with("generic");
    line("severity", &quoted(string(rule, "severity").unwrap_or("high")));
    line("confidence", &quoted(string(rule, "confidence").unwrap_or("medium")));
    let usual = if is_generic { 0 } else { 5 };
    let specificity = entry(rule, "specificity").and_then(Value::as_integer);
    line("specificity", &specificity.unwrap_or(usual).to_string());
    let drops = string(rule, "filter").map(file::drops).unwrap_or_default();
    match entry(rule, "entropy") {
        Some(entropy @ (Value::Integer(_) | Value::Float(_))) => line("entropy", &entropy.to_string()),
        _ => drops.entropy.iter().for_each(|least| line("entropy", &least.to_string())),
    }
    if let Some(path) = string(rule, "path") {
        line("path", &quoted(&gitleaks::translate(path)));
    }
    if matches!(entry(rule, "skipreport"), Some(Value::Boolean(true))) {
        line("skipReport", "true");
    }
    let tags: Vec<&str> = strings(rule, "tags").collect();
    if !tags.is_empty() {
        line("tags", &list(tags.into_iter()));
    }
    let required: Vec<&str> = tables(rule, &["required", "components"])
        .filter(|required| !matches!(entry(required, "optional"), Some(Value::Boolean(true))))
        .filter_map(|required| string(required, "id"))
        .chain(strings(rule, "requires"))
        .collect();
    if !required.is_empty() {
        line("requires", &list(required.into_iter()));
    }
    for found in tables(rule, &["allowlist", "allowlists"]) {
        allowlist("rules.allowlists", found, out);
    }
    dropped("rules.allowlists", drops, out);
}

/// Commits are of no use here: a list of nothing else is left out.
fn allowlist(head: &str, table: &Table, out: &mut String) {
    let mut lines = String::new();
    for (key, value) in table {
        let key = key.to_ascii_lowercase();
        let texts: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let written = match (key.as_str(), value.as_str()) {
            ("description", Some(text)) => Some(("description", quoted(text))),
            ("condition", Some(text)) => Some(("condition", quoted(text))),
            ("regextarget", Some(text)) => Some(("regexTarget", quoted(text))),
            ("regexes", _) => {
                let patterns: Vec<String> =
                    texts.iter().map(|pattern| gitleaks::allowlist(pattern)).collect();
                Some(("regexes", list(patterns.iter().map(String::as_str))))
            }
            ("paths", _) => {
                let patterns: Vec<String> =
                    texts.iter().map(|pattern| gitleaks::translate(pattern)).collect();
                Some(("paths", list(patterns.iter().map(String::as_str))))
            }
            ("stopwords", _) => Some(("stopwords", list(texts.into_iter()))),
            ("targetrules", _) => Some(("targetRules", list(texts.into_iter()))),
            _ => None,
        };
        if let Some((key, value)) = written {
            let _ = writeln!(lines, "{key} = {value}");
        }
    }
    let says = ["regexes", "paths", "stopwords"].iter().any(|key| entry(table, key).is_some());
    if says {
        let _ = write!(out, "\n[[{head}]]\n{lines}");
    }
}

/// What an expression of betterleaks drops.
fn dropped(head: &str, drops: file::Drops, out: &mut String) {
    let patterns: Vec<String> = drops.regexes.iter().map(|pattern| gitleaks::allowlist(pattern)).collect();
    for (key, texts) in [("regexes", patterns), ("stopwords", drops.words)] {
        if !texts.is_empty() {
            let _ = write!(out, "\n[[{head}]]\n{key} = {}\n", list(texts.iter().map(String::as_str)));
        }
    }
}

/// The value of a key, whatever its case.
fn entry<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn string<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    entry(table, key).and_then(Value::as_str)
}

fn strings<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t str> {
    entry(table, key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// One table or a list of them.
fn tables<'t>(table: &'t Table, keys: &[&str]) -> impl Iterator<Item = &'t Table> {
    let found: Vec<&Table> = keys
        .iter()
        .filter_map(|key| entry(table, key))
        .flat_map(|value| match value {
            Value::Table(table) => vec![table],
            Value::Array(entries) => entries.iter().filter_map(Value::as_table).collect(),
            _ => Vec::new(),
        })
        .collect();
    found.into_iter()
}

/// As a literal where that can be, so that patterns stay readable.
fn quoted(text: &str) -> String {
    let is_plain =
        |text: &str| !text.contains(char::is_control) && !text.contains("'''") && !text.ends_with('\'');
    if text.contains(['\\', '"']) && is_plain(text) {
        format!("'''{text}'''")
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let lines: String = texts.fold(String::new(), |mut lines, text| {
        let _ = writeln!(lines, "  {},", quoted(text));
        lines
    });
    format!("[\n{lines}]")
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{RuleSet, load};
    use super::*;

    const CONFIGURATION: &str = r#"
title = "shed"
[allowlist]
description = "global"
regexes = ['''^true|false|null$''']
paths = ['''\.lock$''']
[[rules]]
id = "shed-key"
description = "Key of the \"shed\""
regex = '''\b(shed_[a-z0-9]{8})(?:[\x60'"\s;]|\\[nrt]|$)'''
keywords = ["SHED_"]
entropy = 2
tags = ["shed"]
[[rules]]
id = "shed-pair"
regex = '''shed{2}([a-z]{8})'''
secretGroup = 1
[[rules.required]]
id = "shed-key"
[rules.allowlist]
stopwords = ["wandering"]
commits = ["abc"]
[[rules]]
id = "shed-file"
path = '''shed\.key$'''
"#;

    #[test]
    fn a_configuration_becomes_a_rule_file_that_means_the_same() {
        let imported = import("shed.toml", CONFIGURATION).unwrap();
        assert_eq!(imported.rules, 2);
        assert_eq!(imported.left_out, ["shed-file: for paths alone"]);
        let before = load::from_text(CONFIGURATION).unwrap();
        let after = load::from_text(&imported.text).unwrap();
        let told = |set: &RuleSet, id: &str| {
            let rule = set.rule(set.named(id).unwrap()).unwrap();
            (rule.regex(), rule.keywords.clone(), rule.severity, rule.specificity, rule.requires.clone())
        };
        for id in ["shed-key", "shed-pair"] {
            assert_eq!(told(&before, id), told(&after, id), "{}", imported.text);
        }
        assert!(!imported.text.contains("commits") && imported.text.contains("stopwords"));
        // Once more changes nothing but the line that says where it comes from.
        let again = import("shed.toml", &imported.text).unwrap();
        assert_eq!(again.text.replace("# shed\n", ""), imported.text.replace("# shed\n", ""));
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_line() {
        for (text, line) in [("[[rules]]\nid = \"a\"\nregex = '''('''\n", 3), ("[[rules]\n", 1)] {
            let error = import("shed.toml", text).unwrap_err();
            assert_eq!(error.faults.first().map(|fault| fault.line), Some(line), "{error}");
        }
    }
}
