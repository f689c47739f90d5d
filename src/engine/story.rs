//! The messages a leak stands in, redacted, its place marked: for those who watch.

use std::ops::Range;

use super::known::KnownSecrets;
use crate::model::finding::Finding;
use crate::model::http::{Header, RequestHead, ResponseHead};
use crate::model::redact::{self, Known};
use crate::model::story::{Passage, Story};

/// Bytes of a head that are kept and shown, and of a body before and behind the leak.
const HEAD: usize = 4 << 10;
const AROUND: usize = 400;
/// So far from its start a body is redacted whole; of what lies behind, from a line's start near the leak on.
const BODY: usize = 64 << 10;
/// Of so many leaks of one message part the story is told.
pub(super) const STORIES: usize = 16;

/// What stands around a leaking value while it is redacted. Of what is sent none is let through.
const BEGIN: char = '\u{e000}';
const END: char = '\u{e001}';

/// The heads of an exchange, as they were sent.
#[derive(Debug, Default)]
pub(super) struct Heads {
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Heads {
    pub(super) fn asked(head: &RequestHead<'_>) -> Self {
        let target = super::conversation::shown_part(head.target);
        let mut request = [head.method, b" ", target, b" ", head.version.as_bytes()].concat();
        push(&mut request, head.headers);
        Self { request, response: Vec::new() }
    }

    pub(super) fn answered(&mut self, head: &ResponseHead<'_>) {
        let mut response = format!("{} {} ", head.version, head.status).into_bytes();
        response.extend_from_slice(head.reason);
        push(&mut response, head.headers);
        self.response = response;
    }

    /// Bytes of what was asked; the answer is of about that size, and soon over.
    pub(super) fn asked_weight(&self) -> usize {
        2 * self.request.len()
    }
}

/// Adds header fields, a line each, as long as there is room for whole ones.
fn push(text: &mut Vec<u8>, headers: &[Header<'_>]) {
    let before = text.len();
    for header in headers {
        if text.len() - before + header.name.len() + header.value.len() > HEAD {
            text.extend_from_slice("\n…".as_bytes());
            return;
        }
        text.push(b'\n');
        text.extend_from_slice(header.name);
        text.extend_from_slice(b": ");
        text.extend(
            header.value.iter().map(|&byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }),
        );
    }
}

/// What the story of a message part is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) heads: &'a Heads,
    /// The body that the part is, decoded.
    pub(super) body: Option<&'a [u8]>,
}

/// Where the leak stands, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaking<'a> {
    /// The value, as it was told and as it stood there.
    pub(super) values: [&'a [u8]; 2],
    pub(super) redacted: &'a str,
    /// Its place in the part.
    pub(super) span: &'a Range<usize>,
    /// The secrets of the part.
    pub(super) known: &'a [Known<'a>],
}

impl Parts<'_> {
    /// Those secrets that stand in it.
    pub(super) fn known<'k>(&self, known: &'k KnownSecrets<'k>) -> std::borrow::Cow<'k, [Known<'k>]> {
        known.within(&[&self.heads.request, &self.heads.response, self.body.unwrap_or_default()])
    }

    /// The story of one leak.
    pub(super) fn story(&self, leak: Leaking<'_>, finding: &Finding) -> Story {
        let marked = format!("{BEGIN}{}{END}", leak.redacted);
        // The one that leaks comes first: the first that fits is taken.
        let own = leak.values.into_iter().filter(|value| !value.is_empty());
        let own = own.map(|value| Known { value, redacted: &marked });
        let others = leak.known.iter().copied().filter(|known| !leak.values.contains(&known.value));
        let mut known: Vec<Known<'_>> = own.chain(others).collect();
        known.sort_by_key(|known| std::cmp::Reverse(known.value.len()));
        let is_response = finding.surface.is_response();
        let mut texts = [head(&self.heads.request, &known), head(&self.heads.response, &known)];
        let text = texts.get_mut(usize::from(is_response));
        if let (Some(body), Some(text)) = (self.body, text)
            && let Some(around) = around(body, leak.span, &known)
        {
            text.push_str("\n\n");
            text.push_str(&around);
        }
        let [request, response] = texts.map(|text| passage(&text));
        let mut story = Story { request, response };
        let leaking = if is_response { &mut story.response } else { &mut story.request };
        if let Some(leaking) = leaking
            && leaking.marks.is_empty()
        {
            mark_by_name(leaking, finding);
        }
        story
    }
}

/// The answer to the request of a leak has come since.
pub(super) fn go_on(finding: &mut Finding, heads: &Heads) {
    let Finding { story: Some(story), secret, .. } = finding else { return };
    if story.response.is_none() {
        let known =
            secret.as_ref().map(|secret| Known { value: secret.value.expose(), redacted: &secret.redacted });
        let known: Vec<Known<'_>> = known.into_iter().collect();
        story.response = passage(&head(&heads.response, &known));
    }
}

