//! Personal data is told for the message, not value by value.

use std::collections::HashSet;

use super::Sighting;
use crate::rule::{Kind, RuleId, RuleSet};

/// Of the personal data of one kind the first is kept, with how many more there are; none where the rule asks for more
/// of it than there is.
pub(super) fn sum_up(sightings: &mut Vec<Sighting>, rules: &RuleSet) {
    if sightings.iter().all(|seen| seen.kind != Kind::Pii) {
        return;
    }
    let mut values: HashSet<(RuleId, &[u8])> = HashSet::new();
    for seen in sightings.iter().filter(|seen| seen.kind == Kind::Pii) {
        values.insert((seen.rule, seen.value.expose()));
    }
    let count = |rule: RuleId| values.iter().filter(|(of, _)| *of == rule).count();
    let kinds: HashSet<RuleId> = values.iter().map(|(rule, _)| *rule).collect();
    let mut counts: Vec<(RuleId, usize)> = kinds.into_iter().map(|rule| (rule, count(rule))).collect();
    counts.retain(|(rule, count)| rules.rule(*rule).is_some_and(|rule| *count >= rule.many));
    sightings.retain_mut(|seen| {
        if seen.kind != Kind::Pii {
            return true;
        }
        let Some(at) = counts.iter().position(|(rule, _)| *rule == seen.rule) else { return false };
        let (_, count) = counts.swap_remove(at);
        seen.detail = (count > 1).then(|| format!(" and {} more", count - 1));
        true
    });
}
