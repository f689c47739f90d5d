//! Whether this process may capture, and the one command that helps where it may not.

use std::env;
use std::fs;

use nix::unistd::geteuid;

/// `CAP_NET_RAW`, by its bit.
const NET_RAW: u32 = 13;

/// Whether the process has `CAP_NET_RAW`; without `/proc`, whether it is root.
#[must_use]
pub fn may_capture() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).map_or_else(|| geteuid().is_root(), |bits| bits >> NET_RAW & 1 == 1)
}

/// What is missing, and the one command that helps.
#[must_use]
pub fn help() -> String {
    if !cfg!(target_os = "linux") {
        return "only root may capture here: run it by `sudo`".to_owned();
    }
    format!("this process lacks CAP_NET_RAW; {}", command())
}

/// The one command that gives the right.
#[must_use]
pub fn command() -> String {
    command_for("cap_net_raw")
}

/// The one command that gives `capabilities`, `cap_net_raw,cap_sys_ptrace`.
#[must_use]
pub fn command_for(capabilities: &str) -> String {
    if geteuid().is_root() {
        let added = capabilities
            .split(',')
            .map(|name| format!("--cap-add {}", name.trim_start_matches("cap_").to_uppercase()));
        let added: Vec<String> = added.collect();
        return format!("root lacks it in this container: start it with `{}`", added.join(" "));
    }
    let program = env::current_exe().map_or_else(|_| "leaktap".to_owned(), |path| path.display().to_string());
    format!("give it to the program: `sudo setcap {capabilities}+ep {program}`")
}

/// The effective capabilities in the text of `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000002000\nCapBnd:\t0\n"), Some(1 << NET_RAW));
        assert_eq!(effective("CapEff:\tnone\n"), None);
        assert_eq!(effective(""), None);
    }

    #[test]
    fn what_helps_is_one_command() {
        let help = help();
        assert_eq!(help.matches('`').count(), 2, "{help}");
    }
}
