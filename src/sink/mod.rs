//! The list of sinks, how one is named on the command line, and how it is opened.

mod cef;
pub mod contract;
mod csv;
mod ecs;
mod eve;
mod fan;
mod gathered;
mod html;
mod json;
mod junit;
mod markdown;
mod ndjson;
mod pcapng;
mod record;
mod rotate;
mod sarif;
mod say;
mod sqlite;
mod syslog;
mod table;
mod text;
mod webhook;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};
use std::path::{Path, PathBuf};

use crate::model::Severity;

pub use cef::Cef;
pub use contract::Sink;
pub use csv::Csv;
pub use ecs::Ecs;
pub use eve::Eve;
pub use fan::{Failure, Fan};
pub use html::Html;
pub use json::Json;
pub use junit::Junit;
pub use markdown::Markdown;
pub use ndjson::{Ndjson, line, read};
pub use pcapng::{FrameFile, Pcapng};
pub use rotate::{Fsync, Rotation};
pub use sarif::Sarif;
pub use say::sentence;
pub use sqlite::Sqlite;
pub use syslog::Address;
pub use table::Table;
pub use text::{clean, paint, severity_style, wrap};

/// Every format there is. A new one is a file and a line here.
pub const FORMATS: &[Format] = &[
    Format::stream(
        "table",
        "people: leaks grouped by secret, the worst first; live, each as it comes",
        |out, style| Box::new(Table::new(out, style)),
    ),
    Format::stream("ndjson", "programs: one JSON object a line, as it is found", |out, _| {
        Box::new(Ndjson::new(out))
    }),
    Format::document("json", "programs that want one document: an array of what ndjson tells", |out, _| {
        Box::new(Json::new(out))
    }),
    Format::stream("csv", "spreadsheets and databases: one row a leak", |out, _| Box::new(Csv::new(out)))
        .headed(csv::HEAD),
    Format::document("sarif", "code scanning: SARIF 2.1.0; a line is a frame", |out, _| {
        Box::new(Sarif::new(out))
    }),
    Format::document(
        "junit",
        "build servers: JUnit XML; a leak is a test case, which fails from --fail-on on",
        |out, style| Box::new(Junit::new(out, style.fail_on)),
    ),
    Format::document("html", "people: one page with plots and a table to filter", |out, _| {
        Box::new(Html::new(out))
    }),
    Format::document("markdown", "issues, pull requests and wikis: one page", |out, _| {
        Box::new(Markdown::new(out))
    }),
    Format::stream("ecs", "Elastic and OpenSearch: Elastic Common Schema, a line each", |out, _| {
        Box::new(Ecs::new(out))
    }),
    Format::stream("eve", "what reads Suricata: alerts as EVE records, a line each", |out, _| {
        Box::new(Eve::new(out))
    }),
    Format::stream("cef", "SIEMs: Common Event Format, a line each", |out, _| Box::new(Cef::new(out))),
];

/// What goes to a system log; a sink only.
static SYSLOG: Format = Format::stream(
    "syslog",
    "RFC 5424 messages: syslog:udp://HOST, syslog:tcp://HOST:PORT, syslog:/dev/log",
    |out, _| Box::new(syslog::Syslog::new(out)),
);

/// What goes to an HTTP server; a sink only.
static WEBHOOK: Format =
    Format::stream("webhook", "ndjson by POST, in batches: webhook:https://HOST/PATH", |out, _| {
        Box::new(Ndjson::new(out))
    });

/// What goes into a database; a sink only. What is written by an output is the event itself.
static SQLITE: Format =
    Format::stream("sqlite", "SQLite, one row a leak: sqlite:leaks.db", |out, _| Box::new(Ndjson::new(out)));

/// Columns of what is written to a file for people.
const FILE_WIDTH: usize = 100;

/// Where a sink writes.
pub type Output = Box<dyn Write + Send>;

/// One format of output.
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// For whom it is.
    pub about: &'static str,
    /// Whether it is written as events come, so that a file can be appended to and put aside; otherwise it is one document, written
    /// whole at the end.
    pub is_stream: bool,
    /// What each file begins with, before anything a sink writes.
    pub head: &'static str,
    /// Makes a sink that writes to an output.
    pub open: Open,
}

/// Makes a sink that writes to an output.
pub type Open = fn(Output, Style) -> Box<dyn Sink>;

impl Format {
    const fn stream(name: &'static str, about: &'static str, open: Open) -> Self {
        Self { name, about, is_stream: true, head: "", open }
    }

    const fn document(name: &'static str, about: &'static str, open: Open) -> Self {
        Self { is_stream: false, ..Self::stream(name, about, open) }
    }

