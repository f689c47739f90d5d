//! HTML pages: attributes, scripts, comments, and the text as a reader sees it.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::contract::{Decoder, Document, Outline, Wanted};
use super::markup::{Attribute, attributes, find, run, tell_attributes, without_references};
use super::{json, text};
use crate::model::Field;
use crate::model::message::Origin;

/// Attributes are `tag.@name`; text has no name. Text is joined over inline elements, so that a value is whole which
/// markup splits; blocks end a line.
pub(super) struct Html;

/// Text joined into one field: at the end of a block above the first, anywhere above the second.
const ENOUGH: usize = 32 << 10;
const MOST: usize = 64 << 10;

impl Decoder for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        let essence = document.media.essence.as_str();
        if matches!(essence, "text/html" | "application/xhtml+xml") {
            return document.partial || !is_xml_without_html(document.bytes);
        }
        matches!(essence, "" | "text/plain" | "application/octet-stream")
            && !document.partial
            && looks(document.bytes)
    }

    /// The script that is open, if one is. Pages that only look like one have to be seen whole.
    fn outline(&self, document: &Document<'_>, until: usize) -> Option<Outline> {
        if !matches!(document.media.essence.as_str(), "text/html" | "application/xhtml+xml") {
            return None;
        }
        let gone = document.bytes.get(..until)?;
        let opened = memmem::find_iter(gone, b"<script").last();
        let is_open =
            |&at: &usize| gone.get(at..).is_some_and(|rest| memmem::find(rest, b"</script").is_none());
        let text = if opened.as_ref().is_some_and(is_open) { b"<script>".to_vec() } else { Vec::new() };
        Some(Outline { text, until, partial: true })
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        Page { document, wanted, pieces: Vec::new(), size: 0, touched: false, pre: 0 }.read(out);
    }
}

fn looks(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let start = start.get(..start.len().min(16)).unwrap_or(start).to_ascii_lowercase();
    let openings: [&[u8]; 14] = [
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<body",
        b"<title",
        b"<div",
        b"<script",
        b"<style",
        b"<meta",
        b"<p>",
        b"<h1",
        b"<table",
        b"<pre",
        b"<!--",
    ];
    openings.iter().any(|opening| start.starts_with(opening))
}

/// XML that was sent as HTML.
fn is_xml_without_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let start = start.get(..start.len().min(1024)).unwrap_or(start).to_ascii_lowercase();
    start.starts_with(b"<?xml")
        && memmem::find(&start, b"<html").is_none()
        && memmem::find(&start, b"doctype html").is_none()
}

/// A piece of the text that is being joined.
enum Piece {
    Raw(Range<usize>),
    Space(u8),
}

struct Page<'d, 'a> {
    document: &'d Document<'a>,
    wanted: &'d Wanted<'d>,
    pieces: Vec<Piece>,
    size: usize,
    touched: bool,
    pre: u32,
}

