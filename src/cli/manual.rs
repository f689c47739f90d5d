//! `leaktap completions` and `leaktap man`: what shells and man are told of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Exit;
use super::flags::Arguments;
use crate::config::{KEYS, variable};
use crate::sink;

/// Writes the completions for a shell to standard output.
pub(super) fn completions(shell: Shell) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "leaktap", &mut text);
    let mut out = sink::standard();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Exit::Ran)
}

/// Writes the man page to standard output, or every page into a folder.
pub(super) fn man(folder: Option<&Path>) -> anyhow::Result<Exit> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    match folder {
        None => {
            let mut out = sink::standard();
            page(&command, "leaktap", &mut out)?;
            out.flush()?;
        }
        Some(folder) => {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            pages(&command, "leaktap", folder)?;
        }
    }
    Ok(Exit::Ran)
}

/// A page for a command and each below it: `leaktap-rules-list.1`.
fn pages(command: &Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    page(command, name, &mut text)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    for below in command.get_subcommands() {
        pages(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let is_main = name == "leaktap";
    let spaced = name.replace('-', " ");
    let command = command.clone().name(name.to_owned()).bin_name(spaced).version(env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).manual("leaktap").source(concat!("leaktap ", env!("CARGO_PKG_VERSION")));
    man.render(out)?;
    if is_main {
        let mut roff = Roff::default();
        roff.control("SH", ["ENVIRONMENT"]);
        for key in KEYS {
            roff.control("TP", []);
            roff.text([bold(variable(key))]);
            roff.text([roman(format!("the setting {key}, as the flag --{key}"))]);
        }
        for (name, about) in [
            ("LEAKTAP_CONFIG", "the configuration file, as --config"),
            (
                "LEAKTAP_FINGERPRINT_KEY",
                "the key that fingerprints are made with; it shares one between machines",
            ),
            ("NO_COLOR", "no colours where it is set, unless --color always"),
        ] {
            roff.control("TP", []);
            roff.text([bold(name)]);
            roff.text([roman(about)]);
        }
        roff.control("SH", ["FILES"]);
        for (name, about) in [
            ("leaktap.toml", "settings, in the folder where leaktap is run"),
            ("~/.config/leaktap/leaktap.toml", "settings of the user, where there are none here"),
            (
                "~/.local/state/leaktap/fingerprint.key",
                "the key that fingerprints are made with, made at first use",
            ),
        ] {
            roff.control("TP", []);
            roff.text([bold(name)]);
            roff.text([roman(about)]);
        }
        roff.to_writer(out)?;
    }
    Ok(())
}
