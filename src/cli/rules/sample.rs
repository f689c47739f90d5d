//! A text that somebody typed becomes fields, as if its lines had been seen on the wire.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::message::Origin;
use crate::model::text::percent_decode;
use crate::model::{Field, Surface};

/// A field and the line (from 1) it stands in; of the text as a whole 1.
pub(super) struct Sample<'a> {
    pub(super) field: Field<'a>,
    pub(super) line: usize,
}

/// Every field that the text may be read as: named ones line by line (header, cookies, URL, form, assignment, JSON),
/// then JSON over several lines, and at last the whole as running text.
pub(super) fn fields(text: &[u8]) -> Vec<Sample<'_>> {
    let mut samples = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut named = Vec::new();
        line_fields(line.trim(), &mut named);
        samples.extend(named.into_iter().map(|field| Sample { field, line: index + 1 }));
    }
    if text.iter().filter(|&&byte| byte == b'\n').count() > 0 {
        let mut named = Vec::new();
        json(text, &mut named);
        samples.extend(named.into_iter().map(|field| Sample { field, line: 1 }));
    }
    let whole = Field::new(Surface::ResponseBody, None, Cow::Borrowed(text), 0..text.len());
    samples.push(Sample { field: whole.from(Origin::Text), line: 1 });
    samples
}

fn line_fields<'a>(line: &'a str, out: &mut Vec<Field<'a>>) {
    if line.starts_with(['{', '[']) {
        return json(line.as_bytes(), out);
    }
    for word in line.split_ascii_whitespace() {
        let word = word.trim_matches(['"', '\'', '<', '>', '(', ')', ',']);
        let path = match word.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
            None => word,
        };
        if path.starts_with('/') {
            target(path, out);
        }
    }
    if let Some((name, value)) = line.split_once(':')
        && is_name(name)
        && !value.starts_with("//")
    {
        header(name, value.trim(), out);
    } else if let Some((name, _)) = line.split_once('=')
        && is_name(name.trim())
    {
        pairs(line, '&', Surface::RequestBody, out);
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]%$".contains(&byte))
}

fn header<'a>(name: &'a str, value: &'a str, out: &mut Vec<Field<'a>>) {
    match name.to_ascii_lowercase().as_str() {
        "cookie" => pairs(value, ';', Surface::RequestCookie, out),
        "set-cookie" => {
            pairs(value.split(';').next().unwrap_or_default(), ';', Surface::ResponseCookie, out);
        }
        "authorization" | "proxy-authorization" => credential(name, value, out),
        _ => out.push(field(Surface::RequestHeader, name, value.trim_matches('"').as_bytes().into())),
    }
}

/// The schemes that examples use; what the wire knows more of is the content room's.
fn credential<'a>(name: &'a str, value: &'a str, out: &mut Vec<Field<'a>>) {
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    let rest = rest.trim();
    let (scheme, value) = match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let decoded = STANDARD.decode(rest).unwrap_or_default();
            let at = decoded.iter().position(|&byte| byte == b':').map_or(0, |at| at + 1);
            ("basic", Cow::Owned(decoded.get(at..).unwrap_or_default().to_vec()))
        }
        "bearer" => ("bearer", rest.as_bytes().into()),
        "token" => ("token", rest.as_bytes().into()),
        "apikey" => ("apikey", rest.as_bytes().into()),
        _ => ("", value.as_bytes().into()),
    };
    let field = field(Surface::RequestHeader, name, value);
    out.push(if scheme.is_empty() { field } else { field.from(Origin::Scheme(scheme)) });
}

fn target<'a>(target: &'a str, out: &mut Vec<Field<'a>>) {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push(Field::new(
            Surface::RequestPath,
            None,
            percent_decode(segment.as_bytes(), false),
            0..segment.len(),
        ));
    }
    pairs(query, '&', Surface::RequestQuery, out);
}

