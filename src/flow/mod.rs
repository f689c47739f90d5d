//! Segments to ordered bytes: TCP reassembly and the table of flows.
//!
//! **Architecture Invariant:** nothing here knows client from server, or a protocol; capture time is an argument.

mod connection;
mod reassembly;
mod sequence;
mod table;
mod timer;

pub use table::{Stats, Table};

use std::time::Duration;

use crate::model::{FlowKey, Side, Timestamp};

/// What an ordered stream brings next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes in order. Those that came in order are borrowed from their frame; only early ones were kept.
    Data {
        /// The bytes.
        bytes: &'a [u8],
        /// The frame that carried them.
        frame: u64,
        /// When it was captured.
        time: Timestamp,
    },
    /// So many bytes will never be seen; the stream goes on behind them.
    Gap(u64),
    /// The stream is over.
    End,
}

/// The frame at hand.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Its number.
    pub frame: u64,
    /// Its capture time.
    pub time: Timestamp,
}

/// Who takes ordered bytes. The table keeps one `State` for each flow on its behalf.
pub trait Receiver {
    /// What is kept for each flow.
    type State;

    /// A flow begins. `initiator` is who sent the SYN, where one was seen.
    fn open(&mut self, key: &FlowKey, initiator: Option<Side>, now: Now) -> Self::State;

    /// The handshake was seen after the flow began.
    fn initiator(&mut self, key: &FlowKey, state: &mut Self::State, initiator: Side);

    /// `sender` sent this next.
    fn piece(
        &mut self,
        key: &FlowKey,
        state: &mut Self::State,
        sender: Side,
        piece: Piece<'_>,
        now: Now,
    ) -> Interest;

    /// A datagram of `sender`; `cut` bytes of it were not captured.
    fn datagram(
        &mut self,
        key: &FlowKey,
        state: &mut Self::State,
        sender: Side,
        bytes: &[u8],
        cut: u32,
        now: Now,
    );

    /// Something could not be seen; told when the flow closes at the latest.
    fn lost(&mut self, key: &FlowKey, state: &mut Self::State, sender: Side, loss: Loss, now: Now);

    /// The flow is over or given up; both directions have had their [`Piece::End`].
    fn close(&mut self, key: &FlowKey, state: Self::State, why: Close, now: Now);
}

/// Whether a receiver wants more of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Go on.
    More,
    /// Nothing more of this flow: its buffers are freed, its segments cost a look-up each.
    Nothing,
}

/// What could not be seen of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How many bytes.
    pub bytes: u64,
    /// The frame at which it was noticed.
    pub frame: u64,
}

/// Why bytes were not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// Missing from the capture.
    Gap,
    /// Cut off by the capture's snapshot length.
    Truncated,
    /// Retransmitted with other bytes: the first received were used.
    ConflictingRetransmission,
    /// Given up because too many early bytes waited.
    BufferLimit,
    /// Behind the end of the stream or far before what comes next: not of this connection, or its end or beginning were
    /// forged.
    OutOfWindow,
}

/// Why a flow closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// FIN in both directions, or RST.
    Ended,
    /// Silent for longer than the limit.
    Idle,
    /// The oldest, closed to make room.
    Evicted,
    /// A new connection took the same ports.
    Reused,
    /// The capture is over.
    Finished,
}

/// Limits of one table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows at once; the one silent for longest is closed to make room.
    pub flows: usize,
    /// Early bytes kept for each direction.
    pub early_per_direction: usize,
    /// Early bytes kept in all.
    pub early_total: usize,
    /// Silence after which a flow is closed, by capture time.
    pub idle: Duration,
    /// How long a hole is waited for, by capture time.
    pub hole: Duration,
}

#[cfg(test)]
mod tests;
