//! Figures kept to compare with: ratios, because absolute ones wander from machine to machine and from hour to hour.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is kept of one workload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Size asked for; `None` for the full one.
    pub(crate) megabytes: Option<usize>,
    /// Processor time in that of tcpdump.
    pub(crate) tcpdump: Option<f64>,
    /// Processor time in that of a plain read.
    pub(crate) read: f64,
    /// Peak resident, MB.
    pub(crate) peak: f64,
    /// Time by the clock of one job in that of two.
    pub(crate) jobs: f64,
}

impl Figures {
    /// How these differ from those kept.
    pub(crate) fn print_change(&self, before: &Self) {
        if self.megabytes != before.megabytes {
            println!("{:<8} the baseline has another size", "");
            return;
        }
        let change =
            |now: f64, then: f64| format!("{then:.2} -> {now:.2} ({:+.0} %)", (now / then - 1.0) * 100.0);
        let tcpdump = match (self.tcpdump, before.tcpdump) {
            (Some(now), Some(then)) => change(now, then),
            _ => "-".to_owned(),
        };
        println!(
            "{:<8} since the baseline: x tcpdump {tcpdump}, x read {}, peak {} MB, jobs 2 {}",
            "",
            change(self.read, before.read),
            change(self.peak, before.peak),
            change(self.jobs, before.jobs)
        );
    }
}

/// Those of a file, by workload.
pub(crate) fn load(path: &Path) -> BTreeMap<String, Figures> {
    match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }
        Err(error) => {
            eprintln!("no baseline: {}: {error}", path.display());
            BTreeMap::new()
        }
    }
}

/// Writes them; those of workloads that were not measured now stay.
pub(crate) fn save(path: &Path, figures: &BTreeMap<String, Figures>) {
    let mut all = if path.exists() { load(path) } else { BTreeMap::new() };
    all.extend(figures.iter().map(|(name, figures)| (name.clone(), *figures)));
    let text = serde_json::to_string_pretty(&all).unwrap();
    fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
