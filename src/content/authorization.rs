//! The credential within `Authorization` and `Proxy-Authorization`, by scheme (RFC 9110 section 11).

use std::borrow::Cow;

use super::base64;
use super::cookie::unquoted;
use super::url::split;
use crate::model::message::Origin;

/// What the credentials hold: where it came from, the value, and the raw slice it was read from.
pub(super) type Credential<'a> = (Origin, Cow<'a, [u8]>, &'a [u8]);

/// Tells the user (where the scheme has one) and the credential.
pub(super) fn credentials<'a>(value: &'a [u8], out: &mut dyn FnMut(Credential<'a>)) {
    let value = value.trim_ascii();
    let Some(space) = value.iter().position(u8::is_ascii_whitespace) else {
        return lone(value, out);
    };
    let (scheme, rest) = value.split_at_checked(space).unwrap_or((value, &[]));
    let rest = rest.trim_ascii();
    let name = scheme.to_ascii_lowercase();
    match name.as_slice() {
        b"basic" => basic(rest, out),
        b"bearer" => {
            // A scheme written twice is a common fault of clients.
            let again = rest.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
            plain("bearer", token(if again { rest.get(7..).unwrap_or(rest) } else { rest }), out);
        }
        b"digest" => parameters("digest", rest, b"username", b"response", out),
        b"hawk" => parameters("hawk", rest, b"id", b"mac", out),
        b"aws4-hmac-sha256" | b"aws4-ecdsa-p256-sha256" => {
            parameters("aws4", rest, b"credential", b"signature", out);
        }
        b"token" => plain("token", keyed(rest), out),
        b"apikey" | b"api-key" | b"api_key" | b"x-api-key" | b"key" => plain("apikey", keyed(rest), out),
        b"ntlm" => plain("ntlm", rest, out),
        b"negotiate" => plain("negotiate", rest, out),
        // `token: abc`, `key = abc`
        _ if scheme.ends_with(b":") || scheme.ends_with(b"=") => {
            let kind = scheme.split_last().map_or(&[][..], |(_, kind)| kind);
            plain(named(kind).unwrap_or("other"), unquoted(rest), out);
        }
        _ => plain("other", rest, out),
    }
}

/// A value without a scheme.
fn lone<'a>(value: &'a [u8], out: &mut dyn FnMut(Credential<'a>)) {
    if let (name, Some(rest)) = split(value, b'=')
        && let Some(scheme) = named(name)
    {
        return plain(scheme, unquoted(rest), out);
    }
    let known: [&[u8]; 8] =
        [b"basic", b"bearer", b"digest", b"negotiate", b"ntlm", b"token", b"apikey", b"hawk"];
    // A scheme without credentials says nothing.
    if !known.iter().any(|scheme| value.eq_ignore_ascii_case(scheme)) {
        plain("bare", unquoted(value), out);
    }
}

/// `Key=…` as Firebase has it, and its like.
fn named(name: &[u8]) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    match name.as_slice() {
        b"key" | b"apikey" | b"api-key" | b"api_key" | b"x-api-key" => Some("apikey"),
        b"token" | b"access_token" | b"auth_token" => Some("token"),
        _ => None,
    }
}

fn plain<'a>(scheme: &'static str, value: &'a [u8], out: &mut dyn FnMut(Credential<'a>)) {
    if !value.is_empty() {
        out((Origin::Scheme(scheme), Cow::Borrowed(value), value));
    }
}

/// One token: what stands before white space or a comma, without quotes.
fn token(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b',');
    match end {
        Some(end) if end > 0 => unquoted(rest.get(..end).unwrap_or(rest)),
        _ => unquoted(rest),
    }
}

/// `token="abc"` as Rails has it, or the token itself.
fn keyed(rest: &[u8]) -> &[u8] {
    match split(rest, b'=') {
        (name, Some(value)) if named(name.trim_ascii()).is_some() => token(value.trim_ascii()),
        _ => unquoted(rest),
    }
}

/// RFC 7617: base64 of `user:password`.
fn basic<'a>(rest: &'a [u8], out: &mut dyn FnMut(Credential<'a>)) {
    let raw = token(rest);
    let Some(decoded) = base64::decode(raw) else {
        return plain("other", raw, out);
    };
    let (user, password) = split(&decoded, b':');
    if !user.is_empty() {
        out((Origin::User("basic"), Cow::Owned(user.to_vec()), raw));
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        out((Origin::Scheme("basic"), Cow::Owned(password.to_vec()), raw));
    }
}

