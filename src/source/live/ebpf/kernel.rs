//! Memory shared with `frames.bpf.c`: the ring of frames (BPF_MAP_TYPE_RINGBUF) and the flows that are left; the only place here with `unsafe`.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use libbpf_rs::{AsRawLibbpf as _, Link, Program};

/// Of each record: it is not written yet; it never will be.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record.
const HEADER: usize = 8;
/// Room is given back to the kernel after so many bytes, and whenever nothing more is there.
const RELEASE: u64 = 256 << 10;

/// As `frames.bpf.c` has them.
const CPUS: usize = 64;
const BUCKETS: usize = 1 << 14;
/// Flows that one bucket knows.
pub(super) const TAGS: usize = 7;
/// Numbers of 64 bits: before the counts; each processor's; before the buckets; each bucket's.
const HEAD: usize = 8;
const COUNTS: usize = 8;
const BEFORE: usize = HEAD + CPUS * COUNTS;
const BUCKET: usize = 1 + TAGS;
/// Bytes of all of it.
const SHARED: usize = (BEFORE + BUCKETS * BUCKET) * 8;

/// A part of memory that the kernel shares.
#[derive(Debug)]
struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to its owner alone and is reached by atomics, or through `&mut` of who reads the ring.
unsafe impl Send for Map {}
// SAFETY: through `&` it is reached by atomics alone.
unsafe impl Sync for Map {}

impl Map {
    fn new(fd: BorrowedFd<'_>, length: usize, offset: usize, writes: bool) -> io::Result<Self> {
        let access = if writes { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let offset = offset as libc::off_t;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
        let found = NonNull::new(start.cast::<u8>()).filter(|_| start != libc::MAP_FAILED);
        Ok(Self { start: found.ok_or_else(io::Error::last_os_error)?, length })
    }

    /// The number of 64 bits at `at`, which is a multiple of 8; `None` beyond the end.
    fn number(&self, at: usize) -> Option<&AtomicU64> {
        (at.is_multiple_of(8) && at.checked_add(8)? <= self.length).then(|| {
            // SAFETY: within the mapping, aligned; kernel and program share it as an atomic.
            unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) }
        })
    }

    fn half(&self, at: usize) -> Option<&AtomicU32> {
        (at.is_multiple_of(4) && at.checked_add(4)? <= self.length).then(|| {
            // SAFETY: as above.
            unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(at).cast()) }
        })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own and nobody borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// The ring, from where it is read.
#[derive(Debug)]
pub(super) struct Ring {
    /// Up to where it was read: a page of its own.
    read: Map,
    /// Up to where it was written: a page; behind it the records, mapped twice so that none is cut.
    written: Map,
    page: usize,
    size: u64,
    at: u64,
    released: u64,
    /// Where the record at hand lies.
    current: Range<usize>,
}

impl Ring {
    /// Of a map of `size` bytes.
    pub(super) fn new(map: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        // SAFETY: no pointers.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let read = Map::new(map, page, 0, true)?;
        let written = Map::new(map, page + 2 * size, page, false)?;
        let at = read.number(0).map_or(0, |read| read.load(Ordering::Acquire));
        Ok(Self { read, written, page, size: size as u64, at, released: at, current: 0..0 })
    }

    /// Goes on to the next record; whether there is one now.
    pub(super) fn advance(&mut self) -> bool {
        self.current = 0..0;
        loop {
            let header = self.header();
            let Some(header) = header.filter(|header| header & BUSY == 0) else {
                self.release(0);
                return false;
            };
            // What was read before is released before the next is shown, not while it is.
            self.release(RELEASE);
            let length = (header & !(BUSY | DISCARDED)) as usize;
            let start = self.place() + HEADER;
            self.at += (length + HEADER).next_multiple_of(8) as u64;
            if header & DISCARDED == 0 && start + length <= self.written.length {
                self.current = start..start + length;
                return true;
            }
        }
    }

    /// The record at hand.
    pub(super) fn record(&self) -> &[u8] {
        // SAFETY: within the mapping (`advance` has looked); the kernel has written the record and leaves it alone until
        // `release`, which needs `&mut self`.
        unsafe {
            std::slice::from_raw_parts(
                self.written.start.as_ptr().add(self.current.start),
                self.current.len(),
            )
        }
    }

    /// The header of the next record, where there is one.
    fn header(&self) -> Option<u32> {
        let until = self.written.number(0)?.load(Ordering::Acquire);
        if self.at == until {
            return None;
        }
        Some(self.written.half(self.place())?.load(Ordering::Acquire))
    }

