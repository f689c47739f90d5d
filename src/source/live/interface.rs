//! The network interfaces of this machine: what they are, and which one a word means.

use std::fs;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::source::SourceError;

/// All interfaces at once, as one source.
pub const ANY: &str = "any";

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// `ARPHRD_` number of its link layer, where the system tells.
    pub hardware: Option<u16>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it has a carrier.
    pub running: bool,
    /// Whether this machine talks to itself through it.
    pub loopback: bool,
}

impl Interface {
    /// `ethernet`, `loopback`, `raw-ip`, or the number of its link layer.
    #[must_use]
    pub fn link(&self) -> String {
        match self.hardware {
            Some(1) => "ethernet".to_owned(),
            Some(772) => "loopback".to_owned(),
            Some(number) if is_raw_ip(number) => "raw-ip".to_owned(),
            Some(number) => format!("hardware-{number}"),
            None if self.loopback => "loopback".to_owned(),
            None => "unknown".to_owned(),
        }
    }

    /// `up`, `no carrier` or `down`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.up, self.running) {
            (true, true) => "up",
            (true, false) => "no carrier",
            (false, _) => "down",
        }
    }
}

/// Whether frames begin with the IP header: tun devices and IP tunnels (`ARPHRD_NONE`, `TUNNEL`, `TUNNEL6`, `SIT`, `IPGRE`).
pub(super) fn is_raw_ip(hardware: u16) -> bool {
    matches!(hardware, 0xfffe | 768 | 769 | 776 | 778)
}

/// Every interface, by number.
///
/// # Errors
/// Where the system does not tell.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let known = found.iter().position(|interface| interface.name == entry.interface_name);
        let at = known.unwrap_or_else(|| {
            found.push(Interface {
                index: if_nametoindex(entry.interface_name.as_str()).unwrap_or_default(),
                name: entry.interface_name.clone(),
                hardware: None,
                addresses: Vec::new(),
                up: entry.flags.contains(InterfaceFlags::IFF_UP),
                running: entry.flags.contains(InterfaceFlags::IFF_RUNNING),
                loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            });
            found.len() - 1
        });
        let (Some(interface), Some(address)) = (found.get_mut(at), entry.address) else { continue };
        #[cfg(target_os = "linux")]
        if let Some(link) = address.as_link_addr() {
            interface.hardware = Some(link.hatype());
        }
        if let Some(v4) = address.as_sockaddr_in() {
            interface.addresses.push(IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            interface.addresses.push(IpAddr::V6(v6.ip()));
        }
    }
    found.sort_by_key(|interface| interface.index);
    Ok(found)
}

/// The interface a person most likely means: up, with a carrier, an address and no loopback.
#[must_use]
pub fn likely(interfaces: &[Interface]) -> Option<&Interface> {
    let is_live = |interface: &&Interface| interface.up && interface.running && !interface.loopback;
    interfaces
        .iter()
        .find(|interface| is_live(interface) && interface.addresses.iter().any(IpAddr::is_ipv4))
        .or_else(|| interfaces.iter().find(is_live))
        .or_else(|| interfaces.iter().find(|interface| interface.up))
}

/// The name of the interface that `word` means: by name or address, or [`ANY`].
///
/// # Errors
/// Where there is none; the message lists those there are.
pub fn named(word: &str) -> Result<String, SourceError> {
    if word == ANY {
        return Ok(ANY.to_owned());
    }
    let refuse = |reason| SourceError::Live { interface: word.to_owned(), reason };
    let interfaces =
        interfaces().map_err(|error| refuse(format!("the interfaces cannot be listed: {error}")))?;
    let address: Option<IpAddr> = word.parse().ok();
    interfaces
        .iter()
        .find(|one| one.name == word || address.is_some_and(|address| one.addresses.contains(&address)))
        .map(|interface| interface.name.clone())
        .ok_or_else(|| {
            let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
            refuse(format!(
                "there is no such interface; there are: {}, any (`leaktap interfaces` says more)",
                names.join(", ")
            ))
        })
}

/// Whether there is such an interface.
pub(super) fn is_there(name: &str) -> bool {
    name == ANY
        || interfaces().is_ok_and(|interfaces| interfaces.iter().any(|interface| interface.name == name))
}

/// Whether the interface is there and switched on.
pub(super) fn is_up(name: &str) -> bool {
    name == ANY
        || interfaces()
            .is_ok_and(|interfaces| interfaces.iter().any(|interface| interface.name == name && interface.up))
}

/// Frames that the interface itself had no room for, since it exists; none where the system does not tell.
pub(super) fn missed(name: &str) -> u64 {
    let count = |which: &str| {
        let text = fs::read_to_string(format!("/sys/class/net/{name}/statistics/{which}"));
        text.ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    count("rx_missed_errors") + count("rx_fifo_errors")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, up: bool, loopback: bool, address: Option<&str>) -> Interface {
        Interface {
            name: name.to_owned(),
            index: 1,
            hardware: Some(if loopback { 772 } else { 1 }),
            addresses: address.map(|address| address.parse().unwrap()).into_iter().collect(),
            up,
            running: up,
            loopback,
        }
    }

    #[test]
    fn the_likely_one_is_up_and_has_an_address() {
        let lo = interface("lo", true, true, Some("127.0.0.1"));
        let down = interface("eth0", false, false, None);
        let bare = interface("eth1", true, false, None);
        let real = interface("eth2", true, false, Some("192.0.2.7"));
        let name = |list: &[Interface]| likely(list).map(|interface| interface.name.clone());
        assert_eq!(name(&[lo.clone(), down.clone(), bare.clone(), real]).as_deref(), Some("eth2"));
        assert_eq!(name(&[lo.clone(), down.clone(), bare]).as_deref(), Some("eth1"));
        assert_eq!(name(&[lo, down.clone()]).as_deref(), Some("lo"));
        assert_eq!(name(&[down]), None);
    }

    #[test]
    fn an_unknown_name_is_told_those_there_are() {
        assert_eq!(named("any").unwrap(), "any");
        let error = named("nosuch0").unwrap_err().to_string();
        assert!(error.starts_with("cannot capture on nosuch0: there is no such interface; there are: "));
        assert!(error.contains(", any ("), "{error}");
    }
}
