//! Real programs at both ends: who leaks is named whatever it is written in; storms of processes, numbers given twice, capabilities.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::net::{Net, Running};
use super::who::{PATIENT, is_told};
use super::{STRIPE, leaking, ways};

/// Asks once, stays until its standard input ends: whoever looks it up finds it.
const NODE: &str = r"
const http = require('http');
http.get(process.argv[2], answer => { answer.on('data', () => console.log('ready')); answer.on('end', () => {}); });
setTimeout(() => {}, 60000);
";
const REQUESTS: &str = r"
import requests, sys, time
s = requests.Session()
s.trust_env = False
r = s.get(sys.argv[1], stream=True)
r.raw.read(1)
print('ready', flush=True)
time.sleep(60)
";
const GO: &str = r#"
package main
import ("fmt"; "net/http"; "os"; "time")
func main() {
	client := http.Client{Transport: &http.Transport{Proxy: nil}}
	answer, err := client.Get(os.Args[1])
	if err != nil { panic(err) }
	answer.Body.Read(make([]byte, 1))
	fmt.Println("ready")
	time.Sleep(60 * time.Second)
}
"#;
const RUST: &str = r#"
use std::io::{Read, Write};
fn main() {
    let url = std::env::args().nth(1).unwrap();
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = std::net::TcpStream::connect(host).unwrap();
    write!(socket, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    socket.read(&mut [0; 1]).unwrap();
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(60));
}
"#;
const NGINX: &str = "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path out; proxy_temp_path out; fastcgi_temp_path out; uwsgi_temp_path out; scgi_temp_path out;
    server { listen 8080; keepalive_timeout 60; location / { return 200 'ok'; } }
}
";
const FLASK: &str = "\
import flask
app = flask.Flask('shop')
@app.get('/ok')
def ok():
    return 'ok'
print('ready', flush=True)
app.run('0.0.0.0', 8080)
";

/// Whether `program` runs with these arguments; why a test has to do without it is printed.
fn has(program: &str, arguments: &[&str]) -> bool {
    let run = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = run.is_ok_and(|status| status.success());
    if !has {
        eprintln!(
            "skipped: {program} is not installed, or lacks something ({program} {})",
            arguments.join(" ")
        );
    }
    has
}

/// The clients that this machine can run: the name of their process, and how it is begun.
fn clients(net: &Net) -> Vec<(&'static str, Command)> {
    let mut found = Vec::new();
    if has("node", &["--version"]) {
        net.write("client.js", NODE);
        let mut command = net.command(0, "node");
        command.arg("client.js");
        found.push(("node", command));
    }
    if has("python3", &["-c", "import requests"]) {
        net.write("client.py", REQUESTS);
        let mut command = net.command(0, "python3");
        command.arg("client.py");
        found.push(("python3", command));
    }
    net.write("goclient.go", GO);
    net.write("rustclient.rs", RUST);
    for (compiler, arguments, name) in
        [("go", ["build", "goclient.go"], "goclient"), ("rustc", ["-O", "rustclient.rs"], "rustclient")]
    {
        let probe: &[&str] = if compiler == "go" { &["version"] } else { &["--version"] };
        if !has(compiler, probe) {
            continue;
        }
        let mut build = Command::new(compiler);
        build.args(arguments).current_dir(net.path("")).env("GOCACHE", net.path("cache"));
        let built = build.env("GO111MODULE", "off").output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        found.push((name, net.command(0, net.path(name).to_str().unwrap())));
    }
    found
}

/// A server on port 8080, and the name of its process.
fn server(net: &Net, name: &'static str) -> Option<Running> {
    match name {
        "nginx" => {
            if !has("nginx", &["-v"]) {
                return None;
            }
            net.write("nginx.conf", NGINX);
            let mut command = net.command(0, "nginx");
            command.args(["-p", net.path("").to_str().unwrap(), "-c", "nginx.conf"]);
            let running = Running::start(command);
            running.said(|line| line.contains("start worker") || line.contains("OS: Linux"));
            Some(running)
        }
        _ => {
            if !has("python3", &["-c", "import flask"]) {
                return None;
            }
            let mut command = net.command(0, "python3");
            command.args(["-u", "-c", FLASK]);
            let running = Running::start(command);
            running.said(|line| line.contains("Running on"));
            Some(running)
        }
    }
}

