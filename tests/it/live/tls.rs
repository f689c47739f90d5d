//! Clear text inside TLS (`--tls`): real clients and servers of each library, in both directions; what leaks in spite of TLS is
//! told, once, of the right process and addresses, and nothing stays behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libbpf_rs::query::{LinkInfoIter, ProgInfoIter};
use serde_json::Value;

use super::net::{Net, Running};

/// A key of one test alone: captures see the programs of every namespace, and tests run at the same time. Made up.
fn key() -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let unique = u64::from(std::process::id()) * 1000 + u64::from(serial);
    let mut letters = String::new();
    let mut rest = unique.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..11 {
        let at = (rest % 62) as usize;
        letters.push("aQ7bR2cS9dT4eU0fV6gW1hX8iY3jZ5kAlBmCnDoEpFqGrHsItJuKvLwMxNyOzP".as_bytes()[at] as char);
        rest /= 62;
    }
    format!("sk_live_q7Vd3TzN9mKw2{letters}")
}

/// A namespace with a certificate; `None`, with the reason printed, where clear text cannot be read.
fn prepared() -> Option<Net> {
    let net = Net::new()?;
    let mut doctor = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    let doctor = doctor.args(["doctor", "--format", "json"]).env("XDG_STATE_HOME", net.path("state"));
    let checks: Value = serde_json::from_slice(&doctor.output().unwrap().stdout).unwrap();
    let tls = checks.as_array().unwrap().iter().find(|check| check["name"] == "tls").unwrap();
    if tls["ok"] != true {
        eprintln!("skipped: {}", tls["found"]);
        return None;
    }
    if !has("openssl") {
        return None;
    }
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .current_dir(net.path(""))
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    Some(net)
}

fn has(program: &str) -> bool {
    let found = Command::new("which").arg(program).stdout(Stdio::null()).status();
    let has = found.is_ok_and(|found| found.success());
    if !has {
        eprintln!("skipped: {program} is not installed");
    }
    has
}

