//! Tries rules on one field: gates, regex, allowlists, checks; and settles what overlaps.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::message::Origin;
use crate::model::{Confidence, Field, Surface};

use super::allow;
use super::check::{Check, Does, Page, Subject, Verdict};
use super::definition::Rule;
use super::index::{self, Hit, Occurrence, Way};
use super::pattern::{Found, Pattern};
use super::{Context, Match, RuleId, RuleSet, Suppressed};

/// A value up to this length is looked at whole around a keyword.
const SHORT: usize = 1024;
/// Bytes behind a keyword in which a search may end, and those for patterns begun at their keyword.
const SEARCH: usize = 4 * 1024;
const BEGUN: usize = 16 * 1024;
/// Attempts of one rule that may fail after looking so far; those behind them look at so
/// many bytes more than the shortest match has.
const FAR_ATTEMPTS: usize = 64;
const NEAR: usize = 64;
/// The longest value that a name alone makes a secret, and that is written out with its name.
const NAMED_VALUE: usize = 8 * 1024;
/// Bytes of a value that a keyword in the name leads to.
const LED_BY_NAME: usize = 64 * 1024;

/// See [`RuleSet::field`].
pub(super) fn field(
    set: &RuleSet,
    field: &Field<'_>,
    known: Option<(&[Occurrence], usize)>,
    context: &Context<'_>,
    out: &mut Vec<Match>,
    suppressed: Option<&mut Vec<Suppressed>>,
) {
    let mut hits = Vec::new();
    set.index.hits(field, field.rule_name(), &set.rules, known, &mut hits);
    if hits.is_empty() {
        return;
    }
    let mut attempt = Attempt { field, context, found: Vec::new(), suppressed };
    for hits in hits.chunk_by(|a, b| a.rule == b.rule) {
        let Some(number) = hits.first().map(|hit| hit.rule) else { continue };
        if let Some(rule) = set.rules.get(number as usize) {
            attempt.rule(RuleId(number), rule, hits);
        }
    }
    let Attempt { found, suppressed, .. } = attempt;
    settle(set, found, out, suppressed);
}

/// What one rule finds, whatever others find: for its examples.
pub(super) fn alone(set: &RuleSet, id: RuleId, field: &Field<'_>, context: &Context<'_>) -> Vec<Match> {
    let mut hits = Vec::new();
    set.index.hits(field, field.rule_name(), &set.rules, None, &mut hits);
    hits.retain(|hit| hit.rule == id.0);
    let mut attempt = Attempt { field, context, found: Vec::new(), suppressed: None };
    if let (Some(rule), false) = (set.rule(id), hits.is_empty()) {
        attempt.rule(id, rule, &hits);
    }
    attempt.found
}

struct Attempt<'a, 'f> {
    field: &'a Field<'f>,
    context: &'a Context<'a>,
    found: Vec<Match>,
    suppressed: Option<&'a mut Vec<Suppressed>>,
}

impl Attempt<'_, '_> {
    fn rule(&mut self, id: RuleId, rule: &Rule, hits: &[Hit]) {
        if !is_in_place(rule, self.field, self.context) {
            return;
        }
        let mut detail = None;
        if rule.has_structure() {
            let mut pages = Vec::new();
            for check in &rule.checks {
                if let Does::Structure { find, .. } = check.does {
                    find(&self.field.value, &mut pages);
                }
            }
            if rule.regex.is_none() {
                pages.into_iter().for_each(|page| self.page(id, rule, page));
                return;
            }
            let Some(page) = pages.into_iter().next() else { return };
            detail = Some(page.detail);
        }
        let before = self.found.len();
        match &rule.regex {
            Some(regex) => self.search(id, rule, regex, hits),
            None => self.whole_value(id, rule),
        }
        for found in self.found.iter_mut().skip(before) {
            found.detail.clone_from(&detail);
        }
    }

    fn page(&mut self, id: RuleId, rule: &Rule, page: Page) {
        let mut confidence = rule.confidence;
        let mut reasons = Vec::new();
        if !page.complete {
            confidence = lower(confidence);
            reasons.push(Cow::Borrowed("lowered: cut off"));
        }
        self.found.push(Match {
            rule: id,
            kind: rule.kind,
            secret: page.range.start..page.range.start,
            replaced: None,
            whole: page.range,
            severity: rule.severity,
            confidence,
            reasons,
            detail: Some(page.detail),
        });
    }

