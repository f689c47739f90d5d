//! `leaktap capture`: live traffic in, leaks out as they pass.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};

use super::flags::Capture;
use super::frames::Frames;
use super::known::Known;
use super::telling::{self, Lasting, Telling};
use super::{Exit, World, on_terminal, rights, rules, signals};
use crate::config::Config;
use crate::model::finding::Finding;
use crate::model::pulse::Pulse;
use crate::model::shown::counted;
use crate::pipeline::{self, Metrics, Options, Sources, Until, Watch};
use crate::privilege::Confinement;
use crate::process::{Attribution, Selection};
use crate::rule::RuleSet;
use crate::source::filter;
use crate::source::live::{self, Live, Member, Settings, Way};
use crate::source::tls::{Tls, Toll};

/// Runs the command.
pub(super) fn run(flags: &Capture, world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    if flags.fanout > 1 && matches!(flags.backend, Way::Pcap | Way::Ebpf) {
        bail!("--fanout is the ring's: leave --backend out");
    }
    if let Some(expression) = &config.filter {
        filter::check(expression)?;
    }
    let outputs = config.outputs(on_terminal())?;
    let in_force = Arc::new(rules::in_force(config)?);
    // Before anything is captured: the first signal may come at once.
    let options = telling::options(world)?;
    let reload = signals::reload().context("cannot handle signals")?;
    let known = Known::open(world, &options.key, &outputs)?;
    let frames = Frames::open(world, &outputs, &[], Some(flags.rotation()))?;
    let options = Options { tape: frames.tape(), metered: flags.metrics.is_some(), ..options };
    let interfaces = open(flags, config)?;
    let tls = if flags.tls { Some(tls(0)?) } else { None };
    let attribution = if flags.no_processes { None } else { attribution(flags.selection())? };
    let kernel = interfaces.len() as u64 * (u64::from(flags.buffer) << 20);
    let toll = tls.as_ref().map(Tls::toll);
    let metrics = flags.metrics.map(|_| Metrics::new(kernel));
    let serve = match (&metrics, flags.metrics) {
        (Some(metrics), Some(address)) => {
            let served = metrics.serve(address);
            Some(served.with_context(|| format!("cannot serve metrics at {address}"))?)
        }
        _ => None,
    };
    let lasting = Lasting {
        rotation: flags.rotation(),
        sync: flags.fsync,
        retain: flags.retain,
        metrics: metrics.as_ref(),
    };
    let mut confinement = Confinement::default();
    let give_up = || confinement = rights::give_up(flags, &outputs, world);
    let mut telling = Telling::lasting(&outputs, &lasting, world, give_up)?;
    let options = Options { confine: Some(Arc::new(move || confinement.enter())), ..options };
    if let Some((address, start)) = serve {
        start().context("cannot serve metrics")?;
        tracing::info!("metrics at http://{address}/metrics, and /health");
    }
    let names: Vec<&str> = interfaces.iter().map(Live::name).chain(tls.iter().map(Tls::name)).collect();
    tracing::info!("capturing on {}", names.join(", "));

    let memory = flags.memory.map(|limit| limit << 20).or_else(half_of_memory);
    let until = Until { count: flags.count, duration: flags.duration, memory };
    let mut watching = Watching { config, reload, known, frames, metrics: metrics.clone() };
    let mut outcome = pipeline::capture(
        Sources { interfaces, tls },
        in_force,
        &options,
        until,
        attribution.as_ref(),
        &mut |event| {
            if let Some(metrics) = &metrics {
                metrics.event(event);
            }
            telling.event(event)
        },
        &mut watching,
    );
    if let Some(toll) = toll {
        say_toll(&toll);
    }
    telling.finish();
    outcome.problems += watching.known.finish() + watching.frames.finish(&[], &options);
    Ok(telling::exit(outcome, config.fail_on, telling.failed))
}

/// Who knows whose connections are; without it leaks are told all the same.
pub(super) fn attribution(selection: Selection) -> anyhow::Result<Option<Attribution>> {
    let is_needed = !selection.is_empty();
    match Attribution::open(selection) {
        Ok(attribution) => {
            if let Err(reason) = attribution.programs() {
                tracing::info!("processes that live for milliseconds may stay unnamed: {reason}");
            }
            Ok(Some(attribution))
        }
        Err(error) if is_needed => {
            Err(error).context("cannot look up processes, as --pid, --container and --cgroup ask for")
        }
        Err(error) => {
            tracing::warn!("leaks do not name their processes: sockets cannot be looked up: {error}");
            Ok(None)
        }
    }
}

