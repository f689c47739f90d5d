//! Reads one rule file (leaktap's or gitleaks' TOML); every fault is told with its line.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::{Confidence, Severity, Surface};

use super::allow::{Allowlist, Stopwords, Target};
use super::check::Check;
use super::definition::{Examples, StatusFilter, SurfaceSet};
use super::gitleaks;
use super::pattern::Pattern;

mod betterleaks;
pub(super) use betterleaks::{Drops, drops};

/// What is wrong with rule files.
#[derive(Debug, thiserror::Error)]
pub struct RuleError {
    /// Every fault, by file and line.
    pub faults: Vec<Fault>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(fault, f)?;
        }
        Ok(())
    }
}

/// One fault of a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line in it, 1-based; 0 where the file as a whole is meant.
    pub line: u32,
    /// The rule, where one is meant.
    pub rule: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// `file:line: rule: reason`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(rule) = &self.rule {
            write!(f, ": {rule}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    pub(super) rules: Vec<Draft>,
    /// For every rule of the file, and of those it extends.
    pub(super) allowlists: Vec<Allowlist>,
    pub(super) extend: Option<Extend>,
}

/// gitleaks' `[extend]`.
#[derive(Debug, Default)]
pub(super) struct Extend {
    pub(super) line: u32,
    pub(super) path: Option<String>,
    pub(super) use_default: bool,
    pub(super) disabled: Vec<String>,
}

/// A rule as a file writes it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) file: String,
    pub(super) line: u32,
    /// Whether it uses keys of leaktap.
    pub(super) own: bool,
    pub(super) description: Option<String>,
    pub(super) regex: Option<Pattern>,
    pub(super) group: Option<usize>,
    pub(super) keywords: Vec<String>,
    pub(super) entropy: Option<f32>,
    pub(super) path: Option<Pattern>,
    pub(super) tags: Vec<String>,
    pub(super) allowlists: Vec<Allowlist>,
    pub(super) skip_report: bool,
    pub(super) severity: Option<Severity>,
    pub(super) confidence: Option<Confidence>,
    pub(super) surfaces: Option<SurfaceSet>,
    pub(super) names: Option<Pattern>,
    pub(super) checks: Vec<Check>,
    pub(super) cwe: Vec<String>,
    pub(super) specificity: Option<i32>,
    pub(super) status: Option<StatusFilter>,
    pub(super) content_types: Vec<String>,
    pub(super) requires: Vec<String>,
    pub(super) requires_line: u32,
    pub(super) advice: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) examples: Examples,
}

/// Reads a file's text; faults are appended.
pub(super) fn read(file: &str, text: &str, faults: &mut Vec<Fault>) -> RuleFile {
    let mut reader = Reader {
        file,
        line_starts: std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect(),
        rule: None,
        faults,
    };
    match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            reader.fault(
                &error.span().unwrap_or(0..0),
                format!("TOML: {}", error.message().replace('\n', ", ")),
            );
            RuleFile::default()
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    line_starts: Vec<usize>,
    rule: Option<String>,
    faults: &'a mut Vec<Fault>,
}

