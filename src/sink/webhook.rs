//! Events for an HTTP server: batches of ndjson by POST, tried again with growing pauses, kept on disk until they are taken.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Bytes of one POST, about.
const BATCH: usize = 256 << 10;
/// Bytes kept while the server takes nothing; what comes then is dropped, and that is an error.
const SPOOL: u64 = 64 << 20;
/// Runs at once that post to one URL.
const RUNS: usize = 64;
/// How long one POST may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause after a failure, which doubles, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The scheme and host of a URL; the rest may be a secret (as with chat services) and is never shown.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{}/…", super::clean(host))
}

/// Posts lines; each write is one line.
pub(super) struct Post {
    agent: ureq::Agent,
    url: String,
    batch: Vec<u8>,
    spool: Spool,
    /// Not tried before, and the pause after the next failure.
    again: Instant,
    pause: Duration,
}

impl Post {
    /// Posts to `url`; what could not be sent is kept in `folder`, what an earlier run has left there is sent too.
    pub(super) fn open(url: &str, folder: &Path) -> io::Result<Self> {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build();
        Ok(Self {
            agent: config.into(),
            url: url.to_owned(),
            batch: Vec::new(),
            spool: Spool::open(folder, url)?,
            again: Instant::now(),
            pause: PAUSE.0,
        })
    }

    /// Sends what waits, the oldest first; where that fails it is kept.
    fn send(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if self.again > Instant::now() {
            return self.spool.keep(&batch);
        }
        let mut sent = Ok(());
        while sent.is_ok()
            && let Some(old) = self.spool.next(BATCH)?
        {
            sent = self.post(&old);
            if sent.is_ok() {
                self.spool.taken(old.len())?;
            }
        }
        if sent.is_ok() && !batch.is_empty() {
            sent = self.post(&batch);
        }
        let Err(error) = sent else {
            self.pause = PAUSE.0;
            return Ok(());
        };
        if self.pause == PAUSE.0 {
            tracing::warn!("{} takes no events: {error}; they are kept and sent later", shown(&self.url));
        }
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        self.spool.keep(&batch)
    }

    fn post(&self, body: &[u8]) -> Result<(), String> {
        let posted = self.agent.post(&self.url).content_type("application/x-ndjson").send(body);
        posted.map(|_| ()).map_err(|error| match error {
            ureq::Error::StatusCode(status) => format!("it answers {status}"),
            ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            // Others might quote the URL.
            _ => "it cannot be reached".to_owned(),
        })
    }
}

impl Write for Post {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(line);
        if self.batch.len() >= BATCH {
            self.send()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() && self.spool.is_empty() {
            return Ok(());
        }
        self.send()
    }
}

/// Lines in a file that wait to be sent.
struct Spool {
    file: File,
    /// Bytes of it that were sent, and all.
    sent: u64,
    size: u64,
}

impl Spool {
    fn open(folder: &Path, url: &str) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for number in 0..RUNS {
            let path = folder.join(name(url, number));
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
            match file.try_lock() {
                Ok(()) => {
                    let size = file.metadata()?.len();
                    return Ok(Self { file, sent: 0, size });
                }
                // Another run posts there too.
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{RUNS} runs post there already")))
    }

    fn is_empty(&self) -> bool {
        self.sent == self.size
    }

    fn keep(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size + lines.len() as u64 > SPOOL {
            return Err(io::Error::other("the server takes no events, and the spool is full"));
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    /// The next whole lines, about `most` bytes; `None` where all were sent.
    fn next(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut lines = Vec::new();
        self.file.seek(SeekFrom::Start(self.sent))?;
        let mut limited = (&self.file).take(most as u64);
        limited.read_to_end(&mut lines)?;
        match lines.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => lines.truncate(end + 1),
            // A line that broke off, or is longer than a batch: as it is.
            None if lines.is_empty() => return Ok(None),
            None => {}
        }
        Ok(Some(lines))
    }

    fn taken(&mut self, length: usize) -> io::Result<()> {
        self.sent += length as u64;
        if self.is_empty() {
            self.file.set_len(0)?;
            (self.sent, self.size) = (0, 0);
        }
        Ok(())
    }
}

/// A name of its own for each URL, which does not show it, and for each run at once.
fn name(url: &str, number: usize) -> PathBuf {
    let digest = Sha256::digest(url.as_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("webhook-{short}-{number}.ndjson").into()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Takes one request and answers it; the body.
    fn serve(listener: &TcpListener, status: &str) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(number) = line.to_lowercase().strip_prefix("content-length: ") {
                length = number.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut answer: &TcpStream = &stream;
        write!(answer, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn lines_go_in_batches_and_wait_on_disk_until_they_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?token=made-up", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let refused = serve(&listener, "503 Busy");
            let taken = serve(&listener, "204 No Content");
            (refused, taken, serve(&listener, "200 OK"))
        });
        let mut post = Post::open(&url, folder.path()).unwrap();
        post.write_all(b"one\n").unwrap();
        post.write_all(b"two\n").unwrap();
        post.flush().unwrap();
        post.write_all(b"three\n").unwrap();
        post.flush().unwrap();
        drop(post);
        assert_eq!(fs::read_to_string(folder.path().join(name(&url, 0))).unwrap(), "one\ntwo\nthree\n");
        // The next run sends what is left, then its own.
        let mut post = Post::open(&url, folder.path()).unwrap();
        post.write_all(b"four\n").unwrap();
        post.flush().unwrap();
        let bodies = server.join().unwrap();
        assert_eq!(bodies, ("one\ntwo\n".into(), "one\ntwo\nthree\n".into(), "four\n".into()));
        assert_eq!(fs::read_to_string(folder.path().join(name(&url, 0))).unwrap(), "");
    }

    #[test]
    fn a_spool_has_an_end_and_gives_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), "http://192.0.2.1/").unwrap();
        spool.keep(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(spool.next(10).unwrap().unwrap(), b"one\ntwo\n");
        spool.taken(8).unwrap();
        assert_eq!(spool.next(10).unwrap().unwrap(), b"three\n");
        spool.taken(6).unwrap();
        assert!(spool.is_empty() && spool.next(10).unwrap().is_none());
        spool.size = SPOOL;
        assert!(spool.keep(b"x").is_err());
    }

    #[test]
    fn runs_at_once_do_not_share_a_spool() {
        let folder = tempfile::tempdir().unwrap();
        let url = "http://192.0.2.1/";
        let mut one = Spool::open(folder.path(), url).unwrap();
        one.keep(b"one\n").unwrap();
        let other = Spool::open(folder.path(), url).unwrap();
        assert!(other.is_empty());
        drop(one);
        let mut next = Spool::open(folder.path(), url).unwrap();
        assert_eq!(next.next(10).unwrap().unwrap(), b"one\n");
    }

    #[test]
    fn the_path_of_a_url_is_not_shown() {
        for (url, expected) in [
            ("https://hooks.example.com/services/T000/made-up", "https://hooks.example.com/…"),
            ("http://user:made-up@192.0.2.1:8080?token=x", "http://192.0.2.1:8080/…"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
