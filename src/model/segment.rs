//! What a frame carries above its headers: one TCP segment or one UDP datagram.

use super::{Endpoint, FlowKey, Side};

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
    /// Of which network it is, as far as tags and tunnels tell (VLAN, VXLAN, Geneve, the key of GRE); 0 where they do not.
    pub realm: u16,
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
