//! Who talks: the processes at the ends of a connection, where they are on this machine.
//!
//! A socket is looked up exactly (`sock_diag`), its process found in `/proc`, which is read seldom and within a budget.

mod cgroup;
mod connection;
#[cfg(target_os = "linux")]
mod diag;
#[cfg(not(target_os = "linux"))]
#[path = "diag_none.rs"]
mod diag;
#[cfg(all(feature = "ebpf", target_os = "linux"))]
mod ebpf;
#[cfg(not(all(feature = "ebpf", target_os = "linux")))]
#[path = "ebpf_none.rs"]
mod ebpf;
mod identity;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use self::connection::Connection;
pub use self::connection::Program;
use self::diag::{Diag, Socket};
use self::ebpf::Watcher;
use self::identity::{Identities, Identity};
use self::table::Table;
use crate::model::event::{End, Process};
use crate::model::{FlowKey, Plain, Side, Transport};

/// Connections remembered.
const FLOWS: usize = 65_536;
/// A connection that begins anew so much later is another one, of whomever.
const ANEW: Duration = Duration::from_secs(1);

/// Knows whose connections are. Shared by those who see connections begin and those who tell of them.
#[derive(Debug)]
pub struct Attribution {
    state: Arc<Mutex<State>>,
    /// Has the kernel tell connections; or why not.
    watcher: Result<Watcher, String>,
    selection: Selection,
    own: u32,
}

#[derive(Debug)]
struct State {
    /// Whether the kernel tells every TCP connection.
    is_told: bool,
    diag: Diag,
    table: Table,
    identities: Identities,
    flows: HashMap<FlowKey, Known>,
    order: VecDeque<FlowKey>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Known {
    low: Owner,
    high: Owner,
    since: Instant,
}

#[derive(Clone, Debug)]
enum Owner {
    /// Nobody here, as far as is known.
    Nobody,
    /// Somebody's.
    Socket(u64),
    /// The process; `true`: of one that only listens yet.
    Process(Arc<Identity>, bool),
}

impl Owner {
    /// Whether looking again may tell more.
    fn is_open(&self) -> bool {
        !matches!(self, Self::Process(_, false))
    }

    fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::Process(identity, _) => Some(identity),
            _ => None,
        }
    }
}

