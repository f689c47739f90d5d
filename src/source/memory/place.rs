//! Where the TCP header of a frame lies, whatever its link type: what rewriting needs to know.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use super::Kept;
use crate::model::LinkType;

/// Offsets in the bytes of a frame that carries TCP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) network: usize,
    pub(super) v6: bool,
    pub(super) tcp: usize,
    pub(super) payload: usize,
    /// End of the captured payload; behind it stands padding.
    pub(super) end: usize,
    /// Payload bytes that were on the wire but not captured.
    pub(super) cut: usize,
}

/// Both ends of a segment: address and port as the bytes that stand in its headers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) source: Vec<u8>,
    pub(super) destination: Vec<u8>,
}

impl Ends {
    /// Of the other direction.
    pub(super) fn reversed(&self) -> Self {
        Self { source: self.destination.clone(), destination: self.source.clone() }
    }
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

impl Place {
    /// Of `frame`, where it is whole enough; fragments have none.
    pub(super) fn of(frame: &Kept) -> Option<Self> {
        let bytes = frame.bytes.as_slice();
        let sliced = match frame.link {
            LinkType::ETHERNET => behind(bytes, 12, 14)?,
            LinkType::NULL | LinkType::LOOP => LaxSlicedPacket::from_ip(bytes.get(4..)?).ok()?,
            LinkType::LINUX_SLL => behind(bytes, 14, 16)?,
            LinkType::LINUX_SLL2 => behind(bytes, 0, 20)?,
            LinkType::RAW | LinkType::RAW_BSD | LinkType::IPV4 | LinkType::IPV6 | LinkType(14) => {
                LaxSlicedPacket::from_ip(bytes).ok()?
            }
            _ => return None,
        };
        let TransportSlice::Tcp(segment) = sliced.transport? else {
            return None;
        };
        let offset = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let (network, v6, announced) = match sliced.net? {
            LaxNetSlice::Ipv4(ip) => {
                (offset(ip.header().slice()), false, usize::from(ip.header().total_len()))
            }
            LaxNetSlice::Ipv6(ip) => {
                let length = usize::from(ip.header().payload_length());
                (offset(ip.header().slice()), true, if length == 0 { 0 } else { length + 40 })
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let tcp = offset(segment.slice());
        let payload = tcp + segment.header_len();
        let end = payload + segment.payload().len();
        let cut = match announced {
            0 => (frame.original_len as usize).saturating_sub(bytes.len()),
            _ => (network + announced).saturating_sub(end),
        };
        Some(Self { network, v6, tcp, payload, end, cut })
    }

    /// Who sent it to whom.
    pub(super) fn ends(&self, bytes: &[u8]) -> Option<Ends> {
        let (at, length) = if self.v6 { (self.network + 8, 16) } else { (self.network + 12, 4) };
        let end = |address: usize, port: usize| {
            Some([bytes.get(address..address + length)?, bytes.get(port..port + 2)?].concat())
        };
        Some(Ends { source: end(at, self.tcp)?, destination: end(at + length, self.tcp + 2)? })
    }

    pub(super) fn sequence(&self, bytes: &[u8]) -> u32 {
        number(bytes, self.tcp + 4)
    }

    pub(super) fn is_syn(&self, bytes: &[u8]) -> bool {
        self.flags(bytes) & SYN != 0
    }

    pub(super) fn is_ack(&self, bytes: &[u8]) -> bool {
        self.flags(bytes) & ACK != 0
    }

    pub(super) fn flags(&self, bytes: &[u8]) -> u8 {
        bytes.get(self.tcp + 13).copied().unwrap_or_default()
    }

    /// Payload bytes on the wire.
    pub(super) fn length(&self) -> usize {
        self.end - self.payload + self.cut
    }
}

/// Where the IP header of a frame begins, whatever the datagram carries, and whether it is IPv6.
pub(super) fn network(frame: &Kept) -> Option<(usize, bool)> {
    let read = |at: usize| Some(u16::from_be_bytes(*frame.bytes.get(at..)?.first_chunk()?));
    let (mut ethertype, mut header) = match frame.link {
        LinkType::ETHERNET => (read(12)?, 14),
        LinkType::LINUX_SLL => (read(14)?, 16),
        LinkType::LINUX_SLL2 => (read(0)?, 20),
        LinkType::NULL | LinkType::LOOP => (0, 4),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::IPV4 | LinkType::IPV6 | LinkType(14) => (0, 0),
        _ => return None,
    };
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        ethertype = read(header + 2)?;
        header += 4;
    }
    let version = frame.bytes.get(header)? >> 4;
    match (ethertype, version) {
        (0x0800 | 0, 4) => Some((header, false)),
        (0x86dd | 0, 6) => Some((header, true)),
        _ => None,
    }
}

/// Behind a link header of `header` bytes with the ethertype at `ethertype`, and whatever number of VLAN tags.
fn behind(bytes: &[u8], ethertype: usize, mut header: usize) -> Option<LaxSlicedPacket<'_>> {
    let read = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut ethertype = read(ethertype)?;
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        ethertype = read(header + 2)?;
        header += 4;
    }
    Some(LaxSlicedPacket::from_ether_type(EtherType(ethertype), bytes.get(header..)?))
}

/// The 32-bit number in network order at `at`; 0 where nothing is.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_be_bytes)
}

/// Writes `value` at `at`, where there is room.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + value.len()) {
        room.copy_from_slice(value);
    }
}