/// Credentials of parameters: `user` names the identity, `secret` what proves it.
fn parameters<'a>(
    scheme: &'static str,
    rest: &'a [u8],
    user: &[u8],
    secret: &[u8],
    out: &mut dyn FnMut(Credential<'a>),
) {
    let mut at = rest;
    while let (name, Some(behind)) = split(at, b'=') {
        let behind = behind.trim_ascii_start();
        let (raw, next) = match behind.strip_prefix(b"\"") {
            Some(inner) => quoted(inner),
            None => split(behind, b','),
        };
        let raw = raw.trim_ascii();
        let name = name.trim_ascii().strip_prefix(b",").unwrap_or(name).trim_ascii();
        let value = unescaped(raw);
        if name.eq_ignore_ascii_case(secret) && !raw.is_empty() {
            out((Origin::Scheme(scheme), value, raw));
        } else if name.eq_ignore_ascii_case(user) && !raw.is_empty() {
            match scheme {
                // The access key id opens the scope: `AKID/20261122/eu-west-1/s3/aws4_request`.
                "aws4" => {
                    let id = split(raw, b'/').0;
                    out((Origin::User(scheme), Cow::Borrowed(id), id));
                }
                _ => out((Origin::User(scheme), value, raw)),
            }
        }
        at = next.unwrap_or_default();
    }
}

/// A quoted string behind its opening quote, and what follows it (RFC 9110 section 5.6.4).
fn quoted(inner: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut escaped = false;
    let end = inner.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    match end {
        Some(end) => (inner.get(..end).unwrap_or(inner), inner.get(end + 1..)),
        None => (inner, None),
    }
}

pub(super) fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut escaped = false;
    let kept = raw.iter().copied().filter(|&byte| {
        escaped = byte == b'\\' && !escaped;
        !escaped
    });
    Cow::Owned(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_gives_its_credential() {
        let basic = Origin::Scheme("basic");
        let cases: &[(&str, &[(Origin, &str)])] = &[
            (
                "Basic YWxpY2U6b3Blbi1zZXNhbWU6OQ==",
                &[(Origin::User("basic"), "alice"), (basic, "open-sesame:9")],
            ),
            (
                "basic YWxpY2U6b3Blbi1zZXNhbWU6OQ",
                &[(Origin::User("basic"), "alice"), (basic, "open-sesame:9")],
            ),
            ("Basic c2stbWFkZS11cDo=", &[(Origin::User("basic"), "sk-made-up")]),
            ("Basic !!", &[(Origin::Scheme("other"), "!!")]),
            ("Bearer  abc.def", &[(Origin::Scheme("bearer"), "abc.def")]),
            ("Bearer Bearer abc", &[(Origin::Scheme("bearer"), "abc")]),
            ("Bearer \"abc\"", &[(Origin::Scheme("bearer"), "abc")]),
            ("Bearer", &[]),
            (
                r#"Digest username="Mu\"fasa", realm="a, b=c", uri="/x?y=z", response="00ff", opaque=x"#,
                &[(Origin::User("digest"), "Mu\"fasa"), (Origin::Scheme("digest"), "00ff")],
            ),
            (
                "AWS4-HMAC-SHA256 Credential=AKIDMADEUP/20261122/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date,Signature=fe12",
                &[(Origin::User("aws4"), "AKIDMADEUP"), (Origin::Scheme("aws4"), "fe12")],
            ),
            (
                r#"Hawk id="dh37", ts="1", mac="6Rs=""#,
                &[(Origin::User("hawk"), "dh37"), (Origin::Scheme("hawk"), "6Rs=")],
            ),
            ("Token abc", &[(Origin::Scheme("token"), "abc")]),
            ("Token token=\"abc\", nonce=\"d\"", &[(Origin::Scheme("token"), "abc")]),
            ("ApiKey aWQ6a2V5", &[(Origin::Scheme("apikey"), "aWQ6a2V5")]),
            ("key=AAAAmadeup:x", &[(Origin::Scheme("apikey"), "AAAAmadeup:x")]),
            ("key= abc", &[(Origin::Scheme("apikey"), "abc")]),
            ("NTLM TlRMTVNTUAAB", &[(Origin::Scheme("ntlm"), "TlRMTVNTUAAB")]),
            ("Negotiate YII=", &[(Origin::Scheme("negotiate"), "YII=")]),
            ("SSWS 00made-up", &[(Origin::Scheme("other"), "00made-up")]),
            ("00made-up", &[(Origin::Scheme("bare"), "00made-up")]),
            ("", &[]),
        ];
        for (header, expected) in cases {
            let mut told = Vec::new();
            credentials(header.as_bytes(), &mut |(origin, value, raw)| {
                assert!(crate::model::http::offset_in(header.as_bytes(), raw).is_some(), "{header}");
                told.push((origin, String::from_utf8(value.into_owned()).unwrap()));
            });
            let expected: Vec<_> =
                expected.iter().map(|&(origin, value)| (origin, value.to_string())).collect();
            assert_eq!(told, expected, "{header}");
        }
    }
}
