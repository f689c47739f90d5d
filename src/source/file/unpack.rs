//! The bytes of a capture, unpacked where they are compressed: recognised by content, delivered as they come.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, Operation};

/// Compressed bytes asked for at once; above the largest block of zstd (128 KiB, RFC 8878 section 3.1.1.2.4).
const INPUT: usize = 160 * 1024;

/// Why no more bytes come.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system's reason.
    Io(io::Error),
    /// The compressed stream contradicts its format.
    Corrupt(String),
}

/// The input as it is, its first bytes looked at and put back.
struct Raw {
    reader: Box<dyn Read + Send>,
    head: [u8; 8],
    head_length: usize,
    head_given: usize,
    /// Bytes handed on.
    position: u64,
}

impl Raw {
    fn new(mut reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = [0; 8];
        let mut head_length = 0;
        while let Some(rest) = head.get_mut(head_length..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest) {
                Ok(0) => break,
                Ok(count) => head_length += count,
                // A stream may have nothing yet.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { reader, head, head_length, head_given: 0, position: 0 })
    }

    /// What one `read` of the input gives; 0 only at its end.
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        let head = self.head.get(self.head_given..self.head_length).unwrap_or_default();
        let count = if head.is_empty() {
            loop {
                match self.reader.read(out) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(ReadError::Io(error)),
                }
            }
        } else {
            let count = head.len().min(out.len());
            for (to, from) in out.iter_mut().zip(head) {
                *to = *from;
            }
            self.head_given += count;
            count
        };
        self.position += count as u64;
        Ok(count)
    }
}

/// Compressed bytes that wait for their decoder.
struct Waiting {
    raw: Raw,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Waiting {
    fn new(raw: Raw) -> Self {
        Self { raw, bytes: vec![0; INPUT].into_boxed_slice(), start: 0, end: 0, ended: false }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads once where nothing waits.
    fn refill(&mut self) -> Result<(), ReadError> {
        if self.start == self.end && !self.ended {
            let end = self.raw.read(&mut self.bytes)?;
            (self.start, self.end) = (0, end);
            self.ended = self.end == 0;
        }
        Ok(())
    }
}

/// gzip (RFC 1952), any number of members.
pub(super) struct Gzip {
    waiting: Waiting,
    inflate: Decompress,
    in_member: bool,
    /// The decoder may hold output that did not fit.
    pending: bool,
    fault: Option<String>,
}

impl Gzip {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(ReadError::Corrupt(fault));
            }
            if !self.pending {
                self.waiting.refill()?;
            }
            if !self.in_member && !self.next_member()? {
                if self.waiting.ended {
                    return Ok(0);
                }
                continue;
            }
            let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(self.waiting.get(), out, FlushDecompress::None);
            let taken = (self.inflate.total_in() - taken) as usize;
            let given = (self.inflate.total_out() - given) as usize;
            self.waiting.start += taken;
            self.pending = given == out.len();
            match result {
                Ok(Status::StreamEnd) => {
                    self.in_member = false;
                    self.pending = false;
                    self.inflate = Decompress::new_gzip(15);
                }
                Ok(_) if taken == 0 && given == 0 && self.waiting.ended => {
                    self.fault = Some("the gzip stream breaks off".to_owned());
                }
                Ok(_) if taken == 0 && given == 0 && !self.waiting.get().is_empty() => {
                    self.fault = Some("the gzip stream makes no progress".to_owned());
                }
                Ok(_) => {}
                // What was unpacked before the fault still counts.
                Err(error) => self.fault = Some(format!("the gzip stream is corrupt ({error})")),
            }
            if given > 0 {
                return Ok(given);
            }
        }
    }

    /// Whether a member begins here. Zeros may stand behind the last one: tapes and block devices pad.
    fn next_member(&mut self) -> Result<bool, ReadError> {
        let zeros = self.waiting.get().iter().take_while(|&&byte| byte == 0).count();
        self.waiting.start += zeros;
        match self.waiting.get().first() {
            None => Ok(false),
            Some(0x1f) => {
                self.in_member = true;
                Ok(true)
            }
            Some(_) => Err(ReadError::Corrupt("what stands behind the gzip stream is none".to_owned())),
        }
    }
}

/// Zstandard (RFC 8878), any number of frames.
pub(super) struct Zstd {
    waiting: Waiting,
    decoder: Decoder<'static>,
    in_frame: bool,
    pending: bool,
    /// What the decoder wants next: one block, so that a fault costs no block before it.
    hint: usize,
}

impl Zstd {
    /// The shortest frame header there is.
    const FRAME_START: usize = 5;
    /// RFC 8878 section 3.1.1.2.
    const BLOCK_HEADER: usize = 3;

    fn read(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            if !self.pending {
                self.waiting.refill()?;
                if self.waiting.ended {
                    return if self.in_frame {
                        Err(ReadError::Corrupt("the zstd stream breaks off".to_owned()))
                    } else {
                        Ok(0)
                    };
                }
            }
            let input = self.waiting.get();
            // It asks for the header of the next block too, and would lose this one over a header that is wrong.
            let bite = self.hint.saturating_sub(Self::BLOCK_HEADER).max(self.hint.min(Self::BLOCK_HEADER));
            let input = input.get(..bite).unwrap_or(input);
            let status = self
                .decoder
                .run_on_buffers(input, out)
                .map_err(|error| ReadError::Corrupt(format!("the zstd stream is corrupt ({error})")))?;
            self.waiting.start += status.bytes_read;
            self.in_frame = status.remaining > 0;
            self.pending = self.in_frame && status.bytes_written == out.len();
            self.hint = if self.in_frame { status.remaining } else { Self::FRAME_START };
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
        }
    }
}

/// An input as a stream of capture bytes.
pub(super) enum Unpacked {
    /// Not compressed.
    Plain(Box<PlainInput>),
    /// gzip.
    Gzip(Box<Gzip>),
    /// Zstandard.
    Zstd(Box<Zstd>),
}

/// An input that is read as it is.
pub(super) struct PlainInput(Raw);

impl Unpacked {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let raw = Raw::new(reader)?;
        Ok(match raw.head {
            [0x1f, 0x8b, ..] => Self::Gzip(Box::new(Gzip {
                waiting: Waiting::new(raw),
                inflate: Decompress::new_gzip(15),
                in_member: true,
                pending: false,
                fault: None,
            })),
            // A frame, or a skippable frame before it (parallel compressors write one).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Self::Zstd(Box::new(Zstd {
                    waiting: Waiting::new(raw),
                    decoder: Decoder::new()?,
                    in_frame: false,
                    pending: false,
                    hint: Zstd::FRAME_START,
                }))
            }
            _ => Self::Plain(Box::new(PlainInput(raw))),
        })
    }

    /// The next bytes, as many as one step gives; 0 at the end. `out` is not empty.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        match self {
            Self::Plain(plain) => plain.0.read(out),
            Self::Gzip(gzip) => gzip.read(out),
            Self::Zstd(zstd) => zstd.read(out),
        }
    }

    /// Bytes of the input read so far, compressed ones where it is compressed.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Plain(plain) => plain.0.position,
            Self::Gzip(gzip) => gzip.waiting.raw.position,
            Self::Zstd(zstd) => zstd.waiting.raw.position,
        }
    }
}
