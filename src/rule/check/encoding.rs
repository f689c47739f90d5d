//! Checks that take a value's encoding apart: base64, PEM, JWT.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Parameter, Subject, Verdict};
use crate::model::text::percent_decode;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
/// Characters of a key's body that are looked at.
const BODY: usize = 64;
/// Characters of its shortest line but the last.
const SHORTEST_LINE: usize = 16;

/// Base64 or base64url (RFC 4648), padded or not.
pub(super) fn base64(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let decodes = STANDARD.decode(subject.secret).is_ok() || URL_SAFE.decode(subject.secret).is_ok();
    if !subject.secret.is_empty() && decodes { Verdict::Pass } else { Verdict::Fail("no base64".into()) }
}

/// The password of Basic credentials (RFC 7617 section 2): base64 of `user:password`.
pub(super) fn basic_password(value: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(value).or_else(|_| URL_SAFE.decode(value)).ok()?;
    let text = std::str::from_utf8(&decoded).ok().filter(|text| !text.contains(char::is_control))?;
    text.split_once(':').map(|(_, password)| password.as_bytes().to_vec())
}

/// A value in percent-encoding, as a form has it (`+` is a space).
pub(super) fn percent(value: &[u8]) -> Option<Vec<u8>> {
    Some(percent_decode(value, true).into_owned())
}

/// A JSON Web Token: a header that is a JSON object with `alg` (RFC 7515 section 4.1), and a payload that decodes.
pub(super) fn jwt(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let mut parts = subject.secret.split(|&byte| byte == b'.');
    let header = parts.next().and_then(|part| URL_SAFE.decode(part).ok());
    let Some(header) = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(&header).ok())
    else {
        return Verdict::Fail("the header of the jwt is no JSON".into());
    };
    let Some(algorithm) = header.get("alg").and_then(serde_json::Value::as_str) else {
        return Verdict::Fail("the header of the jwt names no algorithm".into());
    };
    if parts.next().is_none_or(|payload| URL_SAFE.decode(payload).is_err()) {
        return Verdict::Fail("the payload of the jwt does not decode".into());
    }
    let shown: String = algorithm.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    Verdict::Raise(format!("jwt header ok, alg {shown}").into())
}

/// A private key in PEM (RFC 7468, OpenSSH, OpenPGP): the body is base64 of what its label says. Line ends may be
/// written `\n`.
pub(super) fn pem_private_key(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some(text) = between(subject.whole) else { return Verdict::Fail("no PEM block".into()) };
    let (label, body) = text;
    let (headers, start) = body_start(body);
    if start.len() < 20 {
        return Verdict::Fail("the PEM block holds no key".into());
    }
    let whole = start.len() - start.len() % 4;
    let Some(Ok(bytes)) = start.get(..whole).map(|start| STANDARD.decode(start)) else {
        return Verdict::Fail("the PEM block is no base64".into());
    };
    let fits = if contains(label, b"OPENSSH") {
        bytes.starts_with(b"openssh-key-v1")
    } else if contains(label, b"PGP") {
        bytes.first().is_some_and(|&tag| tag & 0x80 != 0)
    } else {
        bytes.first() == Some(&0x30)
    };
    if !fits {
        return Verdict::Lower("the PEM block does not hold what its label says".into());
    }
    if contains(label, b"ENCRYPTED") || headers {
        return Verdict::Lower("the key is encrypted".into());
    }
    Verdict::Raise("the key decodes".into())
}

/// Label and body of the first PEM block; the end may be missing.
fn between(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::find(text, b"-----BEGIN ")?;
    let behind = text.get(at + 11..)?;
    let label_end = memchr::memmem::find(behind, b"-----")?;
    let (label, body) = (behind.get(..label_end)?, behind.get(label_end + 5..)?);
    let end = memchr::memmem::find(body, b"-----END").unwrap_or(body.len());
    Some((label, body.get(..end)?))
}

