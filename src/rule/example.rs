//! Turns what somebody typed into fields, and holds rules to their examples. For typed text only: messages of the
//! wire are cut up elsewhere.

use std::borrow::Cow;

use base64::Engine as _;
use serde_json::Value;

use crate::model::message::Origin;
use crate::model::text::percent_decode;
use crate::model::{Field, Surface};

use super::definition::Rule;
use super::{Context, Fault, RuleId, RuleSet, matcher};

/// Nesting of JSON that is followed.
const DEEPEST: usize = 64;

impl RuleSet {
    /// Every example that a rule does not hold to.
    pub(super) fn check_examples(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let Ok(id) = u32::try_from(number).map(RuleId) else { break };
            let mut fault = |what: &str, example: &str| {
                let shown: String = example.chars().take(60).collect();
                faults.push(Fault {
                    file: rule.file.clone(),
                    line: rule.line,
                    rule: Some(rule.text.id.clone()),
                    reason: format!("{what}: {shown:?}"),
                });
            };
            for example in rule.examples.leak.iter().filter(|example| !self.finds(id, rule, example)) {
                fault("does not find its own example", example);
            }
            for example in rule.examples.fine.iter().filter(|example| self.finds(id, rule, example)) {
                fault("finds what it calls fine", example);
            }
        }
        faults
    }

    fn finds(&self, id: RuleId, rule: &Rule, example: &str) -> bool {
        let essence = match rule.content_types.first().map(String::as_str) {
            None => "",
            Some("json") => "application/json",
            Some("html") => "text/html",
            Some("javascript") => "text/javascript",
            Some("xml") => "application/xml",
            Some(kind) => kind,
        };
        let (fields, status) = fields(example);
        let status = rule.status.as_ref().and_then(super::definition::StatusFilter::one).or(status);
        let context = Context { status, essence, path: "", now: None };
        fields.into_iter().any(|field| {
            let field = Field { surface: surface(rule, field.surface), ..field };
            !matcher::alone(self, id, &field, &context).is_empty()
        })
    }
}

/// Where the rule looks for such a field: there, in the other direction, or at its first surface.
fn surface(rule: &Rule, guess: Surface) -> Surface {
    let other = match guess {
        Surface::RequestHeader => Surface::ResponseHeader,
        Surface::RequestCookie => Surface::ResponseCookie,
        Surface::RequestBody => Surface::ResponseBody,
        other => other,
    };
    [guess, other]
        .into_iter()
        .chain(Surface::ALL)
        .find(|&surface| rule.surfaces.contains(surface))
        .unwrap_or(guess)
}

/// The fields of a text like the examples of rule files, and the status if it is a response:
///
/// - `GET /path?x=y HTTP/1.1`, header lines and a body behind an empty line may follow
/// - `HTTP/1.1 500 …`, likewise
/// - `Name: value`: a header; `Cookie` and `Authorization` are taken apart
/// - JSON: every string and number, named by its path
/// - `name=value` without spaces: a query parameter
/// - else running text; a URL with userinfo also gives its password
#[must_use]
pub fn fields(example: &str) -> (Vec<Field<'static>>, Option<u16>) {
    let mut out = Vec::new();
    let status = message(example, &mut out);
    (out, status)
}

fn message(example: &str, out: &mut Vec<Field<'static>>) -> Option<u16> {
    let (first, rest) = example.split_once('\n').unwrap_or((example, ""));
    let mut words = first.trim_end().split(' ');
    let (start, target, version) = (words.next().unwrap_or_default(), words.next(), words.next());
    if let (Some(target), Some(true)) = (target, version.map(|version| version.starts_with("HTTP/")))
        && start.bytes().all(|byte| byte.is_ascii_uppercase())
    {
        let whole = made(Surface::RequestPath, None, target.as_bytes().to_vec());
        out.push(whole.from(Origin::Whole));
        request_target(target, out);
        head(rest, out);
        return None;
    }
    if start.starts_with("HTTP/") {
        let end = example.find("\n\n").or(example.find("\r\n\r\n")).unwrap_or(example.len());
        let whole = example.get(..end).unwrap_or_default();
        let whole = made(Surface::ResponseHeader, None, whole.as_bytes().to_vec());
        out.push(whole.from(Origin::Whole));
        head(rest, out);
        return target.and_then(|status| status.parse().ok());
    }
    if !example.trim().contains('\n')
        && let Some((name, value)) = header_line(example)
    {
        header(name, value, out);
        return None;
    }
    body(example, out);
    None
}

fn head(mut rest: &str, out: &mut Vec<Field<'static>>) {
    while !rest.is_empty() {
        let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim().is_empty() {
            return body(behind, out);
        }
        if let Some((name, value)) = header_line(line) {
            header(name, value, out);
        }
        rest = behind;
    }
}

