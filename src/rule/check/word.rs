//! `not-word`: values that a reader would call a word, an identifier, a path, a date … and not a secret.

use std::sync::LazyLock;

use super::{Parameter, Subject, Verdict};

/// Pairs of letters that make up most of English words and of identifiers made of them. A third of all
/// pairs is here, but most of a word's.
const COMMON: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha \
     as ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho \
     pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa ge ie wh ee wi em ad ol rt po we na \
     ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp fe bl ab gh ty \
     op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc \
     gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew \
     mu br bi pt ak pu ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw \
     ft wn nu af hu nn eo vo rv nf xp gn";

/// [`COMMON`] by first letter, a bit for each second one.
static PAIRS: LazyLock<[u32; 26]> = LazyLock::new(|| {
    let mut rows = [0; 26];
    for pair in COMMON.split_ascii_whitespace() {
        if let [first, second] = pair.as_bytes()
            && let Some(row) = rows.get_mut(usize::from(first.wrapping_sub(b'a')))
        {
            *row |= 1 << second.wrapping_sub(b'a').min(31);
        }
    }
    rows
});

/// What comes behind the dot of a file's name.
const EXTENSIONS: &[&str] = &[
    "js", "mjs", "ts", "tsx", "jsx", "css", "scss", "map", "html", "htm", "xml", "json", "yaml", "yml",
    "toml", "txt", "md", "csv", "pdf", "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "woff",
    "woff2", "ttf", "otf", "eot", "mp3", "mp4", "webm", "zip", "gz", "tgz", "tar", "py", "rb", "go", "rs",
    "java", "php", "c", "h", "cpp", "sh", "sql", "log", "conf", "cfg", "ini", "exe", "dll", "so", "jar",
    "wasm", "asp", "aspx", "jsp", "com", "org", "net", "io", "dev", "app", "local", "internal",
];

const MEDIA: &[&str] =
    &["application/", "text/", "image/", "audio/", "video/", "font/", "multipart/", "message/", "model/"];

/// Numbers between words.
const MOST_NUMBERS: usize = 2;
/// Bytes that are looked at.
const LONGEST: usize = 512;

/// No number, date, time, version, colour, size, media type, file name, path, URL, address, running text, and no
/// identifier or phrase: at least a quarter of its letters and digits must belong to no word.
pub(super) fn not_word(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let value = subject.secret.trim_ascii();
    let Some(value) = value.get(..value.len().min(LONGEST)) else { return Verdict::Pass };
    // Bytes beyond UTF-8 are no word.
    let Ok(value) = std::str::from_utf8(value) else { return Verdict::Pass };
    match shape(value) {
        Some(what) => Verdict::Fail(what.into()),
        None if reads(value) => Verdict::Fail("words".into()),
        None => Verdict::Pass,
    }
}

fn shape(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return Some("empty");
    }
    if value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'+' | b'-' | b' ' | b':'))
    {
        return Some("a number, date or time");
    }
    if value.split_whitespace().count() > 3 {
        return Some("running text");
    }
    let lower = value.to_ascii_lowercase();
    if is_timestamp(&lower) {
        return Some("a time");
    }
    if is_version(&lower) {
        return Some("a version");
    }
    if lower.strip_prefix('#').is_some_and(|digits| {
        matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }) {
        return Some("a colour");
    }
    if is_size(&lower) {
        return Some("a size");
    }
    if MEDIA.iter().any(|kind| lower.starts_with(kind)) {
        return Some("a media type");
    }
    if is_path(value) {
        return Some("a path or URL");
    }
    if let Some((stem, extension)) = lower.rsplit_once('.')
        && EXTENSIONS.contains(&extension)
        && !stem.is_empty()
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@'))
    {
        return Some("a file, host or address");
    }
    None
}

/// `2026-11-22T05:22:00Z` and what is near it.
fn is_timestamp(lower: &str) -> bool {
    let mut bytes = lower.bytes();
    let year = bytes.by_ref().take(4).filter(u8::is_ascii_digit).count() == 4;
    year && bytes.next() == Some(b'-')
        && bytes.all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b't' | b'z' | b'+' | b' ')
        })
}

/// `1.2.3`, `v2.0-rc.1`.
fn is_version(lower: &str) -> bool {
    let bare = lower.strip_prefix('v').unwrap_or(lower);
    let core = bare.split(['-', '+']).next().unwrap_or_default();
    let mut parts = 0;
    let digits = core.split('.').all(|part| {
        parts += 1;
        (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    digits && (parts >= 2 || bare.len() < lower.len() && core.len() == bare.len())
}

/// `12px`, `1.5em`, `100%`, `250ms`.
fn is_size(lower: &str) -> bool {
    let unit =
        lower.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | '-'));
    unit.len() < lower.len()
        && matches!(
            unit,
            "px" | "em" | "rem" | "pt" | "vh" | "vw" | "%" | "ms" | "s" | "deg" | "fr" | "kb" | "mb" | "gb"
        )
}

fn is_path(value: &str) -> bool {
    let rooted = ["./", "../", "~/", "//"].iter().any(|root| value.starts_with(root));
    let schema = value.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    });
    let drive = matches!(value.as_bytes(), [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic());
    // Base64 may begin with a slash too: a path has a word behind it.
    let absolute = value
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next())
        .is_some_and(|segment| segment.len() >= 2 && reads(segment));
    rooted || schema || drive || absolute
}

