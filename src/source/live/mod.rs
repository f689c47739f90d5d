//! Live capture: frames from the network interfaces of this machine, by the kernel's ring, by a program in it, or by libpcap.
//!
//! An interface that goes down or vanishes ends nothing: it is told, and captured on again once it is back.

#[cfg(all(feature = "ebpf", target_os = "linux"))]
mod ebpf;
pub mod interface;
#[cfg(feature = "pcap")]
mod libpcap;
pub mod rights;
#[cfg(target_os = "linux")]
mod ring;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use self::interface::{ANY, Interface, interfaces, likely, named};
use super::{Next, Source, SourceError};
use crate::model::{FlowKey, Frame, LinkType, Timestamp};

/// Nothing is waited for longer than this, so that a signal is seen.
const PATIENCE: Duration = Duration::from_millis(100);
/// Frames come together, which costs least.
pub const CALM: Duration = Duration::from_millis(50);
/// Frames come as soon as can be: those who sent them are still there.
pub const EAGER: Duration = Duration::from_millis(2);
/// The last frames before the end are handed over within this time.
pub const DRAIN: Duration = Duration::from_millis(150);

/// Which way frames take to this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The ring where there is one, else libpcap.
    #[default]
    Auto,
    /// libpcap.
    Pcap,
    /// The kernel's packet ring (Linux).
    Ring,
    /// A program in the kernel that hands up what anybody reads (Linux, with the feature `ebpf`).
    Ebpf,
}

/// How interfaces are captured on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The way of the frames.
    pub way: Way,
    /// A filter in libpcap's syntax, run in the kernel where that can be.
    pub filter: Option<String>,
    /// Bytes of kernel memory for frames that wait, for each interface and reader.
    pub buffer: usize,
    /// Whether frames for other machines are wanted too.
    pub promiscuous: bool,
    /// Frames are handed over after so long, though more would fit: [`CALM`], or [`EAGER`] (ring only).
    pub retire: Duration,
}

/// A frame as a backend has it.
struct Captured<'a> {
    time: Timestamp,
    link: LinkType,
    bytes: &'a [u8],
    original_len: u32,
}

/// The interface went down or vanished.
#[derive(Debug)]
struct Gone;

/// One way of the frames, open.
trait Backend: Send {
    /// The next frame; `None` where none came for [`PATIENCE`] at most.
    fn next(&mut self) -> Result<Option<Captured<'_>>, Gone>;

    /// Frames the kernel dropped for want of room since the last call.
    fn dropped(&mut self) -> u64;

    /// What is to be said since the last call.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Frames that the kernel did not hand up so far, because nobody wants them, by reason.
    fn unwanted(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Who takes flows out of what is captured; none by default.
    fn leave(&self) -> Option<Arc<dyn Leave>> {
        None
    }
}

/// Takes flows out of what is captured, where the kernel can.
pub trait Leave: Send + Sync {
    /// Nothing more of `flow` is wanted, as was seen at the time `decided`. Another connection of the same ends is captured again.
    fn leave(&self, flow: &FlowKey, decided: Timestamp);
}

/// What was lost before it reached this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Frames for which the buffer in the kernel had no room.
    pub kernel: u64,
    /// Frames for which the interface itself had no room.
    pub interface: u64,
}

/// Readers that share the flows of one interface among them (`PACKET_FANOUT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The number of their group, one for each interface and process.
    pub group: u16,
    /// Which of them this is, from 0.
    pub index: u64,
    /// How many they are.
    pub of: u64,
}

/// Frames of one interface.
pub struct Live {
    name: String,
    settings: Settings,
    member: Option<Member>,
    backend: Option<Box<dyn Backend>>,
    /// By what the ring is opened again without the right to open one.
    seat: Option<Seat>,
    /// Whether it was told that it cannot be.
    is_refused: bool,
    is_gone: bool,
    again: Instant,
    frames: u64,
    bytes: u64,
    missed: u64,
    kernel: u64,
    notes: Vec<String>,
}

