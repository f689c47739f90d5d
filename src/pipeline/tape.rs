//! The frames of leaking flows (`--pcap-out`): of files read a second time, of what is live kept until it is known whether they leak.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::event::Leak;
use crate::model::{FlowKey, Frame, LinkType, Timestamp};
use crate::packet::{self, Packet};
use crate::source::{Input, Next};

use super::parts::Parts;
use super::{Options, Read, Watch, captures, is_stream, open};

/// Bytes of frames that wait, of all flows; past them the flow that was silent longest is let go.
const WAITING: usize = 256 << 20;
/// What keeping a frame costs beside its bytes.
const OVERHEAD: usize = 96;
/// The same of fragments that wait, of each interface; and how long they wait, somewhat longer than for what is looked into.
const FRAGMENTS: usize = 32 << 20;
const FRAGMENT_PATIENCE: Duration = Duration::from_secs(32);
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
    comments: HashMap<(String, u64), Vec<String>>,
}

fn key_of(leak: &Leak) -> FlowKey {
    FlowKey::new(leak.flow.client, leak.flow.server, leak.flow.transport).0
}

impl Leaking {
    /// Takes what was told.
    pub fn add(&mut self, leak: &Leak, comment: String) {
        self.flows.insert(key_of(leak));
        self.comments.entry((leak.source.clone(), leak.frames[0])).or_default().push(comment);
    }

