//! Frame to segment: link, network and transport headers, by etherparse where it serves.

mod ip;
mod link;
#[cfg(test)]
mod tests;

use crate::model::{Endpoint, FlowKey, Frame, LinkType, Side};

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

/// One TCP segment, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The flow.
    pub key: FlowKey,
    /// Who sent it.
    pub sender: Side,
    /// Sequence number of the first octet (of SYN where set).
    pub sequence: u32,
    /// Acknowledgment number; meaningful with [`Flags::ACK`].
    pub acknowledgment: u32,
    /// Control bits.
    pub flags: Flags,
    /// Captured payload, without link padding.
    pub payload: &'a [u8],
    /// Payload bytes behind `payload` that were on the wire but not captured.
    pub cut: u32,
}

/// TCP control bits (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
    /// URG.
    pub const URG: u8 = 0x20;

    /// Whether one of `bits` is set.
    #[must_use]
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// One UDP datagram, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The flow.
    pub key: FlowKey,
    /// Who sent it.
    pub sender: Side,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire but not captured.
    pub cut: u32,
}

impl Segment<'_> {
    /// The endpoint that sent it.
    #[must_use]
    pub fn source(&self) -> Endpoint {
        self.key.end(self.sender)
    }
}
