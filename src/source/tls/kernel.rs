//! The programs in the kernel that have the clear text told (`tls.bpf.c`), in a thread of their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use crossbeam_channel::{Receiver, Sender, bounded};
use libbpf_rs::{
    Link, MapCore as _, MapFlags, Object, ObjectBuilder, PrintLevel, ProgramMut, RingBufferBuilder,
    UprobeMultiOpts, set_print,
};

use super::library::Watched;
use super::watch::{Found, Watch};
use super::{Refused, Standing};

/// `tls.bpf.c`, as the build made it.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tls.bpf.o"));
/// What waits is fetched so often; programs that begin wake this at once.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes that are handed on together, and how often that may wait; then the kernel keeps the rest, and counts what finds no room.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 64;
/// Files watched at once, those of the start apart; of those that vanish nothing is told.
const FILES: u64 = 4096;
/// How often it is asked what was counted.
const COUNT: Duration = Duration::from_millis(500);
/// Bytes of a record before those of the program.
const WHAT: usize = 44;
const PID: usize = 32;
/// `enum what`.
const EXEC: u8 = 3;

/// Programs that are attached once, and what is lost without each.
const ALWAYS: [(&str, &str); 4] = [
    ("sent", "connections are known by their process only"),
    ("received", "connections are known by their process only"),
    ("executed", "programs that begin are noticed some seconds late"),
    ("exited", "connections of programs that end are kept for longer"),
];

/// What the thread counts.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) calls: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) lost_records: AtomicU64,
    pub(super) files: AtomicU64,
}

