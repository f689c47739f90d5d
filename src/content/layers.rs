//! What is inside one decoded value: URLs, JSON, forms, tokens, and encodings that were applied twice.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::markup::{reference, without_references};
use super::url::{self, Part, pairs};
use super::{base64, form, json};
use crate::model::Field;
use crate::model::message::Origin;
use crate::model::text::percent_decode;

/// Layers inside layers.
const DEPTH: usize = 4;
/// Bytes told of all layers of one field.
const BUDGET: usize = 1 << 20;
/// Values shorter than this hide nothing.
const SHORTEST: usize = 7;
/// Base64 as a whole value, and as a run within text.
const VALUE_DIGITS: usize = 16;
const RUN_DIGITS: usize = 24;
/// Places of one kind looked at within one text.
const PLACES: usize = 1000;
/// The longest run that is decoded within text.
const RUN: usize = 64 << 10;

/// Tells what the value of `field` holds, layer by layer: at most four deep and one mebibyte in all. Inner fields have the
/// carrier's surface, its name (with the path behind it for JSON and claims) and its span; within running text that
/// was not encoded, the span of the encoded run.
pub fn layers(field: &Field<'_>, out: &mut dyn FnMut(Field<'_>)) {
    let mut layers = Layers { budget: BUDGET, out };
    layers.inside(field, 0);
}

/// Whether a value can hold anything: the one look that most values get.
fn may_hold(value: &[u8]) -> bool {
    if value.len() < SHORTEST {
        return false;
    }
    if matches!(
        value,
        [b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n' | b'/', ..]
            | [b'e', b'y', ..]
            | [b'.', b'e', ..]
            | [b'j', b':', ..]
    ) {
        return true;
    }
    let mut run = 0;
    let mut rest = value;
    while let Some((&byte, behind)) = rest.split_first() {
        if base64::is_digit(byte) {
            run += 1;
            if run >= RUN_DIGITS {
                return true;
            }
        } else {
            match byte {
                b'%' | b'&' | b'\\' => return true,
                b':' if behind.starts_with(b"//") => return true,
                // The whole value is one run, but for padding.
                b'=' if rest.len() <= 2 => {}
                // A token goes on behind its header, which is never shorter.
                b'.' if run >= VALUE_DIGITS => {}
                _ => run = 0,
            }
        }
        rest = behind;
    }
    run + 2 >= value.len() && value.len() >= VALUE_DIGITS
}

/// Where a run of text lies in its carrier, as a span of the carrier's own.
fn part_span(carrier: &Field<'_>, run: &Range<usize>) -> Range<usize> {
    if carrier.origin == Origin::Text && carrier.span.len() == carrier.value.len() {
        carrier.span.start + run.start..carrier.span.start + run.end
    } else {
        carrier.span.clone()
    }
}

struct Layers<'o> {
    budget: usize,
    out: &'o mut dyn FnMut(Field<'_>),
}

