//! Frame to segment: link, network and transport headers, by etherparse where it serves.

mod ip;
mod link;
#[cfg(test)]
mod tests;

pub use crate::model::segment::{Datagram, Flags, Segment};

use crate::model::{Frame, LinkType};

/// What `frame` carries, borrowed from it. Never fails, allocates nothing; checksums are not verified (those of
/// captured packets are often left to the network card).
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
    /// A fragment of an IP datagram (put together by a later stage).
    Fragment,
    /// Another protocol, by name where it has one: `arp`, `lldp`, `icmp`, `gre`, `sctp`; `ethertype-other`, `ip-other` …
    Other(&'static str),
    /// A link type nobody here reads.
    UnknownLink(LinkType),
    /// Headers that break off or contradict themselves.
    Malformed(&'static str),
}
