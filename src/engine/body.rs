//! A body on its way through: decoded, kept up to a window, and the frames that carried it.

use std::collections::HashSet;
use std::ops::Range;

use crate::content::{self, Inflater, Media, Outline, Stop};
use crate::model::Surface;
use crate::model::finding::FindingId;

use super::marks::{Carried, Carrier, Marks};

/// Bytes of a body that are looked at together; structure is known within it.
pub(super) const WINDOW: usize = 4 << 20;
/// The same as long as nothing was seen in it.
const PIECE: usize = 12 << 10;
/// Bytes of the window before that are looked at again, for values that lie across.
const OVERLAP: usize = 16 << 10;
/// The same of a piece of whose last `LATE` bytes nothing is of interest (a private key in PEM has half as many); and bytes
/// before what is of interest there.
const CLEAN_OVERLAP: usize = 1 << 10;
const LATE: usize = 6 << 10;
const BEFORE: usize = 256;
/// Coded bytes that are held back and decoded together: most bodies have no more, and then no decoder waits for the rest.
const HELD: usize = 32 << 10;
/// Of these so many at once: they may become a thousand times as many.
const BITE: usize = 8 << 10;
/// Findings remembered that were told while the body was under way; past them some are told twice.
const TOLD: usize = 4096;
/// How much of a body its kind is judged by.
const SNIFF: usize = 512;

/// One body, or the bytes of no message in one direction.
pub(super) struct Body {
    pub(super) surface: Surface,
    /// The exchange it belongs to; 0 for bytes of no message.
    pub(super) exchange: u32,
    pub(super) media: Media,
    /// Decoded bytes not yet looked at.
    pub(super) buffer: Vec<u8>,
    /// Whether `buffer` begins in the middle of the body.
    pub(super) partial: bool,
    /// The frames of the whole body as sent.
    pub(super) carried: Option<Carried>,
    marks: Marks,
    coding: Coding,
    judged: bool,
    /// Whether something came since it was last looked at while under way.
    unseen: bool,
    /// What was told while it was under way.
    #[expect(clippy::box_collection, reason = "hardly any body has it")]
    told: Option<Box<HashSet<FindingId>>>,
    window: usize,
    /// Bytes that it will have, as its head says.
    expected: usize,
}

enum Coding {
    /// Nothing seen yet.
    Unknown,
    /// As it is.
    Plain,
    /// Content coding to be undone.
    Encoded(Box<Encoded>),
    /// Not looked into.
    Skipped,
}

/// A body as sent, where that is not what it says.
struct Encoded {
    inflater: Inflater,
    /// What is still to be decoded begins at `done`.
    held: Vec<u8>,
    done: usize,
}

/// Why the rest of a body is not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Images, archives and the like.
    Opaque,
    /// A content coding that nobody here knows.
    UnknownCoding,
    /// Its compressed form breaks off or is wrong.
    Corrupt,
    /// It unpacks to more than the limit.
    Bomb,
}

impl From<Stop> for Skip {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Corrupt => Self::Corrupt,
            Stop::Bomb => Self::Bomb,
        }
    }
}

/// Whether a body begins like text, whatever its head says of its coding.
fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.get(..SNIFF).unwrap_or(bytes);
    start.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e))
}

impl Body {
    pub(super) fn new(surface: Surface, exchange: u32, media: Media) -> Self {
        Self {
            surface,
            exchange,
            media,
            buffer: Vec::new(),
            partial: false,
            carried: None,
            marks: Marks::default(),
            coding: Coding::Unknown,
            judged: false,
            unseen: false,
            told: None,
            window: PIECE,
            expected: 0,
        }
    }

    /// Its head says that it has so many bytes.
    pub(super) fn expecting(self, bytes: usize) -> Self {
        Self { expected: bytes, ..self }
    }

