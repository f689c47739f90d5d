//! Frames from the kernel's packet ring (Linux, `AF_PACKET`, `TPACKET_V3`), without libpcap and without a copy.

#[expect(unsafe_code, reason = "a ring shared with the kernel is raw memory")]
mod socket;

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use nix::poll::PollFlags;

pub(super) use self::socket::Seat;
use self::socket::{BLOCK, Socket, Wish};
use super::interface::{self, ANY, Interface};
use super::{Backend, CALM, Captured, Gone, Settings, wait};
use crate::model::{LinkType, Timestamp};
use crate::source::SourceError;
use crate::source::filter::{Filter, Instruction};

/// Room before each frame for the header that cooked frames get here, a VLAN tag behind it.
const RESERVE: usize = 32;
/// Bytes of a Linux "cooked" header, version 2.
const SLL2: usize = 20;
/// Bytes of a VLAN tag.
const TAG: usize = 4;

/// Offsets in `tpacket_block_desc`.
mod block {
    pub(super) const FRAMES: usize = 12;
    pub(super) const FIRST: usize = 16;
}

/// Offsets in `tpacket3_hdr`, and in the `sockaddr_ll` behind it.
mod header {
    pub(super) const NEXT: usize = 0;
    pub(super) const SECONDS: usize = 4;
    pub(super) const NANOS: usize = 8;
    pub(super) const CAPTURED: usize = 12;
    pub(super) const LENGTH: usize = 16;
    pub(super) const STATUS: usize = 20;
    pub(super) const LINK: usize = 24;
    pub(super) const TAG: usize = 32;
    pub(super) const TAG_PROTOCOL: usize = 36;
    pub(super) const ADDRESS: usize = 48;
    pub(super) const PROTOCOL: usize = ADDRESS + 2;
    pub(super) const INTERFACE: usize = ADDRESS + 4;
    pub(super) const HARDWARE: usize = ADDRESS + 8;
    pub(super) const KIND: usize = ADDRESS + 10;
    pub(super) const ADDRESS_LENGTH: usize = ADDRESS + 11;
    pub(super) const ADDRESS_BYTES: usize = ADDRESS + 12;
}

/// A ring over one interface, or all.
pub(super) struct Ring {
    socket: Socket,
    link: LinkType,
    /// On all interfaces at once: what goes out there comes in there again.
    loopback: Option<u32>,
    /// Run here where the kernel cannot: it sees frames without their VLAN tag.
    filter: Option<Filter>,
    at: usize,
    /// The next frame of the block at hand, and how many are left in it.
    next: usize,
    left: u32,
    is_held: bool,
    is_dry: bool,
    /// When the interface went down; what came before is given still.
    down: Option<Instant>,
}

/// Where a frame lies.
struct Found {
    time: Timestamp,
    start: usize,
    length: usize,
    original: u32,
}

/// What is taken now, to capture on an interface that is not there yet.
pub(super) fn seat(name: &str) -> Result<Seat, SourceError> {
    let own = interface::interfaces().ok().and_then(|all| all.into_iter().find(|one| one.name == name));
    let link = own.as_ref().map_or(LinkType::ETHERNET, link_of);
    Seat::new(link == LinkType::LINUX_SLL2).map_err(|error| super::refused(name, &error))
}

/// Gives back what a seat does not need while it waits.
pub(super) fn rest(seat: Option<&Seat>) {
    if let Some(seat) = seat {
        seat.rest();
    }
}

impl Ring {
    pub(super) fn open(
        name: &str,
        settings: &Settings,
        member: Option<u16>,
        seat: &mut Option<Seat>,
    ) -> Result<Self, SourceError> {
        let refuse = |error: &io::Error| super::refused(name, error);
        let interfaces = interface::interfaces().map_err(|error| refuse(&error))?;
        let own = interfaces.iter().find(|one| one.name == name);
        if own.is_none() && name != ANY {
            return Err(refuse(&io::Error::from_raw_os_error(libc::ENODEV)));
        }
        let link = own.map_or(LinkType::LINUX_SLL2, link_of);
        let (program, filter) = match &settings.filter {
            None => (None, None),
            Some(expression) => compile(expression, link)?,
        };
        let wish = Wish {
            cooked: link == LinkType::LINUX_SLL2,
            index: own.map_or(0, |own| own.index),
            reserve: RESERVE as u32,
            incoming_only: own.is_some_and(|own| own.loopback),
            promiscuous: settings.promiscuous,
            filter: program.as_deref(),
            blocks: (settings.buffer / BLOCK).max(2),
            retire: settings.retire.as_millis() as u32,
            fanout: member,
        };
        Ok(Self {
            socket: Socket::open(&wish, seat).map_err(|error| refuse(&error))?,
            link,
            loopback: if own.is_none() {
                interfaces.iter().find(|one| one.loopback).map(|lo| lo.index)
            } else {
                None
            },
            filter,
            at: 0,
            next: 0,
            left: 0,
            is_held: false,
            is_dry: false,
            down: None,
        })
    }

