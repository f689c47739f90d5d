//! Leaks in an SQLite database: one row a leak, by its identity, so that telling one twice changes nothing.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OpenFlags, params};

use super::{Fsync, Sink, line};
use crate::model::Timestamp;
use crate::model::event::{Event, Leak};
use crate::model::shown::counted;

/// Version of the tables, kept in `user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS leaks (
  id TEXT PRIMARY KEY,
  first TEXT NOT NULL,        -- capture time, RFC 3339
  last TEXT NOT NULL,         -- of the newest sighting
  sightings INTEGER NOT NULL, -- the first one included
  stored TEXT NOT NULL,       -- when the row was last written, RFC 3339
  rule TEXT NOT NULL,
  title TEXT NOT NULL,
  severity TEXT NOT NULL,
  confidence TEXT NOT NULL,
  surface TEXT NOT NULL,
  name TEXT,
  fingerprint TEXT,
  redacted TEXT,
  client TEXT NOT NULL,
  server TEXT NOT NULL,
  protocol TEXT NOT NULL,
  method TEXT,
  host TEXT,
  target TEXT,
  status INTEGER,
  source TEXT NOT NULL,
  first_frame INTEGER NOT NULL,
  last_frame INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  event TEXT NOT NULL         -- the whole event as ndjson tells it
) STRICT;
CREATE INDEX IF NOT EXISTS leaks_by_time ON leaks (last);
CREATE INDEX IF NOT EXISTS leaks_by_rule ON leaks (rule, severity);
CREATE INDEX IF NOT EXISTS leaks_by_fingerprint ON leaks (fingerprint);
CREATE INDEX IF NOT EXISTS leaks_by_stored ON leaks (stored);
CREATE TABLE IF NOT EXISTS counted (
  id TEXT PRIMARY KEY,
  last TEXT NOT NULL          -- of the newest sightings that a row of leaks has counted
) STRICT;
CREATE TABLE IF NOT EXISTS lost (
  stored TEXT NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  source TEXT NOT NULL,
  event TEXT NOT NULL UNIQUE
) STRICT;
";

const INSERT: &str = "
INSERT INTO leaks VALUES (?1,?2,?2,1,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)
ON CONFLICT (id) DO UPDATE SET stored = excluded.stored, event = excluded.event, status = excluded.status";

/// Events of one transaction, at most.
const MOST: usize = 4096;
/// How often rows that are too old are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// A database of leaks.
pub struct Sqlite {
    connection: Connection,
    retain: Option<Duration>,
    swept: Option<Instant>,
    /// Rows are written together: those of one flush.
    is_open: bool,
    /// The events of that transaction, until it is written.
    waiting: Vec<Event>,
}

impl Sqlite {
    /// Opens the database, or makes it, readable by its owner alone where `private` says so. Rows that were not written for `retain`
    /// are dropped.
    ///
    /// # Errors
    /// Where it cannot be made or read, or was made by a later version.
    pub fn open(path: &Path, mode: u32, sync: Fsync, retain: Option<Duration>) -> io::Result<Self> {
        // What SQLite makes itself is made as the umask has it: the file comes first, its companions take its mode.
        drop(OpenOptions::new().create(true).append(true).mode(mode).open(path)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version > VERSION {
            return Err(io::Error::other("the database was made by a later version of leaktap"));
        }
        // The first answer tells which mode it is now; a memory of its own has none.
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
            .and_then(|()| connection.pragma_update(None, "synchronous", synchronous(sync)))
            // Files that come and go elsewhere may be out of reach.
            .and_then(|()| connection.pragma_update(None, "temp_store", "MEMORY"))
            .and_then(|()| connection.execute_batch(TABLES))
            .and_then(|()| connection.pragma_update(None, "user_version", VERSION))
            .map_err(failed)?;
        Ok(Self { connection, retain, swept: None, is_open: false, waiting: Vec::new() })
    }

    /// The most pages that it may have: a disk that is full, for tests.
    #[cfg(test)]
    pub(super) fn pages(&self, most: Option<u32>) {
        let most = most.unwrap_or(1 << 30);
        self.connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(())).unwrap();
    }

    /// Begins a transaction, with what one before it should have written.
    fn begin(&mut self) -> io::Result<()> {
        if self.is_open {
            return Ok(());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        self.is_open = true;
        let waiting = std::mem::take(&mut self.waiting);
        let written = waiting.iter().try_for_each(|event| self.write(event));
        self.waiting = waiting;
        written.inspect_err(|_| self.take_back())
    }

    fn commit(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.begin()?;
        }
        if self.is_open {
            self.connection.execute_batch("COMMIT").map_err(failed).inspect_err(|_| self.take_back())?;
            self.is_open = false;
            self.waiting.clear();
        }
        Ok(())
    }

