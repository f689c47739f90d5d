//! A copy of a capture without its secrets: what is found is masked in place, and the copy is scanned until nothing is.
//!
//! The input is read several times: once for what leaks, once for the streams that carry it, once for the copy; and again with more
//! masked where the scan of the copy still finds something ([`plan::Level`]).
//!
//! **Architecture Invariant:** a copy in which something is found does not stay on the disk.

mod credentials;
mod layout;
mod locate;
mod patch;
mod plan;
mod streams;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aho_corasick::AhoCorasick;

use self::credentials::Credentials;
use self::plan::Level;
use self::streams::{Stream, Tracker};
use crate::model::finding::Finding;
use crate::model::http::offset_in;
use crate::model::shown::counted;
use crate::model::{FlowKey, Frame, Secret, Transport};
use crate::packet::{self, Packet};
use crate::pipeline::{self, Flow, Options, Watch};
use crate::rule::RuleSet;
use crate::sink::Pcapng;
use crate::source::{self, Input, Next, Source as _, SourceError};

/// Payload that is kept in memory at once.
const MEMORY: usize = 1 << 30;
/// How often the copy is made anew.
const ROUNDS: usize = 8;
/// Values at least so long are masked wherever they stand, not only where they were found.
const LONG: usize = 10;

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The input could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The input could not be read to its end: what is behind could hold anything.
    #[error("{0}; a copy of a part is not made")]
    Unread(String),
    /// The copy could not be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// There is more than fits into memory.
    #[error("the flows of {} hold more than {most} MiB; no copy was made: cut it into parts (editcap -c, or a filter of tcpdump)", .path.display())]
    Memory {
        /// The input.
        path: PathBuf,
        /// Mebibytes of payload that are kept at most.
        most: usize,
    },
    /// Something is still found.
    #[error("the copy still shows {}, and was removed; please report this", counted(*.0 as u64, "leak"))]
    Left(usize),
    /// A pattern of this program is wrong.
    #[error("a pattern is wrong: {0}")]
    Pattern(String),
    /// A signal came.
    #[error("interrupted: no copy was made")]
    Stopped,
}

/// What was masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// Sightings of leaks.
    pub sightings: usize,
    /// Frames changed.
    pub frames: u64,
    /// Bytes masked.
    pub bytes: u64,
    /// Flows of which more than the values had to be masked.
    pub widened: usize,
}

/// What is to be masked.
struct Target {
    key: FlowKey,
    frames: [u64; 2],
    value: Option<Secret>,
}

impl Target {
    fn bytes(&self) -> Option<&[u8]> {
        // The bytes to look for and overwrite: they are shown nowhere.
        self.value.as_ref().map(Secret::expose).filter(|value| !value.is_empty())
    }
}

/// The values that are masked wherever they stand, as they are.
struct Long(AhoCorasick);

impl Long {
    fn new(targets: &[Target]) -> Result<Self, RedactError> {
        let mut values: Vec<&[u8]> =
            targets.iter().filter_map(Target::bytes).filter(|value| value.len() >= LONG).collect();
        values.sort_unstable();
        values.dedup();
        AhoCorasick::new(values).map(Self).map_err(|error| RedactError::Pattern(error.to_string()))
    }

    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        self.0.find_overlapping_iter(bytes).map(|found| found.range()).collect()
    }
}

/// Writes a copy of a capture file without what the rules find; with `all` also without what bears credentials by its name.
///
/// # Errors
/// Where the input cannot be read whole, the copy not be written, or something would be left in it.
pub fn redact(
    input: &Path,
    copy: &Path,
    rules: &Arc<RuleSet>,
    options: &Options,
    all: bool,
) -> Result<Masked, RedactError> {
    redact_within(MEMORY, input, copy, rules, options, all)
}

/// The same, with so many bytes of payload in memory at most.
fn redact_within(
    memory: usize,
    input: &Path,
    copy: &Path,
    rules: &Arc<RuleSet>,
    options: &Options,
    all: bool,
) -> Result<Masked, RedactError> {
    let credentials = all.then(Credentials::new).transpose()?;
    let mut targets = leaks(input, rules, options)?;
    let sightings = targets.len();
    let streams = gather(input, memory)?;
    let mut levels: HashMap<FlowKey, Level> = HashMap::new();
    let mut left = 0;
    for _ in 0..ROUNDS {
        if options.stop.load(Ordering::Relaxed) {
            return Err(RedactError::Stopped);
        }
        let long = Long::new(&targets)?;
        let masks = plan::plan(&streams, &targets, &levels, credentials.as_ref(), &long);
        let early = Early::new(copy);
        let (frames, bytes) = write(input, &early.0, &masks, &targets, &long)?;
        let found = leaks(&early.0, rules, options)?;
        if found.is_empty() {
            fs::rename(&early.0, copy)
                .map_err(|error| RedactError::Write { path: copy.to_owned(), error })?;
            return Ok(Masked { sightings, frames, bytes, widened: levels.len() });
        }
        left = found.len();
        let mut is_wider = false;
        for target in &found {
            // What a mask uncovered is looked for by itself first.
            let level = levels.entry(target.key).or_default();
            if let Some(next) = level.next() {
                (*level, is_wider) = (next, true);
            }
        }
        let before = targets.len();
        targets.extend(found);
        // Fragments and what is in no flow are masked by targets alone.
        if !is_wider && targets.len() > before + 10_000 {
            break;
        }
    }
    Err(RedactError::Left(left))
}

