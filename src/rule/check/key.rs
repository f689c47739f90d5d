//! Checks of private keys: what a PEM block holds, by its DER (X.690) or by OpenSSH's own form.

use base64::Engine as _;

use super::encoding::STANDARD;
use super::{Parameter, Subject, Verdict};

/// Characters of a key's body that are looked at.
const BODY: usize = 16 * 1024;
/// Characters of its shortest line but the last.
const SHORTEST_LINE: usize = 16;
/// Algorithms by their object identifier (RFC 3279, RFC 5480, RFC 8410).
const ALGORITHMS: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], "EC"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2b, 0x65, 0x6e], "X25519"),
    (&[0x2b, 0x65, 0x6f], "X448"),
];

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// A private key in PEM (RFC 7468, OpenSSH, OpenPGP): the body is base64 of what its label says. Line ends may be
/// written `\n`; the end may be missing.
pub(super) fn pem_private_key(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let Some((label, body)) = between(subject.whole) else { return Verdict::Fail("no PEM block".into()) };
    let (headers, text) = base64_of(body);
    if text.len() < 20 {
        return Verdict::Fail("the PEM block holds no key".into());
    }
    let whole = text.len() - text.len() % 4;
    let Some(Ok(bytes)) = text.get(..whole).map(|text| STANDARD.decode(text)) else {
        return Verdict::Fail("the PEM block is no base64".into());
    };
    let key = if contains(label, b"OPENSSH") {
        openssh(&bytes)
    } else if contains(label, b"PGP") {
        bytes.first().filter(|&tag| tag & 0x80 != 0).map(|_| Key::Plain("an OpenPGP key".to_owned()))
    } else if contains(label, b"ENCRYPTED") || headers {
        Some(Key::Encrypted)
    } else {
        der(&bytes)
    };
    match key {
        None => Verdict::Lower("the PEM block does not hold what its label says".into()),
        Some(Key::Encrypted) => Verdict::Lower("the key is encrypted".into()),
        Some(Key::Plain(kind)) => Verdict::Raise(format!("the key decodes: {kind}").into()),
    }
}

enum Key {
    Plain(String),
    Encrypted,
}

/// OpenSSH's form (PROTOCOL.key): the magic, then the name of the cipher.
fn openssh(bytes: &[u8]) -> Option<Key> {
    let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let cipher = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(if cipher == b"none" { Key::Plain("an OpenSSH key".to_owned()) } else { Key::Encrypted })
}

/// A key in PKCS #1 (RFC 8017 appendix A.1.2), SEC 1 (RFC 5915) or PKCS #8 (RFC 5958).
fn der(bytes: &[u8]) -> Option<Key> {
    let (SEQUENCE, inner, _) = element(bytes)? else { return None };
    let (tag, first, rest) = element(inner)?;
    if tag == SEQUENCE {
        // EncryptedPrivateKeyInfo: an algorithm, then the encrypted key.
        let (OBJECT_IDENTIFIER, ..) = element(first)? else { return None };
        return matches!(element(rest)?.0, OCTET_STRING).then_some(Key::Encrypted);
    }
    let ([0 | 1], INTEGER) = (first, tag) else { return None };
    let (tag, second, rest) = element(rest)?;
    let kind = match tag {
        INTEGER => {
            let bits = second.strip_prefix(&[0]).unwrap_or(second).len() * 8;
            element(rest)
                .filter(|&(tag, ..)| tag == INTEGER)
                .or(rest.is_empty().then_some((INTEGER, rest, rest)))?;
            format!("RSA or DSA, {bits} bits")
        }
        OCTET_STRING => format!("EC, {} bits", second.len() * 8),
        SEQUENCE => {
            let (OBJECT_IDENTIFIER, algorithm, _) = element(second)? else { return None };
            element(rest).filter(|&(tag, ..)| tag == OCTET_STRING)?;
            let name = ALGORITHMS.iter().find(|(known, _)| *known == algorithm).map(|(_, name)| *name);
            format!("{}, PKCS #8", name.unwrap_or("of another algorithm"))
        }
        _ => return None,
    };
    Some(Key::Plain(kind))
}

