//! Frames handed up by a program in the kernel (TCX): those alone that anybody reads, and none of flows that are left.

#[expect(unsafe_code, reason = "memory shared with the kernel is raw memory")]
mod kernel;
mod links;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libbpf_rs::{ErrorKind, MapCore as _, Object, ObjectBuilder, PrintLevel, set_print};
use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use self::kernel::{Ring, Shared};
use self::links::{Change, Links};
use super::interface::{self, ANY};
use super::{Backend, Captured, Gone, Leave, Settings, rights};
use crate::model::{Endpoint, FlowKey, LinkType, Side, Timestamp, Transport};
use crate::source::SourceError;
use crate::source::filter::Filter;

/// `frames.bpf.c`, as the build made it.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/frames.bpf.o"));
/// What it takes to load and attach the programs.
const CAPABILITIES: &str = "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw";
/// `struct record` before the frame: time, original and captured length.
const HEADER: usize = 16;
/// As many bytes that wait wake the reader, as a power of two.
const WAKE: u32 = 20;
/// Numbers of flows of datagrams change so often, in nanoseconds as a power of two (`MINUTE` there).
const MINUTE: u32 = 36;
/// The machine's clock may be set: the kernel's own is compared with it so often.
const COMPARE: Duration = Duration::from_secs(1);

/// Frames of one interface, or all, that a program hands up.
pub(super) struct Tcx {
    object: Object,
    links: Links,
    ring: Ring,
    leaves: Arc<Left>,
    epoll: Epoll,
    link: LinkType,
    /// Run here: the program in the kernel knows no such filters.
    filter: Option<Filter>,
    /// Frames are waited for so long, unless many come.
    retire: Duration,
    epoch: i64,
    compared: Instant,
    is_dry: bool,
    lost: u64,
    notes: Vec<String>,
}

impl Tcx {
    pub(super) fn open(name: &str, settings: &Settings) -> Result<Self, SourceError> {
        let fail = |reason: String| SourceError::Live { interface: name.to_owned(), reason };
        let refuse = |error: &io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => SourceError::Rights {
                interface: name.to_owned(),
                help: format!(
                    "the kernel takes no program from this process; {}",
                    rights::command_for(CAPABILITIES)
                ),
            },
            _ => fail(error.to_string()),
        };
        let interfaces = interface::interfaces().map_err(|error| refuse(&error))?;
        let link = match interfaces.iter().find(|one| one.name == name) {
            _ if name == ANY => LinkType::LINUX_SLL2,
            Some(own) => links::link_of(own).ok_or_else(|| {
                let (link, help) = (own.link(), "use --backend ring");
                fail(format!("its link layer ({link}) is not known to the program in the kernel: {help}"))
            })?,
            None => return Err(refuse(&Errno::ENODEV.into())),
        };
        let filter = settings.filter.as_deref().map(Filter::new).transpose()?;
        let filter = filter.map(|mut filter| filter.prepare(link).map(|()| filter)).transpose()?;