/// The copy while it is made; removed where it does not become one.
struct Early(PathBuf);

impl Early {
    fn new(copy: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(copy.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        Self(copy.with_file_name(name))
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        // After it became the copy there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// Every sighting of what would be told.
fn leaks(path: &Path, rules: &Arc<RuleSet>, options: &Options) -> Result<Vec<Target>, RedactError> {
    let size = fs::metadata(path).ok().map(|file| file.len());
    let input = Input { path: path.to_owned(), named: true, size };
    let mut collector = Collector::default();
    let outcome = pipeline::scan(&[input], Arc::clone(rules), options, &mut |_| Flow::Go, &mut collector);
    if options.stop.load(Ordering::Relaxed) {
        return Err(RedactError::Stopped);
    }
    match collector.problem {
        Some(problem) if outcome.problems > 0 => Err(RedactError::Unread(problem)),
        _ => Ok(collector.targets),
    }
}

#[derive(Default)]
struct Collector {
    targets: Vec<Target>,
    problem: Option<String>,
}

impl Watch for Collector {
    fn problem(&mut self, problem: &str) {
        self.problem.get_or_insert_with(|| problem.to_owned());
    }

    fn note(&mut self, _: &str) {}

    fn skipped(&mut self, _: &str) {}

    fn progress(&mut self, _: u64, _: u64) {}

    fn is_known(&mut self, finding: &Finding) -> bool {
        let flow = &finding.flow;
        self.targets.push(Target {
            key: FlowKey::new(flow.client, flow.server, flow.transport).0,
            frames: finding.frames,
            value: finding.secret.as_ref().map(|secret| secret.value.clone()),
        });
        true
    }
}

/// Calls `each` with every frame of a capture.
fn frames(
    path: &Path,
    mut each: impl FnMut(&Frame<'_>) -> Result<(), RedactError>,
) -> Result<(), RedactError> {
    let mut file = source::open(path, None)?;
    loop {
        match file.next()? {
            Next::Frame(frame) => each(&frame)?,
            Next::Plain(_) | Next::Idle => {}
            Next::End => return Ok(()),
        }
    }
}

fn gather(path: &Path, memory: usize) -> Result<Vec<Stream>, RedactError> {
    let mut tracker = Tracker::default();
    let mut streams: Vec<Stream> = Vec::new();
    let mut kept = 0;
    frames(path, |frame| {
        let Some(piece) = tracker.place(frame) else { return Ok(()) };
        kept += piece.payload.len();
        if kept > memory {
            return Err(RedactError::Memory { path: path.to_owned(), most: memory >> 20 });
        }
        // Streams are numbered as they begin, those without payload too.
        while streams.len() <= piece.stream {
            streams.push(Stream::new(piece.key));
        }
        if let Some(stream) = streams.get_mut(piece.stream) {
            stream.key = piece.key;
            stream.add(frame.number, piece.offset, piece.payload);
        }
        Ok(())
    })?;
    streams.iter_mut().for_each(Stream::join);
    Ok(streams)
}

/// Datagrams in fragments, by their ends and identification; and what masking them adds to their checksum.
type Fragmented = HashMap<(IpAddr, IpAddr, u32), i64>;

/// Datagrams that came in fragments and in which something was found: they are masked whole.
fn fragmented(path: &Path, targets: &[Target]) -> Result<Fragmented, RedactError> {
    let carrying: Vec<[u64; 2]> = targets.iter().map(|target| target.frames).collect();
    let is_carrying = |number: u64| carrying.iter().any(|[first, last]| (*first..=*last).contains(&number));
    let mut found: HashSet<(IpAddr, IpAddr, u32)> = HashSet::new();
    frames(path, |frame| {
        if let Packet::Fragment(fragment) = packet::decode(frame)
            && is_carrying(frame.number)
        {
            let (source, destination) = fragment.ends();
            found.insert((source, destination, fragment.identification()));
        }
        Ok(())
    })?;
    let mut deltas: Fragmented = found.into_iter().map(|identity| (identity, 0)).collect();
    if deltas.is_empty() {
        return Ok(deltas);
    }
    frames(path, |frame| {
        if let Packet::Fragment(fragment) = packet::decode(frame) {
            let (source, destination) = fragment.ends();
            if let Some(delta) = deltas.get_mut(&(source, destination, fragment.identification())) {
                let kept = kept_head(&fragment);
                for (at, &byte) in fragment.bytes().iter().enumerate().skip(kept) {
                    // Fragments begin at multiples of eight.
                    *delta += (i64::from(patch::FILL) - i64::from(byte)) * if at % 2 == 0 { 256 } else { 1 };
                }
            }
        }
        Ok(())
    })?;
    Ok(deltas)
}

/// The bytes of the header of TCP or UDP that a first fragment begins with.
fn kept_head(fragment: &packet::Fragment<'_>) -> usize {
    if fragment.offset() > 0 {
        return 0;
    }
    match fragment.protocol() {
        6 => fragment.bytes().get(12).map_or(20, |byte| usize::from(byte >> 4) * 4).max(20),
        17 => 8,
        _ => 0,
    }
}

/// Writes the copy; how many frames and bytes of it were changed.
fn write(
    path: &Path,
    copy: &Path,
    masks: &[Vec<Range<i64>>],
    targets: &[Target],
    long: &Long,
) -> Result<(u64, u64), RedactError> {
    let fault = |error| RedactError::Write { path: copy.to_owned(), error };
    let fragments = fragmented(path, targets)?;
    let out = File::create(copy).map_err(fault)?;
    let mut out = Pcapng::new(BufWriter::with_capacity(256 * 1024, out)).map_err(fault)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut tracker = Tracker::default();
    let (mut changed_frames, mut changed_bytes) = (0, 0);
    frames(path, |frame| {
        let mut bytes = frame.bytes.to_vec();
        let changed = match tracker.place(frame) {
            Some(piece) => {
                let parts =
                    masks.get(piece.stream).map(|masks| within(masks, piece.offset, piece.payload.len()));
                patch::mask(&mut bytes, frame, &piece, &parts.unwrap_or_default())
            }
            None => elsewhere(&mut bytes, frame, &fragments, long),
        };
        changed_frames += u64::from(changed > 0);
        changed_bytes += changed as u64;
        out.frame(&Frame { bytes: &bytes, ..*frame }, &name, &[]).map_err(fault)
    })?;
    out.flush().map_err(fault)?;
    Ok((changed_frames, changed_bytes))
}

/// The parts of a payload that are masked.
fn within(masks: &[Range<i64>], offset: i64, length: usize) -> Vec<Range<usize>> {
    let end = offset + length as i64;
    let first = masks.partition_point(|mask| mask.end <= offset);
    masks
        .iter()
        .skip(first)
        .take_while(|mask| mask.start < end)
        .map(|mask| (mask.start.max(offset) - offset) as usize..(mask.end.min(end) - offset) as usize)
        .collect()
}

/// Masks what is in a frame that is of no flow by itself: a fragment, or what nobody here reads.
fn elsewhere(bytes: &mut [u8], frame: &Frame<'_>, fragments: &Fragmented, long: &Long) -> usize {
    if let Packet::Fragment(fragment) = packet::decode(frame) {
        let (source, destination) = fragment.ends();
        let Some(&delta) = fragments.get(&(source, destination, fragment.identification())) else { return 0 };
        let Some(start) = offset_in(frame.bytes, fragment.bytes()) else { return 0 };
        let kept = kept_head(&fragment);
        let part = bytes.get_mut(start + kept..start + fragment.bytes().len()).unwrap_or_default();
        part.fill(patch::FILL);
        let changed = part.len();
        match (fragment.offset(), fragment.protocol()) {
            (0, 6) => patch::add(bytes, start + 16, delta, Transport::Tcp),
            (0, 17) => patch::add(bytes, start + 6, delta, Transport::Udp),
            _ => {}
        }
        return changed;
    }
    let mut changed = 0;
    for part in long.find(frame.bytes) {
        changed += part.len();
        bytes.get_mut(part).unwrap_or_default().fill(patch::FILL);
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::model::secret::FingerprintKey;
    use crate::model::{Confidence, Severity};
    use crate::source::memory::connection::Connection;

    #[test]
    fn what_does_not_fit_into_memory_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [input, copy] = ["in.pcapng", "out.pcapng"].map(|name| folder.path().join(name));
        let ask = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 2 << 20);
        let sent =
            Connection::example(80).handshake().to_server(ask.as_bytes()).to_server(&vec![b'x'; 2 << 20]);
        let mut file = Pcapng::new(File::create(&input).unwrap()).unwrap();
        for (number, kept) in (1..).zip(sent.frames()) {
            let (link, time, original_len) = (kept.link, kept.time, kept.original_len);
            file.frame(&Frame { number, time, link, bytes: &kept.bytes, original_len }, "lo", &[]).unwrap();
        }
        file.flush().unwrap();
        let rules = Arc::new(RuleSet::load(true, &[]).unwrap());
        let options = Options {
            jobs: 1,
            filter: None,
            severity: Severity::Low,
            confidence: Confidence::Low,
            reveal: false,
            every: true,
            join: false,
            explain: false,
            pulse: false,
            metered: false,
            key: FingerprintKey::new(b"the key of the tests"),
            confine: None,
            tape: None,
            stop: Arc::new(AtomicBool::new(false)),
        };
        let error = redact_within(1 << 20, &input, &copy, &rules, &options, false).unwrap_err().to_string();
        assert!(error.ends_with(
            "in.pcapng hold more than 1 MiB; no copy was made: cut it into parts (editcap -c, or a filter of tcpdump)"
        ), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
        redact_within(3 << 20, &input, &copy, &rules, &options, false).unwrap();
        assert!(copy.exists());
    }
}
