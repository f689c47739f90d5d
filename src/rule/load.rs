//! From rule files to the rules in force: overriding, extending, and what only the whole set shows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::finding::RuleText;
use crate::model::{Confidence, Severity};

use super::allow::Allowlist;
use super::check::{Check, Does, Mark};
use super::definition::{Kind, Rule, SurfaceSet};
use super::file::{self, Draft, Fault, RuleError};
use super::index::Index;
use super::{RuleSet, check};

/// The files of `rules/`, embedded when the program was built.
const BUILTIN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/rules.rs"));
/// Bytes of one rule file.
const LARGEST_FILE: u64 = 16 << 20;
/// Files that extend each other.
const DEEPEST: usize = 8;
/// Specificity of rules that come from gitleaks and say nothing of it; its generic ones have 0.
const GITLEAKS_SPECIFICITY: i32 = 5;

/// See [`RuleSet::load`].
pub(super) fn load(builtin: bool, paths: &[PathBuf]) -> Result<RuleSet, RuleError> {
    let mut loader = Loader::default();
    if builtin {
        loader.builtin();
    }
    for path in paths {
        loader.path(path);
    }
    loader.finish()
}

/// The set of one file's text: for tests of other files.
#[cfg(test)]
pub(super) fn from_text(text: &str) -> Result<RuleSet, RuleError> {
    let mut loader = Loader::default();
    loader.text("test.toml", text, None, 0);
    loader.finish()
}

#[derive(Default)]
struct Loader {
    rules: Vec<Entry>,
    places: HashMap<String, usize>,
    with_builtin: bool,
    faults: Vec<Fault>,
}

struct Entry {
    draft: Draft,
    /// Of files.
    allowlists: Vec<Arc<Allowlist>>,
    removed: bool,
}

impl Loader {
    fn builtin(&mut self) {
        if self.with_builtin {
            return;
        }
        self.with_builtin = true;
        for (name, text) in BUILTIN {
            self.text(&format!("rules/{name}"), text, None, 0);
        }
    }

    fn path(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.file(path, 0);
        }
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.path().extension().is_some_and(|extension| extension == "toml") => {
                    files.push(entry.into_path());
                }
                Ok(_) => {}
                Err(error) => self.whole_file(path, format!("cannot read the folder: {error}")),
            }
        }
        if files.is_empty() {
            self.whole_file(path, "no *.toml in this folder".to_owned());
        }
        for file in files {
            self.file(&file, 0);
        }
    }

    fn file(&mut self, path: &Path, depth: usize) {
        let too_large = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGEST_FILE);
        if too_large {
            return self.whole_file(path, format!("larger than {} MiB", LARGEST_FILE >> 20));
        }
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(&path.display().to_string(), &text, path.parent(), depth),
            Ok(Err(_)) => self.whole_file(path, "not UTF-8".to_owned()),
            Err(error) => self.whole_file(path, format!("cannot read it: {error}")),
        }
    }

    fn text(&mut self, name: &str, text: &str, folder: Option<&Path>, depth: usize) {
        let read = file::read(name, text, &mut self.faults);
        let extends = read.extend.is_some();
        let mut disabled = Vec::new();
        if let Some(extend) = read.extend {
            if extend.use_default {
                self.builtin();
            }
            if let Some(base) = &extend.path {
                if depth >= DEEPEST {
                    self.faults.push(Fault {
                        file: name.to_owned(),
                        line: extend.line,
                        rule: None,
                        reason: format!("more than {DEEPEST} files extend each other"),
                    });
                    return;
                }
                // As gitleaks reads it, seen from here; or seen from the file.
                let beside = folder.map(|folder| folder.join(base)).filter(|path| path.exists());
                self.file(&beside.unwrap_or_else(|| PathBuf::from(base)), depth + 1);
            }
            disabled = extend.disabled;
        }
        for id in disabled {
            if let Some(entry) = self.places.get(&id).and_then(|&place| self.rules.get_mut(place)) {
                entry.removed = true;
            }
        }
        let mut own = Vec::new();
        for draft in read.rules {
            own.push(self.add(draft, extends));
        }
        for list in read.allowlists.into_iter().map(Arc::new) {
            for (place, entry) in self.rules.iter_mut().enumerate() {
                if (extends || own.contains(&place)) && list.is_for(&entry.draft.id) {
                    entry.allowlists.push(Arc::clone(&list));
                }
            }
        }
    }

    /// The place of the rule, which may have been another's.
    fn add(&mut self, draft: Draft, extends: bool) -> usize {
        let Some(&place) = self.places.get(&draft.id) else {
            let place = self.rules.len();
            self.places.insert(draft.id.clone(), place);
            self.rules.push(Entry { draft, allowlists: Vec::new(), removed: false });
            return place;
        };
        if let Some(entry) = self.rules.get_mut(place) {
            let base = std::mem::replace(&mut entry.draft, draft);
            if extends && !entry.removed {
                entry.draft.inherit(base);
            } else {
                entry.allowlists.clear();
            }
            entry.removed = false;
        }
        place
    }

    fn whole_file(&mut self, path: &Path, reason: String) {
        self.faults.push(Fault { file: path.display().to_string(), line: 0, rule: None, reason });
    }

    fn finish(mut self) -> Result<RuleSet, RuleError> {
        let entries: Vec<Entry> = self.rules.into_iter().filter(|entry| !entry.removed).collect();
        let ids: std::collections::HashSet<String> =
            entries.iter().map(|entry| entry.draft.id.clone()).collect();
        let required: std::collections::HashSet<String> =
            entries.iter().flat_map(|entry| entry.draft.requires.iter().cloned()).collect();
        let mut rules = Vec::with_capacity(entries.len());
        for Entry { draft, allowlists, .. } in entries {
            let mut fault = |line: u32, reason: String| {
                self.faults.push(Fault {
                    file: draft.file.clone(),
                    line,
                    rule: Some(draft.id.clone()),
                    reason,
                });
            };
            for required in draft.requires.iter().filter(|required| !ids.contains(*required)) {
                fault(draft.requires_line, format!("requires the rule `{required}`, which does not exist"));
            }
            if draft.is_empty() {
                fault(draft.line, "needs a regex, names, or a check that finds by itself".to_owned());
            }
            let is_required = required.contains(&draft.id);
            rules.push(rule(draft, allowlists, is_required));
        }
        let index = Index::new(&mut rules);
        if let Err(reason) = &index {
            self.faults.push(Fault { file: "rules".to_owned(), line: 0, rule: None, reason: reason.clone() });
        }
        match index {
            Ok(index) if self.faults.is_empty() => Ok(RuleSet { rules, index }),
            _ => {
                self.faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
                Err(RuleError { faults: self.faults })
            }
        }
    }
}

