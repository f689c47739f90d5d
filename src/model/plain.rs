//! What a source gives that needs no reassembly: ordered clear text of a connection that the wire carries encrypted.

use super::{Endpoint, FlowKey, Side, Timestamp, Transport};

/// The next of one side of a connection, borrowed from its source until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// 1-based number in its capture, as frames have one.
    pub number: u64,
    /// When it was taken.
    pub time: Timestamp,
    /// The connection, by a number that its source gives no other.
    pub connection: u64,
    /// The end of the process it was taken from; where its address is not known, [`Endpoint::of_process`].
    pub local: Endpoint,
    /// The end it talks to; where its address is not known, [`Endpoint::of_process`] of 0.
    pub remote: Endpoint,
    /// The process that it was taken from.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its name.
    pub name: &'a str,
    /// Whether the process sent it; else it received it.
    pub sent: bool,
    /// What comes next.
    pub what: Clear<'a>,
}

/// What comes next of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// So many bytes that nobody saw.
    Missing(u64),
    /// Nothing more, of both sides.
    End,
}

impl Plain<'_> {
    /// The flow, and which of its sides the process is.
    #[must_use]
    pub fn key(&self) -> (FlowKey, Side) {
        FlowKey::new(self.local, self.remote, Transport::Tcp)
    }
}
