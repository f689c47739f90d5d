//! Capture files and streams: pcap and pcapng, also compressed, read in blocks with constant memory.
//!
//! **Architecture Invariant:** no system library, no memory map; a frame is never copied out of its block.

mod bytes;
mod pcap;
mod pcapng;
mod record;
mod unpack;
mod window;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use self::bytes::bytes;
use self::record::{Fault, Record};
use self::unpack::{ReadError, Unpacked};
use self::window::Window;
use super::filter::Filter;
use super::{Next, Source, SourceError};
use crate::model::Frame;

/// A capture file or stream. Frames are numbered from 1, those that the filter refuses included.
pub struct CaptureFile {
    path: PathBuf,
    window: Window,
    format: Format,
    record: Record,
    filter: Option<Filter>,
    number: u64,
    done: bool,
}

enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

/// Opens a capture file; `-` is standard input. `filter` is an expression in libpcap's syntax.
///
/// # Errors
/// [`SourceError::Io`] where it cannot be read, [`SourceError::NotACapture`] where it is none (an empty file is none),
/// [`SourceError::Damaged`] where its header breaks off, [`SourceError::Filter`] where the filter does not compile
/// for its link type (of a pcapng file this shows at the first frame at the latest) or this build has none.
pub fn open(path: &Path, filter: Option<&str>) -> Result<CaptureFile, SourceError> {
    if path.as_os_str() == "-" {
        return from_reader(path, Box::new(io::stdin()), filter);
    }
    let file = File::open(path).map_err(|error| SourceError::Io { path: path.to_owned(), error })?;
    from_reader(path, Box::new(file), filter)
}

/// Reads a capture from a stream. Each frame is given as soon as its bytes are there; where a read of the stream says
/// [`io::ErrorKind::WouldBlock`], [`Next::Idle`] is. `path` names it in errors.
///
/// # Errors
/// As [`open`].
pub fn from_reader(
    path: &Path,
    reader: Box<dyn Read + Send>,
    filter: Option<&str>,
) -> Result<CaptureFile, SourceError> {
    let filter = filter.map(Filter::new).transpose()?;
    let input = Unpacked::new(reader).map_err(|error| SourceError::Io { path: path.to_owned(), error })?;
    let mut window = Window::new(input);
    // A stream may have nothing yet: it is asked again.
    let found = loop {
        match format(&mut window) {
            Err(Fault::Read(ReadError::Io(error))) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => break found,
        }
    };
    let format = match found {
        Ok(Some(format)) => format,
        Ok(None) => {
            return Err(SourceError::NotACapture { path: path.to_owned(), start: start(&mut window) });
        }
        Err(fault) => return Err(error(path, &window, fault)),
    };
    let mut file = CaptureFile {
        path: path.to_owned(),
        window,
        format,
        record: Record::none(),
        filter,
        number: 0,
        done: false,
    };
    if let (Some(filter), Format::Pcap(header)) = (&mut file.filter, &file.format) {
        filter.prepare(header.link)?;
    }
    Ok(file)
}

fn format(window: &mut Window) -> Result<Option<Format>, Fault> {
    window.fill(4)?;
    let Some(&magic) = window.have().first_chunk::<4>() else {
        return Ok(None);
    };
    if magic == pcapng::MAGIC {
        return Ok(Some(Format::Pcapng(pcapng::Section::new())));
    }
    let Some(known) = pcap::Header::magic(magic) else {
        return Ok(None);
    };
    Ok(Some(Format::Pcap(pcap::Header::read(window, known)?)))
}

/// How the input begins, as far as it can be read.
fn start(window: &mut Window) -> String {
    let _ = window.fill(8);
    let bytes: Vec<String> = window.have().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    if bytes.is_empty() { "nothing: it is empty".to_owned() } else { bytes.join(" ") }
}

fn error(path: &Path, window: &Window, fault: Fault) -> SourceError {
    let path = path.to_owned();
    match fault {
        Fault::Read(ReadError::Io(error)) => SourceError::Io { path, error },
        Fault::Read(ReadError::Corrupt(what)) => {
            SourceError::Damaged { path, offset: window.read_to(), what }
        }
        Fault::Damaged { offset, what } => SourceError::Damaged { path, offset, what },
    }
}

/// What [`CaptureFile::step`] has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame.
    Frame,
    /// Nothing yet: a stream has not gone on.
    Idle,
    /// Nothing more.
    End,
}

impl CaptureFile {
    /// Goes on to the next frame, which stays at hand until the next step.
    #[inline]
    pub(super) fn step(&mut self) -> Result<Step, SourceError> {
        if self.done {
            return Ok(Step::End);
        }
        match self.advance() {
            Ok(true) => Ok(Step::Frame),
            Ok(false) => {
                self.done = true;
                Ok(Step::End)
            }
            // Whoever lends us a stream says so where it may be asked again.
            Err(SourceError::Io { error, .. }) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Idle),
            Err(error) => {
                self.done = true;
                Err(error)
            }
        }
    }

    /// The frame at hand.
    #[inline]
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            number: self.number,
            time: self.record.time,
            link: self.record.link,
            bytes: self.window.taken(self.record.start, self.record.length as usize),
            original_len: self.record.original_len,
        }
    }

    /// Brings the next record that the filter accepts; false at the end.
    #[inline]
    fn advance(&mut self) -> Result<bool, SourceError> {
        loop {
            let found = match &mut self.format {
                Format::Pcap(header) => header.next(&mut self.window, &mut self.record),
                Format::Pcapng(section) => section.next(&mut self.window, &mut self.record),
            };
            match found {
                Ok(true) => self.number += 1,
                Ok(false) => return Ok(false),
                Err(fault) => return Err(error(&self.path, &self.window, fault)),
            }
            let Some(filter) = &mut self.filter else {
                return Ok(true);
            };
            let bytes = self.window.taken(self.record.start, self.record.length as usize);
            if filter.accepts(self.record.link, bytes)? {
                return Ok(true);
            }
        }
    }
}

impl Source for CaptureFile {
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        Ok(match self.step()? {
            Step::Frame => Next::Frame(self.frame()),
            Step::Idle => Next::Idle,
            Step::End => Next::End,
        })
    }

    fn position(&self) -> u64 {
        self.window.position()
    }
}
