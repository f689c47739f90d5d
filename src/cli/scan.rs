//! `leaktap scan`: capture files in, leaks out.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::bail;

use super::flags::Scan;
use super::frames::Frames;
use super::known::Known;
use super::progress::Progress;
use super::telling::{self, Telling};
use super::{Exit, World, on_terminal, rules};
use crate::model::finding::Finding;
use crate::pipeline::{self, Options, Outcome, Watch};
use crate::sink::{Place, Spec, clean};
use crate::source::{self, Input};

/// Runs the command.
pub(super) fn run(scan: &Scan, world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    let arguments = scan.inputs.as_slice();
    if config.filter.is_some() && !cfg!(feature = "pcap") {
        bail!("this leaktap was built without libpcap, which --filter needs: build it with the feature pcap");
    }
    check_standard_input(arguments)?;
    let outputs = config.outputs(on_terminal())?;
    let rules = Arc::new(rules::in_force(config)?);
    let options = Options { join: scan.join, ..telling::options(world)? };
    let (inputs, unreachable) = expand(arguments);
    spare_inputs(&outputs, &inputs)?;
    let known = Known::open(world, &options.key, &outputs)?;
    let frames = Frames::open(world, &outputs, &inputs, None)?;
    let options = Options { tape: frames.tape(), ..options };
    let is_live = inputs.iter().any(|input| pipeline::is_stream(&input.path));
    let mut telling = Telling::open(&outputs, is_live, world)?;
    for problem in &unreachable {
        tracing::error!("{problem}");
    }

    let total = inputs.iter().map(|input| input.size).sum::<Option<u64>>();
    let progress = Progress::new(world.bar.clone(), config.progress, world.quiet(), total);
    let mut watching = Watching { progress, known, frames };
    let outcome = pipeline::scan(&inputs, rules, &options, &mut |event| telling.event(event), &mut watching);
    watching.progress.finish();
    telling.finish();

    if options.stop.load(Ordering::Relaxed) {
        tracing::warn!("interrupted: what was found until then has been told");
    }
    match outcome.skipped {
        0 => {}
        1 => tracing::warn!("skipped 1 file that is no capture (-v names it)"),
        many => tracing::warn!("skipped {many} files that are no captures (-v names them)"),
    }
    let problems = outcome.problems
        + unreachable.len() as u64
        + watching.known.finish()
        + watching.frames.finish(&inputs, &options);
    Ok(telling::exit(Outcome { problems, ..outcome }, config.fail_on, telling.failed))
}

fn check_standard_input(arguments: &[PathBuf]) -> anyhow::Result<()> {
    match arguments.iter().filter(|path| path.as_os_str() == "-").count() {
        0 => Ok(()),
        1 if io::stdin().is_terminal() => {
            bail!("standard input is a terminal: give a file, or pipe a capture in")
        }
        1 => Ok(()),
        _ => bail!("standard input can be read once only: - is given twice"),
    }
}

/// The inputs that arguments name, and what could not be reached.
fn expand(arguments: &[PathBuf]) -> (Vec<Input>, Vec<String>) {
    let mut inputs = Vec::new();
    let mut problems = Vec::new();
    for found in source::inputs(arguments) {
        match found {
            Ok(input) => inputs.push(input),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    (inputs, problems)
}

/// Checked for all sinks before the first is opened, for opening one empties its file.
fn spare_inputs(outputs: &[Spec], inputs: &[Input]) -> anyhow::Result<()> {
    for spec in outputs {
        if let Place::File(path) = &spec.place
            && let Some(input) = inputs.iter().find(|input| same_file(path, &input.path))
        {
            bail!("the sink {spec} would overwrite the input {}", clean(&input.display()));
        }
    }
    Ok(())
}

/// Whether two paths are one file, by whatever name.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Says how the run goes.
struct Watching {
    progress: Progress,
    known: Known,
    frames: Frames,
}

impl Watch for Watching {
    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
    }

    fn note(&mut self, note: &str) {
        tracing::warn!("{note}");
    }

    fn skipped(&mut self, path: &str) {
        tracing::info!("skipped {path}: it is no capture");
    }

    fn is_known(&mut self, finding: &Finding) -> bool {
        let is_known = self.known.knows(finding);
        if !is_known {
            self.frames.sighting(finding);
        }
        is_known
    }

    fn progress(&mut self, bytes: u64, leaks: u64) {
        self.progress.update(bytes, leaks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        fs::write(&path, "").unwrap();
        assert!(same_file(&folder.path().join("./a.pcap"), &path));
        assert!(!same_file(&folder.path().join("b.pcap"), &path));
        assert!(!same_file(Path::new("-"), Path::new("-")));
    }

    #[test]
    fn standard_input_is_read_once() {
        assert!(check_standard_input(&["a".into(), "b".into()]).is_ok());
        assert!(check_standard_input(&["-".into(), "a".into(), "-".into()]).is_err());
    }
}