impl<'a> Page<'_, 'a> {
    fn read(&mut self, out: &mut dyn FnMut(Field<'_>)) {
        let bytes = self.document.bytes;
        let mut gathered = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if self.wanted.ends_before(at) && !self.touched {
                return;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let length = memchr(b'<', rest).unwrap_or(rest.len());
            if length > 0 {
                self.text(at..at + length, out);
                at += length;
                continue;
            }
            let behind = rest.get(1..).unwrap_or_default();
            at = match behind {
                [b'!', b'-', b'-', ..] => self.comment(at, out),
                [b'!', ..] if behind.starts_with(b"![CDATA[") => {
                    let end = find(bytes, at + 9, b"]]>");
                    self.text(at + 9..end, out);
                    (end + 3).min(bytes.len())
                }
                [b'!' | b'?', ..] => run(bytes, at, |byte| byte == b'>').saturating_add(1).min(bytes.len()),
                [b'/', letter, ..] if letter.is_ascii_alphabetic() => {
                    let name = at + 2..run(bytes, at + 2, ends_name);
                    self.closes(&name, out);
                    run(bytes, name.end, |byte| byte == b'>').saturating_add(1).min(bytes.len())
                }
                [letter, ..] if letter.is_ascii_alphabetic() => self.opens(at, &mut gathered, out),
                _ => {
                    self.text(at..at + 1, out);
                    at + 1
                }
            };
        }
        self.flush(out);
    }

    fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.document.bytes.get(range.clone()).unwrap_or_default()
    }

    fn comment(&mut self, at: usize, out: &mut dyn FnMut(Field<'_>)) -> usize {
        let end = find(self.document.bytes, at + 4, b"-->");
        text::tell(self.document.bytes, at + 4..end, self.document.surface, None, self.wanted, out);
        (end + 3).min(self.document.bytes.len())
    }

    fn opens(&mut self, at: usize, gathered: &mut Vec<Attribute>, out: &mut dyn FnMut(Field<'_>)) -> usize {
        let bytes = self.document.bytes;
        let name = at + 1..run(bytes, at + 1, ends_name);
        let end = attributes(bytes, name.end, gathered);
        if self.wanted.touches(&(at..end)) {
            let path = || String::from_utf8_lossy(bytes.get(name.clone()).unwrap_or_default()).into_owned();
            tell_attributes(bytes, self.document.surface, &path, gathered, self.wanted, out);
        }
        let tag = Tag::of(self.slice(&name));
        match tag {
            Tag::Inline => return end,
            Tag::Cell => self.space(b'\t'),
            Tag::Block | Tag::Raw | Tag::Escaped | Tag::Pre => self.space(b'\n'),
        }
        self.block_end(out);
        match tag {
            Tag::Pre => self.pre = self.pre.saturating_add(1),
            Tag::Raw => {
                let content = end..self.raw_end(end, &name);
                self.script(content.clone(), gathered, out);
                return content.end;
            }
            Tag::Escaped => {
                let content = end..self.raw_end(end, &name);
                self.pre += 1;
                self.text(content.clone(), out);
                self.pre -= 1;
                return content.end;
            }
            _ => {}
        }
        end
    }

    fn closes(&mut self, name: &Range<usize>, out: &mut dyn FnMut(Field<'_>)) {
        match Tag::of(self.slice(name)) {
            Tag::Inline => return,
            Tag::Cell => self.space(b'\t'),
            Tag::Pre => {
                self.pre = self.pre.saturating_sub(1);
                self.space(b'\n');
            }
            Tag::Block | Tag::Raw | Tag::Escaped => self.space(b'\n'),
        }
        self.block_end(out);
    }

    /// The content of a script or style sheet: JSON by path where it says so, else text.
    fn script(&mut self, content: Range<usize>, attributes: &[Attribute], out: &mut dyn FnMut(Field<'_>)) {
        if !self.wanted.touches(&content) {
            return;
        }
        let surface = self.document.surface;
        let slice = self.slice(&content);
        let data = attributes.iter().any(|attribute| {
            self.slice(&attribute.name).eq_ignore_ascii_case(b"type")
                && memmem::find(&self.slice(&attribute.value).to_ascii_lowercase(), b"json").is_some()
        });
        if data && json::is_plausible(slice) {
            let places = self.wanted.within(&content);
            let wanted = places.as_deref().map_or(Wanted::All, Wanted::At);
            json::walk(slice, false, &wanted, &mut |value| {
                out(value.field(surface, &value.name(""), content.start));
            });
        } else {
            text::tell(self.document.bytes, content, surface, None, self.wanted, out);
        }
    }

    /// Where the end tag of a raw text element begins (WHATWG HTML section 13.2.5.4), or the end of the page.
    fn raw_end(&self, start: usize, name: &Range<usize>) -> usize {
        let bytes = self.document.bytes;
        let name = self.slice(name);
        let mut at = start;
        loop {
            at = find(bytes, at, b"</");
            let Some(candidate) = bytes.get(at + 2..) else { return bytes.len() };
            if candidate.get(..name.len()).is_some_and(|candidate| candidate.eq_ignore_ascii_case(name)) {
                return at;
            }
            at += 2;
        }
    }

    fn text(&mut self, range: Range<usize>, out: &mut dyn FnMut(Field<'_>)) {
        if range.len() > MOST {
            self.flush(out);
            return text::tell(self.document.bytes, range, self.document.surface, None, self.wanted, out);
        }
        if self.size + range.len() > MOST {
            self.flush(out);
        }
        let slice = self.slice(&range);
        if self.pre == 0 && slice.iter().all(u8::is_ascii_whitespace) {
            return self.space(if memchr(b'\n', slice).is_some() { b'\n' } else { b' ' });
        }
        self.size += range.len();
        self.touched |= self.wanted.touches(&range);
        self.pieces.push(Piece::Raw(range));
    }

    /// White space between two pieces; the strongest of several in a row counts.
    fn space(&mut self, space: u8) {
        match self.pieces.last_mut() {
            None => {}
            Some(Piece::Space(last)) if space == b'\n' || *last == b' ' => *last = space,
            Some(Piece::Space(_)) => {}
            Some(Piece::Raw(_)) => self.pieces.push(Piece::Space(space)),
        }
    }

    fn block_end(&mut self, out: &mut dyn FnMut(Field<'_>)) {
        if self.size >= ENOUGH {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut dyn FnMut(Field<'_>)) {
        let bytes = self.document.bytes;
        if self.touched {
            if matches!(self.pieces.last(), Some(Piece::Space(_))) {
                self.pieces.pop();
            }
            let raws = |piece: &Piece| if let Piece::Raw(range) = piece { Some(range.clone()) } else { None };
            let first = self.pieces.iter().find_map(raws).unwrap_or(0..0);
            let last = self.pieces.iter().rev().find_map(raws).unwrap_or(0..0);
            let span = first.start..last.end;
            let value = if self.pieces.len() == 1 {
                without_references(bytes.get(span.clone()).unwrap_or_default())
            } else {
                let mut joined = Vec::with_capacity(self.size + self.pieces.len());
                for piece in &self.pieces {
                    match piece {
                        Piece::Raw(range) => {
                            let raw = bytes.get(range.clone()).unwrap_or_default();
                            joined.extend_from_slice(&without_references(raw));
                        }
                        Piece::Space(b'\n') if joined.last() == Some(&b'\n') => {}
                        Piece::Space(space) => joined.push(*space),
                    }
                }
                joined.into()
            };
            out(Field::new(self.document.surface, None, value, span).from(Origin::Text));
        }
        self.pieces.clear();
        self.size = 0;
        self.touched = false;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Inline,
    Block,
    Cell,
    Pre,
    /// Its content is no markup.
    Raw,
    /// Its content is text with references.
    Escaped,
}

impl Tag {
    fn of(name: &[u8]) -> Self {
        let mut lower = [0; 12];
        let Some(lower) = lower.get_mut(..name.len()) else { return Self::Inline };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        match &*lower {
            b"script" | b"style" => Self::Raw,
            b"title" | b"textarea" => Self::Escaped,
            b"pre" => Self::Pre,
            b"td" | b"th" => Self::Cell,
            b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"br" | b"button" | b"caption"
            | b"center" | b"dd" | b"details" | b"dialog" | b"div" | b"dl" | b"dt" | b"fieldset"
            | b"figcaption" | b"figure" | b"footer" | b"form" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5"
            | b"h6" | b"head" | b"header" | b"hr" | b"html" | b"iframe" | b"legend" | b"li" | b"main"
            | b"menu" | b"nav" | b"noscript" | b"ol" | b"optgroup" | b"option" | b"p" | b"section"
            | b"select" | b"summary" | b"table" | b"tbody" | b"template" | b"tfoot" | b"thead" | b"tr"
            | b"ul" => Self::Block,
            _ => Self::Inline,
        }
    }
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'<')
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one place, not its bytes")]
mod tests {
    use super::*;
    use crate::content::Media;
    use crate::model::Surface;

    fn told(body: &str, wanted: &Wanted<'_>) -> Vec<String> {
        let media = Media { essence: "text/html".into(), ..Media::default() };
        let document = Document {
            bytes: body.as_bytes(),
            media: &media,
            surface: Surface::ResponseBody,
            partial: false,
        };
        let mut told = Vec::new();
        Html.decode(&document, wanted, &mut |field| {
            if field.span.len() == field.value.len() && field.origin != Origin::Text {
                assert_eq!(body.as_bytes()[field.span.clone()], *field.value);
            }
            let inner = field.inner.as_deref().map(|inner| format!("|{inner}")).unwrap_or_default();
            let name = field.name.as_deref().unwrap_or("-");
            told.push(format!("{name}{inner}={}", String::from_utf8_lossy(&field.value)));
        });
        told
    }

    #[test]
    fn a_page_becomes_fields() {
        let cases: &[(&str, &[&str])] = &[
            ("plain text only", &["-=plain text only"]),
            (
                "<p>your <b>key</b> is <span>sk_</span><span>made&#95;up</span></p><p>next",
                &["-=your key is sk_made_up\nnext"],
            ),
            (
                "<INPUT type=hidden name=\"csrf_token\" value='a&amp;b'>",
                &["INPUT.@type=hidden", "INPUT.@name=csrf_token", "INPUT.@value|csrf_token=a&b"],
            ),
            ("<meta content=\"x\" name=api-key>", &["meta.@content|api-key=x", "meta.@name=api-key"]),
            (
                "<script>var k = '<b>&amp;';</Script >a<!-- note -- b -->c",
                &["-=var k = '<b>&amp;';", "-= note -- b ", "-=ac"],
            ),
            (
                "<script type='application/json'>{\"a\":{\"b\":\"c\"}}</script>",
                &["script.@type=application/json", "a.b=c"],
            ),
            ("<pre>File <span>\"a\"</span>,\n  <i>x</i>\n  y</pre>", &["-=File \"a\",\n  x\n  y"]),
            ("<table><tr><td>k</td> <td>v</td></tr>\n<tr><th>a</th><td>b</td></table>", &["-=k\tv\na\tb"]),
            ("<textarea>&lt;b&gt;<i></textarea>", &["-=<b><i>"]),
            ("a < b <3 <a href=x", &["a.@href=x", "-=a < b <3 "]),
            ("<div title=\"open", &["div.@title=open"]),
            ("<![CDATA[x<y]]>", &["-=x<y"]),
        ];
        for (body, expected) in cases {
            assert_eq!(told(body, &Wanted::All), *expected, "{body}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let body =
            "<p id=one>text</p><input name=pw value=made-up><script>var a;</script><i title=z>tail</i>";
        let at = |text: &str| {
            let start = body.find(text).unwrap();
            [start..start + text.len()]
        };
        assert_eq!(told(body, &Wanted::At(&at("one"))), ["p.@id=one"]);
        assert_eq!(told(body, &Wanted::At(&at("pw"))), ["input.@name=pw", "input.@value|pw=made-up"]);
        assert_eq!(told(body, &Wanted::At(&at("var"))), ["-=var a;"]);
        assert_eq!(told(body, &Wanted::At(&at("tail"))), ["-=text\ntail"]);
        assert!(told(body, &Wanted::At(&[])).is_empty());
    }

    #[test]
    fn long_pages_come_in_pieces() {
        let body = format!("<body>{}</body>", "<p>some words of a paragraph</p>\n".repeat(5000));
        let pieces = told(&body, &Wanted::All);
        assert!(
            pieces.len() >= 4 && pieces.iter().all(|piece| piece.len() <= ENOUGH + 2000),
            "{}",
            pieces.len()
        );
        let middle = body.len() / 2;
        assert_eq!(told(&body, &Wanted::At(&[middle..middle + 60])).len(), 1);
    }
}
