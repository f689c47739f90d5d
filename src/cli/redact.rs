//! `leaktap redact`: a copy of a capture without its secrets, to share.

use std::sync::Arc;

use anyhow::bail;

use super::flags::Redact;
use super::scan::same_file;
use super::{Exit, World, rules, telling};
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
        "{}: {sightings} sightings of leaks; {bytes} bytes masked in {frames} frames; a scan of the copy finds nothing",
        flags.output.display()
    );
    if widened > 0 {
        tracing::info!(
            "in {widened} flows more than the values was masked: they were compressed, or could not be told from what is around them"
        );
    }
    Ok(Exit::Ran)
}
