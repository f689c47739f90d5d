//! Fields to findings: what the rules see in one message part, told once, by the most specific rule.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::content;
use crate::model::finding::{Finding, FindingId, FlowText, FoundSecret, HttpText, Once};
use crate::model::message::Origin;
use crate::model::origin::Placed;
use crate::model::redact::{self, Known};
use crate::model::secret::FingerprintKey;
use crate::model::text::percent_decode;
use crate::model::{Confidence, Exposure, Field, Origins, Secret, Severity, Surface};
use crate::rule::{Context, Kind, Match, RuleId, RuleSet};

mod personal;
mod place;
mod vessel;

pub(super) use vessel::Vessel;

use super::exposure::{self, Circumstance};
use super::known::KnownSecrets;
use super::marks::Carried;
use super::story::{Leaking, Parts, STORIES};
use super::{Unsaid, evidence};

/// Shortest secret whose return in a response is followed, in bytes.
const LEAST_FOLLOWED: usize = 6;

/// Shortest run of letters and digits by which a followed secret is looked for, in bytes.
const LEAST_TRACED: usize = 4;

/// Something a rule saw.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) rule: RuleId,
    pub(super) kind: Kind,
    surface: Surface,
    name: Option<String>,
    origin: Origin,
    /// The value; empty for kinds without a secret.
    pub(super) value: Secret,
    /// The value as it stands there, where it had to be decoded.
    encoded: Option<Secret>,
    /// All that matched and where the secret lies in it, where it is more than the secret.
    context: Option<(Secret, Range<usize>)>,
    severity: Severity,
    confidence: Confidence,
    detail: Option<String>,
    reasons: Vec<Cow<'static, str>>,
    carried: Carried,
    /// Where the carrier of the value stands: what lies in one place belongs together.
    span: Range<usize>,
    reflected: bool,
}

/// A secret that a request of this flow carried.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) value: Secret,
    rule: RuleId,
    severity: Severity,
    confidence: Confidence,
}

impl Followed {
    /// What of the value stands unchanged however it is escaped: its longest run of letters and digits. The value itself
    /// where that says too little.
    pub(super) fn trace(&self) -> &[u8] {
        let value = self.value.expose();
        let runs = value.split(|byte| !byte.is_ascii_alphanumeric());
        runs.max_by_key(|run| run.len()).filter(|run| run.len() >= LEAST_TRACED).unwrap_or(value)
    }
}

/// What makes two sightings of one message part the same: surface, name, value, detail.
type Place = (Surface, Option<String>, Vec<u8>, Option<String>);

/// What stands around the fields of one message part.
pub(super) struct Scene<'a> {
    pub(super) flow: FlowText,
    /// The exchange, its target still as sent.
    pub(super) http: Option<RawHttp<'a>>,
    /// Status of the answer that the fields are part of.
    pub(super) status: Option<u16>,
    /// Media type of the body they are part of.
    pub(super) essence: &'a str,
    /// Secrets that requests of this flow carried.
    pub(super) followed: &'a [Followed],
    pub(super) source: &'a Arc<str>,
    /// Seconds since 1970, by the capture.
    pub(super) now: i64,
    /// Bytes that no parser made a message of.
    pub(super) in_no_message: bool,
    /// Whether caches may store the body they stand in.
    pub(super) cacheable: bool,
    /// What stories are made of, where somebody watches.
    pub(super) story: Option<Parts<'a>>,
}

/// The exchange of a scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawHttp<'a> {
    pub(super) method: &'a [u8],
    pub(super) host: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: &'a str,
    pub(super) status: Option<u16>,
    pub(super) number: u32,
}

/// Looks at fields and makes findings of what the rules see there.
pub(super) struct Inspector {
    pub(super) rules: Arc<RuleSet>,
    key: FingerprintKey,
    /// What tells the identities of one live capture from those of the next; nothing where a file does.
    pub(super) run: Vec<u8>,
    /// Where frames come from, where captures are joined.
    pub(super) origins: Option<Arc<Origins>>,
    matches: Vec<Match>,
    sightings: Vec<Sighting>,
    explain: bool,
    /// What rules saw and did not tell; gathered only to explain.
    pub(super) unsaid: Vec<Unsaid>,
}

