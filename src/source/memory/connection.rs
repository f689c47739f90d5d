//! Well-formed TCP connections and datagrams, frame by frame, as a tap on Ethernet would see them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel, Ipv6Header,
    PacketBuilder, PacketBuilderStep, TcpHeader,
};

use super::Kept;
use crate::model::{LinkType, Timestamp};

/// Time between two frames.
const STEP: Duration = Duration::from_micros(100);

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// A TCP connection that is being written; each call adds frames.
#[derive(Clone, Debug)]
pub struct Connection {
    client: SocketAddr,
    server: SocketAddr,
    time: Timestamp,
    mss: usize,
    /// Next sequence number of the client, of the server.
    next: (u32, u32),
    frames: Vec<Kept>,
}

impl Connection {
    /// From `client` to `server`, which are of one address family. Begins at 2026-01-01T00:00:00Z with segments of
    /// 1,448 bytes.
    #[must_use]
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            client,
            server,
            time: Timestamp::from_nanos(1_767_225_600_000_000_000),
            mss: 1_448,
            next: (1_000, 5_000),
            frames: Vec::new(),
        }
    }

    /// A connection between documentation addresses, to port `server_port` (RFC 5737).
    #[must_use]
    pub fn example(server_port: u16) -> Self {
        Self::new(
            SocketAddr::from(([192, 0, 2, 10], 51_000)),
            SocketAddr::from(([192, 0, 2, 80], server_port)),
        )
    }

    /// With the first frame at `time`.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.time = time;
        self
    }

    /// With at most `mss` payload bytes a segment (1 to 60,000).
    #[must_use]
    pub fn mss(mut self, mss: usize) -> Self {
        self.mss = mss.clamp(1, 60_000);
        self
    }

    /// With these initial sequence numbers.
    #[must_use]
    pub fn sequences(mut self, client: u32, server: u32) -> Self {
        self.next = (client, server);
        self
    }

    /// SYN, SYN + ACK, ACK.
    #[must_use]
    pub fn handshake(mut self) -> Self {
        self.push(Sender::Client, &[], |tcp| (tcp.syn, tcp.ack) = (true, false));
        self.push(Sender::Server, &[], |tcp| tcp.syn = true);
        self.push(Sender::Client, &[], |_| {});
        self
    }

    /// The client sends.
    #[must_use]
    pub fn to_server(mut self, bytes: &[u8]) -> Self {
        self.data(Sender::Client, bytes);
        self
    }

    /// The server sends.
    #[must_use]
    pub fn to_client(mut self, bytes: &[u8]) -> Self {
        self.data(Sender::Server, bytes);
        self
    }

    /// FIN of the client, FIN of the server, the last ACK.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.push(Sender::Client, &[], |tcp| tcp.fin = true);
        self.push(Sender::Server, &[], |tcp| tcp.fin = true);
        self.push(Sender::Client, &[], |_| {});
        self
    }

    /// RST of the client.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.push(Sender::Client, &[], |tcp| tcp.rst = true);
        self
    }

    /// Silence for `span`.
    #[must_use]
    pub fn pause(mut self, span: Duration) -> Self {
        self.time = self.time.after(span);
        self
    }

    /// The frames so far.
    #[must_use]
    pub fn frames(self) -> Vec<Kept> {
        self.frames
    }

    fn data(&mut self, sender: Sender, bytes: &[u8]) {
        let mut parts = bytes.chunks(self.mss).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            self.push(sender, part, |tcp| tcp.psh = last);
        }
    }

    fn push(&mut self, sender: Sender, payload: &[u8], change: impl FnOnce(&mut TcpHeader)) {
        let (client, server) = (self.client, self.server);
        let (source, destination, sequence, acknowledgment) = match sender {
            Sender::Client => (client, server, self.next.0, self.next.1),
            Sender::Server => (server, client, self.next.1, self.next.0),
        };
        let mut tcp = TcpHeader::new(source.port(), destination.port(), sequence, 64_240);
        (tcp.ack, tcp.acknowledgment_number) = (true, acknowledgment);
        change(&mut tcp);
        if !tcp.ack {
            tcp.acknowledgment_number = 0;
        }
        let taken = payload.len() as u32 + u32::from(tcp.syn) + u32::from(tcp.fin);
        let mut bytes = Vec::new();
        let Some(builder) = ip(source, destination) else {
            return;
        };
        if builder.tcp_header(tcp).write(&mut bytes, payload).is_err() {
            return;
        }
        match sender {
            Sender::Client => self.next.0 = sequence.wrapping_add(taken),
            Sender::Server => self.next.1 = sequence.wrapping_add(taken),
        }
        self.frames.push(kept(self.time, bytes));
        self.time = self.time.after(STEP);
    }
}

/// One UDP datagram; `None` where the ends are of two address families or `payload` is too long.
#[must_use]
pub fn datagram(
    time: Timestamp,
    source: SocketAddr,
    destination: SocketAddr,
    payload: &[u8],
) -> Option<Kept> {
    let mut bytes = Vec::new();
    let builder = ip(source, destination)?.udp(source.port(), destination.port());
    builder.write(&mut bytes, payload).ok()?;
    Some(kept(time, bytes))
}

fn kept(time: Timestamp, bytes: Vec<u8>) -> Kept {
    let original_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Kept { time, link: LinkType::ETHERNET, bytes, original_len }
}

fn ip(source: SocketAddr, destination: SocketAddr) -> Option<PacketBuilderStep<IpHeaders>> {
    let headers = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => IpHeaders::Ipv4(
            Ipv4Header::new(0, 64, IpNumber::TCP, source.octets(), destination.octets()).ok()?,
            Ipv4Extensions::default(),
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => IpHeaders::Ipv6(
            Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: 0,
                next_header: IpNumber::TCP,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            },
            Ipv6Extensions::default(),
        ),
        _ => return None,
    };
    Some(PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ip(headers))
}
