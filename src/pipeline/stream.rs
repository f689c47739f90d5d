//! Reading from what may stay open and silent (standard input, a pipe) without missing that the run shall end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Bytes of one read.
const CHUNK: usize = 256 * 1024;
/// Reads that wait; then the thread waits, and with it the writer of the pipe.
const AHEAD: usize = 4;
/// How long a signal may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whether an input may have nothing to give for a while: standard input (`-`), a named pipe.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-" || std::fs::metadata(path).is_ok_and(|input| input.file_type().is_fifo())
}

/// What a thread of its own reads; it ends early, like a file, once `stop` is set. A read that would wait says so
/// ([`io::ErrorKind::WouldBlock`]) after [`PATIENCE`].
pub(super) struct Stream {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    taken: usize,
    stop: Arc<AtomicBool>,
}

impl Stream {
    /// Opens `path` (`-` is standard input); what goes wrong shows at the first read. The thread is left behind where
    /// its read does not return: it ends with the process.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub(super) fn open(path: &Path, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let (chunks, taken) = bounded(AHEAD);
        let path = path.to_owned();
        thread::Builder::new().name("stream".into()).spawn(move || pump(&path, &chunks))?;
        Ok(Self { chunks: taken, chunk: Vec::new(), taken: 0, stop })
    }
}

fn pump(path: &PathBuf, chunks: &Sender<io::Result<Vec<u8>>>) {
    let opened: io::Result<Box<dyn Read>> = match path.to_str() {
        Some("-") => Ok(Box::new(io::stdin())),
        _ => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
    };
    let mut input = match opened {
        Ok(input) => input,
        Err(error) => {
            // Nobody waits for it any more: then it is nobody's fault.
            let _ = chunks.send(Err(error));
            return;
        }
    };
    loop {
        let mut chunk = vec![0; CHUNK];
        let told = match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                chunks.send(Ok(chunk))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = chunks.send(Err(error));
                return;
            }
        };
        if told.is_err() {
            return;
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.chunk.len() {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => (self.chunk, self.taken) = (chunk?, 0),
                // Nothing yet: it may be asked again.
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let length = self.chunk.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is_and_a_missing_one_is_an_error() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let mut text = String::new();
        let mut stream = Stream::open(&path, Arc::default()).unwrap();
        while stream.read_to_string(&mut text).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap());
        let mut missing = Stream::open(Path::new("no such file"), Arc::default()).unwrap();
        let error = loop {
            match missing.read(&mut [0; 4]).unwrap_err().kind() {
                io::ErrorKind::WouldBlock => {}
                other => break other,
            }
        };
        assert_eq!(error, io::ErrorKind::NotFound);
        assert!(!is_stream(&path) && is_stream(Path::new("-")));
    }

    #[test]
    fn once_stopped_it_ends_though_its_pipe_stays_open() {
        let (chunks, taken) = bounded::<io::Result<Vec<u8>>>(AHEAD);
        let stop = Arc::new(AtomicBool::new(false));
        let mut stream = Stream { chunks: taken, chunk: Vec::new(), taken: 0, stop: Arc::clone(&stop) };
        chunks.send(Ok(b"made up".to_vec())).unwrap();
        let mut bytes = [0; 4];
        assert_eq!(stream.read(&mut bytes).unwrap(), 4);
        assert_eq!(stream.read(&mut bytes).unwrap(), 3);
        assert_eq!(stream.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        chunks.send(Ok(b"made up".to_vec())).unwrap();
        assert_eq!(stream.read(&mut bytes).unwrap(), 4);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(stream.read(&mut bytes).unwrap(), 3, "what has come is given");
        assert_eq!(stream.read(&mut bytes).unwrap(), 0);
        drop(chunks);
    }
}
