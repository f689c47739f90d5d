//! Rights given up once the capture is open: the user, capabilities, the file system, system calls.
//!
//! Each step by itself: what cannot be given up is told, and the rest is given up all the same.

#[cfg(target_os = "linux")]
mod linux;

use std::path::PathBuf;

/// What is to be given up.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Become this user, by name or number. Only root can.
    pub user: Option<String>,
    /// Which capabilities stay.
    pub capabilities: Capabilities,
    /// Only these parts of the file system stay within reach; `None`: all of it.
    pub files: Option<Files>,
    /// Whether other processes are looked at: landlock would hide them, so that then only threads that [`Confinement::enter`] are
    /// kept to the files.
    pub processes: bool,
    /// Whether system calls that no capture needs are refused from here on.
    pub calls: bool,
    /// Of those `bpf(2)` stays: programs that are loaded are attached to interfaces that come later.
    pub attaches: bool,
}

/// Which capabilities stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// As they are.
    Kept,
    /// Of those there are, these alone.
    Only {
        /// `CAP_NET_RAW`: an interface that comes back can be captured on again.
        capturing: bool,
        /// `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`: processes of other users are seen.
        processes: bool,
        /// `CAP_BPF` and `CAP_PERFMON`, and the system call they are for: libraries that come later are watched, too.
        programs: bool,
    },
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::Only { capturing: false, processes: false, programs: false }
    }
}

/// Parts of the file system, with all below.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// To be read.
    pub read: Vec<PathBuf>,
    /// To be read and written.
    pub write: Vec<PathBuf>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What was given up, in words.
    pub up: Vec<String>,
    /// What could not be, and why.
    pub failures: Vec<String>,
    /// What threads that look into traffic give up beyond that.
    pub confinement: Confinement,
}

/// What a thread gives up that looks into traffic: whoever got into it by a fault of ours would have no capability and see no file.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    #[cfg(target_os = "linux")]
    inner: std::sync::Arc<linux::Confinement>,
}

impl Confinement {
    /// Holds for the calling thread and those that it begins.
    ///
    /// # Errors
    /// What could not be given up.
    pub fn enter(&self) -> Result<(), String> {
        #[cfg(target_os = "linux")]
        self.inner.enter()?;
        Ok(())
    }
}

/// The first step, before any thread is begun: user, capabilities and files hold for this thread and those that it begins.
#[must_use]
pub fn give_up(wish: &Wish) -> Given {
    let mut given = Given::default();
    #[cfg(target_os = "linux")]
    linux::give_up(wish, &mut given);
    #[cfg(not(target_os = "linux"))]
    given.failures.push("this system has no rights that leaktap knows how to give up".to_owned());
    let _ = wish;
    given
}
