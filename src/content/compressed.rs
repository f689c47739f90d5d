//! Content codings undone as the bytes come (RFC 9110 section 8.4.1, RFC 7932, RFC 8878), with limits against bombs.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// How much a coded body may become.
#[derive(Clone, Copy, Debug)]
pub struct InflateLimits {
    /// Decoded bytes of one body, every coding counted by itself.
    pub total: u64,
    /// Decoded bytes for each coded one, once `free` are exceeded.
    pub ratio: u64,
    /// Decoded bytes that no ratio is asked of.
    pub free: u64,
}

impl Default for InflateLimits {
    fn default() -> Self {
        Self { total: 256 << 20, ratio: 1000, free: 1 << 20 }
    }
}

/// Why decoding ended early. What came before has been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes are not what the coding says.
    Corrupt,
    /// A limit was reached.
    Bomb,
}

/// Codings that one body may have.
const CODINGS: usize = 4;
/// Bytes that decide whether a coding without magic number is a lie.
const SNIFF: usize = 16;
/// Decoded bytes made at once, at least.
const CHUNK: usize = 8 << 10;
/// The same at most of what a last decoder makes, and how much text usually becomes.
const LARGE_CHUNK: usize = 128 << 10;
const USUAL_RATIO: usize = 6;
/// Coded bytes shown to brotli at once.
const BITE: usize = 1 << 10;
/// A window of 32 KiB and the tables (RFC 1951 section 3.2).
const FLATE_STATE: usize = 48 << 10;
/// RFC 9659 section 3: a window of 8 MiB is what a receiver must support.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Undoes the codings of one body. Holds no state of a coding before its first bytes have come.
#[derive(Debug)]
pub struct Inflater {
    stages: Vec<Stage>,
    limits: InflateLimits,
    fed: u64,
    stopped: Option<Stop>,
}

impl Inflater {
    /// For codings in the order they were applied (`Media::encodings`), with the default limits. `None` where one is
    /// unknown or they are more than four.
    #[must_use]
    pub fn new(encodings: &[String]) -> Option<Self> {
        Self::with_limits(encodings, InflateLimits::default())
    }

    /// The same with limits of one's own.
    #[must_use]
    pub fn with_limits(encodings: &[String], limits: InflateLimits) -> Option<Self> {
        let stages: Option<Vec<Stage>> = encodings
            .iter()
            .rev()
            .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
            .map(|coding| Coding::named(coding).map(Stage::new))
            .collect();
        let stages = stages.filter(|stages| stages.len() <= CODINGS)?;
        Some(Self { stages, limits, fed: 0, stopped: None })
    }

    /// Decodes what comes next and appends it to `out`. The more comes at once, the less it costs; what it may become is
    /// bounded by the limits only.
    ///
    /// # Errors
    ///
    /// The reason why nothing more can be decoded, at once and on every later call.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
        if let Some(stop) = self.stopped {
            return Err(stop);
        }
        self.fed = self.fed.saturating_add(input.len() as u64);
        let allowed = self.limits.free.max(self.fed.saturating_mul(self.limits.ratio));
        let result = run(&mut self.stages, input, false, allowed.min(self.limits.total), out);
        self.stopped = result.err();
        result
    }

    /// About how many bytes its decoders hold: tables, and windows as far as they are filled.
    #[must_use]
    pub fn held(&self) -> usize {
        let stage = |stage: &Stage| match &stage.state {
            State::Held(first) => first.capacity(),
            State::Plain | State::Done => 0,
            State::Flate(_) => FLATE_STATE,
            State::Brotli(_) | State::Zstd(_) => {
                FLATE_STATE + usize::try_from(stage.made).unwrap_or(usize::MAX).min(1 << ZSTD_WINDOW_LOG)
            }
        };
        self.stages.iter().map(stage).sum()
    }

    /// Says that nothing more comes: bytes held back because they were too few to tell a coding from a lie are delivered.
    ///
    /// # Errors
    ///
    /// As [`Inflater::push`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        if let Some(stop) = self.stopped {
            return Err(stop);
        }
        let allowed = self.limits.free.max(self.fed.saturating_mul(self.limits.ratio));
        run(&mut self.stages, &[], true, allowed.min(self.limits.total), out)
    }
}