/// Python's server over TLS at this port, ready: every path answers `ok`.
fn server(net: &Net, port: u16) -> Running {
    let script = format!(
        "import http.server as h, ssl
class H(h.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
s = h.ThreadingHTTPServer(('127.0.0.1', {port}), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain('cert.pem', 'key.pem')
s.socket = c.wrap_socket(s.socket, server_side=True)
print('ready', flush=True)
s.serve_forever()"
    );
    let mut command = net.command(0, "python3");
    command.args(["-c", &script]);
    ready(command)
}

fn ready(command: Command) -> Running {
    let running = Running::start(command);
    running.line(|line| line.contains("ready"));
    running
}

/// The leak of this key.
#[track_caller]
fn leak_of(capture: &Running, key: &str) -> Value {
    let is_it = |line: &str| line.contains("\"type\":\"leak\"") && line.contains(key);
    serde_json::from_str(&capture.line(is_it)).unwrap()
}

/// What holds of every leak over TLS by a query.
#[track_caller]
fn check(leak: &Value, port: u16, why: &str) {
    assert_eq!(leak["exposures"], serde_json::json!(["query-string"]), "{why}: {leak}");
    assert_eq!(leak["flow"]["encrypted"], true, "{why}");
    assert_eq!(leak["flow"]["server"], format!("127.0.0.1:{port}"), "{why}: {leak}");
    assert!(leak["flow"]["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{why}: {leak}");
    assert_eq!((&leak["source"], &leak["http"]["status"]), (&"tls".into(), &200.into()), "{why}: {leak}");
}

/// A Go program of the standard library alone; `None` where it cannot be built.
fn go(net: &Net, name: &str, text: &str) -> Option<PathBuf> {
    if !has("go") {
        return None;
    }
    let folder = net.path(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("main.go"), text).unwrap();
    let built = Command::new("go")
        .args(["build", "-o", name, "main.go"])
        .current_dir(&folder)
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOPROXY", "off"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", std::env::temp_dir().join("leaktap-go-cache"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(folder.join(name))
}

const GO_CLIENT: &str = r#"package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
)

func main() {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}
"#;

const GO_SERVER: &str = r#"package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok")) })
	fmt.Println("ready")
	server := &http.Server{Addr: os.Args[1], TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	panic(server.ListenAndServeTLS("cert.pem", "key.pem"))
}
"#;

const NODE_CLIENT: &str =
    "require('https').get(process.argv[1], { rejectUnauthorized: false }, r => r.resume());";

const ASYNC_CLIENT: &str = r"
import asyncio, ssl, sys, urllib.parse as u
async def main():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    at = u.urlsplit(sys.argv[1])
    r, w = await asyncio.open_connection(at.hostname, at.port, ssl=c)
    w.write(f'GET {at.path}?{at.query} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n\r\n'.encode())
    await r.read()
    w.close()
asyncio.run(main())
";

/// Where there are its headers.
const NSS_CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nspr.h>
#include <nss.h>
#include <ssl.h>
static SECStatus yes(void *a, PRFileDesc *f, PRBool c, PRBool s) { return SECSuccess; }
int main(int count, char **words) {
    char bytes[4096], *at = strstr(words[1], "//") + 2, *path = strchr(at, '/');
    PRNetAddr address;
    NSS_NoDB_Init(NULL);
    NSS_SetDomesticPolicy();
    PR_InitializeNetAddr(PR_IpAddrLoopback, atoi(strchr(at, ':') + 1), &address);
    PRFileDesc *file = SSL_ImportFD(NULL, PR_OpenTCPSocket(PR_AF_INET));
    SSL_OptionSet(file, SSL_SECURITY, PR_TRUE);
    SSL_OptionSet(file, SSL_HANDSHAKE_AS_CLIENT, PR_TRUE);
    SSL_AuthCertificateHook(file, yes, NULL);
    SSL_SetURL(file, "localhost");
    if (PR_Connect(file, &address, PR_INTERVAL_NO_TIMEOUT) != PR_SUCCESS) return 1;
    snprintf(bytes, sizeof bytes, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    if (PR_Write(file, bytes, strlen(bytes)) < 0 || PR_Read(file, bytes, sizeof bytes) <= 0) return 2;
    return PR_Close(file);
}
"#;

/// `examples/fetch.rs`, a client of rustls that was not stripped.
fn fetch() -> PathBuf {
    // Cargo builds examples for tests, beside the program.
    let path = Path::new(env!("CARGO_BIN_EXE_leaktap")).with_file_name("examples").join("fetch");
    assert!(path.exists(), "{} is missing: cargo build --example fetch", path.display());
    path
}

/// The same without its table of sections, and so without symbols: nobody can read it.
fn stripped(net: &Net) -> PathBuf {
    let path = net.path("stripped");
    fs::copy(fetch(), &path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // `e_shoff`; `e_shnum` and `e_shstrndx`.
    file.write_all_at(&[0; 8], 40).unwrap();
    file.write_all_at(&[0; 4], 60).unwrap();
    path
}

/// A client of NSS; `None` where it cannot be built.
fn nss(net: &Net) -> Option<PathBuf> {
    net.write("nss.c", NSS_CLIENT);
    let built = Command::new("cc")
        .args([
            "nss.c",
            "-o",
            "nssclient",
            "-I/usr/include/nspr",
            "-I/usr/include/nss",
            "-lssl3",
            "-lnss3",
            "-lnspr4",
        ])
        .current_dir(net.path(""))
        .output();
    if !built.is_ok_and(|built| built.status.success()) {
        eprintln!("skipped: no compiler, or no headers of NSS");
        return None;
    }
    Some(net.path("nssclient"))
}

#[test]
fn what_clients_of_each_library_leak_is_told_of_them() {
    let Some(net) = prepared() else { return };
    const PORT: u16 = 8443;
    let _server = server(&net, PORT);
    let go = go(&net, "goclient", GO_CLIENT);
    let go = go.as_ref().and_then(|path| path.to_str());
    let nss = nss(&net);
    let nss = nss.as_ref().and_then(|path| path.to_str());
    let rustls = fetch();
    let requests =
        "import requests, sys, urllib3; urllib3.disable_warnings(); requests.get(sys.argv[1], verify=False)";
    for (why, program, arguments) in [
        ("OpenSSL", Some("curl"), &["-sk", "--noproxy", "*"][..]),
        ("GnuTLS", Some("wget"), &["-qO-", "--no-check-certificate", "--no-proxy"]),
        ("OpenSSL in Python", Some("python3"), &["-c", requests]),
        ("OpenSSL in Python, by memory", Some("python3"), &["-c", ASYNC_CLIENT]),
        ("OpenSSL in Node, linked in, by memory", Some("node"), &["-e", NODE_CLIENT]),
        ("Go", go, &[]),
        ("NSS", nss, &[]),
        ("rustls", rustls.to_str(), &[]),
    ] {
        let Some(program) = program.filter(|program| has(program)) else { continue };
        // In a namespace of its own, where the server is not read: all that is told comes from the client.
        let key = key();
        let url = format!("https://127.0.0.1:{PORT}/ok");
        let client: Vec<String> = [&[program], arguments].concat().iter().map(|word| quoted(word)).collect();
        let client = client.join(" ");
        // A program that nobody ran before is read from its second run on, at the latest.
        let script = format!(
            "unset https_proxy; {client} {url}; sleep 1; {client} '{url}?api_key={key}' && echo done"
        );
        let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
        command.args([
            "run",
            "--tls",
            "--reveal",
            "--sink",
            "ndjson:leaks.ndjson",
            "--",
            "sh",
            "-c",
            &script,
        ]);
        command
            .env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests")
            .env("XDG_STATE_HOME", net.path("state"));
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(String::from_utf8_lossy(&done.stdout).contains("done"), "{why}: {said}");
        let text = fs::read_to_string(net.path("leaks.ndjson")).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let leaks: Vec<&Value> = events.iter().filter(|event| event["type"] == "leak").collect();
        let [leak] = leaks.as_slice() else { panic!("{why}: {leaks:?}: {said}") };
        assert_eq!(leak["secret"]["value"], key, "{why}");
        check(leak, PORT, why);
        let process = &leak["process"];
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        assert_eq!((&process["name"], &process["end"]), (&name.into(), &"client".into()), "{why}: {leak}");
        assert!(events.iter().all(|event| event["type"] != "again"), "{why}: once: {events:?}");
        let summary = events.last().unwrap();
        assert!(summary["protocols"]["tls"].as_u64() >= Some(1), "{why}: the wire was seen, too: {summary}");
        fs::remove_file(net.path("leaks.ndjson")).unwrap();
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[test]
fn what_is_leaked_to_servers_of_each_library_is_told_of_them() {
    let Some(net) = prepared() else { return };
    let flask = r"
import flask, logging, sys
logging.getLogger('werkzeug').disabled = True
app = flask.Flask('made-up')
@app.get('/ok')
def ok(): return 'ok'
print('ready', flush=True)
app.run(port=int(sys.argv[1]), ssl_context=('cert.pem', 'key.pem'))
";
    let node = r"
const fs = require('fs');
require('https').createServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, (q, r) => r.end('ok'))
    .listen(Number(process.argv[1]), '127.0.0.1', () => console.log('ready'));
";
    let nginx = "daemon off; master_process off; error_log stderr; pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    server { listen 127.0.0.1:9004 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; location / { return 200 ok; } }
}
";
    net.write("nginx.conf", nginx);
    let folder = format!("{}/", net.path("").display());
    let client = stripped(&net);
    let go = go(&net, "goserver", GO_SERVER);
    let go = go.as_ref().and_then(|path| path.to_str());
    for (name, program, arguments, port) in [
        ("python3", Some("python3"), vec!["-c", flask, "9001"], 9001),
        ("node", Some("node"), vec!["-e", node, "9002"], 9002),
        ("goserver", go, vec!["127.0.0.1:9003"], 9003),
        ("nginx", Some("nginx"), vec!["-p", &folder, "-c", "nginx.conf"], 9004),
    ] {
        let Some(program) = program.filter(|program| has(program)) else { continue };
        let mut command = net.command(0, program);
        command.args(arguments);
        let _server = Running::start(command);
        let capture = net.leaktap(0, &["capture", "-v", "--format", "ndjson", "--tls", "--reveal"]);
        capture.said(|line| line.contains(": capturing on "));
        let key = key();
        let url = format!("https://127.0.0.1:{port}/ok?api_key={key}");
        let begun = Instant::now();
        // Until the server listens.
        loop {
            let done = net.command(0, client.to_str().unwrap()).arg(&url).output().unwrap();
            if done.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {said}");
        }
        let leak = leak_of(&capture, &key);
        check(&leak, port, name);
        let process = &leak["process"];
        let server = if process["end"] == "server" { process } else { &process["peer"] };
        assert_eq!((&server["name"], &server["end"]), (&name.into(), &"server".into()), "{name}: {leak}");
        assert_eq!(capture.end().0, 0, "{name}");
    }
}

#[test]
fn what_the_wire_carries_too_is_told_once() {
    let Some(net) = prepared() else { return };
    const PORT: u16 = 8444;
    let _server = server(&net, PORT);
    let capture = net.capture(0, &["-i", "lo", "--tls", "--reveal"]);
    let (key, header) = (key(), key());
    let url = format!("https://127.0.0.1:{PORT}/ok?api_key={key}");
    let mut curl = net.command(0, "curl");
    curl.args(["-sk", "--noproxy", "*", "-H", &format!("Authorization: Bearer {header}"), &url]);
    assert!(curl.output().unwrap().status.success());
    let leak = leak_of(&capture, &key);
    check(&leak, PORT, "");
    let (code, rest, said) = capture.end();
    assert_eq!(code, 0, "{said}");
    let text = format!("{rest:?}");
    assert!(!text.contains(&key) && !text.contains(&header), "in a header it is where it belongs: {text}");
    let summary = rest.last().unwrap();
    assert_eq!(summary["protocols"]["tls"], 1, "the wire carried it encrypted: {summary}");
}

#[test]
fn the_command_of_run_is_read_and_nobody_else() {
    let Some(net) = prepared() else { return };
    const PORT: u16 = 8445;
    let _server = server(&net, PORT);
    let (mine, others) = (key(), key());
    let fetch = |key: &str| format!("curl -sk --noproxy '*' 'https://127.0.0.1:{PORT}/ok?api_key={key}'");
    net.write("others.sh", fetch(&others));
    let script = format!("echo go >begun; until test -e done; do sleep 0.05; done; {}", fetch(&mine));
    let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    command.args(["run", "--tls", "--reveal", "--fail-on", "high", "--sink", "ndjson:leaks.ndjson"]);
    command.args(["--", "sh", "-c", &script]).env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
    command.env("XDG_STATE_HOME", net.path("state"));
    let running = Running::start(command);
    running.said(|line| line.contains("--tls reads the clear text that the command sends"));
    let begun = Instant::now();
    while !net.path("begun").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    assert!(net.command(0, "sh").arg("others.sh").output().unwrap().status.success());
    net.write("done", "");
    // The leak is of the loopback, which lowers it to high.
    let code = running.code();
    let text = fs::read_to_string(net.path("leaks.ndjson")).unwrap();
    assert!(text.contains(&mine) && !text.contains(&others), "{text}");
    assert_eq!(code, 1, "{text}");
}

#[test]
fn programs_that_come_when_rights_were_given_up_are_read_and_nothing_stays() {
    let Some(net) = prepared() else { return };
    const PORT: u16 = 8446;
    let _server = server(&net, PORT);
    let Some(go) = go(&net, "lateclient", GO_CLIENT) else { return };
    let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
    command.args(["capture", "-v", "--format", "ndjson", "--tls", "--reveal"]);
    // As under sudo: it becomes the user who called it.
    command.env("SUDO_UID", "65534").env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
    let capture = Running::start(command);
    capture.said(|line| line.contains("given up: user 65534"));
    capture.said(|line| line.contains(": capturing on "));
    // `ip netns exec` becomes it.
    let (programs, links) = loaded(capture.id());
    assert!(programs.len() >= 4 && links.len() >= 4, "{programs:?} {links:?}");
    // What it found at the start grows by the program that is new.
    let begun = Instant::now();
    while loaded(capture.id()).1.len() <= links.len() {
        let mut client = net.command(0, go.to_str().unwrap());
        let done = client.arg(format!("https://127.0.0.1:{PORT}/warm")).output().unwrap();
        assert!(done.status.success());
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not watched");
    }
    let key = key();
    let mut client = net.command(0, go.to_str().unwrap());
    assert!(
        client.arg(format!("https://127.0.0.1:{PORT}/ok?api_key={key}")).output().unwrap().status.success()
    );
    let leak = leak_of(&capture, &key);
    check(&leak, PORT, "late");
    let (programs, links) = loaded(capture.id());
    assert_eq!(capture.end().0, 0);
    // The kernel frees them a little later.
    let begun = Instant::now();
    loop {
        let left: BTreeSet<u32> = ProgInfoIter::default().map(|program| program.id).collect();
        let tied: BTreeSet<u32> = LinkInfoIter::default().map(|link| link.id).collect();
        if programs.is_disjoint(&left) && links.is_disjoint(&tied) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "something stays loaded");
        std::thread::yield_now();
    }
}

/// The programs and attachments that a process holds, by the kernel's numbers.
fn loaded(pid: u32) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut programs, mut links) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u32>().ok()
        };
        programs.extend(value("prog_id:"));
        links.extend(value("link_id:"));
    }
    (programs, links)
}
