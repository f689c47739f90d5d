//! Seeds for every fuzz target, made from the captures and the rules that come with the project.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use leaktap::content;
use leaktap::flow::{Close, Interest, Limits, Loss, Now, Piece, Receiver, Table};
use leaktap::model::http::{Header, RequestHead, ResponseHead};
use leaktap::model::{Direction, Field, FlowKey, Frame, LinkType, Side};
use leaktap::packet::{Packet, decode};
use leaktap::protocol::{Output, PROTOCOLS, Progress};
use leaktap::source::{self, Next, Source};

/// Longer seeds slow a fuzzer down more than they teach it.
const LONGEST: usize = 64 << 10;

/// The link types of the packet target, in its order.
const LINKS: [LinkType; 9] = [
    LinkType::NULL,
    LinkType::ETHERNET,
    LinkType::RAW_BSD,
    LinkType::RAW,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
];

/// Seeds by target; doubles are one.
struct Corpus(PathBuf);

impl Corpus {
    fn add(&self, target: &str, seed: &[u8]) {
        let seed = &seed[..seed.len().min(LONGEST)];
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).expect("a folder of seeds");
        fs::write(folder.join(format!("{:016x}", fnv(seed))), seed).expect("a seed");
    }
}

/// Fowler, Noll, Vo: FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The ordered bytes of one flow, as the http1 target takes them; bodies on the way.
struct Streams<'c> {
    corpus: &'c Corpus,
    flows: HashMap<FlowKey, Vec<(bool, Vec<u8>)>>,
    client: HashMap<FlowKey, Side>,
}

impl Receiver for Streams<'_> {
    type State = ();
    fn open(&mut self, key: &FlowKey, initiator: Option<Side>, _: Now) {
        let by_port = if key.end(Side::Low).port >= key.end(Side::High).port { Side::Low } else { Side::High };
        self.client.insert(*key, initiator.unwrap_or(by_port));
    }
    fn initiator(&mut self, key: &FlowKey, (): &mut (), initiator: Side) {
        self.client.insert(*key, initiator);
    }
    fn piece(&mut self, key: &FlowKey, (): &mut (), sender: Side, piece: Piece<'_>, _: Now) -> Interest {
        if let Piece::Data { bytes, .. } = piece {
            let to_client = self.client.get(key) != Some(&sender);
            self.flows.entry(*key).or_default().push((to_client, bytes.to_vec()));
        }
        Interest::More
    }
    fn datagram(&mut self, _: &FlowKey, (): &mut (), _: Side, _: &[u8], _: u32, _: Now) {}
    fn lost(&mut self, _: &FlowKey, (): &mut (), _: Side, _: Loss, _: Now) {}
    fn close(&mut self, key: &FlowKey, (): (), _: Close, _: Now) {
        let pieces = self.flows.remove(key).unwrap_or_default();
        let mut seed = Vec::new();
        for (to_client, bytes) in &pieces {
            for part in bytes.chunks(64) {
                seed.push((part.len() as u8 - 1) << 1 | u8::from(*to_client));
                seed.extend(part);
            }
        }
        self.corpus.add("http1", &seed);
        self.bodies(&pieces);
    }
}

impl Streams<'_> {
    fn bodies(&self, pieces: &[(bool, Vec<u8>)]) {
        let Some(make) = PROTOCOLS[0].parser else { return };
        let mut parser = make();
        let mut bodies = Bodies { corpus: self.corpus, body: [Vec::new(), Vec::new()], coding: [0, 0] };
        let mut kept = [Vec::new(), Vec::new()];
        for (to_client, bytes) in pieces {
            let direction = if *to_client { Direction::ToClient } else { Direction::ToServer };
            let mut shown: Vec<u8> = std::mem::take(&mut kept[usize::from(*to_client)]);
            shown.extend(bytes);
            match parser.data(direction, &shown, &mut bodies) {
                Progress::Consumed(consumed) => kept[usize::from(*to_client)] = shown.split_off(consumed),
                _ => return,
            }
        }
    }
}

struct Bodies<'c> {
    corpus: &'c Corpus,
    body: [Vec<u8>; 2],
    coding: [u8; 2],
}

impl Bodies<'_> {
    fn head(&mut self, at: usize, headers: &[Header<'_>]) {
        let media = content::media(headers);
        let codings = ["gzip", "deflate", "br", "zstd"];
        let coding = media.encodings.first().and_then(|name| codings.iter().position(|coding| coding == name));
        self.coding[at] = coding.unwrap_or(0) as u8;
    }
}

