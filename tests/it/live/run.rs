//! `leaktap run` in network namespaces of the test's own: what a command leaks, and nobody else; exit codes, signals, what is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::net::{Net, Running};
use super::{STRIPE, leaking};

/// `leaktap run` of a shell script, to its end.
fn run(net: &Net, flags: &[&str], script: &str) -> Output {
    let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    command.args([&["run"], flags, &["--", "sh", "-c", script]].concat());
    command.env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests").env_remove("STATE_DIRECTORY");
    command.env("XDG_STATE_HOME", net.path("state")).output().unwrap()
}

fn events(net: &Net, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(net.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn leaks(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["type"] == "leak").collect()
}

fn fetch(url: &str) -> String {
    format!("curl -sS --max-time 20 --noproxy '*' -o /dev/null '{url}'")
}

/// A server within the namespace of the command, which is ready and outlives the client.
fn served(url: &str) -> String {
    format!(
        "python3 -u -m http.server 8099 >served 2>&1 & until grep -q Serving served; do :; done; {}; sleep 0.2",
        fetch(url)
    )
}

#[test]
fn leaks_go_to_standard_error_and_standard_output_is_the_commands() {
    let Some(net) = Net::new() else { return };
    let url = format!("http://127.0.0.1:8099/?api_key={STRIPE}");
    let output =
        run(&net, &["--sink", "ndjson:leaks.ndjson"], &format!("echo before; {}; echo after", served(&url)));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "before\nafter\n");
    assert!(said.contains("Stripe secret key") && !said.contains(STRIPE), "{said}");
    let events = events(&net, "leaks.ndjson");
    let leak = leaks(&events)[0];
    assert_eq!((&leak["rule"], &leak["source"]), (&"stripe-secret-key".into(), &"lo".into()));
    // The server was there to be asked.
    let process = &leak["process"];
    let server = if process["end"] == "server" { process } else { &process["peer"] };
    assert_eq!((&server["name"], &server["end"]), (&"python3".into(), &"server".into()), "{leak}");
    assert_eq!(events.last().unwrap()["type"], "summary");
}

