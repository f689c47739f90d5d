//! What a source gives: one captured frame.

use super::Timestamp;

/// One captured frame, borrowed from its source until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// 1-based number in its capture, as Wireshark counts; frames that a filter refused are counted too.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// What the first bytes are.
    pub link: LinkType,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, in bytes; larger than `bytes` where the capture cut the frame.
    pub original_len: u32,
}

/// A link-layer header type, by its number in the `LINKTYPE_` registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// IEEE 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP as some BSDs number it (also 14).
    pub const RAW_BSD: Self = Self(12);
    /// Raw IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}
