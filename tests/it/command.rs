//! The `leaktap` binary as a user has it: what CONTRACT.md promises of commands, exit codes and output.

mod baseline;
mod detection;
mod ends;
mod events;
mod frames;
mod inputs;
mod joined;
mod manners;
mod path;
mod redact;
mod report;
mod rules;
mod secrecy;
mod settings;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leaktap::source::memory::Kept;
use leaktap::source::memory::connection::Connection;
use leaktap::source::memory::write::capture;
use serde_json::Value;

pub(crate) use self::frames::tshark;

/// Made up.
const STRIPE: &str = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL";
/// Made up.
const OTHER: &str = "sk_live_Zt4Wn8LrJ6vQd1GsM3xKb9Hy";

/// A working folder with a state folder of its own.
struct Room {
    folder: tempfile::TempDir,
}

/// How a run ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Room {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and what folders it needs.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program, with nothing of this process' environment.
    fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_leaktap"));
        command.args(arguments).current_dir(self.folder.path()).timeout(Duration::from_secs(120));
        command.env_clear().envs(self.environment());
        command
    }

    fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("HOME", self.path("home")),
            ("XDG_STATE_HOME", self.path("state")),
            ("LEAKTAP_FINGERPRINT_KEY", "the key of the tests".into()),
        ]
    }

    /// As [`Room::command`], for runs that are watched while they go on.
    fn process(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leaktap"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(self.environment());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }
}

impl Run {
    fn of(command: &mut assert_cmd::Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().expect("ended by a signal"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The run, having ended so.
    #[track_caller]
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    /// The events, every line of standard output being one.
    #[track_caller]
    fn events(&self) -> Vec<Value> {
        events(&self.out)
    }

    #[track_caller]
    fn leaks(&self) -> Vec<Value> {
        of_type(&self.events(), "leak")
    }

    #[track_caller]
    fn summary(&self) -> Value {
        self.events().pop().unwrap()
    }
}

#[track_caller]
fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}")))
        .collect()
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// The captures that come with the project.
fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn captures_text() -> String {
    captures().to_str().unwrap().to_owned()
}

/// One exchange that sends `key` in its query, from a client's port to port 8080.
fn exchange(port: u16, key: &str) -> Connection {
    Connection::new(([192, 0, 2, 10], port).into(), ([192, 0, 2, 80], 8080).into())
        .handshake()
        .to_server(
            format!("GET /v1/charges?api_key={key} HTTP/1.1\r\nHost: api.example.com\r\n\r\n").as_bytes(),
        )
        .to_client(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
}

/// Frames of which one leaks [`STRIPE`].
fn leaking() -> Vec<Kept> {
    exchange(51_000, STRIPE).finish().frames()
}

/// Frames of which none leaks anything.
fn clean() -> Vec<Kept> {
    exchange(51_000, "none").finish().frames()
}

fn leaking_file() -> Vec<u8> {
    capture(&leaking())
}

/// The program's `hits.pcap` beside each other: one leak of [`STRIPE`], one of [`OTHER`].
fn two_leaks() -> Vec<Kept> {
    let mut frames = leaking();
    frames.extend(exchange(51_001, OTHER).finish().frames());
    frames
}
