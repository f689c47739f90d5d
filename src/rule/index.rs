//! Which rules a field is worth trying: one automaton over all keywords, and the rules that need none.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::Field;

use super::check::Does;
use super::definition::Rule;
use super::guard::{Guard, Part};
use super::pattern::Plan;
use super::walk::Automaton;
use crate::model::Surface;

/// Shortest keyword that is derived from a pattern.
const SHORTEST_DERIVED: usize = 3;

/// See the module.
pub(super) struct Index {
    automaton: Automaton,
    /// By keyword.
    entries: Vec<Vec<Entry>>,
    /// By keyword: when the pre-pass counts it in any part of a message, and in a body.
    guards: Vec<(Guard, Guard)>,
    /// Rules without keywords whose `names` decides.
    named: Vec<u32>,
    /// Rules without keywords that a gate lets in.
    gated: Vec<u32>,
    /// Rules that nothing leads to.
    always: Vec<u32>,
}

/// What a keyword leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    rule: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A match begins so many bytes before the keyword.
    Start(usize),
    /// A match begins at most so many bytes before it.
    Near(usize),
    /// The whole value has to be looked at.
    Value,
    /// The regex begins with another keyword: this one counts in names alone.
    NameOnly,
}

/// A rule worth trying, and where. Ordered by rule, then by way and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) rule: u32,
    pub(super) way: Way,
}

/// How a rule is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The regex, begun here.
    Start(usize),
    /// The regex, searched from here on; the keyword stands at the second place.
    Near(usize, usize),
    /// The whole value.
    Value,
    /// Name and value written as `name = "value"`, the regex begun here in the name.
    NameStart(usize),
    /// The same, searched.
    Name,
}

/// A keyword in bytes of at most 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// Which it is.
    keyword: u32,
}

/// How far before a keyword a match may begin where nobody knows better.
const BEFORE: usize = 256;

impl Index {
    /// Of these rules. Their patterns are told where they begin, and keywords are derived where none are given.
    ///
    /// # Errors
    /// The keywords are too many.
    pub(super) fn new(rules: &mut [Rule]) -> Result<Self, String> {
        let mut index = Self {
            automaton: Automaton::new(&[])?,
            entries: Vec::new(),
            guards: Vec::new(),
            named: Vec::new(),
            gated: Vec::new(),
            always: Vec::new(),
        };
        let mut keywords: Vec<String> = Vec::new();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (number, rule) in rules.iter_mut().enumerate().filter(|(_, rule)| !rule.inert) {
            let number = u32::try_from(number).map_err(|_| "too many rules".to_owned())?;
            if rule.keywords.is_empty() {
                rule.keywords = derived(rule);
            }
            if rule.keywords.is_empty() {
                let list = if rule.is_gated() {
                    &mut index.gated
                } else if rule.names.is_some() {
                    &mut index.named
                } else {
                    &mut index.always
                };
                list.push(number);
                continue;
            }
            let in_bodies =
                rule.surfaces.contains(Surface::RequestBody) || rule.surfaces.contains(Surface::ResponseBody);
            for (keyword, place, guard) in places(rule) {
                let at = *numbers.entry(keyword.clone()).or_insert_with(|| {
                    keywords.push(keyword);
                    index.entries.push(Vec::new());
                    index.guards.push((Guard::Never, Guard::Never));
                    keywords.len() - 1
                });
                if let Some(entries) = index.entries.get_mut(at) {
                    entries.push(Entry { rule: number, place });
                }
                if let Some((any, body)) = index.guards.get_mut(at) {
                    *any = any.or(guard);
                    *body = if in_bodies { body.or(guard) } else { *body };
                }
            }
        }
        rules.iter_mut().for_each(Rule::forget_patterns);
        index.automaton = Automaton::new(&keywords)?;
        Ok(index)
    }

    pub(super) fn is_exhaustive(&self) -> bool {
        !self.always.is_empty()
    }

    /// See [`super::RuleSet::scan_part`].
    pub(super) fn scan(
        &self,
        bytes: &[u8],
        stretch: Range<usize>,
        part: Part,
        found: &mut Vec<Occurrence>,
    ) -> bool {
        let first = found.len();
        let mut any = false;
        self.automaton.walk(bytes.get(stretch.clone()).unwrap_or_default(), &mut |keyword, at| {
            any = true;
            let Some((everywhere, body)) = self.guards.get(keyword as usize) else { return };
            let guard = if part == Part::Body { body } else { everywhere };
            let start = stretch.start + at;
            let end = start + self.automaton.length(keyword);
            if guard.lets_pass(bytes, start, end) {
                found.push(Occurrence { start: start as u32, end: end as u32, keyword });
            }
        });
        if found.len() > first + 1 {
            found.get_mut(first..).into_iter().for_each(<[_]>::sort_unstable);
            found.dedup();
        }
        any
    }

    /// Whether one of the keywords leads to a rule of which `is` holds.
    pub(super) fn leads_to(&self, found: &[Occurrence], is: impl Fn(u32) -> bool) -> bool {
        let entries = found.iter().filter_map(|found| self.entries.get(found.keyword as usize)).flatten();
        entries.map(|entry| entry.rule).any(is)
    }

