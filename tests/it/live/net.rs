//! Network namespaces of a test's own, with real clients and servers in them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use leaktap::source::memory::Kept;
use serde_json::Value;

/// What takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two namespaces, `0` and `1`, joined by a veth pair (`va` 10.9.0.1, `vb` 10.9.0.2); the loopback of both is up.
pub(crate) struct Net {
    names: [String; 2],
    folder: tempfile::TempDir,
}

impl Net {
    /// `None`, with the reason printed, where there can be no namespaces.
    pub(crate) fn new() -> Option<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        for tool in ["ip", "curl", "python3"] {
            if !Command::new("which")
                .arg(tool)
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|which| which.success())
            {
                eprintln!("skipped: {tool} is not installed");
                return None;
            }
        }
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b"].map(|side| format!("leaktap-{}-{serial}{side}", std::process::id()));
        let net = Self { names, folder: tempfile::tempdir().unwrap() };
        fs::create_dir(net.path("out")).unwrap();
        for name in &net.names {
            let made =
                Command::new("ip").args(["netns", "add", name]).stderr(Stdio::null()).status().unwrap();
            if !made.success() {
                eprintln!("skipped: no right to make network namespaces (root has it)");
                return None;
            }
        }
        for side in [0, 1] {
            net.ip(side, "link set lo up");
        }
        net.join();
        Some(net)
    }

    /// Makes the veth pair.
    pub(crate) fn join(&self) {
        self.ip(0, &format!("link add va type veth peer name vb netns {}", self.names[1]));
        for (side, link, last) in [(0, "va", 1), (1, "vb", 2)] {
            // Without IPv6 nothing is said on the wire that no test has asked for.
            let _ = self
                .command(side, "sysctl")
                .args(["-qw", &format!("net.ipv6.conf.{link}.disable_ipv6=1")])
                .status();
            self.ip(side, &format!("addr add 10.9.0.{last}/24 dev {link}"));
            self.ip(side, &format!("link set {link} up"));
        }
    }

    pub(crate) fn ip(&self, side: usize, arguments: &str) {
        let status = self.command(side, "ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    /// A program within a namespace.
    pub(crate) fn command(&self, side: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[side], program]).current_dir(self.folder.path());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Python's HTTP server over the folder of the test, ready. It has a file `ok`.
    pub(crate) fn server(&self, side: usize) -> Running {
        self.write("ok", "ok");
        let mut command = self.command(side, "python3");
        command.args(["-u", "-m", "http.server", "8080"]);
        let server = Running::start(command);
        server.line(|line| line.starts_with("Serving HTTP"));
        server
    }

    /// A Flask server at port 8080 that answers `/v1/charges`, ready. `None`, with the reason printed, where Python has no Flask.
    pub(crate) fn flask(&self, side: usize) -> Option<Running> {
        let has_flask = self.command(side, "python3").args(["-c", "import flask"]).output().unwrap();
        if !has_flask.status.success() {
            eprintln!("skipped: Python has no Flask (pip install flask)");
            return None;
        }
        let mut command = self.command(side, "python3");
        command.args([
            "-u",
            "-c",
            "import flask\napp = flask.Flask('shop')\n@app.get('/v1/charges')\ndef charges():\n    return {'charges': []}\napp.run('0.0.0.0', 8080)\n",
        ]);
        let server = Running::start(command);
        server.line(|line| line.contains("Serving Flask app"));
        server.said(|line| line.contains("Running on"));
        Some(server)
    }

    /// Fetches every URL, over one connection where they allow it.
    #[track_caller]
    pub(crate) fn curl(&self, side: usize, urls: &[String]) {
        let mut command = self.command(side, "curl");
        for url in urls {
            command.args(["-o", "/dev/null", url]);
        }
        let status = command.args(["-s", "--max-time", "20", "--noproxy", "*"]).status().unwrap();
        assert!(status.success(), "curl: {status}");
    }

    /// Sends the frames of an exchange that leaks out of `va`, each with the tag of VLAN 7 as a trunk carries it.
    pub(crate) fn send_tagged(&self, frames: &[Kept]) {
        let lines: Vec<String> = frames
            .iter()
            .map(|frame| {
                let tagged = [&frame.bytes[..12], &[0x81, 0, 0, 7], &frame.bytes[12..]].concat();
                tagged.iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        self.write("frames", lines.join("\n"));
        let script = "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('va', 0))\n\
                      for line in open('frames'): s.send(bytes.fromhex(line))";
        assert!(self.command(0, "python3").args(["-c", script]).status().unwrap().success());
    }

    /// `leaktap` with these arguments.
    pub(crate) fn leaktap(&self, side: usize, arguments: &[&str]) -> Running {
        let mut command = self.command(side, env!("CARGO_BIN_EXE_leaktap"));
        command.args(arguments).env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
        command.env("XDG_STATE_HOME", self.path("state")).env_remove("STATE_DIRECTORY");
        Running::start(command)
    }

    /// `leaktap capture`, capturing.
    pub(crate) fn capture(&self, side: usize, arguments: &[&str]) -> Running {
        let running = self.leaktap(side, &[&["capture", "-v", "--format", "ndjson"], arguments].concat());
        running.said(|line| line.contains(": capturing on "));
        running
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

/// A program that runs, its output line by line.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// The first line of standard output from here on that is `wanted`.
    #[track_caller]
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        await_line(&self.out, wanted)
    }

    /// The same of standard error.
    #[track_caller]
    pub(crate) fn said(&self, wanted: impl Fn(&str) -> bool) -> String {
        await_line(&self.err, wanted)
    }

    /// The first event of this type from here on.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str) -> Value {
        let mark = format!("\"type\":\"{kind}\"");
        serde_json::from_str(&self.line(|line| line.contains(&mark))).unwrap()
    }

    /// The first event of this type, where it comes within `span`.
    pub(crate) fn event_within(&self, kind: &str, span: Duration) -> Option<Value> {
        let mark = format!("\"type\":\"{kind}\"");
        let until = Instant::now() + span;
        while let Ok(line) = self.out.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(&mark) {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
        None
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A signal to it and all that it started; it was started as a group of its own.
    pub(crate) fn signal_group(&self, name: &str) {
        let kill = format!("kill -s {name} -- -{}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(kill.success());
    }

    /// The exit code, the rest of the events, and the rest of what was said.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (i32, Vec<Value>, String) {
        let rest = drain(&self.out);
        let said = drain(&self.err).join("\n");
        let code = self.child.wait().unwrap().code().expect("ended by a signal");
        (code, rest.iter().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
    }

    /// The exit code of what says no events.
    #[cfg(feature = "ebpf")]
    pub(crate) fn code(mut self) -> i32 {
        self.child.wait().unwrap().code().expect("ended by a signal")
    }

    /// As [`Running::ended`], asked to end by SIGTERM.
    #[track_caller]
    pub(crate) fn end(self) -> (i32, Vec<Value>, String) {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (give, take) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if give.send(line).is_err() {
                break;
            }
        }
    });
    take
}

#[track_caller]
fn await_line(lines: &Receiver<String>, wanted: impl Fn(&str) -> bool) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if wanted(&line) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("{error} after:\n{}", seen.join("\n")),
        }
    }
}

#[track_caller]
fn drain(lines: &Receiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => all.push(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return all,
            Err(error) => panic!("{error} after:\n{}", all.join("\n")),
        }
    }
}
