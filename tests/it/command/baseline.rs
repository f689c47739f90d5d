//! `--baseline` and `--write-baseline`: what is known is not told, counted, and told again once it has expired.

use super::*;

fn captures_of(room: &Room) {
    room.write("one.pcap", leaking_file());
    room.write("two.pcap", capture(&two_leaks()));
}

fn redacted(run: &Run) -> Vec<String> {
    let text = |leak: &Value| leak["secret"]["redacted"].as_str().unwrap_or_default().to_owned();
    run.leaks().iter().map(text).collect()
}

#[test]
fn what_was_written_is_not_told_again() {
    let room = Room::new();
    captures_of(&room);
    let first = room
        .run(&["scan", "one.pcap", "--baseline", "known.toml", "--write-baseline", "--fail-on", "high"])
        .ended(1);
    assert_eq!(first.leaks().len(), 1, "it is told once more: {}", first.out);
    assert!(first.err.contains("the baseline known.toml: 1 entry more"), "{}", first.err);
    // The same leak in another capture; and another one, which is told.
    let known = &["--baseline", "known.toml", "--fail-on", "high"];
    let again = room.run(&[&["scan", "one.pcap"], &known[..]].concat()).ended(0);
    assert_eq!((again.leaks().len(), again.err.as_str()), (0, ""));
    assert_eq!(again.summary()["held_back"]["known"], 1);
    assert_eq!(again.summary()["leaks"], serde_json::json!({}));
    let other = room.run(&[&["scan", "two.pcap"], &known[..]].concat()).ended(1);
    assert_eq!(redacted(&other), ["sk_l…Kb9Hy".replace("Kb9", "b9")]);
    // Written again, it knows both, and nothing that was there is touched.
    let before = room.read("known.toml");
    room.run(&["scan", "two.pcap", "--baseline", "known.toml", "--write-baseline"]).ended(0);
    assert!(room.read("known.toml").starts_with(&before));
    assert_eq!(room.run(&[&["scan", "two.pcap", "one.pcap"], &known[..]].concat()).ended(0).leaks().len(), 0);
    // The number of workers does not matter.
    let one =
        room.run(&["scan", "two.pcap", "one.pcap", "--baseline", "known.toml", "--jobs", "1"]).ended(0).out;
    assert_eq!(
        room.run(&["scan", "two.pcap", "one.pcap", "--baseline", "known.toml", "--jobs", "3"]).ended(0).out,
        one
    );
}

#[test]
fn it_holds_hashes_only() {
    let room = Room::new();
    let run = room.run(&[
        "scan",
        &captures_text(),
        "--severity",
        "info",
        "--reveal",
        "--baseline",
        "known.toml",
        "--write-baseline",
    ]);
    let run = run.ended(0);
    let text = room.read("known.toml");
    let mut looked = 0;
    for leak in run.leaks() {
        let Some(value) = leak["secret"]["value"].as_str() else { continue };
        // Short ones (`admin`) may be a word of a path.
        if value.len() >= 8 {
            assert!(!text.contains(value), "{value}");
            looked += 1;
        }
        let redacted = leak["secret"]["redacted"].as_str().unwrap();
        assert!(!redacted.contains('…') || redacted == "…" || !text.contains(redacted), "{redacted}");
    }
    assert!(looked > 100, "{looked}");
    // Every leak of a real capture is known by what was written: nothing is told again.
    let again =
        room.run(&["scan", &captures_text(), "--severity", "info", "--baseline", "known.toml"]).ended(0);
    assert_eq!(again.leaks().len(), 0, "{}", again.out);
}

