//! The named checks: code that a rule needs beside its pattern. One list; one file a family.

mod debugger;
mod encoding;
mod expiry;
mod frames;
mod jwt;
mod key;
mod money;
mod national;
mod placeholder;
mod shape;
mod token;
mod traceback;
mod wallet;
mod word;

use std::borrow::Cow;
use std::ops::Range;

use crate::model::message::Origin;

/// Why, in a few words.
pub(super) type Reason = Cow<'static, str>;

/// What a check makes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be.
    Pass,
    /// It may be, and this is worth telling of it.
    Note(Reason),
    /// More certain than the rule says.
    Raise(Reason),
    /// Less certain than the rule says.
    Lower(Reason),
    /// It is none.
    Fail(Reason),
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The secret.
    pub(super) secret: &'a [u8],
    /// Everything that matched.
    pub(super) whole: &'a [u8],
    /// The value it stands in.
    pub(super) value: &'a [u8],
    /// When the message was sent, in seconds since 1970; `None` where nobody knows.
    pub(super) now: Option<i64>,
}

#[cfg(test)]
impl<'a> Subject<'a> {
    /// A secret that is all of its value.
    pub(super) fn of(secret: &'a [u8]) -> Self {
        Self { secret, whole: secret, value: secret, now: None }
    }
}

/// A page or trace that was recognised by its structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Where it stands in the value.
    pub(super) range: Range<usize>,
    /// What it tells, in a line.
    pub(super) detail: String,
    /// Whether its end was seen.
    pub(super) complete: bool,
}

/// What a check's mark does to its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The value is shown by none of its characters.
    Password,
    /// Told once for each host and name.
    OncePerHost,
    /// Raised by its id, not by a value.
    Signal,
    /// Personal data.
    Pii,
    /// A setting that invites leaks.
    Misconfiguration,
    /// A trace or debug page.
    Traceback,
    /// Its keywords are names: they count where a value of so many bytes is assigned to them.
    Assigned,
    /// The same, where the value begins like a number and the keyword is a whole word of the name.
    AssignedNumber,
    /// The same, where the value holds an `@`.
    AssignedAddress,
    /// Looks at several fields together too: a request target, a head.
    Whole,
    /// Told where one message holds so many values.
    Many,
    /// Told where the server is reached from another machine.
    Remote,
}

/// What a check does.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Says something of the rule.
    Mark(Mark),
    /// Lets only some fields in.
    Gate(fn(&Origin, &str) -> bool),
    /// Judges a value.
    Judge(fn(&Subject<'_>, &Parameter) -> Verdict),
    /// Undoes the encoding that a value stands in, before it is judged.
    Decode(fn(&[u8]) -> Option<Vec<u8>>),
    /// Finds pages by their structure, where one of the words stands.
    Structure {
        /// Lower case.
        words: &'static [&'static str],
        /// Appends what it finds, in order.
        find: fn(&[u8], &mut Vec<Page>),
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Bound,
    Word,
}

/// What stands behind a check's name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parameter {
    /// Nothing.
    None,
    /// `>=x`
    AtLeast(f32),
    /// `<=x`
    AtMost(f32),
    /// `=x`
    Word(String),
}

/// A check as a rule names it.
#[derive(Clone)]
pub(super) struct Check {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) does: Does,
    /// With what.
    pub(super) parameter: Parameter,
}

