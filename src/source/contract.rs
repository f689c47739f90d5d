//! What every source of frames gives.

use std::path::PathBuf;

use crate::model::{Frame, LinkType, Plain};

/// A place frames come from. Pull: the caller asks for the next one.
pub trait Source {
    /// The next thing; frames are borrowed until the next call.
    ///
    /// # Errors
    /// What is wrong with the input from here on. Everything before it has been given; after an error comes
    /// [`Next::End`].
    fn next(&mut self) -> Result<Next<'_>, SourceError>;

    /// Bytes of the input read so far (of a compressed one: compressed), for progress.
    fn position(&self) -> u64;
}

/// What a source has next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Ordered clear text of a connection, which needs no reassembly.
    Plain(Plain<'a>),
    /// Nothing now, but there may be more: only of what is live.
    Idle,
    /// Nothing more will come.
    End,
}

/// What is wrong with an input: what was being read, where, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The input.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The input is no capture.
    #[error(
        "{path} is no capture file: it begins with {start} (pcap and pcapng are read, also as .gz and .zst)"
    )]
    NotACapture {
        /// The input.
        path: PathBuf,
        /// Its first bytes, in hexadecimal.
        start: String,
    },
    /// The input breaks off or breaks its own format.
    #[error("{path} is damaged at byte {offset}: {what}; everything before it was read")]
    Damaged {
        /// The input.
        path: PathBuf,
        /// Bytes from the start of the (uncompressed) capture.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// An interface cannot be captured on.
    #[error("cannot capture on {interface}: {reason}")]
    Live {
        /// The interface.
        interface: String,
        /// Why.
        reason: String,
    },
    /// The system lets this process capture nothing.
    #[error("no right to capture on {interface}: {help}")]
    Rights {
        /// The interface.
        interface: String,
        /// What is missing, and the one command that helps.
        help: String,
    },
    /// A filter is wrong, or cannot be used on this link type or build.
    #[error("cannot use the filter {filter:?}: {reason}")]
    Filter {
        /// The expression.
        filter: String,
        /// Why.
        reason: String,
        /// The link type it was compiled for, where that matters.
        link: Option<LinkType>,
    },
}