/// Tag, content and what follows of the first element; a content that the text cuts off is as long as it is there.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
    Some((tag, content, behind))
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

/// Whether the body has encryption headers (RFC 1421), and its base64.
fn base64_of(body: &[u8]) -> (bool, Vec<u8>) {
    let mut encrypted = false;
    let mut start = Vec::with_capacity(body.len().min(BODY));
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
    use super::super::{judge, table};
    use super::*;

    fn der_of(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag];
        match length {
            0..=0x7f => out.push(length as u8),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend(content);
        out
    }

    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        der_of(SEQUENCE, &parts.concat())
    }

    fn pem(label: &str, body: &[u8], line: &str) -> String {
        let body = STANDARD.encode(body);
        format!("-----BEGIN {label}-----{line}{body}{line}-----END {label}-----")
    }

    #[test]
    fn a_private_key_is_known_by_its_structure() {
        let version = der_of(INTEGER, &[0]);
        let number = der_of(INTEGER, &[&[0][..], &[0xb5; 128]].concat());
        let rsa = sequence(&[version.clone(), number.clone(), der_of(INTEGER, &[1, 0, 1])]);
        let ec = sequence(&[der_of(INTEGER, &[1]), der_of(OCTET_STRING, &[7; 32])]);
        let algorithm = sequence(&[der_of(OBJECT_IDENTIFIER, ALGORITHMS[3].0)]);
        let pkcs8 = sequence(&[version.clone(), algorithm.clone(), der_of(OCTET_STRING, &[4; 34])]);
        let encrypted = sequence(&[algorithm, der_of(OCTET_STRING, &[4; 64])]);
        let ssh = |cipher: &str| {
            let length = (cipher.len() as u32).to_be_bytes();
            [b"openssh-key-v1\0", &length[..], cipher.as_bytes(), &[0; 40]].concat()
        };
        let raised = |kind: &str| Verdict::Raise(format!("the key decodes: {kind}").into());
        let hidden = Verdict::Lower("the key is encrypted".into());
        let wrong = Verdict::Lower("the PEM block does not hold what its label says".into());
        for (label, body, verdict) in [
            ("RSA PRIVATE KEY", &rsa, raised("RSA or DSA, 1024 bits")),
            ("EC PRIVATE KEY", &ec, raised("EC, 256 bits")),
            ("PRIVATE KEY", &pkcs8, raised("Ed25519, PKCS #8")),
            ("PRIVATE KEY", &encrypted, hidden.clone()),
            ("ENCRYPTED PRIVATE KEY", &encrypted, hidden.clone()),
            ("OPENSSH PRIVATE KEY", &ssh("none"), raised("an OpenSSH key")),
            ("OPENSSH PRIVATE KEY", &ssh("aes256-ctr"), hidden.clone()),
            ("OPENSSH PRIVATE KEY", &rsa, wrong.clone()),
            ("RSA PRIVATE KEY", &(0..80).collect::<Vec<u8>>(), wrong.clone()),
            ("RSA PRIVATE KEY", &sequence(&[number]), wrong),
        ] {
            for line in ["\n", "\r\n", "\\n", "\\\\n"] {
                assert_eq!(judge("pem-private-key", &pem(label, body, line)), verdict, "{label} {line:?}");
            }
        }
        // Cut off behind its first numbers.
        let cut = pem("RSA PRIVATE KEY", &rsa[..140], "\n");
        assert_eq!(judge("pem-private-key", &cut), raised("RSA or DSA, 1024 bits"));
        let headers =
            format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{}", STANDARD.encode(&rsa));
        let text = format!("-----BEGIN RSA PRIVATE KEY-----\n{headers}\n-----END RSA PRIVATE KEY-----");
        assert_eq!(judge("pem-private-key", &text), hidden);
    }

    #[test]
    fn what_is_no_key_fails() {
        let block = |body: &str| format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
        table(
            "pem-private-key",
            &[],
            &[
                &block("..."),
                &block("paste the key of your account here"),
                "-----BEGIN PRIVATE KEY-----",
                "nothing",
            ],
        );
    }
}
