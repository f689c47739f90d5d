//! XML documents: SOAP, feeds, configuration.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memmem};

use super::contract::{Decoder, Document, Wanted};
use super::markup::{attributes, find, run, tell_attributes, without_references};
use super::text;
use crate::model::Field;

/// Names are paths: `a.b` for the text of an element, `a.b.@c` for an attribute; prefixes stay as sent.
pub(super) struct Xml;

/// Levels whose names are kept; below, a name is the innermost element alone.
const DEPTH: usize = 128;
/// Bytes of a path; a longer one gives way to the innermost element alone.
const PATH: usize = 1 << 10;

impl Decoder for Xml {
    fn name(&self) -> &'static str {
        "xml"
    }

    fn fits(&self, document: &Document<'_>) -> bool {
        let essence = document.media.essence.as_str();
        let declared = essence.ends_with("/xml") || essence.ends_with("+xml") || essence.contains("xml-");
        if document.partial {
            return declared;
        }
        let bytes = document.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document.bytes).trim_ascii_start();
        match bytes {
            [b'<', b'?' | b'!', ..] => declared || bytes.starts_with(b"<?xml"),
            [b'<', letter, ..] if letter.is_ascii_alphabetic() => {
                // Somewhere an element must end.
                declared
                    || (matches!(essence, "" | "text/plain" | "application/octet-stream")
                        && (memmem::find(bytes, b"</").is_some() || memmem::find(bytes, b"/>").is_some()))
            }
            _ => false,
        }
    }

    fn decode(&self, document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
        Tree { document, wanted, open: Vec::new(), deeper: 0, deep: None, wanted_open: 0 }.read(out);
    }
}

struct Tree<'d, 'a> {
    document: &'d Document<'a>,
    wanted: &'d Wanted<'d>,
    /// Names of the open elements, and whether each is wanted.
    open: Vec<(Range<usize>, bool)>,
    deeper: usize,
    deep: Option<Range<usize>>,
    wanted_open: usize,
}

impl Tree<'_, '_> {
    fn read(&mut self, out: &mut dyn FnMut(Field<'_>)) {
        let bytes = self.document.bytes;
        let surface = self.document.surface;
        let mut gathered = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if self.wanted.ends_before(at) && self.wanted_open == 0 {
                return;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let length = memchr(b'<', rest).unwrap_or(rest.len());
            if length > 0 {
                self.text(at..at + length, true, out);
                at += length;
                continue;
            }
            let behind = rest.get(1..).unwrap_or_default();
            at = match behind {
                [b'!', b'-', b'-', ..] => {
                    let end = find(bytes, at + 4, b"-->");
                    text::tell(bytes, at + 4..end, surface, None, self.wanted, out);
                    end + 3
                }
                [b'!', b'[', ..] if behind.starts_with(b"![CDATA[") => {
                    let end = find(bytes, at + 9, b"]]>");
                    self.text(at + 9..end, false, out);
                    end + 3
                }
                [b'!', ..] => {
                    let end = declaration_end(bytes, at);
                    text::tell(bytes, at..end, surface, None, self.wanted, out);
                    end
                }
                [b'?', ..] => find(bytes, at, b"?>") + 2,
                [b'/', ..] => {
                    self.close();
                    run(bytes, at, |byte| byte == b'>') + 1
                }
                [letter, ..] if letter.is_ascii_alphabetic() || *letter == b'_' || *letter >= 0x80 => {
                    let name = at + 1..run(bytes, at + 1, |byte| {
                        byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'<')
                    });
                    let end = attributes(bytes, name.end, &mut gathered);
                    self.enter(name);
                    if self.wanted.touches(&(at..end)) {
                        tell_attributes(bytes, surface, &|| self.path(), &gathered, self.wanted, out);
                    }
                    if bytes.get(..end).is_some_and(|tag| tag.ends_with(b"/>")) {
                        self.close();
                    }
                    end
                }
                _ => {
                    self.text(at..at + 1, true, out);
                    at + 1
                }
            };
        }
    }

    fn enter(&mut self, name: Range<usize>) {
        if self.open.len() >= DEPTH {
            self.deeper += 1;
            self.deep = Some(name);
            return;
        }
        let wanted = self.wanted.touches(&name);
        self.wanted_open += usize::from(wanted);
        self.open.push((name, wanted));
    }

