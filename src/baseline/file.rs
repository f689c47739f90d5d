//! A baseline as TOML: read with the line of what is wrong, changed without touching what people wrote beside it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, Document, DocumentMut, Item, Table, Value, value};

use super::{Baseline, Day, Entry, Index};

/// The array of tables that entries are.
const ENTRIES: &str = "known";
/// What says which key the fingerprints are made with.
const KEY: &str = "key";

const CAPTION: &str = "\
# Leaks that are known and not told again (leaktap --baseline). Hashes only: no secret stands here.
# An entry is known by `id`, or by `rule`, `endpoint`, `name` and `fingerprint`, as many of them as are said.
# `reason`, `owner` and `expires` (the last day, 2026-12-31) are yours to add.
";

/// What is wrong with a baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It could not be read.
    #[error("cannot read the baseline {}: {error}{}", .path.display(), hint(.error))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// It could not be written.
    #[error("cannot write the baseline {}: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// It says something that nobody understands.
    #[error("{}:{line}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (--write-baseline makes it)",
        _ => "",
    }
}

/// What is wrong in a text, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// Where it cannot be read; the first thing in it that makes no sense, with its line. No value of it is shown: someone may
    /// have put a secret there.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let text =
            fs::read_to_string(path).map_err(|error| BaselineError::Read { path: path.to_owned(), error })?;
        parse(&text).map_err(|Fault { line, reason }| BaselineError::File {
            path: path.to_owned(),
            line,
            reason,
        })
    }

    /// Writes it whole or not at all: elsewhere first, then in the place of the file, whose mode it keeps.
    ///
    /// # Errors
    /// Where that is not possible.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        replace(path, self.text().as_bytes())
            .map_err(|error| BaselineError::Write { path: path.to_owned(), error })
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.document.to_string();
        if text.trim_start().starts_with('#') { text } else { format!("{CAPTION}\n{}", text.trim_start()) }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{}", std::process::id()));
    let early = path.with_file_name(name);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&early)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&early, &path)
    })();
    if written.is_err() {
        // What is left of it is of no use to anyone.
        let _ = fs::remove_file(&early);
    }
    written
}

/// Reads the text of a baseline.
pub(super) fn parse(text: &str) -> Result<Baseline, Fault> {
    let line = |span: Option<Range<usize>>| {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or_default();
        1 + before.matches('\n').count()
    };
    let fault =
        |span: Option<Range<usize>>, reason: &str| Fault { line: line(span), reason: reason.to_owned() };
    let document = Document::parse(text.to_owned())
        .map_err(|error| fault(error.span(), &error.message().trim().replace('\n', "; ")))?;
    let mut baseline = Baseline::default();
    for (name, item) in document.as_table() {
        match (name, item) {
            (KEY, Item::Value(Value::String(key))) => baseline.key = Some(key.value().clone()),
            (ENTRIES, Item::ArrayOfTables(tables)) => {
                for table in tables {
                    let entry =
                        entry(table).map_err(|(span, reason)| fault(span.or(table.span()), reason))?;
                    baseline.entries.push(entry);
                }
            }
            (KEY | ENTRIES, item) => {
                return Err(fault(item.span(), "write `key = \"…\"`, and each entry below a line [[known]]"));
            }
            (_, item) => {
                let span = document.as_table().key(name).and_then(toml_edit::Key::span).or(item.span());
                return Err(fault(span, "unknown field: only `key` and [[known]] are known here"));
            }
        }
    }
    baseline.index = Index::of(&baseline.entries);
    baseline.document = document.into_mut();
    Ok(baseline)
}