impl Layers<'_> {
    /// Tells an inner field and what is inside it.
    fn tell(&mut self, field: &Field<'_>, depth: usize) {
        let cost = field.value.len() + field.name.as_deref().map_or(0, str::len) + 16;
        let Some(left) = self.budget.checked_sub(cost) else {
            self.budget = 0;
            return;
        };
        self.budget = left;
        (self.out)(Field {
            surface: field.surface,
            name: field.name.as_deref().map(Cow::Borrowed),
            inner: field.inner.as_deref().map(Cow::Borrowed),
            value: Cow::Borrowed(&field.value),
            origin: field.origin,
            span: field.span.clone(),
        });
        self.inside(field, depth + 1);
    }

    fn inside(&mut self, field: &Field<'_>, depth: usize) {
        let value = &*field.value;
        if depth >= DEPTH || self.budget == 0 || !may_hold(value) {
            return;
        }
        let whole = field.span.clone();
        let found = field.origin != Origin::Text
            && (self.json(field, value, "json", &whole, depth)
                || self.token(field, value, &whole, depth)
                || self.whole_url(field, value, depth)
                || self.form(field, value, depth)
                || self.whole_base64(field, value, depth)
                || self.escaped(field, value, &whole, depth));
        if !found {
            self.runs(field, value, depth);
        }
    }

    /// A field of the carrier's name and of what rules see in its place.
    fn inner(
        &mut self,
        carrier: &Field<'_>,
        value: Cow<'_, [u8]>,
        layer: &'static str,
        span: &Range<usize>,
        depth: usize,
    ) {
        if value.is_empty() || *value == *carrier.value {
            return;
        }
        let field = Field {
            surface: carrier.surface,
            name: carrier.name.as_deref().map(Cow::Borrowed),
            inner: carrier.inner.as_deref().map(Cow::Borrowed),
            value,
            origin: Origin::Layer(layer),
            span: span.clone(),
        };
        self.tell(&field, depth);
    }

    /// JSON: the path goes on behind the carrier's name.
    fn json(
        &mut self,
        carrier: &Field<'_>,
        value: &[u8],
        layer: &'static str,
        span: &Range<usize>,
        depth: usize,
    ) -> bool {
        // Express marks JSON in cookies so.
        let value = value.strip_prefix(b"j:").unwrap_or(value).trim_ascii();
        if !matches!(value.first(), Some(b'{' | b'[')) || !json::is_plausible(value) {
            return false;
        }
        let prefix = carrier.name.as_deref().unwrap_or_default();
        json::walk(value, false, &super::Wanted::All, &mut |inner| {
            if self.budget > 0 {
                let name = inner.name(prefix);
                let field = Field { span: span.clone(), ..inner.field(carrier.surface, &name, 0) };
                self.tell(&field.from(Origin::Layer(layer)), depth);
            }
        });
        true
    }

    /// A JSON Web Token (RFC 7519), or the session of Flask or Django as itsdangerous and `django.core.signing` write it.
    fn token(&mut self, carrier: &Field<'_>, value: &[u8], span: &Range<usize>, depth: usize) -> bool {
        if !(value.starts_with(b"ey") || value.starts_with(b".e")) || value.len() > RUN {
            return false;
        }
        let compressed = value.strip_prefix(b".");
        let payload = compressed.unwrap_or(value);
        let Some(end) = memchr2(b'.', b':', payload) else { return false };
        let (first, rest) = payload.split_at_checked(end).unwrap_or((payload, &[]));
        let rest = rest.get(1..).unwrap_or_default();
        let signed = !rest.iter().any(|&byte| !base64::is_digit(byte) && !matches!(byte, b'.' | b':' | b'='));
        let Some(mut first) = base64::decode(first).filter(|_| signed) else { return false };
        if compressed.is_some() {
            let mut inflated = Vec::new();
            let limit = self.budget as u64;
            // What was inflated before a fault is of use.
            let _ = flate2::read::ZlibDecoder::new(&*first).take(limit).read_to_end(&mut inflated);
            first = inflated;
        }
        if !first.starts_with(b"{") {
            return false;
        }
        let claims = url::split(rest, b'.').0;
        let claims = base64::decode(claims).filter(|claims| claims.starts_with(b"{"));
        match claims {
            Some(claims) if compressed.is_none() => {
                self.json(carrier, &first, "jwt", span, depth);
                self.json(carrier, &claims, "jwt", span, depth)
            }
            _ => self.json(carrier, &first, "session", span, depth),
        }
    }

    fn whole_url(&mut self, carrier: &Field<'_>, value: &[u8], depth: usize) -> bool {
        let relative = || {
            let query = value.starts_with(b"/").then(|| url::split(value, b'?').1).flatten();
            query.is_some_and(|query| memchr(b'=', query).is_some())
        };
        let whole = (is_url(value) || relative()) && !value.iter().any(|byte| byte.is_ascii_whitespace());
        if whole {
            let span = carrier.span.clone();
            self.url(carrier, value, &span, depth);
        }
        whole
    }

    fn url(&mut self, carrier: &Field<'_>, url: &[u8], span: &Range<usize>, depth: usize) {
        url::parts(url, false, &mut |part| {
            let (name, raw, origin) = match part {
                // As it is, a segment was seen with the carrier.
                Part::Segment(raw) if memchr(b'%', raw).is_none() => return,
                Part::Segment(raw) | Part::User(raw) => {
                    (None, percent_decode(raw, false), Origin::Layer("url"))
                }
                Part::Password(raw) => (None, percent_decode(raw, false), Origin::Userinfo),
                Part::Parameter(name, raw) | Part::Fragment(name, raw) => {
                    (name, percent_decode(raw, true), Origin::Layer("url"))
                }
            };
            if !raw.is_empty() && self.budget > 0 {
                let field = Field {
                    surface: carrier.surface,
                    name: carrier.name.as_deref().map(Cow::Borrowed),
                    inner: name.map(|name| super::head::text(percent_decode(name, true))),
                    value: raw,
                    origin,
                    span: span.clone(),
                };
                self.tell(&field, depth);
            }
        });
    }

    /// Two pairs at least, each with a value: one alone is too often something else.
    fn form(&mut self, carrier: &Field<'_>, value: &[u8], depth: usize) -> bool {
        if memchr(b'&', value).is_none() || !form::is_form(value) {
            return false;
        }
        let mut all = true;
        pairs(value, false, &mut |name, _| all &= name.is_some());
        if all {
            pairs(value, false, &mut |name, raw| {
                if !raw.is_empty() && self.budget > 0 {
                    let field = Field {
                        surface: carrier.surface,
                        name: carrier.name.as_deref().map(Cow::Borrowed),
                        inner: name.map(|name| super::head::text(percent_decode(name, true))),
                        value: percent_decode(raw, true),
                        origin: Origin::Layer("form"),
                        span: carrier.span.clone(),
                    };
                    self.tell(&field, depth);
                }
            });
        }
        all
    }

    fn whole_base64(&mut self, carrier: &Field<'_>, value: &[u8], depth: usize) -> bool {
        // `data:application/json;base64,…`
        let start = value.get(..value.len().min(128)).unwrap_or(value);
        let digits = match memmem::find(start, b";base64,") {
            Some(_) if start.starts_with(b"data:image") => return true,
            Some(at) => value.get(at + 8..).unwrap_or_default(),
            None => value,
        };
        // Rails signs what it encodes: `digits--hexadecimal`.
        let digits = memmem::find(digits, b"--").and_then(|at| digits.get(..at)).unwrap_or(digits);
        let bare = without_padding(digits);
        if bare.len() < VALUE_DIGITS - 2
            || digits.len() < VALUE_DIGITS
            || !bare.iter().all(|&byte| base64::is_digit(byte))
        {
            return false;
        }
        let Some(text) = base64::decode_text(digits) else { return false };
        let span = carrier.span.clone();
        self.inner(carrier, Cow::Owned(text), "base64", &span, depth);
        true
    }

    /// An encoding that was applied twice: percent, character references, `\u`.
    fn escaped(&mut self, carrier: &Field<'_>, value: &[u8], span: &Range<usize>, depth: usize) -> bool {
        let (decoded, layer) = if has_percent(value) {
            (percent_decode(value, false), "percent")
        } else if has_reference(value) {
            (without_references(value), "entity")
        } else if memmem::find(value, b"\\u00").is_some() {
            (json::unescaped(value), "escape")
        } else {
            return false;
        };
        self.inner(carrier, decoded, layer, span, depth);
        true
    }

    /// Running text: the encoded runs within it.
    fn runs(&mut self, carrier: &Field<'_>, value: &[u8], depth: usize) {
        // A value that is no text was looked at as a whole before.
        let text_only = carrier.origin == Origin::Text;
        let (mut done, mut count) = (0, 0);
        for at in memmem::find_iter(value, b"://") {
            if at < done {
                continue;
            }
            if count >= PLACES || self.budget == 0 {
                break;
            }
            if let Some(run) = url_run(value, at) {
                count += 1;
                done = run.end;
                if text_only || run.len() < value.len() {
                    let url = value.get(run.clone()).unwrap_or_default();
                    self.url(carrier, url, &part_span(carrier, &run), depth);
                }
            }
        }
        self.text_runs(carrier, value, b"eyJ", is_token, |layers, run, text, span| {
            if run.len() >= RUN_DIGITS {
                layers.token(carrier, text, span, depth);
            }
        });
        self.text_runs(carrier, value, b"%", is_encoded, |layers, run, text, span| {
            // A URL was taken apart above.
            if (text_only || run.len() < value.len())
                && has_percent(text)
                && memmem::find(text, b"://").is_none()
            {
                layers.escaped(carrier, text, span, depth);
            }
        });
        self.text_runs(carrier, value, b"\\u00", is_encoded, |layers, run, text, span| {
            if text_only || run.len() < value.len() {
                layers.inner(carrier, json::unescaped(text), "escape", span, depth);
            }
        });
        self.text_runs(carrier, value, b"&#", is_encoded, |layers, run, text, span| {
            if (text_only || run.len() < value.len()) && has_reference(text) {
                layers.inner(carrier, without_references(text), "entity", span, depth);
            }
        });
        self.base64_runs(carrier, value, depth);
    }

    /// Every run of bytes of one class around a mark, each once.
    fn text_runs(
        &mut self,
        carrier: &Field<'_>,
        value: &[u8],
        mark: &[u8],
        class: fn(u8) -> bool,
        mut take: impl FnMut(&mut Self, &Range<usize>, &[u8], &Range<usize>),
    ) {
        let mut done = 0;
        let mut count = 0;
        for at in memmem::find_iter(value, mark) {
            if at < done {
                continue;
            }
            if count >= PLACES || self.budget == 0 {
                return;
            }
            count += 1;
            let run = around(value, at, done, class);
            done = run.end.max(at + mark.len());
            if run.len() <= RUN {
                let text = value.get(run.clone()).unwrap_or_default();
                take(self, &run, text, &part_span(carrier, &run));
            }
        }
    }

    fn base64_runs(&mut self, carrier: &Field<'_>, value: &[u8], depth: usize) {
        let (mut at, mut done, mut count) = (0, 0, 0);
        // A run of that length covers one of the places looked at.
        while let Some(&byte) = value.get(at) {
            if !base64::is_digit(byte) {
                at += RUN_DIGITS - 1;
                continue;
            }
            let mut run = around(value, at, done, base64::is_digit);
            done = run.end.max(at + 1);
            at = done;
            if run.len() < RUN_DIGITS || run.len() > RUN {
                continue;
            }
            let text = value.get(run.clone()).unwrap_or_default();
            let dotted = value.get(run.end) == Some(&b'.')
                || run.start.checked_sub(1).and_then(|before| value.get(before)) == Some(&b'.');
            if (text.starts_with(b"ey") || dotted)
                && memchr(b'.', value.get(run.start.saturating_sub(1)..).unwrap_or_default())
                    .is_some_and(|dot| dot <= run.len() + 1)
            {
                // A part of a token.
                continue;
            }
            let padding = value.get(run.end..).unwrap_or_default();
            run.end += padding.iter().take(2).take_while(|&&byte| byte == b'=').count();
            if count >= PLACES || self.budget == 0 {
                return;
            }
            count += 1;
            let digits = value.get(run.clone()).unwrap_or_default();
            if let Some(text) = base64::decode_text(digits).or_else(|| behind_slash(digits)) {
                self.inner(carrier, Cow::Owned(text), "base64", &part_span(carrier, &run), depth);
            }
        }
    }
}

