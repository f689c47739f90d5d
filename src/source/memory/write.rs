//! Frames in memory written as capture files.

use super::Kept;
use crate::model::LinkType;

/// A capture file of `frames`: pcap with nanoseconds where all are of one link type, pcapng otherwise. Little endian.
/// Times outside of what the format tells are moved to its ends.
#[must_use]
pub fn capture(frames: &[Kept]) -> Vec<u8> {
    let link = frames.first().map_or(LinkType::ETHERNET, |frame| frame.link);
    if frames.iter().all(|frame| frame.link == link) { pcap(link, frames) } else { pcapng(frames) }
}

fn pcap(link: LinkType, frames: &[Kept]) -> Vec<u8> {
    let mut file = words(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link.0]);
    for frame in frames {
        let nanos = frame.time.as_nanos().clamp(0, i64::from(u32::MAX) * 1_000_000_000 + 999_999_999);
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        file.extend(words(&[seconds as u32, fraction as u32, length(frame), frame.original_len]));
        file.extend(&frame.bytes);
    }
    file
}

/// A pcapng file of `frames`, one interface for each link type, nanoseconds. Little endian.
#[must_use]
pub fn pcapng(frames: &[Kept]) -> Vec<u8> {
    let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
    let mut links: Vec<LinkType> = Vec::new();
    for frame in frames {
        let interface = links.iter().position(|link| *link == frame.link).unwrap_or_else(|| {
            links.push(frame.link);
            // Option 9: 10 to the minus 9 of a second; then the end of the options.
            file.extend(words(&[1, 32, frame.link.0, 0, 0x0001_0009, 9, 0, 32]));
            links.len() - 1
        });
        let nanos = u64::try_from(frame.time.as_nanos()).unwrap_or(0);
        let padding = frame.bytes.len().next_multiple_of(4) - frame.bytes.len();
        let total = (32 + frame.bytes.len() + padding) as u32;
        file.extend(words(&[6, total, interface as u32, (nanos >> 32) as u32, nanos as u32]));
        file.extend(words(&[length(frame), frame.original_len]));
        file.extend(&frame.bytes);
        file.extend(std::iter::repeat_n(0, padding));
        file.extend(words(&[total]));
    }
    file
}

fn length(frame: &Kept) -> u32 {
    u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
