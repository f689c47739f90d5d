//! What listens on the machine's loopback, so that the command finds it within at the same port.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Listeners that are joined; the others are left out, and that is said.
const MOST: usize = 512;
/// `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Where something listens outside, on the loopback or on every address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    tcp: BTreeSet<SocketAddr>,
    /// Name servers on the loopback.
    names: BTreeSet<SocketAddr>,
}

/// Listeners within, each with where it leads to outside.
pub(super) struct Mirror {
    pub(super) tcp: Vec<(TcpListener, SocketAddr)>,
    pub(super) udp: Vec<(UdpSocket, SocketAddr)>,
}

impl Ports {
    /// Those of the network namespace of the calling thread.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let lines = [read("/proc/thread-self/net/tcp"), read("/proc/thread-self/net/tcp6")].concat();
        Self {
            tcp: lines.lines().filter_map(listener).take(MOST).collect(),
            names: name_servers(&read("/etc/resolv.conf")).collect(),
        }
    }

    /// Listens at the same addresses in the network namespace of the calling thread.
    pub(super) fn listen(&self) -> Mirror {
        let tcp = self.tcp.iter().filter_map(|at| Some((TcpListener::bind(at).ok()?, *at)));
        let udp = self.names.iter().filter_map(|at| Some((UdpSocket::bind(at).ok()?, *at)));
        Mirror { tcp: tcp.collect(), udp: udp.collect() }
    }
}

/// The loopback address that leads to the listener of a line of `/proc/net/tcp` or `tcp6`.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = if address.len() == 8 {
        Ipv4Addr::from(word(0)?).into()
    } else {
        let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
        Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).to_canonical()
    };
    let ip = match ip {
        // Of `::` the IPv4 side: that of IPv6 may be switched off.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_loopback() => ip,
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The name servers of `resolv.conf(5)` that are on the loopback.
fn name_servers(text: &str) -> impl Iterator<Item = SocketAddr> + '_ {
    let address = |line: &str| -> Option<IpAddr> {
        line.strip_prefix("nameserver")?.split_ascii_whitespace().next()?.parse().ok()
    };
    text.lines().filter_map(address).filter(IpAddr::is_loopback).map(|ip| SocketAddr::new(ip, 53))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_of_the_loopback_are_known() {
        let line = |local: &str, state: &str| {
            format!("   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 0 0 0 77 1")
        };
        let six = "00000000000000000000000000000000";
        for (local, state, found) in [
            ("0100007F:1F90", "0A", Some("127.0.0.1:8080")),
            ("00000000:0016", "0A", Some("127.0.0.1:22")),
            (&format!("{six}:0050"), "0A", Some("127.0.0.1:80")),
            ("00000000000000000000000001000000:0050", "0A", Some("[::1]:80")),
            ("0100007F:1F90", "01", None),
            ("0A00020A:0050", "0A", None),
            ("nonsense", "0A", None),
        ] {
            assert_eq!(listener(&line(local, state)).map(|at| at.to_string()).as_deref(), found, "{local}");
        }
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(Ports::here().tcp.contains(&listener.local_addr().unwrap()));
    }

    #[test]
    fn name_servers_on_the_loopback_are_joined() {
        let text = "# made up\nsearch example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0\nnameserver x\n";
        let found: Vec<String> = name_servers(text).map(|at| at.to_string()).collect();
        assert_eq!(found, ["127.0.0.53:53"]);
    }
}
