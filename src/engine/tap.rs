//! What a parser's findings go through: heads and bodies become fields, fields become findings.

use std::borrow::Cow;
use std::ops::Range;

use crate::content::{self, Document, Wanted};
use crate::flow::Now;
use crate::model::http::{Header, RequestHead, ResponseHead, header, offset_in};
use crate::model::message::Origin;
use crate::model::{Direction, Field, FlowKey, Surface};
use crate::protocol::Output;

use super::body::{Body, Skip};
use super::conversation::{Conversation, Exchange};
use super::inspect::{RawHttp, Scene, Vessel};
use super::marks::{Carried, Carrier, Marks};
use super::story::{Heads, Parts};
use super::{Workshop, exposure};

mod glance;

/// The output of a parser, for the bytes it is being shown.
pub(super) struct Tap<'a> {
    workshop: &'a mut Workshop,
    conversation: &'a mut Conversation,
    key: &'a FlowKey,
    now: Now,
    shown: &'a [u8],
    marks: &'a mut Marks,
    carrier: Carrier,
}

impl<'a> Tap<'a> {
    pub(super) fn new(
        workshop: &'a mut Workshop,
        conversation: &'a mut Conversation,
        key: &'a FlowKey,
        now: Now,
        shown: &'a [u8],
        marks: &'a mut Marks,
        carrier: Carrier,
    ) -> Self {
        Self { workshop, conversation, key, now, shown, marks, carrier }
    }

    /// A direction is over: what is left of its body and its text is looked at.
    pub(super) fn finish(&mut self, direction: Direction) {
        self.finish_body(direction);
        if let Some(mut text) = self.conversation.take_loose(direction) {
            self.look_into(&mut text);
        }
    }

    /// To make room: what is decoded of the bodies of a direction is looked at and goes; with `all`, decoders too.
    pub(super) fn relieve(&mut self, direction: Direction, all: bool) {
        let body = self.conversation.half(direction).body.take();
        let mut parts = [body, self.conversation.take_loose(direction)];
        for body in parts.iter_mut().flatten() {
            if all {
                self.decode(direction, body, true, 0);
            }
            self.look_into(body);
            body.forget();
            if all && body.give_up() {
                self.conversation.lose(direction, "memory-limit", 0, self.now.frame);
            }
        }
        let [body, text] = parts;
        self.conversation.half(direction).body = body;
        self.conversation.put_loose(direction, text);
    }

    /// So many bytes of no message are missing.
    pub(super) fn text_gap(&mut self, direction: Direction, missing: u64) {
        if missing > 0
            && let Some(Some(text)) = self.conversation.loose(direction)
        {
            text.gap();
        }
    }

    /// A datagram of a protocol that nobody knows.
    pub(super) fn datagram(&mut self, direction: Direction, bytes: &[u8]) {
        if content::is_binary(bytes) {
            return self.workshop.stats.not_inspected("binary-datagram");
        }
        let mut body = Body::text(Surface::body(direction));
        if body.push(bytes, self.carrier).is_ok() {
            self.look_into(&mut body);
        }
    }

    /// The frames of a part of what is shown.
    fn carried(&self, range: Range<usize>) -> Carried {
        self.marks.carried(range).unwrap_or(Carried::by(self.carrier))
    }