/// Has clear text told until it is dropped; then nothing of it is left in the kernel.
pub(super) struct Kernel {
    pub(super) chunks: Receiver<Vec<u8>>,
    pub(super) counts: Arc<Counts>,
    pub(super) notes: Receiver<String>,
    pub(super) standing: Standing,
    begins: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kernel {
    /// # Errors
    /// Why no clear text can be told.
    pub(super) fn start(namespace: u32) -> Result<Self, Refused> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let (give, chunks) = bounded(CHUNKS);
        let (say, notes) = bounded(64);
        let (ready, is_ready) = mpsc::channel();
        let begins = Arc::new(AtomicBool::new(false));
        let (watched, beginning, counting) = (Arc::clone(&stop), Arc::clone(&begins), Arc::clone(&counts));
        let run = move || match Taps::open(namespace) {
            Ok((mut taps, mut object)) => {
                let _ = ready.send(Ok(taps.standing.clone()));
                if let Err(error) = taps.run(&mut object, [&watched, &beginning], &counting, &give, &say) {
                    let _ = say.send(format!("tls: no clear text is told: {error}"));
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("tls".to_owned()).spawn(run);
        let thread = thread.map_err(|error| Refused::other(error.to_string()))?;
        let standing = is_ready.recv().map_err(|_| Refused::other("it ended at once".to_owned()))??;
        Ok(Self { chunks, counts, notes, standing, begins, stop, thread: Some(thread) })
    }
}

impl Kernel {
    /// The process has given up what it does not need: from here on files that come are watched, too.
    pub(super) fn begin(&self) {
        self.begins.store(true, Ordering::Release);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may wait for room.
        while self.chunks.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() {
                let _ = self.chunks.recv_timeout(LOOK);
            }
            let _ = thread.join();
        }
    }
}

/// What is attached.
struct Taps {
    links: Vec<Link>,
    watch: Watch,
    standing: Standing,
}

impl Taps {
    fn open(namespace: u32) -> Result<(Self, Object), Refused> {
        // Its messages would go to standard error; what is refused is told by the error.
        set_print(None::<(PrintLevel, fn(PrintLevel, String))>);
        let mut refused = BTreeMap::new();
        let all: Vec<&str> = ALWAYS.iter().map(|(name, _)| *name).collect();
        let mut object = match load(namespace, &all) {
            Ok(object) => object,
            Err(_) => {
                // Each by itself: what the kernel refuses costs only what that program does.
                let taken: Vec<&str> = all
                    .iter()
                    .copied()
                    .filter(|name| match load(namespace, &[*name]) {
                        Ok(_) => true,
                        Err(error) => {
                            refused.insert((*name).to_owned(), error.to_string());
                            false
                        }
                    })
                    .collect();
                load(namespace, &taken).map_err(|error| Refused::of(&error))?
            }
        };
        let mut taps = Self { links: Vec::new(), watch: Watch::default(), standing: Standing::default() };
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            if !all.contains(&name.as_str()) || refused.contains_key(&name) {
                continue;
            }
            match program.attach() {
                Ok(link) => taps.links.push(link),
                Err(error) => {
                    refused.insert(name, error.to_string());
                }
            }
        }
        let costs =
            |name: &str| ALWAYS.iter().find(|(known, _)| *known == name).map_or("", |(_, costs)| costs);
        taps.standing.refused =
            refused.iter().map(|(name, why)| format!("{} ({name}: {why})", costs(name))).collect();
        let mut found = Vec::new();
        taps.watch.of_system(&mut found);
        taps.watch.of_all(&mut found);
        // As the process becomes another user's this thread keeps its rights, until it gives up those it does not need: before that
        // it must have those that the change takes, as all threads.
        let _ = caps::securebits::set_keepcaps(true);
        let (mut first, mut watched) = (None, 0);
        for found in found {
            match taps.attach(&mut object, &found) {
                Ok(()) => {
                    watched += 1;
                    *taps.standing.files.entry(found.watched.family).or_default() += 1;
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        match first {
            Some(error) if watched == 0 => Err(Refused::of(&error)),
            _ => Ok((taps, object)),
        }
    }

    fn attach(&mut self, object: &mut Object, found: &Found) -> Result<(), libbpf_rs::Error> {
        let mut links = Vec::new();
        let path = format!("/proc/thread-self/fd/{}", found.file.as_raw_fd());
        let Watched { begins, returns, .. } = &found.watched;
        // Where functions return first: of a call that is noted the end is seen.
        for (name, points, retprobe) in [("returned", returns, true), ("entered", begins, false)] {
            let is_it = |program: &ProgramMut<'_>| program.name() == name;
            let Some(program) = object.progs_mut().find(is_it).filter(|_| !points.is_empty()) else {
                continue;
            };
            let options = UprobeMultiOpts {
                offsets: points.iter().map(|(offset, _)| *offset).collect(),
                cookies: points.iter().map(|(_, does)| *does as u64).collect(),
                retprobe,
                ..UprobeMultiOpts::default()
            };
            links.push(program.attach_uprobe_multi_with_opts(-1, &path, "", options)?);
        }
        self.links.extend(links);
        Ok(())
    }

    /// Hands on what is told until it is stopped, and then what is left.
    fn run(
        &mut self,
        object: &mut Object,
        [stop, begins]: [&AtomicBool; 2],
        counts: &Counts,
        give: &Sender<Vec<u8>>,
        say: &Sender<String>,
    ) -> Result<(), libbpf_rs::Error> {
        let chunk = RefCell::new(Vec::new());
        let begun = RefCell::new(Vec::new());
        let mut ring = RingBufferBuilder::new();
        let maps: Vec<_> = object.maps().collect();
        let pieces = maps.iter().find(|map| map.name() == "pieces");
        let pieces = pieces.ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?;
        ring.add(pieces, |bytes: &[u8]| {
            if bytes.get(WHAT) == Some(&EXEC)
                && let Some(pid) = bytes.get(PID..).and_then(<[u8]>::first_chunk)
            {
                begun.borrow_mut().push(u32::from_ne_bytes(*pid));
            }
            let mut chunk = chunk.borrow_mut();
            chunk.extend((bytes.len() as u32).to_ne_bytes());
            chunk.extend_from_slice(bytes);
            if chunk.len() >= CHUNK {
                // Where nobody takes it any more, it is over.
                let _ = give.send(std::mem::take(&mut *chunk));
            }
            0
        })?;
        let ring = ring.build()?;
        drop(maps);
        let mut counted = Instant::now();
        let mut is_confined = false;
        loop {
            let is_last = stop.load(Ordering::Relaxed);
            // A signal interrupts it, and then the end is looked for. Few of those who tell wake it.
            let _ = ring.poll(if is_last { Duration::ZERO } else { LOOK });
            let _ = ring.consume();
            let rest = std::mem::take(&mut *chunk.borrow_mut());
            if !rest.is_empty() {
                let _ = give.send(rest);
            }
            if is_last || counted.elapsed() >= COUNT {
                counted = Instant::now();
                count(object, counts);
            }
            if is_last {
                return Ok(());
            }
            for pid in begun.borrow_mut().drain(..) {
                self.watch.begun(pid);
            }
            let mut found = Vec::new();
            if begins.load(Ordering::Acquire) && self.watch.is_due() {
                if !std::mem::replace(&mut is_confined, true) {
                    confine();
                }
                self.watch.look(&mut found);
            }
            for found in found {
                let files = counts.files.load(Ordering::Relaxed);
                if files >= FILES {
                    let _ = say.try_send(format!("tls: {} is not watched: too many are", found.shown));
                    continue;
                }
                match self.attach(object, &found) {
                    Ok(()) => counts.files.store(files + 1, Ordering::Relaxed),
                    Err(error) => {
                        let family = found.watched.family;
                        let _ = say.try_send(format!(
                            "tls: {} ({family}) cannot be watched: {error:#}",
                            found.shown
                        ));
                    }
                }
            }
        }
    }
}

/// What is left of the rights of this thread is what it takes to watch files that come later, and is in effect.
fn confine() {
    let wanted = [
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_DAC_READ_SEARCH,
    ];
    let Ok(permitted) = caps::read(None, CapSet::Permitted) else { return };
    let left = permitted.intersection(&wanted.into_iter().collect()).copied().collect();
    // What cannot be shows where a file cannot be watched.
    let _ = caps::set(None, CapSet::Effective, &left);
    let _ = caps::set(None, CapSet::Permitted, &left);
}

/// What all processors counted.
fn count(object: &Object, counts: &Counts) {
    let maps: Vec<_> = object.maps().collect();
    let counted = maps.iter().find(|map| map.name() == "counted");
    let Some(Ok(Some(each))) = counted.map(|map| map.lookup_percpu(&[0; 4], MapFlags::ANY)) else { return };
    let sum = |at: usize| -> u64 {
        let of = |bytes: &Vec<u8>| bytes.get(at * 8..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk));
        each.iter().filter_map(of).sum()
    };
    for (at, count) in [&counts.calls, &counts.bytes, &counts.lost_records].into_iter().enumerate() {
        count.store(sum(at), Ordering::Relaxed);
    }
}

fn load(namespace: u32, names: &[&str]) -> Result<Object, libbpf_rs::Error> {
    let mut object = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut map in object.maps_mut() {
        if map.name().to_string_lossy().ends_with(".rodata")
            && let Some(values) = map.initial_value_mut()
        {
            // `own` and `only_namespace`.
            for (place, value) in values.chunks_exact_mut(4).zip([std::process::id(), namespace]) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
    }
    for mut program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let is_always = ALWAYS.iter().any(|(known, _)| *known == name);
        program.set_autoload(!is_always || names.contains(&name.as_str()));
    }
    object.load()
}
