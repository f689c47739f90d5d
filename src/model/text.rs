//! Small truths about text that more than one room needs: percent-decoding, entropy.

use std::borrow::Cow;

/// Undoes percent-encoding (RFC 3986 section 2.1); with `plus`, `+` becomes a space (the form encoding of the
/// WHATWG URL standard). A `%` without two hexadecimal digits stays as it is. Borrows where nothing is encoded.
#[must_use]
pub fn percent_decode(bytes: &[u8], plus: bool) -> Cow<'_, [u8]> {
    if plus && memchr::memchr(b'+', bytes).is_some() {
        let spaced: Vec<u8> = bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        return Cow::Owned(percent_encoding::percent_decode(&spaced).collect());
    }
    percent_encoding::percent_decode(bytes).into()
}

/// Shannon entropy of the byte distribution, in bits a byte (0 for an empty slice).
#[must_use]
pub fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u32; 256];
    for &byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = bytes.len() as f32;
    counts.iter().filter(|&&count| count > 0).fold(0.0, |sum, &count| {
        let share = count as f32 / total;
        sum - share * share.log2()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_once() {
        for (raw, plus, decoded) in [
            ("abc", true, "abc"),
            ("a%20b+c", true, "a b c"),
            ("a%20b+c", false, "a b+c"),
            ("%2525", true, "%25"),
            ("100%", true, "100%"),
            ("%zz%4", true, "%zz%4"),
            ("a%2Bb+c", true, "a+b c"),
        ] {
            assert_eq!(percent_decode(raw.as_bytes(), plus), decoded.as_bytes(), "{raw}");
        }
        assert!(matches!(percent_decode(b"plain", true), Cow::Borrowed(_)));
    }

    #[test]
    fn entropy_is_in_bits() {
        assert_eq!(entropy(b""), 0.0);
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-6);
    }
}
