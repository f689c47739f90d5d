//! What HTML and XML share: attributes, and character references undone.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memmem};

use super::contract::Wanted;
use crate::model::{Field, Surface};

/// One attribute: where its name and its raw value stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Attributes gathered of one tag.
const ATTRIBUTES: usize = 256;

/// Reads the attributes behind a tag's name into `into` and gives the place behind the `>`. Of a tag with more than
/// 256 attributes the rest is passed over.
pub(super) fn attributes(bytes: &[u8], start: usize, into: &mut Vec<Attribute>) -> usize {
    into.clear();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'>' => return at + 1,
            b'/' | b'?' | b'=' | b'"' | b'\'' | b'<' => at += 1,
            _ if byte.is_ascii_whitespace() => at += 1,
            _ => {
                let name = at..run(bytes, at, |byte| {
                    byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/')
                });
                at = run(bytes, name.end, |byte| !byte.is_ascii_whitespace());
                let mut value = name.end..name.end;
                if bytes.get(at) == Some(&b'=') {
                    at = run(bytes, at + 1, |byte| !byte.is_ascii_whitespace());
                    match bytes.get(at) {
                        Some(&quote @ (b'"' | b'\'')) => {
                            let rest = bytes.get(at + 1..).unwrap_or_default();
                            let length = memchr(quote, rest).unwrap_or(rest.len());
                            value = at + 1..at + 1 + length;
                            at = (value.end + 1).min(bytes.len());
                        }
                        _ => {
                            value = at..run(bytes, at, |byte| byte.is_ascii_whitespace() || byte == b'>');
                            at = value.end;
                        }
                    }
                } else {
                    at = at.max(name.end);
                }
                if into.len() < ATTRIBUTES {
                    into.push(Attribute { name, value });
                }
            }
        }
    }
    bytes.len()
}

/// The first place at or behind `start` where `stop` holds.
pub(super) fn run(bytes: &[u8], start: usize, stop: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter().position(|&byte| stop(byte)).map_or(bytes.len().max(start), |length| start + length)
}

/// Tells the wanted attributes as `path.@name`. Where one attribute names what another holds (`<input name= value=>`,
/// `<meta name= content=>`, `<add key= value=>`), rules see the name.
pub(super) fn tell_attributes(
    bytes: &[u8],
    surface: Surface,
    path: &dyn Fn() -> String,
    attributes: &[Attribute],
    wanted: &Wanted<'_>,
    out: &mut dyn FnMut(Field<'_>),
) {
    let text = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    let label = attributes.iter().find(|attribute| {
        let name = text(&attribute.name);
        [&b"name"[..], b"key", b"property", b"itemprop"].iter().any(|label| name.eq_ignore_ascii_case(label))
    });
    for attribute in attributes.iter().filter(|attribute| !attribute.value.is_empty()) {
        let name = text(&attribute.name);
        let holds = name.eq_ignore_ascii_case(b"value") || name.eq_ignore_ascii_case(b"content");
        let label = label.filter(|_| holds);
        let touched = wanted.touches(&attribute.name)
            || wanted.touches(&attribute.value)
            || label.is_some_and(|label| wanted.touches(&label.value));
        if touched {
            let full = format!("{}.@{}", path(), String::from_utf8_lossy(name));
            let value = without_references(text(&attribute.value));
            let inner = label.map(|label| super::head::text(without_references(text(&label.value))));
            let field = Field::new(surface, Some(Cow::Owned(full)), value, attribute.value.clone());
            out(field.with_inner(inner));
        }
    }
}

/// The longest reference looked for: `&#x0010FFFF;`, `&quot;`.
const REFERENCE: usize = 12;

/// Character references undone: numbers, and the names that stand for ASCII or a space. Others stay.
pub(super) fn without_references(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'&', raw) else { return Cow::Borrowed(raw) };
    let mut value = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at_checked(first).unwrap_or((raw, &[]));
    value.extend_from_slice(plain);
    while let Some(behind) = rest.strip_prefix(b"&") {
        let next = match reference(behind) {
            Some((character, length)) => {
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                behind.get(length..).unwrap_or_default()
            }
            None => {
                value.push(b'&');
                behind
            }
        };
        let (plain, behind) =
            next.split_at_checked(memchr(b'&', next).unwrap_or(next.len())).unwrap_or((next, &[]));
        value.extend_from_slice(plain);
        rest = behind;
    }
    Cow::Owned(value)
}

