//! `leaktap interfaces`: what can be captured on.

use std::io::{self, Write};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{Exit, World, on_terminal};
use crate::config::Config;
use crate::sink::{self, clean};
use crate::source::live::{self, Interface};

/// An interface as programs are told of it.
#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    index: u32,
    link: String,
    state: &'static str,
    addresses: Vec<String>,
    likely: bool,
}

/// Runs the command.
pub(super) fn run(world: &World<'_>) -> anyhow::Result<Exit> {
    let interfaces = live::interfaces().context("the interfaces cannot be listed")?;
    let likely = live::likely(&interfaces).map(|likely| likely.index);
    let views: Vec<View<'_>> = interfaces.iter().map(|one| view(one, likely)).collect();
    let mut out = sink::standard();
    match for_programs(&world.config)? {
        true => writeln!(out, "{}", serde_json::to_string(&views)?)?,
        false => table(&views, &mut out)?,
    }
    out.flush()?;
    Ok(Exit::Ran)
}

/// Whether JSON was asked for: otherwise text for people.
pub(super) fn for_programs(config: &Config) -> anyhow::Result<bool> {
    match config.format.as_deref() {
        None => Ok(!on_terminal()),
        Some("json") => Ok(true),
        Some("table") => Ok(false),
        Some(other) => bail!("unknown format {:?} here; known are: table, json", clean(other)),
    }
}

fn view(interface: &Interface, likely: Option<u32>) -> View<'_> {
    View {
        name: &interface.name,
        index: interface.index,
        link: interface.link(),
        state: interface.state(),
        addresses: interface.addresses.iter().map(ToString::to_string).collect(),
        likely: likely == Some(interface.index),
    }
}

fn table(views: &[View<'_>], out: &mut dyn Write) -> io::Result<()> {
    let widest = views.iter().map(|view| view.name.len()).max().unwrap_or_default().max(4);
    for view in views {
        let mark = if view.likely { "likely" } else { "" };
        let line = format!(
            "{:widest$}  {:10}  {:12}  {:6}  {}",
            view.name,
            view.state,
            view.link,
            mark,
            view.addresses.join(" ")
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "{:widest$}  all of them at once", live::ANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_state_link_and_addresses() {
        let interface = Interface {
            name: "eth0".into(),
            index: 2,
            hardware: Some(1),
            addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            up: true,
            running: true,
            loopback: false,
        };
        let other = Interface {
            name: "wg0".into(),
            index: 3,
            hardware: Some(0xfffe),
            up: false,
            addresses: Vec::new(),
            ..interface.clone()
        };
        let mut out = Vec::new();
        table(&[view(&interface, Some(2)), view(&other, Some(2))], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "eth0  up          ethernet      likely  192.0.2.7 2001:db8::7\n\
             wg0   down        raw-ip\n\
             any   all of them at once\n"
        );
    }
}