#[test]
fn the_exit_code_is_the_commands_or_says_what_leaked() {
    let Some(net) = Net::new() else { return };
    let leak = served(&format!("http://127.0.0.1:8099/?api_key={STRIPE}"));
    for (flags, script, code) in [
        (&[][..], "true", 0),
        (&[], "exit 7", 7),
        (&[], "kill -KILL $$", 137),
        (&["--fail-on", "high"], "true", 0),
        (&["--fail-on", "high"], &leak, 1),
        (&["--fail-on", "critical"], &leak, 0),
        (&["--fail-on", "high"], &format!("{leak}; exit 7"), 7),
        (&["--sink", "ndjson:/no/such/folder/x"], "touch started", 2),
    ] {
        let output = run(&net, flags, script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!net.path("started").exists(), "nothing is run where leaks cannot be told");
    let mut missing = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    let output = missing.args(["run", "--", "no-such-program"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("cannot run no-such-program"), "{said}");
}

#[test]
fn the_command_reaches_other_machines_and_this_one_and_only_its_traffic_is_seen() {
    let Some(net) = Net::new() else { return };
    let (_near, _far) = (net.server(0), net.server(1));
    let other = "sk_live_Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2";
    let outsider = format!("http://127.0.0.1:8080/ok?api_key={other}");
    assert!(net.command(0, "mkfifo").arg("go").status().unwrap().success());
    let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    let script = format!(
        "{} && {} && echo ready && cat go",
        fetch(&leaking("10.9.0.2")),
        fetch(&leaking("127.0.0.1"))
    );
    command.args(["run", "--sink", "ndjson:leaks.ndjson", "--", "sh", "-c", &script]);
    let running = Running::start(command);
    running.line(|line| line == "ready");
    net.curl(0, &[outsider.clone(), outsider.replace("127.0.0.1", "10.9.0.2")]);
    net.write("go", "");
    running.said(|line| line.contains("found"));
    drop(running);
    let events = events(&net, "leaks.ndjson");
    let sources: Vec<&str> = leaks(&events).iter().filter_map(|leak| leak["source"].as_str()).collect();
    assert!(sources.contains(&"out") && sources.contains(&"lo"), "{events:?}");
    let redacted: std::collections::HashSet<_> =
        leaks(&events).iter().filter_map(|leak| leak["secret"]["redacted"].as_str()).collect();
    assert_eq!(redacted.into_iter().collect::<Vec<_>>(), ["sk_l…8PfL"], "{events:?}");
}

#[test]
fn datagrams_find_their_way_out_and_back() {
    let Some(net) = Net::new() else { return };
    net.write(
        "echo.py",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 5353))\nprint('ready', flush=True)\n\
         while True:\n    data, peer = s.recvfrom(2000)\n    s.sendto(data[::-1], peer)\n",
    );
    let mut echo = net.command(1, "python3");
    echo.arg("echo.py");
    let echo = Running::start(echo);
    echo.line(|line| line == "ready");
    net.write(
        "ask.py",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(20)\n\
         for word in (b'abc', b'x' * 1200):\n    s.sendto(word, ('10.9.0.2', 5353))\n    assert s.recv(2000) == word[::-1]\n",
    );
    let output = run(&net, &[], "python3 ask.py");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn megabytes_pass_the_way_out_whole() {
    let Some(net) = Net::new() else { return };
    let _far = net.server(1);
    net.write("big", (0..8_u32 << 20).map(|n| (n ^ n >> 9) as u8).collect::<Vec<u8>>());
    let script = "curl -sS --max-time 60 --noproxy '*' -o copy http://10.9.0.2:8080/big && cmp big copy";
    let output = run(&net, &[], script);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_build_server_gets_sarif_and_junit() {
    let Some(net) = Net::new() else { return };
    net.write("ok", "ok");
    // Reads the report as a build server does.
    let read = "import sys, xml.etree.ElementTree as e\nroot = e.parse(sys.argv[1]).getroot()\n\
                cases = list(root.iter('testcase'))\nfailed = [c for c in cases if c.find('failure') is not None]\n\
                assert (int(root.get('tests')), int(root.get('failures'))) == (len(cases), len(failed))\n\
                print(len(cases), len(failed), cases[0].get('classname'))";
    let script = served(&format!("http://127.0.0.1:8099/ok?api_key={STRIPE}"));
    for (level, script, code, told) in [
        ("high", &*script, 1, "1 1 stripe-secret-key\n"),
        ("critical", &*script, 0, "1 0 stripe-secret-key\n"),
        ("high", "true", 0, "1 0 leaktap\n"),
    ] {
        let flags = ["--fail-on", level, "--sink", "junit:leaks.xml", "--sink", "sarif:leaks.sarif"];
        let output = run(&net, &flags, script);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let read = net.command(0, "python3").args(["-c", read, "leaks.xml"]).output().unwrap();
        let (out, said) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
        assert_eq!(out, told, "{level}: {said}");
        let log: Value = serde_json::from_slice(&fs::read(net.path("leaks.sarif")).unwrap()).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().len();
        assert_eq!(results, usize::from(script != "true"));
    }
}

#[test]
fn signals_are_passed_on() {
    let Some(net) = Net::new() else { return };
    for (signal, code) in [("TERM", 41), ("USR1", 42), ("HUP", 43), ("INT", 44)] {
        let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
        let script = format!("trap 'exit {code}' {signal}; echo ready; while :; do sleep 0.05; done");
        command.args(["run", "--", "sh", "-c", &script]);
        let running = Running::start(command);
        running.line(|line| line == "ready");
        running.signal(signal);
        assert_eq!(running.ended().0, code, "{signal}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let Some(net) = Net::new() else { return };
    let links = || net.command(0, "ip").args(["-o", "link"]).output().unwrap().stdout.len();
    let before = links();
    let output = run(
        &net,
        &["-v"],
        "sleep 1000 & echo $!; (trap '' TERM; exec setsid sh -c 'echo $$; while :; do sleep 1; done') & sleep 0.2",
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let pids: Vec<&str> = text.lines().collect();
    assert_eq!(pids.len(), 2, "{text}");
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left: {said}");
    }
    assert_eq!(links(), before);
}

/// Children that connect, leak and are gone; then one that goes on by children of children, each gone at once, which nobody waits for.
const STORM: &str = r"
import os, socket, sys, time
def leak(n):
    s = socket.create_connection(('127.0.0.1', 8099))
    s.sendall(b'GET /ok?n=%d&api_key=' % n + sys.argv[1].encode() + b' HTTP/1.0\r\n\r\n')
    while s.recv(4096): pass
children = []
for n in range(200):
    pid = os.fork()
    if pid == 0:
        leak(n)
        os._exit(0)
    children.append(pid)
    if len(children) >= 30: os.waitpid(children.pop(0), 0)
for pid in children: os.waitpid(pid, 0)
if os.fork() == 0:
    os.setsid()
    while os.fork() == 0: time.sleep(0.002)
";

#[test]
fn a_storm_of_forks_is_seen_whole_and_outlives_nothing() {
    let Some(net) = Net::new() else { return };
    net.write("ok", "ok");
    net.write("storm.py", STORM);
    let script = format!(
        "readlink /proc/self/ns/net; python3 -u -m http.server 8099 >served 2>&1 & until grep -q Serving served; do :; done; \
         python3 storm.py {STRIPE}"
    );
    let output = run(&net, &["--every", "--sink", "ndjson:leaks.ndjson"], &script);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let events = events(&net, "leaks.ndjson");
    let asked = leaks(&events).into_iter().filter(|leak| leak["surface"] == "request.query");
    let mut named = 0;
    let mut seen = 0;
    for leak in asked {
        seen += 1;
        let process = &leak["process"];
        let client = if process["end"] == "client" { process } else { &process["peer"] };
        named += usize::from(client["name"] == "python3");
        assert!(client.is_null() || client["name"] == "python3", "{leak}");
    }
    assert_eq!(seen, 200);
    assert!(named >= 198 || !super::who::is_told(&net), "{named} of 200");
    // Nobody is in its namespace any more.
    let namespace = String::from_utf8(output.stdout).unwrap();
    let namespace = namespace.trim();
    assert!(namespace.starts_with("net:["), "{namespace}");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let own = fs::read_link(entry.path().join("ns/net")).unwrap_or_default();
        assert_ne!(own, Path::new(namespace), "{:?} is left", entry.path());
    }
}

#[test]
fn a_user_without_rights_sees_the_loopback() {
    let Some(net) = Net::new() else { return };
    let program = net.path("leaktap");
    fs::copy(env!("CARGO_BIN_EXE_leaktap"), &program).unwrap();
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    for path in [program.parent().unwrap(), &program] {
        open(path);
    }
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all"];
    let allowed = Command::new("setpriv").args(user).args(["unshare", "-Un", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: users may not make namespaces here, or setpriv or unshare is not installed");
        return;
    }
    let mut command = net.command(0, "setpriv");
    let url = format!("http://127.0.0.1:8099/?api_key={STRIPE}");
    command.args(user).arg(&program).args(["run", "--fail-on", "high", "--", "sh", "-c"]);
    command.arg(format!("id -u; cd {}; {}", net.path("").display(), served(&url)));
    let output = command.env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "65534\n");
    assert!(said.contains("Stripe secret key"), "{said}");
}

#[test]
fn the_tests_of_a_flask_app_leak_what_they_send() {
    let Some(net) = Net::new() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flask");
    let has = Command::new("python3").args(["-c", "import flask, requests"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: flask or requests is not installed (pip install flask requests)");
        return;
    }
    let script =
        format!("cd '{}' && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -q test_app", folder.display());
    let sink = format!("ndjson:{}", net.path("leaks.ndjson").display());
    let output = run(&net, &["--fail-on", "high", "--sink", &sink], &script);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let events = events(&net, "leaks.ndjson");
    let found: Vec<(&str, &str)> = leaks(&events)
        .iter()
        .filter_map(|leak| Some((leak["surface"].as_str()?, leak["name"].as_str()?)))
        .collect();
    for wanted in
        [("request.query", "api_key"), ("response.body", "stripe.secret_key"), ("request.body", "password")]
    {
        assert!(found.contains(&wanted), "{wanted:?} of {found:?}");
    }
    assert!(!said.contains(STRIPE) && !said.contains("tr0ub4dor"), "{said}");
}