/// Whether at least three quarters of the letters and digits belong to words.
fn reads(value: &str) -> bool {
    let (mut of_words, mut digits, mut all, mut runs) = (0_usize, 0_usize, 0_usize, 0_usize);
    for token in tokens(value) {
        all += token.len();
        runs += usize::from(token.bytes().all(|byte| byte.is_ascii_digit()));
        if token.bytes().any(|byte| byte.is_ascii_digit()) {
            digits += token.len();
        } else if is_word(token) {
            of_words += token.len();
        }
    }
    let other = value.chars().filter(|letter| !letter.is_ascii()).count();
    all + other > 0 && of_words * 4 >= (all + other) * 3 && digits * 4 <= all && runs <= MOST_NUMBERS
}

/// Runs of letters of one word (`apiKeyID` has three), and runs of digits.
fn tokens(value: &str) -> impl Iterator<Item = &str> {
    let bytes = value.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        while bytes.get(from).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
            from += 1;
        }
        let start = from;
        let first = *bytes.get(start)?;
        let kind = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
        from += 1;
        while let Some(&byte) = bytes.get(from) {
            let before = bytes.get(from - 1).copied().unwrap_or(first);
            let goes_on = byte.is_ascii_alphanumeric()
                && match (kind(before), kind(byte)) {
                    ((true, _), (true, _)) => true,
                    ((true, _), _) | (_, (true, _)) => false,
                    // `Key`: one capital may stand in front.
                    ((_, true), (_, false)) => from - start == 1,
                    ((_, a), (_, b)) => a == b,
                };
            if !goes_on {
                break;
            }
            from += 1;
        }
        value.get(start..from)
    })
}

fn is_word(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let pairs = lower.len().saturating_sub(1);
    match pairs {
        0 => return false,
        1 => {
            return matches!(
                lower.as_str(),
                "id" | "is" | "to" | "of" | "in" | "on" | "my" | "no" | "by" | "db" | "ui"
            );
        }
        _ => {}
    }
    let common = lower
        .bytes()
        .zip(lower.bytes().skip(1))
        .filter(|&(first, second)| {
            let row = PAIRS.get(usize::from(first.wrapping_sub(b'a')));
            row.is_some_and(|row| row >> second.wrapping_sub(b'a').min(31) & 1 == 1)
        })
        .count();
    let vowels = lower.bytes().filter(|byte| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y')).count();
    // The longer it is, the less may be odd about it.
    let least = if pairs > 10 { 15 } else { 12 };
    vowels > 0 && common * 20 >= pairs * least
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, judge, table};

    #[test]
    fn words_and_what_is_no_secret() {
        table(
            "not-word",
            &[
                "9f8a7c6b5d4e3f2a1b0c9d8e7f6a5b4c",
                "4eC9vQm2LzT8pWr5Xk7",
                "kJ8sPq2VxN5bTw0RzYc3",
                "qzxkvjwqpzmbxkrw",
                "sk_live_4eC9vQm2LzT8pWr5Xk7",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzK3Yqo9T",
                "/8h2Kd91mPq0vZ3r",
                "T0p-S3cr3t-9x!",
            ],
            &[
                "",
                "12345678",
                "3.14159",
                "2026-11-22",
                "2026-11-22T05:22:00.123Z",
                "10:22",
                "1.2.3",
                "v2.0.1-rc.1",
                "v4",
                "#ff00aa",
                "12px",
                "100%",
                "application/json",
                "/static/js/main.js",
                "../lib/thing",
                "C:\\Windows\\system32",
                "https://api.acme.test/v1",
                "jquery.min.js",
                "someone@acme.com",
                "this is some running text",
                "authorization",
                "access_token",
                "accessTokenSecret",
                "button-primary-large",
                "Content-Security-Policy",
                "getElementById",
                "user_id",
                "REQUIRED_FIELD",
                "invalid_credentials",
                "Bearer token",
            ],
        );
    }

    /// Of made-up random values hardly any may pass for a word.
    #[test]
    fn random_values_are_no_words() {
        for (alphabet, length) in [
            ("abcdefghijklmnopqrstuvwxyz0123456789", 20),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 16),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 24),
            ("abcdefghijklmnopqrstuvwxyz", 20),
            ("0123456789abcdef", 32),
        ] {
            let letters = alphabet.as_bytes();
            let mut state = 0x2545_f491_4f6c_dd1d_u64;
            let mut words = 0;
            for _ in 0..2000 {
                let value: String = (0..length)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        char::from(letters[(state % letters.len() as u64) as usize])
                    })
                    .collect();
                words += usize::from(judge("not-word", &value) != Verdict::Pass);
            }
            assert!(words <= 4, "{words} of 2000 from {alphabet}");
        }
    }
}
