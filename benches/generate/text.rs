//! Answers as web servers give them: JSON, HTML and JavaScript of ordinary words.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::Seeded;

/// What ordinary prose is made of, without what rules know.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let prose = include_str!("../../LICENSE-APACHE").split_ascii_whitespace().filter(is_word);
    COMMON.split_ascii_whitespace().chain(prose).collect()
});

/// Common words, and those of shops and applications.
const COMMON: &str = "\
    the of and to in is that for it as was with be by on not he this are or his from at which but have \
    an had they you were their one all we can her has there been if more when will would who so no order \
    customer account delivery address shipping product description available warehouse quantity invoice \
    payment discount category review rating support question answer document release version license \
    project network service monitor capture stream buffer window function return object string number \
    value default element container header footer navigation search results previous next language \
    settings profile notification message attachment calendar meeting schedule weather temperature city \
    country region population history science music garden kitchen travel hotel flight station market \
    price company employee manager report quarter revenue growth policy privacy";

/// Words that rules know, as rare as they are in real pages.
const TELLING: &[&str] =
    &["security", "password", "token", "session", "keyboard", "author", "secret", "authorization"];

/// `count` words.
pub(crate) fn words(seeded: &mut Seeded, count: usize, out: &mut String) {
    for index in 0..count {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(if seeded.one_in(400) { seeded.pick(TELLING) } else { seeded.pick(&WORDS) });
    }
}

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An array of records.
    Json,
    /// A page.
    Html,
    /// A script.
    Script,
}

impl Kind {
    /// Its media type.
    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
            Self::Script => "application/javascript",
        }
    }
}

/// About `length` bytes of that kind; a `leak` is a value that stands somewhere in it: (field name, value).
pub(crate) fn answer(seeded: &mut Seeded, kind: Kind, length: usize, leak: Option<(&str, &str)>) -> String {
    let mut out = String::with_capacity(length + 1024);
    let leak_at = if leak.is_some() { seeded.below(length.max(1)) } else { usize::MAX };
    let mut leak = leak;
    match kind {
        Kind::Json => out.push_str("{\"items\":["),
        Kind::Html => out.push_str(
            "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Orders</title></head><body><main>\n",
        ),
        Kind::Script => out.push_str("\"use strict\";\n"),
    }
    let mut count = 0;
    while out.len() < length || leak.is_some() {
        let told = if out.len() >= leak_at || out.len() >= length { leak.take() } else { None };
        match kind {
            Kind::Json => json_record(seeded, count, told, &mut out),
            Kind::Html => html_block(seeded, told, &mut out),
            Kind::Script => script_block(seeded, told, &mut out),
        }
        count += 1;
    }
    match kind {
        Kind::Json => out.push_str("]}"),
        Kind::Html => out.push_str("</main></body></html>\n"),
        Kind::Script => {}
    }
    out
}

fn json_record(seeded: &mut Seeded, index: usize, leak: Option<(&str, &str)>, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    let _ = write!(out, "{{\"id\":{},\"name\":\"", seeded.below(1_000_000));
    words(seeded, 3, out);
    if seeded.one_in(8) {
        out.push_str(" caf\\u00e9 \\u2013 \\\"new\\\"");
    }
    out.push_str("\",\"description\":\"");
    let count = 8 + seeded.below(30);
    words(seeded, count, out);
    let _ = write!(
        out,
        "\",\"price\":{}.{:02},\"created\":\"2026-0{}-1{}T08:15:0{}Z\",\"image\":\"https:\\/\\/img.example.com\\/p\\/{:08x}.webp\",\"tags\":[\"",
        seeded.below(900),
        seeded.below(100),
        1 + seeded.below(9),
        seeded.below(9),
        seeded.below(9),
        seeded.next() as u32,
    );
    words(seeded, 1, out);
    out.push_str("\",\"");
    words(seeded, 1, out);
    out.push_str("\"]");
    if let Some((name, value)) = leak {
        let _ = write!(out, ",\"{name}\":\"{value}\"");
    }
    let _ = write!(out, ",\"etag\":\"{:016x}\",\"active\":{}}}", seeded.next(), seeded.one_in(2));
}

fn html_block(seeded: &mut Seeded, leak: Option<(&str, &str)>, out: &mut String) {
    let _ = write!(
        out,
        "<section class=\"{} {}-{}\" id=\"s{}\"><h2>",
        seeded.pick(&WORDS),
        seeded.pick(&WORDS),
        seeded.below(12),
        seeded.below(100_000)
    );
    words(seeded, 4, out);
    out.push_str("</h2><p>");
    let count = 30 + seeded.below(60);
    words(seeded, count, out);
    let _ = write!(
        out,
        "&nbsp;&mdash; &quot;{}&quot;</p><a href=\"/{}/{}?page={}&amp;q=red%20{}\" class=\"link\">",
        seeded.pick(&WORDS),
        seeded.pick(&WORDS),
        seeded.pick(&WORDS),
        seeded.below(50),
        seeded.pick(&WORDS),
    );
    words(seeded, 2, out);
    out.push_str("</a><ul>");
    for _ in 0..3 {
        out.push_str("<li><span>");
        words(seeded, 5, out);
        out.push_str("</span></li>");
    }
    if seeded.one_in(20) {
        // A small picture that stands in the page itself.
        let _ = write!(out, "<img alt=\"\" src=\"data:image/png;base64,{}\">", seeded.token(400));
    }
    if let Some((name, value)) = leak {
        let _ = write!(out, "<div data-{name}=\"{value}\"></div>");
    }
    out.push_str("</ul></section>\n");
}

fn script_block(seeded: &mut Seeded, leak: Option<(&str, &str)>, out: &mut String) {
    let (a, b, c) = (seeded.pick(&WORDS), seeded.pick(&WORDS), seeded.pick(&WORDS));
    let _ = write!(
        out,
        "function {a}{}({b}, {c}) {{\n  if ({b} === null || {c}.length > {}) {{ return {{ {a}: \"",
        seeded.below(1000),
        seeded.below(100)
    );
    words(seeded, 6, out);
    let _ =
        write!(out, "\" }}; }}\n  const {a}_{b} = {c}.map((item) => item.{a} + {});\n", seeded.below(100));
    let _ = writeln!(
        out,
        "  !function(e,t){{var n=e.{a}||{{}},r=t[{}];for(var i=0;i<r.length;i++)n[r[i].{b}]=r[i].{c}/* \\u00{:02x} */}}(this,[{}]);",
        seeded.below(64),
        0xa0 + seeded.below(0x5f),
        seeded.below(100_000),
    );
    if let Some((name, value)) = leak {
        let _ = writeln!(out, "  const {name} = \"{value}\";");
    }
    out.push_str("  // ");
    words(seeded, 10, out);
    let _ = write!(out, "\n  return {a}_{b}.filter(Boolean).join(\", \");\n}}\n");
}
