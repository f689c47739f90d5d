//! The rule engine as a whole: files in, matches out.

use std::borrow::Cow;

use proptest::prelude::*;

use super::load::from_text;
use super::*;
use crate::model::Surface;
use crate::model::message::Origin;

fn set(text: &str) -> RuleSet {
    from_text(text).unwrap_or_else(|error| panic!("{error}"))
}

fn field<'a>(surface: Surface, name: Option<&'a str>, value: &'a str) -> Field<'a> {
    Field::new(surface, name.map(Cow::Borrowed), Cow::Borrowed(value.as_bytes()), 0..value.len())
}

/// `rule: secret` of each match.
fn found(set: &RuleSet, field: &Field<'_>) -> Vec<String> {
    found_in(set, field, &Context::default())
}

fn found_in(set: &RuleSet, field: &Field<'_>, context: &Context<'_>) -> Vec<String> {
    let mut out = Vec::new();
    set.field(field, context, &mut out, None);
    out.iter()
        .map(|found| {
            let secret = String::from_utf8_lossy(&field.value[found.secret.clone()]).into_owned();
            format!("{}: {secret}", set.rule(found.rule).unwrap().text.id)
        })
        .collect()
}

fn why(set: &RuleSet, field: &Field<'_>) -> Vec<String> {
    let mut suppressed = Vec::new();
    set.field(field, &Context::default(), &mut Vec::new(), Some(&mut suppressed));
    suppressed.into_iter().map(|found| found.reason.into_owned()).collect()
}

