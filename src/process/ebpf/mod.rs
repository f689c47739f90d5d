//! Whose connections are, told by the kernel as they are made (`owner.bpf.c`): also of processes that live for milliseconds.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use libbpf_rs::{
    Iter, Link, MapCore as _, Object, ObjectBuilder, PrintLevel, RingBuffer, RingBufferBuilder, set_print,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::{Connection, Program};
use crate::model::Endpoint;

/// `owner.bpf.c`, as the build made it.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/owner.bpf.o"));
/// The end is looked for so often, in milliseconds.
const LOOK: u8 = 50;
/// `AF_INET`, `AF_INET6`.
const INET: u16 = 2;
const INET6: u16 = 10;

/// Each program, and what is lost without it.
const PROGRAMS: [(&str, &str); 4] = [
    ("state", "processes that connect and die within milliseconds may stay unnamed"),
    ("sent", "who sends on a connection that another process opened is not known"),
    ("received", "who takes a connection is known by who listens"),
    ("existing", "connections from before the start are looked up one by one"),
];

/// What the kernel has told and nobody has heard yet.
type Events = Arc<Mutex<Option<RingBuffer<'static>>>>;

/// Hears of connections until it is dropped; then nothing of it is left in the kernel.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    events: Events,
    /// How it stands with each program.
    pub(super) programs: Vec<Program>,
}

impl Watcher {
    /// Has the kernel tell of connections. What it refuses costs only what that program does.
    ///
    /// # Errors
    /// Why no connection can be told.
    pub(super) fn start(tell: impl FnMut(Connection) + Send + 'static) -> Result<Self, String> {
        let events = Events::default();
        let heard = Arc::clone(&events);
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = channel();
        let watched = Arc::clone(&stop);
        let watching = move || {
            if let Err(error) = watch(&ready, &watched, &heard, tell) {
                let _ = ready.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("connections".to_owned()).spawn(watching);
        let thread = thread.map_err(|error| error.to_string())?;
        let programs = is_ready.recv().map_err(|_| "it ended at once".to_owned())??;
        Ok(Self { stop, thread: Some(thread), events, programs })
    }

    /// Hears what the kernel has told by now, though the thread that does so may have had no processor for a while.
    pub(super) fn catch_up(&self) {
        hear(&self.events);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(
    ready: &Sender<Result<Vec<Program>, String>>,
    stop: &AtomicBool,
    heard: &Mutex<Option<RingBuffer<'static>>>,
    mut tell: impl FnMut(Connection) + Send + 'static,
) -> Result<(), String> {
    // Its messages would go to standard error; what is refused is told by the error.
    set_print(None::<(PrintLevel, fn(PrintLevel, String))>);
    let (object, mut programs) = load()?;
    let said = |error: libbpf_rs::Error| error.to_string();
    let maps: Vec<_> = object.maps().collect();
    let events = maps.iter().find(|map| map.name() == "events").ok_or("its events are missing")?;
    let mut ring = RingBufferBuilder::new();
    ring.add(events, move |bytes: &[u8]| {
        if let Some(connection) = read(bytes) {
            tell(connection);
        }
        0
    })
    .map_err(said)?;
    *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(ring.build().map_err(said)?);
    let mut links: Vec<Link> = Vec::new();
    let mut existing = None;
    for program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let Some(state) = programs.iter_mut().find(|state| state.name == name && state.refused.is_none())
        else {
            continue;
        };
        match program.attach() {
            Ok(link) if name == "existing" => existing = Some(link),
            Ok(link) => links.push(link),
            Err(error) => state.refused = Some(error.to_string()),
        }
    }
    // Behind the others, so that none is missed between.
    if let Some(link) = &existing {
        let mut nothing = [0; 64];
        let read = Iter::new(link)
            .map_err(|error| error.to_string())
            .and_then(|mut iter| iter.read(&mut nothing).map_err(|error| error.to_string()));
        if let (Err(error), Some(state)) = (read, programs.iter_mut().find(|state| state.name == "existing"))
        {
            state.refused = Some(error);
        }
    }
    drop(existing);
    if links.is_empty() {
        let first = programs.iter().find_map(|program| program.refused.clone());
        return Err(first.unwrap_or_else(|| "no program could be attached".to_owned()));
    }
    // What is there already is known before anything is asked.
    hear(heard);
    let _ = ready.send(Ok(programs));
    while !stop.load(Ordering::Relaxed) {
        // A signal interrupts it, and then the end is looked for.
        let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK));
        hear(heard);
    }
    Ok(())
}

fn hear(events: &Mutex<Option<RingBuffer<'static>>>) {
    if let Some(ring) = events.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        let _ = ring.consume();
    }
}

