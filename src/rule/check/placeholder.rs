//! `not-placeholder`: values that stand for a secret instead of being one.

use super::{Parameter, Subject, Verdict};

/// Words that, anywhere in a value, say that it is none.
const SAYS_SO: &[&[u8]] = &[
    b"example",
    b"changeme",
    b"change_me",
    b"change-me",
    b"change_this",
    b"change-this",
    b"changethis",
    b"placeholder",
    b"replace_me",
    b"replace-me",
    b"replaceme",
    b"replace_with",
    b"replace-with",
    b"insert_",
    b"insert-",
    b"your_",
    b"your-",
    b"yourkey",
    b"yourapikey",
    b"yourtoken",
    b"yoursecret",
    b"yourpassword",
    b"my_api_key",
    b"my-api-key",
    b"my_secret",
    b"my-secret",
    b"_here",
    b"-here",
    b"keyhere",
    b"tokenhere",
    b"redacted",
    b"verylongsecret",
    b"averylong",
    b"test_123",
    b"live_123",
    b"mypassword",
    b"my_password",
    b"my-password",
    b"sanitized",
    b"filtered]",
    b"not_a_real",
    b"not-a-real",
    b"notarealkey",
    b"fake_",
    b"fake-",
    b"fakekey",
    b"faketoken",
    b"dummy",
    b"foobar",
    b"loremipsum",
    b"xxxx",
    b"****",
    b"....",
    b"####",
    "••".as_bytes(),
    "…".as_bytes(),
    b"1234567890",
    b"0123456789",
    b"abcdefgh",
    b"qwertyui",
    b"deadbeefdeadbeef",
];

/// Values that are none as a whole, in any case.
const WHOLE: &[&[u8]] = &[
    b"test",
    b"testing",
    b"tests",
    b"demo",
    b"sample",
    b"foo",
    b"bar",
    b"baz",
    b"todo",
    b"fixme",
    b"tbd",
    b"none",
    b"null",
    b"nil",
    b"undefined",
    b"nan",
    b"true",
    b"false",
    b"yes",
    b"no",
    b"n/a",
    b"na",
    b"empty",
    b"unset",
    b"default",
    b"hidden",
    b"masked",
    b"removed",
    b"secret",
    b"token",
    b"password",
    b"passwd",
    b"apikey",
    b"api_key",
    b"api-key",
    b"key",
    b"value",
    b"string",
    b"str",
    b"text",
    b"required",
    b"optional",
    b"bearer",
    b"basic",
    b"[object object]",
];

/// Pairs of brackets that a template fills in.
const TEMPLATES: &[(&[u8], &[u8])] = &[
    (b"${", b"}"),
    (b"#{", b"}"),
    (b"{{", b"}}"),
    (b"{%", b"%}"),
    (b"<%", b"%>"),
    (b"$(", b")"),
    (b"%(", b")s"),
    (b"$env:", b""),
    (b"process.env", b""),
    (b"os.environ", b""),
    (b"os.getenv", b""),
    (b"getenv(", b""),
    (b"secrets.", b"}"),
    (b"import.meta.env", b""),
];

/// Not empty, no template (`${KEY}`, `{{ key }}`, `<key>`, `%KEY%`, `$KEY`), not masked (`****1234`, `sk_…`), no word
/// that says so (`example`, `your_key_here`, `redacted` …), not one character or a short group repeated, no run of
/// the alphabet or the digits.
pub(super) fn not_placeholder(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let value = subject.secret.trim_ascii().to_ascii_lowercase();
    match fault(&value) {
        Some(reason) => Verdict::Fail(reason.into()),
        None => Verdict::Pass,
    }
}

fn fault(value: &[u8]) -> Option<&'static str> {
    if value.is_empty() {
        return Some("empty");
    }
    let bare = value.strip_suffix_digits();
    if WHOLE.contains(&value) || (value.len() - bare.len() <= 4 && matches!(bare, b"test" | b"demo" | b"foo"))
    {
        return Some("placeholder: a word that stands for a value");
    }
    if is_template(value) {
        return Some("placeholder: a template");
    }
    if is_constant(value) {
        return Some("placeholder: the name of a value");
    }
    if SAYS_SO.iter().any(|word| memchr::memmem::find(value, word).is_some()) || value.ends_with(b"...") {
        return Some("placeholder: it says so");
    }
    if repeats(value) {
        return Some("placeholder: repeated characters");
    }
    None
}

