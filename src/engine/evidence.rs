//! The redacted excerpt of a finding: enough to find the place, nothing that may be secret.

use std::ops::Range;

use crate::model::Surface;
use crate::model::message::Origin;
use crate::model::redact::{self, Known};

/// The request line, its target masked before.
pub(super) fn request_line(method: &[u8], target: &str, version: &str) -> String {
    let method = String::from_utf8_lossy(method);
    format!("{method} {target} {}", version.to_ascii_uppercase())
}

/// What surrounds a secret that is part of its value (a connection string, an assignment): the whole match, masked.
/// `None` where the secret is all there is.
pub(super) fn surroundings(
    value: &[u8],
    whole: &Range<usize>,
    secret: &Range<usize>,
    redacted: &str,
    known: &[Known<'_>],
) -> Option<String> {
    if whole == secret {
        return None;
    }
    let before = value.get(whole.start..secret.start)?;
    let behind = value.get(secret.end..whole.end)?;
    if is_userinfo(value, secret) {
        return Some(redact::excerpt(value.get(whole.clone())?, known));
    }
    Some(format!("{}{redacted}{}", redact::excerpt(before, known), redact::excerpt(behind, known)))
}

/// Whether the secret is the password of a URL's userinfo (RFC 3986 section 3.2.1).
pub(super) fn is_userinfo(whole: &[u8], secret: &Range<usize>) -> bool {
    let before = whole.get(..secret.start).unwrap_or_default();
    let behind = whole.get(secret.end..).unwrap_or_default();
    behind.starts_with(b"@") && memchr::memmem::find(before, b"://").is_some()
}

/// A value by the name that stands before it.
pub(super) fn named(surface: Surface, origin: Origin, shown_name: Option<&str>, redacted: &str) -> String {
    let Some(name) = shown_name else { return redacted.to_owned() };
    match (surface, origin) {
        (Surface::RequestCookie, _) => format!("Cookie: {name}={redacted}"),
        (Surface::ResponseCookie, _) => format!("Set-Cookie: {name}={redacted}"),
        (Surface::RequestHeader, Origin::Scheme(scheme) | Origin::User(scheme))
            if !matches!(scheme, "bare" | "other") =>
        {
            format!("{name}: {} {redacted}", capitalised(scheme))
        }
        _ => format!("{name}: {redacted}"),
    }
}

fn capitalised(scheme: &str) -> String {
    let mut characters = scheme.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}