    const fn headed(self, head: &'static str) -> Self {
        Self { head, ..self }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// How output for people looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours may be used.
    pub color: bool,
    /// Columns to stay within.
    pub width: usize,
    /// Whether leaks are shown as they come, not gathered.
    pub live: bool,
    /// From which severity on a leak is a failure; `None`: always.
    pub fail_on: Option<Severity>,
}

/// What a sink is to be: `ndjson:leaks.ndjson`, `table:-`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The format.
    pub format: &'static Format,
    /// The place.
    pub place: Place,
}

/// Where a sink's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Standard output, `-`.
    Standard,
    /// Standard error: where a command that is run has standard output to itself.
    Error,
    /// A file; what it held is replaced, or with [`Opening::rotation`] appended to.
    File(PathBuf),
    /// A system log.
    Syslog(Address),
    /// The URL of an HTTP server.
    Webhook(String),
    /// A database.
    Database(PathBuf),
}

/// How sinks are opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// How output for people looks.
    pub style: Style,
    /// Files are made for their owner alone: the output will hold secrets.
    pub private: bool,
    /// Files last: they are appended to, and put aside so.
    pub rotation: Option<Rotation>,
    /// Where what cannot be sent yet is kept.
    pub spool: PathBuf,
    /// When what was written has to be on the disk.
    pub sync: Fsync,
    /// How long rows of a database are kept after they were last written.
    pub retain: Option<std::time::Duration>,
}

/// What is wrong with a format or a sink as it was named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Nobody knows the format.
    #[error("unknown format {0:?}; known are: {list}", list = known())]
    Unknown(String),
    /// The place is missing.
    #[error(
        "the sink {0:?} does not say where to: write FORMAT:FILE, or FORMAT:- for standard output; known formats are: {list}",
        list = known()
    )]
    NoPlace(String),
    /// The place is none that the sink knows.
    #[error("the sink {name}:{place} does not say where to: write {wanted}")]
    Place {
        /// The sink.
        name: &'static str,
        /// What was given, as far as it may be shown.
        place: String,
        /// What it may be.
        wanted: &'static str,
    },
}

/// The format of that name.
///
/// # Errors
/// [`SpecError::Unknown`], with the formats there are.
pub fn format(name: &str) -> Result<&'static Format, SpecError> {
    FORMATS
        .iter()
        .find(|format| format.name == name)
        .ok_or_else(|| SpecError::Unknown(clean(name).into_owned()))
}

/// The format names, as an error lists them.
#[must_use]
pub fn known() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

/// What is a sink but no format of standard output, each with a line on it.
#[must_use]
pub fn remote() -> [(&'static str, &'static str); 3] {
    [&SQLITE, &SYSLOG, &WEBHOOK].map(|format| (format.name, format.about))
}

impl std::str::FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, place) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "syslog" => {
                let wanted = "syslog:udp://HOST[:514], syslog:tcp://HOST[:601] or syslog:/dev/log";
                let refused =
                    || SpecError::Place { name: "syslog", place: clean(place).into_owned(), wanted };
                Ok(Self { format: &SYSLOG, place: Place::Syslog(Address::parse(place).ok_or_else(refused)?) })
            }
            "sqlite" => match place {
                "" | "-" => {
                    Err(SpecError::Place { name: "sqlite", place: place.to_owned(), wanted: "sqlite:FILE" })
                }
                path => Ok(Self { format: &SQLITE, place: Place::Database(PathBuf::from(path)) }),
            },
            "webhook" if place.starts_with("http://") || place.starts_with("https://") => {
                Ok(Self { format: &WEBHOOK, place: Place::Webhook(place.to_owned()) })
            }
            "webhook" => {
                let wanted = "webhook:https://HOST/PATH";
                Err(SpecError::Place { name: "webhook", place: "…".to_owned(), wanted })
            }
            _ => {
                let format = format(name)?;
                match place {
                    "" => Err(SpecError::NoPlace(clean(text).into_owned())),
                    "-" => Ok(Self { format, place: Place::Standard }),
                    path => Ok(Self { format, place: Place::File(PathBuf::from(path)) }),
                }
            }
        }
    }
}

/// `ndjson:leaks.ndjson`; it names a sink in messages.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Standard => write!(f, "{}:-", self.format.name),
            Place::Error => write!(f, "{} on standard error", self.format.name),
            Place::File(path) | Place::Database(path) => {
                write!(f, "{}:{}", self.format.name, clean(&path.to_string_lossy()))
            }
            Place::Syslog(address) => write!(f, "syslog:{address}"),
            Place::Webhook(url) => write!(f, "webhook:{}", webhook::shown(url)),
        }
    }
}

