//! Leaks name the processes at both ends: users, control groups, namespaces, processes that begin and end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::net::{Net, Running};
use super::{STRIPE, leaking, ways};

/// A client that stays until the leak is told.
const SLOW: &str = r"
import sys, time, urllib.request as u
r = u.build_opener(u.ProxyHandler({})).open(sys.argv[1])
r.read(1)
print('ready', flush=True)
time.sleep(60)
";

/// A server that leaves its connections open.
pub(super) const PATIENT: &str = r"
import http.server as h, time
class H(h.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '9')
        self.end_headers()
        self.wfile.write(b'ok')
        self.wfile.flush()
        time.sleep(60)
s = h.ThreadingHTTPServer(('', 8080), H)
print('ready', flush=True)
s.serve_forever()
";

/// Ten thousand sockets.
const HOLDER: &str = r"
import resource, signal, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (12000, 12000))
held = [socket.socket() for _ in range(10000)]
print('ready', flush=True)
signal.pause()
";

pub(super) fn python(net: &Net, side: usize, script: &str, argument: &str) -> Running {
    let mut command = net.command(side, "python3");
    command.args(["-c", script, argument]);
    let running = Running::start(command);
    running.line(|line| line == "ready");
    running
}

#[test]
fn both_ends_on_this_machine_are_named() {
    let Some(net) = Net::new() else { return };
    let _server = python(&net, 0, PATIENT, "");
    for way in ways() {
        let capture = net.capture(0, &["-i", "lo", "--backend", way]);
        let url = format!("{}&password=hunter22secret", leaking("127.0.0.1"));
        let client = python(&net, 0, SLOW, &url);
        let leak = capture.line(|line| line.contains("stripe-secret-key"));
        let leak: Value = serde_json::from_str(&leak).unwrap();
        let process = &leak["process"];
        assert_eq!(
            (&process["end"], &process["name"]),
            (&"client".into(), &"python3".into()),
            "{way}: {leak}"
        );
        assert_eq!(process["uid"], nix_uid(), "{way}");
        assert!(process["pid"].as_u64().unwrap() > 1 && process["container"].is_null());
        let command = process["command"].as_str().unwrap();
        assert!(command.contains("python3 -c") && command.contains("api_key=…"), "{command}");
        assert!(!leak.to_string().contains(STRIPE) && !leak.to_string().contains("hunter22"), "{leak}");
        let server = &process["peer"];
        assert_eq!((&server["end"], &server["name"]), (&"server".into(), &"python3".into()), "{way}: {leak}");
        assert_ne!(server["pid"], process["pid"]);
        drop(client);
        assert_eq!(capture.end().0, 0);
    }
}

fn nix_uid() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    u64::from(fs::metadata("/proc/self").unwrap().uid())
}

#[test]
fn an_end_in_another_namespace_is_known_only_where_the_kernel_tells_it() {
    let Some(net) = Net::new() else { return };
    // The kernel tells connections of every namespace: then the other end is known, too.
    let told = is_told(&net);
    let _server = python(&net, 1, PATIENT, "");
    let capture = net.capture(1, &["-i", "vb"]);
    // The client is another machine as far as the capture knows: a namespace that is not this one's.
    let client = python(&net, 0, SLOW, &leaking("10.9.0.2"));
    let leak = capture.event("leak");
    let process = &leak["process"];
    let server = if told { &process["peer"] } else { process };
    assert_eq!((&server["end"], &server["name"]), (&"server".into(), &"python3".into()), "{leak}");
    assert!(told || process["peer"].is_null(), "{leak}");
    drop(client);
    assert_eq!(capture.end().0, 0);
}