impl Draft {
    /// Takes what it does not say itself from the rule it extends.
    fn inherit(&mut self, base: Self) {
        self.own |= base.own;
        self.description = self.description.take().or(base.description);
        if self.regex.is_none() {
            self.regex = base.regex;
            self.group = self.group.or(base.group);
        }
        self.entropy = self.entropy.or(base.entropy);
        self.path = self.path.take().or(base.path);
        self.severity = self.severity.or(base.severity);
        self.confidence = self.confidence.or(base.confidence);
        self.surfaces = self.surfaces.or(base.surfaces);
        self.names = self.names.take().or(base.names);
        self.specificity = self.specificity.or(base.specificity);
        self.status = self.status.take().or(base.status);
        self.advice = self.advice.take().or(base.advice);
        self.skip_report |= base.skip_report;
        fn join<T>(own: &mut Vec<T>, base: Vec<T>) {
            let added = std::mem::replace(own, base);
            own.extend(added);
        }
        join(&mut self.keywords, base.keywords);
        join(&mut self.tags, base.tags);
        join(&mut self.allowlists, base.allowlists);
        join(&mut self.checks, base.checks);
        join(&mut self.cwe, base.cwe);
        join(&mut self.references, base.references);
        join(&mut self.content_types, base.content_types);
        if self.requires.is_empty() {
            self.requires = base.requires;
            self.requires_line = self.line;
        }
        join(&mut self.examples.leak, base.examples.leak);
        join(&mut self.examples.fine, base.examples.fine);
    }

    /// Whether nothing says what it finds. Rules of gitleaks for paths alone are let pass: they find nothing here.
    fn is_empty(&self) -> bool {
        self.regex.is_none()
            && self.names.is_none()
            && self.path.is_none()
            && !self.checks.iter().any(finds_by_itself)
    }
}

fn finds_by_itself(check: &Check) -> bool {
    matches!(check.does, Does::Structure { .. } | Does::Gate(_) | Does::Mark(Mark::Signal))
}

fn rule(draft: Draft, allowlists: Vec<Arc<Allowlist>>, is_required: bool) -> Rule {
    let marked = |mark: Mark| {
        draft.checks.iter().any(|check| matches!(check.does, Does::Mark(found) if found == mark))
    };
    let structural =
        draft.checks.iter().any(|check: &check::Check| matches!(check.does, Does::Structure { .. }));
    let specificity = draft.specificity.unwrap_or(match draft.own {
        false if !draft.id.starts_with("generic") => GITLEAKS_SPECIFICITY,
        _ => 0,
    });
    let signal = marked(Mark::Signal);
    let finds = draft.regex.is_some() || draft.names.is_some() || draft.checks.iter().any(finds_by_itself);
    let mut regex = draft.regex;
    if let (Some(regex), Some(group)) = (&mut regex, draft.group) {
        regex.group = group;
    }
    let mut keywords = draft.keywords;
    keywords.sort();
    keywords.dedup();
    let has_value = regex.is_some() || (draft.names.is_some() && !structural);
    Rule {
        severity: draft.severity.unwrap_or(Severity::High),
        confidence: draft.confidence.unwrap_or(Confidence::Medium),
        surfaces: draft.surfaces.unwrap_or(SurfaceSet::ANY),
        keywords,
        specificity,
        password: marked(Mark::Password),
        once_per_host: marked(Mark::OncePerHost),
        remote: marked(Mark::Remote),
        whole: marked(Mark::Whole),
        many: draft.checks.iter().find_map(Check::many).unwrap_or(1),
        kind: Kind::of(&draft.checks, has_value),
        signal,
        silent: draft.skip_report,
        inert: draft.skip_report && !is_required
            || !finds
            || (signal && regex.is_none() && draft.names.is_none()),
        text: Arc::new(RuleText {
            title: draft.description.unwrap_or_else(|| draft.id.clone()),
            id: draft.id,
            cwe: draft.cwe,
            advice: draft.advice,
            checks: draft.checks.iter().map(|check| format!("{check:?}")).collect(),
        }),
        file: draft.file,
        line: draft.line,
        requires: draft.requires,
        references: draft.references,
        tags: draft.tags,
        examples: draft.examples,
        regex,
        names: draft.names,
        path: draft.path,
        entropy: draft.entropy,
        checks: draft.checks,
        allowlists: draft.allowlists.into_iter().map(Arc::new).chain(allowlists).collect(),
        status: draft.status,
        content_types: draft.content_types,
    }
}
