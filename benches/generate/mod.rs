//! Captures for measuring: deterministic, seeded, with the truth of what leaks in them.

mod hostile;
mod message;
mod mix;
mod text;
pub(crate) mod truth;
mod wire;
mod workload;

use std::io::{self, Write};

use truth::Truth;
/// A kind of capture, and what is aimed at.
pub(crate) struct Workload {
    /// `bulk`, `small` …
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// Bytes at full size.
    pub(crate) full: usize,
    /// Processor time in that of tcpdump, at most.
    pub(crate) goal: f64,
    /// Bytes resident at most, by the bytes of the capture.
    pub(crate) limit: fn(u64) -> u64,
    /// Writes about so many bytes by that seed and gives the truth.
    pub(crate) write: fn(u64, usize, &mut dyn Write) -> io::Result<Vec<Truth>>,
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "bulk",
        about: "2,000 keep-alive flows, answers of 10-200 kB, some gzip, some chunked, one leak a MB",
        full: 2_000 * workload::BULK_FLOW,
        goal: 2.7,
        limit: |_| 100_000_000,
        write: workload::bulk,
    },
    Workload {
        name: "small",
        about: "500,000 flows of one request and one answer, a leak in 1 of 100",
        full: 500_000 * workload::SMALL_FLOW,
        goal: 4.0,
        limit: |_| 200_000_000,
        write: workload::small,
    },
    Workload {
        name: "hostile",
        about: "200,000 flows at once, 5 % out of order, 2 % sent again, 1 % lost, overlaps",
        full: 200_000 * hostile::FLOW,
        goal: 5.0,
        limit: |_| 500_000_000,
        write: hostile::hostile,
    },
    Workload {
        name: "noise",
        about: "10 % HTTP among TLS, SSH, UDP and DNS",
        full: 1_100_000_000,
        goal: 1.8,
        limit: |_| 100_000_000,
        write: workload::noise,
    },
    Workload {
        name: "open",
        about: "1,000,000 flows that stay open with half a request",
        full: 1_000_000 * workload::OPEN_FLOW,
        goal: 5.5,
        limit: |bytes| bytes / workload::OPEN_FLOW as u64 * (400 + workload::OPEN_PAYLOAD),
        write: workload::open,
    },
];

/// A capture without a frame.
pub(crate) fn empty() -> Vec<u8> {
    // Writing into memory does not fail.
    wire::Wire::new(Vec::new()).and_then(wire::Wire::finish).unwrap_or_default()
}

/// A small deterministic generator of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// The same seed gives the same numbers.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in `times` on average.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`.
    pub(crate) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// `length` letters and digits.
    pub(crate) fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(ALPHABET[self.below(ALPHABET.len())])).collect()
    }

    /// `length` bytes of no meaning behind `out`.
    pub(crate) fn fill(&mut self, length: usize, out: &mut Vec<u8>) {
        let end = out.len() + length;
        while out.len() < end {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(end);
    }
}