/// A control group made by hand, as a container runtime makes it; gone with it.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next(), fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(place))
        });
        let Some(root) = root else {
            eprintln!("skipped: no control groups of version 2");
            return None;
        };
        let path = root.join(name);
        if let Err(error) = fs::create_dir(&path) {
            eprintln!("skipped: no right to make control groups: {error}");
            return None;
        }
        Some(Self(path))
    }

    /// A command whose process is in the group before it becomes the program.
    fn enter(&self, command: &Command) -> Command {
        let mut within = Command::new("sh");
        within.arg("-c").arg(format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display())).arg("sh");
        within.arg(command.get_program()).args(command.get_args());
        within
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !Path::new(&self.0).exists() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_container_is_told_by_its_control_group_and_chosen_by_it() {
    let Some(net) = Net::new() else { return };
    let id = format!("{:064x}", u64::from(std::process::id()) << 32 | 0xabc);
    let Some(group) = Group::new(&format!("docker-{id}.scope")) else { return };
    let _server = python(&net, 0, PATIENT, "");
    let path = format!("/docker-{id}.scope");
    for (flags, is_told) in [
        (vec![], true),
        (vec!["--container", &id[..60]], true),
        (vec!["--cgroup", &path], true),
        (vec!["--container", "ffff"], false),
        (vec!["--pid", "4000000", "--cgroup", "/no/such"], false),
    ] {
        let capture = net.capture(0, &[&["-i", "lo"], &flags[..]].concat());
        let mut command = net.command(0, "python3");
        command.args(["-c", SLOW, &leaking("127.0.0.1")]);
        let client = Running::start(group.enter(&command));
        client.line(|line| line == "ready");
        if is_told {
            let leak = capture.event("leak");
            let process = &leak["process"];
            assert_eq!(
                (&process["container"], &process["runtime"]),
                (&id.as_str().into(), &"docker".into()),
                "{leak}"
            );
            assert_eq!(process["cgroup"], path.as_str());
        }
        drop(client);
        let (code, rest, _) = capture.end();
        let summary = rest.last().unwrap();
        let held_back = summary["held_back"]["other-process"].as_u64().unwrap_or(0);
        assert_eq!((code, held_back > 0), (0, !is_told), "{flags:?}: {summary}");
        if !is_told {
            assert!(rest.iter().all(|event| event["type"] != "leak"), "{flags:?}");
        }
    }
}

#[test]
fn a_process_is_chosen_with_all_that_it_starts() {
    let Some(net) = Net::new() else { return };
    let _server = python(&net, 0, PATIENT, "");
    net.write("client.py", SLOW);
    let mut shell = net.command(0, "sh");
    // The shell waits until the capture runs.
    shell.args([
        "-c",
        &format!("echo $$; while [ ! -e go ]; do :; done; python3 client.py '{}'; :", leaking("127.0.0.1")),
    ]);
    let shell = Running::start(shell);
    let pid = shell.line(|line| line.parse::<u32>().is_ok());
    let capture = net.capture(0, &["-i", "lo", "--pid", &pid]);
    net.write("go", "");
    let leak = capture.event("leak");
    assert_eq!(leak["process"]["name"], "python3", "{leak}");
    assert_ne!(leak["process"]["pid"].to_string(), pid);
    assert_eq!(capture.end().0, 0);
}

#[test]
fn among_ten_thousand_sockets_the_right_one_is_found() {
    let Some(net) = Net::new() else { return };
    let _server = python(&net, 0, PATIENT, "");
    let _holder = python(&net, 0, HOLDER, "");
    let capture = net.capture(0, &["-i", "lo"]);
    let client = python(&net, 0, SLOW, &leaking("127.0.0.1"));
    let leak = capture.event("leak");
    assert_eq!(
        (&leak["process"]["name"], &leak["process"]["end"]),
        (&"python3".into(), &"client".into()),
        "{leak}"
    );
    assert_eq!(leak["process"]["peer"]["end"], "server", "{leak}");
    drop(client);
    assert_eq!(capture.end().0, 0);
}

