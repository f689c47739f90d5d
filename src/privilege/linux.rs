//! How Linux takes rights back: setuid, capabilities(7), landlock(7), seccomp(2).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::thread;

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus,
};
use nix::unistd::{Gid, Uid, User, geteuid, setgid, setgroups, setuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::{Capabilities, Files, Given, Wish};

pub(super) fn give_up(wish: &Wish, given: &mut Given) {
    let mut note = |what: &str, result: Result<Option<String>, String>| match result {
        Ok(Some(up)) => given.up.push(up),
        Ok(None) => {}
        Err(why) => given.failures.push(format!("{what} could not be given up: {why}")),
    };
    bound(wish.capabilities);
    note("the user", user(wish));
    note("capabilities", capabilities(wish.capabilities));
    let mut confinement = Confinement { capabilities: wanted(wish.capabilities, false), files: None };
    note(
        "files",
        match wish.files.as_ref().map(ruleset) {
            None => Ok(None),
            Some(Err(why)) => Err(why),
            Some(Ok(ruleset)) if wish.processes => {
                // Whether it holds is tried where it does no harm.
                let tried = ruleset.try_clone().map_err(|error| error.to_string());
                let told =
                    tried.and_then(|tried| thread::spawn(|| restrict(tried)).join().unwrap_or(Ok(None)));
                confinement.files = told.is_ok().then_some(ruleset);
                told.map(|told| told.map(|told| format!("{told} (where traffic is looked into)")))
            }
            Some(Ok(ruleset)) => restrict(ruleset),
        },
    );
    if wish.calls {
        let programs = matches!(wish.capabilities, Capabilities::Only { programs: true, .. });
        note("system calls", calls(wish.attaches || programs));
    }
    given.confinement = super::Confinement { inner: Arc::new(confinement) };
}

/// What threads that look into traffic keep.
#[derive(Debug, Default)]
pub(super) struct Confinement {
    capabilities: Option<HashSet<Capability>>,
    files: Option<RulesetCreated>,
}

impl Confinement {
    pub(super) fn enter(&self) -> Result<(), String> {
        if let Some(wanted) = &self.capabilities {
            keep(wanted)?;
        }
        match &self.files {
            Some(files) => restrict(files.try_clone().map_err(|error| error.to_string())?).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Becomes another user; what capabilities stay is decided by the step after this one.
fn user(wish: &Wish) -> Result<Option<String>, String> {
    let Some(name) = &wish.user else { return Ok(None) };
    if !geteuid().is_root() {
        return Err(format!("only root can become {name}"));
    }
    let found = match name.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    let (uid, gid): (Uid, Gid) = match found {
        Ok(Some(user)) => (user.uid, user.gid),
        Ok(None) => return Err(format!("there is no user {name}")),
        Err(error) => return Err(error.desc().to_owned()),
    };
    if uid.is_root() {
        return Err("root is no ordinary user".to_owned());
    }
    if wish.capabilities != Capabilities::default() {
        caps::securebits::set_keepcaps(true).map_err(|error| error.to_string())?;
    }
    setgroups(&[gid])
        .and_then(|()| setgid(gid))
        .and_then(|()| setuid(uid))
        .map_err(|error| error.desc().to_owned())?;
    Ok(Some(format!("user {name}")))
}

/// The capabilities that may stay.
fn wanted(which: Capabilities, also_processes: bool) -> Option<HashSet<Capability>> {
    let Capabilities::Only { capturing, processes, programs } = which else { return None };
    let mut wanted = HashSet::new();
    if capturing {
        wanted.insert(Capability::CAP_NET_RAW);
    }
    if programs && also_processes {
        wanted.extend([Capability::CAP_BPF, Capability::CAP_PERFMON]);
    }
    if (processes || programs) && also_processes {
        wanted.extend([Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
    }
    Some(wanted)
}

/// No program that this one could begin may get more. Only root can say so; for others it is so already.
fn bound(which: Capabilities) {
    let Some(wanted) = wanted(which, true) else { return };
    for capability in caps::all().into_iter().filter(|capability| !wanted.contains(capability)) {
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
}

fn capabilities(which: Capabilities) -> Result<Option<String>, String> {
    let told = |error: caps::errors::CapsError| error.to_string();
    let permitted = caps::read(None, CapSet::Permitted).map_err(told)?;
    let Some(wanted) = wanted(which, true) else {
        // Another user has them still, but none is in effect.
        return caps::set(None, CapSet::Effective, &permitted).map(|()| None).map_err(told);
    };
    let left = keep(&wanted)?;
    let mut names: Vec<String> = left.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    Ok(Some(match names.as_slice() {
        [] => "all capabilities".to_owned(),
        names => format!("all capabilities but {}", names.join(", ")),
    }))
}

/// Of the capabilities there are these alone stay; which that is.
fn keep(wanted: &HashSet<Capability>) -> Result<HashSet<Capability>, String> {
    let told = |error: caps::errors::CapsError| error.to_string();
    let permitted = caps::read(None, CapSet::Permitted).map_err(told)?;
    let left: HashSet<Capability> = permitted.intersection(wanted).copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(told)?;
    caps::set(None, CapSet::Inheritable, &HashSet::new()).map_err(told)?;
    caps::set(None, CapSet::Effective, &left).map_err(told)?;
    caps::set(None, CapSet::Permitted, &left).map_err(told)?;
    Ok(left)
}

/// Only these files within reach.
fn ruleset(files: &Files) -> Result<RulesetCreated, String> {
    let abi = ABI::V3;
    let told = |error: landlock::RulesetError| error.to_string();
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .map_err(told)?;
    for (paths, access) in [(&files.read, AccessFs::from_read(abi)), (&files.write, AccessFs::from_all(abi))]
    {
        for path in paths {
            // What is not there needs no right.
            let Ok(place) = PathFd::new(path) else { continue };
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(abi) };
            ruleset = ruleset.add_rule(PathBeneath::new(place, access)).map_err(told)?;
        }
    }
    Ok(ruleset)
}

/// From here on this thread is kept to the files.
fn restrict(ruleset: RulesetCreated) -> Result<Option<String>, String> {
    match ruleset.restrict_self().map_err(|error| error.to_string())?.ruleset {
        RulesetStatus::FullyEnforced => Ok(Some("all files but those it needs".to_owned())),
        RulesetStatus::PartiallyEnforced => Ok(Some("most files but those it needs".to_owned())),
        RulesetStatus::NotEnforced => Err("this kernel has no landlock".to_owned()),
    }
}

/// What a capture never asks for, and whoever gets in by a fault of ours would: other programs and processes, other namespaces,
/// mounts, the kernel itself. They fail with `EPERM`.
fn refused() -> Vec<i64> {
    vec![
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_mknodat,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setgroups,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_personality,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
    ]
}

/// With `programs`, programs of the kernel may still be loaded and attached.
fn calls(programs: bool) -> Result<Option<String>, String> {
    let architecture =
        std::env::consts::ARCH.try_into().map_err(|_| "this machine is not known".to_owned())?;
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = refused()
        .into_iter()
        .filter(|&call| !programs || call != libc::SYS_bpf)
        .map(|call| (call, Vec::new()))
        .collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        architecture,
    )
    .map_err(|error| error.to_string())?;
    let program: BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    Ok(Some("system calls it does not need".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_to_its_files_and_the_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| folder.path().join(name));
        for place in [&inside, &outside] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("file"), "made up").unwrap();
        }
        let wish = Files { read: vec![inside.clone()], write: Vec::new() };
        let Ok(files) = ruleset(&wish) else { panic!("a list of files") };
        let confinement = Confinement { capabilities: None, files: Some(files) };
        let seen = thread::scope(|scope| {
            let confined = scope.spawn(|| match confinement.enter() {
                Ok(()) => Some([&inside, &outside].map(|place| std::fs::read(place.join("file")).is_ok())),
                Err(_) => None,
            });
            confined.join().unwrap()
        });
        match seen {
            Some(seen) => assert_eq!(seen, [true, false]),
            None => eprintln!("skipped: this kernel has no landlock"),
        }
        assert!(std::fs::read(outside.join("file")).is_ok(), "this thread is as it was");
    }
}
