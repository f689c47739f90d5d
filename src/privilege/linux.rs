//! How Linux takes rights back: setuid, capabilities(7), landlock(7), seccomp(2).

use std::collections::{BTreeMap, HashSet};

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
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
    note("files", wish.files.as_ref().map_or(Ok(None), files));
    if wish.calls {
        note("system calls", calls(wish.attaches));
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
fn wanted(which: Capabilities) -> Option<HashSet<Capability>> {
    let Capabilities::Only { capturing, processes } = which else { return None };
    let mut wanted = HashSet::new();
    if capturing {
        wanted.insert(Capability::CAP_NET_RAW);
    }
    if processes {
        wanted.extend([Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
    }
    Some(wanted)
}

/// No program that this one could begin may get more. Only root can say so; for others it is so already.
fn bound(which: Capabilities) {
    let Some(wanted) = wanted(which) else { return };
    for capability in caps::all().into_iter().filter(|capability| !wanted.contains(capability)) {
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
}

fn capabilities(which: Capabilities) -> Result<Option<String>, String> {
    let told = |error: caps::errors::CapsError| error.to_string();
    let permitted = caps::read(None, CapSet::Permitted).map_err(told)?;
    let Some(wanted) = wanted(which) else {
        // Another user has them still, but none is in effect.
        return caps::set(None, CapSet::Effective, &permitted).map(|()| None).map_err(told);
    };
    let left: HashSet<Capability> = permitted.intersection(&wanted).copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(told)?;
    caps::set(None, CapSet::Inheritable, &HashSet::new()).map_err(told)?;
    caps::set(None, CapSet::Effective, &left).map_err(told)?;
    caps::set(None, CapSet::Permitted, &left).map_err(told)?;
    let mut names: Vec<String> = left.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    Ok(Some(match names.as_slice() {
        [] => "all capabilities".to_owned(),
        names => format!("all capabilities but {}", names.join(", ")),
    }))
}

/// From here on only these files are within reach.
fn files(files: &Files) -> Result<Option<String>, String> {
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
    match ruleset.restrict_self().map_err(told)?.ruleset {
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

fn calls(attaches: bool) -> Result<Option<String>, String> {
    let architecture =
        std::env::consts::ARCH.try_into().map_err(|_| "this machine is not known".to_owned())?;
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = refused()
        .into_iter()
        .filter(|&call| !attaches || call != libc::SYS_bpf)
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
