//! `leaktap watch` in a terminal: what it shows, what keys do, how it leaves the terminal.

mod live;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use terminal::Terminal;

/// A folder, and the program in it with nothing of this process' state.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leaktap"));
        command.args(arguments).current_dir(self.folder.path());
        command
            .env("LEAKTAP_FINGERPRINT_KEY", "the key of the tests")
            .env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    /// `watch` over a capture that comes with the project.
    fn watch(&self, capture: &str, arguments: &[&str]) -> Terminal {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(capture).join("input.pcap");
        fs::copy(file, self.path("input.pcap")).unwrap();
        Terminal::run(&self.command(&[&["watch", "-r", "input.pcap"], arguments].concat()), 100, 30)
    }
}

#[test]
fn a_capture_is_looked_at_from_the_list_to_the_secret_and_the_terminal_is_left_sound() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &[]);
    terminal.shows("Stripe secret key");
    terminal.wait("the end of the file", |screen| screen.contains("input.pcap · over"));
    terminal.keys("/stripe\r");
    terminal.shows("1 of ");
    terminal.keys("\r");
    terminal.shows("request, redacted: here it leaks");
    assert!(!terminal.text().contains("sk_live_"), "{}", terminal.text());
    terminal.keys("r");
    terminal.shows("Show this secret on the screen?");
    terminal.keys("r");
    terminal.shows("sk_live_");
    terminal.keys("r");
    terminal.wait("hidden", |screen| !screen.contains("sk_live_"));
    terminal.keys("qq");
    assert!(terminal.end().success());
    assert!(terminal.is_sound(), "{:?}", terminal.text());
}

#[test]
fn with_never_reveal_the_value_is_not_even_in_memory() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &["--never-reveal"]);
    terminal.shows("input.pcap · over");
    terminal.keys("/stripe\r\rrr");
    terminal.shows("--never-reveal");
    terminal.keys("qq");
    terminal.end();
    assert!(!String::from_utf8_lossy(&terminal.written).contains("sk_live_"));
}

#[test]
fn a_signal_and_a_suspension_leave_the_terminal_sound() {
    let room = Room::new();
    for signal in ["TERM", "INT"] {
        let mut terminal = room.watch("any-sll", &[]);
        terminal.shows("Stripe secret key");
        terminal.signal(signal);
        assert!(terminal.end().success(), "{signal}");
        assert!(terminal.is_sound(), "{signal}");
    }
    let mut terminal = room.watch("any-sll", &[]);
    terminal.shows("Stripe secret key");
    for stop in ["\x1a", "TSTP"] {
        match stop {
            "TSTP" => terminal.signal(stop),
            key => terminal.keys(key),
        }
        terminal.wait("its own page again", |screen| !screen.contains("Stripe secret key"));
        while !terminal.is_stopped() {
            std::thread::yield_now();
        }
        assert!(terminal.is_sound(), "{stop:?}");
        terminal.signal("CONT");
        terminal.shows("Stripe secret key");
        assert!(!terminal.is_sound(), "taken again");
    }
    terminal.keys("q");
    assert!(terminal.end().success());
    assert!(terminal.is_sound());
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &[]);
    terminal.shows("2 Secrets 2");
    for (columns, rows) in [(60, 15), (160, 50), (20, 5), (100, 30)] {
        terminal.resize(columns, rows);
        terminal.wait("a bottom line at the bottom", |screen| {
            screen.lines().nth(usize::from(rows) - 1).is_some_and(|line| line.contains("Enter open"))
        });
    }
    terminal.keys("q");
    assert!(terminal.end().success());
}

#[test]
fn what_is_muted_is_kept_in_the_baseline_and_scan_honours_it() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &["--baseline", "known.toml"]);
    terminal.shows("input.pcap · over");
    terminal.keys("/stripe\rmr");
    terminal.shows("Why?");
    terminal.keys("a test key until:2099-12-31\r");
    terminal.shows("muted stripe-secret-key");
    while !room.path("known.toml").exists() {
        std::thread::yield_now();
    }
    terminal.keys("q");
    assert!(terminal.end().success());
    let kept = fs::read_to_string(room.path("known.toml")).unwrap();
    assert!(kept.contains("reason = \"a test key\"") && kept.contains("expires = 2099-12-31"), "{kept}");
    let scan = room
        .command(&["scan", "input.pcap", "--format", "ndjson", "--baseline", "known.toml"])
        .output()
        .unwrap();
    let text = String::from_utf8(scan.stdout).unwrap();
    assert!(!text.contains("stripe-secret-key") && text.contains("\"known\":"), "{text}");
    let mut terminal = room.watch("any-sll", &["--baseline", "known.toml"]);
    terminal.shows("input.pcap · over");
    assert!(!terminal.text().contains("Stripe secret key"), "{}", terminal.text());
    terminal.keys("/muted:yes\r");
    terminal.shows("Stripe secret key");
    terminal.keys("q");
    assert!(terminal.end().success());
}