    /// What cannot be written (a full disk) is taken back, where SQLite has not done so: the next event begins anew.
    fn take_back(&mut self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.is_open = false;
    }

    fn leak(&mut self, leak: &Leak, event: &str) -> rusqlite::Result<()> {
        let http = leak.http.as_ref();
        let secret = leak.secret.as_ref();
        let [first, last] = leak.frames.map(|frame| i64::try_from(frame).unwrap_or(i64::MAX));
        self.connection.prepare_cached(INSERT)?.execute(params![
            leak.id,
            leak.time.to_string(),
            now(),
            leak.rule,
            leak.title,
            leak.severity.as_str(),
            leak.confidence.as_str(),
            leak.surface.as_str(),
            leak.name,
            secret.map(|secret| &secret.fingerprint),
            secret.map(|secret| &secret.redacted),
            leak.flow.client.to_string(),
            leak.flow.server.to_string(),
            leak.flow.protocol,
            http.and_then(|http| http.method.as_deref()),
            http.and_then(|http| http.host.as_deref()),
            http.and_then(|http| http.target.as_deref()),
            http.and_then(|http| http.status),
            leak.source,
            first,
            last,
            leak.evidence,
            event,
        ])?;
        Ok(())
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut text = Vec::new();
        line(event, &mut text)?;
        self.row(event, &String::from_utf8_lossy(text.trim_ascii_end())).map_err(failed)
    }

    fn row(&mut self, event: &Event, text: &str) -> rusqlite::Result<()> {
        match event {
            Event::Leak(leak) => self.leak(leak, text)?,
            Event::Again(again) => {
                let more = i64::try_from(again.times).unwrap_or(i64::MAX);
                let last = again.last.to_string();
                // Told twice it is counted once. Not by the leak's own time: live, the sighting told first need not be the first.
                let is_new = self
                    .connection
                    .prepare_cached(
                        "INSERT INTO counted VALUES (?1, ?2) \
                         ON CONFLICT (id) DO UPDATE SET last = excluded.last WHERE last < excluded.last",
                    )?
                    .execute(params![again.id, last])?;
                if is_new > 0 {
                    self.connection
                        .prepare_cached(
                            "UPDATE leaks SET sightings = sightings + ?2, last = max(last, ?3), stored = ?4 \
                             WHERE id = ?1",
                        )?
                        .execute(params![again.id, more, last, now()])?;
                }
            }
            Event::Lost(lost) => {
                let [count, bytes] = [lost.count, lost.bytes].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO lost VALUES (?1,?2,?3,?4,?5,?6)")?
                    .execute(params![now(), lost.reason, count, bytes, lost.source, text])?;
            }
            Event::Summary(_) => {}
        }
        Ok(())
    }

    /// Drops what was not written for too long.
    fn sweep(&mut self) -> io::Result<()> {
        let Some(retain) = self.retain else { return Ok(()) };
        if self.swept.is_some_and(|swept| swept.elapsed() < SWEEP) {
            return Ok(());
        }
        self.swept = Some(Instant::now());
        let Some(before) = SystemTime::now().checked_sub(retain) else { return Ok(()) };
        let before = at(before);
        for table in ["leaks", "lost"] {
            self.connection
                .execute(&format!("DELETE FROM {table} WHERE stored < ?1"), [&before])
                .map_err(failed)?;
        }
        self.connection
            .execute("DELETE FROM counted WHERE id NOT IN (SELECT id FROM leaks)", [])
            .map_err(failed)?;
        Ok(())
    }
}

impl Sink for Sqlite {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.begin()?;
        self.write(event).inspect_err(|_| self.take_back())?;
        self.waiting.push(event.clone());
        if self.waiting.len() >= MOST { self.commit() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.commit()?;
        self.sweep()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush().map_err(|error| match self.waiting.len() {
            0 => error,
            left => {
                io::Error::new(error.kind(), format!("without {}: {error}", counted(left as u64, "event")))
            }
        })
    }
}

/// When SQLite waits for the disk: in WAL mode `NORMAL` loses the last commits with the power, never the database.
fn synchronous(sync: Fsync) -> &'static str {
    match sync {
        Fsync::Never => "OFF",
        Fsync::Every(_) => "NORMAL",
        Fsync::Always => "FULL",
    }
}

