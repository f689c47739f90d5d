//! Captures written here in every format and byte order, whole, cut, spoiled and compressed, read back.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::record::Order;
use super::*;
use crate::model::{LinkType, Timestamp};
use crate::source::memory::{Kept, keep};

/// A frame as it is to come back; `original` beyond its bytes means cut by the snapshot length.
fn frame(nanos: i64, link: u32, length: usize, original: u32) -> Kept {
    let bytes = (0..length).map(|at| (at * 7 + length) as u8).collect();
    Kept { time: Timestamp::from_nanos(nanos), link: LinkType(link), bytes, original_len: original }
}

/// Frames of one link type at whole microseconds.
fn frames() -> Vec<Kept> {
    let lengths = [60, 1514, 0, 1, 3, 262_144, 90, 65_535, 400_000, 54];
    (0_i64..)
        .zip(lengths)
        .map(|(at, length)| {
            frame(1_795_324_920_000_001_000 + at * 1_000, 1, length, length as u32 + at as u32)
        })
        .collect()
}

fn u16s(order: Order, value: u16) -> [u8; 2] {
    if order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn u32s(order: Order, value: u32) -> [u8; 4] {
    if order == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn pcap(order: Order, magic: u32, frames: &[Kept]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(u32s(order, magic));
    file.extend(u16s(order, 2));
    file.extend(u16s(order, 4));
    for field in [0, 0, 262_144, frames.first().map_or(1, |frame| frame.link.0)] {
        file.extend(u32s(order, field));
    }
    for frame in frames {
        file.extend(pcap_record(order, magic, frame));
    }
    file
}

fn pcap_record(order: Order, magic: u32, frame: &Kept) -> Vec<u8> {
    let nanos = frame.time.as_nanos();
    let unit = if magic == 0xa1b2_3c4d { 1 } else { 1_000 };
    let mut record = Vec::new();
    for field in [
        (nanos / 1_000_000_000) as u32,
        (nanos % 1_000_000_000 / unit) as u32,
        frame.bytes.len() as u32,
        frame.original_len,
    ] {
        record.extend(u32s(order, field));
    }
    if magic == 0xa1b2_cd34 {
        record.extend([0, 0, 0, 3, 8, 0, 0, 0]);
    }
    record.extend(&frame.bytes);
    record
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let total = u32s(order, (12 + body.len() + padding) as u32);
    [&u32s(order, kind)[..], &total, body, &[0; 3][..padding], &total].concat()
}

fn section(order: Order) -> Vec<u8> {
    let body = [&u32s(order, 0x1a2b_3c4d)[..], &u16s(order, 1), &u16s(order, 0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let padding = value.len().next_multiple_of(4) - value.len();
    [&u16s(order, code)[..], &u16s(order, value.len() as u16), value, &[0; 3][..padding]].concat()
}

fn interface(order: Order, link: u32, snaplen: u32, options: &[u8]) -> Vec<u8> {
    block(order, 1, &[&u16s(order, link as u16)[..], &[0, 0], &u32s(order, snaplen), options].concat())
}

fn nanoseconds(order: Order) -> Vec<u8> {
    [option(order, 2, b"lo"), option(order, 9, &[9]), option(order, 0, &[])].concat()
}

fn enhanced(order: Order, interface: u32, ticks: u64, frame: &Kept) -> Vec<u8> {
    let head = [interface, (ticks >> 32) as u32, ticks as u32, frame.bytes.len() as u32, frame.original_len];
    let head: Vec<u8> = head.into_iter().flat_map(|field| u32s(order, field)).collect();
    let padding = frame.bytes.len().next_multiple_of(4) - frame.bytes.len();
    // A flags option stands behind the packet.
    block(
        order,
        6,
        &[head, frame.bytes.clone(), vec![0; padding], option(order, 2, &[0; 4]), vec![0; 4]].concat(),
    )
}

fn pcapng(order: Order, frames: &[Kept]) -> Vec<u8> {
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &nanoseconds(order)));
    for frame in frames {
        file.extend(enhanced(order, 0, frame.time.as_nanos() as u64, frame));
    }
    file
}

/// Every format and byte order: a name, the file, and the bytes before the first record.
fn formats(frames: &[Kept]) -> Vec<(String, Vec<u8>, usize)> {
    [Order::Little, Order::Big]
        .into_iter()
        .flat_map(|order| {
            let name = |format: &str| format!("{format}, {order:?}");
            [
                (name("pcap"), pcap(order, 0xa1b2_c3d4, frames), 24),
                (name("pcap ns"), pcap(order, 0xa1b2_3c4d, frames), 24),
                (name("pcap modified"), pcap(order, 0xa1b2_cd34, frames), 24),
                (name("pcapng"), pcapng(order, frames), pcapng(order, &[]).len()),
            ]
        })
        .collect()
}

/// One byte a read.
struct Dribble<R>(R);

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(&mut out[..1])
    }
}

