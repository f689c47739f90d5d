//! What was seen where: the same secret at the same place is told once, later sightings are counted.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::model::Timestamp;
use crate::model::event::Again;
use crate::model::finding::{Finding, FindingId, Once};
use crate::model::route;

/// Places remembered; past them every sighting is told as a leak of its own.
const PLACES: usize = 1 << 20;

/// The places told so far.
#[derive(Debug, Default)]
pub struct Ledger {
    places: HashMap<[u8; 16], Told>,
    /// In the order of telling.
    order: Vec<[u8; 16]>,
    /// Findings that were not told, by the one that was.
    stands_for: HashMap<FindingId, FindingId>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    id: FindingId,
    again: u64,
    last: Timestamp,
}

impl Ledger {
    /// Puts those that were told in the place of related findings that were not: asked for when all that came together
    /// have been shown to [`Ledger::is_first`].
    pub fn relate(&self, finding: &mut Finding) {
        for related in &mut finding.related {
            if let Some(told) = self.stands_for.get(related) {
                *related = *told;
            }
        }
    }

    /// Whether something was told at the finding's place; nothing is counted.
    pub fn knows(&self, finding: &Finding) -> bool {
        self.places.contains_key(&place(finding))
    }

    /// The leak that was told at the finding's place.
    #[must_use]
    pub fn told(&self, finding: &Finding) -> Option<FindingId> {
        self.places.get(&place(finding)).map(|told| told.id)
    }

    /// Whether the finding is the first at its place.
    pub fn is_first(&mut self, finding: &Finding) -> bool {
        let place = place(finding);
        if let Some(told) = self.places.get_mut(&place) {
            told.again += 1;
            told.last = told.last.max(finding.time);
            if self.stands_for.len() < PLACES {
                self.stands_for.insert(finding.id, told.id);
            }
            return false;
        }
        if self.places.len() < PLACES {
            self.places.insert(place, Told { id: finding.id, again: 0, last: finding.time });
            self.order.push(place);
        }
        true
    }

    /// Further sightings of what was told, in the order of telling; each is given once.
    pub fn again(&mut self) -> Vec<Again> {
        let mut found = Vec::new();
        for place in &self.order {
            let Some(told) = self.places.get_mut(place).filter(|told| told.again > 0) else { continue };
            let times = std::mem::take(&mut told.again);
            found.push(Again { id: told.id.to_string(), times, last: told.last });
        }
        found
    }
}

/// What makes two sightings the same leak (CONTRACT: told once). Without a secret the evidence stands for it; what is told
/// once for each host is the same whatever its value, surface and addresses.
fn place(finding: &Finding) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(finding.rule.id.as_bytes());
    if finding.once != Once::PerEndpoint {
        add(finding.name.as_deref().unwrap_or_default().as_bytes());
    }
    if finding.once != Once::PerValue {
        match finding.http.as_ref().and_then(|http| http.host.as_deref()) {
            Some(host) => add(host.as_bytes()),
            None => add(finding.flow.server.to_string().as_bytes()),
        }
        if finding.once == Once::PerEndpoint {
            let target = finding.http.as_ref().and_then(|http| http.target.as_deref());
            add(finding.surface.as_str().as_bytes());
            add(route::path(target.unwrap_or_default()).as_bytes());
        }
    } else {
        add(finding.surface.as_str().as_bytes());
        match &finding.secret {
            Some(secret) => add(&secret.fingerprint.0),
            None => add(finding.evidence.as_bytes()),
        }
        add(finding.flow.client.ip().to_string().as_bytes());
        add(finding.flow.server.to_string().as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk().unwrap_or(&[0; 16])
}
