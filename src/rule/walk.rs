//! One automaton over all keywords (Aho and Corasick, 1975), small enough to stay in cache.
//!
//! It knows a fragment of each keyword only, at most [`FRAGMENT`] bytes that are rare in text, and of their bytes the
//! [`column`]; the whole keyword is compared where its fragment ends. ASCII case is ignored.

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of a keyword that the automaton knows. Fewer would stand in more places, more need more states.
const FRAGMENT: usize = 8;
/// Columns of a row, which then fits into two lines of cache.
const COLUMNS: usize = 32;
/// More states are refused: each is a row of 128 bytes.
const STATES: usize = 1 << 20;
/// Walks at once: each look-up waits for the one before it; several hide the waiting.
const LANES: usize = 4;
/// Bytes that each lane takes at least.
const BLOCK: usize = 16;
/// Bytes that the lanes share before they go on together: near each other, they stay in cache.
const TILE: usize = LANES * BLOCK * 16;
/// From this length on lanes pay.
const LANES_FROM: usize = LANES * BLOCK;

/// See the module. A state is where its row begins in `next`.
pub(super) struct Automaton {
    columns: [u8; 256],
    /// By state and column: the next state.
    next: Vec<u32>,
    /// States with one of these bits are ends of fragments.
    is_end: u32,
    /// By such a state without those bits, in rows: where in `fragments` those that end there begin; and where the last end.
    ends: Vec<u32>,
    /// Few, and together: where they are looked at they are not in cache.
    fragments: Vec<Fragment>,
    /// By keyword: its length.
    lengths: Vec<u32>,
    /// All keywords.
    text: Vec<u8>,
}

/// A part of a keyword.
#[derive(Clone, Copy, Debug)]
struct Fragment {
    keyword: u32,
    /// Bytes of the keyword up to the end of this part.
    until: u32,
    /// Where the keyword begins in `text`, and its bytes.
    from: u32,
    length: u32,
}

impl Automaton {
    /// Of keywords in lower case, none of them empty.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn new(keywords: &[String]) -> Result<Self, String> {
        let mut trie = Trie { next: vec![[0; COLUMNS]], ends: vec![Vec::new()] };
        let mut text = Vec::new();
        for (number, keyword) in (0..).zip(keywords) {
            let (keyword, window) = (keyword.as_bytes(), rarest(keyword.as_bytes()));
            let [from, length, until] = [text.len(), keyword.len(), window.end]
                .map(|count| u32::try_from(count).map_err(|_| "too many keywords".to_owned()));
            let fragment = Fragment { keyword: number, until: until?, from: from?, length: length? };
            trie.add(keyword.get(window).unwrap_or_default(), fragment)?;
            text.extend_from_slice(keyword);
        }
        // Breadth first, what text is in most comes first and lies together.
        let order = trie.close();
        let (next, by_state) = trie.rows(&order);
        let is_end = !(next.len() - by_state.len() * COLUMNS).saturating_sub(1) as u32;
        let mut automaton = Self {
            columns: std::array::from_fn(|byte| column(byte as u8)),
            next,
            is_end,
            ends: vec![0],
            fragments: Vec::new(),
            lengths: keywords.iter().map(|keyword| keyword.len() as u32).collect(),
            text,
        };
        for fragments in by_state {
            automaton.fragments.extend(fragments);
            automaton.ends.push(automaton.fragments.len() as u32);
        }
        Ok(automaton)
    }

    /// Length of a keyword, in bytes.
    pub(super) fn length(&self, keyword: u32) -> usize {
        self.lengths.get(keyword as usize).copied().unwrap_or_default() as usize
    }

    /// Calls `hit` with every keyword in the bytes and where it begins: in no order, and with some of them twice.
    pub(super) fn walk(&self, bytes: &[u8], hit: &mut impl FnMut(u32, usize)) {
        let (mut state, mut from) = (0, 0);
        while let Some(rest) = bytes.get(from..).filter(|rest| rest.len() >= LANES_FROM) {
            let tile = rest.get(..TILE).unwrap_or(rest);
            state = self.tile(bytes, from, tile, state, hit);
            from += tile.len();
        }
        for (at, &byte) in bytes.iter().enumerate().skip(from) {
            state = self.step(state, byte);
            if state & self.is_end != 0 {
                self.end(bytes, state, at + 1, hit);
            }
        }
    }

    /// The hot loop, over a part of `bytes`. `state` is the one before it; tells the one behind it.
    fn tile(
        &self,
        bytes: &[u8],
        from: usize,
        tile: &[u8],
        state: u32,
        hit: &mut impl FnMut(u32, usize),
    ) -> u32 {
        // Lanes overlap where they do not come out even.
        let each = tile.len().div_ceil(LANES).next_multiple_of(BLOCK);
        let last = tile.len().saturating_sub(each);
        let starts: [usize; LANES] = std::array::from_fn(|lane| (lane * each).min(last));
        let lanes: [&[[u8; BLOCK]]; LANES] =
            starts.map(|start| tile.get(start..start + each).unwrap_or_default().as_chunks().0);
        // A fragment may lie across.
        let mut states: [u32; LANES] = starts.map(|start| {
            let before = tile.get(start.saturating_sub(FRAGMENT - 1)..start).unwrap_or_default();
            before
                .iter()
                .fold(if start < FRAGMENT { state } else { 0 }, |state, &byte| self.step(state, byte))
        });
        for block in 0..each / BLOCK {
            let now: [[u8; BLOCK]; LANES] = lanes.map(|lane| lane.get(block).copied().unwrap_or([0; BLOCK]));
            for at in 0..BLOCK {
                let mut any = 0;
                for (state, bytes) in states.iter_mut().zip(&now) {
                    *state = self.step(*state, bytes.get(at).copied().unwrap_or_default());
                    any |= *state;
                }
                if any & self.is_end != 0 {
                    let behind = from + block * BLOCK + at + 1;
                    for (&state, start) in states.iter().zip(&starts) {
                        if state & self.is_end != 0 {
                            self.end(bytes, state, start + behind, hit);
                        }
                    }
                }
            }
        }
        let [.., last] = states;
        last
    }

    #[inline(always)]
    fn step(&self, state: u32, byte: u8) -> u32 {
        let column = self.columns.get(usize::from(byte)).copied().unwrap_or_default();
        self.next.get((state | u32::from(column)) as usize).copied().unwrap_or_default()
    }

    /// The keywords whose fragments end here.
    #[cold]
    fn end(&self, bytes: &[u8], state: u32, end: usize, hit: &mut impl FnMut(u32, usize)) {
        let row = (state & !self.is_end) as usize / COLUMNS;
        let Some(&[first, last]) = self.ends.get(row..row + 2) else { return };
        for fragment in self.fragments.get(first as usize..last as usize).into_iter().flatten() {
            let Some(start) = end.checked_sub(fragment.until as usize) else { continue };
            let (from, length) = (fragment.from as usize, fragment.length as usize);
            let Some(keyword) = self.text.get(from..from + length) else { continue };
            let there = bytes.get(start..start + length);
            if there.is_some_and(|there| there.eq_ignore_ascii_case(keyword)) {
                hit(fragment.keyword, start);
            }
        }
    }
}

