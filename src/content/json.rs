//! JSON bodies (RFC 8259), also lines of JSON, several values in a row, and JSON that was cut.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use memchr::memchr2;

use super::contract::{Decoder, Document, Outline, Wanted};
use crate::model::{Field, Surface};

/// Names are paths: `a.b[0].c`.
pub(super) struct Json;

/// Levels whose names are kept; below, a name is the innermost key alone.
const DEPTH: usize = 128;
/// Bytes of a path; a longer one gives way to the innermost key alone.
const PATH: usize = 1 << 10;

/// Bytes of a token that may be cut in two, and of an outline.
const LONG: usize = 1 << 10;
const OUTLINE: usize = 8 << 10;

impl Decoder for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        let declared = is_json(&document.media.essence);
        if document.partial {
            return declared;
        }
        match without_prefix(document.bytes).trim_ascii_start().first() {
            Some(b'{' | b'[') => declared || is_plausible(document.bytes),
            Some(b'"' | b'-' | b'0'..=b'9') => declared,
            _ => false,
        }
    }

    /// The brackets that are open and the keys they stand under; elements of arrays that are over are zeros.
    fn outline(&self, document: &Document<'_>, until: usize) -> Option<Outline> {
        if document.partial { None } else { outline(document.bytes, until) }
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        walk(document.bytes, document.partial, wanted, &mut |value| {
            out(value.field(document.surface, &value.name(""), 0));
        });
    }
}

/// Whether the media type is one of JSON's.
pub(super) fn is_json(essence: &str) -> bool {
    essence.contains("json") && !essence.contains("jsonp")
}

/// What is not JSON but stands before it against script inclusion: `)]}',`.
fn without_prefix(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    for guard in [&b")]}'"[..], b"while(1);", b"for(;;);"] {
        if let Some(rest) = bytes.strip_prefix(guard) {
            return rest.strip_prefix(b",").unwrap_or(rest);
        }
    }
    bytes
}

/// Whether the bytes begin as an object or array would, up to the first key or value.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let bytes = without_prefix(bytes);
    let mut rest = bytes.get(..bytes.len().min(4096)).unwrap_or(bytes).trim_ascii();
    for _ in 0..16 {
        let Some((&first, behind)) = rest.split_first() else { return false };
        rest = behind.trim_ascii_start();
        match (first, rest.first()) {
            (b'{', Some(b'}')) | (b'[', Some(b']')) => return true,
            (b'{', Some(b'"')) => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = string_end(inner, 0);
                let after = inner.get(end + 1..).unwrap_or_default().trim_ascii_start();
                return after.is_empty() || after.first() == Some(&b':');
            }
            (b'[', Some(b'"')) => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = string_end(inner, 0);
                let after = inner.get(end + 1..).unwrap_or_default().trim_ascii_start();
                return after.first().is_none_or(|byte| matches!(byte, b',' | b']'));
            }
            (b'[', Some(b'{' | b'[')) => {}
            (b'[', Some(_)) => {
                let end = rest.iter().position(|&byte| ends_scalar(byte)).unwrap_or(rest.len());
                let (scalar, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                let number = !scalar.is_empty()
                    && scalar
                        .iter()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
                let after = after.trim_ascii_start().first();
                return (number || matches!(scalar, b"true" | b"false" | b"null"))
                    && after.is_none_or(|byte| matches!(byte, b',' | b']'));
            }
            _ => return false,
        }
    }
    true
}

/// A scalar met on the way, and the path to it.
pub(super) struct Value<'w, 'a> {
    bytes: &'a [u8],
    stack: &'w [Level],
    /// Only the innermost key is known or kept.
    shallow: bool,
    key: Option<Range<usize>>,
    raw: Range<usize>,
    string: bool,
}