#[test]
fn entries_are_known_by_id_or_by_what_they_have_in_common() {
    let room = Room::new();
    captures_of(&room);
    let leak = room.run(&["scan", "one.pcap"]).leaks().remove(0);
    let (id, print) = (leak["id"].as_str().unwrap(), leak["secret"]["fingerprint"].as_str().unwrap());
    for (entry, told) in [
        (format!("id = \"{id}\""), 0),
        (
            format!(
                "fingerprint = \"{print}\"\nreason = \"a test key\"\nowner = \"payments\"\nexpires = 2999-01-01"
            ),
            0,
        ),
        ("rule = \"stripe-secret-key\"".to_owned(), 0),
        ("endpoint = \"api.example.com/v1/charges\"".to_owned(), 0),
        ("rule = \"stripe-secret-key\"\nendpoint = \"*.example.com/**\"".to_owned(), 0),
        ("rule = \"stripe-secret-key\"\nendpoint = \"other.example/**\"".to_owned(), 1),
        (format!("fingerprint = \"{print}\"\nexpires = 2020-01-01"), 1),
    ] {
        room.write("known.toml", format!("[[known]]\n{entry}\n"));
        let run = room.run(&["scan", "one.pcap", "--baseline", "known.toml"]).ended(0);
        assert_eq!(run.leaks().len(), told, "{entry}");
        let expired = run.err.contains("the baseline known.toml: 1 entry expired");
        assert_eq!(expired, entry.contains("2020"), "{}", run.err);
    }
    // What has expired and is written again holds again, and keeps its reason.
    room.write("known.toml", format!("[[known]]\nfingerprint = \"{print}\"\nrule = \"stripe-secret-key\"\nendpoint = \"api.example.com/*/charges\"\nreason = \"a test key\"\nexpires = 2020-01-01\n"));
    room.run(&["scan", "one.pcap", "--baseline", "known.toml", "--write-baseline"]).ended(0);
    let text = room.read("known.toml");
    assert!(
        text.contains("a test key") && !text.contains("2020") && text.matches("[[known]]").count() == 1,
        "{text}"
    );
    assert_eq!(room.run(&["scan", "one.pcap", "--baseline", "known.toml"]).ended(0).leaks().len(), 0);
}

#[test]
fn a_wrong_or_missing_baseline_is_refused_before_anything_is_written() {
    let room = Room::new();
    captures_of(&room);
    room.write("wrong.toml", "[[known]]\nfingerprint = \"made-up-and-secret\"\n");
    room.write("good.toml", "");
    for (arguments, message) in [
        (
            &["--baseline", "none.toml"][..],
            "cannot read the baseline none.toml: No such file or directory (os error 2) (--write-baseline makes it)",
        ),
        (&["--baseline", "wrong.toml"], "wrong.toml:2: the fingerprint is none: 64 hexadecimal digits"),
        (&["--write-baseline"], "--write-baseline does not say where to: give --baseline FILE too"),
        (
            &["--baseline", "good.toml", "--sink", "ndjson:good.toml"],
            "the sink ndjson:good.toml would overwrite the baseline",
        ),
        (&["--baseline", "one.pcap", "--write-baseline"], "cannot read the baseline one.pcap: "),
    ] {
        let run = room.run(&[&["scan", "one.pcap"], arguments].concat()).ended(2);
        assert!(run.err.contains(message), "{}", run.err);
        assert!(run.out.is_empty() && !run.err.contains("made-up-and-secret"), "{}", run.err);
    }
    let nowhere =
        room.run(&["scan", "one.pcap", "--baseline", "no/such/known.toml", "--write-baseline"]).ended(2);
    assert!(nowhere.err.contains("cannot write the baseline no/such/known.toml"), "{}", nowhere.err);
    assert_eq!(nowhere.leaks().len(), 1, "what was found is told");
}

#[test]
fn settings_name_it_and_another_key_is_said() {
    let room = Room::new();
    captures_of(&room);
    room.write("conf/leaktap.toml", "baseline = \"known.toml\"\n");
    room.run(&["scan", "one.pcap", "--config", "conf/leaktap.toml", "--write-baseline"]).ended(0);
    assert!(room.path("conf/known.toml").exists(), "its path counts from the file");
    assert_eq!(room.run(&["scan", "one.pcap", "--config", "conf/leaktap.toml"]).ended(0).leaks().len(), 0);
    let mut command = room.command(&["scan", "one.pcap"]);
    assert_eq!(Run::of(command.env("LEAKTAP_BASELINE", "conf/known.toml")).ended(0).leaks().len(), 0);
    let mut command = room.command(&["scan", "one.pcap", "--baseline", "conf/known.toml"]);
    let run = Run::of(command.env("LEAKTAP_FINGERPRINT_KEY", "the key of another machine")).ended(0);
    assert_eq!(run.leaks().len(), 1);
    assert!(run.err.contains("were made with another key and know nothing here"), "{}", run.err);
    // What did not leak any more is named where that is asked for.
    room.write("clean.pcap", capture(&clean()));
    let run = room.run(&["scan", "clean.pcap", "--baseline", "conf/known.toml", "-v"]).ended(0);
    assert!(run.err.contains("the baseline knows stripe-secret-key of the secret "), "{}", run.err);
    assert!(run.err.contains(" at api.example.com/*/charges, which did not leak"), "{}", run.err);
}
