//! Frames of any bytes under every link type; payloads lie in their frame.
#![no_main]

use leaktap::model::http::offset_in;
use leaktap::model::{Frame, LinkType, Timestamp};
use leaktap::packet::{Packet, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((link, bytes)) = bytes.split_first() else { return };
    let links = [
        LinkType::NULL,
        LinkType::ETHERNET,
        LinkType::RAW_BSD,
        LinkType::RAW,
        LinkType::LOOP,
        LinkType::LINUX_SLL,
        LinkType::IPV4,
        LinkType::IPV6,
        LinkType::LINUX_SLL2,
    ];
    let link = links[usize::from(*link) % links.len()];
    let frame = Frame { number: 1, time: Timestamp::default(), link, bytes, original_len: bytes.len() as u32 + 9 };
    match decode(&frame) {
        Packet::Tcp(segment) => assert!(offset_in(bytes, segment.payload).is_some() || segment.payload.is_empty()),
        Packet::Udp(datagram) => assert!(offset_in(bytes, datagram.payload).is_some() || datagram.payload.is_empty()),
        _ => {}
    }
});
