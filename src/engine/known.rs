//! The secrets known of one message, and which of them stand in a text that is about to be shown: with thousands of both,
//! not each is looked for in each.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;

use crate::model::redact::Known;
use crate::model::text::percent_decode;

/// So many are looked for one by one.
const FEW: usize = 16;

/// Secrets, the longest first: one within another must not leave the rest of that to be seen.
pub(super) struct KnownSecrets<'a> {
    all: Vec<Known<'a>>,
    search: Option<AhoCorasick>,
}

impl<'a> KnownSecrets<'a> {
    pub(super) fn new(mut all: Vec<Known<'a>>) -> Self {
        all.retain(|known| !known.value.is_empty());
        all.sort_by(|a, b| b.value.len().cmp(&a.value.len()).then(a.value.cmp(b.value)));
        all.dedup_by(|next, last| next.value == last.value);
        let search =
            (all.len() > FEW).then(|| AhoCorasick::new(all.iter().map(|known| known.value)).ok()).flatten();
        Self { all, search }
    }

    /// Those that stand in one of `texts`, as it is or with its percent escapes undone; all, where they are few.
    pub(super) fn within(&self, texts: &[&[u8]]) -> Cow<'_, [Known<'a>]> {
        let Some(search) = &self.search else { return Cow::Borrowed(&self.all) };
        let mut places: Vec<usize> = Vec::new();
        let mut look = |text: &[u8]| {
            places.extend(search.find_overlapping_iter(text).map(|found| found.pattern().as_usize()));
            places.sort_unstable();
            places.dedup();
        };
        for text in texts {
            look(text);
            if memchr::memchr2(b'%', b'+', text).is_some() {
                look(&percent_decode(text, true));
                look(&percent_decode(text, false));
            }
        }
        places.into_iter().filter_map(|place| self.all.get(place).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_those_in_the_text_are_given_longest_first() {
        let values: Vec<String> = (0..100).map(|number| format!("made-up-{number:03}")).collect();
        let mut all: Vec<Known<'_>> =
            values.iter().map(|value| Known { value: value.as_bytes(), redacted: "…" }).collect();
        all.push(Known { value: b"made-up-042-and-more", redacted: "…" });
        all.push(Known { value: b"", redacted: "…" });
        all.push(Known { value: b"made-up-007", redacted: "…" });
        let known = KnownSecrets::new(all);
        let told = |text: &str| -> Vec<String> {
            let within = known.within(&[text.as_bytes()]);
            within.iter().map(|known| String::from_utf8_lossy(known.value).into_owned()).collect()
        };
        assert_eq!(
            told("a=made-up-042-and-more&b=made-up-001"),
            ["made-up-042-and-more", "made-up-001", "made-up-042"]
        );
        assert_eq!(told("a=made%2Dup%2D007"), ["made-up-007"]);
        assert_eq!(told("nothing"), Vec::<String>::new());
    }

    #[test]
    fn few_are_all_given() {
        let known = KnownSecrets::new(vec![Known { value: b"made-up", redacted: "…" }]);
        assert_eq!(known.within(&[b"nothing"]).len(), 1);
    }
}