    /// Rules worth trying on a field, sorted, without repeats. `name` is the one that rules see. `known` are the
    /// keywords in the value, where they are known, their places counted from `origin`.
    pub(super) fn hits(
        &self,
        field: &Field<'_>,
        name: Option<&str>,
        rules: &[Rule],
        known: Option<(&[Occurrence], usize)>,
        hits: &mut Vec<Hit>,
    ) {
        match known {
            Some((known, origin)) => {
                for found in known {
                    self.in_value(found.keyword, (found.start as usize).saturating_sub(origin), hits);
                }
            }
            None => {
                self.automaton.walk(&field.value, &mut |keyword, start| self.in_value(keyword, start, hits))
            }
        }
        if let Some(name) = name {
            self.automaton.walk(name.as_bytes(), &mut |keyword, start| {
                for entry in self.entries.get(keyword as usize).into_iter().flatten() {
                    let named = rules.get(entry.rule as usize).is_some_and(|rule| rule.names.is_some());
                    let mut hit = |way| hits.push(Hit { rule: entry.rule, way });
                    match entry.place {
                        Place::Value => hit(Way::Value),
                        Place::Near(_) if named => hit(Way::Value),
                        Place::Near(_) => {
                            hit(Way::Value);
                            hit(Way::Name);
                        }
                        Place::Start(_) | Place::NameOnly if named => {}
                        Place::Start(offset) => {
                            if let Some(at) = start.checked_sub(offset) {
                                hit(Way::NameStart(at));
                            }
                        }
                        Place::NameOnly => {}
                    }
                }
            });
            hits.extend(self.named.iter().map(|&rule| Hit { rule, way: Way::Value }));
        }
        let gate_open = |rule: &&u32| rules.get(**rule as usize).is_some_and(|rule| is_let_in(rule, field));
        hits.extend(self.gated.iter().filter(gate_open).map(|&rule| Hit { rule, way: Way::Value }));
        hits.extend(self.always.iter().map(|&rule| Hit { rule, way: Way::Value }));
        if hits.len() > 1 {
            hits.sort_unstable();
            hits.dedup();
        }
    }

    /// A keyword begins at `start` of a value.
    fn in_value(&self, keyword: u32, start: usize, hits: &mut Vec<Hit>) {
        for entry in self.entries.get(keyword as usize).into_iter().flatten() {
            let way = match entry.place {
                Place::Start(offset) => match start.checked_sub(offset) {
                    Some(at) => Way::Start(at),
                    None => continue,
                },
                Place::Near(before) => Way::Near(start.saturating_sub(before), start),
                Place::Value => Way::Value,
                Place::NameOnly => continue,
            };
            hits.push(Hit { rule: entry.rule, way });
        }
    }
}

/// Whether one of the rule's gates of each name lets the field in.
pub(super) fn is_let_in(rule: &Rule, field: &Field<'_>) -> bool {
    let mut has_gate = false;
    for check in &rule.checks {
        if let Does::Gate(gate) = check.does {
            has_gate = true;
            if gate(&field.origin, check.word()) {
                return true;
            }
        }
    }
    !has_gate
}

/// Keywords of a rule that gives none: those of its structure, of its names, of its regex.
fn derived(rule: &Rule) -> Vec<String> {
    if rule.is_gated() {
        return Vec::new();
    }
    let structure: Vec<String> = rule
        .checks
        .iter()
        .filter_map(|check| match check.does {
            Does::Structure { words, .. } => Some(words.iter().map(|&word| word.to_owned())),
            _ => None,
        })
        .flatten()
        .collect();
    if !structure.is_empty() {
        return structure;
    }
    let words = |pattern: &super::pattern::Pattern| pattern.words(SHORTEST_DERIVED);
    rule.regex.as_ref().and_then(words).or_else(|| rule.names.as_ref().and_then(words)).unwrap_or_default()
}

/// For each keyword where it leads, and when the pre-pass counts it.
fn places(rule: &mut Rule) -> Vec<(String, Place, Guard)> {
    let keywords = rule.keywords.clone();
    let assigned = rule.checks.iter().find_map(Guard::of);
    let guard = |keyword: &str, otherwise: Guard| match assigned {
        _ if keyword.ends_with("://") || keyword.ends_with(":\\/\\/") => Guard::Userinfo,
        Some(assigned) => assigned,
        None => otherwise,
    };
    let run = |least: usize, first: bool| Guard::Run(u8::try_from(least).unwrap_or(u8::MAX), first);
    let all = |place: Place| {
        keywords.iter().map(|keyword| (keyword.clone(), place, guard(keyword, Guard::Always))).collect()
    };
    let structural = rule.has_structure();
    let Some(regex) = &mut rule.regex else { return all(Place::Value) };
    if structural {
        return all(Place::Value);
    }
    let shortest = regex.shortest();
    let first = regex.begins_word();
    match regex.plan(&keywords) {
        Plan::Near(before, behind) => {
            let mut places: Vec<_> = all(Place::Near(before.unwrap_or(BEFORE)));
            for (keyword, least) in behind {
                if let Some((word, _, counts)) = places.get_mut(keyword) {
                    *counts = guard(word, run(least, false));
                }
            }
            places
        }
        Plan::Start(anchors, least) => {
            let mut places: Vec<_> = anchors
                .iter()
                .filter_map(|&(keyword, offset)| {
                    let word = keywords.get(keyword)?;
                    let guard =
                        guard(word, run(least.saturating_sub(offset + word.len()), first && offset == 0));
                    Some((word.clone(), Place::Start(offset), guard))
                })
                .collect();
            for (number, keyword) in keywords.iter().enumerate() {
                if anchors.iter().all(|&(anchor, _)| anchor != number) {
                    let counts = Guard::Assigned(u8::try_from(shortest).unwrap_or(u8::MAX));
                    places.push((keyword.clone(), Place::NameOnly, guard(keyword, counts)));
                }
            }
            places
        }
    }
}
