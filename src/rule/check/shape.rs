//! Checks of what a value looks like from afar: length, entropy, kinds of characters.

use super::{Parameter, Subject, Verdict};
use crate::model::text;

/// `entropy>=x`, bits a byte.
pub(super) fn entropy(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    let bits = text::entropy(subject.secret);
    let holds = match parameter {
        Parameter::AtLeast(least) => bits >= *least,
        Parameter::AtMost(most) => bits <= *most,
        _ => true,
    };
    if holds { Verdict::Pass } else { Verdict::Fail(format!("entropy {bits:.1}").into()) }
}

/// `length>=n`, `length<=n`: bytes.
pub(super) fn length(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    let length = subject.secret.len() as f32;
    match parameter {
        Parameter::AtLeast(least) if length < *least => Verdict::Fail("too short".into()),
        Parameter::AtMost(most) if length > *most => Verdict::Fail("too long".into()),
        _ => Verdict::Pass,
    }
}

/// At least two of lower case, upper case, digits.
pub(super) fn mixed(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let has = |kind: fn(&u8) -> bool| usize::from(subject.secret.iter().any(kind));
    let kinds = has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_digit);
    if kinds >= 2 { Verdict::Pass } else { Verdict::Fail("one kind of characters".into()) }
}

/// At least one digit.
pub(super) fn digit(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    if subject.secret.iter().any(u8::is_ascii_digit) {
        Verdict::Pass
    } else {
        Verdict::Fail("no digit".into())
    }
}

/// `lacks=a|b`: of what matched at least one of these words is missing, whatever its case.
pub(super) fn lacks(subject: &Subject<'_>, parameter: &Parameter) -> Verdict {
    let Parameter::Word(words) = parameter else { return Verdict::Pass };
    let text = subject.whole.to_ascii_lowercase();
    let missing: Vec<&str> =
        words.split('|').filter(|word| memchr::memmem::find(&text, word.as_bytes()).is_none()).collect();
    if missing.is_empty() {
        Verdict::Fail("all of it is there".into())
    } else {
        Verdict::Note(format!("without {}", missing.join(", ")).into())
    }
}

/// No UUID (RFC 9562), with or without braces.
pub(super) fn not_uuid(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let value = subject.secret;
    let value = value.strip_prefix(b"{").and_then(|value| value.strip_suffix(b"}")).unwrap_or(value);
    let is_uuid = value.len() == 36
        && value.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_uuid { Verdict::Fail("a uuid".into()) } else { Verdict::Pass }
}

/// Nothing that has the length of a digest (MD5, SHA-1, SHA-2) and hexadecimal digits only.
pub(super) fn not_hex_digest(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let value = subject.secret;
    if matches!(value.len(), 32 | 40 | 56 | 64 | 96 | 128) && value.iter().all(u8::is_ascii_hexdigit) {
        return Verdict::Fail("a hexadecimal digest".into());
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::super::table;

    #[test]
    fn shapes() {
        table("entropy>=3.0", &["a1b2c3d4e5f6"], &["aaaaaaaaaaaa", "abababab", ""]);
        table("entropy<=1.0", &["aaaa"], &["abcd"]);
        table("length>=4", &["abcd"], &["abc"]);
        table("length<=4", &["abcd"], &["abcde"]);
        table("lacks=secure|httponly", &["a=b; Path=/; HttpOnly", "a=b"], &["a=b; Secure; HttpOnly"]);
        table("mixed", &["aB", "a1", "A1"], &["abc", "ABC", "123", "---"]);
        table("digit", &["a1"], &["ab"]);
        table(
            "not-uuid",
            &["0d5a1f3e90e54f3c8a0e6a6f3c1b2d4e", "0d5a1f3e-90e5-4f3c-8a0e"],
            &["0d5a1f3e-90e5-4f3c-8a0e-6a6f3c1b2d4e", "{0D5A1F3E-90E5-4F3C-8A0E-6A6F3C1B2D4E}"],
        );
        table(
            "not-hex-digest",
            &["0d5a1f3e90e54f3c8a0e6a6f3c1b2d4", "0d5a1f3e90e54f3c8a0e6a6f3c1b2d4z"],
            &["0d5a1f3e90e54f3c8a0e6a6f3c1b2d4e"],
        );
    }
}
