//! Who talks to whom: addresses, ports, and the key of a flow.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

/// An address and a port. IPv4 is kept IPv4-mapped (RFC 4291 section 2.5.5.2), so that both families are one small type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    octets: [u8; 16],
    /// The TCP or UDP port.
    pub port: u16,
}

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Endpoint {
    /// An IPv4 endpoint from the four octets of the header.
    #[must_use]
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        Self { octets: Ipv4Addr::from(address).to_ipv6_mapped().octets(), port }
    }

    /// An IPv6 endpoint from the sixteen octets of the header.
    #[must_use]
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        Self { octets: address, port }
    }

    /// The address; IPv4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.octets).to_canonical()
    }

    /// Whether the address is of the loopback (127.0.0.0/8, `::1`).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.ip().is_loopback()
    }

    fn words(&self) -> [u64; 2] {
        let bits = u128::from_le_bytes(self.octets);
        [bits as u64, (bits >> 64) as u64]
    }
}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [prefix, host] = self.words();
        // Of an IPv4 address the first word is always the same.
        if !self.octets.starts_with(&MAPPED) {
            state.write_u64(prefix);
        }
        state.write_u64(host);
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

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
    transport: Transport,
}

impl FlowKey {
    /// The flow's key and the side that sent, from what a header says.
    #[must_use]
    pub fn new(source: Endpoint, destination: Endpoint, transport: Transport) -> (Self, Side) {
        if source <= destination {
            (Self { low: source, high: destination, transport }, Side::Low)
        } else {
            (Self { low: destination, high: source, transport }, Side::High)
        }
    }

    /// The endpoint of a side.
    #[must_use]
    pub fn end(&self, side: Side) -> Endpoint {
        match side {
            Side::Low => self.low,
            Side::High => self.high,
        }
    }

    /// TCP or UDP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether both ends are loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.low.is_loopback() && self.high.is_loopback()
    }

    /// A number that is the same for both directions, in every run and on every machine: it chooses the shard.
    /// Tables hash the key with a secret seed of their own.
    #[must_use]
    pub fn spread(&self) -> u64 {
        let [a, b] = self.low.words();
        let [c, d] = self.high.words();
        let ports = u64::from(self.low.port) << 16 | u64::from(self.high.port);
        let mut mixed = ports ^ (self.transport as u64) << 32;
        for word in [a, b, c, d] {
            mixed = (mixed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
        }
        mixed
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