fn opened(bytes: impl Read + Send + 'static, filter: Option<&str>) -> Result<CaptureFile, SourceError> {
    from_reader(Path::new("in.pcap"), Box::new(bytes), filter)
}

/// All frames and the error, if any; behind an error stands the end.
fn read(bytes: impl Read + Send + 'static) -> (Vec<Kept>, Option<SourceError>) {
    let mut file = match opened(bytes, None) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let read = match keep(&mut file) {
        Ok(frames) => (frames, None),
        Err((frames, error)) => (frames, Some(error)),
    };
    assert!(matches!(file.next(), Ok(Next::End)), "behind the end");
    read
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_format_gives_the_same_frames_however_its_bytes_come() {
    let expected = frames();
    for (name, file, _) in formats(&expected) {
        let (a, b) = file.split_at(file.len() / 3);
        let ways: [(&str, Vec<u8>); 7] = [
            ("plain", file.clone()),
            ("gzip", gzip(&file)),
            ("two members", [gzip(a), gzip(b)].concat()),
            ("a member of nothing and padding", [gzip(&file), gzip(b""), vec![0; 300]].concat()),
            ("zstd", zstd(&file)),
            ("two frames", [zstd(a), zstd(b)].concat()),
            ("skippable", [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], &zstd(&file)[..]].concat()),
        ];
        for (way, bytes) in ways {
            let (found, error) = read(Cursor::new(bytes.clone()));
            assert!(error.is_none(), "{name} {way}: {error:?}");
            assert!(found == expected, "{name} {way}");
            let (found, error) = read(Dribble(Cursor::new(bytes)));
            assert!(error.is_none() && found == expected, "{name} {way}, byte by byte");
        }
    }
}

#[test]
fn numbers_count_from_one_and_the_position_reaches_the_end() {
    let bytes = gzip(&pcapng(Order::Little, &frames()));
    let size = bytes.len() as u64;
    let mut file = opened(Cursor::new(bytes), None).unwrap();
    let mut numbers = Vec::new();
    while let Next::Frame(frame) = file.next().unwrap() {
        numbers.push(frame.number);
    }
    assert_eq!(numbers, (1..=frames().len() as u64).collect::<Vec<_>>());
    assert_eq!(file.position(), size);
}

#[test]
fn a_file_cut_anywhere_gives_the_whole_records_and_says_where_it_broke() {
    let all = [frame(5_000, 1, 40, 40), frame(6_000, 1, 0, 0), frame(7_000, 1, 9, 70), frame(8_000, 1, 1, 1)];
    for (name, file, first) in formats(&all) {
        // Where records begin, from the lengths of files of fewer records.
        let starts: Vec<usize> = (0..=all.len())
            .map(|count| {
                let fewer = formats(&all[..count]);
                fewer.into_iter().find(|(other, ..)| *other == name).unwrap().1.len()
            })
            .collect();
        assert_eq!(starts[0], first, "{name}");
        for length in 0..=file.len() {
            let (found, error) = read(Cursor::new(file[..length].to_vec()));
            let whole = starts.iter().filter(|&&start| start <= length).count().saturating_sub(1);
            assert!(found == all[..whole], "{name} cut to {length}: {} frames", found.len());
            let at_boundary = starts.contains(&length) || (name.contains("ng") && length == 28);
            match error {
                None => assert!(at_boundary, "{name} cut to {length}"),
                Some(SourceError::NotACapture { .. }) => assert!(length < 4, "{name} cut to {length}"),
                Some(SourceError::Damaged { offset, what, .. }) => {
                    assert!(!at_boundary && length >= 4, "{name} cut to {length}: {what}");
                    let mut places = starts.clone();
                    places.extend(if name.contains("ng") { [0, 28] } else { [0, 0] });
                    let place = places.into_iter().filter(|&place| place < length).max().unwrap();
                    assert_eq!(offset, if length < first && !name.contains("ng") { 0 } else { place as u64 });
                    assert!(what.contains(" ends after "), "{what}");
                }
                Some(other) => panic!("{name} cut to {length}: {other}"),
            }
        }
    }
}