    /// The next frame that is wanted; `None` where the ring has nothing now.
    fn find(&mut self) -> Option<Found> {
        loop {
            if self.left == 0 {
                if self.is_held {
                    self.is_held = false;
                    self.socket.give_back(self.at);
                    self.at = (self.at + 1) % self.socket.blocks();
                }
                if !self.socket.is_ready(self.at) {
                    return None;
                }
                let bytes = self.socket.block(self.at);
                self.left = u32_at(bytes, block::FRAMES);
                self.next = u32_at(bytes, block::FIRST) as usize;
                self.is_held = true;
                continue;
            }
            let at = self.next;
            let bytes = self.socket.block(self.at);
            self.left -= 1;
            self.next = at + u32_at(bytes, at + header::NEXT) as usize;
            if let Some(lo) = self.loopback
                && u32_at(bytes, at + header::INTERFACE) == lo
                && bytes.get(at + header::KIND) == Some(&libc::PACKET_OUTGOING)
            {
                continue;
            }
            let found = place(bytes, at, self.link);
            let captured = bytes.get(found.start..found.start + found.length).unwrap_or_default();
            // It was compiled for this link type when the ring was opened.
            let is_wanted = match &mut self.filter {
                Some(filter) => filter.accepts(self.link, captured).unwrap_or(false),
                None => true,
            };
            if is_wanted {
                return Some(found);
            }
        }
    }
}

impl Backend for Ring {
    fn next(&mut self) -> Result<Option<Captured<'_>>, Gone> {
        if self.is_dry {
            self.is_dry = false;
            let seen = wait(self.socket.as_fd());
            if seen.contains(PollFlags::POLLERR) && self.socket.error().is_err() {
                self.down.get_or_insert_with(Instant::now);
            }
        }
        let Some(found) = self.find() else {
            if self.down.is_some_and(|since| since.elapsed() > 2 * CALM) {
                return Err(Gone);
            }
            self.is_dry = true;
            return Ok(None);
        };
        let bytes = self.socket.block(self.at).get(found.start..found.start + found.length);
        Ok(Some(Captured {
            time: found.time,
            link: self.link,
            bytes: bytes.unwrap_or_default(),
            original_len: found.original,
        }))
    }

    fn dropped(&mut self) -> u64 {
        self.socket.dropped().unwrap_or_default()
    }
}

/// What frames begin with: link types that nobody here reads are taken "cooked", without their own header.
fn link_of(interface: &Interface) -> LinkType {
    match interface.hardware {
        Some(libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) => LinkType::ETHERNET,
        Some(number) if interface::is_raw_ip(number) => LinkType::RAW,
        _ => LinkType::LINUX_SLL2,
    }
}

/// The filter for the kernel; for ourselves where it concerns what the kernel has taken off the frame.
fn compile(
    expression: &str,
    link: LinkType,
) -> Result<(Option<Vec<Instruction>>, Option<Filter>), SourceError> {
    let mut filter = Filter::new(expression)?;
    filter.prepare(link)?;
    if expression.contains("vlan") {
        return Ok((None, Some(filter)));
    }
    // Cooked frames begin with the network header.
    let seen = if link == LinkType::LINUX_SLL2 { LinkType::RAW } else { link };
    match filter.instructions(seen) {
        Ok(program) => Ok((Some(program), None)),
        Err(_) => Ok((None, Some(filter))),
    }
}

/// Where the frame lies whose header is at `at`; what the kernel took off it (VLAN tag, and of cooked frames the link header)
/// is put back before it.
fn place(bytes: &mut [u8], at: usize, link: LinkType) -> Found {
    let seconds = i64::from(u32_at(bytes, at + header::SECONDS));
    let nanos = i64::from(u32_at(bytes, at + header::NANOS));
    let status = u32_at(bytes, at + header::STATUS);
    let mut found = Found {
        time: Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
        start: at + usize::from(u16_at(bytes, at + header::LINK)),
        length: u32_at(bytes, at + header::CAPTURED) as usize,
        original: u32_at(bytes, at + header::LENGTH),
    };
    let tag = (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
        let protocol = match u16_at(bytes, at + header::TAG_PROTOCOL) {
            protocol if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 => protocol,
            _ => 0x8100,
        };
        (protocol.to_be_bytes(), (u32_at(bytes, at + header::TAG) as u16).to_be_bytes())
    });
    match link {
        LinkType::LINUX_SLL2 => cook(bytes, at, tag, &mut found),
        LinkType::ETHERNET => {
            if let Some((protocol, control)) = tag
                && found.length >= 14
            {
                // The addresses move to the front, the tag goes between them and what follows.
                bytes.copy_within(found.start..found.start + 12, found.start - TAG);
                put(bytes, found.start + 12 - TAG, &protocol);
                put(bytes, found.start + 14 - TAG, &control);
                found.grow(TAG);
            }
        }
        _ => {}
    }
    found
}

