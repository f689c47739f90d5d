//! `leaktap rules`: what is looked for, whether rule files are sound, and what they make of a text or capture.

mod sample;
mod trial;
mod view;

use std::io::{self, Write};
use std::path::Path;

use anyhow::bail;

use self::view::View;
use super::flags::Rules;
use super::{Exit, World, on_terminal};
use crate::config::Config;
use crate::rule::{Rule, RuleSet};
use crate::sink::{self, clean};

/// How `list` and `show` write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Ndjson,
    Json,
}

/// Runs the command.
pub(super) fn run(command: &Rules, world: &World<'_>) -> anyhow::Result<Exit> {
    let mut out = sink::standard();
    let exit = match command {
        Rules::List => {
            let rules = in_force(&world.config)?;
            let views: Vec<View> = rules.rules().iter().map(View::from).collect();
            view::list(&views, format(&world.config)?, world.style(), &mut out)?;
            Exit::Ran
        }
        Rules::Show { id } => {
            let rules = in_force(&world.config)?;
            let view = View::from(named(rules.rules(), id)?);
            view::show(&view, format(&world.config)?, world.style(), &mut out)?;
            Exit::Ran
        }
        Rules::Check { path } => check(path.as_deref(), &world.config, &mut out)?,
        Rules::Test { file } => trial::run(file, world, &mut out)?,
    };
    out.flush()?;
    Ok(exit)
}

/// The rules that the settings ask for.
pub(super) fn in_force(config: &Config) -> anyhow::Result<RuleSet> {
    if !config.default_rules && config.rules.is_empty() {
        bail!("there are no rules left: --no-default-rules wants --rules PATH beside it");
    }
    Ok(RuleSet::load(config.default_rules, &config.rules)?)
}

fn format(config: &Config) -> anyhow::Result<Format> {
    Ok(match config.format.as_deref() {
        None if on_terminal() => Format::Table,
        None => Format::Ndjson,
        Some("table") => Format::Table,
        Some("ndjson") => Format::Ndjson,
        Some("json") => Format::Json,
        Some(other) => {
            bail!("unknown format {:?} for rules; known are: table, ndjson, json", clean(other));
        }
    })
}

fn named<'a>(rules: &'a [Rule], id: &str) -> anyhow::Result<&'a Rule> {
    if let Some(rule) = rules.iter().find(|rule| rule.text.id == id) {
        return Ok(rule);
    }
    let wanted = id.to_lowercase();
    let near: Vec<&str> = rules
        .iter()
        .map(|rule| rule.text.id.as_str())
        .filter(|known| wanted.split('-').any(|word| word.len() > 2 && known.contains(word)))
        .take(5)
        .collect();
    match near.as_slice() {
        [] => bail!("no rule is called {:?}; `leaktap rules list` names them all", clean(id)),
        near => bail!("no rule is called {:?}; there are {}", clean(id), near.join(", ")),
    }
}

/// Tells every fault of the rules, and of what they make of their own examples.
fn check(path: Option<&Path>, config: &Config, out: &mut dyn Write) -> io::Result<Exit> {
    let (builtin, paths) = match path {
        Some(path) => (false, vec![path.to_path_buf()]),
        None => (config.default_rules, config.rules.clone()),
    };
    let rules = match RuleSet::load(builtin, &paths) {
        Ok(rules) => rules,
        Err(error) => {
            for line in error.to_string().lines() {
                writeln!(out, "{}", clean(line))?;
            }
            return Ok(Exit::Failed);
        }
    };
    let faults = trial::examples(&rules);
    for fault in &faults {
        writeln!(out, "{}", clean(fault))?;
    }
    let examples: usize =
        rules.rules().iter().map(|rule| rule.examples.leak.len() + rule.examples.fine.len()).sum();
    let (end, exit) = match faults.len() {
        0 => ("all fine".to_owned(), Exit::Ran),
        1 => ("1 fault".to_owned(), Exit::Failed),
        many => (format!("{many} faults"), Exit::Failed),
    };
    writeln!(out, "{} rules, {examples} examples: {end}", rules.rules().len())?;
    Ok(exit)
}