/// The character that the text behind `&` refers to, and the length of the reference.
pub(super) fn reference(behind: &[u8]) -> Option<(char, usize)> {
    let near = behind.get(..behind.len().min(REFERENCE)).unwrap_or(behind);
    if let Some(digits) = near.strip_prefix(b"#") {
        let (digits, radix, lead) = match digits.strip_prefix(b"x").or_else(|| digits.strip_prefix(b"X")) {
            Some(digits) => (digits, 16, 2),
            None => (digits, 10, 1),
        };
        let length = digits.iter().take_while(|&&byte| char::from(byte).is_digit(radix)).count();
        let number = std::str::from_utf8(digits.get(..length)?).ok()?;
        let character = char::from_u32(u32::from_str_radix(number, radix).ok()?)?;
        // In HTML the semicolon may be missing.
        let semicolon = usize::from(digits.get(length) == Some(&b';'));
        return Some((character, lead + length + semicolon));
    }
    let end = memchr(b';', near)?;
    let character = match near.get(..end)? {
        b"amp" | b"AMP" => '&',
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"nbsp" => '\u{a0}',
        b"equals" => '=',
        b"colon" => ':',
        b"sol" => '/',
        b"bsol" => '\\',
        b"lowbar" | b"UnderBar" => '_',
        b"period" => '.',
        b"plus" => '+',
        b"commat" => '@',
        b"num" => '#',
        b"percnt" => '%',
        b"dollar" => '$',
        b"excl" => '!',
        b"quest" => '?',
        b"semi" => ';',
        b"comma" => ',',
        b"ast" => '*',
        b"lpar" => '(',
        b"rpar" => ')',
        b"lbrack" | b"lsqb" => '[',
        b"rbrack" | b"rsqb" => ']',
        b"lbrace" | b"lcub" => '{',
        b"rbrace" | b"rcub" => '}',
        b"grave" => '`',
        b"Hat" => '^',
        b"verbar" | b"vert" => '|',
        b"Tab" => '\t',
        b"NewLine" => '\n',
        _ => return None,
    };
    Some((character, end + 1))
}

/// Where `needle` comes next from `start` on, or the end of the bytes.
pub(super) fn find(bytes: &[u8], start: usize, needle: &[u8]) -> usize {
    let start = start.min(bytes.len());
    memmem::find(bytes.get(start..).unwrap_or_default(), needle).map_or(bytes.len(), |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_undone_once() {
        for (raw, value) in [
            ("plain", "plain"),
            ("a&amp;b&lt;c&gt;&quot;d&#39;&#x27;&apos;", "a&b<c>\"d'''"),
            ("&amp;lt;", "&lt;"),
            ("sk&#95;live&lowbar;x", "sk_live_x"),
            ("&#65", "A"),
            ("&#x110000;&#;&unknown;&", "&#x110000;&#;&unknown;&"),
            ("a&b=c", "a&b=c"),
        ] {
            assert_eq!(String::from_utf8_lossy(&without_references(raw.as_bytes())), value, "{raw}");
        }
    }

    #[test]
    fn attributes_of_every_form_are_read() {
        for (tag, expected, behind) in [
            (" a=\"1\" b='2 3' c=4 d e = 5/>x", "a=1 b=2 3 c=4 d= e=5/", "x"),
            (" a=\"x>y\" />", "a=x>y", ""),
            (" a=\"open", "a=open", ""),
            (" = \" ' a=1>", "a=1", ""),
            ("", "", ""),
        ] {
            let mut found = Vec::new();
            let end = attributes(tag.as_bytes(), 0, &mut found);
            let told: Vec<_> = found
                .iter()
                .map(|one| format!("{}={}", &tag[one.name.clone()], &tag[one.value.clone()]))
                .collect();
            assert_eq!(told.join(" "), expected, "{tag}");
            assert_eq!(&tag[end..], behind, "{tag}");
        }
    }
}
