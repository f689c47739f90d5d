//! One sighting to one finding: where it leaked, what is shown of it, what it belongs to.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::overlap::touch;
use super::{Inspector, Scene, Sighting};
use crate::engine::evidence;
use crate::engine::exposure::{self, Circumstance};
use crate::engine::known::KnownSecrets;
use crate::model::finding::{Finding, FindingId, FoundSecret, HttpText, Once};
use crate::model::message::Origin;
use crate::model::origin::Placed;
use crate::model::redact::{self, Known};
use crate::model::{Exposure, Surface};
use crate::rule::{Kind, RuleId};

impl Inspector {
    pub(super) fn finding(
        &self,
        seen: &Sighting,
        redacted: &str,
        known: &KnownSecrets<'_>,
        http: Option<&HttpText>,
        in_traceback: bool,
        scene: &Scene<'_>,
    ) -> Option<Finding> {
        // Where nobody knows the address nobody can say that others reach it.
        let server = scene.flow.server;
        let is_here = server.is_loopback() || server.is_made_up();
        let rule = self.rules.rule(seen.rule).filter(|rule| !(rule.remote && is_here))?;
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

    pub(super) fn is_password(&self, rule: RuleId) -> bool {
        self.rules.rule(rule).is_some_and(|rule| rule.password)
    }
}

/// Findings of one place (a secret within a secret) and of one traceback name each other. The sightings are in the order of
/// their places.
pub(super) fn relate(sightings: &[Sighting], findings: &mut [Finding]) {
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