    fn place(&self) -> usize {
        self.page + (self.at & (self.size - 1)) as usize
    }

    /// Gives back what was read, where it is more than `least`.
    fn release(&mut self, least: u64) {
        if self.at - self.released > least
            && let Some(read) = self.read.number(0)
        {
            read.store(self.at, Ordering::Release);
            self.released = self.at;
        }
    }
}

/// What the program counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Frames for which there was no room.
    pub(super) lost: u64,
    /// Frames of flows that are left.
    pub(super) left: u64,
    /// Frames that carry nothing anybody reads.
    pub(super) bare: u64,
}

/// What program and kernel tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    map: Map,
    /// What numbers of flows are made with.
    pub(super) seed: [u64; 2],
}

impl Shared {
    /// Of the map of the program's variables, before it is attached.
    pub(super) fn new(map: BorrowedFd<'_>, seed: [u64; 2], cooked: bool, wake: u32) -> io::Result<Self> {
        let shared = Self { map: Map::new(map, SHARED, 0, true)?, seed };
        // As two numbers of 32 bits lie in memory.
        let [a, b, c, d] = u32::from(cooked).to_ne_bytes();
        let [e, f, g, h] = wake.to_ne_bytes();
        for (at, value) in [(0, seed[0]), (1, seed[1]), (2, u64::from_ne_bytes([a, b, c, d, e, f, g, h]))] {
            shared.store(at, value);
        }
        Ok(shared)
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(number) = self.map.number(at * 8) {
            number.store(value, Ordering::Release);
        }
    }

    fn load(&self, at: usize) -> u64 {
        self.map.number(at * 8).map_or(0, |number| number.load(Ordering::Acquire))
    }

    /// What was counted on all processors.
    pub(super) fn counts(&self) -> Counts {
        let sum = |which: usize| (0..CPUS).map(|cpu| self.load(HEAD + cpu * COUNTS + which)).sum();
        Counts { lost: sum(0), left: sum(1), bare: sum(2) }
    }

    /// The flow of this number is left from here on, unless a connection began in its bucket after `decided` (nanoseconds of the
    /// kernel's clock): it may be another one of the same ends.
    pub(super) fn leave(&self, tag: u64, decided: u64) {
        let start = BEFORE + (tag >> 16) as usize % BUCKETS * BUCKET;
        let began = || self.load(start);
        let before = began();
        if before > decided {
            return;
        }
        let places = start + 1..start + BUCKET;
        if places.clone().any(|place| self.load(place) == tag) {
            return;
        }
        // Where all are taken, one of them is looked into again.
        let victim = start + 1 + (tag >> 8) as usize % TAGS;
        let place = places.clone().find(|&place| self.load(place) == 0).unwrap_or(victim);
        self.store(place, tag);
        if began() != before {
            self.store(place, 0);
        }
    }
}

/// Attaches a program to an interface, by its section to what comes in or goes out there.
pub(super) fn attach(program: &Program<'_>, interface: u32) -> io::Result<Link> {
    let program = program.as_libbpf_object();
    // SAFETY: the program is loaded and lives; without options.
    let link =
        unsafe { libbpf_sys::bpf_program__attach_tcx(program.as_ptr(), interface as i32, ptr::null()) };
    let link = NonNull::new(link).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: it is new and nobody else's.
    Ok(unsafe { Link::from_ptr(link) })
}

/// Nanoseconds since the epoch when the kernel's own clock, which programs tell time by, was 0.
pub(super) fn epoch() -> i64 {
    let clock = |which| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the place for the time lives during the call.
        unsafe { libc::clock_gettime(which, &raw mut time) };
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    clock(libc::CLOCK_REALTIME).saturating_sub(clock(libc::CLOCK_MONOTONIC))
}

/// An interface takes frames for other machines for as long as this lives.
#[derive(Debug)]
pub(super) struct Promiscuous(
    /// A packet socket that gets nothing.
    #[expect(dead_code, reason = "held open")]
    OwnedFd,
);

impl Promiscuous {
    pub(super) fn new(interface: u32) -> io::Result<Self> {
        let check =
            |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let membership = libc::packet_mreq {
            mr_ifindex: interface as libc::c_int,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: the value lives during the call and its length is told.
        check(unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const membership).cast(),
                size_of::<libc::packet_mreq>() as libc::socklen_t,
            )
        })?;
        Ok(Self(fd))
    }
}
