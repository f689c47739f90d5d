//! `leaktap rules`: what is looked for, whether rule files are sound, and what they make of a text or capture.

mod bring;
mod sample;
mod trial;
mod view;

use std::io::Write;
use std::path::Path;

use anyhow::bail;

use self::view::View;
use super::flags::Rules;
use super::{Exit, World, on_terminal};
use crate::config::Config;
use crate::model::shown::counted;
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
        Rules::Import { file, output } => bring::run(file, output, &mut out)?,
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

/// Tells every fault of the rules, and of what they make of their own examples. A file is checked as it would be in
/// force: beside the built-in rules, where those are not left out.
fn check(path: Option<&Path>, config: &Config, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let paths = path.map_or_else(|| config.rules.clone(), |path| vec![path.to_path_buf()]);
    let ours = |file: &str| path.is_none_or(|path| Path::new(file).starts_with(path));
    let mut faults = RuleSet::check(config.default_rules, &paths);
    faults.retain(|fault| ours(&fault.file));
    for fault in &faults {
        writeln!(out, "{}", clean(&fault.to_string()))?;
    }
    if !faults.is_empty() {
        writeln!(out, "{}", counted(faults.len() as u64, "fault"))?;
        return Ok(Exit::Failed);
    }
    let set = RuleSet::load(config.default_rules, &paths)?;
    let rules = set.rules().iter().filter(|rule| ours(&rule.file));
    let (mut amount, mut examples) = (0, 0);
    for rule in rules {
        amount += 1;
        examples += rule.examples.leak.len() + rule.examples.fine.len();
    }
    writeln!(out, "{}, {}: all fine", counted(amount, "rule"), counted(examples as u64, "example"))?;
    Ok(Exit::Ran)
}