    /// Whether it is looked at piece by piece, nothing having been seen so far.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.window == PIECE
    }

    /// Where in `text` the next piece begins: what is of interest (`hits`, in order) and may go on behind the end belongs to it.
    /// And whether there is such.
    pub(super) fn next_piece(text: &[u8], hits: &[Range<usize>]) -> (usize, bool) {
        let late = text.len().saturating_sub(LATE);
        let open = hits.iter().find(|hit| hit.end > late).map(|hit| hit.start.saturating_sub(BEFORE));
        (text.len().saturating_sub(CLEAN_OVERLAP).min(open.unwrap_or(usize::MAX)), open.is_some())
    }

    /// The first bytes go; what stands for them comes in their place. Not done where too few would go.
    pub(super) fn cut(&mut self, outline: Outline) -> bool {
        if outline.until < outline.text.len() + PIECE / 4 {
            return false;
        }
        self.marks.discard(outline.until);
        self.marks.shift(outline.text.len());
        self.buffer.splice(..outline.until, outline.text);
        self.partial |= outline.partial;
        true
    }

    /// Something was seen: from here on it is kept whole.
    pub(super) fn keep_whole(&mut self) {
        self.window = WINDOW;
    }

    /// Bytes of no message: looked at in small windows.
    pub(super) fn text(surface: Surface) -> Self {
        Self {
            window: 64 << 10,
            coding: Coding::Plain,
            judged: true,
            ..Self::new(surface, 0, Media::default())
        }
    }

    /// Takes the next bytes as sent.
    pub(super) fn push(&mut self, bytes: &[u8], carrier: Carrier) -> Result<(), Skip> {
        let by = Carried::by(carrier);
        self.carried = Some(self.carried.map_or(by, |carried| carried.and(by)));
        if matches!(self.coding, Coding::Unknown) {
            self.coding = match Inflater::new(&self.media.encodings) {
                _ if self.media.encodings.is_empty() => Coding::Plain,
                Some(inflater) => Coding::Encoded(Box::new(Encoded { inflater, held: Vec::new(), done: 0 })),
                None if is_text(bytes) => {
                    // Counted all the same: more than this may hide in it.
                    self.coding = Coding::Plain;
                    self.marks.push(0, carrier);
                    self.buffer.extend_from_slice(bytes);
                    return Err(Skip::UnknownCoding);
                }
                None => return self.skip(Skip::UnknownCoding),
            };
        }
        let before = self.buffer.len();
        self.unseen = true;
        match &mut self.coding {
            Coding::Skipped | Coding::Unknown => return Ok(()),
            Coding::Plain => {
                self.marks.push(before, carrier);
                if before == 0 {
                    // Heads may lie: no more than the first piece needs.
                    self.buffer.reserve_exact(self.expected.min(PIECE + bytes.len()).max(bytes.len()));
                }
                self.buffer.extend_from_slice(bytes);
            }
            Coding::Encoded(encoded) => {
                if encoded.held.is_empty() {
                    encoded.held.reserve_exact(self.expected.min(HELD + bytes.len()).max(bytes.len()));
                }
                encoded.held.extend_from_slice(bytes);
                return Ok(());
            }
        }
        self.judge_when_due()
    }

    /// Decodes some of what is held back: of a part only what is too much to be held. Whether there is more to decode.
    pub(super) fn decode(&mut self, all: bool) -> Result<bool, Skip> {
        let Coding::Encoded(encoded) = &mut self.coding else { return Ok(false) };
        if encoded.held.is_empty() || !all && encoded.done == 0 && encoded.held.len() < HELD {
            return Ok(false);
        }
        let rest = encoded.held.get(encoded.done..).unwrap_or_default();
        let bite = rest.get(..BITE).unwrap_or(rest);
        encoded.done += bite.len();
        let result = encoded.inflater.push(bite, &mut self.buffer);
        let is_more = encoded.done < encoded.held.len();
        if !is_more {
            encoded.held.clear();
            encoded.done = 0;
        }
        if let Err(stop) = result {
            return self.skip(Skip::from(stop)).map(|()| false);
        }
        self.judge_when_due().map(|()| is_more)
    }

    fn judge_when_due(&mut self) -> Result<(), Skip> {
        if !self.judged && self.buffer.len() >= SNIFF { self.judge() } else { Ok(()) }
    }

    /// Whether a body is to be looked into is judged once, by its first bytes.
    fn judge(&mut self) -> Result<(), Skip> {
        self.judged = true;
        let first = self.buffer.get(..SNIFF).unwrap_or(&self.buffer);
        if !first.is_empty() && content::is_opaque(&self.media, first) {
            self.buffer = Vec::new();
            return self.skip(Skip::Opaque);
        }
        Ok(())
    }

    /// Nothing more comes and all is decoded, but for what the decoder still holds.
    pub(super) fn finish(&mut self) -> Result<(), Skip> {
        if let Coding::Encoded(encoded) = &mut self.coding {
            let finished = encoded.inflater.finish(&mut self.buffer);
            finished.or_else(|stop| self.skip(Skip::from(stop)))?;
        }
        if self.judged { Ok(()) } else { self.judge() }
    }

    /// What is decoded so far stays to be looked at; nothing is added any more.
    fn skip(&mut self, why: Skip) -> Result<(), Skip> {
        self.coding = Coding::Skipped;
        Err(why)
    }

    /// Bytes are missing here: what is compressed and comes behind cannot be read on. All that came before has to be decoded.
    pub(super) fn gap(&mut self) -> bool {
        if matches!(self.coding, Coding::Encoded(_))
            || matches!(self.coding, Coding::Unknown) && !self.media.encodings.is_empty()
        {
            self.coding = Coding::Skipped;
            return false;
        }
        // No value is put together from both sides of a hole.
        self.buffer.push(b'\n');
        true
    }

    pub(super) fn is_window_full(&self) -> bool {
        self.buffer.len() >= self.window
    }

    /// The window was looked at: it goes, but for its end.
    pub(super) fn slide(&mut self) {
        let gone = self.buffer.len().saturating_sub(OVERLAP.min(self.window / 4));
        self.buffer.drain(..gone);
        self.marks.discard(gone);
        self.partial = true;
    }

    /// Whether something came since it was last looked at while under way.
    pub(super) fn is_unseen(&self) -> bool {
        self.unseen
    }

    /// It was looked at.
    pub(super) fn seen(&mut self) {
        self.unseen = false;
    }

    /// Whether a finding was not told yet; it is told now, while the body is under way.
    pub(super) fn tells(&mut self, id: FindingId) -> bool {
        let told = self.told.get_or_insert_default();
        told.len() >= TOLD || told.insert(id)
    }

    /// Whether a finding was told while the body was under way.
    pub(super) fn has_told(&self, id: FindingId) -> bool {
        self.told.as_ref().is_some_and(|told| told.contains(&id))
    }

    /// About how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        let coded = match &self.coding {
            Coding::Encoded(encoded) => encoded.inflater.held() + encoded.held.capacity(),
            _ => 0,
        };
        self.buffer.capacity() + coded
    }

    /// What was looked at goes whole, to make room.
    pub(super) fn forget(&mut self) {
        self.partial |= !self.buffer.is_empty();
        self.buffer = Vec::new();
        self.marks = Marks::default();
    }

    /// Its decoder goes, to make room. Whether there was one.
    pub(super) fn give_up(&mut self) -> bool {
        let is_encoded = matches!(self.coding, Coding::Encoded(_));
        if is_encoded {
            self.coding = Coding::Skipped;
        }
        is_encoded
    }

    /// The frames that carry a range of `buffer`; of an encoded body all its frames.
    pub(super) fn frames(&self, range: Range<usize>) -> Option<Carried> {
        self.marks.carried(range).or(self.carried)
    }
}