impl Value<'_, '_> {
    /// The path from the top of the value, behind `prefix`.
    pub(super) fn name(&self, prefix: &str) -> String {
        let mut name = String::from(prefix);
        let push_key = |name: &mut String, key: &Range<usize>| {
            if !name.is_empty() {
                name.push('.');
            }
            let key = key.start..key.end.min(key.start + PATH);
            name.push_str(&super::head::text(unescaped(self.bytes.get(key).unwrap_or_default())));
        };
        let length: usize = self.stack.iter().map(|level| level.key.as_ref().map_or(4, Range::len)).sum();
        if self.shallow || length > PATH {
            if let Some(key) = &self.key {
                push_key(&mut name, key);
            }
            return name;
        }
        for level in self.stack {
            if level.array {
                // Writing to a string cannot fail.
                let _ = write!(name, "[{}]", level.index);
            } else if let Some(key) = &level.key {
                push_key(&mut name, key);
            }
        }
        name
    }

    /// The field of that name; its span counts from `base`.
    pub(super) fn field<'n>(&'n self, surface: Surface, name: &'n str, base: usize) -> Field<'n> {
        let raw = self.bytes.get(self.raw.clone()).unwrap_or_default();
        let value = if self.string { unescaped(raw) } else { Cow::Borrowed(raw) };
        let name = (!name.is_empty()).then_some(Cow::Borrowed(name));
        Field::new(surface, name, value, base + self.raw.start..base + self.raw.end)
    }
}

#[derive(Clone, Debug, Default)]
struct Level {
    array: bool,
    index: u32,
    /// Of an object: the key read last. Of an array: the key it stands under.
    key: Option<Range<usize>>,
    /// Whether that key touches a wanted place.
    wanted: bool,
}