#[test]
fn what_is_no_capture_says_how_it_begins() {
    for (bytes, begins) in [
        (&b""[..], "begins with nothing: it is empty"),
        (b"\xa1", "begins with a1 ("),
        (b"MZ\x90\0\x03\0\0\0\x04", "begins with 4d 5a 90 00 03 00 00 00 ("),
        (b"hello", "begins with 68 65 6c 6c 6f ("),
    ] {
        for bytes in [bytes.to_vec(), gzip(bytes), zstd(bytes)] {
            let error = read(Cursor::new(bytes)).1.expect("an error");
            assert!(matches!(error, SourceError::NotACapture { .. }), "{error}");
            assert!(error.to_string().contains(begins), "{error}");
        }
    }
    assert!(matches!(open(Path::new("/nowhere/at/all.pcap"), None), Err(SourceError::Io { .. })));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path(), None), Err(SourceError::Io { .. })));
}

#[test]
fn a_clock_is_what_its_interface_says() {
    let seconds = 1_795_324_920_i64;
    let cases: [(Option<u8>, Option<i64>, u64, i64); 13] = [
        (None, None, 1_500_000, 1_500_000_000),
        (Some(6), None, 1_500_000, 1_500_000_000),
        (Some(9), None, 7, 7),
        (Some(0), None, seconds as u64, seconds * 1_000_000_000),
        (Some(3), Some(seconds), 250, seconds * 1_000_000_000 + 250_000_000),
        (Some(12), None, 7_999, 7),
        (Some(127), None, u64::MAX, 1),
        (Some(0x80), None, 3, 3_000_000_000),
        (Some(0x8a), None, 1_536, 1_500_000_000),
        (Some(0xff), None, u64::MAX, 0),
        (Some(6), Some(-2), 1_500_000, -500_000_000),
        (Some(0), None, u64::MAX, i64::MAX),
        (Some(6), Some(i64::MIN), 0, i64::MIN),
    ];
    for (resolution, offset, ticks, nanos) in cases {
        for order in [Order::Little, Order::Big] {
            let mut options = Vec::new();
            if let Some(resolution) = resolution {
                options.extend(option(order, 9, &[resolution]));
            }
            if let Some(offset) = offset {
                let bytes = if order == Order::Big { offset.to_be_bytes() } else { offset.to_le_bytes() };
                options.extend(option(order, 14, &bytes));
            }
            let packet = enhanced(order, 0, ticks, &frame(0, 1, 20, 20));
            let file = [section(order), interface(order, 1, 0, &options), packet].concat();
            let (found, error) = read(Cursor::new(file));
            assert!(error.is_none(), "{resolution:?} {offset:?}: {error:?}");
            assert_eq!(found[0].time.as_nanos(), nanos, "{resolution:?} {offset:?} {ticks}");
        }
    }
    // The last second that a pcap file can tell.
    let last = frame(i64::from(u32::MAX) * 1_000_000_000 + 999_999_999, 1, 4, 4);
    assert_eq!(read(Cursor::new(pcap(Order::Big, 0xa1b2_3c4d, std::slice::from_ref(&last)))).0, [last]);
}

