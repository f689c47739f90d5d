//! `--baseline` and `--write-baseline`: what is known is not told, and what is told becomes known.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;

use super::World;
use super::scan::same_file;
use crate::baseline::{Baseline, Entry, Sighting};
use crate::model::Timestamp;
use crate::model::event::Leak;
use crate::model::finding::Finding;
use crate::model::secret::FingerprintKey;
use crate::sink::{Place, Spec};

/// The baseline of a run; without one nothing is known.
pub(super) struct Known {
    path: Option<PathBuf>,
    baseline: Baseline,
    /// What is told is added here, and becomes known at the end.
    fresh: Option<Vec<Entry>>,
    /// Entries that knew something, by their place.
    used: HashSet<usize>,
    /// When the run began: what has expired by then is told. Later moments are those of the capture.
    begun: Timestamp,
    key: FingerprintKey,
}

impl Known {
    /// Reads the baseline that the settings name.
    pub(super) fn open(world: &World<'_>, key: &FingerprintKey, outputs: &[Spec]) -> anyhow::Result<Self> {
        let path = world.config.baseline.clone();
        let writes = world.config.write_baseline;
        let baseline = match &path {
            Some(path) => {
                let taken = |spec: &&Spec| matches!(&spec.place, Place::File(file) if file == path || same_file(file, path));
                if let Some(spec) = outputs.iter().find(taken) {
                    bail!("the sink {spec} would overwrite the baseline");
                }
                if writes && !path.exists() { Baseline::default() } else { Baseline::read(path)? }
            }
            None => Baseline::default(),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let known = Self {
            path,
            baseline,
            fresh: writes.then(Vec::new),
            used: HashSet::new(),
            begun: Timestamp::default().after(since),
            key: key.clone(),
        };
        known.warn();
        Ok(known)
    }

    /// Whether a leak that was told once is known.
    pub(super) fn knows_leak(&mut self, leak: &Leak) -> bool {
        self.path.is_some() && self.sees(&Sighting::from(leak), leak.time)
    }

    /// Whether a finding is known.
    pub(super) fn knows(&mut self, finding: &Finding) -> bool {
        if self.path.is_none() {
            return false;
        }
        if self.sees(&Sighting::from(finding), finding.time) {
            return true;
        }
        if let Some(fresh) = &mut self.fresh {
            let entry = Entry::of(finding);
            if !fresh.contains(&entry) {
                fresh.push(entry);
            }
        }
        false
    }

    fn sees(&mut self, sighting: &Sighting<'_>, time: Timestamp) -> bool {
        let at = self.baseline.knows(sighting, self.begun.max(time));
        self.used.extend(at);
        at.is_some()
    }

    /// Reads the file again; where that does not work, what was known stays known.
    pub(super) fn read_again(&mut self) {
        let Some(path) = &self.path else { return };
        match Baseline::read(path) {
            Ok(baseline) => {
                tracing::warn!("the baseline was read again: {}", entries(baseline.entries().len()));
                self.baseline = baseline;
                self.used.clear();
                self.warn();
            }
            Err(error) => tracing::error!("{error}; what was known stays known"),
        }
    }

    /// Writes what became known, and says what is of no use any more. How many things could not be done.
    pub(super) fn finish(&mut self) -> u64 {
        let Some(path) = &self.path else { return 0 };
        for (at, entry) in self.baseline.entries().iter().enumerate() {
            if !self.used.contains(&at) && !entry.has_expired(self.begun) {
                tracing::info!("the baseline knows {entry}, which did not leak");
            }
        }
        let Some(fresh) = self.fresh.take() else { return 0 };
        write(path, fresh, &self.key)
    }

    fn warn(&self) {
        let Some(path) = &self.path else { return };
        let expired: Vec<&Entry> =
            self.baseline.entries().iter().filter(|entry| entry.has_expired(self.begun)).collect();
        for entry in &expired {
            tracing::info!("expired in the baseline: {entry}");
        }
        if !expired.is_empty() {
            let many = entries(expired.len());
            tracing::warn!("the baseline {}: {many} expired (-v says which)", path.display());
        }
        if self.baseline.has_fingerprints() && !self.baseline.is_of(&self.key) {
            tracing::warn!(
                "the fingerprints of the baseline {} were made with another key and know nothing here \
                 (LEAKTAP_FINGERPRINT_KEY shares one between machines)",
                path.display()
            );
        }
    }
}

/// Adds the entries to the file as it is by now: it may have been changed during the run.
fn write(path: &Path, fresh: Vec<Entry>, key: &FingerprintKey) -> u64 {
    let result = (|| {
        let mut baseline = if path.exists() { Baseline::read(path)? } else { Baseline::default() };
        let added = fresh.into_iter().filter(|entry| baseline.add(entry.clone())).count();
        if added > 0 || !path.exists() {
            baseline.seal(key);
            baseline.write(path)?;
        }
        Ok::<usize, crate::baseline::BaselineError>(added)
    })();
    match result {
        Ok(added) => tracing::warn!("the baseline {}: {} more", path.display(), entries(added)),
        Err(error) => {
            tracing::error!("{error}");
            return 1;
        }
    }
    0
}

fn entries(amount: usize) -> String {
    format!("{amount} {}", if amount == 1 { "entry" } else { "entries" })
}