/// One pass over the tokens; a key is a string or word with a colon behind it, so that no state is needed to begin in
/// the middle or to go on behind a fault.
pub(super) fn walk(bytes: &[u8], partial: bool, wanted: &Wanted<'_>, out: &mut dyn FnMut(&Value<'_, '_>)) {
    let mut at = bytes.len() - without_prefix(bytes).len();
    // The bottom is the row of top-level values.
    let mut stack = vec![Level::default()];
    // Levels below the ones kept: their keys and kinds are not.
    let mut deeper = 0_usize;
    let mut deep_key: Option<Range<usize>> = None;
    let mut deep_wanted = false;
    let mut wanted_arrays = 0_usize;
    if partial {
        at = torn_string(bytes, wanted, out);
    }
    while let Some(&byte) = bytes.get(at) {
        let levels = stack.len();
        let Some(top) = stack.last_mut() else { return };
        if wanted.ends_before(at) && !top.wanted && !deep_wanted && wanted_arrays == 0 {
            return;
        }
        match byte {
            b'{' | b'[' if deeper > 0 || levels > DEPTH => {
                deeper += 1;
                at += 1;
            }
            b'{' => {
                stack.push(Level::default());
                at += 1;
            }
            b'[' => {
                let level = Level { array: true, index: 0, key: top.key.clone(), wanted: top.wanted };
                wanted_arrays += usize::from(level.wanted);
                stack.push(level);
                at += 1;
            }
            b'}' | b']' => {
                if deeper > 0 {
                    deeper -= 1;
                } else if stack.len() > 1 {
                    let closed = stack.pop().unwrap_or_default();
                    wanted_arrays -= usize::from(closed.array && closed.wanted);
                }
                if deeper == 0 {
                    deep_key = None;
                    deep_wanted = false;
                    done(&mut stack);
                }
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => at += 1,
            // RFC 7464: a record separator before each value.
            0x1e => at += 1,
            _ => {
                let string = byte == b'"';
                let start = at + usize::from(string);
                let end = if string { string_end(bytes, start) } else { scalar_end(bytes, start) };
                let raw = start..end;
                at = end + usize::from(string);
                if is_key(bytes, at) && (deeper > 0 || !top.array) {
                    if deeper > 0 {
                        deep_wanted = wanted.touches(&raw);
                        deep_key = Some(raw);
                    } else {
                        top.wanted = wanted.touches(&raw);
                        top.key = Some(raw);
                    }
                    continue;
                }
                let key = if deeper > 0 { deep_key.clone() } else { top.key.clone() };
                let key_wanted = if deeper > 0 { deep_wanted } else { top.wanted };
                let null = !string && bytes.get(raw.clone()) == Some(b"null");
                if (key_wanted || wanted.touches(&raw)) && !null {
                    let shallow = partial || deeper > 0;
                    out(&Value { bytes, stack: &stack, shallow, key, raw, string });
                }
                if deeper == 0 {
                    done(&mut stack);
                }
            }
        }
    }
}

/// The same pass, for what is open at `until`.
fn outline(bytes: &[u8], until: usize) -> Option<Outline> {
    let mut at = bytes.len() - without_prefix(bytes).len();
    let mut stack = vec![Level::default()];
    let mut torn = false;
    while at < until {
        let Some(&byte) = bytes.get(at) else { break };
        let top = stack.last_mut()?;
        match byte {
            b'{' | b'[' => {
                stack.push(Level { array: byte == b'[', ..Level::default() });
                if stack.len() > DEPTH {
                    return None;
                }
                at += 1;
            }
            b'}' | b']' => {
                if stack.len() > 1 {
                    stack.pop();
                }
                done(&mut stack);
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | 0x1e => at += 1,
            _ => {
                let string = byte == b'"';
                let start = at + usize::from(string);
                let end = if string { string_end(bytes, start) } else { scalar_end(bytes, start) };
                if end >= until {
                    // A long string goes on in the rest; a short token is left to it.
                    torn = string && until - start > LONG;
                    break;
                }
                at = end + usize::from(string);
                if is_key(bytes, at) && !top.array {
                    top.key = Some(start..end);
                } else {
                    done(&mut stack);
                }
            }
        }
    }
    let mut text = Vec::new();
    for level in &stack {
        // The bottom has no bracket of its own.
        if !std::ptr::eq(level, stack.first()?) {
            text.push(if level.array { b'[' } else { b'{' });
        }
        if text.len() + 2 * level.index as usize > OUTLINE {
            return None;
        }
        text.extend(std::iter::repeat_n(b"0,", level.index as usize).flatten());
        if let Some(key) = &level.key {
            text.push(b'"');
            text.extend_from_slice(bytes.get(key.clone())?);
            text.extend_from_slice(b"\":");
        }
    }
    if torn {
        text.push(b'"');
        let before = bytes.get(..until)?;
        let slashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
        at = until - slashes % 2;
    }
    (text.len() <= OUTLINE).then_some(Outline { text, until: at.min(bytes.len()), partial: false })
}

/// A value of the topmost level is over.
fn done(stack: &mut [Level]) {
    if let Some(top) = stack.last_mut() {
        if top.array {
            top.index = top.index.saturating_add(1);
        } else {
            top.key = None;
            top.wanted = false;
        }
    }
}

/// Where the first whole token begins in bytes that begin in the middle. The end of a string that was torn is told.
fn torn_string(bytes: &[u8], wanted: &Wanted<'_>, out: &mut dyn FnMut(&Value<'_, '_>)) -> usize {
    let end = string_end(bytes, 0);
    if end == bytes.len() && memchr2(b'{', b'[', bytes).is_some() {
        return 0;
    }
    let before = bytes.get(..end).unwrap_or_default().trim_ascii_end().last();
    let behind = bytes.get(end + 1..).unwrap_or_default().trim_ascii_start().first();
    let opens = before.is_none_or(|byte| matches!(byte, b'{' | b'[' | b',' | b':'))
        || !behind.is_none_or(|byte| matches!(byte, b',' | b':' | b'}' | b']'));
    if opens {
        return 0;
    }
    if wanted.touches(&(0..end)) {
        out(&Value { bytes, stack: &[], shallow: true, key: None, raw: 0..end, string: true });
    }
    end + 1
}

/// Whether a colon comes next.
fn is_key(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// The place of the quote that closes the string whose content begins at `start`, or the end of the bytes.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

fn ends_scalar(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"')
}

fn scalar_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start + 1..).unwrap_or_default();
    rest.iter().position(|&byte| ends_scalar(byte)).map_or(bytes.len(), |length| start + 1 + length)
}

/// Escapes undone (RFC 8259 section 7); what is no escape stays, half a surrogate pair becomes U+FFFD.
pub(super) fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut value = Vec::with_capacity(raw.len());
    value.extend_from_slice(raw.get(..first).unwrap_or_default());
    let mut rest = raw.get(first..).unwrap_or_default();
    while let [b'\\', behind @ ..] = rest {
        let Some((&escape, after)) = behind.split_first() else {
            value.push(b'\\');
            break;
        };
        let mut next = after;
        match escape {
            b'n' => value.push(b'\n'),
            b't' => value.push(b'\t'),
            b'r' => value.push(b'\r'),
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'"' | b'\\' | b'/' => value.push(escape),
            b'u' => match character(after) {
                Some((character, after)) => {
                    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    next = after;
                }
                None => value.extend_from_slice(b"\\u"),
            },
            other => value.extend_from_slice(&[b'\\', other]),
        }
        let plain = memchr::memchr(b'\\', next).unwrap_or(next.len());
        let (plain, behind) = next.split_at_checked(plain).unwrap_or((next, &[]));
        value.extend_from_slice(plain);
        rest = behind;
    }
    Cow::Owned(value)
}

