//! What a fresh network namespace needs (`rtnetlink(7)`): an interface up, its address, a route for everything.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};

/// `RTM_NEWLINK`, `RTM_NEWADDR`, `RTM_NEWROUTE`.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// `NLM_F_REQUEST | NLM_F_ACK`, `NLM_F_CREATE | NLM_F_EXCL`.
const ASK: u16 = 0x5;
const CREATE: u16 = 0x600;
/// `NLMSG_ERROR`: the answer, 0 where all went well.
const ERROR: u16 = 2;

/// Switches an interface on.
pub(super) fn bring_up(name: &str) -> io::Result<()> {
    let up = libc::IFF_UP as u32;
    // ifinfomsg: family, type, index, flags, which of them change.
    let mut body = vec![0; 4];
    body.extend(if_nametoindex(name)?.to_ne_bytes());
    body.extend(up.to_ne_bytes());
    body.extend(up.to_ne_bytes());
    ask(NEW_LINK, ASK, &body)
}

/// Gives an interface an address that it shares with no network.
pub(super) fn address(name: &str, address: Ipv4Addr) -> io::Result<()> {
    // ifaddrmsg: family, length of the prefix, flags, scope, interface.
    let mut body = vec![libc::AF_INET as u8, 32, 0, 0];
    body.extend(if_nametoindex(name)?.to_ne_bytes());
    for kind in [libc::IFA_LOCAL, libc::IFA_ADDRESS] {
        body.extend(8_u16.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(address.octets());
    }
    ask(NEW_ADDRESS, ASK | CREATE, &body)
}

/// Sends all of IPv4 that has no better route through an interface.
pub(super) fn route_all(name: &str) -> io::Result<()> {
    // rtmsg: family, lengths of the two prefixes, type of service, table, protocol, scope, type, flags.
    let mut body = vec![libc::AF_INET as u8, 0, 0, 0];
    body.extend([libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RT_SCOPE_LINK, libc::RTN_UNICAST]);
    body.extend([0; 4]);
    body.extend(8_u16.to_ne_bytes());
    body.extend(libc::RTA_OIF.to_ne_bytes());
    body.extend(if_nametoindex(name)?.to_ne_bytes());
    ask(NEW_ROUTE, ASK | CREATE, &body)
}

fn ask(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let mut message = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(body);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match read(answer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn read(answer: &[u8]) -> Option<i32> {
    let kind = answer.get(4..6).and_then(<[u8]>::first_chunk).map(|chunk| u16::from_ne_bytes(*chunk))?;
    let code = answer.get(16..).and_then(<[u8]>::first_chunk).map(|chunk| i32::from_ne_bytes(*chunk))?;
    (kind == ERROR).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_was_done() {
        let answer = |kind: u16, code: i32| {
            [&36_u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &code.to_ne_bytes()].concat()
        };
        assert_eq!(read(&answer(ERROR, 0)), Some(0));
        assert_eq!(read(&answer(ERROR, -1)), Some(-1));
        assert_eq!(read(&answer(NEW_LINK, 0)), None);
        assert_eq!(read(&[0; 7]), None);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(bring_up("nosuch0").is_err());
        assert!(route_all("nosuch0").is_err());
    }
}
