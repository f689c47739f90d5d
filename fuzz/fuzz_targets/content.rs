//! Bodies of any bytes through every coding and decoder; spans lie in what carried them.
#![no_main]

use leaktap::content::{self, DECODERS, Document, Inflater, Media, Wanted};
use leaktap::model::Surface;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let coding = ["gzip", "deflate", "br", "zstd"][usize::from(choice) % 4];
    if let Some(mut inflater) = Inflater::new(&[coding.to_owned()]) {
        let mut out = Vec::new();
        for piece in bytes.chunks(1 + usize::from(choice)) {
            if inflater.push(piece, &mut out).is_err() {
                break;
            }
        }
    }
    let essence = ["", "application/json", "text/html", "application/x-www-form-urlencoded", "text/xml", "text/plain"];
    let media = Media {
        essence: essence[usize::from(choice >> 3) % essence.len()].to_owned(),
        charset: ["", "utf-16", "latin1", "utf-8"].get(usize::from(choice >> 6)).filter(|name| !name.is_empty()).map(|name| (*name).to_owned()),
        boundary: (choice & 1 == 1).then(|| b"b".to_vec()),
        ..Media::default()
    };
    let text = content::to_utf8(bytes, &media);
    let mut marks = Vec::new();
    content::marks(&text, &mut marks);
    let document = Document { bytes: &text, media: &media, surface: Surface::ResponseBody, partial: choice & 2 == 2 };
    for decoder in DECODERS {
        for wanted in [Wanted::All, Wanted::At(&marks)] {
            decoder.decode(&document, &wanted, &mut |field| {
                assert!(field.span.end <= text.len() && field.span.start <= field.span.end);
                content::layers(&field, &mut |_| ());
            });
        }
    }
});
