//! The screen over live traffic, in network namespaces of its own, as root; elsewhere the test says why it is skipped.

use std::time::Duration;

use super::terminal::Terminal;
use crate::live::net::{Net, Running};

/// Made up.
const STRIPE: &str = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL";

/// A leak is on the screen within this time of the request's end (the word).
const SOON: Duration = Duration::from_secs(1);

const FLASK: &str = "\
import flask
app = flask.Flask('shop')
@app.get('/v1/charges')
def charges():
    return {'charges': []}
app.run('0.0.0.0', 8080)
";

#[test]
fn a_leak_of_a_real_client_is_on_the_screen_within_a_second() {
    let Some(net) = Net::new() else { return };
    let mut server = net.command(0, "python3");
    server.args(["-u", "-c", FLASK]);
    let flask = net.command(0, "python3").args(["-c", "import flask"]).output().unwrap();
    if !flask.status.success() {
        eprintln!("skipped: Python has no Flask (pip install flask)");
        return;
    }
    let server = Running::start(server);
    server.line(|line| line.contains("Serving Flask app"));
    server.said(|line| line.contains("Running on"));
    for way in ["ring", "pcap"] {
        for (interface, host) in [("lo", "127.0.0.1"), ("any", "10.9.0.1"), ("va", "10.9.0.1")] {
            let case = format!("{way} {interface}");
            let mut command = net.command(0, env!("CARGO_BIN_EXE_leaktap"));
            command.args(["watch", "-i", interface, "--backend", way, "--filter", "tcp port 8080"]);
            command.env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests");
            let mut terminal = Terminal::run(&command, 100, 30);
            terminal.shows("Listening on");
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
