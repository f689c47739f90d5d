//! What the kernel tells of a connection, and how it stands with the programs that have it told.

use crate::model::Endpoint;

/// One end of a connection, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    /// Of who listens: who takes the connection is not known yet.
    pub(super) listens: bool,
    pub(super) pid: u32,
    pub(super) uid: u32,
    /// The network namespace, by inode.
    pub(super) namespace: u32,
    /// The name of the process when it was noted.
    pub(super) name: String,
}

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What is lost without it.
    pub costs: &'static str,
    /// Why the kernel refused it.
    pub refused: Option<String>,
}
