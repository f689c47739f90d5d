//! Who talks to whom: addresses, ports, and the key of a flow.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An address and a port. IPv4 is kept IPv4-mapped (RFC 4291 section 2.5.5.2), so that both families are one small type.
///
/// The address is kept as two numbers, not as octets: keys are made and compared for each packet, in registers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The first eight octets, as in network order.
    prefix: u64,
    /// The last eight.
    host: u64,
    /// The TCP or UDP port.
    pub port: u16,
}

const MAPPED: u64 = 0xffff_0000_0000;

impl Endpoint {
    /// An IPv4 endpoint from the four octets of the header.
    #[inline]
    #[must_use]
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        Self { prefix: 0, host: MAPPED | u64::from(u32::from_be_bytes(address)), port }
    }

    /// An IPv6 endpoint from the sixteen octets of the header.
    #[inline]
    #[must_use]
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        let bits = u128::from_be_bytes(address);
        Self { prefix: (bits >> 64) as u64, host: bits as u64, port }
    }

    /// What stands for the end of a process whose address nobody knows: of the discard prefix `100::/64`, which no packet comes
    /// from (RFC 6666). 0 is nobody.
    #[must_use]
    pub fn of_process(pid: u32) -> Self {
        Self { prefix: 0x0100 << 48, host: u64::from(pid), port: 0 }
    }

    /// Whether it stands for a process or nobody ([`Endpoint::of_process`]).
    #[must_use]
    pub fn is_made_up(&self) -> bool {
        self.prefix == 0x0100 << 48
    }

    /// The address; IPv4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from_bits(u128::from(self.prefix) << 64 | u128::from(self.host)).to_canonical()
    }

    /// Whether the address is of the loopback (127.0.0.0/8, `::1`).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.ip().is_loopback()
    }
}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Of an IPv4 address the first word is always the same.
        if self.prefix != 0 {
            state.write_u64(self.prefix);
        }
        state.write_u64(self.host);
        state.write_u16(self.port);
    }
}

/// `10.0.0.1:80` or `[2001:db8::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As [`Endpoint`] prints itself.
impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<SocketAddr>()
            .map(Self::from)
            .map_err(|_| de::Error::custom("an address and port were expected"))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip.octets(), address.port()),
            IpAddr::V6(ip) => Self::v6(ip.octets(), address.port()),
        }
    }
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Transport {
    /// `tcp`, `udp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One of the two ends of a flow, by the order of their addresses: it says nothing of client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end whose (address, port) is the smaller.
    Low,
    /// The other.
    High,
}

impl Side {
    /// The opposite end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the client: requests, commands.
    ToServer,
    /// From the server: responses.
    ToClient,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// The direction-free key of a flow: both ends in their order, and the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Prefix and host of the low end, of the high end.
    low: (u64, u64),
    high: (u64, u64),
    low_port: u16,
    high_port: u16,
    transport: Transport,
}

impl FlowKey {
    /// The flow's key and the side that sent, from what a header says.
    #[inline(always)]
    #[must_use]
    pub fn new(source: Endpoint, destination: Endpoint, transport: Transport) -> (Self, Side) {
        let (low, high, sender) = if source <= destination {
            (source, destination, Side::Low)
        } else {
            (destination, source, Side::High)
        };
        let key = Self {
            low: (low.prefix, low.host),
            high: (high.prefix, high.host),
            low_port: low.port,
            high_port: high.port,
            transport,
        };
        (key, sender)
    }

    /// The endpoint of a side.
    #[inline]
    #[must_use]
    pub fn end(&self, side: Side) -> Endpoint {
        let ((prefix, host), port) = match side {
            Side::Low => (self.low, self.low_port),
            Side::High => (self.high, self.high_port),
        };
        Endpoint { prefix, host, port }
    }

    /// TCP or UDP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether both ends are loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.end(Side::Low).is_loopback() && self.end(Side::High).is_loopback()
    }

    /// A number that is the same for both directions, in every run and on every machine: it chooses the shard.
    /// Tables hash the key with a secret seed of their own.
    #[must_use]
    pub fn spread(&self) -> u64 {
        let ports = u64::from(self.low_port) << 16 | u64::from(self.high_port);
        let mut mixed = ports ^ (self.transport as u64) << 32;
        for word in [self.low.0, self.low.1, self.high.0, self.high.1] {
            mixed = (mixed ^ word.swap_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
        }
        mixed
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Two IPv4 addresses fill one word: all the rest of them is always the same.
        if (self.low.0 | self.high.0, self.low.1 >> 32, self.high.1 >> 32) == (0, MAPPED >> 32, MAPPED >> 32)
        {
            state.write_u64(self.low.1 << 32 | self.high.1 & u64::from(u32::MAX));
        } else {
            for word in [self.low.0, self.high.0, self.low.1, self.high.1] {
                state.write_u64(word);
            }
        }
        let ports = u64::from(self.low_port) << 16 | u64::from(self.high_port);
        state.write_u64((self.transport as u64) << 32 | ports);
    }
}

/// By the low end, then the high end, then the transport.
impl Ord for FlowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = |key: &Self| (key.end(Side::Low), key.end(Side::High), key.transport);
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for FlowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let (client, server) = (Endpoint::v4([10, 0, 0, 9], 51000), Endpoint::v4([10, 0, 0, 2], 80));
        let (there, sender) = FlowKey::new(client, server, Transport::Tcp);
        let (back, answerer) = FlowKey::new(server, client, Transport::Tcp);
        assert_eq!((there, sender.other()), (back, answerer));
        assert_eq!(there.end(sender), client);
        assert_eq!(there.spread(), back.spread());
        assert_ne!(there, FlowKey::new(client, server, Transport::Udp).0);
    }

    #[test]
    fn prints_like_a_url_authority() {
        assert_eq!(Endpoint::v4([10, 0, 0, 1], 80).to_string(), "10.0.0.1:80");
        let mut address = [0; 16];
        address[15] = 1;
        assert_eq!(Endpoint::v6(address, 443).to_string(), "[::1]:443");
        assert!(Endpoint::v6(address, 443).is_loopback());
    }

    #[test]
    fn shards_fill_evenly() {
        let mut counts = [0_u32; 64];
        for port in 0..64_000_u16 {
            let client = Endpoint::v4([10, 0, (port >> 8) as u8, port as u8], 1024 + port % 60000);
            let key = FlowKey::new(client, Endpoint::v4([10, 9, 0, 1], 80), Transport::Tcp).0;
            counts[(key.spread() % 64) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (700..1300).contains(&count)), "{counts:?}");
    }
}
