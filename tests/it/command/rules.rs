//! `leaktap rules`: list, show, check, test; and rule files as the settings bring them in.

use super::*;

/// A rule file with a rule of its own; the key of its examples is made up.
const SHED: &str = r#"
[[rules]]
id = "shed-key"
description = "Shed key"
regex = '''\b(shed_[0-9a-z]{16})\b'''
keywords = ["shed_"]
severity = "high"
confidence = "high"
checks = ["not-placeholder", "entropy>=3.0"]
advice = "Change the lock."
[rules.examples]
leak = ["X-Key: shed_q7w2e9r4t6y1u8i3"]
fine = ["X-Key: shed_xxxxxxxxxxxxxxxx"]
"#;

/// As gitleaks' configurations are written.
const GITLEAKS_SHAPED: &str = r#"
title = "made up"
[extend]
useDefault = true
disabledRules = ["generic-api-key"]

[allowlist]
description = "of all rules"
paths = ['''vendor/''']
stopwords = ["madeuptoken"]

[[rules]]
id = "shed-token"
description = "Shed token"
regex = '''(?i)shed[_-]?token["'\s:=]{1,5}([a-z0-9]{20})\b'''
secretGroup = 1
entropy = 3.2
keywords = ["shed_token", "shed-token"]
tags = ["key"]
[[rules.allowlists]]
regexTarget = "match"
regexes = ['''sample''']
"#;

