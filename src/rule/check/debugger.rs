//! Error pages that frameworks show to developers, by the structure of each; and traces that JSON carries frame by frame.

use memchr::memmem;

use super::Page;
use super::traceback::{shown, without_tags};

/// Bytes of a page that are looked at behind its first mark.
const PAGE: usize = 512 * 1024;
/// Bytes of a list of frames in JSON.
const LIST: usize = 16 * 1024;
/// Strings of a list that are looked at.
const STRINGS: usize = 64;
/// Bytes of one caption.
const CAPTION: usize = 400;

/// A page: what is at its beginning, and what must stand behind that.
struct Known {
    framework: &'static str,
    /// In lower case.
    first: &'static str,
    /// All of them.
    others: &'static [&'static str],
    /// Markup around the exception; the text up to the next of `</h`, `</p`, `</div` is told.
    exception: &'static [&'static str],
}

const PAGES: &[Known] = &[
    Known {
        framework: "Starlette",
        first: "<title>starlette debugger",
        others: &["class=\"frame-title\""],
        exception: &["<h2>"],
    },
    Known {
        framework: "Litestar",
        first: "<title>litestar exception page",
        others: &["class=\"frame-name\""],
        exception: &["<h4>"],
    },
    Known {
        framework: "Quart",
        first: "file <span class=\"info\">",
        others: &["class=\"traceback\"", "class=\"locals\""],
        exception: &["<h1>"],
    },
    Known {
        framework: "Sanic",
        first: "for developers (sanic debug mode",
        others: &["tracerite"],
        exception: &["class=\"tracerite", "<h2>"],
    },
    Known {
        framework: "Youch",
        first: "id=\"stack-frames-wrapper\"",
        others: &["stack-frame"],
        exception: &["id=\"error-name\">", "id=\"error-message\">"],
    },
    Known {
        framework: "Laravel Ignition",
        first: "window.ignite(window.data",
        others: &[],
        exception: &["<title>"],
    },
    Known {
        framework: "Whoops",
        first: "class=\"whoops container\"",
        others: &["exc-title"],
        exception: &["class=\"exc-title\">"],
    },
    Known {
        framework: "Symfony",
        first: "class=\"exception-summary",
        others: &["class=\"trace"],
        exception: &["class=\"exception-message", "<title>"],
    },
    Known {
        framework: "Phoenix",
        first: "class=\"stack-trace-list",
        others: &["exception-info"],
        exception: &["<title>"],
    },
    Known {
        framework: "Rails",
        first: "<title>action controller: exception caught",
        others: &["trace"],
        exception: &["<h1>"],
    },
    Known {
        framework: "Sinatra",
        first: "enabled the <code>show_exceptions</code> setting",
        others: &["class=\"code\""],
        exception: &["<title>"],
    },
    Known {
        framework: "Rack",
        first: "<h2>traceback <span>(innermost first)</span></h2>",
        others: &["class=\"frame\""],
        exception: &["<title>"],
    },
    Known {
        framework: "ASP.NET Core",
        first: "an unhandled exception occurred while processing the request",
        others: &["stackpage"],
        exception: &["class=\"titleerror\">"],
    },
    Known {
        framework: "Mojolicious",
        first: "<title>server error (development mode)",
        others: &["mojo"],
        exception: &["<pre id=\"error\" class=\"error\">"],
    },
    Known {
        framework: "Dancer",
        first: "<tr class=\"errline\">",
        others: &["class=\"context\""],
        exception: &["<pre class=\"error\">"],
    },
    Known {
        framework: "Plack",
        first: "<h1>error trace</h1>",
        others: &["class=\"frame\""],
        exception: &["<pre class=\"message\">"],
    },
    Known {
        framework: "Tomcat",
        first: "type</b> exception report",
        others: &[".java:"],
        exception: &["<b>exception</b></p><pre>"],
    },
];

/// Words that lead to [`page`].
pub(super) const PAGE_WORDS: &[&str] = &[
    "<title>starlette debugger",
    "<title>litestar exception page",
    "file <span class=\"info\">",
    "for developers (sanic debug mode",
    "id=\"stack-frames-wrapper\"",
    "window.ignite(window.data",
    "class=\"whoops container\"",
    "class=\"exception-summary",
    "class=\"stack-trace-list",
    "<title>action controller: exception caught",
    "enabled the <code>show_exceptions</code> setting",
    "<h2>traceback <span>(innermost first)</span></h2>",
    "an unhandled exception occurred while processing the request",
    "<title>server error (development mode)",
    "<tr class=\"errline\">",
    "<h1>error trace</h1>",
    "type</b> exception report",
];

