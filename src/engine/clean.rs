//! What holds nothing, remembered by its digest: most heads of a host differ in a line or two, and the same bodies come
//! again and again.

use std::ops::Range;

use ahash::RandomState;

use crate::model::digest::Digest;

/// Texts remembered.
const TEXTS: usize = 1 << 16;
/// Shorter ones are looked at in less time than they are looked up.
const SHORTEST: usize = 16;

/// A table in which a newer text takes the place of an older one.
#[derive(Debug)]
pub(super) struct Clean {
    /// A key that nobody knows: no text can be made that passes for another.
    key: [u64; 2],
    /// 0: none.
    digests: Vec<u64>,
}

impl Default for Clean {
    fn default() -> Self {
        let seed = RandomState::new();
        Self { key: [seed.hash_one(1_u8), seed.hash_one(2_u8)], digests: Vec::new() }
    }
}

impl Clean {
    /// The digest of a text, and of what else decides whether it holds anything.
    pub(super) fn digest(&self, text: &[u8], circumstances: &[&[u8]]) -> u64 {
        let mut digest = Digest::new(self.key, text.len());
        for circumstance in circumstances {
            digest.add(&(circumstance.len() as u128).to_le_bytes());
            digest.add_all(circumstance);
        }
        digest.add_all(text);
        digest.finish() | 1
    }

    /// Whether the text of this digest holds nothing.
    pub(super) fn knows(&self, digest: u64) -> bool {
        self.digests.get(place(digest)) == Some(&digest)
    }

    /// It does not.
    pub(super) fn remember(&mut self, digest: u64) {
        if self.digests.is_empty() {
            self.digests = vec![0; TEXTS];
        }
        if let Some(known) = self.digests.get_mut(place(digest)) {
            *known = digest;
        }
    }

    /// Calls `look` with the range of each line of a head (its end included) of which it is not known that it holds
    /// nothing; `look` says whether it does not.
    pub(super) fn search(&mut self, head: &[u8], mut look: impl FnMut(Range<usize>) -> bool) {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', head).map(|feed| feed + 1).chain([head.len()]) {
            let line = head.get(at..end).unwrap_or_default();
            let digest = (line.len() >= SHORTEST).then(|| self.digest(line, &[]));
            let is_known = line.is_empty() || digest.is_some_and(|digest| self.knows(digest));
            if !is_known
                && look(at..end)
                && let Some(digest) = digest
            {
                self.remember(digest);
            }
            at = end;
        }
    }
}

fn place(digest: u64) -> usize {
    (digest >> 32) as usize % TEXTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_holds_nothing_is_looked_at_once() {
        let mut clean = Clean::default();
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

    #[test]
    fn a_text_is_known_under_its_circumstances_only() {
        let mut clean = Clean::default();
        let page = clean.digest(b"nothing here", &[b"text/html"]);
        assert!(!clean.knows(page));
        clean.remember(page);
        assert!(clean.knows(clean.digest(b"nothing here", &[b"text/html"])));
        let (one, other) = (&[&b"0123456789abcdefg"[..], b""][..], &[&b"0123456789abcdef"[..], b"g"][..]);
        assert_ne!(clean.digest(b"nothing", one), clean.digest(b"nothing", other), "where each ends counts");
        for other in
            [clean.digest(b"nothing here", &[b"text/css"]), clean.digest(b"nothing there", &[b"text/html"])]
        {
            assert!(!clean.knows(other));
        }
    }
}