/// What the automaton sees of a byte: letters without their case, and kinds of all others. What is frequent in pages, scripts
/// and JSON comes first, so that most look-ups in a row touch the first of its two lines of cache.
fn column(byte: u8) -> u8 {
    /// A letter, or for a kind its first byte: 0 for all others.
    const ORDER: [u8; COLUMNS] = *b"\0 0etairnoslcdup.hmgfbyvw/_kxjqz";
    let kind = match byte.to_ascii_lowercase() {
        letter @ (b'a'..=b'z' | b' ') => letter,
        b'0'..=b'9' => b'0',
        b'_' | b'-' => b'_',
        b'/' | b'\\' => b'/',
        b'.' | b':' | b'=' => b'.',
        _ => 0,
    };
    ORDER.iter().position(|&known| known == kind).unwrap_or_default() as u8
}

/// The automaton while it is made: states are numbered in the order of their making.
struct Trie {
    /// 0 where no state follows: nothing leads back to the first.
    next: Vec<[u32; COLUMNS]>,
    ends: Vec<Vec<Fragment>>,
}

impl Trie {
    fn after(&self, state: u32, column: usize) -> u32 {
        self.next.get(state as usize).and_then(|row| row.get(column)).copied().unwrap_or_default()
    }

    fn set(&mut self, state: u32, column: usize, to: u32) {
        if let Some(next) = self.next.get_mut(state as usize).and_then(|row| row.get_mut(column)) {
            *next = to;
        }
    }

    fn add(&mut self, bytes: &[u8], fragment: Fragment) -> Result<(), String> {
        let mut state = 0;
        for &byte in bytes {
            let column = usize::from(column(byte));
            let mut after = self.after(state, column);
            if after == 0 {
                after = self.next.len() as u32;
                if self.next.len() >= STATES {
                    return Err("too many keywords".to_owned());
                }
                self.next.push([0; COLUMNS]);
                self.ends.push(Vec::new());
                self.set(state, column, after);
            }
            state = after;
        }
        self.ends.get_mut(state as usize).into_iter().for_each(|ends| ends.push(fragment));
        Ok(())
    }