const STRIPE: &str = r#"
[[rules]]
id = "stripe-secret-key"
description = "Stripe secret key"
regex = '''\b(sk_(?:live|test)_[0-9a-zA-Z]{24,247})\b'''
keywords = ["sk_live_", "sk_test_"]
severity = "critical"
confidence = "high"
checks = ["entropy>=3.0", "not-placeholder"]
cwe = ["CWE-798"]
specificity = 10
advice = "Roll the key."
references = ["https://docs.stripe.com/keys"]
[rules.examples]
leak = [
  "Authorization: Bearer sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ",
  "GET /v1/charges?api_key=sk_test_4eC9vQm2LzT8pWr5Xk7NbYcQ HTTP/1.1",
  '{"stripe": {"keys": ["sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ"]}}',
  "key=sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ",
]
fine = ["sk_live_your_key_here", "sk_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
"#;

const GENERIC: &str = r#"
[[rules]]
id = "generic-api-key"
names = '''(?i)api[_-]?key|secret|token'''
checks = ["entropy>=3", "length>=12", "not-placeholder", "not-word"]
severity = "medium"
[rules.examples]
leak = ["X-Api-Key: 9f8a7c6b5d4e3f2a1b0c", "api_key=9f8a7c6b5d4e3f2a1b0c", "Cookie: a=b; token=9f8a7c6b5d4e3f2a1b0c"]
fine = ["api_key=your_api_key", "page=9f8a7c6b5d4e3f2a1b0c"]
"#;

/// In the shape of gitleaks' own file.
const GITLEAKS: &str = r##"
title = "gitleaks config"
minVersion = "v8.25.0"

[allowlist]
description = "global allow lists"
regexes = ['''(?i)^true|false|null$''', '''^\$\{[a-z_]+}$''', '''{{x}}''']
paths = ['''\.lock$''']
stopwords = ["stopme"]

[[rules]]
id = "adobe-client-id"
description = "Detected a pattern that resembles an Adobe OAuth Web Client ID."
regex = '''(?i)[\w.-]{0,50}?(?:adobe)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([a-f0-9]{32})(?:[\x60'"\s;]|\\[nrt]|$)'''
entropy = 2
keywords = ["adobe"]
tags = ["client", "oauth"]

[[rules]]
id = "two-groups"
description = "The second group is the secret."
regex = '''two_(a|b)_([0-9]{6})\z'''
secretGroup = 2
keywords = ["two_"]
[[rules.allowlists]]
condition = "AND"
regexTarget = "match"
regexes = ['''^two_b''']
stopwords = ["999"]

[[rules]]
id = "a-file"
description = "Only a path"
path = '''(?i)\.p12$'''

[[rules]]
id = "composite"
description = "Needs another"
regex = '''comp_[a-z0-9]{16}'''
skipReport = true
[[rules.required]]
id = "adobe-client-id"
withinLines = 5
"##;

#[test]
fn a_gitleaks_file_loads_unchanged_and_finds_in_every_surface() {
    let set = set(GITLEAKS);
    let id = "3f9a1c7e5b2d8f604a6c1e9b7d3f5a28";
    let expected = [format!("adobe-client-id: {id}")];
    for (surface, name, value) in [
        (Surface::RequestQuery, Some("adobe_client_id"), id.to_owned()),
        (Surface::RequestHeader, Some("X-Adobe-Client"), id.to_owned()),
        (Surface::ResponseBody, Some("config.keys[0].adobeClientId"), id.to_owned()),
        (Surface::RequestBody, None, format!("adobe_id = \"{id}\"")),
        (Surface::RequestBody, None, format!("x=1&adobe_id={id}&y=2")),
        (Surface::ResponseBody, None, format!("<p>adobe={id}</p>")),
        (Surface::ResponseBody, None, format!("{} adobe: {id}", "filler text ".repeat(1000))),
    ] {
        assert_eq!(found(&set, &field(surface, name, &value)), expected, "{name:?} {value:.60}");
    }
    for (name, value, expected) in [
        (None, "two_a_123456", &["two-groups: 123456"][..]),
        (None, "two_b_123456", &["two-groups: 123456"]),
        (None, "two_b_999456", &[]),
        (None, "two_a_999456", &["two-groups: 999456"]),
        (Some("adobe"), "ffffffffffffffffffffffffffffffff", &[]),
        (Some("color"), id, &[]),
        (None, "comp_abcdefgh12345678", &[]),
    ] {
        assert_eq!(found(&set, &field(Surface::RequestBody, name, value)), expected, "{name:?} {value}");
    }
    assert_eq!(set.rule(set.named("adobe-client-id").unwrap()).unwrap().specificity, 5);
    assert_eq!(set.rule(set.named("composite").unwrap()).unwrap().requires, ["adobe-client-id"]);
}

/// `^true|false|null$` would drop what has `false` in it.
#[test]
fn the_global_allowlist_of_gitleaks_is_anchored() {
    let set = set(&format!(
        "{GITLEAKS}\n[[rules]]\nid = \"word\"\nregex = '''tok_([a-z0-9]+)'''\nkeywords = [\"tok_\"]"
    ));
    for (value, reasons) in
        [("tok_9falsek3", &[][..]), ("tok_false", &["on the allowlist"]), ("tok_stopme99", &["a stop word"])]
    {
        assert_eq!(why(&set, &field(Surface::RequestBody, None, value)), reasons, "{value}");
    }
}

#[test]
fn rules_hold_to_their_examples() {
    assert_eq!(set(&format!("{STRIPE}{GENERIC}")).check_examples(), []);
    let faults =
        set(&STRIPE.replace("\"sk_live_your_key_here\"", "\"sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ\"").replace(
            "\"Authorization: Bearer sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ\"",
            "\"Authorization: Bearer sk_live_4eC9\"",
        ))
        .check_examples();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "test.toml:3: stripe-secret-key: does not find its own example: \"Authorization: Bearer sk_live_4eC9\"",
            "test.toml:3: stripe-secret-key: finds what it calls fine: \"sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ\"",
        ]
    );
}

#[test]
fn the_more_specific_rule_wins_and_neighbours_stay() {
    let set = set(&format!("{STRIPE}{GENERIC}"));
    let key = "sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ";
    let as_query = field(Surface::RequestQuery, Some("api_key"), key);
    assert_eq!(found(&set, &as_query), [format!("stripe-secret-key: {key}")]);
    assert_eq!(why(&set, &as_query), ["stripe-secret-key is more specific"]);
    let second = "sk_test_Zz8Kq1Wv6Rt3Yp0Mn5Bx7Ld2";
    let text = format!("{key},{second}");
    assert_eq!(
        found(&set, &field(Surface::RequestBody, None, &text)),
        [format!("stripe-secret-key: {key}"), format!("stripe-secret-key: {second}")]
    );
    assert_eq!(
        why(&set, &field(Surface::RequestQuery, Some("api_key"), "aaaaaaaaaaaaaaaa")),
        ["entropy 0.0"]
    );
}