    /// Rules that go by the name alone.
    fn whole_value(&mut self, id: RuleId, rule: &Rule) {
        let value = &self.field.value;
        let is_user = matches!(self.field.origin, Origin::User(_)) && !rule.is_gated();
        if value.len() > NAMED_VALUE || is_user || self.field.origin == Origin::Text {
            return;
        }
        let start = value.len() - value.trim_ascii_start().len();
        let range = start..start + value.trim_ascii().len();
        self.judge(id, rule, Found { whole: range.clone(), secret: range });
    }

    fn search(&mut self, id: RuleId, rule: &Rule, regex: &Pattern, hits: &[Hit]) {
        let value: &[u8] = &self.field.value;
        let (mut done, mut any, mut failed) = (0, false, 0);
        let mut stretch: Option<Range<usize>> = None;
        for hit in hits {
            let next = match hit.way {
                Way::Start(at) if at >= done => {
                    match begun(regex, value, at, failed) {
                        Some(found) => {
                            done = found.whole.end.max(at + 1);
                            any = true;
                            self.judge(id, rule, found);
                        }
                        None => failed += 1,
                    }
                    continue;
                }
                Way::Near(from, keyword) if value.len() > SHORT => {
                    let reach = regex.longest().map_or(SEARCH, |longest| longest.min(BEGUN));
                    from..value.len().min(keyword.saturating_add(reach))
                }
                Way::Near(..) => 0..value.len(),
                Way::Value if rule.has_structure() || rule.keywords.is_empty() => 0..value.len(),
                Way::Value => 0..value.len().min(LED_BY_NAME),
                Way::Start(_) | Way::NameStart(_) | Way::Name => continue,
            };
            // Stretches that touch are searched as one.
            stretch = match stretch.take() {
                Some(before) if next.start <= before.end => Some(before.start..before.end.max(next.end)),
                Some(before) => {
                    any |= self.stretch(id, rule, regex, before);
                    Some(next)
                }
                None => Some(next),
            };
        }
        if let Some(last) = stretch {
            any |= self.stretch(id, rule, regex, last);
        }
        for hit in hits {
            if any {
                return;
            }
            any = match hit.way {
                Way::NameStart(at) => self.written_out(id, rule, regex, Some(at)),
                Way::Name => self.written_out(id, rule, regex, None),
                _ => false,
            };
        }
    }

    /// Every match within `range`.
    fn stretch(&mut self, id: RuleId, rule: &Rule, regex: &Pattern, range: Range<usize>) -> bool {
        let mut from = range.start;
        let mut any = false;
        while from < range.end
            && let Some(mut found) = regex.first(&self.field.value, from..range.end)
        {
            let far = self.field.value.len().min(found.whole.start.saturating_add(BEGUN));
            if found.whole.end == range.end && far > range.end {
                // A match cut short is no value.
                found = regex.at(&self.field.value, found.whole.start..far).unwrap_or(found);
            }
            from = found.whole.end.max(found.whole.start + 1);
            any = true;
            self.judge(id, rule, found);
        }
        any
    }

    /// Patterns that look for the name in front of the value see both: `name = "value"`. The secret must lie in the
    /// value.
    fn written_out(&mut self, id: RuleId, rule: &Rule, regex: &Pattern, at: Option<usize>) -> bool {
        let Some(name) = self.field.rule_name() else { return false };
        let value: &[u8] = &self.field.value;
        if value.len() > NAMED_VALUE || self.field.origin == Origin::Text {
            return false;
        }
        let text = [name.as_bytes(), b" = \"", value, b"\""].concat();
        let shift = name.len() + 4;
        let found = match at {
            Some(at) => regex.at(&text, at..text.len()),
            None => regex.first(&text, 0..text.len()),
        };
        let Some(Found { whole, secret }) = found else { return false };
        let Some(start) = secret.start.checked_sub(shift) else { return false };
        let end = secret.end.saturating_sub(shift);
        if end > value.len() || start >= end {
            return false;
        }
        let whole = whole.start.saturating_sub(shift).min(start)
            ..whole.end.saturating_sub(shift).clamp(end, value.len());
        self.judge(id, rule, Found { whole, secret: start..end });
        true
    }

