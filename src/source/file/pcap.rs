//! The classic capture file (draft-ietf-opsawg-pcap): one header, then records.

use super::record::{Fault, LONGEST, Order, Record, damaged};
use super::window::Window;
use crate::model::{LinkType, Timestamp};

/// What the file's header says.
#[derive(Debug)]
pub(super) struct Header {
    order: Order,
    /// Nanoseconds in a unit of the records' fraction.
    unit: i64,
    /// Bytes of a record's header: 16, or 24 in the "modified" format of old Linux distributions.
    record: usize,
    pub(super) link: LinkType,
}

impl Header {
    /// From a file's first four bytes: the byte order, the unit of the fraction in nanoseconds and the length of a
    /// record's header; `None` where they are no magic number.
    pub(super) fn magic(magic: [u8; 4]) -> Option<(Order, i64, usize)> {
        [Order::Little, Order::Big].into_iter().find_map(|order| match order.u32(magic) {
            0xa1b2_c3d4 => Some((order, 1_000, 16)),
            0xa1b2_3c4d => Some((order, 1, 16)),
            0xa1b2_cd34 => Some((order, 1_000, 24)),
            _ => None,
        })
    }

    /// Reads the header of a file that begins with a known magic number.
    pub(super) fn read(
        window: &mut Window,
        (order, unit, record): (Order, i64, usize),
    ) -> Result<Self, Fault> {
        let have = window.fill(24)?;
        let Some(header) = window.have().first_chunk::<24>() else {
            return Err(damaged(0, format!("the file header ends after {have} of 24 bytes")));
        };
        let [_, _, _, _, m0, m1, n0, n1, .., k0, k1, k2, k3] = *header;
        let (major, minor) = (order.u16([m0, m1]), order.u16([n0, n1]));
        if major != 2 {
            return Err(damaged(4, format!("format version {major}.{minor} is not known")));
        }
        // The upper bits tell of a frame check sequence; the network header's length decides what is payload.
        let link = LinkType(order.u32([k0, k1, k2, k3]) & 0x03ff_ffff);
        window.take(24);
        Ok(Self { order, unit, record, link })
    }

    /// The next record; false at the end of the file.
    #[inline]
    pub(super) fn next(&self, window: &mut Window, record: &mut Record) -> Result<bool, Fault> {
        let offset = window.offset();
        let have = window.fill(self.record)?;
        if have < self.record {
            if have == 0 {
                return Ok(false);
            }
            return Err(damaged(
                offset,
                format!("the record's header ends after {have} of {} bytes", self.record),
            ));
        }
        let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3]) =
            window.have().first_chunk::<16>()
        else {
            return Ok(false);
        };
        let captured = self.order.u32([c0, c1, c2, c3]);
        if captured > LONGEST {
            return Err(damaged(offset, format!("the record claims {captured} captured bytes")));
        }
        let length = captured as usize;
        let whole = self.record + length;
        let have = window.fill(whole)?;
        if have < whole {
            return Err(damaged(offset, format!("the record ends after {have} of {whole} bytes")));
        }
        let seconds = i64::from(self.order.u32([s0, s1, s2, s3]));
        let fraction = i64::from(self.order.u32([f0, f1, f2, f3]));
        record.time = Timestamp::from_nanos(seconds * 1_000_000_000 + fraction * self.unit);
        record.link = self.link;
        record.start = window.take(whole) + self.record;
        record.length = captured;
        record.original_len = self.order.u32([o0, o1, o2, o3]).max(captured);
        Ok(true)
    }
}
