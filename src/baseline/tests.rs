//! Baselines: what an entry knows, what a file may say, and that every change can be taken back.

use super::*;
use crate::model::event::{Event, Leak};

const ID: &str = "9f0c5d3a7be14f6688aa0b1c2d3e4f50";

fn print() -> String {
    "6b1e90d2".repeat(8)
}

/// As CONTRACT.md shows it.
fn leak() -> Leak {
    let text = format!(
        r#"{{"v":1,"type":"leak","id":"{ID}","time":"2026-11-22T05:22:00.123456789Z","rule":"stripe-secret-key",
        "title":"Stripe secret key","exposures":["query-string","cleartext"],"severity":"critical","confidence":"high",
        "cwe":["CWE-598"],"owasp":["API2:2023"],"surface":"request.query","name":"api_key",
        "secret":{{"redacted":"sk_l…9f2c","length":32,"fingerprint":"{}"}},
        "flow":{{"client":"10.0.0.1:51000","server":"10.0.0.2:80","transport":"tcp","protocol":"http/1.1","encrypted":false}},
        "http":{{"method":"GET","host":"api.example.com","target":"/v1/charges?api_key=sk_l…9f2c","status":200,"message":3}},
        "process":null,"source":"flask.pcap","frames":[17,21],"evidence":"GET /v1/charges","advice":null,"related":[]}}"#,
        print()
    );
    let Event::Leak(leak) = serde_json::from_str(&text).unwrap() else { panic!() };
    *leak
}

fn parse(text: &str) -> Baseline {
    file::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

fn knows(text: &str, leak: &Leak) -> bool {
    parse(text).knows(&Sighting::from(leak), leak.time).is_some()
}

#[test]
fn an_entry_knows_what_all_its_parts_fit() {
    let leak = leak();
    let print = print();
    for (entry, expected) in [
        (format!("id = \"{ID}\""), true),
        (format!("id = \"{}\"", ID.to_uppercase()), true),
        (format!("id = \"{}\"", ID.replace('9', "8")), false),
        ("rule = \"stripe-secret-key\"".into(), true),
        ("rule = \"stripe\"".into(), false),
        ("endpoint = \"api.example.com/*/charges\"".into(), true),
        ("endpoint = \"API.example.com/v1/charges\"".into(), true),
        ("endpoint = \"*.example.com/**\"".into(), true),
        ("endpoint = \"api.example.com\"".into(), false),
        ("endpoint = \"api.example.com/**\"\nname = \"API_KEY\"".into(), true),
        ("name = \"token\"".into(), false),
        (format!("fingerprint = \"{print}\""), true),
        (
            format!(
                "rule = \"stripe-secret-key\"\nendpoint = \"api.example.com/v1/charges\"\nfingerprint = \"{print}\""
            ),
            true,
        ),
        (format!("rule = \"other\"\nfingerprint = \"{print}\""), false),
        (format!("endpoint = \"other.example/**\"\nfingerprint = \"{print}\""), false),
        (format!("fingerprint = \"{}\"", print.replace('6', "7")), false),
    ] {
        assert_eq!(knows(&format!("[[known]]\n{entry}\n"), &leak), expected, "{entry}");
    }
    assert!(!knows("", &leak));
    // Without a secret no fingerprint fits.
    let bare = Leak { secret: None, ..leak };
    assert!(!knows(&format!("[[known]]\nfingerprint = \"{print}\"\n"), &bare));
    assert!(knows("[[known]]\nrule = \"stripe-secret-key\"\n", &bare));
}

#[test]
fn what_has_expired_is_told_again() {
    let leak = leak();
    // It leaked on 2026-11-22.
    for (day, expected) in
        [("2026-11-22", true), ("\"2026-11-22\"", true), ("2027-01-01", true), ("2026-11-21", false)]
    {
        let text = format!("[[known]]\nrule = \"stripe-secret-key\"\nexpires = {day}\n");
        assert_eq!(knows(&text, &leak), expected, "{day}");
    }
    // Another entry may still hold.
    let text = "[[known]]\nrule = \"stripe-secret-key\"\nexpires = 2020-01-01\n[[known]]\nrule = \"stripe-secret-key\"\n";
    assert_eq!(parse(text).knows(&Sighting::from(&leak), leak.time), Some(1));
}

#[test]
fn a_wrong_file_is_refused_with_its_line_and_without_its_values() {
    for (text, line, reason) in [
        ("[[known]]\nfingerprint = \"sk_live_made_up\"", 2, "the fingerprint is none"),
        ("[[known]]\nid = \"12\"", 2, "the id is none"),
        ("key = \"a\"\n\n[[known]]\n", 3, "the entry would know every leak"),
        ("[[known]]\nrule = \"a\"\nid = \"9f0c5d3a7be14f6688aa0b1c2d3e4f50\"", 1, "the id says it all"),
        ("[[known]]\nrule = 1", 2, "it must be a text in quotes"),
        ("[[known]]\nrule = \"\"", 2, "it is empty: leave it out"),
        ("[[known]]\nrule = \"a\"\nexpires = \"soon\"", 3, "write the day as in expires = 2026-12-31"),
        ("[[known]]\nrule = \"a\"\nexpires = 2026-12-31T00:00:00Z", 3, "write the day"),
        ("[[known]]\nrule = \"a\"\nsecret = \"sk_live_made_up\"", 3, "unknown field, expected one of `id`"),
        ("[[leaks]]\nrule = \"a\"", 1, "unknown field: only `key` and [[known]]"),
        ("known = 1", 1, "write `key = "),
        ("[[known]]\nrule = ", 2, ""),
    ] {
        let fault = file::parse(text).unwrap_err();
        assert_eq!(fault.line, line, "{text}: {fault:?}");
        assert!(fault.reason.starts_with(reason), "{text}: {fault:?}");
        assert!(!fault.reason.contains("made_up") && !fault.reason.contains('\n'), "{fault:?}");
    }
}

#[test]
fn every_change_can_be_taken_back_and_comments_stay() {
    let text = "# ours\nkey = \"0123456789abcdef\"\n\n[[known]] # the first\nrule = \"a\"   # by hand\nowner = \"ada\"\n\n[[known]]\nrule = \"b\"\n";
    let mut baseline = parse(text);
    assert_eq!(baseline.text(), text);
    let rule = |rule: &str| Entry { rule: Some(rule.into()), ..Entry::default() };
    assert!(baseline.add(rule("c")));
    assert!(!baseline.add(rule("c")), "it is there");
    assert!(!baseline.add(rule("a")), "it is there, and its owner stays");
    let dated =
        Entry { expires: "2027-01-01".parse().ok(), reason: Some("mended by then".into()), ..rule("a") };
    assert!(baseline.add(dated));
    assert_eq!(baseline.entries()[0].owner.as_deref(), Some("ada"));
    assert!(baseline.text().contains("rule = \"a\"   # by hand"), "{}", baseline.text());
    assert!(baseline.text().contains("expires = 2027-01-01"), "{}", baseline.text());
    assert_eq!(baseline.remove(0).unwrap().rule.as_deref(), Some("a"));
    assert!(baseline.remove(7).is_none());
    // What is written is what is read.
    let again = parse(&baseline.text());
    assert_eq!(again.entries(), baseline.entries());
    assert_eq!(again.entries().iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "c"]);

    assert!(matches!(baseline.undo(), Some(Change::Removed(0, _))));
    assert_eq!(parse(&baseline.text()).entries(), baseline.entries());
    assert!(baseline.text().contains("# by hand"));
    assert!(matches!(baseline.undo(), Some(Change::Renewed(0, _))));
    assert!(matches!(baseline.undo(), Some(Change::Added(entry)) if entry.rule.as_deref() == Some("c")));
    assert!(baseline.undo().is_none());
    assert_eq!(baseline.text(), text);
}