fn now() -> String {
    at(SystemTime::now())
}

fn at(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since).to_string()
}

fn failed(error: rusqlite::Error) -> io::Error {
    let kind = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::PermissionDenied) => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::model::event::Again;

    fn open(path: &Path, retain: Option<Duration>) -> Sqlite {
        Sqlite::open(path, 0o600, Fsync::Never, retain).unwrap()
    }

    fn tell(sink: &mut Sqlite) {
        for event in example::events() {
            sink.event(&event).unwrap();
        }
        sink.finish().unwrap();
    }

    fn number(sink: &Sqlite, query: &str) -> i64 {
        sink.connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn one_row_a_leak_and_the_same_events_again_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leaks.db");
        let leaks = example::events().iter().filter(|event| matches!(event, Event::Leak(_))).count() as i64;
        for _ in 0..2 {
            let mut sink = open(&path, None);
            tell(&mut sink);
            assert_eq!(number(&sink, "SELECT count(*) FROM leaks"), leaks);
            // The first sighting and the four that were told of.
            assert_eq!(number(&sink, "SELECT max(sightings) FROM leaks"), 5);
            assert_eq!(number(&sink, "SELECT count(*) FROM lost"), 1);
        }
        let mode: String =
            open(&path, None).connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// Live, flows are looked into side by side: a sighting may be told after one that came later.
    #[test]
    fn sightings_older_than_the_first_that_was_told_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open(&folder.path().join("leaks.db"), None);
        let leak = example::leak();
        let again = Again { id: leak.id.clone(), times: 2, last: Timestamp::default() };
        let newest = leak.time.to_string();
        for event in [Event::Leak(Box::new(leak)), Event::Again(again.clone()), Event::Again(again)] {
            sink.event(&event).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(number(&sink, "SELECT sightings FROM leaks"), 3);
        let last: String = sink.connection.query_row("SELECT last FROM leaks", [], |row| row.get(0)).unwrap();
        assert_eq!(last, newest);
    }

    #[test]
    fn a_row_tells_what_the_event_tells() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open(&folder.path().join("leaks.db"), None);
        tell(&mut sink);
        let leak = example::leak();
        let row = sink
            .connection
            .query_row(
                "SELECT rule, severity, name, redacted, client, status, first_frame, last_frame, event FROM leaks WHERE id = ?1",
                [&leak.id],
                |row| {
                    let text = |at: usize| row.get::<_, String>(at);
                    let frames: [i64; 2] = [row.get(6)?, row.get(7)?];
                    Ok(([text(0)?, text(1)?, text(2)?, text(3)?, text(4)?], row.get::<_, i64>(5)?, frames, text(8)?))
                },
            )
            .unwrap();
        let (texts, status, frames, event) = row;
        let secret = leak.secret.as_ref().unwrap();
        let expected = [
            leak.rule.as_str(),
            leak.severity.as_str(),
            leak.name.as_deref().unwrap(),
            &secret.redacted,
            &leak.flow.client.to_string(),
        ];
        assert_eq!(texts, expected);
        assert_eq!((status, frames), (200, [17, 21]));
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        assert_eq!((&event["v"], &event["id"]), (&1.into(), &leak.id.into()));
        assert!(event["secret"]["value"].is_null());
    }

    #[test]
    fn what_was_not_written_for_too_long_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leaks.db");
        let mut sink = open(&path, Some(Duration::from_secs(3600)));
        tell(&mut sink);
        let rows = number(&sink, "SELECT count(*) FROM leaks");
        sink.connection
            .execute("UPDATE leaks SET stored = '2020-01-01T00:00:00Z' WHERE id = ?1", [&example::leak().id])
            .unwrap();
        let mut sink = open(&path, Some(Duration::from_secs(3600)));
        sink.finish().unwrap();
        assert_eq!(number(&sink, "SELECT count(*) FROM leaks"), rows - 1);
    }

    #[test]
    fn what_is_no_database_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "not a database, but long enough to be looked at as one, and then some more")
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(Sqlite::open(&path, 0o600, Fsync::Always, None).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let path = folder.path().join("later.db");
        open(&path, None).connection.pragma_update(None, "user_version", 9).unwrap();
        let error = Sqlite::open(&path, 0o600, Fsync::Always, None).err().unwrap().to_string();
        assert_eq!(error, "the database was made by a later version of leaktap");
    }
}
