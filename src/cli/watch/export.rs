//! Leaks of the screen, written to a file in one of the formats of the sinks.

use std::fs::OpenOptions;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::model::event::{Event, Leak};
use crate::model::shown::count;
use crate::sink::{self, FORMATS, Style};

/// The formats that are worth having of a selection, and how their files end.
const WANTED: [(&str, &str); 4] =
    [("ndjson", "ndjson"), ("markdown", "md"), ("sarif", "sarif"), ("csv", "csv")];
/// Columns of what is for people.
const WIDTH: usize = 100;

/// Those of them that there are.
pub(super) fn formats() -> Vec<&'static str> {
    WANTED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| FORMATS.iter().any(|format| format.name == *name))
        .collect()
}

/// Writes leaks to a new file in `folder`; what to say of it. Nothing is overwritten.
pub(super) fn write(name: &str, leaks: Vec<Leak>, folder: &Path) -> anyhow::Result<String> {
    let amount = count(leaks.len() as u64, "leak", "leaks");
    let format = sink::format(name)?;
    let end = WANTED.iter().find(|(known, _)| *known == name).map_or(name, |(_, end)| *end);
    let (path, file) = new_file(folder, end)?;
    let style = Style { color: false, width: WIDTH, live: false, fail_on: None };
    let written = (|| {
        let mut sink = (format.open)(Box::new(BufWriter::new(file)), style);
        for leak in leaks {
            sink.event(&Event::Leak(Box::new(leak)))?;
        }
        sink.finish()
    })();
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!("{amount} in {}", path.display()))
}

/// `leaks-1.ndjson`, or the next number that is free.
fn new_file(folder: &Path, end: &str) -> anyhow::Result<(PathBuf, std::fs::File)> {
    for number in 1..10_000 {
        let path = folder.join(format!("leaks-{number}.{end}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }
    bail!("there are thousands of exports in this folder already")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::example;

    #[test]
    fn an_export_is_a_new_file_in_the_format_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in formats() {
            let said = write(name, vec![example::leak(), example::leak()], folder.path()).unwrap();
            assert!(said.starts_with("2 leaks in "), "{said}");
            let path = said.strip_prefix("2 leaks in ").unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains("stripe-secret-key"), "{name}: {text}");
        }
        write("ndjson", Vec::new(), folder.path()).unwrap();
        assert!(folder.path().join("leaks-2.ndjson").exists(), "the first is left as it is");
        assert!(write("no such format", Vec::new(), folder.path()).is_err());
        assert!(write("ndjson", Vec::new(), &folder.path().join("nowhere")).is_err());
    }
}
