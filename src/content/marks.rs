//! Where a long body has places whose decoded form may hide a keyword from a search of the raw bytes.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr_iter, memmem};

use super::base64;
use super::markup::reference;

/// The shortest run of base64 that is looked at. It has so many words in a row, wherever it begins.
const RUN: usize = 40;
const WORD: usize = 8;
const WORDS: usize = 4;
const BLOCK: usize = WORD * 8;
/// The longest run: more is a file.
const LONGEST: usize = 64 << 10;
/// Marks as near as this become one.
const NEAR: usize = 16;

/// Made once: heads are short.
static UNICODE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\\u00"));
static REFERENCE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"&#"));

/// Appends the places, sorted by start: `\u00XX` and `&#NN;` that stand for letters, digits or the punctuation of
/// keys, `%XX` likewise and `%25`, and long runs of base64 that hold text (not `data:image`).
///
/// Four passes, each a vector search or a sampling: together cheaper than one that stops at every `\` and `&`.
/// Memory grows with the marks only.
pub fn marks(bytes: &[u8], out: &mut Vec<Range<usize>>) {
    let mut found = Vec::new();
    for at in memchr_iter(b'%', bytes) {
        if let Some(&[high, low]) = bytes.get(at + 1..at + 3)
            && hex(high, low).is_some_and(|byte| is_key(byte) || byte == b'%')
        {
            push(&mut found, at..at + 3);
        }
    }
    for at in UNICODE.find_iter(bytes) {
        if let Some(&[high, low]) = bytes.get(at + 4..at + 6)
            && hex(high, low).is_some_and(is_key)
        {
            push(&mut found, at..at + 6);
        }
    }
    for at in REFERENCE.find_iter(bytes) {
        if let Some((character, length)) = reference(bytes.get(at + 1..).unwrap_or_default())
            && u8::try_from(character).is_ok_and(is_key)
        {
            push(&mut found, at..at + 1 + length);
        }
    }
    runs(bytes, &mut found);
    if !found.is_sorted_by_key(|mark| mark.start) {
        found.sort_unstable_by_key(|mark| mark.start);
    }
    // An escape of one kind between near ones of another.
    found.dedup_by(|next, last| {
        let overlap = next.start < last.end;
        if overlap {
            last.end = last.end.max(next.end);
        }
        overlap
    });
    out.append(&mut found);
}

fn push(found: &mut Vec<Range<usize>>, mark: Range<usize>) {
    match found.last_mut() {
        Some(last) if mark.start >= last.start && mark.start <= last.end + NEAR => {
            last.end = last.end.max(mark.end)
        }
        _ => found.push(mark),
    }
}

/// What keywords are made of.
fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'!' | b'$')
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Runs of base64: found by words of eight bytes, of which each long run has some in a row. Few branches, and none that a
/// byte decides, so that the compiler makes vectors of it.
fn runs(bytes: &[u8], found: &mut Vec<Range<usize>>) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    // A bit for each word that is nothing but digits: those of the block before, then those of this one.
    let mut full = 0_u16;
    for (number, block) in blocks.iter().chain([&last]).enumerate() {
        let digits = block.map(|byte| u8::from(base64::is_digit(byte)));
        full >>= WORD;
        for (word, digits) in digits.as_chunks::<WORD>().0.iter().enumerate() {
            full |= u16::from(u64::from_ne_bytes(*digits) == u64::from_ne_bytes([1; WORD])) << (WORD + word);
        }
        let row = full & full >> 1 & full >> 2 & full >> 3;
        // Where a row begins that was not seen with the block before.
        let begins = row & !(row << 1) & !0 << (WORD + 1 - WORDS);
        if begins == 0 {
            continue;
        }
        for word in (0..16).filter(|word| begins >> word & 1 != 0) {
            run(bytes, number * BLOCK + (word + WORDS - 1) * WORD - BLOCK, found);
        }
    }
}

/// The run that goes through `at`.
fn run(bytes: &[u8], at: usize, found: &mut Vec<Range<usize>>) {
    let (before, behind) = bytes.split_at_checked(at).unwrap_or_default();
    let is_digit = |byte: &&u8| base64::is_digit(**byte);
    let start = at - before.iter().rev().take_while(is_digit).count();
    let run = start..at + behind.iter().take_while(is_digit).count();
    if (RUN..=LONGEST).contains(&run.len()) && holds_text(bytes, &run) {
        found.push(run);
    }
}

/// Whether the first digits, or those of the middle in any alignment, decode to text, and the run is no picture.
fn holds_text(bytes: &[u8], run: &Range<usize>) -> bool {
    let middle = run.start + run.len() / 2;
    let text = [run.start, middle - 8, middle - 7, middle - 6, middle - 5].iter().any(|&start| {
        let digits = bytes.get(start..(start + 16).min(run.end)).unwrap_or_default();
        base64::decode(digits).is_some_and(|decoded| {
            decoded.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e))
        })
    });
    let before = bytes.get(run.start.saturating_sub(32)..run.start).unwrap_or_default();
    text && !(before.ends_with(b";base64,") && memmem::find(before, b"data:image").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        marks(text.as_bytes(), &mut found);
        found.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn marks_are_found() {
        for (text, expected) in [
            ("nothing here: a & b, 100% sure, \\n", &[][..]),
            (r#"{"k":"sk\u005flive"}"#, &["\\u005f"]),
            (r#"\u003ca\u003e \u0026"#, &[]),
            ("x%2Dy%20z", &["%2D"]),
            ("x%252Dy", &["%25"]),
            ("%41 \\u0041 %41", &["%41 \\u0041 %41"]),
            ("width:100%;&amp;&#39;&#34;", &[]),
            ("sk&#95;a&#x5f;b", &["&#95;a&#x5f;"]),
            (
                "key: cGFzc3dvcmQ9bWFkZS11cC1zZWNyZXQtZm9yLXRlc3Rz;",
                &["cGFzc3dvcmQ9bWFkZS11cC1zZWNyZXQtZm9yLXRlc3Rz"],
            ),
            ("data:image/png;base64,cGFzc3dvcmQ9bWFkZS11cC1zZWNyZXQtZm9yLXRlc3Rz", &[]),
            ("/static/vendor/some/long/path/of/many/words/all/in/a/row", &[]),
            ("0123456789abcdef0123456789abcdef0123456789abcdef", &[]),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn base64_is_found_wherever_it_begins() {
        let digits = "cGFzc3dvcmQ9bWFkZS11cC1zZWNyZXQtZm9yLXRlc3Rz";
        for lead in 0..60 {
            let text = format!("{}{digits} {}%41", " ".repeat(lead), ".".repeat(30));
            assert_eq!(told(&text), [digits, "%41"], "{lead}");
        }
    }

    #[test]
    fn many_marks_become_few() {
        let text = "%41".repeat(100_000);
        assert_eq!(told(&text).len(), 1);
    }
}