/// Writes a Linux "cooked" header (version 2) before a frame that has none.
fn cook(bytes: &mut [u8], at: usize, tag: Option<([u8; 2], [u8; 2])>, found: &mut Found) {
    let copy = |at: usize, length: usize| bytes.get(at..at + length).unwrap_or_default().to_vec();
    let (protocol, address) = (copy(at + header::PROTOCOL, 2), copy(at + header::ADDRESS_BYTES, 8));
    let interface = u32_at(bytes, at + header::INTERFACE).to_be_bytes();
    let hardware = u16_at(bytes, at + header::HARDWARE).to_be_bytes();
    let (kind, length) = (copy(at + header::KIND, 1), copy(at + header::ADDRESS_LENGTH, 1));
    let outer = match tag {
        Some((outer, control)) => {
            put(bytes, found.start - 4, &control);
            put(bytes, found.start - 2, &protocol);
            found.grow(TAG);
            outer.to_vec()
        }
        None => protocol,
    };
    let head = [&outer[..], &[0, 0], &interface, &hardware, &kind, &length, &address].concat();
    put(bytes, found.start - SLL2, &head);
    found.grow(SLL2);
}

impl Found {
    fn grow(&mut self, by: usize) {
        self.start -= by;
        self.length += by;
        self.original = self.original.saturating_add(by as u32);
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + what.len()) {
        room.copy_from_slice(what);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u16::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block's frame as the kernel lays it out: header, address, and `payload` at `link`.
    fn laid_out(payload: &[u8], tag: Option<u16>) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        let status = if tag.is_some() { libc::TP_STATUS_VLAN_VALID } else { 0 };
        put(&mut bytes, header::SECONDS, &7_u32.to_ne_bytes());
        put(&mut bytes, header::NANOS, &9_u32.to_ne_bytes());
        put(&mut bytes, header::CAPTURED, &(payload.len() as u32).to_ne_bytes());
        put(&mut bytes, header::LENGTH, &(payload.len() as u32).to_ne_bytes());
        put(&mut bytes, header::STATUS, &status.to_ne_bytes());
        put(&mut bytes, header::LINK, &120_u16.to_ne_bytes());
        put(&mut bytes, header::TAG, &u32::from(tag.unwrap_or_default()).to_ne_bytes());
        put(&mut bytes, header::PROTOCOL, &[0x08, 0x00]);
        put(&mut bytes, header::INTERFACE, &3_u32.to_ne_bytes());
        put(&mut bytes, header::HARDWARE, &1_u16.to_ne_bytes());
        put(&mut bytes, header::ADDRESS_LENGTH, &[6]);
        put(&mut bytes, header::ADDRESS_BYTES, &[2, 0, 0, 0, 0, 1]);
        put(&mut bytes, 120, payload);
        bytes
    }

    fn placed(payload: &[u8], tag: Option<u16>, link: LinkType) -> Vec<u8> {
        let mut bytes = laid_out(payload, tag);
        let found = place(&mut bytes, 0, link);
        assert_eq!(found.time.as_nanos(), 7_000_000_009);
        assert_eq!(found.original as usize, found.length);
        bytes[found.start..found.start + found.length].to_vec()
    }

    #[test]
    fn a_vlan_tag_is_put_back() {
        let ethernet = [&[0xaa; 6][..], &[0xbb; 6], &[0x08, 0x00], b"ip"].concat();
        assert_eq!(placed(&ethernet, None, LinkType::ETHERNET), ethernet);
        let tagged = [&[0xaa; 6][..], &[0xbb; 6], &[0x81, 0, 0, 7, 0x08, 0x00], b"ip"].concat();
        assert_eq!(placed(&ethernet, Some(7), LinkType::ETHERNET), tagged);
        assert_eq!(placed(b"short", Some(7), LinkType::ETHERNET), b"short");
        assert_eq!(placed(b"ip", Some(7), LinkType::RAW), b"ip");
    }

    #[test]
    fn cooked_frames_get_a_header() {
        let address = [2, 0, 0, 0, 0, 1, 0, 0];
        let rest = [&[0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &address].concat();
        let plain = [&[0x08, 0x00][..], &rest, b"ip"].concat();
        assert_eq!(placed(b"ip", None, LinkType::LINUX_SLL2), plain);
        let tagged = [&[0x81, 0x00][..], &rest, &[0, 7, 0x08, 0x00], b"ip"].concat();
        assert_eq!(placed(b"ip", Some(7), LinkType::LINUX_SLL2), tagged);
    }

    #[test]
    fn a_ring_that_is_not_what_it_says_is_no_panic() {
        assert_eq!(u32_at(&[1, 2, 3], 0), 0);
        assert_eq!(u16_at(&[1, 2, 3], usize::MAX), 0);
        put(&mut [0; 3], 2, &[1, 2]);
    }
}