#[test]
fn a_screen_mutes_a_rule_an_endpoint_or_a_secret() {
    let leak = leak();
    let elsewhere = Leak {
        id: "41aa0000000000000000000000000001".into(),
        http: leak.http.clone().map(|mut http| {
            http.target = Some("/v1/refunds".into());
            http
        }),
        ..leak.clone()
    };
    let other_rule = Leak { id: "c0".repeat(16), rule: "generic-api-key".into(), ..leak.clone() };
    let other_secret = Leak {
        id: "c1".repeat(16),
        secret: leak.secret.clone().map(|mut secret| {
            secret.fingerprint = "00c2".repeat(16);
            secret
        }),
        ..elsewhere.clone()
    };
    for (what, expected) in [
        (Mute::Rule, [true, true, false, true]),
        (Mute::Endpoint, [true, false, true, false]),
        (Mute::Secret, [true, true, true, false]),
        (Mute::Leak, [true, false, false, false]),
    ] {
        let mut baseline = Baseline::default();
        assert!(baseline.add(Entry::muting(what, &leak)));
        let known = [&leak, &elsewhere, &other_rule, &other_secret]
            .map(|leak| baseline.knows(&Sighting::from(leak), leak.time).is_some());
        assert_eq!(known, expected, "{what:?}");
        let again = parse(&baseline.text());
        assert_eq!(again.entries(), baseline.entries());
        baseline.undo();
        assert!(baseline.knows(&Sighting::from(&leak), leak.time).is_none(), "{what:?}");
    }
    let bare = Leak { secret: None, ..leak };
    let entry = Entry::muting(Mute::Secret, &bare);
    assert_eq!(entry.to_string(), "stripe-secret-key at api.example.com/*/charges");
}

#[test]
fn a_file_of_another_key_is_recognised() {
    let (ours, theirs) = (FingerprintKey::new(b"one"), FingerprintKey::new(b"two"));
    let mut baseline = Baseline::default();
    assert!(baseline.is_of(&ours) && baseline.is_of(&theirs), "it is not said");
    baseline.seal(&ours);
    let again = parse(&baseline.text());
    assert!(again.is_of(&ours) && !again.is_of(&theirs));
    assert!(again.text().starts_with("# Leaks that are known"));
}

#[test]
fn it_is_written_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known.toml");
    let missing = Baseline::read(&path).unwrap_err().to_string();
    assert!(missing.ends_with("(--write-baseline makes it)"), "{missing}");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut baseline = Baseline::read(&path).unwrap();
    baseline.add(Entry { rule: Some("a".into()), ..Entry::default() });
    baseline.write(&path).unwrap();
    assert_eq!(Baseline::read(&path).unwrap().entries(), baseline.entries());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    assert!(baseline.write(&folder.path().join("no/such/known.toml")).is_err());
}
