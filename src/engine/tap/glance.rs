//! What has come so far of a body that is still under way, looked at because nothing more may come of it for long.

use crate::content::{self, Document};
use crate::model::Direction;

use super::super::body::Body;
use super::super::story::Parts;
use super::{Tap, body_scene, document, is_recoded};

/// What a glance costs beside the bytes that it walks over.
const LEAST: usize = 512;
/// Of a body kept whole that is longer than this the beginning goes, where its format allows it: each glance walks over what is kept.
const LONG: usize = 64 << 10;

impl Tap<'_> {
    /// Decodes and looks at what came of the bodies of a direction since the last time, and tells what is found there but for what
    /// may go on behind it. About how many bytes were walked over.
    ///
    /// What was looked at stays, to be understood together with what comes; it is known what was told.
    pub(in crate::engine) fn glance(&mut self, direction: Direction) -> usize {
        let body = self.conversation.half(direction).body.take();
        let mut parts = [body, self.conversation.take_loose(direction)];
        let mut walked = LEAST;
        for body in parts.iter_mut().flatten().filter(|body| body.is_unseen()) {
            self.decode(direction, body, true, 0);
            body.seen();
            walked += body.buffer.len();
            self.glance_at(body);
        }
        let [body, text] = parts;
        self.conversation.half(direction).body = body;
        self.conversation.put_loose(direction, text);
        walked
    }

    fn glance_at(&mut self, body: &mut Body) {
        if body.buffer.is_empty() {
            return;
        }
        let text = content::to_utf8(&body.buffer, &body.media);
        if !self.search(body, &text, true) {
            return;
        }
        if !self.inspect(body, &text) {
            return self.workshop.remember_clean();
        }
        let mut follow = Vec::new();
        let inspector = &mut self.workshop.inspector;
        inspector.leave_open(text.len());
        let mut scene = body_scene(self.conversation, self.key, body, &self.workshop.source, self.now);
        scene.story = scene.story.map(|parts| Parts { body: Some(&text), ..parts });
        let mut findings = inspector.findings(&scene, &mut follow);
        let exchange = body.exchange;
        // What is kept is seen again: why something is not told is said then.
        inspector.forget();
        let until = Body::next_piece(&text, &self.workshop.hits).0;
        let outline = (text.len() > LONG && !is_recoded(&text, &body.buffer))
            .then(|| Document { bytes: &text, ..document(body) })
            .and_then(|document| content::decoder(&document).outline(&document, until));
        drop(text);
        findings.retain(|finding| body.tells(finding.id));
        self.conversation.follow(follow);
        self.workshop.tell(self.conversation, exchange, findings, self.now);
        body.keep_whole();
        if let Some(outline) = outline {
            body.cut(outline);
        }
    }
}
