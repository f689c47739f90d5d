//! Events as one JSON document: an array of what the format ndjson tells.

use std::io::{self, Write as _};

use super::ndjson::line;
use super::{Output, Sink};
use crate::model::event::Event;

/// Writes each event as it comes, and the brackets around them.
pub struct Json {
    out: Output,
    text: Vec<u8>,
    is_begun: bool,
}

impl Json {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out, text: Vec::new(), is_begun: false }
    }
}

impl Sink for Json {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.text.clear();
        let before: &[u8] = if self.is_begun { b",\n" } else { b"[\n" };
        self.text.extend_from_slice(before);
        line(event, &mut self.text)?;
        // The line break comes behind the comma.
        self.text.pop();
        self.is_begun = true;
        self.out.write_all(&self.text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        let end: &[u8] = if self.is_begun { b"\n]\n" } else { b"[]\n" };
        self.out.write_all(end)?;
        self.out.flush()
    }
}