#[test]
fn sections_interfaces_and_rarer_blocks() {
    let (le, be) = (Order::Little, Order::Big);
    let bytes = |length| frame(0, 1, length, length as u32).bytes;
    let simple = |order, original: u32, length| {
        block(order, 3, &[&u32s(order, original)[..], &bytes(length)].concat())
    };
    let obsolete = {
        let head = [&u16s(be, 1)[..], &u16s(be, 9)].concat();
        let head = [head, [0_u32, 42, 5, 6].into_iter().flat_map(|field| u32s(be, field)).collect()].concat();
        block(be, 2, &[head, bytes(5)].concat())
    };
    let mut unpadded = section(le);
    unpadded.extend(interface(le, 1, 0, b""));
    let file = [
        section(le),
        interface(le, 1, 10, &nanoseconds(le)),
        interface(le, 113, 0, b""),
        block(le, 5, &[0; 16]),
        enhanced(le, 1, 3, &frame(0, 1, 30, 30)),
        block(le, 0x0000_0bad, &vec![7; 3 << 20]),
        simple(le, 8, 8),
        simple(le, 900, 10),
        block(le, 0x8000_0001, b""),
        section(be),
        interface(be, 12, 0, b""),
        interface(be, 276, 0, b""),
        obsolete,
        simple(be, 7, 7),
        unpadded,
        enhanced(le, 0, 9, &frame(0, 1, 2, 1)),
    ]
    .concat();
    let expected = [
        frame(3_000, 113, 30, 30),
        frame(3_000, 1, 8, 8),
        frame(3_000, 1, 10, 900),
        frame(42_000, 276, 5, 6),
        frame(42_000, 12, 7, 7),
        // Longer than it says it was: never shorter on the wire than what was captured.
        frame(9_000, 1, 2, 2),
    ];
    for (found, error) in [read(Cursor::new(file.clone())), read(Dribble(Cursor::new(file)))] {
        assert!(error.is_none(), "{error:?}");
        assert_eq!(found, expected);
    }
    // A writer that forgot to round the block's length up, with the padding in place.
    let mut odd = [section(le), interface(le, 1, 0, b""), simple(le, 5, 5), simple(le, 6, 6)].concat();
    let at = 28 + 20;
    odd[at + 4] = 21;
    odd[at + 20] = 21;
    assert_eq!(read(Cursor::new(odd)).0.len(), 2);
}

#[test]
fn damage_is_told_with_its_place_and_costs_nothing_before_it() {
    let le = Order::Little;
    let good = frame(0, 1, 20, 20);
    let ng = |bad: Vec<u8>| [section(le), interface(le, 1, 0, b""), enhanced(le, 0, 0, &good), bad].concat();
    let ng_at = ng(Vec::new()).len();
    let classic = |bad: Vec<u8>| [pcap(le, 0xa1b2_c3d4, std::slice::from_ref(&good)), bad].concat();
    let record = |captured: u32| {
        let fields = [0, 0, captured, captured];
        fields.into_iter().flat_map(u32::to_le_bytes).chain([1; 40]).collect::<Vec<u8>>()
    };
    let edited = |mut block: Vec<u8>, at: usize, value: u32| {
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        block
    };
    let packet = || enhanced(le, 0, 0, &good);
    let cases: Vec<(Vec<u8>, usize, &str)> = vec![
        (classic(record(u32::MAX)), 60, "the record claims 4294967295 captured bytes"),
        (classic(record(16_777_217)), 60, "the record claims 16777217 captured bytes"),
        (classic(record(16_777_216)), 60, "the record ends after 56 of 16777232 bytes"),
        (ng(enhanced(le, 1, 0, &good)), ng_at, "of interface 1, which was not described"),
        (ng(edited(packet(), 20, 400)), ng_at, "claims 400 captured bytes, its block has 32"),
        (ng(edited(packet(), 20, u32::MAX)), ng_at, "claims 4294967295 captured bytes"),
        (ng(edited(packet(), 4, 8)), ng_at, "the block claims to be 8 bytes long"),
        (ng(edited(packet(), 4, 0xffff_fff0)), ng_at, "the block claims to be 4294967280 bytes long"),
        (ng(edited(packet(), 4, 60)), ng_at, "bytes long at its start and"),
        (ng(edited(block(le, 99, &[0; 8]), 16, 7)), ng_at, "20 bytes long at its start and 7 at its end"),
        (ng(edited(block(le, 99, &[0; 8]), 4, u32::MAX)), ng_at, "the block ends after 20 of 4294967296"),
        (ng(block(le, 6, &[0; 16])), ng_at, "the packet block is too short"),
        (ng(block(le, 3, &[])), ng_at, "the packet block is too short"),
        (ng(block(le, 1, &[0; 4])), ng_at, "the interface description is too short"),
        (ng(interface(le, 1, 0, &[9, 0, 0xff, 0])), ng_at, "an option of the interface is longer"),
        (ng(interface(le, 1, 0, &option(le, 9, &[6, 6]))), ng_at, "option 9 of the interface has 2 bytes"),
        (ng(edited(section(le), 8, 1)), ng_at, "no byte-order magic"),
        (ng(edited(section(le), 12, 9)), ng_at, "format version 9.0 is not known"),
        (ng([section(le), packet()].concat()), ng_at + 28, "of interface 0, which was not described"),
    ];
    for (file, at, message) in cases {
        match read(Cursor::new(file)) {
            (found, Some(SourceError::Damaged { offset, what, .. })) => {
                assert_eq!(found, std::slice::from_ref(&good), "{message}");
                assert!(what.contains(message), "{what}, not {message}");
                assert_eq!(offset, at as u64, "{message}");
            }
            other => panic!("{message}: {other:?}"),
        }
    }
    let error = opened(Cursor::new(edited(pcap(le, 0xa1b2_c3d4, &[]), 4, 7)), None).err().unwrap();
    assert!(error.to_string().contains("at byte 4: format version 7.0 is not known"), "{error}");
}