/// Every check.
const CHECKS: &[(&str, Takes, Does)] = &[
    ("entropy", Takes::Bound, Does::Judge(shape::entropy)),
    ("length", Takes::Bound, Does::Judge(shape::length)),
    ("mixed", Takes::Nothing, Does::Judge(shape::mixed)),
    ("digit", Takes::Nothing, Does::Judge(shape::digit)),
    ("not-uuid", Takes::Nothing, Does::Judge(shape::not_uuid)),
    ("not-hex-digest", Takes::Nothing, Does::Judge(shape::not_hex_digest)),
    ("not-placeholder", Takes::Nothing, Does::Judge(placeholder::not_placeholder)),
    ("not-word", Takes::Nothing, Does::Judge(word::not_word)),
    ("basic-credentials", Takes::Nothing, Does::Decode(encoding::basic_password)),
    ("percent-encoding", Takes::Nothing, Does::Decode(encoding::percent)),
    ("lacks", Takes::Word, Does::Judge(shape::lacks)),
    ("decodes", Takes::Bound, Does::Judge(encoding::decodes)),
    ("base64", Takes::Nothing, Does::Judge(encoding::base64)),
    ("pem-private-key", Takes::Nothing, Does::Judge(key::pem_private_key)),
    ("jwt", Takes::Nothing, Does::Judge(jwt::jwt)),
    ("signed-url", Takes::Nothing, Does::Judge(expiry::signed_url)),
    ("luhn", Takes::Nothing, Does::Judge(money::luhn)),
    ("card", Takes::Nothing, Does::Judge(money::card)),
    ("iban", Takes::Nothing, Does::Judge(money::iban)),
    ("national-id", Takes::Word, Does::Judge(national::national_id)),
    ("base58check", Takes::Nothing, Does::Judge(wallet::base58check)),
    ("bip39", Takes::Nothing, Does::Judge(wallet::bip39)),
    ("github-crc32", Takes::Nothing, Does::Judge(token::crc32_base62)),
    ("npm-crc32", Takes::Nothing, Does::Judge(token::crc32_base62)),
    ("gitlab-crc32", Takes::Nothing, Does::Judge(token::gitlab_crc32)),
    ("aws-key-id", Takes::Nothing, Does::Judge(token::aws_key_id)),
    (
        "scheme",
        Takes::Word,
        Does::Gate(|origin, names| matches!(origin, Origin::Scheme(scheme) if listed(names, scheme))),
    ),
    ("user", Takes::Nothing, Does::Gate(|origin, _| matches!(origin, Origin::User(_)))),
    ("userinfo", Takes::Nothing, Does::Gate(|origin, _| *origin == Origin::Userinfo)),
    (
        "layer",
        Takes::Word,
        Does::Gate(|origin, names| matches!(origin, Origin::Layer(layer) if listed(names, layer))),
    ),
    (
        "python-traceback",
        Takes::Nothing,
        Does::Structure { words: &["traceback (most recent call last)"], find: traceback::python },
    ),
    ("werkzeug-debugger", Takes::Nothing, Does::Structure { words: &["evalex"], find: traceback::werkzeug }),
    ("django-debug", Takes::Nothing, Does::Structure { words: &["django version"], find: traceback::django }),
    (
        "java-trace",
        Takes::Nothing,
        Does::Structure { words: &[".java:", ".kt:", ".scala:", ".groovy:"], find: frames::java },
    ),
    (
        "node-trace",
        Takes::Nothing,
        Does::Structure { words: &[".js:", ".ts:", ".mjs:", ".cjs:"], find: frames::node },
    ),
    ("go-trace", Takes::Nothing, Does::Structure { words: &["goroutine "], find: frames::go }),
    ("rust-trace", Takes::Nothing, Does::Structure { words: &["panicked at "], find: frames::rust }),
    ("php-trace", Takes::Nothing, Does::Structure { words: &[".php(", " on line "], find: frames::php }),
    ("ruby-trace", Takes::Nothing, Does::Structure { words: &[".rb:"], find: frames::ruby }),
    (
        "dotnet-trace",
        Takes::Nothing,
        Does::Structure {
            words: &[".cs:line ", ".vb:line ", ".fs:line ", ".cshtml:line ", "server error in '"],
            find: frames::dotnet,
        },
    ),
    (
        "perl-trace",
        Takes::Nothing,
        Does::Structure { words: &[".pl line ", ".pm line ", ".cgi line "], find: frames::perl },
    ),
    ("elixir-trace", Takes::Nothing, Does::Structure { words: &[".ex:"], find: frames::elixir }),
    ("debug-page", Takes::Nothing, Does::Structure { words: debugger::PAGE_WORDS, find: debugger::page }),
    (
        "json-frames",
        Takes::Nothing,
        Does::Structure { words: debugger::FRAMES_WORDS, find: debugger::frames },
    ),
    ("password", Takes::Nothing, Does::Mark(Mark::Password)),
    ("once-per-host", Takes::Nothing, Does::Mark(Mark::OncePerHost)),
    ("signal", Takes::Nothing, Does::Mark(Mark::Signal)),
    ("pii", Takes::Nothing, Does::Mark(Mark::Pii)),
    ("misconfiguration", Takes::Nothing, Does::Mark(Mark::Misconfiguration)),
    ("traceback", Takes::Nothing, Does::Mark(Mark::Traceback)),
    ("assigned", Takes::Bound, Does::Mark(Mark::Assigned)),
    ("assigned-number", Takes::Bound, Does::Mark(Mark::AssignedNumber)),
    ("assigned-address", Takes::Bound, Does::Mark(Mark::AssignedAddress)),
    ("whole", Takes::Nothing, Does::Mark(Mark::Whole)),
    ("many", Takes::Bound, Does::Mark(Mark::Many)),
    ("remote", Takes::Nothing, Does::Mark(Mark::Remote)),
];