type EntryFault = (Option<Range<usize>>, &'static str);

fn entry(table: &Table) -> Result<Entry, EntryFault> {
    let mut entry = Entry::default();
    for (name, item) in table {
        let span = || table.key(name).and_then(toml_edit::Key::span).or(item.span());
        let text = || match item.as_str().map(str::trim) {
            Some("") => Err((span(), "it is empty: leave it out")),
            Some(text) => Ok(Some(text.to_owned())),
            None => Err((span(), "it must be a text in quotes")),
        };
        let hash = |digits: usize, refused: &'static str| match text()? {
            Some(hash) if hash.len() == digits && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Some(hash.to_ascii_lowercase()))
            }
            _ => Err((span(), refused)),
        };
        match name {
            "id" => entry.id = hash(32, "the id is none: 32 hexadecimal digits, as events tell it")?,
            "rule" => entry.rule = text()?,
            "endpoint" => entry.endpoint = text()?,
            "name" => entry.name = text()?,
            "fingerprint" => {
                entry.fingerprint = hash(
                    64,
                    "the fingerprint is none: 64 hexadecimal digits, as events tell it; a secret itself has no place here",
                )?;
            }
            "reason" => entry.reason = text()?,
            "owner" => entry.owner = text()?,
            "expires" => {
                let date = item.as_datetime().filter(|moment| moment.time.is_none()).map(ToString::to_string);
                let day: Option<Day> =
                    date.as_deref().or(item.as_str()).and_then(|text| text.trim().parse().ok());
                entry.expires = Some(day.ok_or((span(), "write the day as in expires = 2026-12-31"))?);
            }
            _ => {
                return Err((
                    span(),
                    "unknown field, expected one of `id`, `rule`, `endpoint`, `name`, `fingerprint`, `reason`, `owner`, `expires`",
                ));
            }
        }
    }
    let parts = [&entry.rule, &entry.endpoint, &entry.name, &entry.fingerprint];
    let is_said = parts.iter().any(|part| part.is_some());
    match (&entry.id, is_said) {
        (None, false) => {
            Err((None, "the entry would know every leak: give it an id, rule, endpoint, name or fingerprint"))
        }
        (Some(_), true) => {
            Err((None, "the id says it all: leave rule, endpoint, name and fingerprint out, or the id"))
        }
        _ => Ok(entry),
    }
}

/// An entry as it is written.
pub(super) fn table(entry: &Entry) -> Table {
    let mut table = Table::new();
    write_entry(&mut table, entry);
    table.decor_mut().set_prefix("\n");
    table
}

fn write_entry(table: &mut Table, entry: &Entry) {
    for (name, text) in [
        ("id", &entry.id),
        ("rule", &entry.rule),
        ("endpoint", &entry.endpoint),
        ("name", &entry.name),
        ("fingerprint", &entry.fingerprint),
        ("reason", &entry.reason),
        ("owner", &entry.owner),
    ] {
        set(table, name, text.as_deref().map(Value::from));
    }
    let day = entry.expires.map(|day| {
        let text = day.to_string();
        text.parse::<toml_edit::Datetime>().map_or_else(|_| Value::from(text), Value::from)
    });
    set(table, "expires", day);
}

/// What is as it was keeps its form and comments.
fn set(table: &mut Table, name: &str, new: Option<Value>) {
    let plain = |value: &Value| match value {
        Value::String(text) => text.value().clone(),
        Value::Datetime(moment) => moment.value().to_string(),
        other => other.to_string(),
    };
    match new {
        None => {
            table.remove(name);
        }
        Some(new) => {
            let is_same =
                table.get(name).and_then(Item::as_value).is_some_and(|old| plain(old) == plain(&new));
            if !is_same {
                table.insert(name, value(new));
            }
        }
    }
}

fn tables(document: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
    document.entry(ENTRIES).or_insert(Item::ArrayOfTables(ArrayOfTables::new())).as_array_of_tables_mut()
}

pub(super) fn push(document: &mut DocumentMut, table: Table) {
    if let Some(tables) = tables(document) {
        tables.push(table);
    }
}

pub(super) fn remove(document: &mut DocumentMut, at: usize) -> Option<Table> {
    let tables = tables(document)?;
    let table = tables.get(at).cloned();
    if table.is_some() {
        tables.remove(at);
    }
    table
}

/// Puts an entry before that at `at`.
pub(super) fn insert(document: &mut DocumentMut, at: usize, table: Table) {
    push(document, table);
    let Some(tables) = tables(document) else { return };
    let mut all: Vec<Table> = tables.iter().cloned().collect();
    if let Some(last) = all.pop() {
        all.insert(at.min(all.len()), last);
    }
    tables.clear();
    for mut table in all {
        // Written in the order of the array, wherever they stood.
        table.set_position(None);
        tables.push(table);
    }
}

pub(super) fn renew(document: &mut DocumentMut, at: usize, entry: &Entry) {
    if let Some(table) = tables(document).and_then(|tables| tables.get_mut(at)) {
        write_entry(table, entry);
    }
}

pub(super) fn seal(document: &mut DocumentMut, seal: &str) {
    document.insert(KEY, value(seal));
    if let Some(value) = document.get_mut(KEY).and_then(Item::as_value_mut) {
        value.decor_mut().set_suffix(" # of the fingerprint key that the fingerprints are made with");
    }
}