    /// Whether a head holds anything that rules or decoders would look at. The keywords are left in the workshop.
    fn is_of_interest(&mut self, head: &[u8], values: &[Header<'_>], target: &[u8], response: bool) -> bool {
        let Workshop { known, hits, inspector, clean, .. } = &mut *self.workshop;
        known.clear();
        hits.clear();
        if head.is_empty() {
            // Without a head as sent nothing counts from its first byte: fields are walked one by one.
            for part in values.iter().flat_map(|header| [header.name, header.value]).chain([target]) {
                inspector.rules.scan(part, known);
            }
            let any = !known.is_empty();
            known.clear();
            return any || memchr::memchr(b'%', target).is_some();
        }
        clean.search(head, |line| {
            let (from, before) = (line.start, hits.len());
            let has_keyword = inspector.rules.scan_part(head, line.clone(), known);
            content::marks(head.get(line).unwrap_or_default(), hits);
            let new = hits.get_mut(before..).unwrap_or_default();
            new.iter_mut().for_each(|mark| *mark = mark.start + from..mark.end + from);
            !has_keyword && new.is_empty()
        });
        !known.is_empty()
            || !hits.is_empty()
            || memchr::memchr(b'%', target).is_some()
            || response
                && self
                    .conversation
                    .followed()
                    .iter()
                    .any(|followed| memchr::memmem::find(head, followed.trace()).is_some())
            || inspector.rules.exhaustive()
    }

    /// Looks at the fields of a head and tells what was found there.
    fn head(
        &mut self,
        exchange: u32,
        status: Option<u16>,
        bytes: &[u8],
        fields: impl FnOnce(&mut dyn FnMut(Field<'_>)),
    ) {
        let at = offset_in(self.shown, bytes).unwrap_or(0);
        let conversation = &*self.conversation;
        let Workshop { known, inspector, source, .. } = &mut *self.workshop;
        let scene = scene(conversation, self.key, exchange, status, "", source, self.now);
        let marks = &*self.marks;
        let carrier = self.carrier;
        let frames = |range: Range<usize>| {
            marks.carried(at + range.start..at + range.end).unwrap_or(Carried::by(carrier))
        };
        let vessel = Vessel { bytes, known, frames: &frames };
        fields(&mut |field| inspector.field(&field, &scene, &vessel));
        let mut follow = Vec::new();
        let findings = inspector.findings(&scene, &mut follow);
        self.workshop.explain();
        self.conversation.follow(follow);
        self.workshop.tell(self.conversation, exchange, findings, self.now);
    }

    /// Whether an answer over TLS lets the next request go in clear (RFC 6797 section 7.1). Of names only: addresses have no
    /// such policy (section 8.1.1). The first answer of a connection tells as much as all.
    fn lacks_hsts(&self, exchange: u32, head: &ResponseHead<'_>) -> bool {
        self.conversation.encrypted
            && exchange == 1
            && (200..400).contains(&head.status)
            && header(head.headers, "strict-transport-security").is_none()
            && self.conversation.exchange(exchange).is_some_and(|known| is_name(known.host()))
    }

    fn finish_body(&mut self, direction: Direction) {
        if let Some(mut body) = self.conversation.half(direction).body.take() {
            self.decode(direction, &mut body, true, 0);
            if let Err(skip) = body.finish() {
                self.skipped(direction, skip, 0);
            }
            self.look_into(&mut body);
            self.workshop.recycle(body.buffer);
        }
    }

    /// Whether anything that is decoded of a body is of interest: one walk for keywords and marks, if such a text was not
    /// seen before. They are left in the workshop, and so is the digest under which it is remembered that rules see nothing.
    fn search(&mut self, body: &Body, text: &[u8], is_last: bool) -> bool {
        let digest = self.digest(body, text, is_last);
        let Workshop { known, hits, inspector, clean, .. } = &mut *self.workshop;
        known.clear();
        hits.clear();
        let is_known = digest.is_some_and(|digest| clean.knows(digest));
        if !is_known {
            inspector.rules.scan_body(text, known);
            content::marks(text, hits);
            hits.extend(known.iter().map(|found| found.start as usize..found.end as usize));
            if let (Some(digest), true) = (digest, hits.is_empty()) {
                clean.remember(digest);
            }
        }
        self.workshop.digest = digest.filter(|_| !hits.is_empty());
        let hits = &mut self.workshop.hits;
        if body.surface.is_response() {
            for followed in self.conversation.followed() {
                let trace = followed.trace();
                hits.extend(memchr::memmem::find_iter(text, trace).take(64).map(|at| at..at + trace.len()));
            }
        }
        !hits.is_empty() || self.workshop.inspector.rules.exhaustive() && !is_known
    }

    /// The digest of a text and of all that decides what rules see in it. `None` where they are to say what they do not tell.
    fn digest(&self, body: &Body, text: &[u8], is_last: bool) -> Option<u64> {
        if self.workshop.inspector.explains() {
            return None;
        }
        let status = self.conversation.exchange(body.exchange).and_then(|exchange| exchange.status);
        let flags = [is_last, body.exchange == 0, body.partial].map(u8::from);
        let circumstances: [&[u8]; 6] = [
            self.workshop.source.as_bytes(),
            body.media.essence.as_bytes(),
            body.media.boundary.as_deref().unwrap_or_default(),
            &flags,
            body.surface.as_str().as_bytes(),
            &status.unwrap_or_default().to_le_bytes(),
        ];
        Some(self.workshop.clean.digest(text, &circumstances))
    }

    /// The window of a body is full: it is looked at, or kept for what comes yet.
    fn look_at_window(&mut self, body: &mut Body) {
        if !body.is_in_pieces() {
            self.look_into(body);
            body.slide();
            return;
        }
        let text = content::to_utf8(&body.buffer, &body.media);
        // What is written in another charset says so at its start.
        let is_whole =
            is_recoded(&text, &body.buffer) || self.search(body, &text, false) && self.inspect(body, &text);
        let document = Document { bytes: &text, ..document(body) };
        let (until, is_open) = Body::next_piece(&text, &self.workshop.hits);
        if !is_whole && !is_open {
            self.workshop.remember_clean();
        }
        let outline = if is_whole { None } else { content::decoder(&document).outline(&document, until) };
        drop(text);
        if outline.is_none_or(|outline| !body.cut(outline)) {
            self.workshop.inspector.forget();
            body.keep_whole();
        }
        self.workshop.explain();
    }

    /// Looks at what is decoded of a body and tells what was found there.
    fn look_into(&mut self, body: &mut Body) {
        if body.buffer.is_empty() {
            return;
        }
        let text = content::to_utf8(&body.buffer, &body.media);
        if !self.search(body, &text, true) {
            return;
        }
        if !self.inspect(body, &text) {
            self.workshop.remember_clean();
        }
        let mut follow = Vec::new();
        let Workshop { inspector, source, .. } = &mut *self.workshop;
        let mut scene = body_scene(self.conversation, self.key, body, source, self.now);
        scene.story = scene.story.map(|parts| Parts { body: Some(&text), ..parts });
        let mut findings = inspector.findings(&scene, &mut follow);
        findings.retain(|finding| !body.has_told(finding.id));
        let exchange = body.exchange;
        self.workshop.explain();
        self.conversation.follow(follow);
        self.workshop.tell(self.conversation, exchange, findings, self.now);
    }

    /// Takes apart what [`Self::search`] has found to be of interest. Whether rules saw anything there.
    fn inspect(&mut self, body: &Body, text: &[u8]) -> bool {
        let Workshop { known, hits, inspector, source, .. } = &mut *self.workshop;
        merge(hits);
        let recoded = is_recoded(text, &body.buffer);
        let leads_to_pages = inspector.rules.leads_to_pages(known);
        let scene = body_scene(self.conversation, self.key, body, source, self.now);
        let whole = body.carried.unwrap_or(Carried::by(self.carrier));
        let frames = |range: Range<usize>| if recoded { whole } else { body.frames(range).unwrap_or(whole) };
        let document = Document { bytes: text, ..document(body) };
        let vessel = Vessel { bytes: text, known, frames: &frames };
        let every = if inspector.rules.exhaustive() { Wanted::All } else { Wanted::At(hits) };
        let mut look = |field: Field<'_>| inspector.field(&field, &scene, &vessel);
        match body.exchange {
            0 => content::text(&document, &every, &mut look),
            _ => {
                content::fields(&document, &every, &mut look);
                // Frames may stand in parts that are no one field: elements of a page, strings of a list.
                if body.surface.is_response() && leads_to_pages {
                    let all = Field::new(body.surface, None, Cow::Borrowed(text), 0..text.len());
                    look(all.from(Origin::Whole));
                }
            }
        }
        inspector.has_seen()
    }

    fn push_body(&mut self, direction: Direction, bytes: &[u8]) {
        // Where no head announced it.
        let announced = self.conversation.half(direction).body.take();
        let mut body = announced.unwrap_or_else(|| {
            let exchange = self.conversation.current(direction);
            Box::new(Body::new(Surface::body(direction), exchange, content::Media::default()))
        });
        self.push(direction, &mut body, bytes);
        self.conversation.half(direction).body = Some(body);
    }

    /// Bytes that several frames carried are split where those meet, so that each byte knows its frame.
    fn push(&mut self, direction: Direction, body: &mut Body, bytes: &[u8]) {
        if body.buffer.capacity() == 0 && !bytes.is_empty() {
            body.buffer = self.workshop.spare_buffer();
        }
        let start = offset_in(self.shown, bytes);
        let mut done = 0;
        while done < bytes.len() {
            let place = start.and_then(|start| {
                self.marks.piece(start + done, start + bytes.len()).map(|(by, until)| (by, until - start))
            });
            let (carrier, until) = place.unwrap_or((self.carrier, bytes.len()));
            let piece = bytes.get(done..until).unwrap_or_default();
            if let Err(skip) = body.push(piece, carrier) {
                self.skipped(direction, skip, piece.len());
            }
            self.decode(direction, body, false, piece.len());
            if body.is_window_full() {
                self.look_at_window(body);
            }
            done = until.max(done + 1);
        }
    }

    /// Decodes what is due of what is held back, or all of it, and looks at it window by window; `bytes` came last.
    fn decode(&mut self, direction: Direction, body: &mut Body, all: bool, bytes: usize) {
        loop {
            match body.decode(all) {
                Ok(true) if body.is_window_full() => self.look_at_window(body),
                Ok(true) => {}
                Ok(false) => return,
                Err(skip) => return self.skipped(direction, skip, bytes),
            }
        }
    }

    fn skipped(&mut self, direction: Direction, skip: Skip, bytes: usize) {
        let frame = self.now.frame;
        match skip {
            Skip::Opaque => self.workshop.stats.not_inspected("opaque-body"),
            Skip::UnknownCoding => self.workshop.stats.not_inspected("unknown-content-coding"),
            Skip::Corrupt => self.conversation.lose(direction, "decompression-error", bytes as u64, frame),
            Skip::Bomb => self.conversation.lose(direction, "decompression-limit", bytes as u64, frame),
        }
    }
}

impl Output for Tap<'_> {
    fn request(&mut self, exchange: u32, head: &RequestHead<'_>) {
        self.workshop.message(head.version);
        self.conversation.protocol = head.version;
        self.conversation.set_current(Direction::ToServer, exchange);
        let host = header(head.headers, "host").unwrap_or_default();
        let mut begun = Exchange::new(exchange, head.version, head.method, host, head.target);
        begun.heads = self.workshop.tells_stories.then(|| Box::new(Heads::asked(head)));
        self.conversation.begin(begun);
        if self.is_of_interest(head.bytes, head.headers, head.target, false) {
            self.head(exchange, None, head.bytes, |out| content::head::request(head, out));
        }
        self.conversation.half(Direction::ToServer).body =
            body(Surface::RequestBody, exchange, head.headers).map(Box::new);
    }

    fn response(&mut self, exchange: u32, head: &ResponseHead<'_>) {
        self.workshop.message(head.version);
        self.conversation.protocol = head.version;
        self.conversation.set_current(Direction::ToClient, exchange);
        let is_final = head.status >= 200 || head.status == 101;
        if is_final {
            match self.conversation.exchanges.iter_mut().find(|known| known.number == exchange) {
                Some(known) => known.status = Some(head.status),
                None => {
                    let mut unseen = Exchange::new(exchange, head.version, b"", b"", b"");
                    unseen.status = Some(head.status);
                    self.conversation.begin(unseen);
                }
            }
            let number = self.conversation.number;
            let known = self.conversation.exchanges.iter_mut().find(|known| known.number == exchange);
            let heads = known.filter(|_| self.workshop.tells_stories).map(|known| {
                let heads = known.heads.get_or_insert_default();
                heads.answered(head);
                &**heads
            });
            self.workshop.release_answered(number, exchange, Some(head.status), heads);
        }
        if self.lacks_hsts(exchange, head) {
            let evidence = format!("{} {} without Strict-Transport-Security", head.version, head.status);
            self.signal(Direction::ToClient, "tls-without-hsts", evidence.as_bytes());
        }
        if self.is_of_interest(head.bytes, head.headers, b"", true) {
            self.head(exchange, Some(head.status), head.bytes, |out| content::head::response(head, out));
        }
        self.conversation.half(Direction::ToClient).body =
            body(Surface::ResponseBody, exchange, head.headers).map(Box::new);
    }

    fn body(&mut self, direction: Direction, bytes: &[u8]) {
        self.push_body(direction, bytes);
    }

    fn body_gap(&mut self, direction: Direction, _missing: u64) {
        if let Some(mut body) = self.conversation.half(direction).body.take() {
            self.decode(direction, &mut body, true, 0);
            body.gap();
            self.conversation.half(direction).body = Some(body);
        }
    }

    fn trailers(&mut self, direction: Direction, trailers: &[Header<'_>]) {
        let exchange = self.conversation.current(direction);
        let status = match direction {
            Direction::ToServer => None,
            Direction::ToClient => self.conversation.exchange(exchange).and_then(|exchange| exchange.status),
        };
        // Trailer spans count from the first byte shown.
        self.workshop.known.clear();
        self.head(exchange, status, b"", |out| content::head::trailers(direction, trailers, out));
    }

    fn end(&mut self, direction: Direction, _complete: bool) {
        self.finish_body(direction);
        if direction == Direction::ToClient {
            // The request of this exchange may still be under way: its body needs to know it.
            let exchange = self.conversation.current(Direction::ToClient);
            let asking = self.conversation.current(Direction::ToServer);
            let is_asking = self.conversation.half(Direction::ToServer).body.is_some();
            let until = if is_asking { asking.min(exchange) } else { exchange + 1 };
            // An interim answer (RFC 9110 section 15.2) leaves its exchange open.
            let is_open = self.conversation.exchange(exchange).is_some_and(|known| known.status.is_none());
            let until = if is_open { until.min(exchange) } else { until };
            while self.conversation.exchanges.first().is_some_and(|first| first.number < until) {
                if let Some(done) = self.conversation.forget_exchange() {
                    self.workshop.release_exchange(self.conversation.number, done.number, done.status);
                }
            }
        }
    }

    fn field(&mut self, direction: Direction, field: Field<'_>) {
        let exchange = self.conversation.current(direction);
        self.workshop.known.clear();
        self.head(exchange, None, b"", |out| out(field));
    }

    fn text(&mut self, direction: Direction, bytes: &[u8]) {
        let text = self.conversation.take_loose(direction);
        let mut text = text.unwrap_or_else(|| Box::new(Body::text(Surface::body(direction))));
        self.push(direction, &mut text, bytes);
        self.conversation.put_loose(direction, Some(text));
    }

    fn lost(&mut self, direction: Direction, reason: &'static str, bytes: u64) {
        self.conversation.lose(direction, reason, bytes, self.now.frame);
    }

    fn signal(&mut self, direction: Direction, rule: &'static str, evidence: &[u8]) {
        let surface = match direction {
            Direction::ToServer => Surface::RequestHeader,
            Direction::ToClient => Surface::ResponseHeader,
        };
        let exchange = self.conversation.current(direction);
        let carried = self.carried(0..self.shown.len());
        self.workshop.inspector.signal(rule, surface, evidence, carried);
        self.head(exchange, None, b"", |_| ());
    }
}

/// Whether a Host header names a host that others can have for their own: no address, not this machine.
fn is_name(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.split(':').next().unwrap_or_default();
    let is_local = name.eq_ignore_ascii_case("localhost");
    !name.is_empty() && !name.starts_with('[') && !is_local && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// Whether text is other bytes than those it was made from.
fn is_recoded(text: &[u8], from: &[u8]) -> bool {
    text.len() != from.len() || !std::ptr::eq(text.as_ptr(), from.as_ptr())
}

/// The body that a head announces. A request has one only where its head says so (RFC 9112 section 6.3).
fn body(surface: Surface, exchange: u32, headers: &[Header<'_>]) -> Option<Body> {
    let length = header(headers, "content-length");
    let has_body =
        surface.is_response() || length.is_some() || header(headers, "transfer-encoding").is_some();
    let expected = length.and_then(|length| std::str::from_utf8(length).ok()?.trim().parse().ok());
    has_body.then(|| Body::new(surface, exchange, content::media(headers)).expecting(expected.unwrap_or(0)))
}

/// Sorts ranges and joins those that touch.
fn merge(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, before| {
        let touches = next.start <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
}

fn scene<'s>(
    conversation: &'s Conversation,
    key: &FlowKey,
    exchange: u32,
    status: Option<u16>,
    essence: &'s str,
    source: &'s std::sync::Arc<str>,
    now: Now,
) -> Scene<'s> {
    Scene {
        flow: conversation.text(key),
        http: conversation.exchange(exchange).map(|known| RawHttp {
            method: known.method(),
            host: known.host(),
            target: known.target(),
            version: known.version,
            status: known.status,
            number: known.number,
        }),
        status,
        essence,
        followed: conversation.followed(),
        source,
        now: now.time.as_nanos() / 1_000_000_000,
        in_no_message: false,
        cacheable: false,
        story: conversation
            .exchange(exchange)
            .and_then(|known| known.heads.as_deref())
            .map(|heads| Parts { heads, body: None }),
    }
}

fn document(body: &Body) -> Document<'_> {
    Document { bytes: &body.buffer, media: &body.media, surface: body.surface, partial: body.partial }
}

fn body_scene<'s>(
    conversation: &'s Conversation,
    key: &FlowKey,
    body: &'s Body,
    source: &'s std::sync::Arc<str>,
    now: Now,
) -> Scene<'s> {
    let status = conversation.exchange(body.exchange).and_then(|exchange| exchange.status);
    let status = if body.surface.is_response() { status } else { None };
    Scene {
        in_no_message: body.exchange == 0,
        cacheable: body.surface.is_response() && !body.media.no_store,
        ..scene(conversation, key, body.exchange, status, &body.media.essence, source, now)
    }
}

impl Workshop {
    /// Rules see nothing in the body at hand.
    fn remember_clean(&mut self) {
        if let Some(digest) = self.digest.take() {
            self.clean.remember(digest);
        }
    }

