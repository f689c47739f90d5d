//! `leaktap doctor`: what this machine allows, and the one command that mends what it does not.

use std::io::{self, Write};

use anyhow::Context as _;
use serde::Serialize;

use super::interfaces::for_programs;
use super::{Exit, World, rules};
use crate::config::key::{self, KeySource};
use crate::process::{self, Attribution, Selection};
use crate::sink;
use crate::source::live::{self, Live, Settings, Way, rights};
use crate::source::tls;

/// What was looked at, and how it stands.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was found.
    found: String,
    /// The one command (or step) that mends it.
    mend: Option<String>,
}

/// Runs the command: 2 where capturing cannot work.
pub(super) fn run(world: &World<'_>) -> anyhow::Result<Exit> {
    let checks = [
        right(),
        interface(),
        way("ring", Way::Ring),
        way("libpcap", Way::Pcap),
        way("tcx", Way::Ebpf),
        processes(),
        kernel(),
        clear_text(),
        rule_set(world),
        fingerprints(world),
    ];
    let mut out = sink::standard();
    match for_programs(&world.config)? {
        true => writeln!(out, "{}", serde_json::to_string(&checks)?)?,
        false => table(&checks, &mut out).context("cannot write")?,
    }
    out.flush()?;
    let has = |name: &str| checks.iter().any(|check| check.name == name && check.ok);
    let works = has("rights") && has("interface") && (has("ring") || has("libpcap")) && has("rules");
    Ok(if works { Exit::Ran } else { Exit::Failed })
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, ok: true, found: found.into(), mend: None }
}

fn bad(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { name, ok: false, found: found.into(), mend: Some(mend.into()) }
}

fn right() -> Check {
    if rights::may_capture() {
        good("rights", "this process may capture")
    } else {
        bad("rights", "this process may not capture", rights::command())
    }
}

fn interface() -> Check {
    match live::interfaces() {
        Ok(interfaces) => match live::likely(&interfaces) {
            Some(likely) => {
                good("interface", format!("{} is the likely one of {}", likely.name, interfaces.len()))
            }
            None => bad("interface", "no interface is up", "ip link set lo up"),
        },
        Err(error) => {
            bad("interface", format!("the interfaces cannot be listed: {error}"), "mount -t proc proc /proc")
        }
    }
}

/// Whether frames can come this way: by opening it for a moment.
fn way(name: &'static str, way: Way) -> Check {
    let settings = Settings { way, filter: None, buffer: 2 << 20, promiscuous: false, retire: live::CALM };
    match Live::open(live::ANY, &settings, None) {
        Ok(_) => good(name, "opens"),
        Err(crate::source::SourceError::Rights { .. }) => {
            let needed = if way == Way::Ebpf {
                "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw"
            } else {
                "cap_net_raw"
            };
            bad(name, "does not open without the right to capture", rights::command_for(needed))
        }
        Err(error) => {
            let other = if way == Way::Ring { "--backend pcap" } else { "--backend ring" };
            bad(name, error.to_string(), format!("use {other}"))
        }
    }
}

/// Whether leaks can name their processes.
fn processes() -> Check {
    if let Err(error) = Attribution::open(Selection::default()) {
        return bad("processes", format!("sockets cannot be looked up: {error}"), "modprobe inet_diag");
    }
    match process::reach() {
        (all, seen) if seen < all => bad(
            "processes",
            format!("leaks name {seen} of {all} processes: those of other users are not seen"),
            rights::command_for("cap_net_raw,cap_sys_ptrace,cap_dac_read_search"),
        ),
        (all, _) => good("processes", format!("leaks name their process: all {all} are seen")),
    }
}

/// Whether the kernel tells of connections, so that short-lived processes are named, too.
fn kernel() -> Check {
    let attribution = match Attribution::open(Selection::default()) {
        Ok(attribution) => attribution,
        Err(error) => return bad("ebpf", error.to_string(), "modprobe inet_diag"),
    };
    let mend = match cfg!(feature = "ebpf") {
        true => rights::command_for("cap_net_raw,cap_sys_ptrace,cap_dac_read_search,cap_bpf,cap_perfmon"),
        false => "apt-get install clang libelf-dev zlib1g-dev && make build".to_owned(),
    };
    let programs = match attribution.programs() {
        Ok(programs) => programs,
        Err(reason) => {
            return bad(
                "ebpf",
                format!("processes that live for milliseconds may stay unnamed: {reason}"),
                mend,
            );
        }
    };
    let refused: Vec<String> = programs
        .iter()
        .filter_map(|program| {
            Some(format!("{} ({}: {})", program.costs, program.name, program.refused.as_ref()?))
        })
        .collect();
    if refused.is_empty() {
        good("ebpf", "the kernel tells whose connections are as they are made")
    } else {
        bad("ebpf", refused.join("; "), mend)
    }
}

/// Whether `--tls` can read clear text, and of which libraries and programs.
fn clear_text() -> Check {
    match tls::standing() {
        Ok(standing) => {
            let files = standing.files.iter().map(|(family, files)| format!("{files} of {family}"));
            let files: Vec<String> = files.collect();
            let files =
                if files.is_empty() { "no library or program yet".to_owned() } else { files.join(", ") };
            let found = format!(
                "--tls reads the clear text of {files}; not of what a stripped program has linked in or of Go before 1.18"
            );
            match standing.refused.as_slice() {
                [] => good("tls", found),
                refused => bad("tls", format!("{found}; {}", refused.join("; ")), "Linux 6.6 or later"),
            }
        }
        Err((why, mend)) => bad("tls", format!("--tls reads no clear text: {why}"), mend),
    }
}

fn rule_set(world: &World<'_>) -> Check {
    match rules::in_force(&world.config) {
        Ok(rules) => good("rules", format!("{} are in force", rules.rules().len())),
        Err(error) => bad("rules", format!("{error:#}"), "leaktap rules check"),
    }
}

fn fingerprints(world: &World<'_>) -> Check {
    match key::fingerprint_key(world.environment) {
        Ok((_, KeySource::Run(reason))) => bad(
            "fingerprints",
            format!("are of one run only: {reason}"),
            "set LEAKTAP_FINGERPRINT_KEY, or XDG_STATE_HOME to a folder that can be written",
        ),
        Ok((_, KeySource::File(path))) => good("fingerprints", format!("by the key {}", path.display())),
        Ok((_, KeySource::Variable)) => good("fingerprints", "by LEAKTAP_FINGERPRINT_KEY"),
        Err(error) => bad("fingerprints", error.to_string(), "set LEAKTAP_FINGERPRINT_KEY"),
    }
}

fn table(checks: &[Check], out: &mut dyn Write) -> io::Result<()> {
    for check in checks {
        let mark = if check.ok { "ok" } else { "no" };
        writeln!(out, "{mark}  {:12}  {}", check.name, sink::clean(&check.found))?;
        if let Some(mend) = &check.mend {
            writeln!(out, "    {:12}  mend: {}", "", sink::clean(mend))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_says_what_mends_it() {
        let mut out = Vec::new();
        table(&[good("ring", "opens"), bad("rights", "may not", "sudo x")], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok  ring          opens\nno  rights        may not\n                  mend: sudo x\n"
        );
    }
}
