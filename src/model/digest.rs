//! Keyed digests of bytes: for tables that remember what was seen, not for what leaves the program.

/// Bytes taken at once.
pub const BLOCK: usize = 16;

/// A sum of blocks, each multiplied with itself and folded, under a key of its own (after NH, RFC 4418 section 5.2): which texts
/// share a digest depends on a key that nobody else has.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    key: u64,
    other: u64,
    sum: u64,
}

impl Digest {
    /// Of text of so many bytes, under a key.
    #[inline]
    #[must_use]
    pub fn new(key: [u64; 2], length: usize) -> Self {
        let [key, other] = key;
        Self { key, other, sum: other ^ length as u64 }
    }

    /// Takes the next block.
    #[inline]
    pub fn add(&mut self, block: &[u8; BLOCK]) {
        let block = u128::from_le_bytes(*block);
        let product = u128::from(block as u64 ^ self.key) * u128::from((block >> 64) as u64 ^ self.other);
        self.sum = self.sum.wrapping_add(product as u64 ^ (product >> 64) as u64);
        self.key = self.key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    /// Takes bytes to their end, the last block filled up.
    #[inline]
    pub fn add_all(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks();
        blocks.iter().for_each(|block| self.add(block));
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.add(&last);
        }
    }

    /// The digest.
    #[inline]
    #[must_use]
    pub fn finish(self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: [u64; 2], bytes: &[u8]) -> u64 {
        let mut digest = Digest::new(key, bytes.len());
        digest.add_all(bytes);
        digest.finish()
    }

    #[test]
    fn other_bytes_have_another_digest() {
        let key = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        let text: Vec<u8> = (0..200_u8).collect();
        let mut seen = std::collections::HashSet::new();
        for length in 0..=text.len() {
            assert!(seen.insert(digest(key, &text[..length])), "{length}");
        }
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(seen.insert(digest(key, &other)), "{at}");
        }
        // Blocks in another order.
        let swapped = [&text[16..32], &text[..16], &text[32..]].concat();
        assert!(seen.insert(digest(key, &swapped)));
        assert_ne!(digest(key, &text), digest([1, 2], &text));
    }
}
