//! A file that lasts: appended to, line by line, and put aside by size or age.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// When a file is put aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Before it grows over so many bytes.
    pub size: Option<u64>,
    /// Once it was written to for so long.
    pub every: Option<Duration>,
    /// Older ones kept, as `file.1` (the newest) to `file.N`.
    pub keep: u32,
}

/// The file and when it was begun.
pub(super) struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    mode: u32,
    /// What each file begins with.
    head: &'static [u8],
    file: File,
    size: u64,
    begun: Instant,
    /// A line broke off: the next begins with a line break.
    is_torn: bool,
}

impl Rotating {
    pub(super) fn open(path: &Path, mode: u32, rotation: Rotation, head: &'static [u8]) -> io::Result<Self> {
        let (file, size) = begin(path, mode, head)?;
        Ok(Self {
            path: path.to_owned(),
            rotation,
            mode,
            head,
            file,
            size,
            begun: Instant::now(),
            is_torn: false,
        })
    }

    fn is_due(&self, more: usize) -> bool {
        let is_full = self.rotation.size.is_some_and(|most| self.size + more as u64 > most);
        let is_old = self.rotation.every.is_some_and(|every| self.begun.elapsed() >= every);
        self.size > self.head.len() as u64 && (is_full || is_old)
    }

    /// `file.2` becomes `file.3`, `file.1` `file.2`, the file itself `file.1`.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        put_aside(&self.path, self.rotation.keep)?;
        (self.file, self.size) = begin(&self.path, self.mode, self.head)?;
        (self.begun, self.is_torn) = (Instant::now(), false);
        Ok(())
    }
}

/// Puts a file aside as `file.1`, and those put aside before one further; the last one goes.
pub(super) fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    let aside = |number: u32| {
        let mut name = OsString::from(path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(aside(number), aside(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if keep > 0 { fs::rename(path, aside(1)) } else { fs::remove_file(path) }
}

/// Takes one line at each call.
impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_due(line.len()) {
            self.rotate()?;
        }
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(written) => {
                    self.size += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_torn = rest.len() < line.len();
                    return Err(error);
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file to append to, with its head where it is new, and its size.
fn begin(path: &Path, mode: u32, head: &[u8]) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().append(true).create(true).mode(mode).open(path)?;
    let mut size = file.metadata()?.len();
    if size == 0 && !head.is_empty() {
        file.write_all(head)?;
        size = head.len() as u64;
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_file_is_put_aside_before_it_grows_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        let rotation = Rotation { size: Some(8), every: None, keep: 2 };
        for lines in [&["one\n", "two\n", "three\n"][..], &["a line too long\n", "x\n", "y\n"]] {
            let mut file = Rotating::open(&path, 0o600, rotation, b"").unwrap();
            for line in lines {
                file.write_all(line.as_bytes()).unwrap();
            }
        }
        let expected = [("l", "x\ny\n"), ("l.1", "a line too long\n"), ("l.2", "three\n")];
        assert_eq!(texts(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_file_is_put_aside_by_age_and_without_any_kept_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { size: None, every: Some(Duration::ZERO), keep: 0 };
        let mut file = Rotating::open(&folder.path().join("l"), 0o600, rotation, b"").unwrap();
        for line in ["one\n", "two\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(texts(folder.path()), [("l".to_owned(), "two\n".to_owned())]);
    }

    #[test]
    fn each_file_begins_with_its_head_and_a_head_alone_is_not_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        let rotation = Rotation { size: Some(8), every: None, keep: 2 };
        for lines in [&["1111\n"][..], &["22\n", "a line too long\n", "33\n"]] {
            let mut file = Rotating::open(&path, 0o600, rotation, b"h,\n").unwrap();
            for line in lines {
                file.write_all(line.as_bytes()).unwrap();
            }
        }
        let expected = [("l", "h,\n33\n"), ("l.1", "h,\na line too long\n"), ("l.2", "h,\n22\n")];
        assert_eq!(texts(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }
}