/// Words that lead to [`frames`]: keys of lists of frames.
pub(super) const FRAMES_WORDS: &[&str] =
    &["\"stacktrace\"", "\"stack_trace\"", "\"trace\"", "\"backtrace\"", "\"traceback\"", "\"stack\""];

/// A debug page of a framework. The value is a page as it stands on the wire.
pub(super) fn page(value: &[u8], out: &mut Vec<Page>) {
    let lower = value.get(..value.len().min(PAGE)).unwrap_or(value).to_ascii_lowercase();
    for known in PAGES {
        let Some(at) = memmem::find(&lower, known.first.as_bytes()) else { continue };
        if !known.others.iter().all(|mark| memmem::find(&lower, mark.as_bytes()).is_some()) {
            continue;
        }
        let exception = known.exception.iter().find_map(|mark| {
            let start = memmem::find(&lower, mark.as_bytes())? + mark.len();
            caption(value.get(start..value.len().min(start + CAPTION))?)
        });
        let exception = exception.unwrap_or_else(|| "stack trace".to_owned());
        let detail = format!("{exception} ({}, debug)", known.framework);
        out.push(Page { range: at..at + known.first.len(), detail, complete: true });
        return;
    }
}

/// The text of markup up to the end of its block.
fn caption(markup: &[u8]) -> Option<String> {
    let markup = match (markup.first(), memchr::memchr(b'>', markup)) {
        // The mark ended within the opening tag.
        (Some(first), Some(close)) if !matches!(first, b'<') && !before_tag(markup, close) => {
            markup.get(close + 1..)?
        }
        _ => markup,
    };
    let ends: [&[u8]; 6] = [b"</h", b"</p", b"</div", b"</title", b"</pre", b"\n\n"];
    let end = ends.iter().filter_map(|end| memmem::find(markup, end)).min().unwrap_or(markup.len());
    let text = shown(&without_tags(&String::from_utf8_lossy(markup.get(..end)?)));
    (text.chars().filter(|letter| letter.is_alphabetic()).count() > 2).then_some(text)
}

/// Whether a tag begins before `close`: then the `>` there is not the end of the tag that the mark stands in.
fn before_tag(markup: &[u8], close: usize) -> bool {
    memchr::memchr(b'<', markup).is_none_or(|open| open < close)
}

/// Frames in JSON: behind a key such as `"trace"` a list of objects with a file and a line, or of strings that are frames.
pub(super) fn frames(value: &[u8], out: &mut Vec<Page>) {
    for key in FRAMES_WORDS {
        for at in memmem::find_iter(value, key.as_bytes()).take(8) {
            let behind = at + key.len();
            let rest = value.get(behind..value.len().min(behind + LIST)).unwrap_or_default();
            let Some(list) = rest.trim_ascii_start().strip_prefix(b":") else { continue };
            let Some(list) = list.trim_ascii_start().strip_prefix(b"[") else { continue };
            let Some(place) = of_objects(list).or_else(|| of_strings(list)) else { continue };
            let exception = ["\"message\"", "\"exception\"", "\"error\"", "\"detail\""]
                .iter()
                .find_map(|key| string_of(value, key))
                .unwrap_or_else(|| "stack trace".to_owned());
            out.push(Page {
                range: at..behind,
                detail: format!("{exception} at {place} (in JSON)"),
                complete: true,
            });
            return;
        }
    }
}

/// `{"file": "/srv/www/cart.php", "line": 12, …`
fn of_objects(list: &[u8]) -> Option<String> {
    let object = list.trim_ascii_start().strip_prefix(b"{")?;
    let end = memchr::memchr(b'}', object).unwrap_or(object.len());
    let object = object.get(..end)?;
    let file = ["\"file\"", "\"fileName\"", "\"filename\""].iter().find_map(|key| string_of(object, key))?;
    let line = ["\"line\"", "\"lineNumber\"", "\"lineno\""].iter().find_map(|key| {
        let at = memmem::find(object, key.as_bytes())? + key.len();
        let rest = object.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then(|| String::from_utf8_lossy(rest.get(..digits).unwrap_or_default()).into_owned())
    })?;
    let name = file.rsplit(['/', '\\']).next().unwrap_or(&file);
    is_source(name).then(|| format!("{name}:{line}"))
}

/// At least two strings that name a source file and a line.
fn of_strings(list: &[u8]) -> Option<String> {
    let mut rest = list;
    let mut first = None;
    for _ in 0..STRINGS {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start().strip_prefix(b"\"")?;
        let end = string_end(rest)?;
        let text = String::from_utf8_lossy(rest.get(..end)?).replace("\\\"", "\"").replace("\\/", "/");
        rest = rest.get(end + 1..)?;
        match (place_in(&text), first.take()) {
            (Some(_), Some(first)) => return Some(first),
            (place, before) => first = before.or(place),
        }
    }
    None
}