impl Attribution {
    /// For the network namespace of the calling thread.
    ///
    /// # Errors
    /// Where the system has no `sock_diag`.
    pub fn open(selection: Selection) -> io::Result<Self> {
        let state = State {
            is_told: false,
            diag: Diag::open()?,
            table: Table::default(),
            identities: Identities::default(),
            flows: HashMap::new(),
            order: VecDeque::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let namespace = fs::metadata("/proc/thread-self/ns/net").map_or(0, |namespace| namespace.ino());
        let learning = Arc::clone(&state);
        let watcher = Watcher::start(move |connection| {
            // The loopbacks of all namespaces have the same addresses.
            if !connection.local.is_loopback() || u64::from(connection.namespace) == namespace {
                learning.lock().unwrap_or_else(PoisonError::into_inner).learn(connection);
            }
        });
        state.lock().unwrap_or_else(PoisonError::into_inner).is_told = watcher
            .as_ref()
            .is_ok_and(|watcher| watcher.programs.iter().all(|program| program.refused.is_none()));
        Ok(Self { state, watcher, selection, own: std::process::id() })
    }

    /// How it stands with the programs that have the kernel tell connections.
    ///
    /// # Errors
    /// Why none does.
    pub fn programs(&self) -> Result<&[Program], &str> {
        match &self.watcher {
            Ok(watcher) => Ok(&watcher.programs),
            Err(reason) => Err(reason),
        }
    }

    /// Whether what these leak is to be told.
    #[must_use]
    pub fn admits(&self, parties: &Parties) -> bool {
        self.selection.admits(parties)
    }

    /// Takes whose a connection is from clear text that its process handed to a library for TLS, or got from there.
    pub fn told(&self, plain: &Plain<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.learn(Connection {
            local: plain.local,
            remote: plain.remote,
            listens: false,
            pid: plain.pid,
            uid: plain.uid,
            namespace: 0,
            name: plain.name.to_owned(),
        });
    }

    /// Connections that were seen, each with whether it begins: looked up while those who have them are still there.
    pub fn observe(&self, seen: &[(FlowKey, bool)]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for &(key, begins) in seen {
            // Of whom nothing was told, they are nobody's here; should they leak, they are looked up all the same.
            if state.is_told && key.transport() == Transport::Tcp {
                continue;
            }
            let known = state.flows.get(&key);
            let is_old = |known: &Known| begins && known.since.elapsed() > ANEW;
            if known.is_none_or(is_old) {
                let fresh = Known { low: Owner::Nobody, high: Owner::Nobody, since: Instant::now() };
                state.insert(key, fresh);
                new.push(key);
            }
        }
        state.resolve(&new);
    }

    /// Who is at the two ends of a connection.
    #[must_use]
    pub fn of(&self, key: FlowKey, client: Side) -> Parties {
        if let Ok(watcher) = &self.watcher
            && self.is_open(key)
        {
            watcher.catch_up();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = match state.flows.get(&key) {
            Some(known) => known.low.is_open() || known.high.is_open(),
            None => {
                let fresh = Known { low: Owner::Nobody, high: Owner::Nobody, since: Instant::now() };
                state.insert(key, fresh);
                true
            }
        };
        if is_open {
            state.resolve(&[key]);
        }
        let Some(known) = state.flows.get(&key) else { return Parties::default() };
        let end = |side| {
            let owner = if side == Side::Low { &known.low } else { &known.high };
            owner.identity().filter(|identity| identity.pid != self.own).cloned()
        };
        Parties { client: end(client), server: end(client.other()) }
    }
}

impl Attribution {
    /// Whether it is not known yet who is at an end of a connection.
    fn is_open(&self, key: FlowKey) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flows.get(&key).is_none_or(|known| known.low.is_open() || known.high.is_open())
    }
}

impl State {
    /// Takes what the kernel tells.
    fn learn(&mut self, connection: Connection) {
        let (key, side) = FlowKey::new(connection.local, connection.remote, Transport::Tcp);
        // Of another name it is not that process: its number is another namespace's, or has been given to the next.
        let there = self.identities.of(connection.pid).filter(|there| there.name == connection.name);
        let identity = there.unwrap_or_else(|| {
            let user = self.identities.user(connection.uid);
            Arc::new(Identity::gone(connection.pid, connection.name, connection.uid, user))
        });
        if !self.flows.contains_key(&key) {
            self.insert(key, Known { low: Owner::Nobody, high: Owner::Nobody, since: Instant::now() });
        }
        let Some(known) = self.flows.get_mut(&key) else { return };
        let end = if side == Side::Low { &mut known.low } else { &mut known.high };
        // Where its queue is full a server has a connection seconds after the client has: of the other end that says nothing.
        if !connection.listens || end.is_open() || known.since.elapsed() > ANEW {
            *end = Owner::Process(identity, connection.listens);
        }
    }

    fn insert(&mut self, key: FlowKey, known: Known) {
        if self.flows.insert(key, known).is_none() {
            self.order.push_back(key);
        }
        while self.flows.len() > FLOWS
            && let Some(oldest) = self.order.pop_front()
        {
            self.flows.remove(&oldest);
        }
    }

    /// Looks for the owners of what is open, with one reading of `/proc` for all of it.
    fn resolve(&mut self, keys: &[FlowKey]) {
        let mut wanted = HashSet::new();
        // What other namespaces have the kernel tells, too.
        let mut foreign = false;
        for key in keys {
            for side in [Side::Low, Side::High] {
                if let Some(socket) = self.look(key, side) {
                    wanted.insert(socket);
                }
            }
            foreign |= self.flows.get(key).is_some_and(|known| {
                !self.is_told
                    && matches!((&known.low, &known.high), (Owner::Nobody, Owner::Nobody))
                    && key.transport() == Transport::Tcp
            });
        }
        let is_missing = wanted.iter().any(|inode| self.table.owner(*inode).is_none());
        if (is_missing || foreign) && self.table.read(&wanted, foreign) {
            for key in keys {
                for side in [Side::Low, Side::High] {
                    self.look(key, side);
                }
            }
        }
    }

