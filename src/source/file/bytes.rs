//! The bytes of any file, unpacked where they are compressed: for what reads no frames.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::unpack::{ReadError, Unpacked};

/// The bytes of a file, or of standard input (`-`), through gzip or zstd where the content says so.
///
/// # Errors
/// Where it cannot be opened or its first bytes not be read. What is wrong with a compressed stream shows while it is read, as
/// [`io::ErrorKind::InvalidData`].
pub fn bytes(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let reader: Box<dyn Read + Send> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path)?),
    };
    Ok(Box::new(Bytes(Unpacked::new(reader)?)))
}

struct Bytes(Unpacked);

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error {
            ReadError::Io(error) => error,
            ReadError::Corrupt(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
        })
    }
}
