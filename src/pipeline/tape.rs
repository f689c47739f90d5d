//! The frames of leaking flows (`--pcap-out`): of files read a second time, of what is live kept until it is known whether they leak.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::event::Leak;
use crate::model::{FlowKey, Frame, LinkType, Side, Timestamp};
use crate::packet::{self, Packet};
use crate::source::{Input, Next};

use super::{Options, Read, Watch, captures, is_stream, open};

/// Bytes of frames that wait, of all flows; past them the flow that was silent longest is let go.
const WAITING: usize = 256 << 20;
/// What keeping a frame costs beside its bytes.
const OVERHEAD: usize = 96;
/// A flow's leaks are told within so much capture time: until then its frames wait for what is said of them.
const HOLD: Duration = Duration::from_secs(2);
/// A flow without a leak that was silent for so long is let go.
const SILENCE: Duration = Duration::from_secs(120);

/// Takes a frame of the capture named, with what is said of it.
pub type TakeFrame<'a> = dyn FnMut(&Frame<'_>, &str, &[String]) -> io::Result<()> + 'a;

/// The same, of what is read by other threads.
pub type TakeLive = dyn FnMut(&Frame<'_>, &str, &[String]) -> io::Result<()> + Send;

/// Which flows leak, and what is said of which frame.
#[derive(Debug, Default)]
pub struct Leaking {
    flows: HashSet<FlowKey>,
    /// Fragments know no ports: those between the ends of a leaking flow are taken with it.
    pairs: HashSet<(IpAddr, IpAddr)>,
    comments: HashMap<(String, u64), Vec<String>>,
}

fn key_of(leak: &Leak) -> FlowKey {
    FlowKey::new(leak.flow.client, leak.flow.server, leak.flow.transport).0
}

impl Leaking {
    /// Takes what was told.
    pub fn add(&mut self, leak: &Leak, comment: String) {
        let key = key_of(leak);
        self.flows.insert(key);
        let (low, high) = (key.end(Side::Low).ip(), key.end(Side::High).ip());
        self.pairs.extend([(low, high), (high, low)]);
        self.comments.entry((leak.source.clone(), leak.frames[0])).or_default().push(comment);
    }

    fn has(&self, frame: &Frame<'_>) -> bool {
        match packet::decode(frame) {
            Packet::Tcp(segment) => self.flows.contains(&segment.key),
            Packet::Udp(datagram) => self.flows.contains(&datagram.key),
            Packet::Fragment(fragment) => self.pairs.contains(&fragment.ends()),
            _ => false,
        }
    }
}

/// Reads the inputs again and gives every frame of the flows that leak, in their order. Inputs that can be read once only have been
/// taped while they were read.
///
/// # Errors
/// What `take` says.
pub fn extract(
    inputs: &[Input],
    options: &Options,
    leaking: &Leaking,
    take: &mut TakeFrame<'_>,
) -> io::Result<()> {
    for inputs in captures(inputs, options) {
        if inputs.iter().any(|input| is_stream(&input.path)) {
            continue;
        }
        // What is wrong with an input was said when it was read first.
        let mut read = Read::default();
        let Some((mut source, capture)) = open(inputs, options, &mut read, &mut Silent) else { continue };
        loop {
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    if !leaking.has(&frame) {
                        continue;
                    }
                    let (name, number) = capture.place(frame.number);
                    let comments = leaking.comments.get(&(name.to_string(), number));
                    take(&frame, &name, comments.map(Vec::as_slice).unwrap_or_default())?;
                }
                Ok(Next::Plain(_) | Next::Idle) | Err(_) => {}
                Ok(Next::End) => break,
            }
            if options.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
    Ok(())
}

struct Silent;

impl Watch for Silent {
    fn problem(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn skipped(&mut self, _: &str) {}
    fn progress(&mut self, _: u64, _: u64) {}
}

/// Keeps the frames of what is live until their flow leaks or is over. Readers and the teller of leaks share it.
#[derive(Clone)]
pub struct Tape(Arc<Mutex<Held>>);

struct Held {
    flows: HashMap<FlowKey, HeldFlow>,
    /// Flows by when a frame of them came: stale entries are skipped.
    order: VecDeque<(FlowKey, Timestamp)>,
    bytes: usize,
    limit: usize,
    now: Timestamp,
    take: Box<TakeLive>,
    failed: Option<io::Error>,
    lost: u64,
}

#[derive(Default)]
struct HeldFlow {
    leaks: bool,
    last: Timestamp,
    frames: VecDeque<HeldFrame>,
}

struct HeldFrame {
    number: u64,
    time: Timestamp,
    link: LinkType,
    original_len: u32,
    source: Arc<str>,
    bytes: Box<[u8]>,
    comments: Vec<String>,
}

impl Tape {
    /// A tape that gives frames to `take`.
    #[must_use]
    pub fn new(take: Box<TakeLive>) -> Self {
        Self::with(WAITING, take)
    }

    fn with(limit: usize, take: Box<TakeLive>) -> Self {
        Self(Arc::new(Mutex::new(Held {
            flows: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit,
            now: Timestamp::default(),
            take,
            failed: None,
            lost: 0,
        })))
    }

    /// Takes a frame as it was captured.
    pub(super) fn frame(&self, frame: &Frame<'_>, source: &Arc<str>) {
        let key = match packet::decode(frame) {
            Packet::Tcp(segment) => segment.key,
            Packet::Udp(datagram) => datagram.key,
            // What is live is not captured in fragments but seldom: they are not taped.
            _ => return,
        };
        self.held().frame(key, frame, source);
    }

    /// A leak was told: its flow is written, and the comment stands at its first frame.
    pub fn leak(&self, leak: &Leak, comment: String) {
        self.held().leak(leak, comment);
    }

    /// Writes what is left. How many frames of leaking flows had been let go before it was known that they leak.
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub fn finish(&self) -> io::Result<u64> {
        let mut held = self.held();
        let flows: Vec<FlowKey> = held.flows.keys().copied().collect();
        for key in flows {
            held.write(key, Timestamp::from_nanos(i64::MAX));
        }
        held.flows.clear();
        held.failed.take().map_or(Ok(held.lost), Err)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn frame(&mut self, key: FlowKey, frame: &Frame<'_>, source: &Arc<str>) {
        self.now = self.now.max(frame.time);
        let flow = self.flows.entry(key).or_default();
        flow.last = self.now;
        flow.frames.push_back(HeldFrame {
            number: frame.number,
            time: frame.time,
            link: frame.link,
            original_len: frame.original_len,
            source: Arc::clone(source),
            bytes: frame.bytes.into(),
            comments: Vec::new(),
        });
        let leaks = flow.leaks;
        self.bytes += frame.bytes.len() + OVERHEAD;
        self.order.push_back((key, self.now));
        if leaks {
            self.write(key, self.now);
        }
        self.let_go();
    }

    fn leak(&mut self, leak: &Leak, comment: String) {
        let key = key_of(leak);
        let flow = self.flows.entry(key).or_default();
        flow.leaks = true;
        let [first, last] = leak.frames;
        let is_meant =
            |held: &&mut HeldFrame| (first..=last).contains(&held.number) && *held.source == *leak.source;
        match flow.frames.iter_mut().find(is_meant) {
            Some(held) => held.comments.push(comment),
            None => self.lost += 1,
        }
    }

    /// Writes the frames of a flow that waited for long enough, or drops them where it does not leak.
    fn write(&mut self, key: FlowKey, now: Timestamp) {
        let Some(flow) = self.flows.get_mut(&key) else { return };
        while let Some(held) = flow.frames.front() {
            if flow.leaks && now.since(held.time) < HOLD {
                break;
            }
            self.bytes = self.bytes.saturating_sub(held.bytes.len() + OVERHEAD);
            let Some(held) = flow.frames.pop_front() else { break };
            if !flow.leaks || self.failed.is_some() {
                continue;
            }
            let HeldFrame { number, time, link, original_len, .. } = held;
            let frame = Frame { number, time, link, bytes: &held.bytes, original_len };
            if let Err(error) = (self.take)(&frame, &held.source, &held.comments) {
                self.failed = Some(error);
            }
        }
    }

    /// Lets go what is silent for long, or has no room: each frame stands in the order once, so that this is cheap.
    fn let_go(&mut self) {
        while let Some(&(key, time)) = self.order.front() {
            let is_full = self.bytes > self.limit;
            if !is_full && self.now.since(time) < SILENCE {
                break;
            }
            self.order.pop_front();
            let Some(flow) = self.flows.get(&key) else { continue };
            if is_full {
                // Its oldest frame, unless that was written already.
                let oldest = flow.frames.front().is_some_and(|held| held.time <= time);
                if oldest && flow.leaks {
                    self.write(key, Timestamp::from_nanos(i64::MAX));
                } else if oldest
                    && let Some(flow) = self.flows.get_mut(&key)
                    && let Some(held) = flow.frames.pop_front()
                {
                    self.bytes = self.bytes.saturating_sub(held.bytes.len() + OVERHEAD);
                }
            } else if flow.last <= time {
                self.write(key, Timestamp::from_nanos(i64::MAX));
                self.flows.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sink::example;
    use crate::source::memory::connection::Connection;

    type Written = (u64, String, Vec<String>);

    fn tape(limit: usize) -> (Tape, mpsc::Receiver<Written>) {
        let (give, written) = mpsc::channel();
        let take = move |frame: &Frame<'_>, source: &str, comments: &[String]| {
            give.send((frame.number, source.to_owned(), comments.to_vec())).unwrap();
            Ok(())
        };
        (Tape::with(limit, Box::new(take)), written)
    }

    fn frames(port: u16) -> Vec<crate::source::memory::Kept> {
        Connection::new(([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 80).into())
            .handshake()
            .to_server(b"hello")
            .frames()
    }

    fn give(tape: &Tape, port: u16, from: u64, seconds: i64) -> u64 {
        let source: Arc<str> = Arc::from("flask.pcap");
        let mut number = from;
        for kept in frames(port) {
            let time = Timestamp::from_nanos(seconds * 1_000_000_000);
            let frame =
                Frame { number, time, link: kept.link, bytes: &kept.bytes, original_len: kept.original_len };
            tape.frame(&frame, &source);
            number += 1;
        }
        number
    }

    #[test]
    fn flows_that_leak_are_written_whole_and_the_others_let_go() {
        let (tape, written) = tape(1 << 20);
        // The example leaks from port 51000, in frame 17.
        let next = give(&tape, 51_000, 15, 0);
        let next = give(&tape, 51_001, next, 0);
        tape.leak(&example::leak(), "said".into());
        let last = give(&tape, 51_000, next, 1);
        assert!(written.try_recv().is_err(), "more may be said of it");
        assert_eq!(tape.finish().unwrap(), 0);
        let written: Vec<Written> = written.try_iter().collect();
        assert_eq!(written.len(), 2 * frames(51_000).len());
        assert_eq!(written.iter().map(|(number, ..)| *number).max(), Some(last - 1));
        for (number, source, comments) in written {
            assert_eq!((source.as_str(), comments.len()), ("flask.pcap", usize::from(number == 17)));
        }
    }

    #[test]
    fn frames_are_written_once_nothing_more_is_said_of_them() {
        let (tape, written) = tape(1 << 20);
        let next = give(&tape, 51_000, 15, 0);
        tape.leak(&example::leak(), "said".into());
        give(&tape, 51_000, next, 5);
        assert_eq!(written.try_iter().count(), frames(51_000).len());
    }

    #[test]
    fn what_has_no_room_is_let_go_and_counted() {
        let (tape, written) = tape(2000);
        let mut next = give(&tape, 51_000, 15, 0);
        for port in 52_000..52_100 {
            next = give(&tape, port, next, 0);
            assert!(tape.held().bytes <= 2000 + 200, "{}", tape.held().bytes);
        }
        tape.leak(&example::leak(), "said".into());
        assert_eq!(tape.finish().unwrap(), 1);
        assert_eq!(written.try_iter().count(), 0);
    }

    #[test]
    fn silent_flows_are_forgotten() {
        let (tape, _written) = tape(1 << 20);
        let next = give(&tape, 51_000, 15, 0);
        give(&tape, 51_001, next, 500);
        assert_eq!(tape.held().flows.len(), 1);
    }
}