/// Has clear text told of the programs in the network namespace with this inode (0: of all), and says so.
pub(super) fn tls(namespace: u32) -> anyhow::Result<Tls> {
    let tls = Tls::open(namespace)?;
    let who = if namespace == 0 {
        "programs on this machine send and receive"
    } else {
        "the command sends and receives"
    };
    let files = tls.standing().files.iter().map(|(family, files)| format!("{files} of {family}"));
    let files: Vec<String> = files.collect();
    let files = if files.is_empty() { "none yet".to_owned() } else { files.join(", ") };
    tracing::warn!(
        "--tls reads the clear text that {who} over TLS (libraries and programs watched: {files})"
    );
    for refused in &tls.standing().refused {
        tracing::warn!("tls: {refused}");
    }
    Ok(tls)
}

/// What reading clear text came to.
pub(super) fn say_toll(toll: &Toll) {
    let (calls, bytes) = toll.so_far();
    tracing::info!("tls: {calls} calls, {bytes} bytes of clear text");
}

/// Every interface, each once, with as many readers as asked for.
fn open(flags: &Capture, config: &Config) -> anyhow::Result<Vec<Live>> {
    let settings = Settings {
        way: flags.backend,
        filter: config.filter.clone(),
        buffer: usize::from(flags.buffer) << 20,
        promiscuous: flags.promiscuous,
        retire: live::CALM,
    };
    open_each(&flags.interface, &settings, flags.fanout)
}

/// The interfaces that these words mean, each once, with `fanout` readers for each.
pub(super) fn open_each(words: &[String], settings: &Settings, fanout: u16) -> anyhow::Result<Vec<Live>> {
    let mut seen = HashSet::new();
    let mut open = Vec::new();
    for word in words {
        let name = live::named(word)?;
        if !seen.insert(name.clone()) {
            continue;
        }
        // Groups are numbered within a network namespace: the process tells them apart.
        let group = (std::process::id() as u16).wrapping_add(seen.len() as u16);
        for index in 0..u64::from(fanout) {
            let of = u64::from(fanout);
            let member = (of > 1).then_some(Member { group, index, of });
            open.push(Live::open(&name, settings, member)?);
        }
    }
    Ok(open)
}

/// Says how the run goes, and reads rules and baseline again where a signal asks for it.
struct Watching<'a> {
    config: &'a Config,
    reload: Arc<AtomicBool>,
    known: Known,
    frames: Frames,
    metrics: Option<Metrics>,
}

/// Half of the memory of this machine or of its control group, in bytes, where the system tells.
fn half_of_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10;
    let group = || {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let limit = std::fs::read_to_string(format!("/sys/fs/cgroup{own}/memory.max")).ok()?;
        limit.trim().parse::<u64>().ok()
    };
    Some(group().map_or(machine, |group| group.min(machine)) / 2)
}

impl Watch for Watching<'_> {
    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
    }

    fn note(&mut self, note: &str) {
        tracing::warn!("{note}");
    }

    fn skipped(&mut self, _path: &str) {}

    fn is_known(&mut self, finding: &Finding) -> bool {
        let is_known = self.known.knows(finding);
        if !is_known {
            self.frames.sighting(finding);
        }
        is_known
    }

    fn pulse(&mut self, pulse: Box<Pulse>) {
        if let Some(metrics) = &self.metrics {
            metrics.pulse(*pulse);
        }
    }

    fn rules(&mut self) -> Option<Arc<RuleSet>> {
        if !self.reload.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.known.read_again();
        match rules::in_force(self.config) {
            Ok(rules) => {
                let amount = counted(rules.rules().len() as u64, "rule");
                tracing::warn!("the rules were read again: {amount} in force");
                Some(Arc::new(rules))
            }
            Err(error) => {
                for line in format!("{error:#}").lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the rules in force stay as they were");
                None
            }
        }
    }

    fn progress(&mut self, _bytes: u64, _leaks: u64) {}
}