#[test]
fn a_storm_of_clients_that_die_at_once_hides_no_leak_and_names_nobody_wrongly() {
    let Some(net) = Net::new() else { return };
    let server = net.server(0);
    let capture = net.capture(0, &["-i", "lo", "--every"]);
    let mut storm = net.command(0, "sh");
    storm.args(["-c", &format!("for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do curl -s -o /dev/null --noproxy '*' '{}'; done", leaking("127.0.0.1"))]);
    assert!(storm.stdout(Stdio::null()).status().unwrap().success());
    for _ in 0..20 {
        let leak = capture.event("leak");
        let process = &leak["process"];
        for end in [process, &process["peer"]] {
            match end["end"].as_str() {
                Some("client") => assert_eq!(end["name"], "curl", "{leak}"),
                Some("server") => assert_eq!(end["name"], "python3", "{leak}"),
                _ => {}
            }
        }
    }
    drop(server);
    assert_eq!(capture.end().0, 0);
}

/// Whether the kernel tells of connections; why not is printed.
pub(super) fn is_told(net: &Net) -> bool {
    let (_, checks, _) = net.leaktap(0, &["doctor", "--format", "json"]).ended();
    let check = checks[0].as_array().unwrap().iter().find(|check| check["name"] == "ebpf").unwrap().clone();
    if check["ok"] != true {
        eprintln!("skipped: {}", check["found"]);
    }
    check["ok"] == true
}

#[test]
fn with_ebpf_clients_that_live_for_milliseconds_are_named() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) {
        return;
    }
    let _server = net.server(0);
    let capture = net.capture(0, &["-i", "lo", "--every"]);
    let script = format!(
        "n=0; while [ $n -lt 200 ]; do n=$((n+1)); curl -s -o /dev/null --noproxy '*' '{}'; done",
        leaking("127.0.0.1")
    );
    assert!(net.command(0, "sh").args(["-c", &script]).stdout(Stdio::null()).status().unwrap().success());
    let (mut named, mut servers) = (0, 0);
    for _ in 0..200 {
        let leak = capture.event("leak");
        let process = &leak["process"];
        for end in [process, &process["peer"]] {
            named += usize::from(end["end"] == "client" && end["name"] == "curl");
            servers += usize::from(end["end"] == "server" && end["name"] == "python3");
        }
    }
    assert!(named >= 198 && servers >= 198, "{named} clients and {servers} servers of 200");
    assert_eq!(capture.end().0, 0);
}

#[test]
fn with_ebpf_a_connection_from_before_has_its_processes() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) {
        return;
    }
    let _server = python(&net, 0, PATIENT, "");
    let script = format!(
        "import socket, time, os\ns = socket.create_connection(('127.0.0.1', 8080))\nprint('ready', flush=True)\n\
         while not os.path.exists('go'): time.sleep(0.01)\n\
         s.sendall(b'GET /?api_key={STRIPE} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\ns.recv(9)\ns.close()"
    );
    let client = python(&net, 0, &script, "");
    let capture = net.capture(0, &["-i", "lo"]);
    net.write("go", "");
    let leak = capture.event("leak");
    assert_eq!(
        (&leak["process"]["end"], &leak["process"]["name"]),
        (&"client".into(), &"python3".into()),
        "{leak}"
    );
    drop(client);
    assert_eq!(capture.end().0, 0);
}

#[test]
fn with_ebpf_capabilities_are_enough() {
    let Some(net) = Net::new() else { return };
    if !is_told(&net) {
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: setpriv is not installed");
        return;
    }
    let capabilities = "-all,+bpf,+perfmon,+net_admin,+net_raw";
    let mut command = net.command(0, "setpriv");
    command.args([
        "--bounding-set",
        capabilities,
        env!("CARGO_BIN_EXE_leaktap"),
        "doctor",
        "--format",
        "json",
    ]);
    let (_, checks, said) = Running::start(command).ended();
    let checks = checks[0].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "ebpf").unwrap();
    assert_eq!(check["ok"], true, "{check}: {said}");
}