impl Spec {
    /// Opens the place and makes the sink. A file is made for its owner alone where that is asked for, else as the umask has it;
    /// an existing file keeps its mode.
    ///
    /// # Errors
    /// Where the file (or that of a spool) cannot be made or written. Servers are reached for later.
    pub fn open(&self, opening: &Opening) -> io::Result<Box<dyn Sink>> {
        let in_file = Style { color: false, width: FILE_WIDTH, ..opening.style };
        let mode = if opening.private { 0o600 } else { 0o666 };
        // A document is written whole: it can neither be appended to nor put aside in the middle.
        let rotation = opening.rotation.filter(|_| self.format.is_stream);
        let head = self.format.head.as_bytes();
        let (mut out, style): (Output, Style) = match (&self.place, rotation) {
            (Place::Standard, _) => (standard(), opening.style),
            (Place::Error, _) => (Box::new(LineWriter::new(io::stderr())), opening.style),
            (Place::File(path), None) => (file(path, mode)?, in_file),
            (Place::File(path), Some(rotation)) => {
                let file = rotate::Rotating::open(path, mode, rotation, head)?.synced(opening.sync);
                return Ok((self.format.open)(Box::new(file), in_file));
            }
            (Place::Database(path), _) => {
                return Ok(Box::new(Sqlite::open(path, mode, opening.sync, opening.retain)?));
            }
            (Place::Syslog(address), _) => (Box::new(syslog::Wire::new(address.clone())), in_file),
            (Place::Webhook(url), _) => (Box::new(webhook::Post::open(url, &opening.spool)?), in_file),
        };
        if !head.is_empty() {
            out.write_all(head)?;
        }
        Ok((self.format.open)(out, style))
    }
}

/// Standard output: each line at once on a terminal, else in blocks.
#[must_use]
pub fn standard() -> Output {
    let out = io::stdout();
    if out.is_terminal() {
        Box::new(LineWriter::new(out))
    } else {
        // `Stdout` has a line buffer of its own; blocks that end in a line break go through it whole.
        Box::new(BufWriter::with_capacity(64 * 1024, out))
    }
}

fn file(path: &Path, mode: u32) -> io::Result<Output> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    Ok(Box::new(BufWriter::with_capacity(64 * 1024, file)))
}

#[cfg(test)]
mod compliance;
#[cfg(test)]
pub(crate) mod example;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_says_what_and_where() {
        for (text, name, place) in [
            ("ndjson:leaks.ndjson", "ndjson", Place::File("leaks.ndjson".into())),
            ("table:-", "table", Place::Standard),
            ("table:/a/b:c.txt", "table", Place::File("/a/b:c.txt".into())),
            ("syslog:/dev/log", "syslog", Place::Syslog(Address::Unix("/dev/log".into()))),
            ("syslog:tcp://192.0.2.1:601", "syslog", Place::Syslog(Address::Tcp("192.0.2.1:601".into()))),
        ] {
            let spec: Spec = text.parse().unwrap();
            assert_eq!((spec.format.name, &spec.place), (name, &place), "{text}");
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn a_webhook_is_named_without_its_path() {
        let spec: Spec = "webhook:https://hooks.example.com/made-up".parse().unwrap();
        assert_eq!(spec.to_string(), "webhook:https://hooks.example.com/…");
        for wrong in ["webhook:hooks.example.com/made-up", "webhook:", "syslog:", "syslog:log.example"] {
            assert!(!wrong.parse::<Spec>().unwrap_err().to_string().contains("made-up"));
        }
    }

    #[test]
    fn a_wrong_spec_is_told_the_formats() {
        for (text, message) in [
            (
                "xml:a",
                "unknown format \"xml\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
            ),
            (
                "a.ndjson",
                "unknown format \"a.ndjson\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
            ),
            (
                "",
                "unknown format \"\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
            ),
            (
                "ndjson",
                "the sink \"ndjson\" does not say where to: write FORMAT:FILE, or FORMAT:- for standard output; known formats are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
            ),
            (
                "table:",
                "the sink \"table:\" does not say where to: write FORMAT:FILE, or FORMAT:- for standard output; known formats are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
            ),
        ] {
            assert_eq!(text.parse::<Spec>().unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn a_private_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leaks.ndjson");
        let spec: Spec = format!("ndjson:{}", path.display()).parse().unwrap();
        let opening = Opening {
            style: Style { color: true, width: 80, live: false, fail_on: None },
            private: true,
            rotation: None,
            spool: folder.path().to_owned(),
            sync: Fsync::Never,
            retain: None,
        };
        spec.open(&opening).unwrap().finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let nowhere: Spec = format!("ndjson:{}/no/such/folder", folder.path().display()).parse().unwrap();
        assert!(nowhere.open(&opening).is_err());
    }
}
