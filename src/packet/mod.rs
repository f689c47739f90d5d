//! Frame to segment: link, network and transport headers, through encapsulations; fragments put together.
//!
//! What nearly every frame is (Ethernet, IP, TCP) is decoded on a way of its own; the rest hangs off it in cold functions.

mod fragment;
mod ip;
mod link;
mod ppp;
#[cfg(test)]
mod tests;
mod tunnel;
mod wireless;

pub use crate::model::segment::{Datagram, Flags, Segment};
pub use fragment::{Fragment, Fragments, GivenUp, Limits, Rebuilt};

use crate::model::{Frame, LinkType};

/// Encapsulations within each other that are opened: tunnels, MPLS, PPPoE.
pub const DEPTH: u8 = 8;

/// What `frame` carries, borrowed from it, out of however many encapsulations up to [`DEPTH`]. Never fails, allocates
/// nothing; checksums are not verified (those of captured packets are often left to the network card).
///
/// Link padding is not payload: the IP length decides. Where a frame was cut by the snapshot length, what is
/// there is given and the rest counted in `cut`.
#[must_use]
pub fn decode<'a>(frame: &Frame<'a>) -> Packet<'a> {
    link::decode(frame)
}

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// A fragment of an IP datagram, for [`Fragments`].
    Fragment(Fragment<'a>),
    /// Another protocol, by name where it has one: `arp`, `lldp`, `icmp`, `esp`, `sctp`; `ethertype-other`, `ip-other` …
    Other(&'static str),
    /// A link type nobody here reads.
    UnknownLink(LinkType),
    /// Headers that break off or contradict themselves.
    Malformed(&'static str),
}

impl Packet<'_> {
    /// Whether it may well be what its bytes were taken for, where nothing but a port number said so.
    fn is_plausible(&self) -> bool {
        !matches!(
            self,
            Self::Malformed(_) | Self::Other("ethertype-other" | "ip-other" | "ppp-other" | "llc")
        )
    }
}

/// What stands around the bytes at hand.
#[derive(Clone, Copy, Debug)]
struct Around {
    /// Bytes of the frame that were not captured.
    missing: u32,
    /// Encapsulations.
    depth: u8,
    /// The networks that tags and tunnels name; 0 where there are none.
    realm: u16,
}

impl Around {
    /// One encapsulation more, around bytes of which `missing` were not captured. `None` where that is one too many.
    fn deeper(self, missing: usize) -> Option<Self> {
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        (self.depth < DEPTH).then_some(Self { missing, depth: self.depth + 1, realm: self.realm })
    }

    /// Within the network that is named by `number`.
    fn within(self, number: u32) -> Self {
        // Numbers of one kind stay apart; those of one within another nearly always.
        let mixed = u32::from(self.realm).rotate_left(5) ^ (number + 1).wrapping_mul(0x9e37_79b1);
        Self { realm: ((mixed >> 16) as u16).max(1), ..self }
    }
}

/// More encapsulations than [`DEPTH`].
const TOO_DEEP: Packet<'static> = Packet::Other("nested-too-deep");