    /// Looks for the owner of one end; its socket where the process is not known.
    fn look(&mut self, key: &FlowKey, side: Side) -> Option<u64> {
        let known = self.flows.get(key)?;
        let before = if side == Side::Low { &known.low } else { &known.high };
        if !before.is_open() {
            return None;
        }
        let (local, remote) = (key.end(side), key.end(side.other()));
        let socket = self
            .diag
            .socket(local, remote, key.transport())
            .filter(|socket| socket.inode != 0 && (is_exact(socket, key.transport()) || is_here(local.ip())))
            .map(|socket| (socket.inode, socket.is_listening))
            .or_else(|| Some((self.table.elsewhere(local, remote)?, false)));
        let owner = match (socket, before) {
            // It may be closed by now, and was somebody's.
            (None, before) => before.clone(),
            (Some((_, true)), Owner::Process(..)) => before.clone(),
            (Some((inode, listens)), _) => {
                match self.table.owner(inode).and_then(|pid| self.identities.of(pid)) {
                    Some(identity) => Owner::Process(identity, listens),
                    None => Owner::Socket(inode),
                }
            }
        };
        let unknown = match &owner {
            Owner::Socket(inode) => Some(*inode),
            _ => None,
        };
        let known = self.flows.get_mut(key)?;
        let end = if side == Side::Low { &mut known.low } else { &mut known.high };
        *end = owner;
        unknown
    }
}

/// How many processes there are, and of how many this one may see the sockets.
#[must_use]
pub fn reach() -> (usize, usize) {
    let pids = || {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    (pids().count(), pids().filter(|entry| fs::read_dir(entry.path().join("fd")).is_ok()).count())
}

/// Whether a socket was found by both its ends, not by its own port alone.
fn is_exact(socket: &Socket, transport: Transport) -> bool {
    transport == Transport::Tcp && !socket.is_listening
}

/// Whether an address is this machine's (of this network namespace).
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// The processes at the two ends of a connection, as far as they are on this machine.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    client: Option<Arc<Identity>>,
    server: Option<Arc<Identity>>,
}

impl Parties {
    /// What events tell: the process that sent, with the other as its peer; where only one is known, that one.
    #[must_use]
    pub fn told(&self, sender: End) -> Option<Process> {
        let client = self.client.as_deref().map(|identity| told(identity, End::Client));
        let server = self.server.as_deref().map(|identity| told(identity, End::Server));
        let (first, second) = match sender {
            End::Client => (client, server),
            End::Server => (server, client),
        };
        match (first, second) {
            (Some(first), second) => Some(Process { peer: second.map(Box::new), ..first }),
            (None, second) => second,
        }
    }
}

fn told(identity: &Identity, end: End) -> Process {
    let place = &identity.place;
    Process {
        pid: identity.pid,
        name: identity.name.clone(),
        container: place.container.clone(),
        end: Some(end),
        command: identity.command.clone(),
        user: identity.user.clone(),
        uid: Some(identity.uid),
        runtime: place.runtime.map(Into::into),
        pod: place.pod.clone(),
        unit: place.unit.clone(),
        cgroup: (place.path != "/").then(|| place.path.clone()),
        peer: None,
    }
}

/// Whose leaks are told: those with one of these at an end. Empty: everyone's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Processes, each with all that it starts.
    pub pids: Vec<u32>,
    /// Containers (or pods) by how their identifier begins.
    pub containers: Vec<String>,
    /// Control groups by path, each with those below it.
    pub cgroups: Vec<String>,
}

impl Selection {
    /// Whether everyone's are told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty() && self.containers.is_empty() && self.cgroups.is_empty()
    }

    /// Whether one of these is at an end.
    #[must_use]
    pub fn admits(&self, parties: &Parties) -> bool {
        let ends = [&parties.client, &parties.server];
        self.is_empty() || ends.into_iter().flatten().any(|identity| self.has(identity))
    }

    fn has(&self, identity: &Identity) -> bool {
        let place = &identity.place;
        let of = |name: &Option<String>, start: &String| {
            name.as_ref().is_some_and(|name| !start.is_empty() && name.starts_with(start.as_str()))
        };
        self.pids.iter().any(|pid| identity.pid == *pid || identity.ancestors.contains(pid))
            || self.containers.iter().any(|start| of(&place.container, start) || of(&place.pod, start))
            || self.cgroups.iter().any(|path| is_below(&place.path, path))
    }
}

/// Whether a control group is `above` or below it; `above` may be told as a folder of `/sys/fs/cgroup`.
fn is_below(path: &str, above: &str) -> bool {
    let above = above.strip_prefix("/sys/fs/cgroup").unwrap_or(above);
    let above = above.strip_prefix("/unified").unwrap_or(above).trim_matches('/');
    match path.trim_start_matches('/').strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
