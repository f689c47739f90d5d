//! `--backend ebpf`: interfaces that come later, flows that are left, connections that have the ends of such, nothing left behind.

use std::time::{Duration, Instant};

use super::net::{Net, Running};
use super::{STRIPE, leaking, ways};

fn net() -> Option<Net> {
    ways().contains(&"ebpf").then(Net::new).flatten()
}

fn capture(net: &Net, side: usize, arguments: &[&str]) -> Running {
    net.capture(side, &[&["--backend", "ebpf"], arguments].concat())
}

#[test]
fn interfaces_that_come_later_are_captured_on_without_other_rights() {
    let Some(net) = net() else { return };
    let _server = net.server(0);
    let capture = capture(&net, 0, &["-i", "any", "--user", "nobody", "--no-processes"]);
    net.ip(0, "link add later type veth peer name retal");
    for (link, last) in [("later", 3), ("retal", 4)] {
        net.ip(0, &format!("addr add 10.9.{last}.1/24 dev {link}"));
        net.ip(0, &format!("link set {link} up"));
    }
    // Out of `later`, as the neighbour's address is known; what it says is never answered.
    net.ip(0, "neigh add 10.9.3.7 lladdr 02:00:00:00:00:07 dev later");
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.sendto(b'GET /?api_key={STRIPE} HTTP/1.1\\r\\n', ('10.9.3.7', 5000))"
    );
    assert!(net.command(0, "python3").args(["-c", &script]).status().unwrap().success());
    let leak = capture.event("leak");
    assert_eq!((&leak["source"], &leak["rule"]), (&"any".into(), &"stripe-secret-key".into()), "{leak}");
    let (code, _, said) = capture.end();
    assert_eq!(code, 0, "{said}");
}

#[test]
fn an_interface_that_comes_back_is_captured_on_without_other_rights() {
    let Some(net) = net() else { return };
    let _far = net.server(1);
    let capture = capture(&net, 0, &["-i", "va", "--user", "nobody", "--no-processes"]);
    net.ip(0, "link set va down");
    capture.said(|line| line.contains("va is down: it is captured on again once it is back"));
    net.ip(0, "link set va up");
    capture.said(|line| line.contains("va is up: capturing on it"));
    net.curl(0, &[leaking("10.9.0.2")]);
    capture.event("leak");
    net.ip(0, "link del va");
    capture.said(|line| line.contains("va is gone: it is captured on again once it is back"));
    net.join();
    capture.said(|line| line.contains("va is up: capturing on it"));
    net.curl(0, &[leaking("10.9.0.2").replace("api_key", "other_key")]);
    capture.event("leak");
    assert_eq!(capture.end().0, 0);
}

/// Sends over one connection of fixed ends: what looks like TLS, then more of it; and over another one of the same ends a leak.
const TLS_THEN_CLEAR: &str = r"
import socket, struct, sys, time
server = socket.create_server(('10.9.0.1', 8080), backlog=8)
def talk(first, rest):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Each record is a frame.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # An RST ends it, so that the port is free at once.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.bind(('10.9.0.1', 51007))
    client.connect(('10.9.0.1', 8080))
    peer, _ = server.accept()
    client.sendall(first)
    time.sleep(0.6)
    for _ in range(40):
        client.sendall(rest)
        time.sleep(0.001)
    time.sleep(0.3)
    client.close()
    peer.close()