/// The character of `XXXX` or `XXXX\uXXXX` behind `\u`, and what follows.
fn character(rest: &[u8]) -> Option<(char, &[u8])> {
    let (high, behind) = unit(rest)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, behind));
    }
    let pair = behind.strip_prefix(b"\\u").and_then(unit);
    if let Some((low @ 0xdc00..=0xdfff, after)) = pair
        && high < 0xdc00
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), after));
    }
    Some((char::REPLACEMENT_CHARACTER, behind))
}

fn unit(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, behind) = rest.split_at_checked(4)?;
    let mut unit = 0;
    for &digit in digits {
        unit = unit << 4 | char::from(digit).to_digit(16)?;
    }
    Some((unit, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Media;

    fn told(bytes: &[u8], partial: bool, wanted: &Wanted<'_>) -> Vec<String> {
        let media = Media::default();
        let document = Document { bytes, media: &media, surface: Surface::RequestBody, partial };
        let mut told = Vec::new();
        Json.decode(&document, wanted, &mut |field| {
            told.push(format!(
                "{}={}",
                field.name.as_deref().unwrap_or("-"),
                String::from_utf8_lossy(&field.value)
            ));
        });
        told
    }

    /// Cut anywhere, what follows keeps its names.
    #[test]
    fn an_outline_stands_for_what_is_gone() {
        let text = br#")]}',{"a":{"list":[1,{"x":"y\\\"z"},[true,null],"last"],"k\u0065y":"v"},"b":[[],[{"deep":[{"leaf":"END"}]}]],"c":"END","d":{"e":"END"}}"#;
        let names = |bytes: &[u8]| {
            let end = bytes.windows(3).rposition(|window| window == b"END").unwrap();
            told(bytes, false, &Wanted::At(std::slice::from_ref(&(end..end + 3)))).last().cloned()
        };
        let whole = names(text).unwrap();
        assert!(whole.contains("d.e"), "{whole}");
        for until in 5..text.len() - 12 {
            let outline = outline(text, until).unwrap();
            assert!(outline.until <= until);
            let rest = [&outline.text, &text[outline.until..]].concat();
            let ends: Vec<Range<usize>> = rest
                .windows(3)
                .enumerate()
                .filter(|(_, at)| *at == b"END")
                .map(|(at, _)| at..at + 3)
                .collect();
            let left = told(&rest, false, &Wanted::At(&ends));
            let all = told(text, false, &Wanted::All);
            assert!(!left.is_empty() && left.iter().all(|name| all.contains(name)), "{until}: {left:?}");
        }
        let long = format!(r#"{{"a":["{}"#, r#"x\""#.repeat(2000));
        let cut = outline(long.as_bytes(), 5001).unwrap();
        assert_eq!((cut.text.as_slice(), cut.until), (&br#"{"a":[""#[..], 5000));
        assert_eq!(outline(&b"[".repeat(1000), 900), None);
        assert_eq!(outline(&[&b"["[..], &b"1,".repeat(10_000)].concat(), 20_000), None);
    }

    #[test]
    fn names_are_paths() {
        let cases: &[(&str, &[&str])] = &[
            (
                r#"{"a":{"b":[{"c":"x"},2,true,null,"y"]},"d":-1.5e3}"#,
                &["a.b[0].c=x", "a.b[1]=2", "a.b[2]=true", "a.b[4]=y", "d=-1.5e3"],
            ),
            (r#"[["p",["q"]],{"r":"s"}]"#, &["[0][0]=p", "[0][1][0]=q", "[1].r=s"]),
            ("{\"a\":1}\n{\"a\":2}\n[3]", &["a=1", "a=2", "[0]=3"]),
            (r#"{"a":1}{"b":2}"#, &["a=1", "b=2"]),
            (r#""lone""#, &["-=lone"]),
            (")]}',\n{\"a\":1}", &["a=1"]),
            ("\u{feff}{\"a\" : 1}", &["a=1"]),
            (r#"{"k\u002dy":"\ud83d\ude00\/\n\"\q\u12"}"#, &["k-y=\u{1f600}/\n\"\\q\\u12"]),
            (r#"{"a":"\ud83dx"}"#, &["a=\u{fffd}x"]),
            // Cut, torn, not quite JSON.
            (r#"{"a":{"b":"tru"#, &["a.b=tru"]),
            (r#"{"a":"x\"#, &["a=x\\"]),
            (r#"{"a"#, &["-=a"]),
            (r#"{key: "v", other: 1,}"#, &["key=v", "other=1"]),
            (r#"{"a":1}}]"b""#, &["a=1", "-=b"]),
            ("", &[]),
            ("{", &[]),
        ];
        for (body, expected) in cases {
            assert_eq!(told(body.as_bytes(), false, &Wanted::All), *expected, "{body}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let body = r#"{"first":"x","keys":["k1",{"z":"no"},"k2"],"b":{"token":"t","t2":"u"},"last":"y"}"#;
        let place = |text: &str| {
            let start = body.find(text).unwrap();
            start..start + text.len()
        };
        for (places, expected) in [
            (vec![], &[][..]),
            (vec![place("k2")], &["keys[2]=k2"]),
            (vec![place("keys")], &["keys[0]=k1", "keys[2]=k2"]),
            (vec![place("tok")], &["b.token=t"]),
            (vec![place("x"), place("u\"")], &["first=x", "b.t2=u"]),
            (vec![place("last")], &["last=y"]),
            (vec![place("\":\"y")], &["last=y"]),
        ] {
            assert_eq!(told(body.as_bytes(), false, &Wanted::At(&places)), expected, "{places:?}");
        }
    }

    #[test]
    fn a_body_may_begin_in_the_middle() {
        for (body, expected) in [
            (r#"rn","a":{"b":["c"]}},"d":1"#, &["-=rn", "b=c", "d=1"][..]),
            (r#"y":"v","a":"b""#, &["-=y", "-=v", "a=b"]),
            (r#", "a":"b", "c":"d""#, &["a=b", "c=d"]),
            (r#""a":"b"}"#, &["a=b"]),
            (r#":"b","c":"d"}"#, &["-=b", "c=d"]),
            (r#"12,{"c":"d"}"#, &["-=12", "c=d"]),
        ] {
            assert_eq!(told(body.as_bytes(), true, &Wanted::All), expected, "{body}");
        }
    }

    #[test]
    fn depth_costs_nothing_but_the_path() {
        let body =
            format!("{}{{\"k\":\"deep\"}}{},\"after\":1", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000));
        let told = told(body.as_bytes(), false, &Wanted::All);
        assert_eq!(told, ["k=deep", "after=1"]);
    }

    #[test]
    fn looks_decide() {
        for (body, essence, partial, fits) in [
            (r#"{"a":1}"#, "text/html", false, true),
            (r#" [1, 2]"#, "", false, true),
            ("[{\"a\":1}]", "", false, true),
            ("{}", "", false, true),
            ("[2026-11-22 08:00] INFO", "text/plain", false, false),
            ("[info] a", "", false, false),
            ("{'a': 1}", "", false, false),
            ("{ color: red }", "text/css", false, false),
            ("{key: 1}", "application/json", false, true),
            ("<html>", "application/json", false, false),
            ("\"x\"", "application/json", false, true),
            ("x\":1}", "application/vnd.made.up+json", true, true),
            ("x\":1}", "", true, false),
        ] {
            let media = Media { essence: essence.into(), ..Media::default() };
            let document =
                Document { bytes: body.as_bytes(), media: &media, surface: Surface::RequestBody, partial };
            assert_eq!(Json.fits(&document), fits, "{body} as {essence}");
        }
    }
}
