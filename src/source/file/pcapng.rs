//! The pcapng capture file (draft-ietf-opsawg-pcapng): sections of blocks, frames of several interfaces.

use super::record::{Fault, LONGEST, Order, Record, damaged};
use super::window::Window;
use crate::model::{LinkType, Timestamp};

/// First four bytes of a file: the type of the section header block, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET_OBSOLETE: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const PACKET_ENHANCED: u32 = 6;

/// Interfaces of one section that are believed.
const MOST_INTERFACES: usize = 65_536;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// The section at hand.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// Time of the last packet: simple packet blocks have none of their own.
    last: Timestamp,
    /// The block of no interest that is being passed over: a stream may have nothing more of it yet.
    passing: Option<Passing>,
}

#[derive(Clone, Copy, Debug)]
struct Passing {
    offset: u64,
    total: u32,
    /// Bytes of it before its trailer that are still to come.
    left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// 0: no limit.
    snaplen: u32,
    unit: Unit,
    /// Nanoseconds.
    offset: i128,
}

/// What a tick of an interface's clock is.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// So many of them are a nanosecond.
    Per(u64),
    /// 2 to the minus n of a second.
    Binary(u32),
}

impl Unit {
    /// From `if_tsresol`: a power of 10, or with the highest bit of 2.
    fn from_resolution(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return Self::Binary(exponent);
        }
        match exponent.checked_sub(9) {
            None => Self::Nanoseconds(10_u64.pow(9 - exponent)),
            // A tick so short that all of them together are no nanosecond.
            Some(finer) => Self::Per(10_u64.checked_pow(finer).unwrap_or(u64::MAX)),
        }
    }
}

impl Interface {
    #[inline]
    fn time(&self, ticks: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Nanoseconds(each) => i128::from(ticks) * i128::from(each),
            Unit::Per(each) => i128::from(ticks / each),
            Unit::Binary(exponent) => (i128::from(ticks) * 1_000_000_000) >> exponent,
        };
        let nanos = (nanos + self.offset).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::from_nanos(nanos as i64)
    }
}

/// Where a packet lies within its block and how it is described.
struct Described {
    interface: usize,
    ticks: Option<u64>,
    captured: u32,
    original: u32,
    /// Bytes of the block before the packet's.
    before: usize,
}