#[test]
fn a_broken_compression_gives_what_it_can() {
    // Random enough that the compressed file is of the size of the plain one.
    let noise = |seed: u64| {
        let mut state = seed;
        let mut noisy = frame(0, 1, 1_000, 1_000);
        for byte in &mut noisy.bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        noisy
    };
    let all: Vec<Kept> = (1..2_000).map(noise).collect();
    let file = pcap(Order::Little, 0xa1b2_c3d4, &all);
    let flipped = |mut bytes: Vec<u8>| {
        let at = bytes.len() * 3 / 4;
        bytes[at..at + 64].fill(0x55);
        bytes
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() * 3 / 4].to_vec();
    let checksum = |mut bytes: Vec<u8>| {
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
        bytes
    };
    let garbage = |bytes: Vec<u8>| [bytes, b"garbage".to_vec()].concat();
    for (name, bytes, least) in [
        ("gzip cut", cut(gzip(&file)), 1_350),
        ("zstd cut", cut(zstd(&file)), 1_350),
        ("gzip checksum", checksum(gzip(&file)), 1_999),
        ("gzip and garbage", garbage(gzip(&file)), 1_999),
        ("zstd and garbage", garbage(zstd(&file)), 1_999),
    ] {
        match read(Cursor::new(bytes)) {
            (found, Some(SourceError::Damaged { offset, what, .. })) => {
                assert!(found.len() >= least, "{name}: {} frames", found.len());
                assert!(found == all[..found.len()], "{name}");
                assert!(offset >= (24 + found.len() * 1_016) as u64, "{name}: {offset} {what}");
            }
            (found, error) => panic!("{name}: {} frames, {error:?}", found.len()),
        }
    }
    // A flipped byte is found at once or when a frame looks wrong; what stood before it is there.
    for bytes in [flipped(gzip(&file)), flipped(zstd(&file))] {
        let (found, error) = read(Cursor::new(bytes));
        assert!(error.is_some());
        assert!(found.len() >= 1_300 && found[..1_300] == all[..1_300], "{} frames", found.len());
    }
}

/// Chunks as a pipe delivers them; who asks for more than was needed finds the pipe broken.
struct Pipe(std::vec::IntoIter<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let chunk = self.0.next().ok_or_else(|| io::Error::other("asked too early"))?;
        out[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }
}