/// The process at one end of a leak.
fn at<'a>(leak: &'a Value, end: &str) -> &'a Value {
    let process = &leak["process"];
    if process["end"] == end { process } else { &process["peer"] }
}

#[test]
fn both_ends_are_named_whatever_they_are_written_in() {
    let Some(net) = Net::new() else { return };
    let (clients, told) = (clients(&net), is_told(&net));
    for (server_name, own) in [("nginx", "nginx"), ("flask", "python3")] {
        let Some(_server) = server(&net, server_name) else { continue };
        for way in ways() {
            let capture = net.capture(0, &["-i", "lo", "--every", "--backend", way]);
            for (name, client) in &clients {
                let case = format!("{way}: {name} asks {server_name}");
                let mut command = Command::new(client.get_program());
                command.args(client.get_args()).arg(leaking("127.0.0.1")).current_dir(net.path(""));
                let client = Running::start(command);
                client.line(|line| line == "ready");
                let leak = capture.event("leak");
                // Flask closes at once: without the kernel's word a socket is gone before it is looked up, and nobody is named.
                let may_miss = server_name == "flask" && !told;
                for (end, name) in [("client", *name), ("server", own)] {
                    let process = at(&leak, end);
                    assert!(process["name"] == name || may_miss && process.is_null(), "{case}: {leak}");
                }
                let command = at(&leak, "client")["command"].as_str();
                assert!(command.is_none_or(|command| command.contains("api_key=…")), "{case}: {leak}");
                drop(client);
            }
            assert_eq!(capture.end().0, 0, "{way}");
        }
    }
}

/// Children that connect, leak and are gone, many at a time.
const STORM: &str = r"
import os, socket, sys
sys.stdout.flush()
children = []
for n in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        s = socket.create_connection(('127.0.0.1', 8080))
        s.sendall(b'GET /ok?n=%d&api_key=' % n + sys.argv[2].encode() + b' HTTP/1.0\r\nX-Pid: %d\r\n\r\n' % os.getpid())
        while s.recv(4096): pass
        os._exit(0)
    children.append(pid)
    if len(children) >= 40:
        os.waitpid(children.pop(0), 0)
for pid in children: os.waitpid(pid, 0)
";

#[test]
fn a_storm_of_forks_hides_no_leak_and_names_nobody_wrongly() {
    let Some(net) = Net::new() else { return };
    let told = is_told(&net);
    let _server = net.server(0);
    for way in ways() {
        let capture = net.capture(0, &["-i", "lo", "--every", "--backend", way]);
        let mut storm = net.command(0, "python3");
        storm.args(["-c", STORM, "300", STRIPE]);
        assert!(storm.status().unwrap().success());
        let mut named = 0;
        let mut pids = std::collections::HashSet::new();
        for _ in 0..300 {
            let leak = capture.line(|line| line.contains("request.query") && line.contains("\"leak\""));
            let leak: Value = serde_json::from_str(&leak).unwrap();
            let client = at(&leak, "client");
            if client["end"] == "client" {
                assert_eq!(client["name"], "python3", "{leak}");
                assert!(pids.insert(client["pid"].as_u64().unwrap()), "two children have one number: {leak}");
                named += 1;
            }
        }
        if told {
            assert!(named >= 297, "{way}: {named} of 300");
        }
        let (code, rest, _) = capture.end();
        assert_eq!((code, rest.last().unwrap()["drops"].as_u64()), (0, Some(0)), "{way}");
    }
}

/// Leaks once under a name of its own, and is gone.
const ONCE: &str = r"
import socket, sys
open('/proc/self/comm', 'w').write(sys.argv[1])
s = socket.create_connection(('127.0.0.1', 8080))
s.sendall(b'GET /' + sys.argv[1].encode() + b'?api_key=' + sys.argv[2].encode() + b' HTTP/1.0\r\n\r\n')
while s.recv(4096): pass
";