fn exchange_of(head: &str) -> Vec<u8> {
    let connection = Connection::example(8080).handshake().to_server(format!("{head}\r\n\r\n").as_bytes());
    capture(&connection.to_client(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").finish().frames())
}

fn rule_ids(run: &Run) -> Vec<String> {
    run.leaks().iter().map(|leak| leak["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_rules_in_force_are_listed() {
    let room = Room::new();
    let listed = room.run(&["rules", "list"]).ended(0).events();
    assert!(listed.len() > 100, "{}", listed.len());
    let stripe = listed.iter().find(|rule| rule["id"] == "stripe-secret-key").unwrap();
    assert_eq!((&stripe["severity"], &stripe["surfaces"]), (&"critical".into(), &serde_json::json!(["any"])));
    let array: Vec<Value> =
        serde_json::from_str(&room.run(&["rules", "list", "--format", "json"]).ended(0).out).unwrap();
    assert_eq!(array, listed);
    let table = room.run(&["rules", "list", "--format", "table"]).ended(0).out;
    assert!(table.lines().next().unwrap().starts_with("ID "), "{table}");
    assert!(table.ends_with(&format!("{} rules\n", listed.len())));
    room.write("shed.toml", SHED);
    let run = room.run(&["rules", "list", "--rules", "shed.toml"]).ended(0);
    assert_eq!(run.events().len(), listed.len() + 1);
    let alone = room.run(&["rules", "list", "--rules", "shed.toml", "--no-default-rules"]).ended(0).events();
    assert_eq!((alone.len(), &alone[0]["id"]), (1, &"shed-key".into()));
}

#[test]
fn one_rule_is_shown_whole() {
    let room = Room::new();
    room.write("shed.toml", SHED);
    let show =
        |arguments: &[&str]| room.run(&[&["rules", "show"], arguments, &["--rules", "shed.toml"]].concat());
    let rule: Value = serde_json::from_str(&show(&["shed-key"]).ended(0).out).unwrap();
    for (key, value) in [
        ("title", serde_json::json!("Shed key")),
        ("keywords", serde_json::json!(["shed_"])),
        ("checks", serde_json::json!(["not-placeholder", "entropy>=3"])),
        ("advice", serde_json::json!("Change the lock.")),
        ("file", serde_json::json!("shed.toml")),
        ("line", serde_json::json!(3)),
    ] {
        assert_eq!(rule[key], value, "{key}");
    }
    let table = show(&["shed-key", "--format", "table"]).ended(0).out;
    assert!(table.contains("Shed key\n") && table.contains("shed.toml:3"), "{table}");
    let unknown = show(&["shed-kye"]).ended(2);
    assert!(unknown.err.contains("no rule is called \"shed-kye\"; there are shed-key"), "{}", unknown.err);
    assert_eq!(unknown.out, "");
}

#[test]
fn rule_files_are_checked_with_their_examples() {
    let room = Room::new();
    let shipped = room.run(&["rules", "check"]).ended(0).out;
    assert!(shipped.ends_with("examples: all fine\n"), "{shipped}");
    room.write("shed.toml", SHED);
    assert_eq!(room.run(&["rules", "check", "shed.toml"]).ended(0).out, "1 rule, 2 examples: all fine\n");
    room.write(
        "wrong/a.toml",
        SHED.replace("X-Key: shed_q7", "X-Key: barn_q7")
            .replace("shed_xxxxxxxxxxxxxxxx", "shed_p0o9i8u7y6t5r4e3"),
    );
    room.write("wrong/b.toml", "[[rules]]\nid = \"b\"\nregex = '''(['''\n");
    let run = room.run(&["rules", "check", "wrong/a.toml"]).ended(2);
    assert_eq!(
        run.out,
        "wrong/a.toml:3: shed-key: does not find its own example: \"X-Key: barn_q7w2e9r4t6y1u8i3\"\n\
         wrong/a.toml:3: shed-key: finds what it calls fine: \"X-Key: shed_p0o9i8u7y6t5r4e3\"\n2 faults\n"
    );
    let folder = room.run(&["rules", "check", "wrong"]).ended(2);
    assert!(folder.out.contains("wrong/b.toml:3: b: regex: "), "{}", folder.out);
    assert_eq!(room.run(&["rules", "check", "none.toml"]).ended(2).code, 2);
}

#[test]
fn a_wrong_rule_file_is_refused_whole_before_anything_is_read() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    for (text, place, reason) in [
        (SHED.replace("entropy>=3.0", "entropi>=3.0"), "r.toml:9: shed-key: ", "unknown check `entropi`"),
        (SHED.replace("severity", "severe"), "r.toml:7: shed-key: ", "unknown key `severe`"),
        (
            SHED.replace("\"high\"\nconf", "\"grave\"\nconf"),
            "r.toml:7: shed-key: ",
            "\"grave\" is none of info",
        ),
        (SHED.replace("(shed_", "((shed_"), "r.toml:5: shed-key: ", "regex: "),
        (SHED.replace("id = ", "name = "), "r.toml:2: ", "a rule without `id`"),
        (format!("{SHED}{SHED}"), "r.toml:16: shed-key: ", "the id is used twice, first in line 3"),
        (SHED.replace("keywords = [", "keywords = "), "r.toml:6: ", "TOML: "),
    ] {
        room.write("r.toml", &text);
        let run =
            room.run(&["scan", "a.pcap", "none.pcap", "--rules", "r.toml", "--sink", "ndjson:out"]).ended(2);
        assert_eq!(run.out, "", "nothing is read: {place}");
        assert!(!room.path("out").exists(), "no sink is opened");
        assert!(run.err.contains(place) && run.err.contains(reason), "{place}{reason}\n{}", run.err);
        assert!(!run.err.contains("none.pcap"), "{}", run.err);
    }
}

#[test]
fn rules_of_the_user_find_what_they_say() {
    let room = Room::new();
    room.write("a.pcap", exchange_of("GET /x?lock=shed_q7w2e9r4t6y1u8i3 HTTP/1.1\r\nHost: h.example"));
    room.write("shed.toml", SHED);
    assert!(!rule_ids(&room.run(&["scan", "a.pcap"]).ended(0)).contains(&"shed-key".to_owned()));
    let run = room.run(&["scan", "a.pcap", "--rules", "shed.toml"]).ended(0);
    assert_eq!(rule_ids(&run), ["shed-key"]);
    assert_eq!(run.leaks()[0]["title"], "Shed key");
    assert_eq!(run.leaks()[0]["advice"], "Change the lock.");
    room.write("rules/deep/shed.toml", SHED);
    room.write("rules/readme.md", "no rules");
    assert_eq!(rule_ids(&room.run(&["scan", "a.pcap", "--rules", "rules"]).ended(0)), ["shed-key"]);
}

#[test]
fn a_gitleaks_configuration_loads_unchanged() {
    let room = Room::new();
    room.write("gitleaks.toml", GITLEAKS_SHAPED);
    let with = |head: &str| {
        room.write("a.pcap", exchange_of(head));
        rule_ids(&room.run(&["scan", "a.pcap", "--rules", "gitleaks.toml"]).ended(0))
    };
    let host = "HTTP/1.1\r\nHost: h.example";
    assert_eq!(
        with(&format!("GET /x?q=1 {host}\r\nX-Note: shed_token=q7w2e9r4t6y1u8i3o5p0")),
        ["shed-token"]
    );
    assert!(with(&format!("GET /x?q=1 {host}\r\nX-Note: sample shed_token=aaaaaaaaaaaaaaaaaaaa")).is_empty());
    assert!(with(&format!("GET /x?q=1 {host}\r\nX-Note: shed_token=madeuptoken7w2e9r4t6")).is_empty());
    let check = room.run(&["rules", "check", "gitleaks.toml"]).ended(0);
    assert_eq!(check.out, "1 rule, 0 examples: all fine\n");
}

#[test]
fn a_betterleaks_configuration_loads_unchanged() {
    let room = Room::new();
    room.write(
        "better.toml",
        r#"
title = "betterleaks config"
minVersion = "v2.0.0"
prefilter = '''
matchesAny(attributes["path"], [`\.lock$`])
'''
filter = '''
(matchesAny(finding["secret"], [`(?i)^true|false|null$`]) || containsAny(finding["secret"], ["madeup"]))
'''
[[rules]]
id = "shed-secret"
description = "Secret of a shed"
regex = '''(?i)shed_secret=(\w)([a-z0-9]{16})'''
valueGroup = 2
confidence = "high"
keywords = ["shed_secret"]
components = [ { id = "shed-id", within = "5L" }, { id = "shed-colour", optional = true } ]
validate = '''
let r = http.get("https://shed.example/" + finding["secret"]); r.status == 200 ? {"result": "valid"} : validate.unknown(r)
'''
filter = '''
entropy(finding["secret"]) < 2.5 || tokenRatio(finding["secret"]) >= 2.5
'''
[[rules]]
id = "shed-id"
description = "Id of a shed"
regex = '''(?i)shed_id=(\d{6})'''
keywords = ["shed_id"]
skipReport = true
"#,
    );
    for query in
        ["shed_secret=xq7w2e9r4t6y1u8i3&shed_id=482915", "shed_id=482915&shed_secret=xq7w2e9r4t6y1u8i3"]
    {
        room.write("a.pcap", exchange_of(&format!("POST /x HTTP/1.1\r\nHost: h.example\r\nX-Note: {query}")));
        room.run(&["rules", "import", "better.toml", "-o", "mine"]).ended(0);
        for rules in ["better.toml", "mine"] {
            let run =
                room.run(&["scan", "a.pcap", "--reveal", "--no-default-rules", "--rules", rules]).ended(0);
            assert_eq!(rule_ids(&run), ["shed-secret"], "{rules} {query}");
            let leak = &run.leaks()[0];
            assert_eq!(leak["secret"]["value"], "q7w2e9r4t6y1u8i3");
            assert_eq!(leak["confidence"], "high");
        }
        fs::remove_dir_all(room.path("mine")).unwrap();
    }
    for (without, query) in [
        ("the id", "shed_secret=xq7w2e9r4t6y1u8i3"),
        ("entropy", "shed_secret=xaaaaaaaaaaaaaaaa&shed_id=482915"),
        ("what the filter lets through", "shed_secret=xmadeupr4t6y1u8i3&shed_id=482915"),
    ] {
        room.write("a.pcap", exchange_of(&format!("POST /x HTTP/1.1\r\nHost: h.example\r\nX-Note: {query}")));
        let run = room.run(&["scan", "a.pcap", "--no-default-rules", "--rules", "better.toml"]).ended(0);
        assert!(rule_ids(&run).is_empty(), "without {without}: {}", run.out);
    }
}

#[test]
fn a_later_file_overrides_a_rule_by_its_id() {
    let room = Room::new();
    room.write("a.pcap", leaking_file());
    room.write(
        "mine.toml",
        "[[rules]]\nid = \"stripe-secret-key\"\ndescription = \"Ours\"\nregex = '''(sk_live_\\w{24})'''\nkeywords = [\"sk_live_\"]\nseverity = \"low\"\nspecificity = 50\n",
    );
    let run = room.run(&["scan", "a.pcap", "--rules", "mine.toml", "--fail-on", "medium"]).ended(0);
    let leaks = run.leaks();
    assert_eq!(leaks.len(), 1);
    assert_eq!((&leaks[0]["title"], &leaks[0]["severity"]), (&"Ours".into(), &"low".into()));
}

#[test]
fn a_text_is_tried() {
    let room = Room::new();
    room.write("shed.toml", SHED);
    let text = "nothing here\nX-Key: shed_q7w2e9r4t6y1u8i3\nX-Key: shed_xxxxxxxxxxxxxxxx\n\
                see https://h.example/p?lock=shed_m3n8b5v2c7x4z1l6\nLOCK = \"shed_k9j4h7g2f5d8s3a6\"\n";
    let test = ["rules", "test", "-", "--rules", "shed.toml", "--no-default-rules"];
    let run = Run::of(room.command(&test).write_stdin(text)).ended(0);
    assert_eq!(
        run.out,
        "line 2: shed-key (high, high confidence) in request.header X-Key: she…8i3\n\
         line 4: shed-key (high, high confidence) in request.query lock: she…1l6\n\
         line 5: shed-key (high, high confidence) in request.body LOCK: she…3a6\n\
         line 3: shed-key suppressed in request.header X-Key: she…xxx: placeholder: it says so\n3 matches, 1 suppressed\n"
    );
    assert_eq!(run.err, "");
    let shown = Run::of(room.command(&[&test[..], &["--reveal"]].concat()).write_stdin(text)).ended(0);
    assert!(shown.out.contains("X-Key: shed_q7w2e9r4t6y1u8i3\n"), "{}", shown.out);
    room.write("note.txt", "nothing here\n");
    assert_eq!(room.run(&["rules", "test", "note.txt"]).ended(0).out, "0 matches, 0 suppressed\n");
    assert!(room.run(&["rules", "test", "none.txt"]).ended(2).err.contains("cannot read none.txt"));
}

#[test]
fn a_capture_is_tried_and_what_was_suppressed_is_said() {
    let room = Room::new();
    room.write("shed.toml", SHED);
    room.write(
        "a.pcap",
        exchange_of(
            "GET /x?lock=shed_q7w2e9r4t6y1u8i3&old=shed_xxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: h.example\r\nX-Key: shed_aaaaaaaaaaaaaabb",
        ),
    );
    let run = room.run(&["rules", "test", "a.pcap", "--rules", "shed.toml", "--no-default-rules"]).ended(0);
    assert!(run.out.contains("HIGH  Shed key  she…8i3"), "{}", run.out);
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(
        lines.contains(&"shed-key suppressed in request.query old: she…xxx: placeholder: it says so"),
        "{}",
        run.out
    );
    assert!(
        lines.iter().any(|line| line.starts_with("shed-key suppressed in request.header X-Key: she…abb: ")),
        "{}",
        run.out
    );
    assert_eq!(lines.last(), Some(&"2 suppressed"));
    assert!(!run.out.contains("shed_q7w2"), "{}", run.out);
    // A damaged capture is told like any other.
    let whole = fs::read(room.path("a.pcap")).unwrap();
    room.write("cut.pcap", &whole[..whole.len() - 5]);
    let run = room.run(&["rules", "test", "cut.pcap"]).ended(2);
    assert!(run.err.contains("cut.pcap is damaged at byte "), "{}", run.err);
}

#[test]
fn a_gitleaks_configuration_is_imported() {
    let room = Room::new();
    let configuration = "[[rules]]\nid = \"shed-key\"\nregex = '''\\b(shed_[a-z0-9]{16})\\b'''\nkeywords = [\"shed_\"]\n\
        [[rules]]\nid = \"shed-file\"\npath = '''shed\\.key$'''\n";
    room.write("shed.toml", configuration);
    let run = room.run(&["rules", "import", "shed.toml", "-o", "mine"]).ended(0);
    assert_eq!(run.out, "mine/shed.toml: 1 rule\n");
    assert!(run.err.contains("left out: shed-file: for paths alone"), "{}", run.err);
    room.run(&["rules", "check", "mine"]).ended(0);
    let printed = room.run(&["rules", "import", "shed.toml", "-o", "-"]).ended(0);
    assert_eq!(printed.out, fs::read_to_string(room.path("mine/shed.toml")).unwrap());
    room.write("a.pcap", exchange_of("GET /x?lock=shed_q7w2e9r4t6y1u8i3 HTTP/1.1\r\nHost: h.example"));
    for rules in ["shed.toml", "mine"] {
        let run = room.run(&["scan", "a.pcap", "--rules", rules, "--no-default-rules"]).ended(0);
        assert_eq!(rule_ids(&run), ["shed-key"], "{rules}");
    }
    // What is there is not written over; what is wrong is refused with its line.
    let run = room.run(&["rules", "import", "shed.toml", "-o", "mine"]).ended(2);
    assert!(run.err.contains("it exists"), "{}", run.err);
    room.write("wrong.toml", "[[rules]]\nid = \"a\"\nregex = '''('''\n");
    let run = room.run(&["rules", "import", "wrong.toml", "-o", "-"]).ended(2);
    assert!(run.err.contains("wrong.toml:3: a: "), "{}", run.err);
}

/// What an error lists behind `(there are`.
fn listed(said: &str) -> Vec<String> {
    let list = said.split_once("(there are ").unwrap().1.split_once(')').unwrap().0;
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_documentation_has_every_key_and_every_check() {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RULES.md")).unwrap();
    let (keys, checks) = guide.split_once("\n## Checks").unwrap();
    let documented = |part: &str| -> std::collections::BTreeSet<String> {
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        rows.map(|(name, _)| name.to_owned()).collect()
    };
    let room = Room::new();
    for (wrong, part) in [("nokey = 1", keys), ("checks = [\"nocheck\"]", checks)] {
        room.write("r.toml", format!("[[rules]]\nid = \"r\"\nregex = '''r'''\n{wrong}\n"));
        let run = room.run(&["rules", "list", "--rules", "r.toml"]).ended(2);
        let known = listed(&run.err).into_iter().collect();
        assert_eq!(documented(part), known, "{wrong}");
    }
    // The rule that the guide begins with is sound.
    let rule = guide.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    room.write("guide.toml", rule);
    let check = room.run(&["rules", "check", "guide.toml"]).ended(0);
    assert_eq!(check.out, "1 rule, 3 examples: all fine\n");
}
