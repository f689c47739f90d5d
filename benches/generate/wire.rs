//! Frames on an Ethernet wire, written as a pcap file: TCP flows over IPv4, UDP, and noise.

use std::io::{self, Write};

/// Payload of a full segment, in bytes.
pub(crate) const MSS: usize = 1448;

/// Writes frames with their capture times.
pub(crate) struct Wire<W: Write> {
    out: W,
    micros: u64,
    scratch: Vec<u8>,
    written: usize,
}

/// One end's view of a TCP flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Client address and port.
    pub(crate) client: ([u8; 4], u16),
    /// Server address and port.
    pub(crate) server: ([u8; 4], u16),
    /// Next sequence number of the client and of the server.
    pub(crate) next: [u32; 2],
    /// Between its handshake and its end.
    pub(crate) is_open: bool,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl From {
    /// The other side.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The index of its own sequence numbers in [`Flow::next`], and of the other side's.
    fn sides(self) -> (usize, usize) {
        match self {
            Self::Client => (0, 1),
            Self::Server => (1, 0),
        }
    }
}

/// TCP control bits used here.
pub(crate) mod flags {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const PSH: u8 = 8;
    pub(crate) const ACK: u8 = 16;
}

impl<W: Write> Wire<W> {
    /// Begins a capture file (microseconds, Ethernet).
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&262_144_u32.to_le_bytes())?;
        out.write_all(&1_u32.to_le_bytes())?;
        Ok(Self { out, micros: 1_790_000_000_000_000, scratch: Vec::new(), written: 24 })
    }

    /// Bytes of the file so far.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// A segment of `flow` with that sequence number and acknowledgment.
    pub(crate) fn segment(
        &mut self,
        flow: &Flow,
        from: From,
        flags: u8,
        sequence: u32,
        acknowledgment: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        let (source, destination) = match from {
            From::Client => (flow.client, flow.server),
            From::Server => (flow.server, flow.client),
        };
        let mut header = [0_u8; 20];
        header[0..2].copy_from_slice(&source.1.to_be_bytes());
        header[2..4].copy_from_slice(&destination.1.to_be_bytes());
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        header[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
        header[12] = 5 << 4;
        header[13] = flags;
        header[14..16].copy_from_slice(&65_000_u16.to_be_bytes());
        self.ip(6, source.0, destination.0, &header, payload)
    }

    /// A datagram.
    pub(crate) fn datagram(
        &mut self,
        source: ([u8; 4], u16),
        destination: ([u8; 4], u16),
        payload: &[u8],
    ) -> io::Result<()> {
        let mut header = [0_u8; 8];
        header[0..2].copy_from_slice(&source.1.to_be_bytes());
        header[2..4].copy_from_slice(&destination.1.to_be_bytes());
        header[4..6].copy_from_slice(&((payload.len() + 8) as u16).to_be_bytes());
        self.ip(17, source.0, destination.0, &header, payload)
    }

    fn ip(
        &mut self,
        protocol: u8,
        source: [u8; 4],
        destination: [u8; 4],
        transport: &[u8],
        payload: &[u8],
    ) -> io::Result<()> {
        self.micros += 1;
        let length = 20 + transport.len() + payload.len();
        let mut frame = std::mem::take(&mut self.scratch);
        frame.clear();
        frame.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&(length as u16).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend_from_slice(&source);
        frame.extend_from_slice(&destination);
        frame.extend_from_slice(transport);
        frame.extend_from_slice(payload);
        let captured = (frame.len() as u32).to_le_bytes();
        self.out.write_all(&((self.micros / 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&((self.micros % 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&captured)?;
        self.out.write_all(&captured)?;
        self.out.write_all(&frame)?;
        self.written += 16 + frame.len();
        self.scratch = frame;
        Ok(())
    }

    /// The handshake.
    pub(crate) fn open(&mut self, flow: &mut Flow) -> io::Result<()> {
        let [client, server] = flow.next;
        self.segment(flow, From::Client, flags::SYN, client, 0, b"")?;
        self.segment(flow, From::Server, flags::SYN | flags::ACK, server, client.wrapping_add(1), b"")?;
        flow.next = [client.wrapping_add(1), server.wrapping_add(1)];
        flow.is_open = true;
        self.segment(flow, From::Client, flags::ACK, flow.next[0], flow.next[1], b"")
    }

    /// The next bytes of one side, in one segment.
    pub(crate) fn send(&mut self, flow: &mut Flow, from: From, payload: &[u8]) -> io::Result<()> {
        let (own, other) = from.sides();
        let sequence = flow.next[own];
        flow.next[own] = sequence.wrapping_add(payload.len() as u32);
        self.segment(flow, from, flags::PSH | flags::ACK, sequence, flow.next[other], payload)
    }

    /// A bare acknowledgment.
    pub(crate) fn acknowledge(&mut self, flow: &Flow, from: From) -> io::Result<()> {
        let (own, other) = from.sides();
        self.segment(flow, from, flags::ACK, flow.next[own], flow.next[other], b"")
    }

    /// FIN of both sides.
    pub(crate) fn close(&mut self, flow: &mut Flow) -> io::Result<()> {
        self.segment(flow, From::Client, flags::FIN | flags::ACK, flow.next[0], flow.next[1], b"")?;
        flow.next[0] = flow.next[0].wrapping_add(1);
        self.segment(flow, From::Server, flags::FIN | flags::ACK, flow.next[1], flow.next[0], b"")?;
        flow.next[1] = flow.next[1].wrapping_add(1);
        flow.is_open = false;
        self.acknowledge(flow, From::Client)
    }

    /// The capture, flushed.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
