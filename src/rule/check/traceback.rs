//! Stack traces and debug pages, recognised by their structure and not by words in them.

use std::borrow::Cow;

use super::Page;

/// How every trace of Python begins.
const HEADER: &[u8] = b"Traceback (most recent call last):";
/// Bytes of one trace that are read, and traces of one value.
const LONGEST: usize = 64 * 1024;
const MOST: usize = 16;
/// Headers with frames but no end that are followed; it keeps the search linear.
const BROKEN: usize = 64;
/// Characters of a message that are told.
const MESSAGE: usize = 120;

/// Traces of Python: the header, at least one frame (`File "…", line N, in f`), and, unless the text ends before, the
/// exception. In plain text, with `\n` written out, and in HTML. Chained traces are one.
pub(super) fn python(value: &[u8], out: &mut Vec<Page>) {
    let (mut from, mut broken) = (0, 0);
    while out.len() < MOST
        && broken < BROKEN
        && let Some(at) = value.get(from..).and_then(|rest| memchr::memmem::find(rest, HEADER))
    {
        let start = from + at;
        let behind = start + HEADER.len();
        from = behind;
        if is_in_manual(value.get(..start).unwrap_or_default()) {
            continue;
        }
        let trace = match Trace::read(value, start, behind) {
            Ok(trace) => trace,
            Err(frames) => {
                broken += usize::from(frames > 0);
                continue;
            }
        };
        from = trace.end.max(behind);
        let (end, detail, complete) = (trace.end, trace.detail(), trace.exception.is_some());
        match out.last_mut() {
            Some(last) if last.complete && complete && is_chained(value.get(last.range.end..start)) => {
                *last = Page { range: last.range.start..end, detail, complete };
            }
            _ => out.push(Page { range: start..end, detail, complete }),
        }
    }
}

/// Werkzeug's interactive debugger: its settings and the secret that opens its console.
pub(super) fn werkzeug(value: &[u8], out: &mut Vec<Page>) {
    let find = |word: &[u8]| memchr::memmem::find(value, word);
    let (Some(at), Some(secret)) = (find(b"EVALEX"), find(b"SECRET = \"")) else { return };
    if [&b"__debugger__"[..], b"CONSOLE_MODE", b"EVALEX_TRUSTED"].iter().all(|word| find(word).is_none()) {
        return;
    }
    let title = between(value, b"<title>", b"</title>")
        .map(|title| shown(&title.replace("// Werkzeug Debugger", "")))
        .filter(|title| !title.is_empty());
    let detail = match title {
        Some(title) => format!("{title} (Werkzeug, debug)"),
        None => "Werkzeug debugger".to_owned(),
    };
    let end = value.len().min(secret + 10);
    out.push(Page { range: at.min(secret)..end.max(at), detail, complete: true });
}

/// Django's technical page for an uncaught exception, as HTML or as text.
pub(super) fn django(value: &[u8], out: &mut Vec<Page>) {
    let find = |word: &str| memchr::memmem::find(value, word.as_bytes());
    let marks = ["Request Method:", "Django Version:", "Exception Type:"];
    let places: Vec<usize> = marks.iter().filter_map(|mark| find(mark)).collect();
    let (Some(&start), Some(&end)) = (places.iter().min(), places.iter().max()) else { return };
    if places.len() < marks.len() {
        return;
    }
    let exception = entry(value, "Exception Type:").unwrap_or_default();
    // As text it reads `KeyError at /path`.
    let exception = exception.split(" at ").next().unwrap_or_default();
    let mut detail = exception.to_owned();
    if let Some(message) = entry(value, "Exception Value:") {
        detail.push_str(": ");
        detail.push_str(&message);
    }
    let version = entry(value, "Django Version:").unwrap_or_default();
    detail.push_str(&format!(" (Django {version}, debug)"));
    out.push(Page { range: start..end, detail, complete: true });
}

/// How lines end in the text a trace stands in.
#[derive(Clone, Copy)]
enum Lines {
    Plain,
    /// `\n`, behind so many backslashes.
    Escaped(usize),
    /// `<br>`
    Break,
}

struct Trace {
    end: usize,
    /// File, line, function of the last frame of the application, else of the last one.
    frame: (String, String, String),
    exception: Option<String>,
    framework: &'static str,
}