impl Inspector {
    pub(super) fn new(rules: Arc<RuleSet>, key: FingerprintKey, explain: bool) -> Self {
        Self {
            rules,
            key,
            run: Vec::new(),
            origins: None,
            matches: Vec::new(),
            sightings: Vec::new(),
            explain,
            unsaid: Vec::new(),
        }
    }

    /// What the rules see in a field; what they do not tell is noted where asked for.
    fn matches(
        &mut self,
        field: &Field<'_>,
        vessel: &Vessel<'_>,
        context: &Context<'_>,
        matches: &mut Vec<Match>,
    ) {
        if !self.explain {
            // A value that stands in the vessel as it is was seen by the walk over it.
            return match vessel.known_in(field) {
                Some(known) => {
                    self.rules.known_field(field, (known, field.span.start), context, matches, None)
                }
                None => self.rules.field(field, context, matches, None),
            };
        }
        let mut suppressed = Vec::new();
        self.rules.field(field, context, matches, Some(&mut suppressed));
        for held_back in suppressed {
            let Some(rule) = self.rules.rule(held_back.rule) else { continue };
            let value = field.value.get(held_back.secret).unwrap_or_default();
            let name =
                field.name.as_deref().map(|name| format!(" {}", redact::name(name, &[]))).unwrap_or_default();
            self.unsaid.push(Unsaid {
                rule: rule.text.id.clone(),
                place: format!("{}{name}", field.surface.as_str()),
                redacted: redact::redact(value, rule.password),
                reason: held_back.reason.into_owned(),
            });
        }
    }

    /// Looks at a field of `vessel` and at what is inside its value.
    pub(super) fn field(&mut self, field: &Field<'_>, scene: &Scene<'_>, vessel: &Vessel<'_>) {
        self.one(field, scene, vessel);
        if field.origin == Origin::Whole {
            return;
        }
        content::layers(field, &mut |inner| self.one(&inner, scene, vessel));
    }

    fn one(&mut self, field: &Field<'_>, scene: &Scene<'_>, vessel: &Vessel<'_>) {
        let context = Context {
            status: scene.status,
            essence: scene.essence,
            path: scene.source,
            now: Some(scene.now),
        };
        let mut matches = std::mem::take(&mut self.matches);
        self.matches(field, vessel, &context, &mut matches);
        if scene.in_no_message {
            // They say too little for rules that go by names (CONTRACT: names and values).
            let rules = &self.rules;
            matches.retain(|found| rules.rule(found.rule).is_some_and(crate::rule::Rule::is_typed));
        }
        let first = self.sightings.len();
        for found in matches.drain(..) {
            let Some(raw) = field.value.get(found.secret.clone()) else { continue };
            let whole = field.value.get(found.whole.clone()).unwrap_or_default();
            let start = found.secret.start.saturating_sub(found.whole.start);
            let within = start..start + found.secret.len();
            let value = match &found.replaced {
                Some(replaced) => Cow::Borrowed(replaced.as_slice()),
                // What a URL carries is encoded once more.
                None if evidence::is_userinfo(whole, &within) => percent_decode(raw, false),
                None => Cow::Borrowed(raw),
            };
            let value = &*value;
            let context = (found.whole != found.secret).then(|| (Secret::new(whole), within));
            let reflected = field.surface.is_response()
                && scene.followed.iter().any(|followed| followed.value.expose() == value);
            let span = vessel.part(field, &found.secret, raw);
            let (surface, name) = place::of(field, found.secret.start);
            self.sightings.push(Sighting {
                rule: found.rule,
                kind: found.kind,
                surface,
                name,
                origin: field.origin,
                value: Secret::new(value),
                encoded: (value != raw).then(|| Secret::new(raw)),
                context,
                severity: found.severity,
                confidence: found.confidence,
                detail: found.detail,
                reasons: found.reasons,
                carried: (vessel.frames)(span.clone()),
                span,
                reflected,
            });
        }
        self.matches = matches;
        if field.surface.is_response() && field.origin != Origin::Whole {
            self.reflections(field, scene, vessel, first);
        }
    }

