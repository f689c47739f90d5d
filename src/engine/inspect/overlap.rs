//! What several rules saw of one thing is told once, by the most specific of them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::{Inspector, Sighting, personal};
use crate::model::Surface;
use crate::model::message::Origin;
use crate::rule::{Kind, RuleId};

/// What makes two sightings of one message part the same: surface, name, value, detail.
type Place = (Surface, Option<String>, Vec<u8>, Option<String>);

impl Inspector {
    /// What rules see that require others goes where those are not there; then, of the same value at the same place, the most
    /// specific rule is told.
    pub(super) fn keep_most_specific(&self, sightings: &mut Vec<Sighting>) {
        let rules = &self.rules;
        let specificity = |seen: &Sighting| rules.rule(seen.rule).map_or(0, |rule| rule.specificity);
        // Also what is not told itself.
        let present: HashSet<&str> = sightings
            .iter()
            .filter_map(|seen| rules.rule(seen.rule))
            .map(|rule| rule.text.id.as_str())
            .collect();
        let is_told: Vec<bool> = sightings
            .iter()
            .map(|seen| {
                rules.rule(seen.rule).is_none_or(|rule| {
                    !rule.silent && rule.requires.iter().all(|id| present.contains(id.as_str()))
                })
            })
            .collect();
        let mut told = is_told.into_iter();
        sightings.retain(|_| told.next().unwrap_or(true));
        sightings.sort_by(|a, b| {
            (b.kind == Kind::Secret, specificity(b), b.confidence, !is_layer(b.origin)).cmp(&(
                a.kind == Kind::Secret,
                specificity(a),
                a.confidence,
                !is_layer(a.origin),
            ))
        });
        prefer_pages(sightings);
        // Of several error pages in one document the one that says most.
        let page = sightings.iter().filter(|seen| seen.kind == Kind::Traceback).map(specificity).max();
        sightings.retain(|seen| seen.kind != Kind::Traceback || Some(specificity(seen)) == page);
        let mut kept: Vec<Sighting> = Vec::with_capacity(sightings.len());
        let mut values = Values::default();
        let mut told: HashSet<Place, ahash::RandomState> = HashSet::default();
        for seen in sightings.drain(..) {
            // Kinds without a secret are told once for what they say; layers of one carrier hold one value once.
            let place = (seen.surface, seen.name.clone(), seen.value.expose().to_vec(), seen.detail.clone());
            let double = (seen.kind == Kind::Secret).then(|| values.double(&kept, &seen)).flatten();
            match double.and_then(|at| kept.get_mut(at)) {
                // The path goes on into the layer: its name says more.
                Some(other) if is_deeper(&seen, other) => {
                    (other.name, other.origin) = (seen.name, seen.origin)
                }
                Some(other) if is_layer(other.origin) || is_layer(seen.origin) => {}
                _ if told.insert(place) => {
                    values.add(&seen, kept.len());
                    kept.push(seen);
                }
                _ => {}
            }
        }
        personal::sum_up(&mut kept, rules);
        kept.sort_by_key(|seen| (seen.span.start, seen.span.end));
        *sightings = kept;
    }
}

/// A page is told as the whole document shows it, unless a field of it has a name.
fn prefer_pages(sightings: &mut Vec<Sighting>) {
    let pages = |of: fn(&Sighting) -> bool| -> HashSet<RuleId> {
        let pages = sightings.iter().filter(|seen| seen.kind == Kind::Traceback && of(seen));
        pages.map(|seen| seen.rule).collect()
    };
    let named = pages(|seen| seen.origin != Origin::Whole && seen.name.is_some());
    let whole = pages(|seen| seen.origin == Origin::Whole);
    sightings.retain(|seen| {
        let is_whole = seen.origin == Origin::Whole;
        seen.kind != Kind::Traceback
            || if is_whole {
                !named.contains(&seen.rule)
            } else {
                seen.name.is_some() || !whole.contains(&seen.rule)
            }
    });
}

/// Where each value was seen, so that not every sighting is compared with every other.
#[derive(Default)]
struct Values {
    /// Hash of surface and value, then where the place begins, to the number of the sighting.
    places: BTreeMap<(u64, usize), usize>,
    seed: ahash::RandomState,
}

impl Values {
    fn hash(&self, seen: &Sighting) -> u64 {
        self.seed.hash_one((seen.surface, seen.value.expose()))
    }

    fn add(&mut self, seen: &Sighting, number: usize) {
        let hash = self.hash(seen);
        self.places.entry((hash, seen.span.start)).or_insert(number);
    }

    /// The first sighting of the same value at the same place.
    fn double(&self, kept: &[Sighting], seen: &Sighting) -> Option<usize> {
        // Places that hold one value overlap in a few layers at most.
        const OVERLAPPING: usize = 16;
        let hash = self.hash(seen);
        let before = self.places.range((hash, 0)..(hash, seen.span.end)).rev().take(OVERLAPPING);
        let same = |number: &usize| kept.get(*number).is_some_and(|other| is_same_value(other, seen));
        before.map(|(_, number)| *number).filter(same).min()
    }
}

/// Whether two sightings are one value in one place, seen through more than one layer.
fn is_same_value(one: &Sighting, other: &Sighting) -> bool {
    one.surface == other.surface
        && touch(&one.span, &other.span)
        && one.value.expose() == other.value.expose()
}

/// Whether a sighting lies in a named layer of another.
fn is_deeper(inner: &Sighting, outer: &Sighting) -> bool {
    let (Some(inner_name), outer_name) = (inner.name.as_deref(), outer.name.as_deref().unwrap_or_default())
    else {
        return false;
    };
    is_layer(inner.origin) && inner_name.len() > outer_name.len() && inner_name.starts_with(outer_name)
}

pub(super) fn is_layer(origin: Origin) -> bool {
    matches!(origin, Origin::Layer(_) | Origin::Userinfo | Origin::Whole)
}

pub(super) fn touch(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
