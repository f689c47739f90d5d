//! Capture files of any bytes: read to their end or refused, never more.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use leaktap::source::{Next, Source, from_reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut source) = from_reader(Path::new("fuzz"), Box::new(Cursor::new(bytes.to_vec())), None) else { return };
    let mut last = 0;
    while let Ok(Next::Frame(frame)) = source.next() {
        assert!(frame.number > last);
        last = frame.number;
    }
    assert!(matches!(source.next(), Ok(Next::End)));
});
