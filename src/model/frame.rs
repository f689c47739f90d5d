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
    /// PPP, its address and control field left out or not (RFC 1662).
    pub const PPP: Self = Self(9);
    /// PPP as on a serial line, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// A PPPoE session (RFC 2516).
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP as some BSDs number it (also 14).
    pub const RAW_BSD: Self = Self(12);
    /// Raw IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC, or PPP as on a serial line.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// IEEE 802.11 behind a Prism header (or an AVS one).
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// IEEE 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// What Apple's tools write for [`Self::PKTAP`] (a number for private use).
    pub const APPLE_PKTAP: Self = Self(149);
    /// IEEE 802.11 behind an AVS header.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// What the firewall of Linux logs.
    pub const NFLOG: Self = Self(239);
    /// Darwin's header before frames of several interfaces.
    pub const PKTAP: Self = Self(258);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}