/// The last piece of a path that passed for base64.
fn behind_slash(digits: &[u8]) -> Option<Vec<u8>> {
    let slash = memchr::memrchr(b'/', digits)?;
    let piece = digits.get(slash + 1..).filter(|piece| piece.len() >= RUN_DIGITS)?;
    base64::decode_text(piece)
}

fn without_padding(digits: &[u8]) -> &[u8] {
    let bare = digits.strip_suffix(b"=").unwrap_or(digits);
    bare.strip_suffix(b"=").unwrap_or(bare)
}

/// Whether the value begins as a URL of a scheme that carries parameters; connection strings are the rules' own affair.
fn is_url(value: &[u8]) -> bool {
    url::scheme(value).is_some()
        && [&b"http"[..], b"ws", b"ftp"].iter().any(|scheme| {
            let start = value.get(..scheme.len()).unwrap_or_default();
            let behind = value.get(scheme.len()..).unwrap_or_default();
            start.eq_ignore_ascii_case(scheme) && matches!(behind, [b':', ..] | [b's' | b'S', b':', ..])
        })
}

/// The URL around the `://` at `at`.
fn url_run(value: &[u8], at: usize) -> Option<Range<usize>> {
    let start =
        around(value, at.checked_sub(1)?, at.saturating_sub(8), |byte| byte.is_ascii_alphabetic()).start;
    if !is_url(value.get(start..value.len().min(at + 3))?) {
        return None;
    }
    let is_url_byte = |byte: u8| byte > b' ' && byte != 0x7f && !b"\"'<>`\\{}|^)".contains(&byte);
    let behind = value.get(at..value.len().min(at + RUN))?;
    let length = behind.iter().position(|&byte| !is_url_byte(byte)).unwrap_or(behind.len());
    let text = behind.get(..length)?;
    let trimmed = text.len() - text.iter().rev().take_while(|byte| b".,;:!?".contains(byte)).count();
    Some(start..at + trimmed.max(3))
}

