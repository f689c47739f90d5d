//! What both file formats share: byte order, records, faults.

use super::unpack::ReadError;
use crate::model::{LinkType, Timestamp};

/// The longest record that is believed, in bytes. Capture tools write at most 262,144.
pub(super) const LONGEST: u32 = 16 * 1024 * 1024;

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}

/// One captured frame, its bytes by their place in the window. It is written in place for each frame and its fields
/// read one by one: moved as a whole, its fresh bytes would stall the processor.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) link: LinkType,
    pub(super) start: usize,
    pub(super) length: u32,
    pub(super) original_len: u32,
}

impl Record {
    /// No frame yet.
    pub(super) fn none() -> Self {
        Self { time: Timestamp::default(), link: LinkType::NULL, start: 0, length: 0, original_len: 0 }
    }
}

/// Why no record comes.
#[derive(Debug)]
pub(super) enum Fault {
    /// The input cannot be read on.
    Read(ReadError),
    /// The format is broken at `offset` of the (uncompressed) input.
    Damaged {
        /// Where the broken record begins.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// A fault at `offset`.
#[cold]
pub(super) fn damaged(offset: u64, what: impl Into<String>) -> Fault {
    Fault::Damaged { offset, what: what.into() }
}
