//! Which process has which socket: `/proc/*/fd`, read as seldom as can be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::model::Endpoint;

/// Of the time that passes this part may go into reading `/proc`: one n-th.
const SHARE: u32 = 10;
/// Time that may be spent at once after a while of rest.
const BURST: Duration = Duration::from_millis(300);
/// Processes looked at before all others: those that had what was looked for of late.
const RECENT: usize = 8;
/// Other network namespaces whose connections are read.
const NAMESPACES: usize = 64;
/// They are read no more often than this: most connections that nobody here has are of other machines.
const NAMESPACES_EVERY: Duration = Duration::from_secs(2);
/// Connections of other namespaces kept.
const CONNECTIONS: usize = 100_000;

/// Sockets and the processes that have them, as last read.
#[derive(Debug)]
pub(super) struct Table {
    owners: HashMap<u64, u32>,
    /// Of other network namespaces: local end, remote end, socket.
    elsewhere: HashMap<(Endpoint, Endpoint), u64>,
    elsewhere_read: Option<Instant>,
    recent: VecDeque<u32>,
    budget: Budget,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            owners: HashMap::new(),
            elsewhere: HashMap::new(),
            elsewhere_read: None,
            recent: VecDeque::new(),
            budget: Budget::new(Instant::now()),
        }
    }
}

impl Table {
    /// The process that has the socket, as far as it was read. Of several (a listener that workers share, what a child was
    /// left) the first.
    pub(super) fn owner(&self, inode: u64) -> Option<u32> {
        self.owners.get(&inode).copied()
    }

    /// The socket of a connection in another network namespace, as far as it was read.
    pub(super) fn elsewhere(&self, local: Endpoint, remote: Endpoint) -> Option<u64> {
        self.elsewhere.get(&(local, remote)).copied()
    }

    /// Reads whose the `wanted` sockets are, and with `namespaces` the connections of other network namespaces, where there is
    /// time for it. Whether anything was read.
    pub(super) fn read(&mut self, wanted: &HashSet<u64>, namespaces: bool) -> bool {
        let begun = Instant::now();
        let namespaces = namespaces
            && self.elsewhere_read.is_none_or(|read| begun.duration_since(read) > NAMESPACES_EVERY);
        if wanted.is_empty() && !namespaces || !self.budget.allows(begun) {
            return false;
        }
        for pid in self.recent.clone() {
            let _ = self.take(pid);
        }
        if namespaces || wanted.iter().any(|inode| !self.owners.contains_key(inode)) {
            self.read_all(namespaces);
        }
        for pid in wanted.iter().filter_map(|inode| self.owners.get(inode)) {
            if !self.recent.contains(pid) {
                self.recent.push_front(*pid);
            }
        }
        self.recent.truncate(RECENT);
        self.budget.spend(begun.elapsed());
        true
    }

    fn read_all(&mut self, namespaces: bool) {
        self.owners.clear();
        let Ok(entries) = fs::read_dir("/proc") else { return };
        let mut pids: Vec<u32> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        let own = fs::read_link("/proc/self/ns/net").ok();
        let mut seen = HashSet::new();
        if namespaces {
            self.elsewhere.clear();
            self.elsewhere_read = Some(Instant::now());
        }
        for pid in pids {
            let _ = self.take(pid);
            if namespaces
                && seen.len() < NAMESPACES
                && let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net"))
                && Some(&namespace) != own.as_ref()
                && seen.insert(namespace)
            {
                self.take_connections(pid);
            }
        }
    }

    /// The sockets of one process.
    fn take(&mut self, pid: u32) -> Option<()> {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let inode =
                link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                let owner = self.owners.entry(inode).or_insert(pid);
                *owner = pid.min(*owner);
            }
        }
        Some(())
    }

    fn take_connections(&mut self, pid: u32) {
        for name in ["tcp", "tcp6"] {
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{name}")) else { continue };
            let room = CONNECTIONS.saturating_sub(self.elsewhere.len());
            let found = text.lines().skip(1).filter_map(connection).take(room);
            self.elsewhere.extend(found.map(|(local, remote, inode)| ((local, remote), inode)));
        }
    }
}

/// A line of `/proc/net/tcp` or `tcp6`, where it is of a socket that someone has.
fn connection(line: &str) -> Option<(Endpoint, Endpoint, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let inode = fields.get(9)?.parse().ok().filter(|&inode| inode > 0)?;
    Some((end(fields.get(1)?)?, end(fields.get(2)?)?, inode))
}

/// `0100007F:1F90`: words in the byte order of the machine.
fn end(text: &str) -> Option<Endpoint> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for (chunk, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(std::net::SocketAddr::from((ip, port)).into())
}

/// How much time may go into reading.
#[derive(Debug)]
struct Budget {
    left: Duration,
    since: Instant,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since) / SHARE;
        self.left = (self.left + earned).min(BURST);
        self.since = now;
        self.left > BURST / 10
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_socket_of_this_process_is_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap().ino();
        let mut table = Table::default();
        assert!(table.read(&HashSet::from([inode]), false));
        assert_eq!(table.owner(inode), Some(std::process::id()));
        assert_eq!(table.recent, [std::process::id()]);
    }

    #[test]
    fn reading_has_a_budget() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.allows(start));
        budget.spend(BURST);
        assert!(!budget.allows(start));
        assert!(!budget.allows(start + Duration::from_millis(100)));
        assert!(budget.allows(start + Duration::from_secs(1)));
        budget.spend(Duration::from_secs(60));
        assert!(!budget.allows(start + Duration::from_secs(1)));
        assert!(budget.allows(start + Duration::from_secs(3)));
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   1: 0100007F:1F90 0200000A:C738 01 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 20 4 30 10 -1";
        let (local, remote, inode) = connection(line).unwrap();
        assert_eq!(
            (local.to_string(), remote.to_string(), inode),
            ("127.0.0.1:8080".into(), "10.0.0.2:51000".into(), 77)
        );
        let six = line
            .replace("0100007F", "00000000000000000000000001000000")
            .replace("0200000A", "0000000000000000FFFF00000200000A");
        let (local, remote, _) = connection(&six).unwrap();
        assert_eq!((local.to_string(), remote.to_string()), ("[::1]:8080".into(), "10.0.0.2:51000".into()));
        assert_eq!(connection(&line.replace(" 77 ", " 0 ")), None);
        assert_eq!(connection("  sl  local_address rem_address"), None);
    }
}
