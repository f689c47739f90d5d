//! The packet socket and its ring in memory shared with the kernel (packet(7), TPACKET_V3): the only place with `unsafe`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_uint, c_void, socklen_t};

use crate::source::filter::Instruction;

/// Bytes of a block: the largest frame (BIG TCP, 512 KiB) fits.
pub(super) const BLOCK: usize = 1 << 20;
/// `block_status` in `tpacket_block_desc`.
const STATUS: usize = 8;

/// What a socket shall be.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// Frames without their link header.
    pub(super) cooked: bool,
    /// The interface, 0 for all.
    pub(super) index: u32,
    /// Bytes kept free before each frame.
    pub(super) reserve: c_uint,
    /// What goes out is not wanted: the loopback shows it a second time as it comes in.
    pub(super) incoming_only: bool,
    pub(super) promiscuous: bool,
    pub(super) filter: Option<&'a [Instruction]>,
    pub(super) blocks: usize,
    /// Milliseconds after which a block that is not full is handed over.
    pub(super) retire: c_uint,
    /// Sockets of the same number share the flows among them.
    pub(super) fanout: Option<u16>,
}

/// A bound packet socket with its ring.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    map: NonNull<u8>,
    blocks: usize,
}

// SAFETY: the mapping belongs to this socket alone and is reached through `&mut self`, or by one atomic.
unsafe impl Send for Socket {}

/// A packet socket to be bound again: making one takes a right that may be gone when its interface comes back.
#[derive(Debug)]
pub(crate) struct Seat {
    fd: OwnedFd,
    cooked: bool,
}

impl Seat {
    /// A new one, bound to nothing.
    pub(super) fn new(cooked: bool) -> io::Result<Self> {
        let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, cooked })
    }

    /// Gives the kernel back the memory of a ring that nobody looks at any more.
    pub(super) fn rest(&self) {
        let none = libc::tpacket_req3 {
            tp_block_size: 0,
            tp_block_nr: 0,
            tp_frame_size: 0,
            tp_frame_nr: 0,
            tp_retire_blk_tov: 0,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        let _ = set(&self.fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &none);
    }
}

impl Socket {
    /// Opens on `seat` where there is a fitting one, else on one that is left there, in the order that loses and leaks nothing: no protocol until the filter stands, then ring, bind, fanout.
    pub(super) fn open(wish: &Wish<'_>, seat: &mut Option<Seat>) -> io::Result<Self> {
        let taken = match seat.take().filter(|seat| seat.cooked == wish.cooked) {
            Some(seat) => seat,
            None => Seat::new(wish.cooked)?,
        };
        taken.rest();
        let fd = taken.fd.try_clone()?;
        // Who shares flows cannot be bound again.
        *seat = Some(taken).filter(|_| wish.fanout.is_none());
        let packet = libc::SOL_PACKET;
        set(&fd, packet, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        set(&fd, packet, libc::PACKET_RESERVE, &wish.reserve)?;
        if wish.incoming_only {
            // Kernels before 4.20 do not know it; then each frame comes twice, which reassembly bears.
            let _ = set(&fd, packet, libc::PACKET_IGNORE_OUTGOING, &1_i32);
        }
        if let Some(program) = wish.filter {
            attach(&fd, program)?;
        }
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as c_uint,
            tp_block_nr: wish.blocks as c_uint,
            tp_frame_size: 1 << 16,
            tp_frame_nr: (wish.blocks * (BLOCK >> 16)) as c_uint,
            tp_retire_blk_tov: wish.retire,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&fd, packet, libc::PACKET_RX_RING, &request)?;
        let length = wish.blocks * BLOCK;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        let map = NonNull::new(map.cast::<u8>()).filter(|_| map != libc::MAP_FAILED);
        let socket = Self { map: map.ok_or_else(io::Error::last_os_error)?, fd, blocks: wish.blocks };
        socket.bind(wish)?;
        Ok(socket)
    }

    fn bind(&self, wish: &Wish<'_>) -> io::Result<()> {
        // SAFETY: all zeroes are a valid address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = wish.index as c_int;
        // SAFETY: the address lives during the call and its length is told.
        check(unsafe {
            libc::bind(
                self.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as socklen_t,
            )
        })?;
        if wish.promiscuous && wish.index != 0 {
            let membership = libc::packet_mreq {
                mr_ifindex: wish.index as c_int,
                mr_type: libc::PACKET_MR_PROMISC as u16,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            set(&self.fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        }
        if let Some(group) = wish.fanout {
            let how = c_int::from(group) | (libc::PACKET_FANOUT_HASH as c_int) << 16;
            set(&self.fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &how)?;
        }
        Ok(())
    }

    /// How many blocks the ring has.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether the kernel has handed block `index` over.
    pub(super) fn is_ready(&self, index: usize) -> bool {
        self.status(index).is_some_and(|status| status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0)
    }

    /// The bytes of a block that the kernel has handed over; nothing of one that it has not.
    pub(super) fn block(&mut self, index: usize) -> &mut [u8] {
        if !self.is_ready(index) {
            return &mut [];
        }
        // SAFETY: the block lies within the mapping (`is_ready` has checked the index), and the kernel leaves it alone until
        // `give_back`, which needs `&mut self` too.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().add(index * BLOCK), BLOCK) }
    }

    /// Hands a block back to the kernel.
    pub(super) fn give_back(&mut self, index: usize) {
        if let Some(status) = self.status(index) {
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    fn status(&self, index: usize) -> Option<&AtomicU32> {
        (index < self.blocks).then(|| {
            // SAFETY: within the mapping, aligned to the block's start; kernel and program share it as an atomic.
            unsafe { AtomicU32::from_ptr(self.map.as_ptr().add(index * BLOCK + STATUS).cast()) }
        })
    }

    /// Frames dropped for want of room since the last call.
    pub(super) fn dropped(&self) -> io::Result<u64> {
        let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        get(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats)?;
        Ok(u64::from(stats.tp_drops))
    }

    /// The error that waits on the socket, taken away.
    pub(super) fn error(&self) -> io::Result<()> {
        let mut error: c_int = 0;
        get(&self.fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut error)?;
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: the mapping is this socket's own and nobody borrows it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.blocks * BLOCK) };
    }
}

fn attach(fd: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let mut program: Vec<libc::sock_filter> =
        program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let length = u16::try_from(program.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let attached = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &attached)
}

/// Only for plain data as the kernel lays it out.
fn set<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let value: *const T = value;
    // SAFETY: the value lives during the call and its length is told.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, option, value.cast::<c_void>(), size_of::<T>() as socklen_t)
    })
    .map(|_| ())
}

fn get<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &mut T) -> io::Result<()> {
    let mut length = size_of::<T>() as socklen_t;
    let value: *mut T = value;
    // SAFETY: the value is plain data, lives during the call and its length is told.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, value.cast::<c_void>(), &raw mut length) })
        .map(|_| ())
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
