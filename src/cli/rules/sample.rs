//! A text that somebody typed becomes fields, as if its lines had been seen on the wire.

use crate::model::message::Origin;
use crate::model::{Field, Surface};
use crate::rule::example;

/// A field and the line (from 1) it stands in; of the text as a whole 1.
pub(super) struct Sample {
    pub(super) field: Field<'static>,
    pub(super) line: usize,
}

/// Every field that the text may be read as: named ones line by line, as examples of rule files are read, URLs and
/// assignments in them too; then those of several lines together; at last the whole as running text.
pub(super) fn fields(text: &[u8]) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |fields: Vec<Field<'static>>, line: usize| {
        // The text as a whole is looked at once.
        let named = fields.into_iter().filter(|field| field.origin != Origin::Text);
        samples.extend(named.map(|field| Sample { field, line }));
    };
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let line = line.trim();
        let (mut fields, _) = example::fields(line);
        urls(line, &mut fields);
        fields.extend(assignment(line));
        add(fields, index + 1);
    }
    if let Ok(text) = std::str::from_utf8(text)
        && text.trim().contains('\n')
    {
        add(example::fields(text).0, 1);
    }
    let whole = example::made(Surface::ResponseBody, None, text.to_vec()).from(Origin::Text);
    samples.push(Sample { field: whole, line: 1 });
    samples
}

/// Path and query of every URL in running text.
fn urls(line: &str, out: &mut Vec<Field<'static>>) {
    for word in line.split_ascii_whitespace() {
        let word = word.trim_matches(['"', '\'', '<', '>', '(', ')', ',']);
        let target = word.split_once("://").and_then(|(_, rest)| rest.get(rest.find('/')?..));
        if let Some(target) = target {
            example::request_target(target.split('#').next().unwrap_or_default(), out);
        }
    }
}

/// `NAME = "value"`, as settings and programs write it.
fn assignment(line: &str) -> Option<Field<'static>> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]%$".contains(&byte));
    // What has neither spaces nor quotes is a parameter, and read as such.
    let is_plain = !line.contains([' ', '"', '\'']);
    let value = value.trim_matches(['"', '\'']).as_bytes().to_vec();
    (is_name && !is_plain).then(|| example::made(Surface::RequestBody, Some(name), value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        fields(text.as_bytes())
            .iter()
            .filter(|sample| !matches!(sample.field.origin, Origin::Text | Origin::Whole))
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
            (
                "Authorization: Basic YWRhOm1hZGUtdXAtMw==",
                &["1 request.header Authorization=ada", "1 request.header Authorization=made-up-3"],
            ),
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
            (
                "user=ada&password=made%2Dup",
                &["1 request.query user=ada", "1 request.query password=made-up"],
            ),
            ("API_KEY = \"made+up\"", &["1 request.body API_KEY=made+up"]),
            (
                "\n{\"a\":{\"b\":[{\"c\":\"made-up-7\"}],\"n\":1}}",
                &["2 request.body a.b[0].c=made-up-7", "2 request.body a.n=1"],
            ),
            ("{\n\"a\":\n\"made-up-8\"}", &["1 request.body a=made-up-8"]),
            ("running text without any", &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
            assert_eq!(told(text), expected, "{text}");
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