    fn judge(&mut self, id: RuleId, rule: &Rule, found: Found) {
        let value: &[u8] = &self.field.value;
        let Some(secret) = value.get(found.secret.clone()).filter(|secret| !secret.is_empty()) else {
            return;
        };
        if is_within_data(value.get(..found.whole.start).unwrap_or_default()) {
            return self.suppress(id, found.secret, "within a long run of base64".into());
        }
        // What stands encoded is judged decoded.
        let mut replaced = None;
        for check in &rule.checks {
            if let Does::Decode(decode) = check.does {
                replaced = decode(secret);
                if replaced.as_ref().is_none_or(Vec::is_empty) {
                    return self.suppress(id, found.secret, format!("no {}", check.name).into());
                }
            }
        }
        let secret = replaced.as_deref().unwrap_or(secret);
        let candidate = allow::Candidate { value, whole: &found.whole, secret, path: self.context.path };
        if let Some(reason) = rule.allowlists.iter().find_map(|list| list.allows(&candidate)) {
            return self.suppress(id, found.secret, reason.into());
        }
        if let Some(least) = rule.entropy
            && crate::model::text::entropy(secret) <= least
        {
            let reason = format!("entropy {:.1}", crate::model::text::entropy(secret));
            return self.suppress(id, found.secret, reason.into());
        }
        let whole = value.get(found.whole.clone()).unwrap_or(secret);
        let subject = Subject { secret, whole, value, now: self.context.now };
        let mut confidence = rule.confidence;
        let mut reasons = Vec::new();
        if self.field.rule_name().is_some_and(is_example) {
            confidence = Confidence::Low;
            reasons.push(Cow::Borrowed("lowered: an example by its name"));
        }
        for check in &rule.checks {
            let Check { does: Does::Judge(judge), parameter, .. } = check else { continue };
            match judge(&subject, parameter) {
                Verdict::Pass => {}
                Verdict::Note(reason) => reasons.push(reason),
                Verdict::Raise(reason) => {
                    confidence = raise(confidence);
                    reasons.push(format!("raised: {reason}").into());
                }
                Verdict::Lower(reason) => {
                    confidence = lower(confidence);
                    reasons.push(format!("lowered: {reason}").into());
                }
                Verdict::Fail(reason) => return self.suppress(id, found.secret, reason),
            }
        }
        let secret = match rule.kind.has_secret() {
            true => found.secret,
            false => found.secret.start..found.secret.start,
        };
        self.found.push(Match {
            rule: id,
            kind: rule.kind,
            secret,
            replaced,
            whole: found.whole,
            severity: rule.severity,
            confidence,
            reasons,
            detail: None,
        });
    }

    fn suppress(&mut self, rule: RuleId, secret: Range<usize>, reason: Cow<'static, str>) {
        if let Some(suppressed) = self.suppressed.as_deref_mut() {
            suppressed.push(Suppressed { rule, secret, reason });
        }
    }
}

/// The match that begins at `at`. How far it may go on depends on how many attempts have failed so far.
fn begun(regex: &Pattern, value: &[u8], at: usize, failed: usize) -> Option<Found> {
    let within = |reach: usize| {
        let reach = regex.longest().map_or(reach, |longest| longest.min(reach));
        value.len().min(at.saturating_add(reach))
    };
    let near = within(if failed < FAR_ATTEMPTS { BEGUN } else { regex.shortest().saturating_add(NEAR) });
    let found = regex.at(value, at..near)?;
    // A match cut short is no value.
    if found.whole.end == near && near < within(BEGUN) {
        regex.at(value, at..within(BEGUN))
    } else {
        Some(found)
    }
}

