//! Settings: `leaktap.toml`, then `LEAKTAP_*`, then flags; the fingerprint key; help.

use super::*;

fn fingerprint(run: Run) -> String {
    run.ended(0).leaks()[0]["secret"]["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn the_later_layer_wins() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    let code = |variable: Option<&str>, flags: &[&str]| {
        let mut command = room.command(&[&["scan", "a.pcap"], flags].concat());
        if let Some(level) = variable {
            command.env("LEAKTAP_FAIL_ON", level);
        }
        Run::of(&mut command).code
    };
    let config = |name: &str, text: &str| room.write(name, text);
    assert_eq!(code(None, &[]), 0);
    config("home/.config/leaktap/leaktap.toml", "fail-on = \"critical\"\n");
    assert_eq!(code(None, &[]), 1, "the folder of the user");
    // One file is read: the one here.
    config("leaktap.toml", "confidence = \"high\"\n");
    assert_eq!(code(None, &[]), 0, "the folder here");
    config("leaktap.toml", "fail-on = \"high\"\nno-default-rules = true\nrules = [\"r.toml\"]\n");
    config(
        "r.toml",
        "[[rules]]\nid = \"key\"\nregex = '''(sk_live_\\w+)'''\nkeywords = [\"sk_live_\"]\nseverity = \"medium\"\n",
    );
    assert_eq!(code(None, &[]), 0);
    assert_eq!(code(Some("medium"), &[]), 1, "a variable over the file");
    assert_eq!(code(Some("medium"), &["--fail-on", "critical"]), 0, "a flag over the variable");
    assert_eq!(code(Some("critical"), &["--fail-on", "low"]), 1);
    config("other.toml", "fail-on = \"critical\"\n");
    assert_eq!(code(None, &["--config", "other.toml"]), 1, "the file that was asked for");
    assert_eq!(code(Some(""), &[]), 0, "an empty variable says nothing");
}

#[test]
fn wrong_settings_are_refused_with_their_place() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    for (text, message) in [
        ("severity = \"low\"\nfail_on = \"high\"\n", "leaktap.toml:2: unknown field `fail_on`"),
        ("\n\nseverity = \"grave\"\n", "leaktap.toml:3: unknown variant `grave`"),
        ("severity =\n", "leaktap.toml:1: "),
        (
            "sink = [\"xml:a\"]\n",
            "unknown format \"xml\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
        ),
    ] {
        room.write("leaktap.toml", text);
        let run = room.run(&["scan", "a.pcap"]).ended(2);
        assert!(run.err.contains(message), "{text}: {}", run.err);
        assert_eq!((run.out.as_str(), run.err.lines().count()), ("", 1), "{}", run.err);
    }
    fs::remove_file(room.path("leaktap.toml")).unwrap();
    for (name, value) in
        [("LEAKTAP_JOBS", "many"), ("LEAKTAP_SEVERITY", "grave"), ("LEAKTAP_REVEAL", "perhaps")]
    {
        let run = Run::of(room.command(&["scan", "a.pcap"]).env(name, value)).ended(2);
        assert!(run.err.contains(&format!("the variable {name}: ")), "{}", run.err);
    }
}

#[test]
fn variables_stand_for_flags() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    let flags =
        room.run(&["scan", "a.pcap", "--reveal", "--format", "table", "--color", "always"]).ended(0).out;
    let mut command = room.command(&["scan", "a.pcap"]);
    command.env("LEAKTAP_REVEAL", "1").env("LEAKTAP_FORMAT", "table").env("LEAKTAP_COLOR", "always");
    assert_eq!(Run::of(&mut command).ended(0).out, flags);
    let sinks = "ndjson:one,table:two";
    Run::of(room.command(&["scan", "a.pcap"]).env("LEAKTAP_SINK", sinks)).ended(0);
    assert!(room.path("one").exists() && room.path("two").exists());
}

#[test]
fn the_fingerprint_key_is_kept_in_the_state_folder() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    let with = |state: &str| {
        let mut command = room.command(&["scan", "a.pcap"]);
        fingerprint(Run::of(
            command.env_remove("LEAKTAP_FINGERPRINT_KEY").env("XDG_STATE_HOME", room.path(state)),
        ))
    };
    let first = with("one");
    let key = room.read("one/leaktap/fingerprint.key");
    assert_eq!(with("one"), first);
    assert_eq!(room.read("one/leaktap/fingerprint.key"), key);
    assert_ne!(with("two"), first);
    // Given to another machine it makes the same fingerprints; and the key of the tests makes others.
    let shared = Run::of(room.command(&["scan", "a.pcap"]).env("LEAKTAP_FINGERPRINT_KEY", key.trim()));
    assert_eq!(fingerprint(shared), first);
    assert_ne!(fingerprint(room.run(&["scan", "a.pcap"])), first);
    // Without XDG_STATE_HOME it is the default of its specification.
    let mut command = room.command(&["scan", "a.pcap"]);
    fingerprint(Run::of(command.env_remove("LEAKTAP_FINGERPRINT_KEY").env_remove("XDG_STATE_HOME")));
    assert!(room.path("home/.local/state/leaktap/fingerprint.key").exists());
}

#[test]
fn where_no_key_can_be_kept_one_is_made_and_said() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("file", "");
    let mut command = room.command(&["scan", "a.pcap"]);
    let run = Run::of(command.env_remove("LEAKTAP_FINGERPRINT_KEY").env("XDG_STATE_HOME", room.path("file")))
        .ended(0);
    assert_eq!(run.leaks().len(), 1);
    assert!(run.err.starts_with("leaktap: warning: fingerprints are of this run only"), "{}", run.err);
    let run = Run::of(room.command(&["scan", "a.pcap"]).env("LEAKTAP_FINGERPRINT_KEY", "")).ended(2);
    assert!(run.err.contains("LEAKTAP_FINGERPRINT_KEY: it is empty"), "{}", run.err);
}

#[test]
fn help_and_version_are_data() {
    let room = Room::new();
    let version = room.run(&["--version"]).ended(0);
    let lines: Vec<&str> = version.out.lines().collect();
    assert_eq!(lines[0], concat!("leaktap ", env!("CARGO_PKG_VERSION")));
    let pcap = if cfg!(feature = "pcap") { "+pcap" } else { "-pcap" };
    assert!(lines[1].starts_with("features: ") && lines[1].contains(pcap), "{}", version.out);
    assert!(
        lines[2].starts_with("formats: table ndjson json") && lines[4].starts_with("target: "),
        "{}",
        version.out
    );
    assert_eq!(room.run(&["-V"]).ended(0).out, concat!("leaktap ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = room.run(&["--help"]).ended(0);
    for word in ["Usage: leaktap", "scan", "rules", "Exit code: 0 ran", "Examples:"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    let scan = room.run(&["scan", "--help"]).ended(0);
    for flag in [
        "--severity",
        "--confidence",
        "--fail-on",
        "--filter",
        "--every",
        "--explain",
        "--sink",
        "--jobs",
        "--rules",
        "--no-default-rules",
        "--reveal",
        "--format",
        "--config",
        "--color",
        "--progress",
        "--quiet",
        "--verbose",
    ] {
        assert!(scan.out.contains(flag), "{flag}: {}", scan.out);
    }
    assert_eq!(help.err.clone() + &version.err + &scan.err, "");
    let wrong = room.run(&["scan", "a", "--serverity", "low"]).ended(2);
    assert!(wrong.out.is_empty() && wrong.err.contains("--severity"), "{}", wrong.err);
}
