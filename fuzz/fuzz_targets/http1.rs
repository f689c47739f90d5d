//! HTTP/1 of any bytes in any pieces: what is consumed was shown, bodies are no longer than what was sent, the fields of
//! a head lie in it.
#![no_main]

use leaktap::content;
use leaktap::model::http::{Header, RequestHead, ResponseHead, offset_in};
use leaktap::model::{Direction, Field};
use leaktap::protocol::{Output, PROTOCOLS, Progress};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Sink {
    out: u64,
}

impl Output for Sink {
    fn request(&mut self, _: u32, head: &RequestHead<'_>) {
        inside(head.bytes, head.headers);
        content::head::request(head, &mut |field| within(head.bytes, &field));
        let _ = content::media(head.headers);
    }
    fn response(&mut self, _: u32, head: &ResponseHead<'_>) {
        inside(head.bytes, head.headers);
        content::head::response(head, &mut |field| within(head.bytes, &field));
        let _ = content::media(head.headers);
    }
    fn body(&mut self, _: Direction, bytes: &[u8]) {
        self.out += bytes.len() as u64;
    }
    fn body_gap(&mut self, _: Direction, _: u64) {}
    fn trailers(&mut self, direction: Direction, trailers: &[Header<'_>]) {
        content::head::trailers(direction, trailers, &mut |_| ());
    }
    fn end(&mut self, _: Direction, _: bool) {}
    fn field(&mut self, _: Direction, _: Field<'_>) {}
    fn text(&mut self, _: Direction, bytes: &[u8]) {
        self.out += bytes.len() as u64;
    }
    fn signal(&mut self, _: Direction, _: &'static str, _: &[u8]) {}
}

fn inside(head: &[u8], headers: &[Header<'_>]) {
    for header in headers {
        for part in [header.name, header.value] {
            assert!(part.is_empty() || offset_in(head, part).is_some());
        }
    }
}

fn within(head: &[u8], field: &Field<'_>) {
    assert!(field.span.start <= field.span.end && field.span.end <= head.len());
    content::layers(field, &mut |_| ());
}

fuzz_target!(|bytes: &[u8]| {
    let Some(make) = PROTOCOLS[0].parser else { return };
    let mut parser = make();
    let mut sink = Sink::default();
    let mut kept = [Vec::new(), Vec::new()];
    let mut rest = bytes;
    // Each piece: one byte of direction and length, then its bytes.
    while let Some((&lead, behind)) = rest.split_first() {
        let (direction, at) = if lead & 1 == 0 { (Direction::ToServer, 0) } else { (Direction::ToClient, 1) };
        if lead & 0x82 == 0x82 {
            let shown = std::mem::take(&mut kept[at]);
            parser.gap(direction, &shown, u64::from(lead) * 7, &mut sink);
            rest = behind;
            continue;
        }
        let length = (usize::from(lead >> 1) + 1).min(behind.len());
        let (piece, behind) = behind.split_at(length);
        rest = behind;
        let mut shown = std::mem::take(&mut kept[at]);
        shown.extend_from_slice(piece);
        match parser.data(direction, &shown, &mut sink) {
            Progress::Consumed(consumed) => {
                assert!(consumed <= shown.len());
                kept[at] = shown.split_off(consumed);
            }
            Progress::Switch { consumed, .. } => {
                assert!(consumed <= shown.len());
                return;
            }
            Progress::Stop => return,
        }
    }
    for (direction, kept) in [Direction::ToServer, Direction::ToClient].into_iter().zip(&kept) {
        parser.end(direction, kept, &mut sink);
    }
    assert!(sink.out <= bytes.len() as u64);
});