/// Whether the rule looks at such a field at all.
fn is_in_place(rule: &Rule, field: &Field<'_>, context: &Context<'_>) -> bool {
    if field.origin == Origin::Whole && !rule.whole {
        return false;
    }
    if !rule.surfaces.contains(field.surface) || !index::is_let_in(rule, field) {
        return false;
    }
    if let Some(status) = &rule.status
        && !context.status.is_some_and(|code| status.contains(code))
    {
        return false;
    }
    let is_body = matches!(field.surface, Surface::RequestBody | Surface::ResponseBody);
    let fits = |kind: &String| context.essence.contains(kind.as_str());
    let is_of_type = rule.content_types.is_empty() || is_body && rule.content_types.iter().any(fits);
    if !is_of_type {
        return false;
    }
    if rule.path.as_ref().is_some_and(|path| !path.is_match(context.path.as_bytes())) {
        return false;
    }
    rule.names.as_ref().is_none_or(|names| {
        field
            .rule_name()
            .is_some_and(|name| names.is_match(name.as_bytes()) || names.is_match(innermost(name).as_bytes()))
    })
}

/// Whether a path leads through examples, as interface descriptions have them: `paths.get.examples[0].value`.
fn is_example(name: &str) -> bool {
    name.split(['.', '[', ']']).any(|segment| {
        segment.eq_ignore_ascii_case("example")
            || segment.eq_ignore_ascii_case("examples")
            || segment == "x-example"
    })
}

/// The last segment of a path that is no number: `secret` of `data.keys[0].secret`, `keys` of `data.keys[0]`, `b` of
/// `a[b]`, `value` of `input.@value`.
fn innermost(name: &str) -> &str {
    name.split(['.', '[', ']'])
        .rev()
        .find(|segment| !segment.is_empty() && !segment.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(name, |segment| segment.trim_start_matches('@'))
}

/// Of what overlaps the best is told.
fn settle(
    set: &RuleSet,
    mut found: Vec<Match>,
    out: &mut Vec<Match>,
    mut suppressed: Option<&mut Vec<Suppressed>>,
) {
    if let [_] = found.as_slice() {
        out.append(&mut found);
        return;
    }
    let specificity = |found: &Match| set.rule(found.rule).map_or(0, |rule| rule.specificity);
    found.sort_by(|a, b| {
        (specificity(b), b.confidence, stretch(b).len())
            .cmp(&(specificity(a), a.confidence, stretch(a).len()))
            .then(a.rule.cmp(&b.rule))
            .then(stretch(a).start.cmp(&stretch(b).start))
    });
    // Start to (end, rule), of secrets and of pages.
    let mut taken: [BTreeMap<usize, (usize, RuleId)>; 2] = Default::default();
    let told = out.len();
    for found in found {
        // Whether these are told shows when all of the message is known; until then they take nobody's place.
        if set.rule(found.rule).is_some_and(|rule| rule.silent || !rule.requires.is_empty()) {
            out.push(found);
            continue;
        }
        let range = stretch(&found);
        let taken = match (&mut taken, found.kind.has_secret()) {
            ([secrets, _], true) => secrets,
            ([_, pages], false) => pages,
        };
        let before = taken.range(..range.end).next_back().filter(|(_, (end, _))| *end > range.start);
        match before {
            Some((_, &(_, winner))) => {
                if let (Some(suppressed), true) = (suppressed.as_deref_mut(), winner != found.rule) {
                    let reason = match set.rule(winner) {
                        Some(rule) => format!("{} is more specific", rule.text.id),
                        None => continue,
                    };
                    suppressed.push(Suppressed { rule: found.rule, secret: range, reason: reason.into() });
                }
            }
            None => {
                taken.insert(range.start, (range.end, found.rule));
                out.push(found);
            }
        }
    }
    if let Some(new) = out.get_mut(told..) {
        new.sort_by_key(|found| (found.whole.start, found.secret.start, found.rule));
    }
}

/// What a match lays claim to.
fn stretch(found: &Match) -> Range<usize> {
    if found.kind.has_secret() { found.secret.clone() } else { found.whole.clone() }
}

fn raise(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::Low => Confidence::Medium,
        Confidence::Medium | Confidence::High => Confidence::High,
    }
}

/// Whether what follows these bytes is a part of encoded data, a picture in a page for example: any short form of a token
/// stands in it by chance.
fn is_within_data(before: &[u8]) -> bool {
    const LONG: usize = 512;
    let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let run = before.iter().rev().take(LONG).take_while(is_digit).count();
    run == LONG || before.get(..before.len() - run).is_some_and(|lead| lead.ends_with(b";base64,"))
}

fn lower(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::High => Confidence::Medium,
        Confidence::Medium | Confidence::Low => Confidence::Low,
    }
}