impl Live {
    /// Captures on the interface `name` (see [`named`]). One that is down is waited for.
    ///
    /// # Errors
    /// [`SourceError::Rights`] without the right to capture; [`SourceError::Live`], [`SourceError::Filter`] otherwise.
    pub fn open(name: &str, settings: &Settings, member: Option<Member>) -> Result<Self, SourceError> {
        let mut live = Self {
            name: name.to_owned(),
            settings: settings.clone(),
            member,
            backend: None,
            seat: None,
            is_refused: false,
            is_gone: false,
            again: Instant::now(),
            frames: 0,
            bytes: 0,
            missed: interface::missed(name),
            kernel: 0,
            notes: Vec::new(),
        };
        let is_up = interface::is_up(name);
        // What is open follows the interface by itself, though the right to open may be gone.
        if is_up || settings.way == Way::Ebpf && interface::is_there(name) {
            live.backend = Some(open(name, settings, member, &mut live.seat)?);
        } else {
            live.seat = seat(name, settings);
        }
        if !is_up {
            live.notes
                .push(format!("{name} is down: it is captured on once it is up (`ip link set {name} up`)"));
        }
        Ok(live)
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was lost since the last call.
    pub fn drops(&mut self) -> Drops {
        let missed = interface::missed(&self.name);
        let interface = missed.saturating_sub(self.missed);
        self.missed = missed;
        let waiting = self.backend.as_mut().map_or(0, |backend| backend.dropped());
        Drops { kernel: std::mem::take(&mut self.kernel) + waiting, interface }
    }

    /// What is to be said since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.backend.iter_mut().flat_map(|backend| backend.notes()));
        notes
    }

    /// Frames that the kernel did not hand up so far, because nobody wants them, by reason.
    #[must_use]
    pub fn unwanted(&self) -> Vec<(&'static str, u64)> {
        self.backend.as_ref().map(|backend| backend.unwanted()).unwrap_or_default()
    }

    /// Who takes flows out of what is captured here, where that can be.
    #[must_use]
    pub fn leave(&self) -> Option<Arc<dyn Leave>> {
        self.backend.as_ref()?.leave()
    }

    /// Closes what is gone, and opens it again once it is there.
    fn mend(&mut self) {
        if std::mem::take(&mut self.is_gone)
            && let Some(mut backend) = self.backend.take()
        {
            self.kernel += backend.dropped();
            drop(backend);
            rest(self.seat.as_ref());
            let there = interfaces().is_ok_and(|all| all.iter().any(|one| one.name == self.name));
            let what = if there { "is down" } else { "is gone" };
            self.notes.push(format!("{} {what}: it is captured on again once it is back", self.name));
        }
        if self.backend.is_none() && self.again <= Instant::now() {
            self.again = Instant::now() + PATIENCE;
            if !interface::is_up(&self.name) {
                return;
            }
            match open(&self.name, &self.settings, self.member, &mut self.seat) {
                Ok(backend) => {
                    self.backend = Some(backend);
                    self.is_refused = false;
                    self.missed = interface::missed(&self.name);
                    self.notes.push(format!("{} is up: capturing on it", self.name));
                }
                Err(SourceError::Rights { .. }) if !std::mem::replace(&mut self.is_refused, true) => {
                    let note =
                        "is up, but the right to capture on it again was given up (`--keep raw` keeps it)";
                    self.notes.push(format!("{} {note}", self.name));
                }
                // It may have gone down again.
                Err(_) => {}
            }
        }
    }
}

impl Source for Live {
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        if self.is_gone || self.backend.is_none() {
            self.mend();
        }
        let Some(backend) = &mut self.backend else {
            thread::sleep(PATIENCE);
            return Ok(Next::Idle);
        };
        match backend.next() {
            Ok(Some(captured)) => {
                // Members number their frames so that no two of an interface have one number.
                let number = match self.member {
                    Some(member) => self.frames * member.of + member.index + 1,
                    None => self.frames + 1,
                };
                self.frames += 1;
                self.bytes += captured.bytes.len() as u64;
                Ok(Next::Frame(Frame {
                    number,
                    time: captured.time,
                    link: captured.link,
                    bytes: captured.bytes,
                    original_len: captured.original_len,
                }))
            }
            Ok(None) => Ok(Next::Idle),
            Err(Gone) => {
                self.is_gone = true;
                Ok(Next::Idle)
            }
        }
    }

    fn position(&self) -> u64 {
        self.bytes
    }
}

