//! How a run goes, for faces in the process: what came, what waits, what was lost, which flows there are.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Timestamp;
use super::event::Flow;

/// The state of a run at one moment; counts are those since its start.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// Time of the newest frame.
    pub time: Timestamp,
    /// Frames read.
    pub frames: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Frames dropped, by cause: `kernel-drop`, `interface-drop`, `queue-drop`.
    pub drops: BTreeMap<String, u64>,
    /// Of each worker: batches that wait, and for how many there is room.
    pub queues: Vec<(usize, usize)>,
    /// How far what is looked at is behind the clock: live only.
    pub behind: Option<Duration>,
    /// Flows at present.
    pub open: u64,
    /// Flows since the start.
    pub flows: u64,
    /// Bytes that bodies, heads and early segments hold.
    pub held: u64,
    /// Messages by protocol.
    pub messages: BTreeMap<String, u64>,
    /// Finished flows by protocol.
    pub protocols: BTreeMap<String, u64>,
    /// What was not looked into, by reason.
    pub not_inspected: BTreeMap<String, u64>,
    /// Holes in streams, and the bytes missing there.
    pub gaps: (u64, u64),
    /// Frames that are not what their headers say.
    pub malformed: u64,
    /// The flows heard of last, up to a limit.
    pub live: Vec<LiveFlow>,
    /// Of files: bytes read, and of how many where that is known.
    pub position: Option<(u64, Option<u64>)>,
    /// Bytes of memory this process has, where the system tells.
    pub memory: Option<u64>,
}

/// A flow as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFlow {
    /// Who talks to whom.
    pub flow: Flow,
    /// Bytes of frames from the client.
    pub to_server: u64,
    /// Bytes of frames from the server.
    pub to_client: u64,
    /// Frames of both.
    pub frames: u64,
    /// When it was first heard of.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// Whether it is open still.
    pub is_open: bool,
}
