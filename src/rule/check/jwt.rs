//! Checks of JSON Web Tokens: what their header and claims say of them.

use serde_json::Value;

use super::encoding::URL_SAFE;
use super::expiry::{self, date};
use super::{Parameter, Subject, Verdict};
use base64::Engine as _;

/// A JSON Web Token: a header that is a JSON object with `alg` (RFC 7515 section 4.1), and a payload that decodes. An
/// expiry (`exp`, RFC 7519 section 4.1.4) that lies before the message makes it less certain to be of use.
pub(super) fn jwt(subject: &Subject<'_>, _: &Parameter) -> Verdict {
    let mut parts = subject.secret.split(|&byte| byte == b'.');
    let header = parts.next().and_then(|part| URL_SAFE.decode(part).ok());
    let Some(header) = header.and_then(|header| serde_json::from_slice::<Value>(&header).ok()) else {
        return Verdict::Fail("the header of the jwt is no JSON".into());
    };
    let Some(algorithm) = header.get("alg").and_then(Value::as_str) else {
        return Verdict::Fail("the header of the jwt names no algorithm".into());
    };
    let Some(payload) = parts.next().and_then(|payload| URL_SAFE.decode(payload).ok()) else {
        return Verdict::Fail("the payload of the jwt does not decode".into());
    };
    let shown: String = algorithm.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let unsigned = algorithm.eq_ignore_ascii_case("none");
    let mut reason = format!("jwt header ok, alg {shown}");
    if unsigned {
        reason.push_str(": anybody can make such a token");
    }
    let Ok(Value::Object(claims)) = serde_json::from_slice::<Value>(&payload) else {
        return Verdict::Raise(reason.into());
    };
    let expiry = claims.get("exp").and_then(Value::as_f64);
    match expiry.map(|seconds| seconds as i64) {
        None => {
            reason.push_str(", never expires");
            Verdict::Raise(reason.into())
        }
        Some(at) if expiry::is_over(at, subject.now) => {
            Verdict::Lower(format!("{reason}, expired {}", date(at)).into())
        }
        Some(at) => {
            reason.push_str(&format!(", expires {}", date(at)));
            Verdict::Raise(reason.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Check, Does, judge, table};
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2lnbmF0dXJl", part(header), part(payload))
    }

    #[test]
    fn a_jwt_has_a_header() {
        let good = token(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"made-up"}"#);
        assert_eq!(judge("jwt", &good), Verdict::Raise("jwt header ok, alg HS256, never expires".into()));
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
    fn its_claims_say_how_long_it_is_of_use() {
        let Does::Judge(judge) = Check::parse("jwt").unwrap().does else { panic!() };
        let at = |now, payload: &str, algorithm: &str| {
            let token = token(&format!(r#"{{"alg":"{algorithm}"}}"#), payload);
            let subject = Subject { now, ..Subject::of(token.as_bytes()) };
            judge(&subject, &Parameter::None)
        };
        let day = r#"{"exp":1795305600}"#;
        let expires = "jwt header ok, alg HS256, expires 2026-11-22";
        for (now, payload, algorithm, verdict) in [
            (None, day, "HS256", Verdict::Raise(expires.into())),
            (Some(1_795_305_599), day, "HS256", Verdict::Raise(expires.into())),
            (
                Some(1_795_305_601),
                day,
                "HS256",
                Verdict::Lower("jwt header ok, alg HS256, expired 2026-11-22".into()),
            ),
            (
                None,
                "{}",
                "none",
                Verdict::Raise(
                    "jwt header ok, alg none: anybody can make such a token, never expires".into(),
                ),
            ),
            (
                None,
                r#"{"exp":1e300}"#,
                "RS256",
                Verdict::Raise("jwt header ok, alg RS256, expires later".into()),
            ),
        ] {
            assert_eq!(at(now, payload, algorithm), verdict, "{payload}");
        }
    }
}
