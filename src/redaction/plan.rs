//! What is masked: where the values stand; where they cannot be seen, more and more of what is around them.

use std::collections::HashMap;
use std::ops::Range;

use super::credentials::Credentials;
use super::layout;
use super::locate::{View, locate};
use super::streams::Stream;
use super::{Long, Target};
use crate::model::FlowKey;

/// Header fields by which messages are cut and shown: they stay whatever is masked.
const FRAMING: [&str; 14] = [
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "content-type",
    "connection",
    "keep-alive",
    "upgrade",
    "host",
    "date",
    "accept-encoding",
    "trailer",
    "te",
    "vary",
    "sec-websocket-version",
];

/// How much of a flow is masked, the more the higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The values, where they stand.
    #[default]
    Values,
    /// And the compressed bodies in which one was found.
    Coded,
    /// And all bodies, targets and header values in which one was found.
    Messages,
    /// And every byte of the frames that carry one.
    Frames,
    /// And every byte of the flow.
    Flow,
}

impl Level {
    /// The next one; none above the last.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Values => Some(Self::Coded),
            Self::Coded => Some(Self::Messages),
            Self::Messages => Some(Self::Frames),
            Self::Frames => Some(Self::Flow),
            Self::Flow => None,
        }
    }
}

/// The masked parts of each stream, in order, by offsets in it.
pub(super) fn plan(
    streams: &[Stream],
    targets: &[Target],
    levels: &HashMap<FlowKey, Level>,
    all: Option<&Credentials>,
    long: &Long,
) -> Vec<Vec<Range<i64>>> {
    streams
        .iter()
        .map(|stream| {
            let own: Vec<&Target> = targets.iter().filter(|target| target.key == stream.key).collect();
            let mut masks = Vec::new();
            for (start, run) in &stream.runs {
                let mut found = Vec::new();
                values(run, &own, &mut found);
                found.extend(long.find(run));
                let level = levels.get(&stream.key).copied().unwrap_or_default();
                if !own.is_empty() {
                    around(stream, *start, run, &own, level, &mut found);
                }
                if let Some(credentials) = all {
                    found.extend(credentials.find(run));
                }
                masks
                    .extend(found.into_iter().map(|part| start + part.start as i64..start + part.end as i64));
            }
            merged(masks)
        })
        .collect()
}

/// Where values stand.
fn values(run: &[u8], own: &[&Target], found: &mut Vec<Range<usize>>) {
    let whole = View::of(run, std::slice::from_ref(&(0..run.len())));
    let mut known: Vec<&[u8]> = own.iter().filter_map(|target| target.bytes()).collect();
    known.sort_unstable();
    known.dedup();
    if !known.is_empty() {
        // A value may be cut by the lines between chunks.
        let bodies: Vec<Range<usize>> =
            layout::messages(run).into_iter().flat_map(|message| message.body).collect();
        let bodies = (bodies.len() > 1).then(|| View::of(run, &bodies));
        for value in &known {
            found.extend(locate(&whole, value));
            for part in bodies.iter().flat_map(|bodies| locate(bodies, value)) {
                found.extend(without_lines(run, part));
            }
        }
    }
}

/// The part without the chunk lines within: they are kept.
fn without_lines(run: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
    let pieces = layout::messages(run).into_iter().flat_map(|message| message.body);
    pieces
        .map(|piece| piece.start.max(part.start)..piece.end.min(part.end))
        .filter(|piece| piece.start < piece.end)
        .collect()
}

/// What is around what was found, as far as `level` says.
fn around(
    stream: &Stream,
    start: i64,
    run: &[u8],
    own: &[&Target],
    level: Level,
    found: &mut Vec<Range<usize>>,
) {
    if level == Level::Flow {
        found.push(0..run.len());
        return;
    }
    if level == Level::Values {
        return;
    }
    let carried: Vec<Range<usize>> = own
        .iter()
        .flat_map(|target| stream.of_frames(target.frames))
        .filter_map(|range| {
            let from = usize::try_from(range.start - start).unwrap_or(0);
            let until = usize::try_from(range.end - start).ok()?.min(run.len());
            (from < until).then_some(from..until)
        })
        .collect();
    let is_carried =
        |part: &Range<usize>| carried.iter().any(|other| part.start < other.end && other.start < part.end);
    if level == Level::Frames {
        found.extend(carried.iter().cloned());
    }
    for message in layout::messages(run) {
        let extent = message.head.start..message.body.last().map_or(message.head.end, |last| last.end);
        if !is_carried(&extent) {
            continue;
        }
        if message.is_coded || level >= Level::Messages {
            found.extend(message.body.iter().cloned());
        }
        if level >= Level::Messages {
            head(run, message.head, found);
        }
    }
}

/// The target and the values of a head, but for what cuts messages.
fn head(run: &[u8], head: Range<usize>, found: &mut Vec<Range<usize>>) {
    let bytes = run.get(head.clone()).unwrap_or_default();
    if !bytes.starts_with(b"HTTP/") {
        let spaces: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at).take(2).collect();
        if let [from, until] = spaces.as_slice() {
            // Slashes stay, so that it is a path still.
            for at in *from + 1..*until {
                if bytes.get(at).is_some_and(|byte| !b"/?&=".contains(byte)) {
                    found.push(head.start + at..head.start + at + 1);
                }
            }
        }
    }
    for field in layout::fields(run, head) {
        let name = run.get(field.name).unwrap_or_default().to_ascii_lowercase();
        if !FRAMING.iter().any(|framing| framing.as_bytes() == name) {
            found.push(field.value);
        }
    }
}

fn merged(mut parts: Vec<Range<i64>>) -> Vec<Range<i64>> {
    parts.retain(|part| part.start < part.end);
    parts.sort_unstable_by_key(|part| part.start);
    let mut merged: Vec<Range<i64>> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => merged.push(part),
        }
    }
    merged
}