type Value<'i> = Spanned<DeValue<'i>>;
type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> RuleFile {
        let mut read = RuleFile::default();
        for (key, value) in in_order(document) {
            match key.get_ref().to_ascii_lowercase().as_str() {
                "title" | "description" | "minversion" | "betterleaksminversion" | "prefilter" => {
                    self.string(value);
                }
                "filter" => {
                    if let Some(filter) = self.string(value) {
                        let (list, _) = self.dropped(value, &filter);
                        read.allowlists.extend(list);
                    }
                }
                "rules" => {
                    for rule in self.tables(key, value) {
                        let draft = self.rule(key, &rule);
                        read.rules.extend(draft);
                    }
                }
                "allowlist" | "allowlists" => {
                    for list in self.tables(key, value) {
                        read.allowlists.push(self.allowlist(&list));
                    }
                }
                "extend" => read.extend = self.extend(key, value),
                _ => self.unknown(key, &["rules", "allowlist", "extend"]),
            }
        }
        self.duplicates(&read.rules);
        read
    }

    fn duplicates(&mut self, rules: &[Draft]) {
        let mut first = std::collections::HashMap::new();
        for rule in rules {
            if let Some(line) = first.insert(rule.id.as_str(), rule.line) {
                self.faults.push(Fault {
                    file: self.file.to_owned(),
                    line: rule.line,
                    rule: Some(rule.id.clone()),
                    reason: format!("the id is used twice, first in line {line}"),
                });
            }
        }
    }

    fn extend(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Extend> {
        let table = self.table(value)?;
        let mut extend = Extend { line: self.line(&key.span()), ..Extend::default() };
        for (key, value) in in_order(table) {
            match key.get_ref().to_ascii_lowercase().as_str() {
                "path" => extend.path = self.string(value),
                "usedefault" => extend.use_default = self.boolean(value).unwrap_or(false),
                "disabledrules" => extend.disabled = self.strings(value),
                "url" => self.fault(&key.span(), "rules are not fetched: name a file with `path`".to_owned()),
                _ => self.unknown(key, &["path", "useDefault", "disabledRules"]),
            }
        }
        Some(extend)
    }

    fn rule(&mut self, rules: &Key<'_>, table: &Spanned<&DeTable<'_>>) -> Option<Draft> {
        let id =
            in_order(table.get_ref()).into_iter().find(|(key, _)| key.get_ref().eq_ignore_ascii_case("id"));
        let span = if table.span().is_empty() { rules.span() } else { table.span() };
        let Some((key, value)) = id else {
            self.fault(&span, "a rule without `id`".to_owned());
            return None;
        };
        let line = self.line(&key.span());
        let id = self.string(value)?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.fault(
                &value.span(),
                format!("the id {id:?} is not made of printable letters without spaces"),
            );
            return None;
        }
        self.rule = Some(id.clone());
        let mut draft = Draft { id, line, file: self.file.to_owned(), ..Draft::default() };
        let faults = self.faults.len();
        let mut group = None;
        for (key, value) in in_order(table.get_ref()) {
            let known = self.gitleaks_key(&mut draft, key, value, &mut group)
                || self.betterleaks_key(&mut draft, key, value);
            if !known {
                self.own_key(&mut draft, key, value);
            }
        }
        if let Some((group, span)) = group {
            let groups = draft.regex.as_ref().map_or(group, Pattern::groups);
            if group > groups {
                self.fault(&span, format!("`secretGroup` is {group}, the regex has {groups} groups"));
            }
            draft.group = Some(group);
        }
        self.rule = None;
        (self.faults.len() == faults).then_some(draft)
    }

    /// A key that gitleaks knows. `false`: it does not.
    fn gitleaks_key(
        &mut self,
        draft: &mut Draft,
        key: &Key<'_>,
        value: &Value<'_>,
        group: &mut Option<(usize, Range<usize>)>,
    ) -> bool {
        match key.get_ref().to_ascii_lowercase().as_str() {
            "id" => {}
            "description" => draft.description = self.string(value),
            "regex" => draft.regex = self.pattern(value, |text| gitleaks::translate(&gitleaks::widen(text))),
            "secretgroup" | "valuegroup" => {
                let number = self.integer(value, 0..=1000);
                *group = number
                    .and_then(|number| usize::try_from(number).ok())
                    .map(|number| (number, value.span()));
            }
            "keywords" => {
                draft.keywords = self.strings(value).iter().map(|word| word.to_ascii_lowercase()).collect();
                if draft.keywords.iter().any(String::is_empty) {
                    self.fault(&value.span(), "an empty keyword".to_owned());
                }
            }
            "entropy" => draft.entropy = self.number(value),
            "path" => draft.path = self.pattern(value, gitleaks::translate),
            "tags" => draft.tags = self.strings(value),
            "allowlist" | "allowlists" => {
                for list in self.tables(key, value) {
                    let list = self.allowlist(&list);
                    draft.allowlists.push(list);
                }
            }
            "skipreport" => draft.skip_report = self.boolean(value).unwrap_or(false),
            "required" | "components" => {
                draft.requires_line = self.line(&key.span());
                for required in self.tables(key, value) {
                    let (mut id, mut optional) = (None, false);
                    for (key, value) in in_order(required.get_ref()) {
                        match key.get_ref().to_ascii_lowercase().as_str() {
                            "id" => id = self.string(value),
                            "optional" => optional = self.boolean(value).unwrap_or(false),
                            "withinlines" | "withincolumns" => {
                                self.integer(value, 0..=i64::MAX);
                            }
                            "within" => {
                                self.string(value);
                            }
                            _ => self.unknown(key, &["id", "withinLines", "withinColumns"]),
                        }
                    }
                    draft.requires.extend(id.filter(|_| !optional));
                }
            }
            _ => return false,
        }
        true
    }

    fn own_key(&mut self, draft: &mut Draft, key: &Key<'_>, value: &Value<'_>) {
        draft.own = true;
        match key.get_ref().as_ref() {
            "severity" => {
                let levels = Severity::ALL.map(|level| (level.as_str(), level));
                draft.severity = self.one_of(value, &levels);
            }
            "surfaces" => draft.surfaces = self.surfaces(value),
            "names" => draft.names = self.pattern(value, gitleaks::translate),
            "checks" => {
                for text in self.spanned_strings(value) {
                    match Check::parse(text.get_ref()) {
                        Ok(check) => draft.checks.push(check),
                        Err(reason) => self.fault(&text.span(), reason),
                    }
                }
            }
            "cwe" => {
                for text in self.spanned_strings(value) {
                    let number = text.get_ref().strip_prefix("CWE-").unwrap_or_default();
                    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                        self.fault(
                            &text.span(),
                            format!("{:?} is no weakness: it reads `CWE-798`", text.get_ref()),
                        );
                    }
                    draft.cwe.push(text.into_inner());
                }
            }
            "status" => {
                let texts = self.strings(value);
                draft.status = StatusFilter::parse(&texts);
                if draft.status.is_none() {
                    self.fault(
                        &value.span(),
                        format!("{} is no status: it reads `5xx` or `404`", texts.join(", ")),
                    );
                }
            }
            "content_types" => {
                draft.content_types =
                    self.strings(value).iter().map(|kind| kind.to_ascii_lowercase()).collect();
            }
            "requires" => {
                draft.requires_line = self.line(&key.span());
                draft.requires = self.strings(value);
            }
            "advice" => draft.advice = self.string(value),
            "references" => draft.references = self.strings(value),
            "examples" => {
                let Some(table) = self.table(value) else { return };
                for (key, value) in in_order(table) {
                    match key.get_ref().as_ref() {
                        "leak" => draft.examples.leak = self.strings(value),
                        "fine" => draft.examples.fine = self.strings(value),
                        _ => self.unknown(key, &["leak", "fine"]),
                    }
                }
            }
            _ => self.unknown(
                key,
                &[
                    "id",
                    "description",
                    "regex",
                    "secretGroup",
                    "keywords",
                    "entropy",
                    "path",
                    "tags",
                    "allowlists",
                    "skipReport",
                    "required",
                    "severity",
                    "confidence",
                    "surfaces",
                    "names",
                    "checks",
                    "cwe",
                    "specificity",
                    "status",
                    "content_types",
                    "requires",
                    "advice",
                    "references",
                    "examples",
                ],
            ),
        }
    }

    fn allowlist(&mut self, table: &Spanned<&DeTable<'_>>) -> Allowlist {
        let mut list = Allowlist::default();
        for (key, value) in in_order(table.get_ref()) {
            match key.get_ref().to_ascii_lowercase().as_str() {
                "description" | "id" => {
                    self.string(value);
                }
                "condition" => {
                    let conditions = [("or", false), ("||", false), ("and", true), ("&&", true)];
                    list.all = self.one_of(value, &conditions).unwrap_or(false);
                }
                "regextarget" => {
                    let targets =
                        [("secret", Target::Secret), ("match", Target::Match), ("line", Target::Line)];
                    list.target = self.one_of(value, &targets).unwrap_or_default();
                }
                "regexes" => list.regexes = self.patterns(value, gitleaks::allowlist),
                "paths" => list.paths = self.patterns(value, gitleaks::translate),
                "stopwords" => {
                    let words = self.strings(value).into_iter().filter(|word| !word.is_empty()).collect();
                    list.stopwords = Stopwords::new(words);
                }
                "commits" => list.commits = !self.strings(value).is_empty(),
                "targetrules" => list.rules = self.strings(value),
                _ => self.unknown(
                    key,
                    &[
                        "description",
                        "condition",
                        "regexTarget",
                        "regexes",
                        "paths",
                        "stopwords",
                        "commits",
                        "targetRules",
                    ],
                ),
            }
        }
        list
    }

    fn surfaces(&mut self, value: &Value<'_>) -> Option<SurfaceSet> {
        let mut set = SurfaceSet::NONE;
        for text in self.spanned_strings(value) {
            if text.get_ref() == "any" {
                set = SurfaceSet::ANY;
            } else if let Some(surface) = Surface::named(text.get_ref()) {
                set = set.with(surface);
            } else {
                let known: Vec<&str> = Surface::ALL.into_iter().map(Surface::as_str).collect();
                self.fault(
                    &text.span(),
                    format!("unknown surface {:?} (there are any, {})", text.get_ref(), known.join(", ")),
                );
            }
        }
        if set == SurfaceSet::NONE {
            self.fault(&value.span(), "no surface is named".to_owned());
        }
        Some(set)
    }

    fn pattern(&mut self, value: &Value<'_>, translate: fn(&str) -> String) -> Option<Pattern> {
        let text = self.string(value)?;
        if text.is_empty() {
            return None;
        }
        match Pattern::new(translate(&text)) {
            Ok(pattern) => Some(pattern),
            Err(reason) => {
                self.fault(&value.span(), format!("regex: {reason}"));
                None
            }
        }
    }

    fn patterns(&mut self, value: &Value<'_>, translate: fn(&str) -> String) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for text in self.spanned_strings(value) {
            match Pattern::new(translate(text.get_ref())) {
                Ok(mut pattern) => {
                    pattern.forget();
                    patterns.push(pattern);
                }
                Err(reason) => self.fault(&text.span(), format!("regex: {reason}")),
            }
        }
        patterns
    }

    fn one_of<T: Copy>(&mut self, value: &Value<'_>, known: &[(&str, T)]) -> Option<T> {
        let text = self.string(value)?;
        let found = known.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
            self.fault(&value.span(), format!("{text:?} is none of {}", names.join(", ")));
        }
        found.map(|&(_, known)| known)
    }

    fn string(&mut self, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        self.wanted(text, value, "a string")
    }

    fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        self.wanted(value.get_ref().as_bool(), value, "true or false")
    }

    fn integer(&mut self, value: &Value<'_>, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        self.wanted(number, value, &format!("a whole number of {} to {}", range.start(), range.end()))
    }

    fn number(&mut self, value: &Value<'_>) -> Option<f32> {
        let text = match value.get_ref() {
            DeValue::Float(number) => Some(number.as_str()),
            DeValue::Integer(number) => Some(number.as_str()),
            _ => None,
        };
        let number = text.and_then(|text| text.parse::<f32>().ok()).filter(|number| number.is_finite());
        self.wanted(number, value, "a number")
    }

    /// A list of strings, or one.
    fn strings(&mut self, value: &Value<'_>) -> Vec<String> {
        self.spanned_strings(value).into_iter().map(Spanned::into_inner).collect()
    }

    fn spanned_strings(&mut self, value: &Value<'_>) -> Vec<Spanned<String>> {
        let Some(list) = value.get_ref().as_array() else {
            return self.string(value).map(|text| Spanned::new(value.span(), text)).into_iter().collect();
        };
        list.iter()
            .filter_map(|entry| self.string(entry).map(|text| Spanned::new(entry.span(), text)))
            .collect()
    }

    fn table<'v, 'i>(&mut self, value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
        self.wanted(value.get_ref().as_table(), value, "a table")
    }

    /// A list of tables, or one.
    fn tables<'v, 'i>(&mut self, key: &Key<'_>, value: &'v Value<'i>) -> Vec<Spanned<&'v DeTable<'i>>> {
        match value.get_ref() {
            DeValue::Table(table) => vec![Spanned::new(value.span(), table)],
            DeValue::Array(list) => list
                .iter()
                .filter_map(|entry| self.table(entry).map(|table| Spanned::new(entry.span(), table)))
                .collect(),
            _ => {
                self.fault(&key.span(), format!("`{}` has to be a table, or a list of them", key.get_ref()));
                Vec::new()
            }
        }
    }

    fn wanted<T>(&mut self, found: Option<T>, value: &Value<'_>, wanted: &str) -> Option<T> {
        if found.is_none() {
            self.fault(&value.span(), format!("{wanted} is wanted here, not {}", value.get_ref().type_str()));
        }
        found
    }

    fn unknown(&mut self, key: &Key<'_>, known: &[&str]) {
        self.fault(&key.span(), format!("unknown key `{}` (there are {})", key.get_ref(), known.join(", ")));
    }

    fn fault(&mut self, span: &Range<usize>, reason: String) {
        let line = self.line(span);
        self.faults.push(Fault { file: self.file.to_owned(), line, rule: self.rule.clone(), reason });
    }

    fn line(&self, span: &Range<usize>) -> u32 {
        u32::try_from(self.line_starts.partition_point(|&start| start <= span.start)).unwrap_or(u32::MAX)
    }
}

/// The entries as they stand in the file.
fn in_order<'v, 'i>(table: &'v DeTable<'i>) -> Vec<(&'v Key<'i>, &'v Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
