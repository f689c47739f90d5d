//! Manners: completions, man pages, colours, how much is said, and that errors say what helps.

use super::*;

#[test]
fn completions_are_made_for_each_shell() {
    let room = Room::new();
    for (shell, mark) in [
        ("bash", "complete -F _leaktap"),
        ("zsh", "#compdef leaktap"),
        ("fish", "complete -c leaktap"),
        ("elvish", "edit:completion:arg-completer[leaktap]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let run = room.run(&["completions", shell]).ended(0);
        assert!(run.out.contains(mark) && run.out.contains("fail-on") && run.err.is_empty(), "{shell}");
    }
    // What bash itself makes of them.
    let script = room.run(&["completions", "bash"]).out;
    room.write("completion.bash", script);
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", "source completion.bash; COMP_WORDS=(leaktap sc); COMP_CWORD=1; _leaktap leaktap sc leaktap; echo ${COMPREPLY[@]}"])
        .current_dir(room.path(""))
        .output();
    if let Ok(output) = output {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "scan\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let wrong = room.run(&["completions", "tcsh"]).ended(2);
    assert!(wrong.err.contains("tcsh"), "{}", wrong.err);
}

#[test]
fn every_command_has_a_man_page() {
    let room = Room::new();
    // Whatever is wrong with the settings.
    room.write("leaktap.toml", "severity = \"grave\"\n");
    let page = room.run(&["man"]).ended(0).out;
    for part in [
        ".TH leaktap 1",
        "SH NAME",
        "SH SYNOPSIS",
        "SH OPTIONS",
        "SH SUBCOMMANDS",
        "SH ENVIRONMENT",
        "LEAKTAP_FAIL_ON",
        "NO_COLOR",
        "SH FILES",
        "Exit code",
    ] {
        assert!(page.contains(part), "{part}");
    }
    room.run(&["man", "--output", "pages"]).ended(0);
    let names: Vec<String> = fs::read_dir(room.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in [
        "leaktap.1",
        "leaktap-scan.1",
        "leaktap-capture.1",
        "leaktap-report.1",
        "leaktap-redact.1",
        "leaktap-rules.1",
        "leaktap-rules-check.1",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    // What man itself makes of them, where it is there.
    let Ok(output) = std::process::Command::new("man")
        .env("MANWIDTH", "100")
        .args(["--warnings", "-l"])
        .arg(room.path("pages/leaktap-scan.1"))
        .output()
    else {
        return;
    };
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("leaktap scan") && text.contains("--fail-on"), "{text}");
    }
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    let out = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = room.command(&[&["scan", "a.pcap", "--format", "table"], flags].concat());
        Run::of(command.envs(variables.iter().copied())).ended(0).out.contains('\u{1b}')
    };
    assert!(!out(&[], &[]), "into a pipe");
    assert!(out(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!out(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(out(&["--color", "always"], &[("NO_COLOR", "1")]), "a flag says it for this run");
    assert!(!out(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    let help = Run::of(room.command(&["--help"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")).ended(0);
    assert!(!help.out.contains('\u{1b}'), "{}", help.out);
}

#[test]
fn as_much_is_said_as_was_asked_for_and_no_pager_comes() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("folder/a.pcap", leaking_file());
    room.write("folder/text", "no capture");
    let said = |flags: &[&str]| {
        let mut command = room.command(&[&["scan", "folder"], flags].concat());
        Run::of(command.env("PAGER", "false").env("LEAKTAP_FINGERPRINT_KEY", "made up")).ended(0)
    };
    assert_eq!(said(&["-q"]).err, "");
    assert_eq!(said(&[]).err, "leaktap: warning: skipped 1 file that is no capture (-v names it)\n");
    assert!(said(&["-v"]).err.contains("skipped folder/text: it is no capture"));
    assert!(said(&["-q"]).out == said(&["-vv"]).out, "what is data does not depend on it");
    // An error is said however quiet.
    let error = room.run(&["scan", "none.pcap", "-q"]).ended(2);
    assert!(error.err.starts_with("leaktap: error: "), "{}", error.err);
    let help = Run::of(room.command(&["scan", "--help"]).env("PAGER", "false")).ended(0);
    assert!(help.out.contains("Usage: leaktap scan"));
}

/// What was done wrong, and the words that help.
#[test]
fn errors_say_what_helps() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write("empty", "");
    for (arguments, hint) in [
        (&["scna", "a.pcap"][..], "scan"),
        (&["scan", "a.pcap", "--serverity", "high"], "--severity"),
        (&["scan", "a.pcap", "--severity", "grave"], "critical"),
        (&["scan", "a.pcap", "--format", "xml"], "known are: table, ndjson"),
        (&["scan", "a.pcap", "--sink", "html"], "write FORMAT:FILE"),
        (&["scan", "empty"], "pcap and pcapng are read, also as .gz and .zst"),
        (&["scan", "a.pcap", "--jobs", "0"], "outside 1 to 64"),
        (&["scan", "a.pcap", "--baseline", "none"], "--write-baseline makes it"),
        (&["scan", "a.pcap", "--write-baseline"], "give --baseline FILE too"),
        (&["scan", "a.pcap", "--filter", "tcp prot 80"], "tcp prot 80"),
        (&["scan", "a.pcap", "--sink", "ndjson:a.pcap"], "would overwrite the input a.pcap"),
        (&["capture", "-i", "lo", "--duration", "soon"], "write a number and s, m, h or d"),
        (&["redact", "-", "-o", "x"], "write it to a file first"),
        (&["report", "none.ndjson"], "none.ndjson"),
        (&["rules", "show", "stripe"], "stripe"),
    ] {
        let run = room.run(arguments).ended(2);
        assert!(run.err.contains(hint), "{arguments:?}: {}", run.err);
    }
}