#[test]
fn a_live_pipe_delivers_each_frame_as_soon_as_it_is_there() {
    let all: Vec<Kept> = (1..20).map(|at| frame(at * 1_000, 1, 60 + at as usize, 100)).collect();
    let le = Order::Little;
    let classic = pcap(le, 0xa1b2_c3d4, &[]);
    let records = all.iter().map(|frame| pcap_record(le, 0xa1b2_c3d4, frame));
    let chunks = |head: Vec<u8>, records: Vec<Vec<u8>>| {
        [vec![head[..4].to_vec(), head[4..8].to_vec(), head[8..].to_vec()], records].concat()
    };
    let blocks = all.iter().map(|frame| enhanced(le, 0, frame.time.as_nanos() as u64, frame));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut flushed = |bytes: &[u8]| {
        encoder.write_all(bytes).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let compressed_head = flushed(&classic);
    let compressed = records.clone().map(|record| flushed(&record)).collect();
    for (name, chunks) in [
        ("pcap", chunks(classic, records.collect())),
        ("pcapng", chunks(pcapng(le, &[]), blocks.collect())),
        ("gzip", chunks(compressed_head, compressed)),
    ] {
        let records = chunks[3..].len();
        let mut file = opened(Pipe(chunks.into_iter()), None).unwrap();
        for (at, expected) in all.iter().enumerate() {
            match file.next() {
                Ok(Next::Frame(frame)) => assert_eq!(&Kept::from(&frame), expected, "{name}"),
                other => panic!("{name}, frame {at} of {records}: {other:?}"),
            }
        }
        match file.next() {
            Err(SourceError::Io { error, .. }) => assert_eq!(error.to_string(), "asked too early"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[cfg(feature = "pcap")]
#[test]
fn a_filter_leaves_the_numbers_as_they_are() {
    let mut tcp = frame(0, 1, 60, 60);
    tcp.bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
    (tcp.bytes[20], tcp.bytes[21], tcp.bytes[23]) = (0, 0, 6);
    tcp.bytes[36..38].copy_from_slice(&[0, 80]);
    let all = [frame(0, 1, 60, 60), tcp.clone(), frame(0, 1, 14, 14), tcp];
    for (name, bytes, _) in formats(&all) {
        let mut file = opened(Cursor::new(bytes.clone()), Some("tcp dst port 80")).unwrap();
        let mut numbers = Vec::new();
        while let Next::Frame(frame) = file.next().unwrap() {
            numbers.push(frame.number);
        }
        assert_eq!(numbers, [2, 4], "{name}");
        // A wrong one shows before the first frame is given.
        let refused = match opened(Cursor::new(bytes), Some("tcp dst prot 80")) {
            Ok(mut file) => file.next().err(),
            Err(error) => Some(error),
        };
        assert!(matches!(refused, Some(SourceError::Filter { .. })), "{name}");
    }
}

/// A header that is wrong costs nothing of what stands before it, in how large pieces ever the bytes come.
#[test]
fn a_flipped_bit_costs_the_same_however_the_bytes_come() {
    let plain = pcap(Order::Little, 0xa1b2_c3d4, &[frame(5_000, 1, 40, 40), frame(7_000, 1, 9, 70)]);
    for (name, packed) in [("plain", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd(&plain))] {
        for bit in 0..packed.len() * 8 {
            let mut bytes = packed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (found, _) = read(Cursor::new(bytes.clone()));
            let (dribbled, _) = read(Dribble(Cursor::new(bytes)));
            assert_eq!(found.len(), dribbled.len(), "{name}, bit {bit}");
            assert!(found == dribbled, "{name}, bit {bit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spoiled_captures_end_and_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        packing in 0..3_u8,
    ) {
        let all = [frame(5_000, 1, 40, 40), frame(6_000, 1, 0, 0), frame(7_000, 1, 9, 70)];
        let mut formats = formats(&all);
        let (_, mut bytes, _) = formats.swap_remove(which.index(formats.len()));
        if packing == 1 { bytes = gzip(&bytes) }
        if packing == 2 { bytes = zstd(&bytes) }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (found, _) = read(Cursor::new(bytes.clone()));
        prop_assert!(found.len() < 10_000);
        let (again, _) = read(Dribble(Cursor::new(bytes)));
        prop_assert!(found == again);
    }

    #[test]
    fn noise_behind_a_magic_number_never_panics(
        magic in prop::sample::select(vec![
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
            [&pcapng::MAGIC[..], &[28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0]].concat(),
            vec![0x1f, 0x8b, 8], vec![0x28, 0xb5, 0x2f, 0xfd], vec![0x50, 0x2a, 0x4d, 0x18],
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read(Cursor::new([magic, noise].concat()));
    }
}