fn pairs<'a>(text: &'a str, separator: char, surface: Surface, out: &mut Vec<Field<'a>>) {
    let plus = matches!(surface, Surface::RequestQuery | Surface::RequestBody);
    for pair in text.split(separator) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        // An assignment with spaces is no form; its `+` and `%` are themselves.
        let decoded = if plus && !text.contains(' ') {
            percent_decode(value.as_bytes(), true)
        } else {
            value.as_bytes().into()
        };
        out.push(field(surface, name.trim(), decoded));
    }
}

fn field<'a>(surface: Surface, name: &'a str, value: Cow<'a, [u8]>) -> Field<'a> {
    let span = 0..value.len();
    Field::new(surface, Some(name.into()), value, span)
}

fn json(text: &[u8], out: &mut Vec<Field<'_>>) {
    if let Ok(value) = serde_json::from_slice(text) {
        walk(&mut String::new(), &value, out);
    }
}

fn walk(path: &mut String, value: &serde_json::Value, out: &mut Vec<Field<'_>>) {
    let length = path.len();
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                walk(path, value, out);
                path.truncate(length);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(path, value, out);
                path.truncate(length);
            }
        }
        serde_json::Value::String(text) => {
            let name = (!path.is_empty()).then(|| path.clone().into());
            let value: Vec<u8> = text.clone().into();
            let span = 0..value.len();
            out.push(Field::new(Surface::ResponseBody, name, value.into(), span));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        fields(text.as_bytes())
            .iter()
            .filter(|sample| sample.field.origin != Origin::Text)
            .map(|sample| {
                let name = sample.field.name.as_deref().unwrap_or("-");
                let value = String::from_utf8_lossy(&sample.field.value);
                format!("{} {} {name}={value}", sample.line, sample.field.surface.as_str())
            })
            .collect()
    }

    #[test]
    fn a_line_is_read_as_what_it_looks_like() {
        for (text, expected) in [
            ("X-Api-Key: made-up-1", &["1 request.header X-Api-Key=made-up-1"][..]),
            ("Authorization: Bearer made.up.2", &["1 request.header Authorization=made.up.2"]),
            ("Authorization: Basic YWRhOm1hZGUtdXAtMw==", &["1 request.header Authorization=made-up-3"]),
            ("Cookie: a=1; sid=made-up-4", &["1 request.cookie a=1", "1 request.cookie sid=made-up-4"]),
            ("Set-Cookie: sid=made-up-5; Path=/", &["1 response.cookie sid=made-up-5"]),
            (
                "GET /v1/x?key=a%20b+c&k2=d HTTP/1.1",
                &[
                    "1 request.path -=v1",
                    "1 request.path -=x",
                    "1 request.query key=a b c",
                    "1 request.query k2=d",
                ],
            ),
            ("see https://h.example/p?t=made-up-6#f", &["1 request.path -=p", "1 request.query t=made-up-6"]),
            ("user=ada&password=made%2Dup", &["1 request.body user=ada", "1 request.body password=made-up"]),
            ("API_KEY = \"made+up\"", &["1 request.body API_KEY=made+up"]),
            (
                "\n{\"a\":{\"b\":[{\"c\":\"made-up-7\"}],\"n\":1}}",
                &["2 response.body a.b[0].c=made-up-7", "1 response.body a.b[0].c=made-up-7"],
            ),
            ("{\n\"a\":\n\"made-up-8\"}", &["1 response.body a=made-up-8"]),
            ("running text without any", &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
            let got: Vec<String> =
                told(text).into_iter().filter(|line| !line.ends_with("//h.example")).collect();
            // What stands before a JSON document makes it no document.
            if text.starts_with('\n') {
                assert_eq!(got.first(), expected.first(), "{text}");
            } else {
                assert_eq!(got, expected, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let samples = fields(&text);
            prop_assert_eq!(samples.last().unwrap().field.value.len(), text.len());
        }

        #[test]
        fn no_line_is_too_strange(text in "[A-Za-z:/?=&;%\"'{}\\[\\] \n]{0,60}") {
            fields(text.as_bytes());
        }
    }
}