/// One body in one call: what could be decoded, and why no more.
#[must_use]
pub fn inflate(
    encodings: &[String],
    body: &[u8],
    limits: InflateLimits,
) -> Option<(Vec<u8>, Result<(), Stop>)> {
    let mut inflater = Inflater::with_limits(encodings, limits)?;
    let mut out = Vec::new();
    let result = inflater.push(body, &mut out).and_then(|()| inflater.finish(&mut out));
    Some((out, result))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The decoder that the first bytes ask for; `None` while they are too few.
    fn sniff(self, first: &[u8], last: bool) -> Option<State> {
        let enough = first.len() >= SNIFF || last;
        match first {
            [0x1f, 0x8b, ..] => return Some(State::flate(Wrapper::Gzip)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Some(State::zstd()),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] if self == Self::Zstd => return Some(State::zstd()),
            // RFC 1950 section 2.2.
            [cmf, flags, ..]
                if matches!(self, Self::Deflate | Self::Gzip)
                    && cmf & 0x0f == 8
                    && cmf >> 4 <= 7
                    && (u16::from(*cmf) << 8 | u16::from(*flags)).is_multiple_of(31) =>
            {
                return Some(State::flate(Wrapper::Zlib));
            }
            _ if !enough => return None,
            _ => {}
        }
        let printable = first.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..));
        let ascii = first.iter().filter(|byte| byte.is_ascii()).count();
        let lie = first.is_empty() || (printable && ascii * 4 >= first.len() * 3);
        Some(match self {
            // These two have magic numbers, and it is not there.
            Self::Gzip | Self::Zstd => State::Plain,
            _ if lie => State::Plain,
            Self::Deflate => State::flate(Wrapper::Raw),
            Self::Brotli => State::brotli(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    Gzip,
    Zlib,
    Raw,
}

struct Stage {
    coding: Coding,
    state: State,
    made: u64,
}

enum State {
    /// The first bytes, until they tell.
    Held(Vec<u8>),
    Plain,
    Flate(Box<Flate>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(Box<ZstdDecoder<'static>>),
    /// The stream is over; what follows is padding or rubbish.
    Done,
}

struct Flate {
    decompress: Decompress,
    wrapper: Wrapper,
    members: u32,
}

impl Flate {
    fn step(
        &mut self,
        decompress: impl FnOnce(&mut Decompress) -> Result<Status, flate2::DecompressError>,
    ) -> Step {
        let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
        let status = decompress(&mut self.decompress);
        Step {
            read: usize::try_from(self.decompress.total_in() - before_in).unwrap_or(0),
            written: usize::try_from(self.decompress.total_out() - before_out).unwrap_or(0),
            over: matches!(status, Ok(Status::StreamEnd)),
            fault: status.is_err(),
            is_rubbish: status.is_err() && self.members > 1 && self.decompress.total_out() == 0,
        }
    }
}

impl State {
    fn flate(wrapper: Wrapper) -> Self {
        let decompress = flate(wrapper);
        Self::Flate(Box::new(Flate { decompress, wrapper, members: 1 }))
    }

    fn brotli() -> Self {
        let alloc = StandardAlloc::default;
        Self::Brotli(Box::new(BrotliState::new(alloc(), alloc(), alloc())))
    }

    fn zstd() -> Self {
        match ZstdDecoder::new() {
            Ok(mut decoder) => match decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)) {
                Ok(()) => Self::Zstd(Box::new(decoder)),
                Err(_) => Self::Done,
            },
            Err(_) => Self::Done,
        }
    }
}

fn flate(wrapper: Wrapper) -> Decompress {
    match wrapper {
        Wrapper::Gzip => Decompress::new_gzip(15),
        Wrapper::Zlib => Decompress::new(true),
        Wrapper::Raw => Decompress::new(false),
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} made", self.coding, self.made)
    }
}

/// What one step of a decoder did.
struct Step {
    read: usize,
    written: usize,
    over: bool,
    fault: bool,
    /// Behind a first member: no other member.
    is_rubbish: bool,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        Self { coding, state: State::Held(Vec::new()), made: 0 }
    }

    fn step(&mut self, input: &[u8], chunk: &mut [u8]) -> Step {
        match &mut self.state {
            State::Flate(flate) => {
                flate.step(|decompress| decompress.decompress(input, chunk, FlushDecompress::None))
            }
            State::Brotli(state) => {
                // It hands out what it has only when it wants more: small bites, so that little is lost to a fault.
                let input = input.get(..BITE).unwrap_or(input);
                let (mut available_in, mut read) = (input.len(), 0);
                let (mut available_out, mut written, mut total) = (chunk.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut available_in,
                    &mut read,
                    input,
                    &mut available_out,
                    &mut written,
                    chunk,
                    &mut total,
                    state,
                );
                let over = matches!(result, BrotliResult::ResultSuccess);
                let fault = matches!(result, BrotliResult::ResultFailure);
                Step { read, written, over, fault, is_rubbish: false }
            }
            State::Zstd(decoder) => {
                let mut from = InBuffer::around(input);
                let mut to = OutBuffer::around(chunk);
                let result = decoder.run(&mut from, &mut to);
                let (read, written) = (from.pos(), to.pos());
                // Frames follow each other (RFC 8878 section 3.1); a fault shows at the next one's magic number.
                Step { read, written, over: false, fault: result.is_err(), is_rubbish: false }
            }
            State::Held(_) | State::Plain | State::Done => {
                Step { read: input.len(), written: 0, over: false, fault: false, is_rubbish: false }
            }
        }
    }

    /// The stream is over: another gzip member follows, or nothing does.
    fn next_member(&mut self, rest: &[u8]) {
        match &mut self.state {
            State::Flate(flate) if flate.wrapper == Wrapper::Gzip && flate.members < 10_000 => {
                // Kept until the next byte comes, which says what it is.
                if rest.first().is_none_or(|&byte| byte == 0x1f) {
                    flate.decompress.reset(true);
                    flate.members += 1;
                } else {
                    self.state = State::Done;
                }
            }
            _ => self.state = State::Done,
        }
    }
}

