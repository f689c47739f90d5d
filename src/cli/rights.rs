//! Which rights a capture gives up once all is open, and which files it will want.

use std::path::{Path, PathBuf};

use super::World;
use super::flags::Capture;
use super::telling::state_folder;
use crate::privilege::{self, Capabilities, Confinement, Files, Wish};
use crate::sink::{Place, Spec};
use crate::source::live::Way;

/// Where a system keeps what any program reads: names, certificates, its own state.
const SYSTEM: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/run", "/proc", "/sys", "/dev"];

/// Gives up what the flags let it, and tells what could not be. What threads that look into traffic give up beyond that.
pub(super) fn give_up(flags: &Capture, outputs: &[Spec], world: &World<'_>) -> Confinement {
    let given = privilege::give_up(&wish(flags, outputs, world));
    if !given.up.is_empty() {
        tracing::info!("given up: {}", given.up.join(", "));
    }
    for failure in &given.failures {
        tracing::warn!("{failure} (--keep says what need not be)");
    }
    given.confinement
}

fn wish(flags: &Capture, outputs: &[Spec], world: &World<'_>) -> Wish {
    let keeps = |what: &str| flags.keep.iter().any(|kept| kept == what);
    let caller = || (world.environment)("SUDO_UID")?.into_string().ok().filter(|uid| uid != "0");
    let is_root = nix::unistd::geteuid().is_root();
    let user = flags.user.clone().or_else(|| caller().filter(|_| is_root));
    Wish {
        user: user.filter(|_| !keeps("user")),
        capabilities: if keeps("capabilities") {
            Capabilities::Kept
        } else {
            Capabilities::Only {
                capturing: keeps("raw"),
                processes: !flags.no_processes,
                programs: flags.tls,
            }
        },
        files: (!keeps("files")).then(|| files(outputs, world)),
        processes: !flags.no_processes || flags.tls,
        calls: !keeps("calls"),
        attaches: flags.backend == Way::Ebpf,
    }
}

/// What is read again (rules, baseline), and the folders of what is put aside and written anew.
fn files(outputs: &[Spec], world: &World<'_>) -> Files {
    let config = &world.config;
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // What is replaced by an editor is another file of the same folder.
    read.extend(config.rules.iter().flat_map(|path| [path.clone(), folder(path)]));
    let mut write = vec![state_folder(world)];
    for spec in outputs {
        if let Place::File(path) | Place::Database(path) = &spec.place {
            write.push(folder(path));
        }
    }
    write.extend(config.pcap_out.iter().chain(&config.baseline).map(|path| folder(path)));
    // Standard output may be a terminal or a file by name.
    write.push(PathBuf::from("/dev"));
    Files { read, write }
}

/// The folder that a file is in.
fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