    fn close(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
            self.deep = None;
        } else if let Some((_, wanted)) = self.open.pop() {
            self.wanted_open -= usize::from(wanted);
        }
    }

    fn path(&self) -> String {
        let bytes = self.document.bytes;
        let name = |range: &Range<usize>| {
            let range = range.start..range.end.min(range.start + PATH);
            String::from_utf8_lossy(bytes.get(range).unwrap_or_default())
        };
        let length: usize = self.open.iter().map(|(range, _)| range.len() + 1).sum();
        match (&self.deep, self.open.last()) {
            (Some(deep), _) => name(deep).into_owned(),
            (None, Some((last, _))) if length > PATH => name(last).into_owned(),
            _ => self.open.iter().map(|(range, _)| name(range)).collect::<Vec<_>>().join("."),
        }
    }

    fn text(&self, range: Range<usize>, references: bool, out: &mut dyn FnMut(Field<'_>)) {
        let raw = self.document.bytes.get(range.clone()).unwrap_or_default();
        let start = range.start + raw.len() - raw.trim_ascii_start().len();
        let raw = raw.trim_ascii();
        let span = start..start + raw.len();
        let wanted = match &self.deep {
            Some(deep) => self.wanted.touches(deep),
            None => self.open.last().is_some_and(|(_, wanted)| *wanted),
        };
        if raw.is_empty() || !(wanted || self.wanted.touches(&span)) {
            return;
        }
        let value = if references { without_references(raw) } else { Cow::Borrowed(raw) };
        let name = self.path();
        let name = (!name.is_empty()).then_some(Cow::Owned(name));
        out(Field::new(self.document.surface, name, value, span));
    }
}

/// The end of `<!DOCTYPE …>` with its internal subset (XML 1.0 section 2.8).
fn declaration_end(bytes: &[u8], start: usize) -> usize {
    let mut inside = false;
    let rest = bytes.get(start..).unwrap_or_default();
    let end = rest.iter().position(|&byte| {
        match byte {
            b'[' => inside = true,
            b']' => inside = false,
            _ => {}
        }
        byte == b'>' && !inside
    });
    end.map_or(bytes.len(), |end| start + end + 1)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one place, not its bytes")]
mod tests {
    use super::*;
    use crate::content::Media;
    use crate::model::Surface;

    fn told(body: &str, wanted: &Wanted<'_>) -> Vec<String> {
        let media = Media { essence: "text/xml".into(), ..Media::default() };
        let document =
            Document { bytes: body.as_bytes(), media: &media, surface: Surface::RequestBody, partial: false };
        assert!(Xml.fits(&document), "{body}");
        let mut told = Vec::new();
        Xml.decode(&document, wanted, &mut |field| {
            let inner = field.inner.as_deref().map(|inner| format!("|{inner}")).unwrap_or_default();
            let name = field.name.as_deref().unwrap_or("-");
            told.push(format!("{name}{inner}={}", String::from_utf8_lossy(&field.value)));
        });
        told
    }

    const SOAP: &str = "<?xml version='1.0'?><!DOCTYPE e [<!ENTITY k \"v\">]>\n<s:Env a='1'>\n <s:Body><pw t=\"x&amp;y\">made&lt;up</pw>\
        <raw><![CDATA[<b> & c]]></raw><!-- old: 1 --><empty/><add key=\"ApiKey\" value=\"k\"/></s:Body> tail</s:Env>";

    #[test]
    fn names_are_paths() {
        assert_eq!(
            told(SOAP, &Wanted::All),
            [
                "-=<!DOCTYPE e [<!ENTITY k \"v\">]>",
                "s:Env.@a=1",
                "s:Env.s:Body.pw.@t=x&y",
                "s:Env.s:Body.pw=made<up",
                "s:Env.s:Body.raw=<b> & c",
                "-= old: 1 ",
                "s:Env.s:Body.add.@key=ApiKey",
                "s:Env.s:Body.add.@value|ApiKey=k",
                "s:Env=tail",
            ]
        );
        assert_eq!(told("<a><b>cut", &Wanted::All), ["a.b=cut"]);
        assert_eq!(told("<a>x</a></b></c>y", &Wanted::All), ["a=x", "-=y"]);
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let at = |text: &str| {
            let start = SOAP.find(text).unwrap();
            [start..start + text.len()]
        };
        assert_eq!(told(SOAP, &Wanted::At(&at("pw"))), ["s:Env.s:Body.pw=made<up"]);
        assert_eq!(told(SOAP, &Wanted::At(&at("& c"))), ["s:Env.s:Body.raw=<b> & c"]);
        assert_eq!(told(SOAP, &Wanted::At(&at("s:Env"))), ["s:Env=tail"]);
    }

    #[test]
    fn depth_costs_nothing_but_the_path() {
        let body = format!("{}deep{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(told(&body, &Wanted::All), ["a=deep"]);
    }
}
