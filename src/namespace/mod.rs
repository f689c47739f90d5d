//! A network namespace for one command: its own loopback, what listens on that of the machine, and a way out that this program
//! relays. Nothing of the machine's network is changed, and all of it is gone with its last process.

mod netlink;
mod ports;
mod relay;

use std::fs::{self, OpenOptions};
use std::io;
use std::net::Ipv4Addr;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use tun_rs::{DeviceBuilder, SyncDevice};

pub use self::ports::Ports;
pub use self::relay::Relay;

/// The loopback within, and the way out.
pub const LOOPBACK: &str = "lo";
/// See [`LOOPBACK`].
pub const OUTWARD: &str = "out";

/// `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_SYS_ADMIN`, by their bits.
const RIGHTS: u64 = 1 << 12 | 1 << 13 | 1 << 21;
/// The address of the command's side of the way out (RFC 6598: shared, of no network there is).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 127, 255, 2);
/// Bytes of a packet on the way out.
const MTU: u16 = 1500;

/// Why there can be no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Neither rights nor a namespace of the user's own.
    #[error(
        "cannot make a namespace for the command without rights: {0}; root may, or allow it to users by \
         `sysctl kernel.unprivileged_userns_clone=1` (Debian) or `sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu)"
    )]
    Rights(#[source] io::Error),
    /// The system refuses it.
    #[error("cannot make a network namespace for the command: {0}")]
    Network(#[source] io::Error),
    /// The loopback within stays down.
    #[error("cannot bring up the loopback of the command's namespace: {0}")]
    Loopback(#[source] io::Error),
}

/// Gets the rights that [`enter`] needs: those of the process, else those within a user namespace of its own, where the user stays
/// who they are. To be called while the process has one thread.
///
/// # Errors
/// [`NamespaceError::Rights`].
pub fn prepare() -> Result<(), NamespaceError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default();
    if bits & RIGHTS == RIGHTS {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    let own = || {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
    };
    own().map_err(NamespaceError::Rights)
}

/// What is within, for [`Relay`] to join with what is outside.
pub struct Inside {
    /// The way out; none, and why, where the system has none for this user.
    outward: Result<SyncDevice, io::Error>,
    /// What listens on the machine's loopback, listening within.
    ports: ports::Mirror,
}

impl Inside {
    /// The interfaces within.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&'static str> {
        if self.outward.is_ok() { vec![LOOPBACK, OUTWARD] } else { vec![LOOPBACK] }
    }

    /// What the command cannot do as it could outside.
    #[must_use]
    pub fn restriction(&self) -> Option<String> {
        let error = self.outward.as_ref().err()?;
        Some(format!(
            "the command reaches this machine's loopback only: no way out of its namespace can be made (/dev/net/tun: {error})"
        ))
    }
}

/// Moves the calling thread, and all threads and processes that it starts from here on, into a new network namespace where `ports`
/// listen.
///
/// # Errors
/// [`NamespaceError`].
pub fn enter(ports: &Ports) -> Result<Inside, NamespaceError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| NamespaceError::Network(error.into()))?;
    netlink::bring_up(LOOPBACK).map_err(NamespaceError::Loopback)?;
    Ok(Inside { outward: outward(), ports: ports.listen() })
}

fn outward() -> io::Result<SyncDevice> {
    // What the builder says of a device that may not be opened does not name it.
    OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let device = DeviceBuilder::new().name(OUTWARD).mtu(MTU).build_sync()?;
    netlink::address(OUTWARD, ADDRESS)?;
    netlink::bring_up(OUTWARD)?;
    netlink::route_all(OUTWARD)?;
    Ok(device)
}
