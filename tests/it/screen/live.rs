//! The screen over live traffic, in network namespaces of its own, as root; elsewhere the test says why it is skipped.

use std::time::Duration;

use leaktap::source::memory::connection::Connection;

use super::terminal::Terminal;
use crate::live::net::Net;

/// Made up.
const STRIPE: &str = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL";

/// A leak is on the screen within this time of the request's end (the word).
const SOON: Duration = Duration::from_secs(1);

/// `watch` on an interface of a namespace, listening.
fn watch(net: &Net, side: usize, arguments: &[&str]) -> Terminal {
    let mut command = net.command(side, env!("CARGO_BIN_EXE_leaktap"));
    command.arg("watch").args(arguments).env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
    let mut terminal = Terminal::run(&command, 100, 30);
    terminal.shows("Listening on");
    terminal
}

#[test]
fn a_leak_of_a_real_client_is_on_the_screen_within_a_second() {
    let Some(net) = Net::new() else { return };
    let Some(_server) = net.flask(0) else { return };
    for way in ["ring", "pcap"] {
        for (interface, host) in [("lo", "127.0.0.1"), ("any", "10.9.0.1"), ("va", "10.9.0.1")] {
            let case = format!("{way} {interface}");
            let mut terminal =
                watch(&net, 0, &["-i", interface, "--backend", way, "--filter", "tcp port 8080"]);
            let side = usize::from(interface == "va");
            net.curl(side, &[format!("http://{host}:8080/v1/charges?api_key={STRIPE}")]);
            let took = terminal.shows("Stripe secret key");
            assert!(took <= SOON, "{case}: {took:?}");
            terminal.keys("4");
            let flow = format!("→ {host}:8080 ");
            terminal.wait("a flow", |screen| {
                screen.lines().any(|line| line.contains(&flow) && line.contains(" http/1.1 "))
            });
            terminal.keys("5");
            terminal.shows("Lost and not looked into");
            terminal.signal("TERM");
            assert!(terminal.end().success(), "{case}");
            assert!(terminal.is_sound(), "{case}");
        }
    }
}

#[test]
fn a_leak_within_a_vlan_is_on_the_screen_within_a_second() {
    let Some(net) = Net::new() else { return };
    let request = format!("GET /?api_key={STRIPE} HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    for way in ["ring", "pcap"] {
        let frames = Connection::new(([192, 0, 2, 10], 51_000).into(), ([192, 0, 2, 80], 8080).into())
            .handshake()
            .to_server(request.as_bytes())
            .to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .finish()
            .frames();
        let mut terminal = watch(&net, 1, &["-i", "vb", "--backend", way]);
        net.send_tagged(&frames);
        let took = terminal.shows("Stripe secret key");
        assert!(took <= SOON, "{way}: {took:?}");
        terminal.keys("q");
        assert!(terminal.end().success(), "{way}");
    }
}

#[test]
fn an_interface_that_goes_is_said_and_watched_again_when_it_is_back() {
    let Some(net) = Net::new() else { return };
    let _server = net.server(0);
    let mut terminal = watch(&net, 0, &["-i", "lo"]);
    net.ip(0, "link set lo down");
    terminal.shows("lo");
    terminal.wait("that it went", |screen| {
        screen.lines().last().is_some_and(|line| line.contains("captured on again once it is back"))
    });
    net.ip(0, "link set lo up");
    terminal.wait("that it is back", |screen| {
        screen.lines().last().is_some_and(|line| line.contains("capturing on it"))
    });
    net.curl(0, &[format!("http://127.0.0.1:8080/ok?api_key={STRIPE}")]);
    terminal.shows("Stripe secret key");
    terminal.keys("q");
    assert!(terminal.end().success());
}