    /// Where no byte leads on, it leads where it would from the longest other fragment begun: breadth first, so that
    /// what is shorter is closed. Tells the states in this order.
    fn close(&mut self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.next.len());
        let mut shorter: Vec<u32> = vec![0; self.next.len()];
        let mut open: VecDeque<u32> = VecDeque::from([0]);
        while let Some(state) = open.pop_front() {
            order.push(state);
            let fallback = shorter.get(state as usize).copied().unwrap_or_default();
            for column in 0..COLUMNS {
                let (after, other) = (self.after(state, column), self.after(fallback, column));
                if after == 0 {
                    self.set(state, column, other);
                    continue;
                }
                open.push_back(after);
                if state != 0 {
                    shorter.get_mut(after as usize).into_iter().for_each(|known| *known = other);
                    let also = self.ends.get(other as usize).cloned().unwrap_or_default();
                    self.ends.get_mut(after as usize).into_iter().for_each(|ends| ends.extend(also.iter()));
                }
            }
        }
        order
    }

    /// The states in this order, those where fragments end behind a power of two, so that bits tell them. Told are the rows,
    /// and for those ends what ends there.
    fn rows(mut self, order: &[u32]) -> (Vec<u32>, Vec<Vec<Fragment>>) {
        let others = self.ends.iter().filter(|ends| ends.is_empty()).count();
        let (mut other, mut end) = (0, others.next_power_of_two());
        let mut numbers = vec![0; self.next.len()];
        let mut by_state = Vec::new();
        for &state in order {
            let Some(ends) = self.ends.get_mut(state as usize).map(std::mem::take) else { continue };
            let number = if ends.is_empty() { &mut other } else { &mut end };
            numbers.get_mut(state as usize).into_iter().for_each(|known| *known = *number);
            *number += 1;
            if !ends.is_empty() {
                by_state.push(ends);
            }
        }
        let mut next = vec![0; end * COLUMNS];
        for (row, &number) in self.next.iter().zip(&numbers) {
            let places = next.get_mut(number * COLUMNS..(number + 1) * COLUMNS).unwrap_or_default();
            for (place, &after) in places.iter_mut().zip(row) {
                *place = numbers.get(after as usize).map_or(0, |number| (number * COLUMNS) as u32);
            }
        }
        (next, by_state)
    }
}

/// Of a keyword the stretch that stands in text least. Letters go with letters: what joins words makes a stretch rare.
fn rarest(keyword: &[u8]) -> Range<usize> {
    let often = |window: &[u8]| {
        let alone = window.iter().map(|&byte| share(byte)).product::<f64>();
        let pairs = window.windows(2).filter(|pair| pair.iter().all(u8::is_ascii_alphabetic)).count();
        alone * f64::from(4 << (2 * pairs))
    };
    let length = FRAGMENT.min(keyword.len());
    let windows = keyword.windows(length).map(often).enumerate();
    let start = windows.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(start, _)| start);
    start..start + length
}

/// About how often a byte stands in pages, scripts and JSON, case ignored.
fn share(byte: u8) -> f64 {
    /// Most frequent first; each group is about half as frequent as the one before.
    const GROUPS: [&[u8]; 6] = [
        b"etaoinsr",
        b" lcdpum",
        b"hfgb\"/.,:-_=",
        b"vywk0123456789<>'();",
        b"xjqz{}[]\\\n&%+",
        b"@#!?*|$~`^",
    ];
    let group = GROUPS.iter().position(|group| group.contains(&byte)).unwrap_or(GROUPS.len());
    0.08 / f64::from(1 << group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(automaton: &Automaton, text: &str) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        automaton.walk(text.as_bytes(), &mut |keyword, start| found.push((start, keyword)));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What a search for each keyword by itself finds.
    fn plain(keywords: &[String], text: &str) -> Vec<(usize, u32)> {
        let text = text.to_ascii_lowercase();
        let mut found: Vec<(usize, u32)> = (0..)
            .zip(keywords)
            .flat_map(|(number, keyword)| {
                let text = &text;
                (0..text.len())
                    .filter(move |&at| text[at..].starts_with(&**keyword))
                    .map(move |at| (at, number))
            })
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_keyword_is_found_wherever_it_stands() {
        let keywords =
            ["a", "ab", "bab", "abab", "ababx", "xoxb-", "token", "oken=", "_key", "secret_key", "://"]
                .map(str::to_owned);
        let automaton = Automaton::new(&keywords).unwrap();
        for length in (0..40).chain([127, 128, 129, 255, 256, 1000, 2047, 2048, 2049, 2200, 4096, 5000]) {
            let mut seed = 7_u32;
            let text: String = std::iter::repeat_with(|| {
                seed = (seed * 1_103 + 12_345) % 65_537;
                ["a", "b", "B", "abab", " ", "xoxB-", "TOKEN=", "secret_key", ":", "//", ".", "x"]
                    [seed as usize % 12]
            })
            .flat_map(|piece| piece.chars())
            .take(length)
            .collect();
            assert_eq!(found(&automaton, &text), plain(&keywords, &text), "{length}: {text}");
        }
        for at in (0..200).chain(2000..2200) {
            let text = format!("{}Secret_Key{}", ".".repeat(at), ".".repeat(2500 - at));
            assert_eq!(found(&automaton, &text), [(at, 9), (at + 6, 8)], "{at}");
        }
    }

    #[test]
    fn a_fragment_is_what_is_rare() {
        for (keyword, fragment) in [
            ("password", "password"),
            ("sk", "sk"),
            ("the_x-key_of", "e_x-key_"),
            ("functions_key", "ions_key"),
        ] {
            let window = rarest(keyword.as_bytes());
            assert_eq!(keyword.get(window).unwrap(), fragment);
        }
    }

    #[test]
    fn nothing_is_found_without_keywords() {
        assert!(found(&Automaton::new(&[]).unwrap(), &"a".repeat(5000)).is_empty());
    }
}