#[cfg(target_os = "linux")]
use ring::{Seat, rest};

#[cfg(not(target_os = "linux"))]
type Seat = ();

/// What is taken while there is the right to, for an interface that is down.
#[cfg(target_os = "linux")]
fn seat(name: &str, settings: &Settings) -> Option<Seat> {
    (settings.way != Way::Pcap).then(|| ring::seat(name).ok()).flatten()
}

#[cfg(not(target_os = "linux"))]
fn seat(_: &str, _: &Settings) -> Option<Seat> {
    None
}

#[cfg(not(target_os = "linux"))]
fn rest(_: Option<&Seat>) {}

fn open(
    name: &str,
    settings: &Settings,
    member: Option<Member>,
    seat: &mut Option<Seat>,
) -> Result<Box<dyn Backend>, SourceError> {
    match settings.way {
        Way::Auto if cfg!(target_os = "linux") => ring(name, settings, member, seat),
        Way::Ring => ring(name, settings, member, seat),
        Way::Ebpf => ebpf(name, settings),
        Way::Auto | Way::Pcap => pcap(name, settings),
    }
}

#[cfg(target_os = "linux")]
fn ring(
    name: &str,
    settings: &Settings,
    member: Option<Member>,
    seat: &mut Option<Seat>,
) -> Result<Box<dyn Backend>, SourceError> {
    Ok(Box::new(ring::Ring::open(name, settings, member.map(|member| member.group), seat)?))
}

#[cfg(not(target_os = "linux"))]
fn ring(
    name: &str,
    _: &Settings,
    _: Option<Member>,
    _: &mut Option<Seat>,
) -> Result<Box<dyn Backend>, SourceError> {
    let reason = "only Linux has a packet ring: use --backend pcap".to_owned();
    Err(SourceError::Live { interface: name.to_owned(), reason })
}

#[cfg(all(feature = "ebpf", target_os = "linux"))]
fn ebpf(name: &str, settings: &Settings) -> Result<Box<dyn Backend>, SourceError> {
    Ok(Box::new(ebpf::Tcx::open(name, settings)?))
}

#[cfg(not(all(feature = "ebpf", target_os = "linux")))]
fn ebpf(name: &str, _: &Settings) -> Result<Box<dyn Backend>, SourceError> {
    let reason = "this build is without the feature `ebpf`: use --backend ring or pcap".to_owned();
    Err(SourceError::Live { interface: name.to_owned(), reason })
}

#[cfg(feature = "pcap")]
fn pcap(name: &str, settings: &Settings) -> Result<Box<dyn Backend>, SourceError> {
    Ok(Box::new(libpcap::Libpcap::open(name, settings)?))
}

#[cfg(not(feature = "pcap"))]
fn pcap(name: &str, _: &Settings) -> Result<Box<dyn Backend>, SourceError> {
    let reason = "this build has no libpcap; build with the feature `pcap`".to_owned();
    Err(SourceError::Live { interface: name.to_owned(), reason })
}

/// Waits for frames, up to [`PATIENCE`].
fn wait(fd: BorrowedFd<'_>) -> PollFlags {
    let mut asked = [PollFd::new(fd, PollFlags::POLLIN)];
    // A signal interrupts it, and then is looked for.
    let _ = poll(&mut asked, PollTimeout::from(PATIENCE.as_millis() as u8));
    let [asked] = asked;
    asked.revents().unwrap_or(PollFlags::empty())
}

/// Why the system refused, as a user can mend it.
fn refused(name: &str, error: &io::Error) -> SourceError {
    let interface = name.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Rights { interface, help: rights::help() },
        io::ErrorKind::OutOfMemory => SourceError::Live {
            interface,
            reason: "the kernel has no memory for the buffer: ask for less by --buffer".to_owned(),
        },
        _ => SourceError::Live { interface, reason: error.to_string() },
    }
}
