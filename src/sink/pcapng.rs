//! Frames out: pcapng with comments, into a file that can be put aside like those of other sinks.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::rotate::{Rotation, put_aside};
use crate::model::{Frame, LinkType};

/// Options of blocks (draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2).
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;

/// Frames as one section of pcapng, an interface for each capture and link type, times in nanoseconds.
pub struct Pcapng<W> {
    out: W,
    /// Interfaces written, by their number.
    interfaces: Vec<(LinkType, String)>,
    block: Vec<u8>,
    /// Bytes written.
    size: u64,
}

impl<W: Write> Pcapng<W> {
    /// Begins a section.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut file = Self { out, interfaces: Vec::new(), block: Vec::new(), size: 0 };
        file.begin(0x0a0d_0d0a);
        file.block.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        file.block.extend_from_slice(&[1, 0, 0, 0]);
        file.block.extend_from_slice(&[0xff; 8]);
        file.option(APPLICATION, concat!("leaktap ", env!("CARGO_PKG_VERSION")).as_bytes());
        file.options_end();
        file.end()?;
        Ok(file)
    }

    /// Writes a frame of the capture `source`, with comments as Wireshark shows them.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame(&mut self, frame: &Frame<'_>, source: &str, comments: &[String]) -> io::Result<()> {
        let known = self.interfaces.iter().position(|(link, name)| *link == frame.link && name == source);
        let number = match known {
            Some(number) => number,
            None => {
                self.interface(frame.link, source)?;
                self.interfaces.len() - 1
            }
        };
        // Times before 1970 have no place in the format.
        let time = u64::try_from(frame.time.as_nanos()).unwrap_or(0);
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        self.begin(6);
        for word in
            [number as u32, (time >> 32) as u32, time as u32, captured, frame.original_len.max(captured)]
        {
            self.block.extend_from_slice(&word.to_le_bytes());
        }
        self.block.extend_from_slice(frame.bytes);
        self.pad();
        for comment in comments {
            self.option(COMMENT, comment.as_bytes());
        }
        if !comments.is_empty() {
            self.options_end();
        }
        self.end()
    }

    /// Shows a reader what was written so far.
    ///
    /// # Errors
    /// Where that does not reach it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn interface(&mut self, link: LinkType, source: &str) -> io::Result<()> {
        self.begin(1);
        self.block.extend_from_slice(&(link.0 as u16).to_le_bytes());
        self.block.extend_from_slice(&[0; 2]);
        self.block.extend_from_slice(&0_u32.to_le_bytes());
        self.option(NAME, source.as_bytes());
        self.option(RESOLUTION, &[9]);
        self.options_end();
        self.end()?;
        self.interfaces.push((link, source.to_owned()));
        Ok(())
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.block.extend_from_slice(&kind.to_le_bytes());
        self.block.extend_from_slice(&[0; 4]);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..value.len().min(usize::from(u16::MAX) - 3)).unwrap_or_default();
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.block.extend_from_slice(value);
        self.pad();
    }

    fn options_end(&mut self) {
        self.block.extend_from_slice(&[0; 4]);
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    /// The length stands at both ends of a block.
    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() as u32 + 4).to_le_bytes();
        for (place, byte) in self.block.iter_mut().skip(4).zip(length) {
            *place = byte;
        }
        self.block.extend_from_slice(&length);
        self.size += self.block.len() as u64;
        self.out.write_all(&self.block)
    }
}

/// A file of frames for its owner alone: they hold secrets.
pub struct FrameFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    begun: Instant,
    file: Pcapng<BufWriter<File>>,
    empty: u64,
}

impl FrameFile {
    /// Begins the file; what it held is put aside where there is a rotation, else replaced.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let holds = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
        if let Some(rotation) = rotation.filter(|_| holds) {
            put_aside(path, rotation.keep)?;
        }
        let file = begin(path)?;
        Ok(Self { path: path.to_owned(), rotation, begun: Instant::now(), empty: file.size, file })
    }

    /// Writes a frame, as [`Pcapng::frame`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame(&mut self, frame: &Frame<'_>, source: &str, comments: &[String]) -> io::Result<()> {
        if let Some(rotation) = self.rotation
            && self.file.size > self.empty
            && (rotation.size.is_some_and(|most| self.file.size + frame.bytes.len() as u64 > most)
                || rotation.every.is_some_and(|every| self.begun.elapsed() >= every))
        {
            self.file.flush()?;
            put_aside(&self.path, rotation.keep)?;
            self.file = begin(&self.path)?;
            self.begun = Instant::now();
        }
        self.file.frame(frame, source, comments)
    }

    /// Shows a reader what was written so far.
    ///
    /// # Errors
    /// Where that does not reach it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn begin(path: &Path) -> io::Result<Pcapng<BufWriter<File>>> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Pcapng::new(BufWriter::with_capacity(64 * 1024, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn frame(number: u64, bytes: &[u8]) -> Frame<'_> {
        let time = Timestamp::from_nanos(1_795_324_920_123_456_789);
        Frame { number, time, link: LinkType::ETHERNET, bytes, original_len: 100 }
    }

    #[test]
    fn blocks_are_as_the_format_has_them() {
        let mut bytes = Vec::new();
        let mut file = Pcapng::new(&mut bytes).unwrap();
        file.frame(&frame(1, b"abcde"), "a.pcap", &["one".into(), "two".into()]).unwrap();
        file.frame(&frame(2, b"fg"), "a.pcap", &[]).unwrap();
        let mut at = 0;
        let mut kinds = Vec::new();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length);
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6]);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("abcde\0\0\0\u{1}\0\u{3}\0one\0\u{1}\0\u{3}\0two\0\0\0\0\0"), "{text:?}");
    }

    #[test]
    fn a_file_is_put_aside_and_each_begins_anew() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.pcapng");
        let rotation = Rotation { size: Some(400), every: None, keep: 2 };
        for _ in 0..2 {
            let mut file = FrameFile::open(&path, Some(rotation)).unwrap();
            for number in 0..3 {
                file.frame(&frame(number, &[0; 200]), "lo", &[]).unwrap();
            }
            file.flush().unwrap();
        }
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 3, "{files:?}");
        for file in files {
            assert!(std::fs::read(&file).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