/// `ACCESS_TOKEN`, `my-api-key`: words, the last of which says what belongs there.
fn is_constant(value: &[u8]) -> bool {
    let mut words = value.split(|byte| matches!(byte, b'_' | b'-' | b' ')).rev();
    let last = words.next().unwrap_or_default();
    let mut others = 0;
    let plain = words.all(|word| {
        others += 1;
        (1..=12).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase)
    });
    plain
        && (1..=4).contains(&others)
        && matches!(
            last,
            b"token" | b"key" | b"secret" | b"password" | b"apikey" | b"credential" | b"credentials"
        )
}

fn is_template(value: &[u8]) -> bool {
    let wrapped = |open: u8, close: u8| value.first() == Some(&open) && value.last() == Some(&close);
    let inner = value.get(1..value.len().saturating_sub(1)).unwrap_or_default();
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ' | b'.'))
    };
    if value.len() > 2
        && (wrapped(b'<', b'>')
            || wrapped(b'%', b'%') && is_name(inner)
            || (wrapped(b'{', b'}') || wrapped(b'[', b']')) && is_name(inner))
    {
        return true;
    }
    // `$api_key`: a variable. A password may begin with a dollar, but rarely goes on with a whole name.
    if let Some(name) = value.strip_prefix(b"$")
        && name.len() > 2
        && name.iter().all(|&byte| byte.is_ascii_lowercase() || byte == b'_')
    {
        return true;
    }
    TEMPLATES.iter().any(|(open, close)| {
        memchr::memmem::find(value, open)
            .and_then(|at| value.get(at + open.len()..))
            .is_some_and(|behind| memchr::memmem::find(behind, close).is_some())
    })
}

/// One character, two characters over eight or more, or a group of at most four repeated to the end.
fn repeats(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    let mut kinds = 0;
    for &byte in value {
        if let Some(seen) = seen.get_mut(usize::from(byte))
            && !*seen
        {
            *seen = true;
            kinds += 1;
        }
    }
    if (value.len() >= 3 && kinds == 1) || (value.len() >= 8 && kinds <= 2) {
        return true;
    }
    value.len() >= 12
        && (1..=4).any(|unit| {
            let (start, shifted) = (value.get(..value.len() - unit), value.get(unit..));
            start.is_some() && start == shifted
        })
}

trait StripDigits {
    fn strip_suffix_digits(&self) -> &Self;
}

impl StripDigits for [u8] {
    fn strip_suffix_digits(&self) -> &Self {
        let end = self.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |at| at + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;

    #[test]
    fn placeholders() {
        table(
            "not-placeholder",
            &[
                "sk_test_4eC9vQm2LzT8pWr5",
                "hunter2",
                "p$ssw0rd!",
                "$2b$12$k9Qe",
                "S3cr3t-Pa55",
                "Zm9vQmFyUXV4MTk4Ng",
                "contest-winner-81",
                "9f8a7c6b5d4e3f2a1b0c9d8e7f6a5b4c",
                "a{3}b",
                "pa%ss%wd9",
                "password123",
                "Correct-Horse-7",
            ],
            &[
                "",
                "   ",
                "sk_live_your_key_here",
                "YOUR-API-KEY",
                "changeme",
                "AKIAIOSFODNN7EXAMPLE",
                "xxxxxxxxxxxx",
                "sk_live_xxxxxxxx",
                "${API_KEY}",
                "prefix-${API_KEY}",
                "{{ api_key }}",
                "{api_key}",
                "<your token>",
                "<token>",
                "%API_KEY%",
                "$API_KEY",
                "$(cat key)",
                "%(token)s",
                "process.env.API_KEY",
                "os.environ['API_KEY']",
                "****1234",
                "sk-…f2c",
                "sk-...",
                "••••••••",
                "[REDACTED]",
                "[FILTERED]",
                "redacted",
                "test",
                "Test123",
                "null",
                "undefined",
                "aaaaaaaa",
                "0000",
                "abababababab",
                "abcabcabcabcabc",
                "sk_live_1234567890",
                "abcdefghijklmnop",
                "password",
                "ACCESS_TOKEN",
                "my-api-key",
            ],
        );
    }
}
