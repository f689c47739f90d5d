//! Clear text of connections that the wire carries encrypted: taken where programs of this machine hand it to their library for
//! TLS, or get it from there.

mod code;
mod connections;
mod elf;
mod kernel;
mod library;
mod record;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caps::{CapSet, Capability};
use crossbeam_channel::RecvTimeoutError;
use nix::time::{ClockId, clock_gettime};

use self::connections::{Connections, Told};
use self::kernel::{Counts, Kernel};
use self::record::Record;
use super::live::{Drops, rights};
use super::{Next, Source, SourceError};
use crate::model::{Clear, Plain, Timestamp};

/// What its events call the place they come from.
const NAME: &str = "tls";
/// Nothing is waited for longer than this, so that a signal is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why nothing can be told.
#[derive(Clone, Debug)]
struct Refused {
    /// The right to load programs is missing.
    by_right: bool,
    why: String,
}

impl Refused {
    fn other(why: String) -> Self {
        Self { by_right: false, why }
    }

    fn of(error: &libbpf_rs::Error) -> Self {
        // A program that the kernel does not take is refused with the same words.
        let by_right = error.kind() == libbpf_rs::ErrorKind::PermissionDenied && !may_load();
        // The chain says what the kernel said.
        Self { by_right, why: format!("{error:#}") }
    }
}

/// What it takes to read clear text of all programs.
const RIGHTS: &str = "cap_net_raw,cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search";

/// Whether this thread may load programs into the kernel and have them told of others.
fn may_load() -> bool {
    let has = |right| caps::has_cap(None, CapSet::Effective, right).unwrap_or(false);
    has(Capability::CAP_SYS_ADMIN) || has(Capability::CAP_BPF) && has(Capability::CAP_PERFMON)
}

/// How it stands with what is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Files watched, by family: OpenSSL, GnuTLS, Go …
    pub files: BTreeMap<&'static str, usize>,
    /// What the kernel refused, and what that costs.
    pub refused: Vec<String>,
}

/// What was read, also when the source itself is gone.
#[derive(Clone)]
pub struct Toll(Arc<Counts>);

impl Toll {
    /// How many calls of programs to their libraries there were so far, and how many bytes they handed over or took.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.0.calls.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }
}

/// Clear text of the programs on this machine.
pub struct Tls {
    kernel: Kernel,
    /// Records, each behind its length, and where the next begins.
    chunk: Vec<u8>,
    at: usize,
    is_begun: bool,
    connections: Connections,
    number: u64,
    bytes: u64,
    lost: u64,
    /// Nanoseconds from the kernel's clock to that of the day.
    offset: i64,
    notes: Vec<String>,
}

impl Tls {
    /// Watches the programs of the network namespace with this inode; 0: all there are.
    ///
    /// # Errors
    /// [`SourceError::Rights`] without the right to load programs into the kernel; [`SourceError::Live`] otherwise.
    pub fn open(namespace: u32) -> Result<Self, SourceError> {
        let kernel = Kernel::start(namespace).map_err(|refused| {
            let interface = NAME.to_owned();
            if refused.by_right {
                let mend = rights::command_for(RIGHTS);
                let help = format!("reading clear text needs CAP_BPF and CAP_PERFMON; {mend}");
                SourceError::Rights { interface, help }
            } else {
                let reason = format!("{} (--tls needs Linux 6.6 or later)", refused.why);
                SourceError::Live { interface, reason }
            }
        })?;
        Ok(Self {
            kernel,
            chunk: Vec::new(),
            at: 0,
            is_begun: false,
            connections: Connections::default(),
            number: 0,
            bytes: 0,
            lost: 0,
            offset: offset(),
            notes: Vec::new(),
        })
    }

    /// `tls`.
    #[must_use]
    pub fn name(&self) -> &str {
        NAME
    }

    /// How it stood when it began.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.kernel.standing
    }

    /// Records for which there was no room since the last call.
    pub fn drops(&mut self) -> Drops {
        self.offset = offset();
        let lost = self.kernel.counts.lost_records.load(Ordering::Relaxed);
        let more = lost.saturating_sub(self.lost);
        self.lost = self.lost.max(lost);
        Drops { kernel: more, interface: 0 }
    }

    /// What is to be said since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        self.notes.extend(self.kernel.notes.try_iter());
        std::mem::take(&mut self.notes)
    }

    /// What was read so far.
    #[must_use]
    pub fn toll(&self) -> Toll {
        Toll(Arc::clone(&self.kernel.counts))
    }

    /// The next record of the chunk is taken in.
    fn take(&mut self) -> Option<()> {
        let rest = self.chunk.get(self.at..)?;
        let length = rest.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))? as usize;
        let record = rest.get(4..4 + length)?;
        let start = self.at + 4 + record::HEAD;
        self.at += 4 + length;
        if let Some(record) = Record::read(record) {
            self.connections.take(&record, start);
        }
        Some(())
    }
}

impl Source for Tls {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        self.kernel.begin();
        let next = loop {
            if let Some(next) = self.connections.next() {
                break next;
            }
            if self.take().is_some() {
                continue;
            }
            // A chunk is over: what it gave goes on, whether or not more comes.
            if std::mem::take(&mut self.is_begun) {
                return Ok(Next::Idle);
            }
            match self.kernel.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => (self.chunk, self.at, self.is_begun) = (chunk, 0, true),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Idle),
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
            }
        };
        self.number += 1;
        let what = match next.told {
            Told::Data(ref range) => Clear::Data(self.chunk.get(range.clone()).unwrap_or_default()),
            Told::Missing(bytes) => Clear::Missing(bytes),
            Told::End => Clear::End,
        };
        if let Clear::Data(bytes) = what {
            self.bytes += bytes.len() as u64;
        }
        Ok(Next::Plain(Plain {
            number: self.number,
            time: Timestamp::from_nanos((next.time as i64).saturating_add(self.offset)),
            connection: next.connection,
            local: next.local,
            remote: next.remote,
            pid: next.pid,
            uid: next.uid,
            name: self.connections.name(),
            sent: next.sent,
            what,
        }))
    }

    fn position(&self) -> u64 {
        self.bytes
    }
}

/// Nanoseconds from the kernel's clock (`bpf_ktime_get_ns`) to that of the day.
fn offset() -> i64 {
    let nanos = |clock| {
        clock_gettime(clock).map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000) + time.tv_nsec())
    };
    nanos(ClockId::CLOCK_REALTIME) - nanos(ClockId::CLOCK_MONOTONIC)
}

/// Whether clear text can be read here, and of what.
///
/// # Errors
/// What stands in the way, and the one thing that helps.
pub fn standing() -> Result<Standing, (String, String)> {
    match Tls::open(0) {
        Ok(tls) => Ok(tls.standing().clone()),
        Err(SourceError::Rights { .. }) => {
            let why = "this process may not load programs into the kernel".to_owned();
            Err((why, rights::command_for(RIGHTS)))
        }
        Err(error) => Err((error.to_string(), "Linux 6.6 or later".to_owned())),
    }
}