#[test]
fn names_are_matched_whole_and_by_their_innermost_part() {
    let set = set(
        "[[rules]]\nid = \"pin\"\nnames = '''(?i)^(?:pin|a\\.code)$'''\nkeywords = [\"pin\", \"code\"]\nchecks = [\"password\"]",
    );
    for (name, hit) in [
        ("pin", true),
        ("PIN", true),
        ("user.pin", true),
        ("users[3].pin", true),
        ("user[pin]", true),
        ("pin[0]", true),
        ("input.@pin", true),
        ("a.code", true),
        ("b.code", false),
        ("pin.b", false),
        ("pinned", false),
        ("spin", false),
    ] {
        let found = found(&set, &field(Surface::RequestBody, Some(name), " 4711 "));
        assert_eq!(found, if hit { vec!["pin: 4711"] } else { vec![] }, "{name}");
    }
    assert!(set.rules()[0].password);
    assert!(found(&set, &field(Surface::RequestBody, Some("pin"), "4711").from(Origin::Text)).is_empty());
    assert!(
        found(&set, &field(Surface::RequestBody, Some("pin"), "4711").from(Origin::User("basic"))).is_empty()
    );
}

#[test]
fn gates_let_in_by_origin() {
    let set = set(r#"
[[rules]]
id = "basic"
checks = ["scheme=basic|digest", "password"]
[[rules]]
id = "url-password"
checks = ["userinfo"]
surfaces = ["request.path", "response.header"]
[[rules]]
id = "shop-token"
regex = '''shop_[0-9]{4}'''
keywords = ["shop_"]
checks = ["scheme=bearer"]
"#);
    let header = |value| field(Surface::RequestHeader, Some("Authorization"), value);
    for (field, expected) in [
        (header("hunter2").from(Origin::Scheme("basic")), &["basic: hunter2"][..]),
        (header("abc").from(Origin::Scheme("digest")), &["basic: abc"]),
        (header("abc").from(Origin::Scheme("bearer")), &[]),
        (header("shop_1234").from(Origin::Scheme("bearer")), &["shop-token: shop_1234"]),
        (header("shop_1234"), &[]),
        (field(Surface::RequestPath, None, "hunter2").from(Origin::Userinfo), &["url-password: hunter2"]),
        (field(Surface::RequestQuery, Some("u"), "hunter2").from(Origin::Userinfo), &[]),
    ] {
        assert_eq!(found(&set, &field), expected, "{field:?}");
    }
}

#[test]
fn status_and_content_type_narrow() {
    let set = set(
        "[[rules]]\nid = \"a\"\nregex = '''err_[0-9]+'''\nkeywords = [\"err_\"]\nstatus = \"5xx\"\ncontent_types = [\"json\", \"html\"]",
    );
    for (surface, status, essence, hits) in [
        (Surface::ResponseBody, Some(500), "application/json", 1),
        (Surface::ResponseBody, Some(503), "text/html", 1),
        (Surface::ResponseBody, Some(200), "application/json", 0),
        (Surface::ResponseBody, None, "application/json", 0),
        (Surface::ResponseBody, Some(500), "text/plain", 0),
        (Surface::ResponseHeader, Some(500), "application/json", 0),
    ] {
        let context = Context { status, essence, path: "", now: None };
        assert_eq!(
            found_in(&set, &field(surface, None, "err_1"), &context).len(),
            hits,
            "{status:?} {essence}"
        );
    }
}

#[test]
fn structures_and_signals() {
    let set = set(r#"
[[rules]]
id = "python-traceback"
checks = ["python-traceback"]
[[rules]]
id = "werkzeug-secret"
regex = '''SECRET = "([A-Za-z0-9]{20})"'''
checks = ["werkzeug-debugger"]
[[rules]]
id = "smuggling"
checks = ["signal", "once-per-host"]
[[rules]]
id = "card"
regex = '''\b[0-9]{4}(?:[ -]?[0-9]{4}){3}\b'''
names = "card"
checks = ["luhn", "pii"]
"#);
    assert!(set.signal("smuggling").is_some());
    assert!(set.signal("card").is_none() && set.signal("none").is_none());
    let mut out = Vec::new();
    let trace = "500\nTraceback (most recent call last):\n  File \"/srv/app.py\", line 12, in index\n    x()\nKeyError: 'MONGO_URI'\n";
    set.field(&field(Surface::ResponseBody, None, trace), &Context::default(), &mut out, None);
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].kind, out[0].secret.len()), (Kind::Traceback, 0));
    assert_eq!(out[0].detail.as_deref(), Some("KeyError: 'MONGO_URI' at app.py:12 in index"));
    assert_eq!(&trace[out[0].whole.clone()], trace[4..].trim_end());
    let page = "EVALEX = true, EVALEX_TRUSTED = false, SECRET = \"mAdEuPfOrThIsTeSt123\";";
    assert_eq!(
        found(&set, &field(Surface::ResponseBody, None, page)),
        ["werkzeug-secret: mAdEuPfOrThIsTeSt123"]
    );
    assert!(found(&set, &field(Surface::ResponseBody, None, "SECRET = \"mAdEuPfOrThIsTeSt123\"")).is_empty());
    out.clear();
    set.field(
        &field(Surface::RequestBody, Some("card"), "4539 1488 0343 6467"),
        &Context::default(),
        &mut out,
        None,
    );
    assert_eq!((out[0].kind, out[0].confidence), (Kind::Pii, crate::model::Confidence::High));
    assert_eq!(out[0].reasons, ["raised: luhn ok"]);
}

