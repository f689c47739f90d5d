//! `leaktap redact`: a copy of a capture without its secrets, to share.

use std::sync::Arc;

use anyhow::bail;

use super::flags::Redact;
use super::scan::same_file;
use super::{Exit, World, rules, telling};
use crate::model::shown::counted;
use crate::pipeline::{self, Options};
use crate::redaction::{self, Masked};
use crate::sink::clean;

/// Runs the command.
pub(super) fn run(flags: &Redact, world: &World<'_>) -> anyhow::Result<Exit> {
    let shown = clean(&flags.input.to_string_lossy()).into_owned();
    if pipeline::is_stream(&flags.input) {
        bail!(
            "{shown} can be read once only, and redact reads its input several times: write it to a file first"
        );
    }
    if flags.input.is_dir() {
        bail!("{shown} is a folder: give one capture");
    }
    if same_file(&flags.input, &flags.output) {
        bail!("the copy would overwrite the input {shown}");
    }
    let in_force = Arc::new(rules::in_force(&world.config)?);
    let options =
        Options { reveal: false, every: true, explain: false, filter: None, ..telling::options(world)? };
    let masked = redaction::redact(&flags.input, &flags.output, &in_force, &options, flags.all)?;
    let Masked { sightings, frames, bytes, widened } = masked;
    tracing::warn!(
        "{}: {} of leaks; {} masked in {}; a scan of the copy finds nothing",
        flags.output.display(),
        counted(sightings as u64, "sighting"),
        counted(bytes, "byte"),
        counted(frames, "frame")
    );
    if widened > 0 {
        tracing::info!(
            "in {} more than the values was masked: compressed, or not to be told from what is around them",
            counted(widened as u64, "flow")
        );
    }
    Ok(Exit::Ran)
}
