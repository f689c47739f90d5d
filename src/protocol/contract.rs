//! What a stream parser is: ordered bytes in, message parts out.

use crate::model::http::{Header, RequestHead, ResponseHead};
use crate::model::{Direction, Field};

/// A parser of one protocol on one flow.
///
/// It owns no buffer: it says how many bytes it is done with; the engine keeps the rest, up to a limit, and shows
/// it again with what came behind. It never fails: what it cannot read goes to [`Output::text`].
pub trait Parser: Send {
    /// `bytes` come next in `direction`: what was not consumed before, and more behind it.
    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut dyn Output) -> Progress;

    /// `missing` bytes are lost behind `rest`, the bytes not consumed so far. `rest` is not shown again.
    fn gap(&mut self, direction: Direction, rest: &[u8], missing: u64, out: &mut dyn Output);

    /// Nothing more comes in `direction`; `rest` is what was not consumed. Unfinished heads and bodies are told.
    fn end(&mut self, direction: Direction, rest: &[u8], out: &mut dyn Output);

    /// Whether it knows nothing yet that a new one would not see in the bytes not consumed.
    fn is_fresh(&self) -> bool {
        false
    }
}

/// What became of the bytes shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many are done with; fewer than shown means: more is needed to go on.
    Consumed(usize),
    /// So many are done with; what follows, in both directions, is another conversation.
    Switch {
        /// Bytes done with.
        consumed: usize,
        /// The protocol agreed upon, lower case (`websocket`, `h2c` …); `None`: to be recognised anew (CONNECT).
        to: Option<&'static str>,
    },
    /// Nothing that follows on this flow is of interest.
    Stop,
}

/// Who takes what a parser finds. Slices lie in the bytes shown (or in the parser's own scratch).
pub trait Output {
    /// The head of the request of exchange `exchange` (1-based in the flow).
    fn request(&mut self, exchange: u32, head: &RequestHead<'_>);
    /// The head of the response of exchange `exchange`; informational ones (1xx) too.
    fn response(&mut self, exchange: u32, head: &ResponseHead<'_>);
    /// Bytes of the body of the message that was begun last in `direction`, transfer coding removed.
    fn body(&mut self, direction: Direction, bytes: &[u8]);
    /// So many bytes of that body are lost.
    fn body_gap(&mut self, direction: Direction, missing: u64);
    /// Trailer fields of that message.
    fn trailers(&mut self, direction: Direction, trailers: &[Header<'_>]);
    /// That message is over; `complete` is false where its end was not seen.
    fn end(&mut self, direction: Direction, complete: bool);
    /// A value of a protocol without heads and bodies. `span` counts from the first byte shown.
    fn field(&mut self, direction: Direction, field: Field<'_>);
    /// Bytes that belong to no message.
    fn text(&mut self, direction: Direction, bytes: &[u8]);
    /// A limit of the parser was reached: which (`head-limit`, `field-limit` …), and how many bytes were not looked into as
    /// the protocol asks, as far as is known. By default this is of no interest.
    fn lost(&mut self, _direction: Direction, _reason: &'static str, _bytes: u64) {}
    /// A fault of protocol that is itself worth telling: the id of a rule with the check `signal`, and what was seen.
    fn signal(&mut self, direction: Direction, rule: &'static str, evidence: &[u8]);
}

/// What a probe makes of the first bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Mine; and who sent them, where the bytes tell.
    Yes(Option<Direction>),
    /// Not mine.
    No,
    /// Too few bytes to say.
    More,
}

/// One line of the list of protocols.
pub struct Protocol {
    /// Lower-case name: `http`, `tls`, `ssh` …
    pub name: &'static str,
    /// Looks at the first bytes of a stream, or of a segment in mid-stream.
    pub probe: fn(&[u8]) -> Probe,
    /// Makes a parser; `None` where the protocol is known but not inspected.
    pub parser: Option<fn() -> Box<dyn Parser>>,
    /// Why it is not inspected: `encrypted`, `not-supported`; empty where it is.
    pub not_inspected: &'static str,
}