/// The object with every program that the kernel takes.
fn load() -> Result<(Object, Vec<Program>), String> {
    let program = |refused: &dyn Fn(&str) -> Option<String>| -> Vec<Program> {
        let each = PROGRAMS.iter();
        each.map(|&(name, costs)| Program { name, costs, refused: refused(name) }).collect()
    };
    let all = PROGRAMS.map(|(name, _)| name);
    if let Ok(object) = open(&all) {
        return Ok((object, program(&|_| None)));
    }
    let programs = program(&|name| open(&[name]).err());
    let taken: Vec<&str> =
        programs.iter().filter(|program| program.refused.is_none()).map(|program| program.name).collect();
    if taken.is_empty() {
        let first = programs.into_iter().find_map(|program| program.refused);
        return Err(first.unwrap_or_default());
    }
    Ok((open(&taken)?, programs))
}

fn open(names: &[&str]) -> Result<Object, String> {
    let said = |error: libbpf_rs::Error| error.to_string();
    let mut object = ObjectBuilder::default().open_memory(OBJECT).map_err(said)?;
    for mut program in object.progs_mut() {
        let is_wanted = names.iter().any(|name| program.name() == *name);
        program.set_autoload(is_wanted);
    }
    object.load().map_err(said)
}

/// `struct event` of `owner.bpf.c`.
fn read(bytes: &[u8]) -> Option<Connection> {
    let (local, rest) = bytes.split_first_chunk::<16>()?;
    let (remote, rest) = rest.split_first_chunk::<16>()?;
    let half = |at: usize| rest.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk));
    let word = |at: usize| rest.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk));
    let (local_port, remote_port) = (half(0)?, half(2)?);
    let end = |address: &[u8; 16], port| match half(4)? {
        INET => address.first_chunk::<4>().map(|v4| Endpoint::v4(*v4, port)),
        INET6 => Some(Endpoint::v6(*address, port)),
        _ => None,
    };
    let name = rest.get(20..36)?.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(Connection {
        local: end(local, local_port)?,
        remote: end(remote, remote_port)?,
        listens: half(6)? != 0,
        pid: word(8)?,
        uid: word(12)?,
        namespace: word(16)?,
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_the_kernel_writes_it() {
        let mut bytes = vec![0; 68];
        bytes[..4].copy_from_slice(&[127, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        for (at, half) in [(32, 51_000_u16), (34, 80), (36, INET), (38, 1)] {
            bytes[at..at + 2].copy_from_slice(&half.to_ne_bytes());
        }
        for (at, word) in [(40, 4242_u32), (44, 1000), (48, 77)] {
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[52..56].copy_from_slice(b"curl");
        let found = read(&bytes).unwrap();
        assert_eq!(
            (found.local.to_string(), found.remote.to_string()),
            ("127.0.0.1:51000".into(), "10.0.0.2:80".into())
        );
        assert_eq!((found.pid, found.uid, found.namespace, found.listens), (4242, 1000, 77, true));
        assert_eq!(found.name, "curl");
        bytes[36] = 1;
        assert!(read(&bytes).is_none(), "another family");
        assert!(read(&bytes[..67]).is_none());
    }
}