    /// The frames of a capture that hold fragments of these flows.
    fn fragments(&self, inputs: &[Input], options: &Options) -> HashSet<u64> {
        let mut found = HashSet::new();
        let mut read = Read::default();
        let Some((mut source, _)) = open(inputs, options, &mut read, &mut Silent) else { return found };
        let mut parts = Parts::default();
        let mut take = |key: FlowKey, frames: &[u64]| {
            if self.flows.contains(&key) {
                found.extend(frames);
            }
        };
        loop {
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    if let Packet::Fragment(fragment) = packet::decode(&frame) {
                        parts.see(&fragment, frame.number, frame.time, &mut take);
                    }
                }
                Ok(Next::Plain(_) | Next::Idle) | Err(_) => {}
                Ok(Next::End) => break,
            }
            if options.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        parts.finish(&mut take);
        found
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
        // Whose a fragment is shows when its datagram is whole: they are read by themselves first, where there are any.
        let mut fragments: Option<HashSet<u64>> = None;
        loop {
            match source.next() {
                Ok(Next::Frame(frame)) => {
                    let leaks = match packet::decode(&frame) {
                        Packet::Tcp(segment) => leaking.flows.contains(&segment.key),
                        Packet::Udp(datagram) => leaking.flows.contains(&datagram.key),
                        Packet::Fragment(_) => fragments
                            .get_or_insert_with(|| leaking.fragments(inputs, options))
                            .contains(&frame.number),
                        _ => false,
                    };
                    if !leaks {
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
    /// Of each interface, the fragments that wait for their datagrams.
    waiting: HashMap<Arc<str>, Waiting>,
    /// Flows by when a frame of them came: stale entries are skipped.
    order: VecDeque<(FlowKey, Timestamp)>,
    bytes: usize,
    limit: usize,
    now: Timestamp,
    take: Box<TakeLive>,
    failed: Option<io::Error>,
    lost: u64,
}

/// Fragments of which it is not known yet to which flow they belong.
#[derive(Default)]
struct Waiting {
    parts: Parts,
    frames: BTreeMap<u64, HeldFrame>,
    bytes: usize,
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
            waiting: HashMap::new(),
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
        match packet::decode(frame) {
            Packet::Tcp(segment) => self.held().frame(segment.key, HeldFrame::of(frame, source)),
            Packet::Udp(datagram) => self.held().frame(datagram.key, HeldFrame::of(frame, source)),
            Packet::Fragment(fragment) => self.held().fragment(&fragment, frame, source),
            _ => {}
        }
    }

    /// A leak was told: its flow is written, and the comment stands at its first frame.
    pub fn leak(&self, leak: &Leak, comment: String) {
        self.held().leak(leak, comment);
    }

    /// Writes what is left; of fragments, those of datagrams that never became whole, too. How many frames of leaking flows had been let go before it was known that they leak.
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub fn finish(&self) -> io::Result<u64> {
        let mut held = self.held();
        held.end_fragments();
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

impl HeldFrame {
    fn of(frame: &Frame<'_>, source: &Arc<str>) -> Self {
        Self {
            number: frame.number,
            time: frame.time,
            link: frame.link,
            original_len: frame.original_len,
            source: Arc::clone(source),
            bytes: frame.bytes.into(),
            comments: Vec::new(),
        }
    }
}

impl Waiting {
    /// The frames of a datagram: it is known whose they are.
    fn take(&mut self, numbers: &[u64]) -> Vec<HeldFrame> {
        let taken: Vec<HeldFrame> = numbers.iter().filter_map(|number| self.frames.remove(number)).collect();
        self.bytes -= taken.iter().map(|held| held.bytes.len() + OVERHEAD).sum::<usize>();
        taken
    }

    /// Lets go what no datagram can be made of any more.
    fn let_go(&mut self, now: Timestamp) {
        while let Some(oldest) = self.frames.first_entry()
            && (self.bytes > FRAGMENTS || now.since(oldest.get().time) > FRAGMENT_PATIENCE)
        {
            self.bytes -= oldest.remove().bytes.len() + OVERHEAD;
        }
    }
}

impl Held {
    fn fragment(&mut self, fragment: &packet::Fragment<'_>, frame: &Frame<'_>, source: &Arc<str>) {
        self.now = self.now.max(frame.time);
        let mut waiting = self.waiting.remove(source).unwrap_or_default();
        waiting.frames.insert(frame.number, HeldFrame::of(frame, source));
        waiting.bytes += frame.bytes.len() + OVERHEAD;
        let mut whole = Vec::new();
        let take = &mut |key, frames: &[u64]| whole.push((key, frames.to_vec()));
        waiting.parts.see(fragment, frame.number, frame.time, take);
        for (key, numbers) in whole {
            waiting.take(&numbers).into_iter().for_each(|held| self.frame(key, held));
        }
        waiting.let_go(self.now);
        self.waiting.insert(Arc::clone(source), waiting);
    }

    fn end_fragments(&mut self) {
        for (_, mut waiting) in std::mem::take(&mut self.waiting) {
            let mut begun = Vec::new();
            waiting.parts.finish(&mut |key, frames: &[u64]| begun.push((key, frames.to_vec())));
            for (key, numbers) in begun {
                waiting.take(&numbers).into_iter().for_each(|held| self.frame(key, held));
            }
        }
    }

    fn frame(&mut self, key: FlowKey, held: HeldFrame) {
        self.now = self.now.max(held.time);
        self.bytes += held.bytes.len() + OVERHEAD;
        let flow = self.flows.entry(key).or_default();
        flow.last = self.now;
        flow.frames.push_back(held);
        let leaks = flow.leaks;
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

    /// A frame in two fragments, each a frame.
    fn split(kept: &crate::source::memory::Kept, number: u16) -> [Vec<u8>; 2] {
        let (ethernet, ip) = kept.bytes.split_at(14);
        let (head, payload) = ip.split_at(20);
        let (first, last) = payload.split_at(24);
        [(first, 0x2000_u16), (last, 3)].map(|(part, offset)| {
            let mut head = head.to_vec();
            head[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            head[4..6].copy_from_slice(&number.to_be_bytes());
            head[6..8].copy_from_slice(&offset.to_be_bytes());
            [ethernet, &head, part].concat()
        })
    }

    #[test]
    fn fragments_are_held_until_it_is_known_whose_they_are() {
        let (tape, written) = tape(1 << 20);
        let source: Arc<str> = Arc::from("flask.pcap");
        let mut number = 14;
        let mut see = |bytes: &[u8]| {
            number += 1;
            let (time, link) = (Timestamp::from_nanos(0), LinkType::ETHERNET);
            let original_len = bytes.len() as u32;
            tape.frame(&Frame { number, time, link, bytes, original_len }, &source);
        };
        let (leaking, other) = (frames(51_000), frames(51_001));
        let data = leaking.len() - 1;
        // 15 and 19 are of the flow that leaks, in turns with another one; 17 never becomes whole.
        let [first, last] = split(&leaking[data], 7);
        let [another, its] = split(&other[data], 8);
        let [lonely, _] = split(&other[data], 9);
        for bytes in [&last, &another, &lonely, &its, &first] {
            see(bytes);
        }
        assert_eq!(tape.held().waiting[&source].frames.keys().collect::<Vec<_>>(), [&17]);
        tape.leak(&example::leak(), "said".into());
        assert_eq!(tape.finish().unwrap(), 0);
        let written: Vec<Written> = written.try_iter().collect();
        let numbers: Vec<u64> = written.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, [15, 19]);
        // The example leaks in frames 17 to 21: that is the one that made the datagram whole.
        assert_eq!(written.iter().map(|(.., said)| said.len()).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn fragments_that_never_become_whole_have_a_limit() {
        let (tape, _written) = tape(1 << 30);
        let source: Arc<str> = Arc::from("flask.pcap");
        let mut kept = frames(51_000).pop().unwrap();
        kept.bytes.resize(1400, b'x');
        for number in 0..60_000_u32 {
            let [first, _] = split(&kept, number as u16);
            let time = Timestamp::from_nanos(i64::from(number));
            let bytes = [&first[..], &[b'x'; 1200]].concat();
            let original_len = bytes.len() as u32;
            tape.frame(
                &Frame { number: number.into(), time, link: LinkType::ETHERNET, bytes: &bytes, original_len },
                &source,
            );
        }
        let held = tape.held();
        let waiting = &held.waiting[&source];
        assert!(waiting.bytes <= FRAGMENTS, "{}", waiting.bytes);
        assert_eq!(
            waiting.bytes,
            waiting.frames.values().map(|held| held.bytes.len() + OVERHEAD).sum::<usize>()
        );
    }

    #[test]
    fn silent_flows_are_forgotten() {
        let (tape, _written) = tape(1 << 20);
        let next = give(&tape, 51_000, 15, 0);
        give(&tape, 51_001, next, 500);
        assert_eq!(tape.held().flows.len(), 1);
    }
}
