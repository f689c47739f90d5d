//! Exact look-ups of sockets in the kernel (`sock_diag(7)`): whose is the end of this connection.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};

use crate::model::{Endpoint, Transport};

/// `SOCK_DIAG_BY_FAMILY`, the one message there is (`linux/sock_diag.h`).
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// Bytes of a netlink header, of `inet_diag_req_v2`, of `inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const ANSWER: usize = 72;
/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// Offsets in `inet_diag_msg`, behind the netlink header.
mod answer {
    pub(super) const STATE: usize = 1;
    pub(super) const UID: usize = 64;
    pub(super) const INODE: usize = 68;
}

/// A socket as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// What `/proc/PID/fd` names it by; 0 where no process has it any more.
    pub(super) inode: u64,
    /// Whose it is.
    pub(super) uid: u32,
    /// It only listens: the connection itself is not taken yet.
    pub(super) is_listening: bool,
}

/// The way to the kernel, of the network namespace it was opened in.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    sequence: u32,
}

impl Diag {
    /// # Errors
    /// Where the system has no `sock_diag`.
    pub(super) fn open() -> io::Result<Self> {
        let kind = SockType::Datagram;
        let protocol = SockProtocol::NetlinkSockDiag;
        let socket = socket(AddressFamily::Netlink, kind, SockFlag::SOCK_CLOEXEC, protocol)?;
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The socket at `local` that talks to `remote`; for TCP, while nobody has taken the connection (or no longer has it), the
    /// one that listens.
    pub(super) fn socket(
        &mut self,
        local: Endpoint,
        remote: Endpoint,
        transport: Transport,
    ) -> Option<Socket> {
        let found = self.ask(local, remote, transport)?;
        if found.inode != 0 || transport == Transport::Udp {
            return Some(found);
        }
        let nobody = match remote.ip() {
            IpAddr::V4(_) => Endpoint::v4([0; 4], 0),
            IpAddr::V6(_) => Endpoint::v6([0; 16], 0),
        };
        self.ask(local, nobody, transport)
    }

    fn ask(&mut self, local: Endpoint, remote: Endpoint, transport: Transport) -> Option<Socket> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(local, remote, transport, self.sequence);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).ok()?;
        let mut bytes = [0; 1024];
        loop {
            // The kernel answers within the call that asks: nothing is waited for.
            let length = recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT).ok()?;
            let message = bytes.get(..length)?;
            if u32_at(message, 8)? == self.sequence {
                return read(message);
            }
        }
    }
}

fn request(local: Endpoint, remote: Endpoint, transport: Transport, sequence: u32) -> Vec<u8> {
    let (family, protocol) = match (local.ip(), transport) {
        (IpAddr::V4(_), Transport::Tcp) => (libc::AF_INET, libc::IPPROTO_TCP),
        (IpAddr::V4(_), Transport::Udp) => (libc::AF_INET, libc::IPPROTO_UDP),
        (IpAddr::V6(_), Transport::Tcp) => (libc::AF_INET6, libc::IPPROTO_TCP),
        (IpAddr::V6(_), Transport::Udp) => (libc::AF_INET6, libc::IPPROTO_UDP),
    };
    // Of UDP the kernel takes the two ends the other way round (`udp_dump_one`: "for historical reasons").
    let (source, destination) = match transport {
        Transport::Tcp => (local, remote),
        Transport::Udp => (remote, local),
    };
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(1_u16.to_ne_bytes()); // NLM_F_REQUEST
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family as u8, protocol as u8, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // every state
    bytes.extend(source.port.to_be_bytes());
    bytes.extend(destination.port.to_be_bytes());
    bytes.extend(octets(source.ip()));
    bytes.extend(octets(destination.ip()));
    bytes.extend([0; 4]); // any interface
    bytes.extend([0xff; 8]); // INET_DIAG_NOCOOKIE
    bytes
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
    }
}

fn read(message: &[u8]) -> Option<Socket> {
    let kind = message.get(4..6).and_then(<[u8]>::first_chunk).map(|chunk| u16::from_ne_bytes(*chunk))?;
    if kind == ERROR || message.len() < HEADER + ANSWER {
        return None;
    }
    Some(Socket {
        inode: u64::from(u32_at(message, HEADER + answer::INODE)?),
        uid: u32_at(message, HEADER + answer::UID)?,
        is_listening: *message.get(HEADER + answer::STATE)? == LISTEN,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map(|chunk| u32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn inode(file: &impl std::os::fd::AsRawFd) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap().ino()
    }

    #[test]
    fn both_ends_of_a_connection_are_found() {
        let mut diag = Diag::open().unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let near: Endpoint = client.local_addr().unwrap().into();
            let far: Endpoint = client.peer_addr().unwrap().into();
            assert_eq!(diag.socket(near, far, Transport::Tcp).unwrap().inode, inode(&client));
            let (server, _) = listener.accept().unwrap();
            assert_eq!(diag.socket(far, near, Transport::Tcp).unwrap().inode, inode(&server));
            let mut other = near;
            other.port ^= 1;
            let listening = diag.socket(far, other, Transport::Tcp).unwrap();
            assert_eq!((listening.inode, listening.is_listening), (inode(&listener), true));
            assert_eq!(diag.socket(other, far, Transport::Tcp), None);
        }
    }

    #[test]
    fn a_datagram_has_an_owner_too() {
        let mut diag = Diag::open().unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let near: Endpoint = client.local_addr().unwrap().into();
        let far: Endpoint = server.local_addr().unwrap().into();
        assert_eq!(diag.socket(near, far, Transport::Udp).unwrap().inode, inode(&client));
        assert_eq!(diag.socket(far, near, Transport::Udp).unwrap().inode, inode(&server));
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        assert_eq!(read(&[0; 8]), None);
        assert_eq!(read(&[0; HEADER + ANSWER - 1]), None);
        let mut refused = [0; 36];
        refused[4] = 2;
        assert_eq!(read(&refused), None);
    }
}