impl Trace {
    /// The trace whose header stands at `start` and ends at `behind`; else the number of frames that were there.
    fn read(value: &[u8], start: usize, behind: usize) -> Result<Self, usize> {
        let text = value.get(behind..).unwrap_or_default();
        let text = text.get(..LONGEST).unwrap_or(text);
        let lines = Lines::of(text).ok_or(0_usize)?;
        let text = lines.within_quotes(text);
        let end = behind + text.len();
        let indent = indentation(value.get(..start).unwrap_or_default());
        let mut trace = Self { end: behind, frame: Default::default(), exception: None, framework: "" };
        let mut frames = 0_usize;
        let mut own_frame = false;
        let mut rest = text;
        // What is left of the header's own line.
        let (_, mut next) = lines.cut(rest);
        while let Some(behind_line) = next {
            rest = behind_line;
            let (raw, following) = lines.cut(rest);
            let line_start = end - rest.len();
            next = following;
            // Markup that ends the block the trace stands in.
            let raw = memchr::memmem::find(raw, b"</").and_then(|at| raw.get(..at)).unwrap_or(raw);
            let line = decoded(raw, lines);
            let line = unindented(&line, indent);
            let bare = line.trim();
            if bare.is_empty() {
                continue;
            }
            if let Some(frame) = frame(bare) {
                frames += 1;
                trace.end = line_start + raw.len();
                trace.note(frame, &mut own_frame);
            } else if line.starts_with([' ', '\t']) || bare.starts_with(['^', '~']) {
                if frames == 0 {
                    return Err(0);
                }
                trace.end = line_start + raw.len();
            } else if frames > 0 && is_exception(bare) {
                trace.end = line_start + raw.trim_ascii_end().len();
                trace.exception = Some(shown(bare));
                return Ok(trace);
            } else if frames > 0 && next.is_none() {
                // The text was cut within the last line.
                return Ok(trace);
            } else {
                return Err(frames);
            }
        }
        if frames > 0 { Ok(trace) } else { Err(0) }
    }

    fn note(&mut self, (file, line, function): (&str, &str, &str), own_frame: &mut bool) {
        for (part, framework) in
            [("flask/", "Flask"), ("django/", "Django"), ("fastapi/", "FastAPI"), ("starlette/", "Starlette")]
        {
            if self.framework.is_empty() && file.contains(part) && file.contains("-packages") {
                self.framework = framework;
            }
        }
        let library = ["site-packages", "dist-packages", "/lib/python", "\\lib\\", "<frozen"]
            .iter()
            .any(|part| file.contains(part));
        if !library || !*own_frame {
            *own_frame |= !library;
            let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
            self.frame = (name.to_owned(), line.to_owned(), function.to_owned());
        }
    }

    fn detail(&self) -> String {
        let (file, line, function) = &self.frame;
        let mut detail = self.exception.clone().unwrap_or_else(|| "stack trace".to_owned());
        detail.push_str(&format!(" at {file}:{line}"));
        if !function.is_empty() {
            detail.push_str(&format!(" in {function}"));
        }
        if !self.framework.is_empty() {
            detail.push_str(&format!(" ({})", self.framework));
        }
        detail
    }
}

impl Lines {
    /// By what follows the header.
    fn of(text: &[u8]) -> Option<Self> {
        let start = text.trim_ascii_start();
        if start.len() < text.len() && memchr::memchr(b'\n', text.get(..text.len() - start.len())?).is_some()
        {
            return Some(Self::Plain);
        }
        let slashes = start.iter().take_while(|&&byte| byte == b'\\').count();
        if (1..=8).contains(&slashes) && matches!(start.get(slashes), Some(b'n' | b'r')) {
            return Some(Self::Escaped(slashes));
        }
        if start.get(..3).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<br")) {
            return Some(Self::Break);
        }
        None
    }

    /// Where quotes within the text are escaped, a bare one ends it.
    fn within_quotes(self, text: &[u8]) -> &[u8] {
        if !matches!(self, Self::Escaped(_)) || memchr::memmem::find(text, b"File \\").is_none() {
            return text;
        }
        let bare = memchr::memchr_iter(b'"', text)
            .find(|&at| at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\\'));
        bare.and_then(|at| text.get(..at)).unwrap_or(text)
    }

    /// The first line, and what is behind its end; none where the text ends.
    fn cut(self, text: &[u8]) -> (&[u8], Option<&[u8]>) {
        let cut_at = |at: usize, width: usize| {
            (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(width)..))
        };
        match self {
            Self::Plain => memchr::memchr(b'\n', text).map_or((text, None), |at| cut_at(at, 1)),
            Self::Escaped(slashes) => {
                let mut end = [b'\\'; 9];
                if let Some(last) = end.get_mut(slashes) {
                    *last = b'n';
                }
                let end = end.get(..=slashes).unwrap_or_default();
                memchr::memmem::find(text, end).map_or((text, None), |at| cut_at(at, end.len()))
            }
            Self::Break => {
                let tag = memchr::memchr_iter(b'<', text)
                    .find(|&at| text.get(at..at + 3).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<br")));
                let Some(at) = tag else { return (text, None) };
                let width = text.get(at..).and_then(|tag| memchr::memchr(b'>', tag)).unwrap_or(2) + 1;
                cut_at(at, width)
            }
        }
    }
}

