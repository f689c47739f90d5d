//! `Cookie` and `Set-Cookie` taken apart (RFC 6265 sections 4.1 and 4.2).

use super::url::split;

/// Name (none without `=`) and raw value of each cookie of a `Cookie` header, without the quotes around the value.
pub(super) fn cookies<'a>(header: &'a [u8], out: &mut dyn FnMut(Option<&'a [u8]>, &'a [u8])) {
    for piece in header.split(|&byte| byte == b';') {
        pair(piece, out);
    }
}

/// Name and raw value of the cookie of a `Set-Cookie` header; its attributes are left out.
pub(super) fn set_cookie<'a>(header: &'a [u8], out: &mut dyn FnMut(Option<&'a [u8]>, &'a [u8])) {
    pair(split(header, b';').0, out);
}

fn pair<'a>(piece: &'a [u8], out: &mut dyn FnMut(Option<&'a [u8]>, &'a [u8])) {
    match split(piece.trim_ascii(), b'=') {
        (name, Some(value)) => out(Some(name.trim_ascii()), unquoted(value.trim_ascii())),
        (value, None) if !value.is_empty() => out(None, unquoted(value)),
        _ => {}
    }
}

/// The value without one pair of double quotes around it.
pub(super) fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_one_by_one() {
        type Take = fn(&'static [u8], &mut dyn FnMut(Option<&'static [u8]>, &'static [u8]));
        type Cookies = &'static [(Option<&'static str>, &'static str)];
        let table: &[(&str, Cookies, Cookies)] = &[
            ("a=1; b=2", &[(Some("a"), "1"), (Some("b"), "2")], &[(Some("a"), "1")]),
            ("a=\"x y\";b=", &[(Some("a"), "x y"), (Some("b"), "")], &[(Some("a"), "x y")]),
            ("a=b=c==", &[(Some("a"), "b=c==")], &[(Some("a"), "b=c==")]),
            ("; ;lone;", &[(None, "lone")], &[]),
            ("s=1;Path=/", &[(Some("s"), "1"), (Some("Path"), "/")], &[(Some("s"), "1")]),
            ("a=\"", &[(Some("a"), "\"")], &[(Some("a"), "\"")]),
        ];
        for (header, all, set) in table {
            let collect = |take: Take| {
                let mut told = Vec::new();
                take(header.as_bytes(), &mut |name, value| {
                    let text = |bytes| std::str::from_utf8(bytes).unwrap();
                    told.push((name.map(text), text(value)));
                });
                told
            };
            assert_eq!(collect(cookies), *all, "{header}");
            assert_eq!(collect(set_cookie), *set, "{header}");
        }
    }
}
