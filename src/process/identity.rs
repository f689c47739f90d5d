//! What there is to say of a process: name, command line, user, control group, ancestors.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use nix::unistd::{Uid, User};

use super::cgroup::{self, Place};
use crate::model::redact;

/// Processes and users remembered, each.
const REMEMBERED: usize = 4096;
/// Ancestors remembered of a process.
const ANCESTORS: usize = 32;
/// Bytes of a command line that are read.
const COMMAND: usize = 4096;

/// A process as it was when its connection was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Redacted; none of kernel threads and of processes that are gone.
    pub(super) command: Option<String>,
    pub(super) uid: u32,
    pub(super) user: Option<String>,
    pub(super) place: Place,
    /// The parent, its parent …
    pub(super) ancestors: Vec<u32>,
}

impl Identity {
    /// A process of which no more is known.
    pub(super) fn gone(pid: u32, name: String, uid: u32, user: Option<String>) -> Self {
        Self { pid, name, command: None, uid, user, place: Place::default(), ancestors: Vec::new() }
    }
}

/// Identities by process, each read once.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: HashMap<u32, (Stat, Arc<Identity>)>,
    users: HashMap<u32, Option<String>>,
}

impl Identities {
    /// The process, where it is there. One that has got another's number, or runs another program, is read anew.
    pub(super) fn of(&mut self, pid: u32) -> Option<Arc<Identity>> {
        let stat = Stat::of(pid)?;
        if let Some((known, identity)) = self.known.get(&pid)
            && *known == stat
        {
            return Some(Arc::clone(identity));
        }
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let command = read("cmdline");
        let command = command.get(..command.len().min(COMMAND)).unwrap_or_default();
        let command = command.strip_suffix(&[0]).unwrap_or(command);
        let uid = uid(&String::from_utf8_lossy(&read("status")))?;
        let identity = Arc::new(Identity {
            pid,
            name: stat.name.clone(),
            command: (!command.is_empty()).then(|| redact::command_line(command.split(|&byte| byte == 0))),
            uid,
            user: self.user(uid),
            place: cgroup::of_process(&String::from_utf8_lossy(&read("cgroup"))),
            ancestors: ancestors(stat.parent),
        });
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(pid, (stat, Arc::clone(&identity)));
        Some(identity)
    }

    /// The name of a user, asked of the system once.
    pub(super) fn user(&mut self, uid: u32) -> Option<String> {
        if self.users.len() >= REMEMBERED {
            self.users.clear();
        }
        let ask = || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        self.users.entry(uid).or_insert_with(ask).clone()
    }
}

/// What tells a process from the next that gets its number, and from the program it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    start: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::read(&String::from_utf8_lossy(&bytes))
    }

    /// `proc_pid_stat(5)`: the name may hold anything, brackets too.
    fn read(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        let start = fields.get(19)?.parse().ok()?;
        Some(Self { name: name.to_owned(), parent, start })
    }
}

fn ancestors(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut pid = parent;
    while pid > 0 && found.len() < ANCESTORS && !found.contains(&pid) {
        found.push(pid);
        pid = Stat::of(pid).map_or(0, |stat| stat.parent);
    }
    found
}

/// The effective user in the text of `/proc/PID/status`.
fn uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let mut identities = Identities::default();
        let own = identities.of(std::process::id()).unwrap();
        assert_eq!(own.pid, std::process::id());
        assert_eq!(own.uid, nix::unistd::geteuid().as_raw());
        assert!(own.command.is_some() && !own.name.is_empty(), "{own:?}");
        assert_eq!(own.ancestors[0], std::os::unix::process::parent_id());
        assert!(Arc::ptr_eq(&own, &identities.of(own.pid).unwrap()));
        assert_eq!(identities.of(u32::MAX), None);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let rest = " S 7 8 9 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 4711 10 20";
        for name in ["sh", "a) R 1 (b", "tab\tbed", ""] {
            let stat = Stat::read(&format!("42 ({name}){rest}")).unwrap();
            assert_eq!(stat, Stat { name: name.to_owned(), parent: 7, start: 4711 });
        }
        for broken in ["", "42 (x", "42 (x) S", "42 x) S 7"] {
            assert_eq!(Stat::read(broken), None, "{broken}");
        }
        assert_eq!(uid("Name:\tx\nUid:\t1000\t33\t0\t0\n"), Some(33));
        assert_eq!(uid("Uid:\tx"), None);
    }
}