#[test]
fn exports_and_copies_leave_the_screen_redacted() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &[]);
    terminal.shows("input.pcap · over");
    terminal.keys("/stripe\rxn");
    terminal.shows("1 leak in leaks-1.ndjson");
    let line = fs::read_to_string(room.path("leaks-1.ndjson")).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["type"], &event["rule"]), (&"leak".into(), &"stripe-secret-key".into()));
    assert!(event["secret"]["value"].is_null());
    terminal.keys("yf");
    terminal.shows("copied");
    terminal.keys("q");
    terminal.end();
    let written = String::from_utf8_lossy(&terminal.written).into_owned();
    let copied = written.split("\x1b]52;c;").nth(1).and_then(|rest| rest.split('\x07').next()).unwrap();
    use base64::Engine as _;
    let copied = base64::engine::general_purpose::STANDARD.decode(copied).unwrap();
    assert_eq!(String::from_utf8(copied).unwrap(), event["secret"]["fingerprint"].as_str().unwrap());
}

#[test]
fn rules_are_read_again_when_their_file_changes_by_a_key_and_by_a_signal() {
    let room = Room::new();
    let rule = |id: &str| {
        format!(
            "[[rules]]\nid = \"{id}\"\ndescription = \"Made up\"\nregex = '''(mk_[a-z0-9]{{12}})'''\nkeywords = [\"mk_\"]\n"
        )
    };
    fs::write(room.path("rules.toml"), rule("first-rule")).unwrap();
    // Slow enough to be under way still.
    let mut terminal =
        room.watch("slow-sender", &["--rules", "rules.toml", "--no-default-rules", "--speed", "0.01"]);
    terminal.shows("input.pcap · 0.01×");
    fs::write(room.path("rules.toml"), rule("first-rule") + &rule("second-rule")).unwrap();
    terminal.shows("the rules were read again: 2 rules in force");
    fs::write(room.path("rules.toml"), "[[rules]]\nid = 7\n").unwrap();
    terminal.shows("the rules in force stay as they were");
    fs::write(room.path("rules.toml"), rule("third-rule")).unwrap();
    terminal.shows("the rules were read again: 1 rule in force");
    terminal.keys("5");
    terminal.shows("in force");
    for way in ["HUP", "R"] {
        terminal.keys("\x0c");
        match way {
            "HUP" => terminal.signal(way),
            key => terminal.keys(key),
        }
        terminal.shows("the rules were read again: 1 rule in force");
    }
    terminal.keys("q");
    let ended = terminal.end();
    assert!(ended.success(), "{ended}: {}", terminal.text());
}

#[test]
fn files_are_paused_and_go_on() {
    let room = Room::new();
    let mut terminal = room.watch("slow-sender", &["--speed", "0.01"]);
    terminal.shows("input.pcap · 0.01×");
    terminal.keys(" ");
    terminal.shows("input.pcap · paused");
    terminal.keys(" ");
    terminal.shows("input.pcap · 0.01×");
    terminal.keys("+++++++++++");
    terminal.shows("input.pcap · over");
    terminal.keys("q");
    assert!(terminal.end().success());
}

#[test]
fn leaks_reach_sinks_and_the_exit_code_too() {
    let room = Room::new();
    let arguments = ["--sink", "ndjson:leaks.ndjson", "--fail-on", "medium"];
    let mut terminal = room.watch("any-sll", &arguments);
    terminal.shows("input.pcap · over");
    terminal.keys("q");
    assert_eq!(terminal.end().code(), Some(1));
    let text = fs::read_to_string(room.path("leaks.ndjson")).unwrap();
    assert!(text.contains("stripe-secret-key") && text.contains("\"type\":\"summary\""), "{text}");
}

#[test]
fn what_cannot_be_done_is_said_before_the_screen_is_taken() {
    let room = Room::new();
    for (arguments, said) in [
        (&["watch", "-r", "no such file"][..], "cannot read no such file"),
        (&["watch", "-i", "no such interface"], "there is no such interface"),
        (&["watch", "-r", "-"], "standard input is the keyboard's here"),
        (&["watch", "--speed", "2"], "--speed is for files"),
        (&["watch", "-r", ".", "--sink", "ndjson:-"], "standard output is the screen's"),
    ] {
        let mut terminal = Terminal::run(&room.command(arguments), 100, 30);
        assert_eq!(terminal.end().code(), Some(2), "{arguments:?}");
        assert!(terminal.text().contains(said), "{arguments:?}: {}", terminal.text());
        assert!(!String::from_utf8_lossy(&terminal.written).contains("\x1b[?1049h"), "{arguments:?}");
    }
    let output = room.command(&["watch", "-r", "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("watch needs a terminal"));
}

#[test]
fn the_mouse_goes_where_it_points() {
    let room = Room::new();
    let mut terminal = room.watch("any-sll", &[]);
    terminal.shows("2 Secrets 2");
    // Pressed and let go, as terminals tell it (SGR).
    let click = |column: usize, row: usize| format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m");
    let text = terminal.text();
    let tabs = text.lines().nth(1).unwrap();
    let column = tabs.split("2 Secrets").next().unwrap().chars().count() + 2;
    terminal.keys(&click(column, 2));
    terminal.wait("the secrets", |screen| {
        screen.lines().nth(3).is_some_and(|line| line.contains("leaks") && line.contains("seen"))
    });
    terminal.keys(&click(2, 2));
    terminal
        .wait("the leaks", |screen| !screen.lines().nth(3).is_some_and(|line| line.contains("leaks   seen")));
    terminal.keys("q");
    assert!(terminal.end().success());
    assert!(terminal.is_sound());
}