/// Whether the body has encryption headers (RFC 1421), and the first characters of its base64.
fn body_start(body: &[u8]) -> (bool, Vec<u8>) {
    let mut encrypted = false;
    let mut start = Vec::with_capacity(BODY);
    let mut rest = body;
    while !rest.is_empty() && start.len() < BODY {
        let (line, behind) = next_line(rest);
        rest = behind;
        let line = line.trim_ascii();
        // `Proc-Type:`, `DEK-Info:`, `Version:`; a line of base64 has no colon.
        if memchr::memchr(b':', line).is_some() {
            encrypted |= contains(line, b"ENCRYPTED") || line.starts_with(b"DEK-Info");
            continue;
        }
        // On one line the lines of a key are long; words are not.
        let mut parts = line.split(|&byte| byte == b' ').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if part.len() < SHORTEST_LINE && parts.peek().is_some() {
                return (encrypted, b"not base64, but words".to_vec());
            }
            start.extend(part.iter().take(BODY - start.len()));
        }
    }
    (encrypted, start)
}

/// A line ends at a line feed or at `\n` or `\r` written out.
fn next_line(text: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr::memchr2(b'\n', b'\\', rest)) {
        let at = from + at;
        let Some((line, behind)) = text.split_at_checked(at) else { break };
        match behind {
            [b'\n', rest @ ..] => return (line, rest),
            [b'\\', b'n' | b'r', rest @ ..] => return (line, rest),
            [b'\\', b'\\', b'n' | b'r', rest @ ..] => return (line, rest),
            _ => from = at + 1,
        }
    }
    (text, b"")
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, judge, table};
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2lnbmF0dXJl", part(header), part(payload))
    }

    #[test]
    fn base64_of_both_alphabets() {
        table("base64", &["aGVsbG8=", "aGVsbG8", "-_-_"], &["", "a-+b", "hello world"]);
    }

    #[test]
    fn the_password_of_basic_credentials() {
        for (value, password) in [
            ("bWlyYTpSaWVkLUdyYXMtNDE=", Some("Ried-Gras-41")),
            ("c3ZjOkJhY2gtTGF1Zi03", Some("Bach-Lauf-7")),
            ("YTpiOmM", Some("b:c")),
            ("bWlyYTo=", Some("")),
            ("bWlyYQ==", None),
            ("AAECOgME", None),
            ("{credentials}", None),
        ] {
            assert_eq!(basic_password(value.as_bytes()).as_deref(), password.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn a_jwt_has_a_header() {
        let good = token(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"made-up"}"#);
        assert_eq!(judge("jwt", &good), Verdict::Raise("jwt header ok, alg HS256".into()));
        table(
            "jwt",
            &[],
            &[
                "eyJub3RqdW5r",
                &token(r#"{"typ":"JWT"}"#, "{}"),
                "eyJhbGciOiJIUzI1NiJ9",
                "eyJhbGciOiJIUzI1NiJ9.!!.x",
                "a.b.c",
            ],
        );
    }

    #[test]
    fn a_private_key_decodes() {
        let der: Vec<u8> = [0x30, 0x82, 0x04, 0xbd].into_iter().chain((0..80).map(|n| n * 3)).collect();
        let body = STANDARD.encode(der);
        let ssh = STANDARD.encode(b"openssh-key-v1\0made up for this test only");
        let pem = |label: &str, body: &str, line: &str| {
            format!("-----BEGIN {label}-----{line}{body}{line}-----END {label}-----")
        };
        let raised = Verdict::Raise("the key decodes".into());
        for line in ["\n", "\r\n", "\\n", "\\\\n"] {
            assert_eq!(judge("pem-private-key", &pem("RSA PRIVATE KEY", &body, line)), raised, "{line:?}");
        }
        assert_eq!(judge("pem-private-key", &pem("OPENSSH PRIVATE KEY", &ssh, "\n")), raised);
        assert!(matches!(
            judge("pem-private-key", &pem("OPENSSH PRIVATE KEY", &body, "\n")),
            Verdict::Lower(_)
        ));
        let encrypted = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{body}");
        assert!(matches!(
            judge("pem-private-key", &pem("RSA PRIVATE KEY", &encrypted, "\n")),
            Verdict::Lower(_)
        ));
        table(
            "pem-private-key",
            &[],
            &[
                &pem("PRIVATE KEY", "...", "\n"),
                &pem("PRIVATE KEY", "paste the key of your account here", "\n"),
                "-----BEGIN PRIVATE KEY-----",
                "nothing",
            ],
        );
    }
}