/// Where a string of JSON ends.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        match text.get(at) {
            Some(b'"') => return Some(at),
            _ => from = at + 2,
        }
    }
}

/// `cart.js:12` of `    at add (/srv/shop/cart.js:12:9)`, `cart.py:12` of `  File \"/srv/cart.py\", line 12, in add`.
fn place_in(text: &str) -> Option<String> {
    let bare = text.trim();
    let line_of = |rest: &str| -> Option<String> {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    let is_name = |letter: char| letter.is_alphanumeric() || "_-.$".contains(letter);
    let (file, line) = text.match_indices([':', ',', '(']).find_map(|(at, mark)| {
        let (before, behind) = (text.get(..at)?, text.get(at + 1..)?);
        let line = match mark {
            "," => line_of(behind.strip_prefix(" line ")?)?,
            _ => line_of(behind.strip_prefix("line ").unwrap_or(behind))?,
        };
        let before = before.trim_end_matches(['"', '\\']);
        let name = before.rsplit(|letter| !is_name(letter)).next()?;
        is_source(name).then(|| (name.to_owned(), line))
    })?;
    let framed = ["at ", "File ", "#"].iter().any(|start| bare.starts_with(start))
        || bare.contains(":in ")
        || bare.contains('(') && bare.ends_with(')');
    framed.then(|| format!("{file}:{line}"))
}

fn is_source(name: &str) -> bool {
    const SOURCES: [&str; 16] = [
        "php", "py", "rb", "js", "mjs", "cjs", "ts", "java", "kt", "go", "cs", "ex", "exs", "rs", "pl", "pm",
    ];
    name.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && SOURCES.contains(&end))
}

/// The string behind a key.
fn string_of(value: &[u8], key: &str) -> Option<String> {
    let at = memmem::find(value, key.as_bytes())? + key.len();
    let rest = value.get(at..value.len().min(at + CAPTION))?.trim_ascii_start();
    let rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\n', rest).unwrap_or(rest.len());
    let text = shown(&String::from_utf8_lossy(rest.get(..end)?).replace("\\/", "/"));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(find: fn(&[u8], &mut Vec<Page>), text: &str) -> Vec<String> {
        let mut pages = Vec::new();
        find(text.as_bytes(), &mut pages);
        pages.into_iter().map(|page| page.detail).collect()
    }

    #[test]
    fn every_page_has_its_word() {
        let words: Vec<&str> = PAGES.iter().map(|known| known.first).collect();
        assert_eq!(words, PAGE_WORDS);
    }

    #[test]
    fn a_page_needs_its_structure() {
        let page_of = "<title>Starlette Debugger</title><h2>KeyError: &#x27;reduced&#x27;</h2><p class=\"frame-title\">File";
        assert_eq!(told(page, page_of), ["KeyError: 'reduced' (Starlette, debug)"]);
        let core = "<h1>An unhandled exception occurred while processing the request.</h1>\
            <div class=\"titleerror\">KeyNotFoundException: no stock</div><div id=\"stackpage\" class=\"page\">";
        assert_eq!(told(page, core), ["KeyNotFoundException: no stock (ASP.NET Core, debug)"]);
        for text in [
            "<title>Starlette Debugger</title><p>How to use it.</p>",
            "<p>An unhandled exception occurred while processing the request.</p>",
            "<p>class=\"frame-title\"</p>",
        ] {
            assert!(told(page, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn frames_stand_in_lists_of_json() {
        for (text, detail) in [
            (
                r#"{"message":"no stock","exception":"E","trace":[{"file":"\/srv\/www\/cart.php","line":12,"function":"add"}]}"#,
                "no stock at cart.php:12 (in JSON)",
            ),
            (
                r#"{"errors":[{"message":"x is undefined","extensions":{"stacktrace":["TypeError: x","    at add (/srv/shop/cart.js:12:9)","    at run (/srv/shop/main.js:7:3)"]}}]}"#,
                "x is undefined at cart.js:12 (in JSON)",
            ),
            (
                r#"{"error": "'reduced'", "trace": ["Traceback (most recent call last):", "  File \"/srv/cart.py\", line 12, in add", "    return 1", "  File \"/srv/main.py\", line 7, in run"]}"#,
                "'reduced' at cart.py:12 (in JSON)",
            ),
        ] {
            assert_eq!(told(frames, text), [detail], "{text}");
        }
        for text in [
            r#"{"stack":["react","webpack:5","node:20"],"trace":[1,2,3]}"#,
            r#"{"trace":[{"file":"cart.svg","line":12}]}"#,
            r#"{"trace":"off","stack":[]}"#,
            r#"{"traceback":["see cart.py:12","and main.py:7"]}"#,
        ] {
            assert!(told(frames, text).is_empty(), "{text}");
        }
    }
}