        // Its messages would go to standard error; what is refused is told by the error.
        set_print(None::<(PrintLevel, fn(PrintLevel, String))>);
        let size = ring_size(settings.buffer);
        let object = load(size).map_err(|error| {
            let why = format!("the kernel takes its program not: {error}");
            match error.kind() {
                ErrorKind::PermissionDenied => refuse(&io::ErrorKind::PermissionDenied.into()),
                ErrorKind::OutOfMemory => {
                    fail("the kernel has no memory for the buffer: ask for less by --buffer".to_owned())
                }
                _ => fail(why),
            }
        })?;
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(|error| fail(error.to_string()))?;
        let half = |from: usize| {
            seed.get(from..).and_then(<[u8]>::first_chunk).map_or(0, |half| u64::from_ne_bytes(*half))
        };
        let seed = [half(0), half(8)];
        let opened = || -> io::Result<_> {
            let maps: Vec<_> = object.maps().collect();
            let named = |end: &str| {
                let found = maps.iter().find(|map| map.name().to_string_lossy().ends_with(end));
                found.ok_or_else(|| io::Error::other(format!("the program has no {end}")))
            };
            let (frames, shared) = (named("frames")?, named(".bss")?);
            let wake = WAKE.min(size.ilog2() - 2);
            let shared = Shared::new(shared.as_fd(), seed, link == LinkType::LINUX_SLL2, wake)?;
            let ring = Ring::new(frames.as_fd(), size)?;
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            // At the edge: that something waits, which the reader has seen, wakes nobody.
            epoll.add(frames.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
            let links = Links::new((name != ANY).then_some(name), link, settings.promiscuous)?;
            epoll.add(links.news(), EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
            Ok((ring, shared, epoll, links))
        };
        let (ring, shared, epoll, mut links) = opened().map_err(|error| refuse(&error))?;
        let epoch = kernel::epoch();
        links.follow(&object, &interfaces);
        if let Some(error) = links.refusal() {
            return Err(refuse(&error));
        }
        Ok(Self {
            object,
            links,
            ring,
            leaves: Arc::new(Left { shared, epoch: epoch.into() }),
            epoll,
            link,
            filter,
            retire: settings.retire,
            epoch,
            compared: Instant::now(),
            is_dry: false,
            lost: 0,
            notes: Vec::new(),
        })
    }

    /// Waits until many frames wait, or for as long as frames may be late; and looks for what became of interfaces.
    fn wait(&mut self) {
        let mut events = [EpollEvent::empty(); 2];
        let patience = PollTimeout::try_from(self.retire).unwrap_or(PollTimeout::from(50_u8));
        // A signal interrupts it, and then is looked for.
        let _ = self.epoll.wait(&mut events, patience);
        if self.links.has_news() {
            self.look_around();
        }
        if self.compared.elapsed() >= COMPARE {
            self.compared = Instant::now();
            self.epoch = kernel::epoch();
            self.leaves.epoch.store(self.epoch, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Attaches to interfaces that are new, forgets those that are gone.
    #[cold]
    fn look_around(&mut self) {
        let Ok(interfaces) = interface::interfaces() else { return };
        for change in self.links.follow(&self.object, &interfaces) {
            self.notes.push(match change {
                Change::Up(name) => format!("{name} is up: capturing on it"),
                Change::Down(name) => format!("{name} is down: it is captured on again once it is back"),
                Change::Gone(name) => format!("{name} is gone: it is captured on again once it is back"),
                Change::Refused(name, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    format!("{name} came later and is not captured on: the right to was given up")
                }
                Change::Refused(name, error) => format!("{name} is not captured on: {error}"),
                Change::Unknown(name, link) => {
                    format!("{name} is not captured on: its link layer ({link}) needs --backend ring")
                }
            });
        }
    }
}

impl Backend for Tcx {
    fn next(&mut self) -> Result<Option<Captured<'_>>, Gone> {
        if self.is_dry {
            self.is_dry = false;
            self.wait();
        }
        loop {
            if !self.ring.advance() {
                self.is_dry = true;
                return Ok(None);
            }
            let Some((_, _, bytes)) = read(self.ring.record()) else { continue };
            // It was compiled for this link type when the programs were loaded.
            if self.filter.as_mut().is_none_or(|filter| filter.accepts(self.link, bytes).unwrap_or(false)) {
                break;
            }
        }
        Ok(read(self.ring.record()).map(|(time, original_len, bytes)| Captured {
            time: Timestamp::from_nanos(self.epoch.saturating_add_unsigned(time)),
            link: self.link,
            bytes,
            original_len,
        }))
    }

    fn dropped(&mut self) -> u64 {
        let lost = self.leaves.shared.counts().lost;
        lost.saturating_sub(std::mem::replace(&mut self.lost, lost))
    }

    fn unwanted(&self) -> Vec<(&'static str, u64)> {
        let counts = self.leaves.shared.counts();
        vec![("kernel-left-flow", counts.left), ("kernel-no-payload", counts.bare)]
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn leave(&self) -> Option<Arc<dyn Leave>> {
        Some(Arc::clone(&self.leaves) as Arc<dyn Leave>)
    }
}

/// Has the program hand up no more of some flows.
#[derive(Debug)]
struct Left {
    shared: Shared,
    epoch: std::sync::atomic::AtomicI64,
}

impl Leave for Left {
    fn leave(&self, flow: &FlowKey, decided: Timestamp) {
        let epoch = self.epoch.load(std::sync::atomic::Ordering::Relaxed);
        let decided = u64::try_from(decided.as_nanos().saturating_sub(epoch)).unwrap_or(0);
        self.shared.leave(number(self.shared.seed, flow, decided), decided);
    }
}

/// The number of a flow, as `end` and `tag` of `frames.bpf.c` make it.
fn number(seed: [u64; 2], flow: &FlowKey, now: u64) -> u64 {
    let end = |side| {
        let (high, low, port) = halves(flow.end(side));
        let [first, second] = seed;
        let mut x = (low ^ first).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 32;
        x = x.wrapping_add(high ^ second).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 29;
        x = x.wrapping_add(u64::from(port)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 32
    };
    let kind = match flow.transport() {
        Transport::Tcp => 6,
        Transport::Udp => 17 + ((now >> MINUTE) << 8),
    };
    let mut x = end(Side::Low).wrapping_add(end(Side::High)).wrapping_add(kind);
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    (x ^ x >> 33) | 1
}

/// The two halves of an address (IPv4 mapped into IPv6), and the port.
fn halves(end: Endpoint) -> (u64, u64, u16) {
    let bits = match end.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        std::net::IpAddr::V6(v6) => v6.to_bits(),
    };
    ((bits >> 64) as u64, bits as u64, end.port)
}

/// A record: the kernel's time, the frame's length, its bytes.
fn read(record: &[u8]) -> Option<(u64, u32, &[u8])> {
    let (header, bytes) = record.split_first_chunk::<HEADER>()?;
    let &[a, b, c, d, e, f, g, h, o0, o1, o2, o3, l0, l1, l2, l3] = header;
    let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let time = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    Some((time, u32::from_ne_bytes([o0, o1, o2, o3]), bytes.get(..length)?))
}

/// The kernel asks for a power of two.
fn ring_size(buffer: usize) -> usize {
    let size = buffer.clamp(2 << 20, 1 << 30);
    if size.is_power_of_two() { size } else { size.next_power_of_two() / 2 }
}

fn load(size: usize) -> Result<Object, libbpf_rs::Error> {
    let mut object = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut map in object.maps_mut() {
        if map.name() == "frames" {
            map.set_max_entries(size as u32)?;
        }
    }
    object.load()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(low: &str, high: &str, transport: Transport) -> FlowKey {
        let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
        FlowKey::new(end(low), end(high), transport).0
    }

    #[test]
    fn a_flow_has_one_number_and_no_other_has_it() {
        let seed = [7, 9];
        let minute = 1_u64 << MINUTE;
        let tcp = flow("10.0.0.1:51000", "10.0.0.2:443", Transport::Tcp);
        let own = number(seed, &tcp, 5);
        assert_eq!(own, number(seed, &flow("10.0.0.2:443", "10.0.0.1:51000", Transport::Tcp), 5 * minute));
        let udp = flow("10.0.0.1:51000", "10.0.0.2:443", Transport::Udp);
        let others = [
            number([8, 9], &tcp, 5),
            number(seed, &flow("10.0.0.1:443", "10.0.0.2:51000", Transport::Tcp), 5),
            number(seed, &flow("10.0.0.1:51000", "[2001:db8::2]:443", Transport::Tcp), 5),
            number(seed, &udp, 5),
            number(seed, &udp, minute),
        ];
        let mut all = others.to_vec();
        all.push(own);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), others.len() + 1);
        assert_eq!(number(seed, &udp, 5), number(seed, &udp, minute - 1));
    }

    #[test]
    fn a_record_is_read_as_the_kernel_writes_it() {
        let mut record = [7_u64.to_ne_bytes(), [0; 8]].concat();
        record.splice(8..16, [100_u32.to_ne_bytes(), 3_u32.to_ne_bytes()].concat());
        record.extend(b"abcdef");
        assert_eq!(read(&record), Some((7, 100, &b"abc"[..])));
        for cut in [0, 15, 18] {
            assert_eq!(read(&record[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_ring_is_a_power_of_two_within_what_was_asked_for() {
        for (buffer, size) in [(0, 2), (2, 2), (63, 32), (64, 64), (65, 64), (5000, 1024)] {
            assert_eq!(ring_size(buffer << 20), size << 20, "{buffer}");
        }
    }
}