    /// Secrets of requests that come back where no rule knows them by themselves.
    fn reflections(&mut self, field: &Field<'_>, scene: &Scene<'_>, vessel: &Vessel<'_>, first: usize) {
        for followed in scene.followed {
            let value = followed.value.expose();
            let Some(at) = memchr::memmem::find(&field.value, value) else { continue };
            let known = self.sightings.iter().skip(first).any(|sighting| sighting.value.expose() == value);
            if known || is_within_word(&field.value, at, value.len()) {
                continue;
            }
            let place = vessel.part(field, &(at..at + value.len()), value);
            self.sightings.push(Sighting {
                rule: followed.rule,
                kind: Kind::Secret,
                surface: field.surface,
                name: field.name.as_deref().map(str::to_owned),
                origin: field.origin,
                value: followed.value.clone(),
                encoded: None,
                context: None,
                severity: followed.severity,
                confidence: followed.confidence,
                detail: None,
                reasons: Vec::new(),
                carried: (vessel.frames)(place.clone()),
                span: place,
                reflected: true,
            });
        }
    }

    /// A fault of protocol that a parser saw.
    pub(super) fn signal(&mut self, rule: &str, surface: Surface, evidence: &[u8], carried: Carried) {
        let Some(id) = self.rules.signal(rule) else { return };
        let Some(known) = self.rules.rule(id) else { return };
        let text = String::from_utf8_lossy(evidence).into_owned();
        let name = text.split_once(':').map(|(name, _)| name.trim().to_owned());
        self.sightings.push(Sighting {
            rule: id,
            kind: Kind::Misconfiguration,
            surface,
            name,
            origin: Origin::Plain,
            value: Secret::new(b""),
            encoded: None,
            context: None,
            severity: known.severity,
            confidence: known.confidence,
            detail: Some(text),
            reasons: Vec::new(),
            carried,
            span: 0..0,
            reflected: false,
        });
    }

    /// Whether what rules saw and did not tell is noted.
    pub(super) fn explains(&self) -> bool {
        self.explain
    }

    /// Whether rules saw anything since the last findings.
    pub(super) fn has_seen(&self) -> bool {
        !self.sightings.is_empty()
    }

    /// What was seen is seen again later.
    pub(super) fn forget(&mut self) {
        self.sightings.clear();
        self.unsaid.clear();
    }

    /// What touches the end of a part of which more may come is left for later, and what touches that.
    pub(super) fn leave_open(&mut self, end: usize) {
        let open =
            self.sightings.iter().filter(|seen| seen.span.end >= end).map(|seen| seen.span.start).min();
        self.sightings.retain(|seen| open.is_none_or(|open| seen.span.end <= open));
    }

    /// The findings of one message part, in the order of their places; and the secrets to follow.
    pub(super) fn findings(&mut self, scene: &Scene<'_>, follow: &mut Vec<Followed>) -> Vec<Finding> {
        if self.sightings.is_empty() {
            return Vec::new();
        }
        let mut sightings = std::mem::take(&mut self.sightings);
        self.keep_most_specific(&mut sightings);
        let redacted: Vec<String> = sightings
            .iter()
            .map(|seen| redact::redact(seen.value.expose(), self.is_password(seen.rule)))
            .collect();
        let followed_redacted: Vec<String> = scene
            .followed
            .iter()
            .map(|followed| redact::redact(followed.value.expose(), self.is_password(followed.rule)))
            .collect();
        let here = sightings
            .iter()
            .zip(&redacted)
            .map(|(seen, redacted)| Known { value: seen.value.expose(), redacted });
        let encoded = sightings
            .iter()
            .zip(&redacted)
            .filter_map(|(seen, redacted)| Some(Known { value: seen.encoded.as_ref()?.expose(), redacted }));
        let before = scene
            .followed
            .iter()
            .zip(&followed_redacted)
            .map(|(followed, redacted)| Known { value: followed.value.expose(), redacted });
        let known = KnownSecrets::new(here.chain(encoded).chain(before).collect());
        // What all findings of the message tell of it.
        let http = scene.http.map(|http| {
            let known = known.within(&[http.method, http.host, http.target]);
            HttpText {
                method: (!http.method.is_empty()).then(|| redact::excerpt(http.method, &known)),
                host: (!http.host.is_empty()).then(|| redact::excerpt(http.host, &known)),
                target: (!http.target.is_empty()).then(|| redact::url(http.target, &known)),
                status: http.status,
                message: http.number,
            }
        });
        let in_traceback = sightings.iter().any(|seen| seen.kind == Kind::Traceback);
        let mut findings: Vec<Finding> = Vec::with_capacity(sightings.len());
        let mut is_told = Vec::with_capacity(sightings.len());
        for (seen, redacted) in sightings.iter().zip(&redacted) {
            let finding = self.finding(seen, redacted, &known, http.as_ref(), in_traceback, scene);
            is_told.push(finding.is_some());
            let Some(mut finding) = finding else { continue };
            if let Some(parts) = scene.story.filter(|_| findings.len() < STORIES) {
                let encoded = seen.encoded.as_ref().map_or(&b""[..], Secret::expose);
                let values = [seen.value.expose(), encoded];
                let known = parts.known(&known);
                let leak = Leaking { values, redacted, span: &seen.span, known: &known };
                finding.story = Some(Box::new(parts.story(leak, &finding)));
            }
            findings.push(finding);
        }
        for seen in &sightings {
            let follows = seen.kind == Kind::Secret
                && !seen.surface.is_response()
                && seen.value.expose().len() >= LEAST_FOLLOWED
                && self.rules.rule(seen.rule).is_some_and(|rule| !rule.once_per_host);
            if follows {
                follow.push(Followed {
                    value: seen.value.clone(),
                    rule: seen.rule,
                    severity: seen.severity,
                    confidence: seen.confidence,
                });
            }
        }
        let mut told = is_told.into_iter();
        sightings.retain(|_| told.next().unwrap_or(true));
        relate(&sightings, &mut findings);
        sightings.clear();
        self.sightings = sightings;
        findings
    }

