//! Fields to findings: what the rules see in one message part, told once, by the most specific rule.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::content;
use crate::model::finding::{Finding, FlowText, HttpText};
use crate::model::message::Origin;
use crate::model::redact::{self, Known};
use crate::model::secret::FingerprintKey;
use crate::model::text::percent_decode;
use crate::model::{Confidence, Field, Origins, Secret, Severity, Surface};
use crate::rule::{Context, Kind, Match, RuleId, RuleSet};

mod overlap;
mod personal;
mod place;
mod telling;
mod vessel;

pub(super) use vessel::Vessel;

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
        telling::relate(&sightings, &mut findings);
        sightings.clear();
        self.sightings = sightings;
        findings
    }
}

/// Whether a stretch of text goes on in letters or digits on either side: then it is another value.
fn is_within_word(text: &[u8], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let behind = text.get(at + length);
    [before, behind].into_iter().flatten().any(u8::is_ascii_alphanumeric)
}