impl Check {
    /// Reads `name`, `name>=x`, `name<=x` or `name=x`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>', '=']).unwrap_or(text.len());
        let (name, rest) = text.split_at(at);
        let (name, rest) = (name.trim(), rest.trim());
        let Some(&(name, takes, does)) = CHECKS.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<&str> = CHECKS.iter().map(|&(name, ..)| name).collect();
            return Err(format!("unknown check `{name}` (there are {})", known.join(", ")));
        };
        let parameter = match takes {
            Takes::Nothing if rest.is_empty() => Parameter::None,
            Takes::Nothing => return Err(format!("the check `{name}` takes no parameter")),
            Takes::Bound => bound(rest)
                .ok_or_else(|| format!("the check `{name}` needs a bound: `{name}>=3` or `{name}<=3`"))?,
            Takes::Word => match rest.strip_prefix('=').map(str::trim) {
                Some(word) if !word.is_empty() => Parameter::Word(word.to_ascii_lowercase()),
                _ => return Err(format!("the check `{name}` needs a word: `{name}=word`")),
            },
        };
        Ok(Self { name, does, parameter })
    }

    /// How many values one message must hold: of `many>=10`.
    pub(super) fn many(&self) -> Option<usize> {
        match (self.does, &self.parameter) {
            (Does::Mark(Mark::Many), Parameter::AtLeast(least)) => Some(*least as usize),
            _ => None,
        }
    }

    /// The words of a gate: `basic|digest`.
    pub(super) fn word(&self) -> &str {
        match &self.parameter {
            Parameter::Word(word) => word,
            _ => "",
        }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.parameter {
            Parameter::None => f.write_str(self.name),
            Parameter::AtLeast(bound) => write!(f, "{}>={bound}", self.name),
            Parameter::AtMost(bound) => write!(f, "{}<={bound}", self.name),
            Parameter::Word(word) => write!(f, "{}={word}", self.name),
        }
    }
}

fn bound(rest: &str) -> Option<Parameter> {
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    if let Some(least) = rest.strip_prefix(">=") {
        return number(least).map(Parameter::AtLeast);
    }
    rest.strip_prefix("<=").and_then(number).map(Parameter::AtMost)
}

fn listed(names: &str, name: &str) -> bool {
    names.split('|').any(|listed| listed == name)
}

#[cfg(test)]
pub(super) fn judge(check: &str, secret: &str) -> Verdict {
    let check = Check::parse(check).unwrap();
    match check.does {
        Does::Judge(judge) => judge(&Subject::of(secret.as_bytes()), &check.parameter),
        _ => panic!("{check:?} judges nothing"),
    }
}

/// Says of each value what a check has to make of it.
#[cfg(test)]
pub(super) fn table(check: &str, pass: &[&str], fail: &[&str]) {
    for value in pass {
        let verdict = judge(check, value);
        assert!(!matches!(verdict, Verdict::Fail(_)), "{check} of {value:?}: {verdict:?}");
    }
    for value in fail {
        let verdict = judge(check, value);
        assert!(matches!(verdict, Verdict::Fail(_)), "{check} of {value:?}: {verdict:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_with_its_parameter() {
        for (text, read) in [
            ("entropy>=3.5", "entropy>=3.5"),
            ("length <= 40", "length<=40"),
            ("scheme=Basic|digest", "scheme=basic|digest"),
            ("luhn", "luhn"),
        ] {
            assert_eq!(format!("{:?}", Check::parse(text).unwrap()), read);
        }
        for (text, reason) in [
            ("entropi>=3", "unknown check `entropi`"),
            ("entropy", "needs a bound"),
            ("entropy>=x", "needs a bound"),
            ("entropy>=nan", "needs a bound"),
            ("luhn=3", "takes no parameter"),
            ("scheme", "needs a word"),
            ("scheme=", "needs a word"),
            ("", "unknown check"),
        ] {
            let error = Check::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn no_judge_panics_on_odd_bytes() {
        let odd: [&[u8]; 8] =
            [b"", b"\xff", b"\0\0\0", "é…•".as_bytes(), b"----", b"...", b"{\"", &[b'a'; 5000]];
        for (name, _, does) in CHECKS {
            for value in odd {
                let subject = Subject::of(value);
                match does {
                    Does::Judge(judge) => {
                        judge(&subject, &Parameter::AtLeast(1.0));
                        judge(&subject, &Parameter::None);
                    }
                    Does::Structure { find, .. } => find(value, &mut Vec::new()),
                    Does::Gate(gate) => assert!(!gate(&Origin::Plain, name)),
                    Does::Decode(decode) => {
                        decode(value);
                    }
                    Does::Mark(_) => {}
                }
            }
        }
    }
}