#[test]
fn every_fault_is_told_with_its_line() {
    for (text, expected) in [
        ("x = ", "test.toml:1: TOML: "),
        ("\n[[rules]]\nregex = 'a'", "test.toml:2: a rule without `id`"),
        ("[[rules]]\nid = 'a'\nregex = 'a('", "test.toml:3: a: regex: unclosed group"),
        (
            "[[rules]]\nid = 'a'\nregex = '''\n(?:(?:a{1000}){1000}){9}'''",
            "test.toml:3: a: regex: the pattern is too large",
        ),
        ("[[rules]]\nid = 'a'", "test.toml:2: a: needs a regex, names, or a check"),
        ("[[rules]]\nid = 'a b'\nregex='a'", "test.toml:2: the id \"a b\""),
        ("[[rules]]\nregex = 'a'\nid = 3", "test.toml:3: a string is wanted here, not integer"),
        (
            "[[rules]]\nid='a'\nregex='a'\n[[rules]]\nid='a'\nregex='b'",
            "test.toml:5: a: the id is used twice, first in line 2",
        ),
        ("[[rules]]\nid='a'\nregex='a'\nseverity='grave'", "test.toml:4: a: \"grave\" is none of info, low"),
        ("[[rules]]\nid='a'\nregex='a'\nconfidence=1", "test.toml:4: a: a string is wanted"),
        (
            "[[rules]]\nid='a'\nregex='a'\nsurfaces=[\n'log',\n'request.foot']",
            "test.toml:6: a: unknown surface \"request.foot\"",
        ),
        ("[[rules]]\nid='a'\nregex='a'\nsurfaces=[]", "test.toml:4: a: no surface"),
        ("[[rules]]\nid='a'\nregex='a'\nchecks=['luhn',\n'lunh']", "test.toml:5: a: unknown check `lunh`"),
        ("[[rules]]\nid='a'\nregex='a'\ncheks=['luhn']", "test.toml:4: a: unknown key `cheks`"),
        ("[[rules]]\nid='a'\nregex='a'\nnames='['", "test.toml:4: a: regex: unclosed character class"),
        (
            "[[rules]]\nid='a'\nregex='a(b)'\nsecretGroup=2",
            "test.toml:4: a: `secretGroup` is 2, the regex has 1",
        ),
        ("[[rules]]\nid='a'\nregex='a'\nstatus='9xx'", "test.toml:4: a: 9xx is no status"),
        ("[[rules]]\nid='a'\nregex='a'\ncwe=['798']", "test.toml:4: a: \"798\" is no weakness"),
        ("[[rules]]\nid='a'\nregex='a'\nrequires=['b']", "test.toml:4: a: requires the rule `b`"),
        ("[[rules]]\nid='a'\nregex='a'\nkeywords=['']", "test.toml:4: a: an empty keyword"),
        ("[[rules]]\nid='a'\nregex='a'\nentropy='x'", "test.toml:4: a: a number is wanted"),
        ("[[rules]]\nid='a'\nregex='a'\nspecificity=1.5", "test.toml:4: a: a whole number"),
        (
            "[[rules]]\nid='a'\nregex='a'\n[rules.examples]\nleaks=['a']",
            "test.toml:5: a: unknown key `leaks`",
        ),
        (
            "[[rules]]\nid='a'\nregex='a'\n[[rules.allowlists]]\nregexes=['a',\n'b(']",
            "test.toml:6: a: regex: unclosed group",
        ),
        (
            "[[rules]]\nid='a'\nregex='a'\n[[rules.allowlists]]\ncondition='XOR'",
            "test.toml:5: a: \"XOR\" is none of",
        ),
        ("rules = 3", "test.toml:1: `rules` has to be a table"),
        ("[rule]\nid='a'", "test.toml:1: unknown key `rule`"),
        ("[extend]\npath='/nonexistent/base.toml'", "/nonexistent/base.toml: cannot read it"),
        ("[extend]\nurl='https://x'", "test.toml:2: rules are not fetched"),
    ] {
        let error = from_text(text).err().unwrap_or_else(|| panic!("{text} was read")).to_string();
        assert!(error.starts_with(expected), "{text}\n  told: {error}\n  not:  {expected}");
    }
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let error = from_text("[[rules]]\nid='a'\nregex='('\nchecks=['x']\n[[rules]]\nid='b'\nseverity='x'")
        .err()
        .unwrap();
    let lines: Vec<u32> = error.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 4, 7]);
}

