//! Heads and bodies taken apart: the list of body decoders, and which of them reads a body.

mod authorization;
mod base64;
pub mod charset;
pub mod compressed;
pub mod contract;
mod cookie;
mod form;
pub mod head;
mod html;
mod json;
pub mod layers;
mod marks;
mod markup;
pub mod media;
mod multipart;
mod sse;
mod text;
mod url;
mod xml;

pub use charset::to_utf8;
pub use compressed::{InflateLimits, Inflater, Stop, inflate};
pub use contract::{Decoder, Document, Media, Outline, Wanted};
pub use layers::layers;
pub use marks::marks;
pub use media::{is_binary, is_hardly_text, is_opaque, media};

use crate::model::Field;

/// The decoders in the order they are asked; the last one fits everything.
pub const DECODERS: &[&dyn Decoder] = &[
    &multipart::Multipart,
    &sse::EventStream,
    &json::Json,
    &form::Form,
    &html::Html,
    &xml::Xml,
    &text::Text,
];

/// The decoder that reads this body.
#[must_use]
pub fn decoder(document: &Document<'_>) -> &'static dyn Decoder {
    DECODERS.iter().copied().find(|decoder| decoder.fits(document)).unwrap_or(&text::Text)
}

/// Tells the wanted stretches of bytes that are of no message, as running text.
pub fn text(document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
    text::Text.decode(document, wanted, out);
}

/// Tells the wanted fields of a body, by the first decoder that fits.
pub fn fields(document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
    decoder(document).decode(document, wanted, out);
}

/// The same for a part of a multipart body: its own parts are the multipart decoder's affair, which counts the depth.
fn part_fields(document: &Document<'_>, wanted: &Wanted<'_>, out: &mut dyn FnMut(Field<'_>)) {
    let fits =
        DECODERS.iter().copied().find(|decoder| decoder.name() != "multipart" && decoder.fits(document));
    fits.unwrap_or(&text::Text).decode(document, wanted, out);
}

#[cfg(test)]
mod tests;
