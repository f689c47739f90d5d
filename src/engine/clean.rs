//! Lines of heads that hold nothing, remembered by their hash: most heads of a host differ in a line or two.

use ahash::RandomState;

/// Lines remembered.
const LINES: usize = 4096;
/// Shorter ones are looked at in less time than they are looked up.
const SHORTEST: usize = 16;

/// A table in which a newer line takes the place of an older one.
#[derive(Debug)]
pub(super) struct CleanLines {
    /// A key that nobody knows: no line can be made that passes for another.
    seed: RandomState,
    /// 0: none.
    hashes: Box<[u64]>,
}

impl Default for CleanLines {
    fn default() -> Self {
        Self { seed: RandomState::new(), hashes: vec![0; LINES].into() }
    }
}

impl CleanLines {
    /// Calls `look` with the range of each line (its end included) of which it is not known that it holds nothing;
    /// `look` says whether it does not.
    pub(super) fn search(&mut self, head: &[u8], mut look: impl FnMut(std::ops::Range<usize>) -> bool) {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', head).map(|feed| feed + 1).chain([head.len()]) {
            let line = head.get(at..end).unwrap_or_default();
            let known = (line.len() >= SHORTEST).then(|| self.seed.hash_one(line) | 1);
            let place = known.and_then(|hash| self.hashes.get_mut(hash as usize / 2 % LINES));
            match (known, place) {
                (Some(hash), Some(place)) if *place == hash => {}
                (Some(hash), Some(place)) => {
                    if look(at..end) {
                        *place = hash;
                    }
                }
                _ if line.is_empty() => {}
                _ => {
                    look(at..end);
                }
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_holds_nothing_is_looked_at_once() {
        let mut clean = CleanLines::default();
        let mut looks = |head: &str| {
            let mut seen = Vec::new();
            clean.search(head.as_bytes(), |line| {
                seen.push(head[line.clone()].to_owned());
                !head[line].contains("key")
            });
            seen
        };
        let head = "GET /?key=secret HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\n\r\n";
        assert_eq!(looks(head).concat(), head);
        assert_eq!(looks(head), ["GET /?key=secret HTTP/1.1\r\n", "\r\n"]);
        assert_eq!(looks("Accept: text/html\r\nAccept: text/css, too"), ["Accept: text/css, too"]);
        assert!(looks("").is_empty());
    }
}
