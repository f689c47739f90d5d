//! Frame to segment: link, network and transport headers, by etherparse where it serves.

pub use crate::model::segment::{Datagram, Flags, Segment};

use crate::model::LinkType;

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// A fragment of an IP datagram (put together by a later stage).
    Fragment,
    /// Another protocol, by name where it has one: `arp`, `icmp`, `ip-proto-47`, `ethertype-88cc` …
    Other(&'static str),
    /// A link type nobody here reads.
    UnknownLink(LinkType),
    /// Headers that break off or contradict themselves.
    Malformed(&'static str),
}