#[test]
fn a_number_that_is_given_again_is_another_process() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) {
        return;
    }
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    let _server = net.server(0);
    let capture = net.capture(0, &["-i", "lo", "--every"]);
    let once = |name: &str| {
        let mut command = net.command(0, "python3");
        let mut child = command.args(["-c", ONCE, name, STRIPE]).spawn().unwrap();
        // `ip netns exec` becomes the program it names.
        let pid = child.id();
        assert!(child.wait().unwrap().success());
        pid
    };
    let told = |name: &str| {
        let leak = capture.line(|line| line.contains(&format!("GET /{name}?")) && line.contains("\"leak\""));
        let leak: Value = serde_json::from_str(&leak).unwrap();
        let client = at(&leak, "client");
        (client["name"].as_str().map(str::to_owned), client["pid"].as_u64())
    };
    let first = once("first");
    let mut again = None;
    // Others take numbers too.
    for number in 0..200 {
        if fs::write(LAST, (first - 1).to_string()).is_err() {
            eprintln!("skipped: {LAST} cannot be written");
            return;
        }
        let name = format!("other{number}");
        if once(&name) == first {
            again = Some(name);
            break;
        }
        told(&name);
    }
    let Some(again) = again else {
        eprintln!("skipped: no process got the number {first} again");
        return;
    };
    assert_eq!(told("first"), (Some("first".to_owned()), Some(u64::from(first))));
    assert_eq!(told(&again), (Some(again.clone()), Some(u64::from(first))));
    assert_eq!(capture.end().0, 0);
}

/// What it takes to capture by eBPF and to have the kernel tell of connections.
const CAPABILITIES: &str = "+bpf,+perfmon,+net_admin,+net_raw";

#[test]
fn capabilities_are_enough_for_an_ordinary_user() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) || !has("setpriv", &["--version"]) {
        return;
    }
    let _server = super::who::python(&net, 0, PATIENT, "");
    let program = net.path("leaktap");
    fs::copy(env!("CARGO_BIN_EXE_leaktap"), &program).unwrap();
    for path in [program.parent().unwrap(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    for way in ways() {
        let mut command = net.command(0, "setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args(["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES]);
        command.arg(&program).args(["capture", "-v", "-i", "lo", "--format", "ndjson", "--backend", way]);
        command.env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
        let capture = Running::start(command);
        capture.said(|line| line.contains(": capturing on "));
        let mut client = net.command(0, "curl");
        // The server leaves the connection open: it ends by itself.
        client.args(["-s", "-o", "/dev/null", "--max-time", "1", "--noproxy", "*", &leaking("127.0.0.1")]);
        let _ = client.status();
        let leak = capture.event("leak");
        assert_eq!(at(&leak, "client")["name"], "curl", "{way}: {leak}");
        let (code, _, said) = capture.end();
        assert_eq!(code, 0, "{way}: {said}");
    }
}

/// The numbers of the programs, maps and links that a process has of the kernel.
fn held(pid: u32) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            if let Some((kind @ ("prog_id" | "map_id" | "link_id"), id)) = line.split_once(":\t") {
                found.push((kind.to_owned(), id.trim().parse().unwrap()));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Those of them that the kernel still has.
fn left(net: &Net, held: &[(String, u32)]) -> Vec<String> {
    // bpf(2): BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID.
    let script = "import ctypes, os, platform, struct, sys\n\
                  call = 321 if platform.machine() == 'x86_64' else 280\n\
                  for word in sys.argv[1:]:\n\
                  \x20   kind, id = word.split('=')\n\
                  \x20   attr = ctypes.create_string_buffer(struct.pack('I', int(id)), 128)\n\
                  \x20   if ctypes.CDLL(None).syscall(call, {'prog_id': 13, 'map_id': 14, 'link_id': 30}[kind], attr, 128) >= 0: print(word)";
    let words = held.iter().map(|(kind, id)| format!("{kind}={id}"));
    let output = net.command(0, "python3").args(["-c", script]).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn nothing_of_it_is_left_in_the_kernel() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) {
        return;
    }
    for way in ways() {
        for signal in ["TERM", "KILL"] {
            let capture = net.capture(0, &["-i", "any", "--backend", way]);
            let held = held(capture.id());
            assert!(held.iter().any(|(kind, _)| kind == "link_id"), "{way}: {held:?}");
            assert!(!left(&net, &held).is_empty(), "{way}: they are there while it runs");
            capture.signal(signal);
            drop(capture);
            let mut still = left(&net, &held);
            // The kernel takes them down a moment after their last holder is gone.
            for _ in 0..100 {
                if still.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
                still = left(&net, &held);
            }
            assert!(still.is_empty(), "{way} {signal}: {still:?}");
        }
    }
}