/// A head, line by line.
fn head(raw: &[u8], known: &[Known<'_>]) -> String {
    if raw.is_empty() {
        return String::new();
    }
    let mut lines = Vec::new();
    for (at, line) in raw.split(|&byte| byte == b'\n').enumerate() {
        lines.push(match (at, memchr::memchr(b':', line)) {
            (0, _) => first_line(line, known),
            (_, Some(end)) => {
                let (name, value) = line.split_at(end);
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                format!(
                    "{}: {}",
                    redact::name(&String::from_utf8_lossy(name), known),
                    redact::header(name, value, known)
                )
            }
            _ => redact::excerpt(line, known),
        });
    }
    lines.join("\n")
}

/// `GET /path?api_key=… http/1.1`, `http/1.1 200 OK`
fn first_line(line: &[u8], known: &[Known<'_>]) -> String {
    let mut parts = line.splitn(2, |&byte| byte == b' ');
    let (method, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if method.starts_with(b"http/") {
        let version = String::from_utf8_lossy(method).to_ascii_uppercase();
        return format!("{version} {}", redact::excerpt(rest, known)).trim_end().to_owned();
    }
    let end = memchr::memrchr(b' ', rest).unwrap_or(rest.len());
    let (target, version) = rest.split_at(end);
    let method = redact::excerpt(method, known);
    format!(
        "{method} {}{}",
        redact::url(target, known),
        String::from_utf8_lossy(version).to_ascii_uppercase()
    )
}

/// What surrounds the place in a body. Nothing is cut before it is redacted: a part of a secret would not be known.
fn around(body: &[u8], span: &Range<usize>, known: &[Known<'_>]) -> Option<String> {
    let until = body.len().min(span.end.saturating_add(AROUND));
    let from = if span.start <= BODY {
        0
    } else {
        let near = body.get(span.start.saturating_sub(AROUND)..span.start)?;
        span.start - near.len() + memchr::memchr(b'\n', near)? + 1
    };
    // It ends between words.
    let raw = body.get(from..until)?;
    let end = if until == body.len() {
        raw.len()
    } else {
        raw.iter()
            .rposition(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'&' | b'<' | b';'))?
    };
    let end = end.max(span.end.saturating_sub(from)).min(raw.len());
    let text = redact::passage(raw.get(..end)?, known);
    let place = text.find(BEGIN).unwrap_or_else(|| {
        // Of what has no value of its own: as far from the end as it is in the text as sent.
        text.len().saturating_sub(raw.len().saturating_sub(span.start.saturating_sub(from)))
    });
    let start = boundary(&text, place.saturating_sub(AROUND));
    let stop = boundary(&text, (place + 2 * AROUND).min(text.len()));
    let shown = text.get(start..stop)?;
    let mark = |cut: bool| if cut { redact::HIDDEN } else { "" };
    Some(format!("{}{shown}{}", mark(start > 0 || from > 0), mark(stop < text.len() || until < body.len())))
}

/// The first boundary of a character from `at` on.
fn boundary(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// The text without its marks, and where they were; none of an empty text.
fn passage(text: &str) -> Option<Passage> {
    if text.is_empty() {
        return None;
    }
    let mut passage = Passage::default();
    let mut begun = None;
    for letter in text.chars() {
        match letter {
            BEGIN => begun = Some(passage.text.len()),
            END => passage.marks.extend(begun.take().map(|begun| begun..passage.text.len())),
            letter => passage.text.push(letter),
        }
    }
    Some(passage)
}

/// Where the value itself cannot be found it is hidden: the field of its name is marked.
fn mark_by_name(passage: &mut Passage, finding: &Finding) {
    let Some(name) = &finding.name else { return };
    let mut at = 0;
    for line in passage.text.split_inclusive('\n') {
        let end = at + line.trim_end().len();
        let is_named = line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if is_named && line.get(name.len()..).is_some_and(|rest| rest.starts_with(':')) {
            let value = (at + name.len() + 2).min(end);
            passage.marks.push(value..end);
        }
        at += line.len();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{Engine, Intake, LIMITS, Report, Settings};
    use crate::model::secret::FingerprintKey;
    use crate::model::story::{Passage, Story};
    use crate::rule::RuleSet;
    use crate::source::memory::{Memory, connection::Connection};
    use crate::source::{Next, Source as _};

    /// All made up.
    const KEY: &str = "sk_live_8Rt5YwQ2nVx7Kc4Lp1Zd6MbG";
    const OTHER: &str = "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";
    const PASSWORD: &str = "correct-horse-7-battery";

    /// The stories of an exchange, by rule and surface.
    fn stories(request: &str, response: &str) -> Vec<(String, Story)> {
        let settings = Settings {
            rules: Arc::new(RuleSet::load(true, &[]).unwrap()),
            key: FingerprintKey::new(b"the key of the tests"),
            limits: LIMITS,
            explain: false,
            watched: true,
        };
        let mut engine = Engine::new(&settings);
        let mut intake = Intake::default();
        let connection = Connection::example(80).handshake();
        let connection = connection.to_server(request.as_bytes()).to_client(response.as_bytes()).finish();
        let mut frames = Memory::new(connection.frames());
        while let Ok(Next::Frame(frame)) = frames.next() {
            intake.sort(&frame, |shard, frame, packet| {
                engine.packet(shard, packet, frame.number, frame.time);
            });
        }
        let found = engine.released().filter_map(|released| match released.report {
            Report::Finding(finding) => {
                let name = format!("{} {}", finding.rule.id, finding.surface.as_str());
                Some((name, *finding.story.expect("a story")))
            }
            _ => None,
        });
        found.collect()
    }

    fn marked(passage: &Option<Passage>) -> Vec<String> {
        let passage = passage.as_ref().unwrap();
        passage.marks.iter().map(|mark| passage.text[mark.clone()].to_owned()).collect()
    }

    #[test]
    fn a_leak_of_a_request_is_marked_there_and_the_answer_is_beside_it() {
        let request = format!(
            "GET /v1/x?api_key={KEY}&page=2 HTTP/1.1\r\nHost: api.example.com\r\nCookie: sid=abcdefg; t=1\r\n\
             Authorization: Bearer {OTHER}\r\nX-Trace: {PASSWORD}\r\nAccept: */*\r\n\r\n"
        );
        let response =
            "HTTP/1.1 200 OK\r\nSet-Cookie: s=quitesecret; HttpOnly\r\nContent-Length: 2\r\n\r\nok";
        let stories = stories(&request, response);
        let (_, story) = stories.iter().find(|(name, _)| name == "stripe-secret-key request.query").unwrap();
        let asked = &story.request.as_ref().unwrap().text;
        assert_eq!(marked(&story.request), ["sk_l…6MbG"]);
        assert!(
            asked.starts_with("GET /v1/x?api_key=sk_l…6MbG&page=2 HTTP/1.1\nHost: api.example.com\n"),
            "{asked}"
        );
        assert!(
            asked.contains("Cookie: sid=…; t=…") && asked.contains("Authorization: Bearer ghp_…INUx"),
            "{asked}"
        );
        let answered = &story.response.as_ref().unwrap().text;
        assert_eq!(answered, "HTTP/1.1 200 OK\nSet-Cookie: s=…; HttpOnly\nContent-Length: 2");
        let (_, bearer) = stories.iter().find(|(name, _)| name.starts_with("github")).unwrap();
        assert_eq!(marked(&bearer.request), ["ghp_…INUx"]);
    }

    #[test]
    fn a_leak_of_a_body_is_shown_with_what_surrounds_it() {
        let filler = "{\"n\": \"made up\"},\n".repeat(300);
        let body = format!("[{filler}{{\"secret\": \"{KEY}\", \"password\": \"{PASSWORD}\"}},\n{filler}]");
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stories = stories("GET /keys HTTP/1.1\r\nHost: h.example\r\n\r\n", &response);
        let (_, story) = stories.iter().find(|(name, _)| name == "stripe-secret-key response.body").unwrap();
        assert_eq!(marked(&story.response), ["sk_l…6MbG"]);
        let text = &story.response.as_ref().unwrap().text;
        assert!(text.contains("\n\n…") && text.ends_with('…') && text.len() < 2000, "{text}");
        assert_eq!(marked(&story.request), Vec::<String>::new());
        assert!(story.request.as_ref().unwrap().text.starts_with("GET /keys HTTP/1.1"));
    }

    #[test]
    fn a_password_that_is_hidden_is_marked_by_the_name_of_its_field() {
        let request = "GET / HTTP/1.1\r\nHost: h.example\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZS03LWJhdHRlcnk=\r\n\r\n";
        let stories = stories(request, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let (_, story) = stories.first().unwrap();
        assert_eq!(marked(&story.request), ["Basic …"], "{:?}", story.request);
    }

    #[test]
    fn no_story_tells_a_value() {
        let body =
            format!("{{\"key\":\"{KEY}\",\"note\":\"\u{e000}{OTHER}\u{e001}\",\"password\":\"{PASSWORD}\"}}");
        let request = format!(
            "POST /a/{KEY}?token={OTHER} HTTP/1.1\r\nHost: h.example\r\nCookie: a={OTHER}; b={PASSWORD}\r\nX-Api-Key: {KEY}\r\n\
             Referer: https://u:{PASSWORD}@h.example/?key={KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = format!(
            "HTTP/1.1 302 Found\r\nLocation: /next?token={OTHER}\r\nSet-Cookie: sid={PASSWORD}\r\nX-Echo: {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stories = stories(&request, &response);
        assert!(stories.len() >= 4, "{}", stories.len());
        for (name, story) in stories {
            for passage in [&story.request, &story.response].into_iter().flatten() {
                for value in [KEY, OTHER, PASSWORD] {
                    assert!(!passage.text.contains(value), "{name}: {}", passage.text);
                }
                assert!(!passage.text.contains(['\u{e000}', '\u{e001}']));
            }
        }
    }
}