#[test]
fn files_override_extend_and_disable() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let base = write(
        "base.toml",
        "[[rules]]\nid='a'\ndescription='A'\nregex='aaa_[0-9]+'\nkeywords=['aaa_']\n[[rules]]\nid='b'\nregex='bbb_[0-9]+'\nkeywords=['bbb_']",
    );
    let over = write("over.toml", "[[rules]]\nid='a'\nregex='aaa_[x-z]+'\nkeywords=['aaa_']");
    let extending = write(
        "extending.toml",
        "[extend]\npath='base.toml'\ndisabledRules=['b']\n[[rules]]\nid='a'\n[rules.allowlist]\nregexes=['_1$']\n[allowlist]\nregexes=['_2$']",
    );
    let try_on = |paths: &[PathBuf], text: &str| {
        let set = RuleSet::load(false, paths).unwrap();
        found(&set, &field(Surface::RequestBody, None, text))
    };
    assert_eq!(try_on(std::slice::from_ref(&base), "aaa_1 bbb_2"), ["a: aaa_1", "b: bbb_2"]);
    assert_eq!(try_on(&[base.clone(), over.clone()], "aaa_1 aaa_x bbb_2"), ["a: aaa_x", "b: bbb_2"]);
    assert_eq!(try_on(std::slice::from_ref(&extending), "aaa_1 aaa_2 aaa_3 bbb_2"), ["a: aaa_3"]);
    let whole = RuleSet::load(false, &[folder.path().to_path_buf()]).unwrap();
    // `base.toml`, then `extending.toml` without `b`, then `over.toml`.
    assert_eq!(whole.rules().len(), 1);
    write("loop.toml", "[extend]\npath='loop.toml'");
    let error = RuleSet::load(false, &[folder.path().join("loop.toml")]).err().unwrap();
    assert!(error.to_string().contains("extend each other"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = RuleSet::load(false, &[empty.path().to_path_buf()]).err().unwrap();
    assert!(error.to_string().contains("no *.toml"), "{error}");
    std::fs::write(empty.path().join("x.toml"), b"\xff").unwrap();
    assert!(RuleSet::load(false, &[empty.path().to_path_buf()]).is_err());
}

/// The shipped rules load, hold to their examples, have unique ids and keywords.
#[test]
fn the_shipped_rules_are_sound() {
    let set = RuleSet::load(true, &[]).unwrap_or_else(|error| panic!("{error}"));
    let faults = set.check_examples();
    assert!(faults.is_empty(), "{}", faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
    assert!(!set.exhaustive());
}

/// What the pre-pass does not count must not be what a rule finds.
#[test]
fn the_pre_pass_leads_to_every_example() {
    let set = RuleSet::load(true, &[]).unwrap_or_else(|error| panic!("{error}"));
    let mut missed = Vec::new();
    for rule in set.rules().iter().filter(|rule| !rule.keywords.is_empty()) {
        for example in &rule.examples.leak {
            let mut hits = Vec::new();
            set.scan(example.as_bytes(), &mut hits);
            let percent = example.contains('%') || example.contains("\\u");
            if hits.is_empty() && !percent {
                missed.push(format!("{}: {example}\n", rule.text.id));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.concat());
}

#[test]
fn scan_finds_every_keyword_in_order() {
    let set =
        set("[[rules]]\nid='k'\nregex='k'\nkeywords=['sk_live_', 'sk_test_', 'test', 'st_a', '_test_abc']");
    let found = |text: &str| {
        let mut found = Vec::new();
        set.scan(text.as_bytes(), &mut found);
        found.iter().map(|found| (found.start as usize, found.end as usize)).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("", &[][..]),
        ("nothing", &[]),
        ("SK_LIVE_x sk_test_", &[(0, 8), (10, 18), (13, 17)]),
        ("sk_test_abc", &[(0, 8), (2, 11), (3, 7), (5, 9)]),
        ("sk_live_sk_live_", &[(0, 8), (8, 16)]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
    // Long texts are walked in lanes: at every place, across them too, the same is found.
    for before in 0..700 {
        let text = format!("{}SK_test_abc{}", "-".repeat(before), "-".repeat(1500 - before));
        let expected = [(0, 8), (2, 11), (3, 7), (5, 9)].map(|(start, end)| (before + start, before + end));
        assert_eq!(found(&text), expected, "{before}");
    }
}

/// A regex begun at its keyword finds what a search of the whole text finds.
#[test]
fn anchored_equals_searched() {
    let key = "sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ";
    for (regex, keywords) in [
        (r"\b(sk_(?:live|test)_[0-9a-zA-Z]{24})\b", "'sk_live_', 'sk_test_'"),
        (r"(?i)\b(SK_live_[0-9a-z]{24})\b", "'sk_live_'"),
        (r"[\w.-]{0,50}?live_([0-9a-zA-Z]{24})", "'live_'"),
        (r"\w{2}_live_[0-9a-zA-Z]{24}", "'_live_'"),
        (r"[a-z]+_live_[0-9a-zA-Z]{24}", "'_live_'"),
        (r"(?:x|sk_live_)[0-9a-zA-Z]{24}", "'sk_live_', 'x'"),
    ] {
        let begun = set(&format!("[[rules]]\nid='a'\nregex='''{regex}'''\nkeywords=[{keywords}]"));
        let searched = regex_automata::meta::Regex::new(&format!("(?-u:{regex})")).unwrap();
        for text in [
            key.to_owned(),
            format!("x{key}"),
            format!("a {key} b {key}."),
            format!("{key}{key}"),
            format!("{}{key}", "- ".repeat(3000)),
            format!("{}{key}!", "sk_live_".repeat(300)),
            format!("sk_live_{key}"),
        ] {
            let matches = searched.find_iter(&text).count();
            let found = found(&begun, &field(Surface::RequestBody, None, &text)).len();
            assert_eq!(found, matches, "{regex} in {text:.70}");
        }
    }
}

#[test]
fn a_text_full_of_keywords_is_linear() {
    let set = set(
        "[[rules]]\nid='a'\nregex='k_[a-z_]{3,9000}!'\nkeywords=['k_']\n[[rules]]\nid='b'\nregex='[a-z]+k_[a-z]+;'\nkeywords=['k_']\n[[rules]]\nid='c'\nregex='(?s)k_.*?END'\nkeywords=['k_']",
    );
    let text = "k_".repeat(100_000);
    let begin = std::time::Instant::now();
    assert!(found(&set, &field(Surface::RequestBody, None, &text)).is_empty());
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn examples_become_fields() {
    for (example, expected) in [
        (
            "GET /a%20b?x=%31&y HTTP/1.1",
            &["request.path None a b", "request.query Some(\"x\") 1", "request.query Some(\"y\") "][..],
        ),
        (
            "POST /a HTTP/1.1\nX-K: v\n\nq=1&r=2",
            &[
                "request.path None a",
                "request.header Some(\"X-K\") v",
                "request.query Some(\"q\") 1",
                "request.query Some(\"r\") 2",
            ],
        ),
        (
            "HTTP/1.1 500 Oops\nX-K: v\n\nbody text",
            &["request.header Some(\"X-K\") v", "request.body None body text"],
        ),
        ("Cookie: a=b; c=d", &["request.cookie Some(\"a\") b", "request.cookie Some(\"c\") d"]),
        ("Set-Cookie: a=b; Path=/", &["response.cookie Some(\"a\") b"]),
        (
            "Authorization: Basic dXNlcjpodW50ZXIy",
            &[
                "request.header Some(\"Authorization\") user",
                "request.header Some(\"Authorization\") hunter2",
            ],
        ),
        ("Authorization: Bearer abc", &["request.header Some(\"Authorization\") abc"]),
        (r#"{"a":{"b":["x",1]}}"#, &["request.body Some(\"a.b[0]\") x", "request.body Some(\"a.b[1]\") 1"]),
        ("name=value", &["request.query Some(\"name\") value"]),
        ("redis://u:p%40w@h/0", &["request.body None p@w", "request.body None redis://u:p%40w@h/0"]),
        ("some text = here", &["request.body None some text = here"]),
        ("two\nlines: x", &["request.body None two\nlines: x"]),
    ] {
        let fields: Vec<String> = example::fields(example)
            .0
            .iter()
            .filter(|field| field.origin != Origin::Whole)
            .map(|field| {
                format!(
                    "{} {:?} {}",
                    field.surface.as_str(),
                    field.name.as_deref(),
                    String::from_utf8_lossy(&field.value)
                )
            })
            .collect();
        assert_eq!(fields, expected, "{example}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_no_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"sk_live_4eC9vQm2LzT8pWr5Xk7NbYcQ".to_vec()),
                Just(b"adobe = \"".to_vec()),
                Just(b"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n".to_vec()),
                Just(b"KeyError: 'x'\n".to_vec()),
                Just(b"Traceback (most recent call last):\\n  File \\\"a".to_vec()),
                Just(b"EVALEX = true SECRET = \"".to_vec()),
                Just(b"-----BEGIN RSA PRIVATE KEY-----\n".to_vec()),
            ],
            0..12,
        ),
        name in prop::option::of(".{0,20}|[a-z.\\[\\]@]{0,20}|adobe_token"),
    ) {
        let set = set(&format!("{STRIPE}{GENERIC}[[rules]]\nid='t'\nchecks=['python-traceback']\n[[rules]]\nid='w'\nchecks=['werkzeug-debugger']\n[[rules]]\nid='d'\nchecks=['django-debug']\n[[rules]]\nid='p'\nregex='-----BEGIN[ A-Z]+-----'\nkeywords=['-----begin']\nchecks=['pem-private-key']\n[[rules]]\nid='adobe'\nregex='(?i)[\\w.-]{{0,50}}?(?:adobe).{{0,9}}=.{{0,3}}([a-z]+)'\nkeywords=['adobe']"));
        let value = pieces.concat();
        let field = Field::new(Surface::ResponseBody, name.as_deref().map(Cow::Borrowed), Cow::Borrowed(&value), 0..value.len());
        let (mut out, mut suppressed, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        set.field(&field, &Context::default(), &mut out, Some(&mut suppressed));
        set.scan(&value, &mut hits);
        prop_assert!(hits.is_sorted_by_key(|hit| hit.start));
        for found in &out {
            prop_assert!(value.get(found.secret.clone()).is_some() && value.get(found.whole.clone()).is_some());
        }
        let mut ends = [0; 2];
        for found in &out {
            let range = if found.kind.has_secret() { &found.secret } else { &found.whole };
            let end = &mut ends[usize::from(found.kind.has_secret())];
            prop_assert!(range.start >= *end);
            *end = range.end;
        }
    }

    #[test]
    fn any_rule_file_is_read_or_refused(text in "(\\[\\[rules\\]\\]\n|id='[a-z]'\n|regex='[(\\[a-z{}0-9,*+?|^$)\\\\]{0,12}'\n|names='[a-z(]{0,4}'\n|keywords=\\['[a-z]{0,3}'\\]\n|checks=\\['(luhn|entropy>=|entropy>=3)'\\]\n|\\[extend\\]\n|.{0,10}\n){0,12}") {
        if let Err(error) = from_text(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