    /// What rules see that require others goes where those are not there; then, of the same value at the same place, the most
    /// specific rule is told.
    fn keep_most_specific(&self, sightings: &mut Vec<Sighting>) {
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

    fn finding(
        &self,
        seen: &Sighting,
        redacted: &str,
        known: &KnownSecrets<'_>,
        http: Option<&HttpText>,
        in_traceback: bool,
        scene: &Scene<'_>,
    ) -> Option<Finding> {
        let rule =
            self.rules.rule(seen.rule).filter(|rule| !(rule.remote && scene.flow.server.is_loopback()))?;
        let context = seen.context.as_ref().map(|(whole, _)| whole.expose()).unwrap_or_default();
        let texts =
            [seen.name.as_deref(), seen.detail.as_deref()].map(|text| text.unwrap_or_default().as_bytes());
        let [name, detail] = texts;
        let known = &*known.within(&[name, detail, context]);
        let name = seen.name.as_deref().map(|name| redact::name(name, known));
        let exposures = match seen.kind {
            Kind::Secret => exposure::of_secret(Circumstance {
                surface: seen.surface,
                name: seen.name.as_deref(),
                origin: seen.origin,
                encrypted: scene.flow.encrypted,
                session: rule.once_per_host,
                reflected: seen.reflected,
                in_traceback: in_traceback && seen.surface == Surface::ResponseBody,
            }),
            Kind::Traceback => vec![Exposure::Response, Exposure::Traceback],
            Kind::Misconfiguration => vec![Exposure::Misconfiguration],
            Kind::Pii => exposure::of_personal(seen.surface, scene.flow.encrypted),
        };
        if exposures.is_empty() {
            return None;
        }
        let evidence = self.evidence(seen, redacted, name.as_deref(), known, http, scene);
        let secret = (seen.kind == Kind::Secret).then(|| FoundSecret {
            fingerprint: self.key.fingerprint(seen.value.expose()),
            redacted: redacted.to_owned(),
            value: seen.value.clone(),
        });
        let mut mark = secret
            .as_ref()
            .map_or_else(|| evidence.as_bytes().to_vec(), |secret| secret.fingerprint.0.to_vec());
        mark.extend_from_slice(&self.run);
        let frames = [seen.carried.first.frame, seen.carried.last];
        let placed = self.origins.as_ref().and_then(|origins| origins.of_both(frames));
        let Placed { source, frames, last_source } =
            placed.unwrap_or_else(|| Placed { source: Arc::clone(scene.source), frames, last_source: None });
        let id = identity(&[
            source.as_bytes(),
            &frames[0].to_be_bytes(),
            seen.surface.as_str().as_bytes(),
            name.as_deref().unwrap_or_default().as_bytes(),
            rule.text.id.as_bytes(),
            &mark,
        ]);
        Some(Finding {
            id,
            time: seen.carried.first.time,
            rule: Arc::clone(&rule.text),
            exposures,
            severity: seen.severity,
            confidence: seen.confidence,
            surface: seen.surface,
            name,
            secret,
            flow: scene.flow.clone(),
            http: http.cloned(),
            source,
            frames,
            last_source,
            evidence,
            related: Vec::new(),
            once: match seen.kind {
                Kind::Pii => Once::PerEndpoint,
                Kind::Misconfiguration => Once::PerHost,
                _ if rule.once_per_host => Once::PerHost,
                _ => Once::PerValue,
            },
            cacheable: scene.cacheable,
            story: None,
            reasons: seen.reasons.clone(),
        })
    }

    fn evidence(
        &self,
        seen: &Sighting,
        redacted: &str,
        name: Option<&str>,
        known: &[Known<'_>],
        http: Option<&HttpText>,
        scene: &Scene<'_>,
    ) -> String {
        if let Some(detail) = &seen.detail
            && !seen.kind.has_secret()
        {
            return redact::excerpt(detail.as_bytes(), known);
        }
        if seen.kind == Kind::Pii {
            let shown = evidence::named(seen.surface, seen.origin, name, redacted);
            return shown + seen.detail.as_deref().unwrap_or_default();
        }
        if let (Surface::RequestPath | Surface::RequestQuery, Some(raw)) = (seen.surface, scene.http) {
            let target = http.and_then(|http| http.target.as_deref()).unwrap_or_default();
            return evidence::request_line(raw.method, target, raw.version);
        }
        let context = seen.context.as_ref();
        if let (Some((whole, _)), false) = (context, seen.kind.has_secret()) {
            let shown = redact::excerpt(whole.expose(), known);
            // What stands in several fields together has their names in it.
            return match seen.origin {
                Origin::Whole => shown,
                _ => evidence::named(seen.surface, seen.origin, name, &shown),
            };
        }
        let around = context.and_then(|(whole, secret)| {
            evidence::surroundings(whole.expose(), &(0..whole.expose().len()), secret, redacted, known)
        });
        evidence::named(seen.surface, seen.origin, name, around.as_deref().unwrap_or(redacted))
    }

    fn is_password(&self, rule: RuleId) -> bool {
        self.rules.rule(rule).is_some_and(|rule| rule.password)
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

/// Findings of one place (a secret within a secret) and of one traceback name each other. The sightings are in the order of
/// their places.
fn relate(sightings: &[Sighting], findings: &mut [Finding]) {
    // A page can hold thousands; what belongs together stands close together or in the one traceback.
    const MOST: usize = 16;
    // A long place that begins so many sightings before is not looked for.
    const BEFORE: usize = 64;
    let ids: Vec<FindingId> = findings.iter().map(|finding| finding.id).collect();
    let of_traceback = |wanted: bool| -> Vec<usize> {
        let places = sightings.iter().enumerate();
        places
            .filter(|(_, seen)| (seen.kind == Kind::Traceback) == wanted)
            .map(|(at, _)| at)
            .take(MOST)
            .collect()
    };
    let (tracebacks, others) = (of_traceback(true), of_traceback(false));
    for (index, finding) in findings.iter_mut().enumerate() {
        let Some(seen) = sightings.get(index) else { continue };
        let first = index.saturating_sub(BEFORE);
        let near =
            sightings.iter().enumerate().skip(first).take_while(|(_, with)| with.span.start < seen.span.end);
        let touching = near.filter(|(other, with)| {
            *other != index && with.kind == seen.kind && touch(&with.span, &seen.span)
        });
        let mut related: Vec<usize> = touching.map(|(other, _)| other).take(MOST).collect();
        related.extend(if seen.kind == Kind::Traceback { &others } else { &tracebacks });
        related.sort_unstable();
        finding.related = related.iter().filter_map(|&other| ids.get(other).copied()).take(MOST).collect();
    }
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

fn is_layer(origin: Origin) -> bool {
    matches!(origin, Origin::Layer(_) | Origin::Userinfo | Origin::Whole)
}

fn touch(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Whether a stretch of text goes on in letters or digits on either side: then it is another value.
fn is_within_word(text: &[u8], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let behind = text.get(at + length);
    [before, behind].into_iter().flatten().any(u8::is_ascii_alphanumeric)
}

fn identity(parts: &[&[u8]]) -> FindingId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    FindingId(id)
}
