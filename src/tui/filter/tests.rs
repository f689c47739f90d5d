//! What passes which filter, what is wrong with wrong ones, and what they may go on with.

use super::*;
use crate::tui::example;

fn passes(text: &str, leak: &Leak) -> bool {
    let filter = Filter::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
    filter.passes(Subject { leak, times: 3, endpoint: "api.example.com/v1/charges/*", muted: false })
}

#[test]
fn terms_say_which_leaks() {
    let leak = example::leak(0);
    for (text, expected) in [
        ("", true),
        ("severity:critical", true),
        ("severity:crit", true),
        ("severity>=high", true),
        ("severity<high", false),
        ("severity!=critical", false),
        ("severity:low|critical", true),
        ("confidence:high", true),
        ("rule:stripe*", true),
        ("rule:stripe", true),
        ("rule=stripe", false),
        ("rule=stripe-secret-key", true),
        ("-rule:stripe*", false),
        ("not rule:aws*", true),
        ("host:api*", true),
        ("host:example", true),
        ("host:*.org", false),
        ("exposure:query-string", true),
        ("exposure:traceback", false),
        ("exposure:traceback|cleartext", true),
        ("surface:request.*", true),
        ("name:api_key", true),
        ("status:2xx", true),
        ("status:200", true),
        ("status>=400", false),
        ("status:5xx", false),
        ("client:10.0.0.1", true),
        ("client:10.0.*", true),
        ("server=10.0.0.2", true),
        ("server:10.0.0.2:80", true),
        ("secret:6b1e", true),
        ("cwe:598", true),
        ("owasp:API2*", true),
        ("times>2", true),
        ("times>3", false),
        ("encrypted:no", true),
        ("endpoint:\"/v1/charges/*\"", false),
        ("endpoint:*/charges/\\*", false),
        ("path:/v1/charges", true),
        ("stripe", true),
        ("STRIPE secret", true),
        ("\"stripe secret\"", true),
        ("\"secret stripe\"", false),
        ("10.0.0.2:80", true),
        ("severity>=high host:api* rule:aws* exposure:query-string", false),
        ("severity>=high host:api* (rule:aws* or rule:stripe*)", true),
        ("rule:aws* or rule:gcp*", false),
        ("rule:aws* or (-host:zz exposure:url|cleartext)", true),
        ("-(rule:aws* or rule:stripe*)", false),
        ("--stripe", true),
        ("method:get and status:200", true),
        ("process:python3", false),
        ("muted:no", true),
        ("muted:yes", false),
    ] {
        assert_eq!(passes(text, &leak), expected, "{text}");
    }
}

#[test]
fn muted_leaks_are_seen_where_they_are_asked_for() {
    let leak = example::leak(0);
    let subject = Subject { leak: &leak, times: 1, endpoint: "", muted: true };
    for (text, expected) in
        [("", false), ("stripe", false), ("muted:yes", true), ("muted:no", false), ("muted:yes|no", true)]
    {
        assert_eq!(Filter::parse(text).unwrap().passes(subject), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, at, what) in [
        ("sev:high", 0, "there is no field sev: is severity meant?"),
        ("hots:a", 0, "there is no field hots: Tab lists those there are"),
        ("a severity>=grave", 12, "levels are critical, high, medium, low, info"),
        ("host>a", 5, "host has no order: write host:…"),
        ("rule:", 5, "what shall rule be?"),
        ("times:many", 6, "many is no number"),
        ("(a or b", 0, "this ( is not closed"),
        ("a) b", 1, "this ) closes nothing"),
        ("a or", 4, "a term is missing here"),
        ("-", 1, "a term is missing here"),
        ("host:\"a", 5, "this quote is not closed"),
        ("encrypted:maybe", 10, "write yes or no"),
    ] {
        let wrong = Filter::parse(text).unwrap_err();
        assert_eq!((wrong.at, wrong.what.as_str()), (at, what), "{text}");
    }
    let deep = "(".repeat(100_000);
    assert_eq!(Filter::parse(&deep).unwrap_err().what, "this is nested too deeply");
    assert!(Filter::parse(&"-".repeat(100_000)).is_err());
}

#[test]
fn a_word_goes_on_with_fields_then_values() {
    let known = |field: Field| match field {
        Field::Host => vec!["api.example.com".to_owned(), "shop.example".to_owned()],
        Field::Title => vec!["Stripe secret key".to_owned()],
        _ => Vec::new(),
    };
    for (text, start, first) in [
        ("", 0, Some("severity:")),
        ("se", 0, Some("severity:")),
        ("a sec", 2, Some("secret:")),
        ("a -(su", 4, Some("surface:")),
        ("-ru", 1, Some("rule:")),
        ("severity>=h", 0, Some("severity>=high")),
        ("severity:critical|h", 0, Some("severity:critical|high")),
        ("host:s", 0, Some("host:shop.example")),
        ("host:exam", 0, Some("host:api.example.com")),
        ("title:s", 0, Some("title:\"Stripe secret key\"")),
        ("exposure:trace", 0, Some("exposure:traceback")),
        ("muted:", 0, Some("muted:yes")),
        ("nothing", 0, None),
        ("nothing:", 0, None),
    ] {
        let (at, found) = complete(text, text.len(), &known);
        assert_eq!((at, found.first().map(|found| found.text.as_str())), (start, first), "{text}");
    }
}
