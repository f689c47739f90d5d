//! `leaktap rules import`: other tools' rules in leaktap's form.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

use super::super::Exit;
use crate::model::shown::counted;
use crate::rule::import;
use crate::sink::clean;

/// Writes the rule file to standard output, or into a folder under the configuration's own name; a file that is there
/// already is left alone.
pub(super) fn run(file: &Path, output: &Path, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let imported = import(&file.display().to_string(), &text)?;
    for left_out in &imported.left_out {
        tracing::warn!("left out: {}", clean(left_out));
    }
    if output == Path::new("-") {
        out.write_all(imported.text.as_bytes())?;
        return Ok(Exit::Ran);
    }
    fs::create_dir_all(output).with_context(|| format!("cannot make the folder {}", output.display()))?;
    let name = file.file_stem().unwrap_or_default();
    let target = output.join(name).with_extension("toml");
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&target);
    let Ok(mut file) = file else {
        bail!("cannot write {}: it exists, or the folder is not yours", target.display());
    };
    file.write_all(imported.text.as_bytes()).with_context(|| format!("cannot write {}", target.display()))?;
    writeln!(out, "{}: {}", target.display(), counted(imported.rules as u64, "rule"))?;
    Ok(Exit::Ran)
}