/// Runs `input` through the first stage and what that makes through the others.
fn run(stages: &mut [Stage], input: &[u8], last: bool, allowed: u64, out: &mut Vec<u8>) -> Result<(), Stop> {
    let Some((stage, behind)) = stages.split_first_mut() else {
        out.extend_from_slice(input);
        return Ok(());
    };
    let held;
    let mut rest = input;
    if let State::Held(first) = &mut stage.state {
        if first.is_empty() && input.is_empty() && !last {
            return Ok(());
        }
        first.extend_from_slice(input);
        let Some(state) = stage.coding.sniff(first, last) else {
            return Ok(());
        };
        held = std::mem::take(first);
        rest = &held;
        stage.state = state;
    }
    if matches!(stage.state, State::Plain) {
        stage.made = stage.made.saturating_add(rest.len() as u64);
        return if stage.made > allowed { Err(Stop::Bomb) } else { run(behind, rest, last, allowed, out) };
    }
    let mut chunk = Vec::new();
    while !matches!(stage.state, State::Done) {
        let (step, room) = match &mut stage.state {
            State::Flate(flate) if behind.is_empty() => {
                // In one stretch where it goes: what lies in another one has to be kept by the decoder, too.
                out.reserve((rest.len() * USUAL_RATIO).clamp(CHUNK, LARGE_CHUNK));
                let room = out.capacity() - out.len();
                (flate.step(|decompress| decompress.decompress_vec(rest, out, FlushDecompress::None)), room)
            }
            _ => {
                chunk.resize(CHUNK, 0);
                (stage.step(rest, &mut chunk), CHUNK)
            }
        };
        if step.is_rubbish {
            stage.state = State::Done;
            break;
        }
        rest = rest.get(step.read..).unwrap_or_default();
        stage.made = stage.made.saturating_add(step.written as u64);
        if stage.made > allowed {
            if chunk.is_empty() {
                out.truncate(out.len().saturating_sub(step.written));
            }
            return Err(Stop::Bomb);
        }
        if let Some(made) = chunk.get(..step.written).filter(|made| !made.is_empty()) {
            run(behind, made, false, allowed, out)?;
        }
        if step.fault {
            return Err(Stop::Corrupt);
        }
        if step.over {
            stage.next_member(rest);
        }
        // Full room may have more behind it; an idle step has nothing.
        let idle = step.read == 0 && step.written == 0;
        if idle || (rest.is_empty() && step.written < room) {
            break;
        }
    }
    if last { run(behind, &[], true, allowed, out) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).unwrap()
    }

    /// One uncompressed metablock a 1000 bytes (RFC 7932 section 9.2), the window of 16 bits, then the empty last one.
    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut count) = (Vec::new(), 0_u64, 1);
        let mut put = |value: u64, width: u32, align: bool, tail: &[u8], out: &mut Vec<u8>| {
            bits |= value << count;
            count += width;
            while count >= 8 || (align && count > 0) {
                out.push(bits as u8);
                bits >>= 8;
                count = count.saturating_sub(8);
            }
            out.extend_from_slice(tail);
        };
        for piece in bytes.chunks(1000) {
            // ISLAST 0, MNIBBLES 4, MLEN - 1, ISUNCOMPRESSED 1.
            let header = (piece.len() as u64 - 1) << 3 | 1 << 19;
            put(header, 20, true, piece, &mut out);
        }
        put(0b11, 2, true, &[], &mut out);
        out
    }

    fn names(codings: &[&str]) -> Vec<String> {
        codings.iter().map(|coding| (*coding).to_string()).collect()
    }

    fn sample() -> Vec<u8> {
        (0..3000).flat_map(|line| format!("line {line}: password=made-up-{line}\n").into_bytes()).collect()
    }

    #[test]
    fn every_coding_is_undone_whatever_the_pieces() {
        let plain = sample();
        let cases: Vec<(&[&str], Vec<u8>)> = vec![
            (&[], plain.clone()),
            (&["identity"], plain.clone()),
            (&["gzip"], gzip(&plain)),
            (&["x-gzip"], [gzip(&plain[..100]), gzip(&plain[100..])].concat()),
            (&["gzip"], [gzip(&plain), vec![0; 9]].concat()),
            (&["gzip"], [gzip(&plain), b"\x1f rubbish".to_vec()].concat()),
            (&["deflate"], zlib(&plain)),
            (&["deflate"], raw(&plain)),
            (&["br"], brotli(&plain)),
            (&["zstd"], zstandard(&plain)),
            (&["zstd"], [zstandard(&plain[..100]), zstandard(&plain[100..])].concat()),
            (&["deflate", "gzip"], gzip(&zlib(&plain))),
            (&["br", "zstd", "gzip"], gzip(&zstandard(&brotli(&plain)))),
            // Lies.
            (&["gzip"], plain.clone()),
            (&["br"], plain.clone()),
            (&["deflate"], plain.clone()),
            (&["zstd"], plain.clone()),
            (&["gzip"], zstandard(&plain)),
        ];
        for (index, (codings, coded)) in cases.iter().enumerate() {
            for size in [1, 7, 1448, usize::MAX] {
                let mut inflater = Inflater::new(&names(codings)).unwrap();
                let mut out = Vec::new();
                for piece in coded.chunks(size.min(coded.len())) {
                    assert_eq!(inflater.push(piece, &mut out), Ok(()), "case {index} by {size}");
                }
                assert_eq!(inflater.finish(&mut out), Ok(()));
                assert!(out == plain, "case {index} by {size}: {} of {}", out.len(), plain.len());
            }
        }
    }

    #[test]
    fn a_short_lie_is_delivered_at_the_end() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let (out, result) = inflate(&names(&[coding]), b"a=b", InflateLimits::default()).unwrap();
            assert_eq!((out.as_slice(), result), (&b"a=b"[..], Ok(())), "{coding}");
        }
    }

    #[test]
    fn what_came_before_a_fault_is_delivered() {
        let plain = sample();
        for (coding, mut coded) in
            [("gzip", gzip(&plain)), ("zstd", zstandard(&plain)), ("br", brotli(&plain))]
        {
            let middle = coded.len() / 2;
            let cut = inflate(&names(&[coding]), &coded[..middle], InflateLimits::default()).unwrap();
            assert_eq!(cut.1, Ok(()));
            assert!(plain.starts_with(&cut.0) && cut.0.len() < plain.len(), "{coding}");
            let end = coded.len();
            coded[middle..end].fill(0xff);
            let (out, _) = inflate(&names(&[coding]), &coded, InflateLimits::default()).unwrap();
            assert!(out.len() > 100 || coding == "zstd", "{coding}: {}", out.len());
        }
    }

    #[test]
    fn bombs_cost_no_more_than_the_limit() {
        let zeros = vec![0; 64 << 20];
        let nested = gzip(&gzip(&zeros));
        let cases: [(&[&str], Vec<u8>); 3] = [
            (&["gzip", "gzip"], nested),
            (&["zstd"], zstandard(&zeros)),
            (&["zstd", "gzip"], gzip(&zstandard(&zeros))),
        ];
        for (codings, coded) in cases {
            let (out, result) = inflate(&names(codings), &coded, InflateLimits::default()).unwrap();
            assert_eq!(result, Err(Stop::Bomb), "{codings:?}");
            assert!(
                out.len() as u64 <= (1 << 20).max(coded.len() as u64 * 1000),
                "{codings:?}: {}",
                out.len()
            );
        }
        let limits = InflateLimits { total: 1000, ratio: 1000, free: 1 << 20 };
        let (_, result) = inflate(&names(&["gzip"]), &gzip(&zeros[..2000]), limits).unwrap();
        assert_eq!(result, Err(Stop::Bomb));
    }

    #[test]
    fn unknown_codings_are_refused() {
        assert!(Inflater::new(&names(&["compress"])).is_none());
        assert!(Inflater::new(&names(&["gzip"; 5])).is_none());
        assert!(Inflater::new(&names(&["gzip", "dcb"])).is_none());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            first in 0_usize..5,
            coding in 0_usize..4,
            size in 1_usize..64,
        ) {
            let magic: [&[u8]; 5] = [b"", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c", b"\x28\xb5\x2f\xfd", b"\x1b"];
            let coded = [magic[first], &bytes].concat();
            let mut inflater = Inflater::new(&names(&[["gzip", "deflate", "br", "zstd"][coding]])).unwrap();
            let mut out = Vec::new();
            for piece in coded.chunks(size) {
                if inflater.push(piece, &mut out).is_err() {
                    break;
                }
            }
            let _ = inflater.finish(&mut out);
            prop_assert!(out.len() <= 1 << 20);
        }
    }
}
