//! Frames of any bytes under every link type; payloads lie in their frame.
#![no_main]

use leaktap::model::http::offset_in;
use leaktap::model::{Frame, LinkType, Timestamp};
use leaktap::packet::{Fragments, Limits, Packet, decode};
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
        LinkType::PPP,
        LinkType::C_HDLC,
        LinkType::PPP_ETHER,
        LinkType::IEEE802_11,
        LinkType::IEEE802_11_PRISM,
        LinkType::IEEE802_11_RADIOTAP,
        LinkType::NFLOG,
        LinkType::PKTAP,
    ];
    let link = links[usize::from(*link) % links.len()];
    let frame = Frame { number: 1, time: Timestamp::default(), link, bytes, original_len: bytes.len() as u32 + 9 };
    match decode(&frame) {
        Packet::Tcp(segment) => assert!(offset_in(bytes, segment.payload).is_some() || segment.payload.is_empty()),
        Packet::Udp(datagram) => assert!(offset_in(bytes, datagram.payload).is_some() || datagram.payload.is_empty()),
        Packet::Fragment(fragment) => {
            // Whatever the same bytes say again, at places that the next frames of one datagram could have.
            let mut fragments = Fragments::new(Limits { bytes: 4096, ..Limits::default() });
            for number in 1..4 {
                if let Ok(Some(rebuilt)) = fragments.take(&fragment, number, Timestamp::default()) {
                    let _ = rebuilt.packet();
                }
            }
            while !fragments.is_empty() {
                if let Some(rebuilt) = fragments.give_up() {
                    let _ = rebuilt.packet();
                }
            }
        }
        _ => {}
    }
});