record = b'\x17\x03\x03\x04\x00' + b'\xa7' * 1024
if sys.argv[1] == 'tls':
    talk(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x5a' * 506, record)
else:
    talk(sys.argv[2].encode() + b' HTTP/1.1\r\nHost: a\r\n\r\n', b'')
";

#[test]
fn an_encrypted_flow_is_left_and_another_of_the_same_ends_is_not() {
    let Some(net) = net() else { return };
    let capture = capture(&net, 0, &["-i", "lo"]);
    let talk = |what: &[&str]| {
        let mut command = net.command(0, "python3");
        assert!(command.args(["-c", TLS_THEN_CLEAR]).args(what).status().unwrap().success());
    };
    talk(&["tls"]);
    talk(&["clear", &format!("GET /?api_key={STRIPE}")]);
    assert_eq!(capture.event("leak")["rule"], "stripe-secret-key");
    talk(&["tls"]);
    let (code, rest, said) = capture.end();
    let summary = rest.last().unwrap();
    assert_eq!((code, summary["protocols"]["tls"].as_u64()), (0, Some(2)), "{summary} {said}");
    let left = summary["not_inspected"]["kernel-left-flow"].as_u64().unwrap_or_default();
    assert!((70..=80).contains(&left), "{left} of 80 records were left: {summary}");
    assert_eq!((&summary["gaps"], &summary["drops"]), (&0.into(), &0.into()), "{summary}");
}

#[test]
fn datagrams_that_are_no_text_are_left_and_text_is_not() {
    let Some(net) = net() else { return };
    let capture = capture(&net, 0, &["-i", "lo"]);
    let script = format!(
        "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 51008))\n\
         for port, data in ((4433, b'\\xa7' * 1200), (5000, b'all is well ' * 90)):\n\
         \x20   for n in range(30):\n        s.sendto(data, ('127.0.0.1', port))\n        time.sleep(0.2 if n == 9 else 0)\n\
         s.sendto(b'GET /?api_key={STRIPE} HTTP/1.1\\r\\n', ('127.0.0.1', 5000))"
    );
    assert!(net.command(0, "python3").args(["-c", &script]).status().unwrap().success());
    assert_eq!(capture.event("leak")["rule"], "stripe-secret-key");
    let (code, rest, _) = capture.end();
    let summary = rest.last().unwrap();
    let left = summary["not_inspected"]["kernel-left-flow"].as_u64().unwrap_or_default();
    // It takes four to see, and whatever comes until they are seen; seldom a minute of the kernel's clock ends between.
    assert!(code == 0 && (15..=26).contains(&left), "{left} of 30 datagrams were left: {summary}");
}

#[test]
fn every_kind_of_frame_comes_up_whole() {
    let Some(net) = net() else { return };
    let capture = capture(&net, 0, &["-i", "lo", "--every"]);
    // A body that grows: each length of record has its turn, up to what offload makes of it.
    let script = format!(
        "import socket, threading\nserver = socket.create_server(('::1', 8080), family=socket.AF_INET6, backlog=64)\n\
         for n in list(range(1, 2000, 37)) + [4000, 8000, 16000, 30000, 60000]:\n\
         \x20   s = socket.create_connection(('::1', 8080))\n    p, _ = server.accept()\n\
         \x20   t = threading.Thread(target=lambda: [None for _ in iter(lambda: p.recv(65536), b'')])\n    t.start()\n\
         \x20   body = b'x' * n + b' api_key={STRIPE}'\n\
         \x20   s.sendall(b'POST /%d HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: %d\\r\\n\\r\\n' % (n, len(body)) + body)\n\
         \x20   s.close()\n    t.join()\n    p.close()"
    );
    assert!(net.command(0, "python3").args(["-c", &script]).status().unwrap().success());
    let (code, rest, said) = capture.end();
    let leaks = rest.iter().filter(|event| event["type"] == "leak").count();
    let summary = rest.last().unwrap();
    assert_eq!((code, leaks, summary["gaps"].as_u64()), (0, 60, Some(0)), "{summary} {said}");
}

/// How many programs there are at an interface: what comes in, what goes out.
fn programs(net: &Net, interface: &str) -> Vec<u32> {
    // bpf(2): BPF_PROG_QUERY, of BPF_TCX_INGRESS and BPF_TCX_EGRESS.
    let script = format!(
        "import ctypes, platform, socket, struct\ncall = 321 if platform.machine() == 'x86_64' else 280\n\
         ids = ctypes.create_string_buffer(256)\nfor kind in (46, 47):\n\
         \x20   attr = ctypes.create_string_buffer(struct.pack('IIIIQI', socket.if_nametoindex('{interface}'), kind, 0, 0, ctypes.addressof(ids), 64), 128)\n\
         \x20   assert ctypes.CDLL(None, use_errno=True).syscall(call, 16, attr, 128) == 0, ctypes.get_errno()\n\
         \x20   print(struct.unpack_from('I', attr, 24)[0])"
    );
    let output = net.command(0, "python3").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|count| count.parse().unwrap()).collect()
}

#[test]
fn nothing_is_left_behind() {
    let Some(net) = net() else { return };
    let queues = || net.command(0, "tc").args(["qdisc", "show"]).output().unwrap().stdout;
    let before = queues();
    let capture = capture(&net, 0, &["-i", "any"]);
    assert_eq!((programs(&net, "lo"), programs(&net, "va")), (vec![1, 0], vec![1, 1]));
    assert_eq!(capture.end().0, 0);
    assert_eq!((programs(&net, "lo"), programs(&net, "va")), (vec![0, 0], vec![0, 0]));
    assert_eq!(queues(), before);
}

#[test]
fn killed_in_the_middle_it_leaves_nothing_behind_either() {
    let Some(net) = net() else { return };
    let capture = capture(&net, 0, &["-i", "lo"]);
    assert_eq!(programs(&net, "lo"), [1, 0]);
    capture.signal("KILL");
    // It is waited for.
    drop(capture);
    let until = Instant::now() + Duration::from_secs(10);
    while programs(&net, "lo") != [0, 0] {
        assert!(Instant::now() < until, "the programs are still there");
    }
}