    /// Reports what rules saw and did not tell, where that was asked for.
    fn explain(&mut self) {
        for unsaid in std::mem::take(&mut self.inspector.unsaid) {
            self.report(super::Report::Suppressed(unsaid));
        }
    }

    /// Tells findings: at once where the answer is known, else when its head has come.
    pub(super) fn tell(
        &mut self,
        conversation: &Conversation,
        exchange: u32,
        findings: Vec<crate::model::finding::Finding>,
        now: Now,
    ) {
        for finding in findings {
            let waits = !finding.surface.is_response()
                && conversation.exchange(exchange).is_some_and(|known| known.status.is_none());
            if waits {
                self.wait((conversation.number, exchange), finding, now.time);
            } else {
                let status = finding.http.as_ref().and_then(|http| http.status);
                self.settle(finding, status);
            }
        }
    }

    /// Severity follows from the circumstances; then a finding is told.
    pub(super) fn settle(&mut self, mut finding: crate::model::finding::Finding, status: Option<u16>) {
        let loopback = finding.flow.client.is_loopback() && finding.flow.server.is_loopback();
        let refused = !finding.surface.is_response() && exposure::is_refusal(status);
        let by_rule = finding.severity;
        finding.severity = exposure::severity(by_rule, finding.secret.is_some(), loopback, refused);
        if finding.severity < by_rule {
            let why = if refused { "the server refused it" } else { "it stays on one machine" };
            finding.reasons.push(format!("severity lowered: {why}").into());
        }
        if let Some(http) = &mut finding.http {
            http.status = status;
        }
        self.report(super::Report::Finding(Box::new(finding)));
    }
}