/// Whether the line before is one of a session in a manual: `>>> call()`.
pub(super) fn is_in_manual(before: &[u8]) -> bool {
    let before = before.get(before.len().saturating_sub(400)..).unwrap_or_default();
    let line = before.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    before.contains(&b'\n') && line.trim_ascii_start().starts_with(b">>>")
}

/// Spaces in front of the header on its line.
fn indentation(before: &[u8]) -> usize {
    let spaces = before.iter().rev().take_while(|&&byte| matches!(byte, b' ' | b'\t' | b'|' | b'+')).count();
    match before.len().checked_sub(spaces + 1).and_then(|at| before.get(at)) {
        None | Some(b'\n') => spaces,
        _ => 0,
    }
}

fn unindented(line: &str, indent: usize) -> &str {
    let blank =
        line.bytes().take(indent).take_while(|byte| matches!(byte, b' ' | b'\t' | b'|' | b'+')).count();
    line.get(blank..).unwrap_or(line)
}

/// A line with its escapes and entities undone, tags removed where there are entities.
fn decoded(raw: &[u8], lines: Lines) -> Cow<'_, str> {
    let mut line = String::from_utf8_lossy(raw);
    if let Lines::Escaped(_) = lines
        && line.contains('\\')
    {
        line = line.strip_suffix("\\r").unwrap_or(&line).replace('\\', "").into();
    }
    if let Lines::Break = lines {
        line = line.trim_start_matches(['\r', '\n']).replace("&nbsp;", " ").into();
    }
    if line.contains("&quot;")
        || line.contains("&#34;")
        || line.contains("&#x22;")
        || line.contains("&#39;")
        || line.contains("&lt;")
        || line.contains("&#x27;")
    {
        line = entities(&without_tags(&line)).into();
    }
    if line.ends_with('\r') {
        line = line.trim_end_matches('\r').to_owned().into();
    }
    line
}

fn entities(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, letter) in [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#x22;", "\""),
        ("&#39;", "'"),
        ("&#039;", "'"),
        ("&#x2F;", "/"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        if text.contains(entity) {
            text = text.replace(entity, letter);
        }
    }
    text
}

pub(super) fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => out.push(letter),
            _ => {}
        }
    }
    out
}

/// `File "…", line N, in f` or, of a syntax error, without the function.
fn frame(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at_checked(digits)?;
    if number.is_empty() || file.is_empty() {
        return None;
    }
    match rest.strip_prefix(", in ") {
        Some(function) => Some((file, number, function.trim())),
        None if rest.trim().is_empty() => Some((file, number, "")),
        None => None,
    }
}

/// `package.Error: message` or `Error`.
fn is_exception(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or(line).trim();
    let last = name.rsplit('.').next().unwrap_or(name);
    !name.is_empty()
        && name.len() <= 120
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        && last.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && (line.len() == name.len() || line.contains(':'))
}

fn is_chained(between: Option<&[u8]>) -> bool {
    between.is_some_and(|between| {
        between.len() < 200
            && [&b"direct cause of the following"[..], b"another exception occurred"]
                .iter()
                .any(|word| memchr::memmem::find(between, word).is_some())
    })
}

fn between(value: &[u8], open: &[u8], close: &[u8]) -> Option<String> {
    let at = memchr::memmem::find(value, open)? + open.len();
    let behind = value.get(at..value.len().min(at + 1024))?;
    let end = memchr::memmem::find(behind, close)?;
    Some(String::from_utf8_lossy(behind.get(..end)?).into_owned())
}

/// What stands behind a caption: in the next table cell, or on the same line.
fn entry(value: &[u8], caption: &str) -> Option<String> {
    let at = memchr::memmem::find(value, caption.as_bytes())? + caption.len();
    let behind = value.get(at..value.len().min(at + 2048))?;
    let text = String::from_utf8_lossy(behind);
    let text = text.trim_start_matches([' ', '\t']);
    if let Some(line) = text.lines().next()
        && !line.trim().is_empty()
        && !line.trim_start().starts_with('<')
    {
        return Some(shown(line));
    }
    let cell = text.split_once("<td")?.1.split_once('>')?.1;
    let cell = cell.split("</td>").next()?;
    Some(shown(&without_tags(cell)))
}

/// In one line, entities undone, cut.
pub(super) fn shown(text: &str) -> String {
    let text = entities(text);
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(MESSAGE) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
#[path = "traceback_tests.rs"]
mod tests;