/// The run of bytes of a class around `at`, not before `least`.
fn around(value: &[u8], at: usize, least: usize, class: impl Fn(u8) -> bool) -> Range<usize> {
    let before = value.get(least.min(at)..at).unwrap_or_default();
    let start = before.iter().rev().take_while(|&&byte| class(byte)).count();
    let behind = value.get(at..).unwrap_or_default();
    let length = behind.iter().take_while(|&&byte| class(byte)).count();
    at - start..at + length
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_encoded(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"\"'<>`{}|".contains(&byte)
}

fn has_percent(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value).any(|at| {
        matches!(value.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    })
}

fn has_reference(value: &[u8]) -> bool {
    memchr::memchr_iter(b'&', value).any(|at| reference(value.get(at + 1..).unwrap_or_default()).is_some())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::model::Surface;

    fn encoded(text: &str) -> String {
        use ::base64::Engine;
        ::base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    }

    fn told(name: Option<&str>, value: &str, origin: Origin) -> Vec<String> {
        let span = 100..100 + value.len();
        let field =
            Field::new(Surface::RequestBody, name.map(Cow::Borrowed), Cow::Borrowed(value.as_bytes()), span)
                .from(origin);
        let mut told = Vec::new();
        layers(&field, &mut |inner| {
            assert!(inner.span.start >= 100 && inner.span.end <= 100 + value.len());
            let layer = match inner.origin {
                Origin::Layer(layer) => layer,
                Origin::Userinfo => "userinfo",
                other => panic!("{other:?}"),
            };
            let seen = inner.inner.as_deref().map(|inner| format!("|{inner}")).unwrap_or_default();
            told.push(format!(
                "{layer} {}{seen}={}",
                inner.name.as_deref().unwrap_or("-"),
                String::from_utf8_lossy(&inner.value)
            ));
        });
        told
    }

    #[test]
    fn values_give_what_is_inside() {
        let jwt = format!(
            "{}.{}.c2lnbmF0dXJl",
            encoded(r#"{"alg":"HS256"}"#),
            encoded(r#"{"user":{"password":"made-up"}}"#)
        );
        let session =
            format!("{}.aSE4xA.Zm9yLXRlc3RzLW9ubHktbm90LXJlYWw", encoded(r#"{"api_key":"made-up"}"#));
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(br#"{"token":"made-up-made-up-made-up"}"#).unwrap();
        let packed = {
            use ::base64::Engine;
            ::base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(zlib.finish().unwrap())
        };
        let packed = format!(".{packed}.aSE4xA.Zm9yLXRlc3RzLW9ubHktbm90LXJlYWw");
        let base64 = encoded("DB_PASSWORD=made-up-word");
        let json = r#"{"a":"{\"b\":[\"c\"]}"}"#;
        let cases: Vec<(&str, &str, Vec<String>)> = vec![
            (
                "next",
                "https://u:p@h/x%20y/z?token=a%2Bb&e=#f=1",
                vec![
                    "url next=u".into(),
                    "userinfo next=p".into(),
                    "url next=x y".into(),
                    "url next|token=a+b".into(),
                    "url next|f=1".into(),
                ],
            ),
            ("next", "/cb?code=abc", vec!["url next|code=abc".into()]),
            ("q", json, vec![r#"json q.a={"b":["c"]}"#.into(), "json q.a.b[0]=c".into()]),
            ("s", "j:{\"a\":1}", vec!["json s.a=1".into()]),
            ("q", "a=b&c=d%20e", vec!["form q|a=b".into(), "form q|c=d e".into()]),
            ("q", "x%2Dy-and-more", vec!["percent q=x-y-and-more".into()]),
            ("q", "sk&#95;made_up", vec!["entity q=sk_made_up".into()]),
            ("q", "sk\\u005fmade_up", vec!["escape q=sk_made_up".into()]),
            ("q", &base64, vec!["base64 q=DB_PASSWORD=made-up-word".into()]),
            (
                "Authorization",
                &jwt,
                vec!["jwt Authorization.alg=HS256".into(), "jwt Authorization.user.password=made-up".into()],
            ),
            ("session", &session, vec!["session session.api_key=made-up".into()]),
            ("session", &packed, vec!["session session.token=made-up-made-up-made-up".into()]),
            ("plain", "just-a-value-of-some-length", vec![]),
            ("dsn", "postgres://u:p@h/db", vec![]),
            ("hex", "0123456789abcdef0123456789abcdef", vec![]),
            ("msg", "failed: https://h/x?token=abc.", vec!["url msg|token=abc".into()]),
        ];
        for (name, value, expected) in cases {
            assert_eq!(told(Some(name), value, Origin::Plain), expected, "{value}");
        }
    }

    #[test]
    fn running_text_gives_its_runs() {
        let jwt =
            format!("{}.{}.c2lnbmF0dXJl", encoded(r#"{"alg":"HS256"}"#), encoded(r#"{"pw":"made-up"}"#));
        let cases: Vec<(String, Vec<&str>)> = vec![
            (
                "see <http://h/?k=v&l=w>, (https://h/p#t=1).".into(),
                vec!["url -|k=v", "url -|l=w", "url -|t=1"],
            ),
            (format!("token {jwt} here"), vec!["jwt alg=HS256", "jwt pw=made-up"]),
            (format!("auth: {}\n", encoded("user:made-up-password")), vec!["base64 -=user:made-up-password"]),
            ("var a = \"sk\\u005fmade\";".into(), vec!["escape -=sk_made"]),
            ("path /x/a%2Db and 100% sure".into(), vec!["percent -=/x/a-b"]),
            ("nothing to see here, a.b.c.d-e_f, /usr/local/share/something/else".into(), vec![]),
        ];
        for (value, expected) in cases {
            assert_eq!(told(None, &value, Origin::Text), expected, "{value}");
        }
    }

    #[test]
    fn depth_and_output_are_bounded() {
        let mut value = "the innermost text of all".to_string();
        for _ in 0..8 {
            value = encoded(&value);
        }
        assert_eq!(told(None, &value, Origin::Plain).len(), DEPTH);
        let many = format!("[{}\"x\"]", "\"https://h/?a=b\",".repeat(100_000));
        let field = Field::new(Surface::RequestBody, None, Cow::Borrowed(many.as_bytes()), 0..many.len());
        let mut bytes = 0;
        layers(&field, &mut |inner| bytes += inner.value.len());
        assert!(bytes <= BUDGET);
    }
}
