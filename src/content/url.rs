//! A URL or request target cut into the parts that may carry a secret (RFC 3986 section 3, RFC 9112 section 3.2).

use memchr::{memchr, memchr2, memchr3, memmem, memrchr};

/// A part of a URL, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// One path segment, matrix parameters included; never empty.
    Segment(&'a [u8]),
    /// One query parameter; without `=` there is no name.
    Parameter(Option<&'a [u8]>, &'a [u8]),
    /// The user of the userinfo; never empty.
    User(&'a [u8]),
    /// The password of the userinfo; never empty.
    Password(&'a [u8]),
    /// One pair of the fragment, or the whole of it, without a name; never empty.
    Fragment(Option<&'a [u8]>, &'a [u8]),
}

/// The parts of a URL in their order; scheme, host and port are left out. With `relative`, `//host` is an authority
/// (RFC 3986 section 4.2); in a request target it is a path.
pub(super) fn parts<'a>(url: &'a [u8], relative: bool, out: &mut dyn FnMut(Part<'a>)) {
    let rest = match scheme(url) {
        Some(after) => authority(after, out),
        None if relative && url.starts_with(b"//") => authority(url.get(2..).unwrap_or_default(), out),
        None => url,
    };
    let (rest, fragment) = split(rest, b'#');
    let (path, query) = split(rest, b'?');
    for segment in path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()) {
        out(Part::Segment(segment));
    }
    if let Some(query) = query {
        pairs(query, true, &mut |name, value| out(Part::Parameter(name, value)));
    }
    if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
        // A route of a single-page application may have a query of its own.
        let (route, query) = split(fragment, b'?');
        let (route, query) = match query {
            Some(query) => (route, query),
            None if memchr(b'=', fragment).is_some() => (&[][..], fragment),
            None => (fragment, &[][..]),
        };
        if !route.is_empty() {
            out(Part::Fragment(None, route));
        }
        pairs(query, false, &mut |name, value| {
            if !value.is_empty() {
                out(Part::Fragment(name, value));
            }
        });
    }
}

/// The pairs of a query or form: separated by `&`, by `;` too (with `semicolons`) where no `&` stands. Pieces of no length are no pairs.
pub(super) fn pairs<'a>(query: &'a [u8], semicolons: bool, out: &mut dyn FnMut(Option<&'a [u8]>, &'a [u8])) {
    let separator = match memchr2(b'&', b';', query) {
        Some(_) if semicolons && memchr(b'&', query).is_none() => b';',
        _ => b'&',
    };
    let mut rest = query;
    while !rest.is_empty() {
        let (piece, behind) = split(rest, separator);
        rest = behind.unwrap_or_default();
        match split(piece, b'=') {
            (name, Some(value)) => out(Some(name), value),
            (value, None) if !value.is_empty() => out(None, value),
            _ => {}
        }
    }
}

/// What stands behind `scheme://`, if the URL begins so.
pub(super) fn scheme(url: &[u8]) -> Option<&[u8]> {
    let colon = memmem::find(url.get(..url.len().min(32))?, b"://")?;
    let scheme = url.get(..colon)?;
    let valid = scheme.first()?.is_ascii_alphabetic()
        && scheme.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if valid { url.get(colon + 3..) } else { None }
}

/// Tells the userinfo and gives what stands behind the authority.
fn authority<'a>(rest: &'a [u8], out: &mut dyn FnMut(Part<'a>)) -> &'a [u8] {
    let end = memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    // The last `@`: a password that holds one unencoded is common.
    if let Some(userinfo) = memrchr(b'@', authority).and_then(|at| authority.get(..at)) {
        let (user, password) = split(userinfo, b':');
        if !user.is_empty() {
            out(Part::User(user));
        }
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            out(Part::Password(password));
        }
    }
    behind
}

/// What stands before and behind the first `byte`.
pub(super) fn split(bytes: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(byte, bytes).and_then(|at| Some((bytes.get(..at)?, bytes.get(at + 1..)?))) {
        Some((before, behind)) => (before, Some(behind)),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, relative: bool) -> String {
        let mut parts = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pair = |name: Option<&[u8]>, value| match name {
            Some(name) => format!("{}={}", text(name), text(value)),
            None => text(value),
        };
        super::parts(url.as_bytes(), relative, &mut |part| {
            parts.push(match part {
                Part::Segment(segment) => format!("/{}", text(segment)),
                Part::Parameter(name, value) => format!("?{}", pair(name, value)),
                Part::User(user) => format!("user {}", text(user)),
                Part::Password(password) => format!("password {}", text(password)),
                Part::Fragment(name, value) => format!("#{}", pair(name, value)),
            });
        });
        parts.join(" ")
    }

    #[test]
    fn every_part_is_told_in_its_order() {
        for (url, expected) in [
            ("/", ""),
            ("*", "/*"),
            ("/a//b;v=1/c%2Fd", "/a /b;v=1 /c%2Fd"),
            ("/x?a=1&a=2&b=&c&&d[e]=f", "/x ?a=1 ?a=2 ?b= ?c ?d[e]=f"),
            ("/x?a=1;b=2", "/x ?a=1 ?b=2"),
            ("/x?a=1;b&c=2", "/x ?a=1;b ?c=2"),
            ("/x?=v", "/x ?=v"),
            ("/x?a=b=c?d", "/x ?a=b=c?d"),
            ("http://u:p@h:80/x?k=v#f", "user u password p /x ?k=v #f"),
            ("http://u:p@ss@h", "user u password p@ss"),
            ("http://tokenalone@h/", "user tokenalone"),
            ("http://h?k=v", "?k=v"),
            ("/x#access_token=1&b=2", "/x #access_token=1 #b=2"),
            ("/x#/route?token=1", "/x #/route #token=1"),
            ("//h/x", "/h /x"),
            ("h:443", "/h:443"),
            ("", ""),
        ] {
            assert_eq!(told(url, false), expected, "{url}");
        }
        assert_eq!(told("//u:p@h/x", true), "user u password p /x");
        assert_eq!(told("x?u=http://y", true), "/x ?u=http://y");
    }
}