impl Section {
    /// For a file that begins with [`MAGIC`].
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), last: Timestamp::default(), passing: None }
    }

    /// The next packet; false at the end of the file.
    pub(super) fn next(&mut self, window: &mut Window, record: &mut Record) -> Result<bool, Fault> {
        loop {
            if let Some(passing) = self.passing {
                self.pass_over(window, passing)?;
            }
            let offset = window.offset();
            let have = window.fill(12)?;
            let Some(&[t0, t1, t2, t3, l0, l1, l2, l3, b0, b1, b2, b3]) = window.have().first_chunk::<12>()
            else {
                if have == 0 {
                    return Ok(false);
                }
                return Err(damaged(offset, format!("the block ends after {have} of at least 12 bytes")));
            };
            if [t0, t1, t2, t3] == MAGIC {
                self.order = match [b0, b1, b2, b3] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                    [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                    _ => return Err(damaged(offset, "the section has no byte-order magic")),
                };
            }
            let kind = self.order.u32([t0, t1, t2, t3]);
            let total = self.order.u32([l0, l1, l2, l3]);
            if total < 12 {
                return Err(damaged(offset, format!("the block claims to be {total} bytes long")));
            }
            if !matches!(kind, SECTION | INTERFACE | PACKET_OBSOLETE | PACKET_SIMPLE | PACKET_ENHANCED) {
                let left = u64::from(total).next_multiple_of(4) - 4;
                self.passing = Some(Passing { offset, total, left });
                continue;
            }
            if total > LONGEST {
                return Err(damaged(offset, format!("the block claims to be {total} bytes long")));
            }
            // Some writers forget to round up.
            let whole = (total as usize).next_multiple_of(4);
            let have = window.fill(whole)?;
            let Some((block, trailer)) =
                window.have().get(..whole).and_then(|block| block.split_last_chunk::<4>())
            else {
                return Err(damaged(offset, format!("the block ends after {have} of {whole} bytes")));
            };
            check_trailer(self.order.u32(*trailer), total, offset)?;
            let body = block.get(8..).unwrap_or_default();
            match kind {
                SECTION => self.begin(body, offset)?,
                INTERFACE => self.interface(body, offset)?,
                _ => {
                    let (interface, packet) = self.packet(kind, body, offset)?;
                    let time = packet.ticks.map_or(self.last, |ticks| interface.time(ticks));
                    record.time = time;
                    record.link = interface.link;
                    record.length = packet.captured;
                    record.original_len = packet.original.max(packet.captured);
                    record.start = window.take(whole) + 8 + packet.before;
                    self.last = time;
                    return Ok(true);
                }
            }
            window.take(whole);
        }
    }

    /// A block of no interest, however long, without keeping it.
    fn pass_over(&mut self, window: &mut Window, passing: Passing) -> Result<(), Fault> {
        let Passing { offset, total, mut left } = passing;
        let whole = u64::from(total).next_multiple_of(4);
        while left > 0 {
            match window.skip(left)? {
                0 => break,
                passed => left -= passed,
            }
            self.passing = Some(Passing { left, ..passing });
        }
        let have = window.fill(4)?;
        let Some(trailer) = window.have().first_chunk::<4>() else {
            let have = whole - 4 - left + have as u64;
            return Err(damaged(offset, format!("the block ends after {have} of {whole} bytes")));
        };
        check_trailer(self.order.u32(*trailer), total, offset)?;
        window.take(4);
        self.passing = None;
        Ok(())
    }

    fn begin(&mut self, body: &[u8], offset: u64) -> Result<(), Fault> {
        let Some(&[_, _, _, _, m0, m1, n0, n1, ..]) = body.first_chunk::<16>() else {
            return Err(damaged(offset, "the section header is too short"));
        };
        let (major, minor) = (self.order.u16([m0, m1]), self.order.u16([n0, n1]));
        if major != 1 {
            return Err(damaged(offset, format!("format version {major}.{minor} is not known")));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8], offset: u64) -> Result<(), Fault> {
        let Some((&[l0, l1, _, _, s0, s1, s2, s3], options)) = body.split_first_chunk::<8>() else {
            return Err(damaged(offset, "the interface description is too short"));
        };
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(damaged(offset, format!("the section has more than {MOST_INTERFACES} interfaces")));
        }
        let mut interface = Interface {
            link: LinkType(u32::from(self.order.u16([l0, l1]))),
            snaplen: self.order.u32([s0, s1, s2, s3]),
            unit: Unit::Nanoseconds(1_000),
            offset: 0,
        };
        let mut options = options;
        while let Some((&[c0, c1, n0, n1], rest)) = options.split_first_chunk::<4>() {
            let code = self.order.u16([c0, c1]);
            let length = usize::from(self.order.u16([n0, n1]));
            if code == OPTION_END {
                break;
            }
            let Some(value) = rest.get(..length) else {
                return Err(damaged(offset, "an option of the interface is longer than its block"));
            };
            match (code, value) {
                (OPTION_TSRESOL, &[resolution]) => interface.unit = Unit::from_resolution(resolution),
                (OPTION_TSOFFSET, &[a, b, c, d, e, f, g, h]) => {
                    interface.offset = i128::from(self.order.i64([a, b, c, d, e, f, g, h])) * 1_000_000_000;
                }
                (OPTION_TSRESOL | OPTION_TSOFFSET, _) => {
                    return Err(damaged(
                        offset,
                        format!("option {code} of the interface has {length} bytes"),
                    ));
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        Ok(())
    }

    #[inline]
    fn packet(&self, kind: u32, body: &[u8], offset: u64) -> Result<(&Interface, Described), Fault> {
        let described = match kind {
            PACKET_ENHANCED => self.enhanced(body),
            PACKET_OBSOLETE => self.obsolete(body),
            _ => self.simple(body),
        };
        let Some(described) = described else {
            return Err(damaged(offset, "the packet block is too short"));
        };
        let Some(interface) = self.interfaces.get(described.interface) else {
            return Err(damaged(
                offset,
                format!("the packet is of interface {}, which was not described", described.interface),
            ));
        };
        let room = body.len() - described.before;
        if described.captured as usize > room {
            return Err(damaged(
                offset,
                format!("the packet claims {} captured bytes, its block has {room}", described.captured),
            ));
        }
        Ok((interface, described))
    }

    #[inline]
    fn enhanced(&self, body: &[u8]) -> Option<Described> {
        let &[i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, o0, o1, o2, o3] =
            body.first_chunk::<20>()?;
        Some(Described {
            interface: self.order.u32([i0, i1, i2, i3]) as usize,
            ticks: Some(self.ticks([h0, h1, h2, h3], [l0, l1, l2, l3])),
            captured: self.order.u32([c0, c1, c2, c3]),
            original: self.order.u32([o0, o1, o2, o3]),
            before: 20,
        })
    }

    fn obsolete(&self, body: &[u8]) -> Option<Described> {
        let &[i0, i1, _, _, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, o0, o1, o2, o3] =
            body.first_chunk::<20>()?;
        Some(Described {
            interface: usize::from(self.order.u16([i0, i1])),
            ticks: Some(self.ticks([h0, h1, h2, h3], [l0, l1, l2, l3])),
            captured: self.order.u32([c0, c1, c2, c3]),
            original: self.order.u32([o0, o1, o2, o3]),
            before: 20,
        })
    }

    /// Of the section's first interface; as long as its snapshot length lets it be.
    fn simple(&self, body: &[u8]) -> Option<Described> {
        let original = self.order.u32(*body.first_chunk()?);
        let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
        let captured = if snaplen == 0 { original } else { original.min(snaplen) };
        Some(Described { interface: 0, ticks: None, captured, original, before: 4 })
    }

    #[inline]
    fn ticks(&self, high: [u8; 4], low: [u8; 4]) -> u64 {
        u64::from(self.order.u32(high)) << 32 | u64::from(self.order.u32(low))
    }
}

fn check_trailer(trailer: u32, total: u32, offset: u64) -> Result<(), Fault> {
    if trailer == total {
        return Ok(());
    }
    Err(damaged(offset, format!("the block is {total} bytes long at its start and {trailer} at its end")))
}