fn header_line(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(": ")?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let named = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    (named && name.bytes().all(is_token)).then_some((name, value.trim()))
}

fn header(name: &str, value: &str, out: &mut Vec<Field<'static>>) {
    let surface = Surface::RequestHeader;
    if name.eq_ignore_ascii_case("cookie") || name.eq_ignore_ascii_case("set-cookie") {
        let is_set = name.eq_ignore_ascii_case("set-cookie");
        let surface = if is_set { Surface::ResponseCookie } else { Surface::RequestCookie };
        for cookie in value.split(';').take(if is_set { 1 } else { usize::MAX }) {
            let (name, value) = cookie.trim().split_once('=').unwrap_or(("", cookie.trim()));
            out.push(made(surface, Some(name), value.as_bytes().to_vec()));
        }
        return;
    }
    if name.to_ascii_lowercase().ends_with("authorization")
        && let Some((scheme, credential)) = value.split_once(' ')
    {
        return authorization(name, scheme, credential.trim(), out);
    }
    out.push(made(surface, Some(name), value.as_bytes().to_vec()));
}

fn authorization(name: &str, scheme: &str, credential: &str, out: &mut Vec<Field<'static>>) {
    let mut push = |origin: Origin, value: Vec<u8>| {
        out.push(made(Surface::RequestHeader, Some(name), value).from(origin));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let Ok(pair) = base64::engine::general_purpose::STANDARD.decode(credential) else { return };
            let mut halves = pair.splitn(2, |&byte| byte == b':');
            push(Origin::User("basic"), halves.next().unwrap_or_default().to_vec());
            push(Origin::Scheme("basic"), halves.next().unwrap_or_default().to_vec());
        }
        "digest" => {
            let response = credential.split_once("response=\"").and_then(|(_, rest)| rest.split('"').next());
            push(Origin::Scheme("digest"), response.unwrap_or_default().as_bytes().to_vec());
        }
        lower => {
            let known = ["bearer", "token", "apikey", "negotiate", "ntlm", "hawk", "aws4", "hmac", "oauth"];
            let scheme = if lower.starts_with("aws4-hmac") { "aws4" } else { lower };
            match known.into_iter().find(|&known| known == scheme) {
                Some(known) => push(Origin::Scheme(known), credential.as_bytes().to_vec()),
                None => push(Origin::Plain, format!("{lower} {credential}").into_bytes()),
            }
        }
    }
}

/// The fields of `/path/segments?name=value&…`.
pub fn request_target(target: &str, out: &mut Vec<Field<'static>>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push(made(Surface::RequestPath, None, percent_decode(segment.as_bytes(), false).into_owned()));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        parameter(pair, Surface::RequestQuery, out);
    }
}

fn parameter(pair: &str, surface: Surface, out: &mut Vec<Field<'static>>) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = String::from_utf8_lossy(&percent_decode(name.as_bytes(), true)).into_owned();
    out.push(made(surface, Some(&name), percent_decode(value.as_bytes(), true).into_owned()));
}

fn body(text: &str, out: &mut Vec<Field<'static>>) {
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str::<Value>(trimmed)
    {
        return walk(&json, &mut String::new(), 0, out);
    }
    let is_pair = trimmed.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']'))
    });
    if is_pair && !trimmed.contains(char::is_whitespace) {
        for pair in trimmed.split('&') {
            parameter(pair, Surface::RequestQuery, out);
        }
        return;
    }
    if let Some(password) = userinfo(trimmed) {
        let password = percent_decode(password.as_bytes(), false).into_owned();
        out.push(made(Surface::RequestBody, None, password).from(Origin::Userinfo));
    }
    out.push(made(Surface::RequestBody, None, text.as_bytes().to_vec()).from(Origin::Text));
}

fn userinfo(text: &str) -> Option<&str> {
    let authority = text.split_once("://")?.1.split(['/', '?', '#', ' ', '"']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

fn walk(json: &Value, path: &mut String, depth: usize, out: &mut Vec<Field<'static>>) {
    if depth > DEEPEST {
        return;
    }
    let length = path.len();
    match json {
        Value::Object(members) => {
            for (key, member) in members {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                walk(member, path, depth + 1, out);
                path.truncate(length);
            }
        }
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                walk(entry, path, depth + 1, out);
                path.truncate(length);
            }
        }
        Value::String(text) => out.push(made(Surface::RequestBody, Some(path), text.clone().into_bytes())),
        Value::Number(number) => {
            out.push(made(Surface::RequestBody, Some(path), number.to_string().into_bytes()));
        }
        Value::Bool(_) | Value::Null => {}
    }
}

/// A field that is its own carrier.
#[must_use]
pub fn made(surface: Surface, name: Option<&str>, value: Vec<u8>) -> Field<'static> {
    let span = 0..value.len();
    Field::new(surface, name.map(|name| Cow::Owned(name.to_owned())), Cow::Owned(value), span)
}