impl Output for Bodies<'_> {
    fn request(&mut self, _: u32, head: &RequestHead<'_>) {
        self.head(0, head.headers);
    }
    fn response(&mut self, _: u32, head: &ResponseHead<'_>) {
        self.head(1, head.headers);
    }
    fn body(&mut self, direction: Direction, bytes: &[u8]) {
        self.body[usize::from(direction == Direction::ToClient)].extend(bytes);
    }
    fn body_gap(&mut self, _: Direction, _: u64) {}
    fn trailers(&mut self, _: Direction, _: &[Header<'_>]) {}
    fn end(&mut self, direction: Direction, _: bool) {
        let at = usize::from(direction == Direction::ToClient);
        let body = std::mem::take(&mut self.body[at]);
        if !body.is_empty() {
            self.corpus.add("content", &[&[self.coding[at]], &body[..]].concat());
        }
    }
    fn field(&mut self, _: Direction, _: Field<'_>) {}
    fn text(&mut self, _: Direction, _: &[u8]) {}
    fn signal(&mut self, _: Direction, _: &'static str, _: &[u8]) {}
}

fn frame(corpus: &Corpus, frame: &Frame<'_>) {
    if let Some(link) = LINKS.iter().position(|link| *link == frame.link) {
        let bytes = &frame.bytes[..frame.bytes.len().min(120)];
        corpus.add("packet", &[&[link as u8], bytes].concat());
    }
}

/// The segments of a capture, as the flow target takes them: small distances of one connection each.
#[derive(Default)]
struct Segments(HashMap<FlowKey, (Vec<u8>, HashMap<Side, u32>)>);

impl Segments {
    fn push(&mut self, segment: &leaktap::packet::Segment<'_>) {
        let (seed, first) = self.0.entry(segment.key).or_default();
        let own = *first.entry(segment.sender).or_insert(segment.sequence);
        let peer = first.get(&segment.sender.other()).copied().unwrap_or(segment.acknowledgment);
        let sequence = (segment.sequence.wrapping_sub(own) as u16).to_be_bytes();
        let acknowledgment = (segment.acknowledgment.wrapping_sub(peer) as u16).to_be_bytes();
        let payload = &segment.payload[..segment.payload.len().min(255)];
        seed.push(u8::from(segment.sender == Side::High));
        seed.push(segment.flags.0);
        seed.extend(sequence);
        seed.extend(acknowledgment);
        seed.push(payload.len() as u8);
        seed.push(1);
        seed.extend(payload);
    }
}

fn capture(corpus: &Corpus, path: &Path) {
    let bytes = fs::read(path).expect("a capture");
    corpus.add("file", &bytes);
    corpus.add("engine", &bytes);
    let Ok(mut file) = source::open(path, None) else { return };
    let limits = Limits {
        flows: 1000,
        early_per_direction: 1 << 20,
        early_total: 1 << 24,
        idle: std::time::Duration::from_secs(600),
        hole: std::time::Duration::from_secs(10),
    };
    let mut streams = Streams { corpus, flows: HashMap::new(), client: HashMap::new() };
    let mut table = Table::new(limits);
    let mut segments = Segments::default();
    let mut last = Now { frame: 0, time: Default::default() };
    while let Ok(Next::Frame(next)) = file.next() {
        frame(corpus, &next);
        last = Now { frame: next.number, time: next.time };
        if let Packet::Tcp(segment) = decode(&next) {
            segments.push(&segment);
            table.segment(&segment, last, &mut streams);
        }
    }
    table.finish(last, &mut streams);
    segments.0.values().for_each(|(seed, _)| corpus.add("flow", seed));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = Corpus(home.join("corpus"));
    for path in files(&home.join("../captures")) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("input.")) {
            capture(&corpus, &path);
        }
    }
    for path in files(&home.join("../rules")) {
        let text = fs::read_to_string(path).unwrap_or_default();
        for rule in text.split("[[rules]]").skip(1) {
            corpus.add("rules", format!("[[rules]]{rule}").as_bytes());
        }
    }
    for folder in fs::read_dir(&corpus.0).into_iter().flatten().flatten() {
        let count = files(&folder.path()).len();
        println!("{}: {count} seeds", folder.file_name().to_string_lossy());
    }
}
