//! A regular expression of a rule: checked when it is read, compiled when first needed, begun at its keyword.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use super::guard::is_break;
use regex_automata::meta::{Config, Regex};
use regex_automata::{Anchored, Input};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Nodes a pattern may have, repetitions counted out; more is refused.
const LARGEST: u64 = 1_000_000;
/// Prefixes followed while looking for a keyword, and bytes of each.
const PREFIXES: usize = 160;
const PREFIX_BYTES: usize = 24;
/// A class of at most so many letters is followed letter by letter.
const CLASS_LETTERS: usize = 12;
/// What may stand before a keyword for its place to be reckoned from it.
const LARGEST_LEAD: usize = 256;
/// Nesting that is followed.
const NESTING: u32 = 100;

/// A pattern, with the meaning of Go's regular expressions on bytes: no Unicode classes.
pub(super) struct Pattern {
    text: String,
    /// The group that holds the secret; 0: the first group that took part, else everything.
    pub(super) group: usize,
    groups: usize,
    /// Whether the first element, an optional repetition, is left out.
    beheaded: bool,
    longest: Option<usize>,
    shortest: usize,
    regex: OnceLock<Option<Regex>>,
    /// Kept from reading until it was planned with: parsing takes most of the time that rules need to load.
    hir: Option<Hir>,
}

/// Where matches begin, seen from the keywords.
pub(super) enum Plan {
    /// For each keyword (by its place in the list) the number of bytes a match may begin before it; and how many bytes
    /// each match has at least from its beginning on that break no word.
    Start(Vec<(usize, usize)>, usize),
    /// At most so many bytes before a keyword; `None`: nobody knows. For keywords the bytes that follow them at least
    /// and break no word.
    Near(Option<usize>, Vec<(usize, usize)>),
}

/// What a pattern found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Everything it matched.
    pub(super) whole: Range<usize>,
    /// The secret in it.
    pub(super) secret: Range<usize>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: String) -> Result<Self, String> {
        let hir = parse(&text)?;
        let size = size(&hir);
        if size > LARGEST {
            return Err(format!("the pattern is too large ({size} nodes, {LARGEST} are allowed)"));
        }
        Ok(Self {
            groups: hir.properties().explicit_captures_len(),
            longest: hir.properties().maximum_len(),
            shortest: hir.properties().minimum_len().unwrap_or(0),
            text,
            group: 0,
            beheaded: false,
            regex: OnceLock::new(),
            hir: Some(hir),
        })
    }

    /// What it was parsed into is needed no more.
    pub(super) fn forget(&mut self) {
        self.hir = None;
    }

    fn parsed(&self) -> Option<Cow<'_, Hir>> {
        match &self.hir {
            Some(hir) => Some(Cow::Borrowed(hir)),
            None => parse(&self.text).ok().map(Cow::Owned),
        }
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The most bytes a match has, where that is bounded.
    pub(super) fn longest(&self) -> Option<usize> {
        self.longest
    }

    /// The fewest bytes a match has.
    pub(super) fn shortest(&self) -> usize {
        self.shortest
    }

    /// Whether a match begins a word.
    pub(super) fn begins_word(&self) -> bool {
        use regex_syntax::hir::Look::{Start, WordAscii, WordUnicode};
        let Some(hir) = self.parsed() else { return false };
        let elements = elements(&hir);
        matches!(
            elements.first().map(|first| first.kind()),
            Some(HirKind::Look(Start | WordAscii | WordUnicode))
        ) && !self.beheaded
    }

    /// Reckons where matches begin, seen from the keywords (lower case). Has to be asked before the first search:
    /// an optional repetition in front of the keyword is left out of the pattern.
    pub(super) fn plan(&mut self, keywords: &[String]) -> Plan {
        let parsed = self.hir.take().or_else(|| parse(&self.text).ok());
        let Some(hir) = parsed else { return Plan::Near(None, Vec::new()) };
        let elements = elements(&hir);
        if let Some(anchors) = anchors(&begin_all(&elements), keywords) {
            return Plan::Start(anchors, unbroken(&elements));
        }
        if optional_head(&hir)
            && let Some(anchors) = elements.get(1..).and_then(|rest| anchors(&begin_all(rest), keywords))
        {
            self.beheaded = true;
            return Plan::Start(anchors, unbroken(elements.get(1..).unwrap_or_default()));
        }
        let mut lead = 0_usize;
        for (index, element) in elements.iter().enumerate() {
            let rest = elements.get(index..).unwrap_or_default();
            if let Some(anchors) = anchors(&begin_all(rest), keywords) {
                let offset = anchors.iter().map(|&(_, offset)| offset).max().unwrap_or(0);
                let least = unbroken(rest);
                let behind = anchors.iter().map(|&(keyword, offset)| {
                    let length = keywords.get(keyword).map_or(0, String::len);
                    (keyword, least.saturating_sub(offset + length))
                });
                return Plan::Near(Some(lead + offset), behind.collect());
            }
            lead = match element.properties().maximum_len() {
                Some(length) if lead + length <= LARGEST_LEAD => lead + length,
                _ => break,
            };
        }
        Plan::Near(None, Vec::new())
    }

    /// Words of which each match has one (lower case, at least `least` bytes each); none where that cannot be told.
    pub(super) fn words(&self, least: usize) -> Option<Vec<String>> {
        let hir = self.parsed()?;
        let elements = elements(&hir);
        let mut best: Option<(usize, Vec<String>)> = None;
        for index in 0..elements.len() {
            let prefixes = begin_all(elements.get(index..).unwrap_or_default());
            let Some(shortest) = prefixes.iter().map(|prefix| prefix.bytes.len()).min() else { continue };
            if shortest < least || best.as_ref().is_some_and(|&(length, _)| shortest <= length) {
                continue;
            }
            let words: Option<Vec<String>> =
                prefixes.into_iter().map(|prefix| String::from_utf8(prefix.bytes).ok()).collect();
            best = words.map(|words| (shortest, words)).or(best);
        }
        let (_, mut words) = best?;
        words.sort();
        words.dedup();
        Some(words)
    }

    /// The match that begins at the start of `range` and ends within it.
    pub(super) fn at(&self, haystack: &[u8], range: Range<usize>) -> Option<Found> {
        self.search(haystack, range, Anchored::Yes)
    }

    /// The first match within `range`.
    pub(super) fn first(&self, haystack: &[u8], range: Range<usize>) -> Option<Found> {
        self.search(haystack, range, Anchored::No)
    }

    /// Whether it matches anywhere.
    pub(super) fn is_match(&self, haystack: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(haystack))
    }

    fn search(&self, haystack: &[u8], range: Range<usize>, anchored: Anchored) -> Option<Found> {
        if range.start > range.end || range.end > haystack.len() {
            return None;
        }
        let regex = self.regex()?;
        let input = Input::new(haystack).span(range.clone()).anchored(anchored);
        let end = regex.search_half(&input)?.offset();
        if self.groups == 0 {
            let whole = match anchored {
                Anchored::Yes | Anchored::Pattern(_) => range.start..end,
                Anchored::No => regex.search(&input)?.range(),
            };
            return Some(Found { secret: whole.clone(), whole });
        }
        let mut captures = regex.create_captures();
        regex.search_captures(&input, &mut captures);
        let whole = captures.get_match()?.range();
        let secret = if self.group > 0 {
            captures.get_group(self.group).map(|span| span.range())?
        } else {
            (1..=self.groups)
                .find_map(|group| captures.get_group(group).filter(|span| !span.is_empty()))
                .map_or(whole.clone(), |span| span.range())
        };
        Some(Found { whole, secret })
    }

    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| self.compile()).as_ref()
    }

    /// Cannot fail for what [`Pattern::new`] let pass: its size is bounded there, so the compiler's limits are off.
    fn compile(&self) -> Option<Regex> {
        let mut hir = parse(&self.text).ok()?;
        if self.beheaded {
            hir = match hir.into_kind() {
                HirKind::Concat(elements) => Hir::concat(elements.into_iter().skip(1).collect()),
                _ => return None,
            };
        }
        let config = Config::new().utf8_empty(false).nfa_size_limit(None).hybrid_cache_capacity(1 << 20);
        Regex::builder().configure(config).build_from_hir(&hir).ok()
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<Hir, String> {
    let parser = |unicode: bool| {
        ParserBuilder::new()
            .utf8(false)
            .unicode(unicode)
            .nest_limit(NESTING)
            .build()
            .parse(text)
            .map_err(Box::new)
    };
    let parsed = match parser(false) {
        // `\pL` or a class of letters beyond ASCII.
        Err(error) if matches!(*error, regex_syntax::Error::Translate(_)) => parser(true),
        parsed => parsed,
    };
    parsed.map_err(|error| in_one_line(&error))
}

fn in_one_line(error: &regex_syntax::Error) -> String {
    let (kind, pattern, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.pattern(), error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.pattern(), error.span()),
        other => return other.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let near: String = pattern.get(span.start.offset..).unwrap_or_default().chars().take(20).collect();
    format!("{kind}, at character {} (`{near}`)", span.start.column)
}

fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Class(Class::Unicode(class)) => 4 * class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or_else(|| repetition.min.saturating_add(1)));
            size(&repetition.sub).saturating_mul(times.max(1))
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum: u64, part| sum.saturating_add(size(part)))
        }
    }
}

/// What follows one after the other, groups opened.
fn elements(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(elements).collect(),
        HirKind::Capture(capture) => elements(&capture.sub),
        _ => vec![hir],
    }
}

/// How many bytes each match has at least before one that breaks a word.
fn unbroken(elements: &[&Hir]) -> usize {
    let whole = elements.iter().take_while(|element| !breaks(element));
    whole.filter_map(|element| element.properties().minimum_len()).sum()
}

/// Whether a match may hold a byte that breaks a word.
fn breaks(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.iter().any(|&byte| is_break(byte)),
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).any(is_break))
        }
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| {
            (range.start()..=range.end().min('\u{7f}')).any(|letter| u8::try_from(letter).is_ok_and(is_break))
        }),
        HirKind::Repetition(repetition) => breaks(&repetition.sub),
        HirKind::Capture(capture) => breaks(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(breaks),
    }
}

fn optional_head(hir: &Hir) -> bool {
    let HirKind::Concat(parts) = hir.kind() else { return false };
    parts.first().is_some_and(|head| match head.kind() {
        HirKind::Repetition(repetition) => {
            repetition.min == 0 && head.properties().explicit_captures_len() == 0
        }
        _ => false,
    })
}

/// A way for a match to begin, lower case.
#[derive(Clone)]
struct Prefix {
    bytes: Vec<u8>,
    /// Whether what follows may be appended.
    open: bool,
}

impl Prefix {
    fn empty(open: bool) -> Vec<Self> {
        vec![Self { bytes: Vec::new(), open }]
    }
}

/// Every match of the elements begins (letters in lower case) with one of these.
fn begin_all(elements: &[&Hir]) -> Vec<Prefix> {
    let mut prefixes = Prefix::empty(true);
    for element in elements {
        if prefixes.iter().all(|prefix| !prefix.open) {
            break;
        }
        prefixes = append(prefixes, &begin(element));
    }
    prefixes
}

fn append(prefixes: Vec<Prefix>, next: &[Prefix]) -> Vec<Prefix> {
    let open = prefixes.iter().filter(|prefix| prefix.open).count();
    if prefixes.len() - open + open * next.len() > PREFIXES {
        return prefixes.into_iter().map(|prefix| Prefix { open: false, ..prefix }).collect();
    }
    let mut out = Vec::with_capacity(open * next.len());
    for prefix in prefixes {
        if !prefix.open {
            out.push(prefix);
            continue;
        }
        for tail in next {
            let mut bytes = prefix.bytes.clone();
            bytes.extend_from_slice(&tail.bytes);
            let fits = bytes.len() <= PREFIX_BYTES;
            bytes.truncate(PREFIX_BYTES);
            out.push(Prefix { bytes, open: tail.open && fits });
        }
    }
    out
}

fn begin(hir: &Hir) -> Vec<Prefix> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Prefix::empty(true),
        HirKind::Literal(literal) => {
            let mut bytes = literal.0.to_ascii_lowercase();
            let open = bytes.len() <= PREFIX_BYTES;
            bytes.truncate(PREFIX_BYTES);
            vec![Prefix { bytes, open }]
        }
        HirKind::Class(class) => letters(class)
            .map(|letters| letters.into_iter().map(|byte| Prefix { bytes: vec![byte], open: true }).collect())
            .unwrap_or_else(|| Prefix::empty(false)),
        HirKind::Repetition(repetition) => {
            let once = begin(&repetition.sub);
            let mut all = Prefix::empty(true);
            for _ in 0..repetition.min.min(PREFIX_BYTES as u32) {
                all = append(all, &once);
            }
            if repetition.max == Some(repetition.min) {
                return all;
            }
            let single = repetition.max == Some(1) && repetition.min == 0;
            let mut more = if repetition.min == 0 { once } else { std::mem::take(&mut all) };
            if !single {
                more.iter_mut().for_each(|prefix| prefix.open = false);
            }
            all.append(&mut more);
            all
        }
        HirKind::Capture(capture) => begin(&capture.sub),
        HirKind::Concat(parts) => begin_all(&parts.iter().collect::<Vec<_>>()),
        HirKind::Alternation(parts) => {
            let all: Vec<Prefix> = parts.iter().flat_map(begin).collect();
            if all.len() > PREFIXES { Prefix::empty(false) } else { all }
        }
    }
}

/// The letters of a small class, in lower case.
fn letters(class: &Class) -> Option<Vec<u8>> {
    let mut letters = Vec::new();
    let ranges: Vec<(u32, u32)> = match class {
        Class::Bytes(class) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Unicode(class) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
    };
    for (start, end) in ranges {
        if end > 0xff || (matches!(class, Class::Unicode(_)) && end > 0x7f) {
            return None;
        }
        for letter in start..=end {
            let letter = u8::try_from(letter).ok()?.to_ascii_lowercase();
            if !letters.contains(&letter) {
                letters.push(letter);
            }
            if letters.len() > CLASS_LETTERS {
                return None;
            }
        }
    }
    Some(letters)
}

/// For each prefix a keyword in it, the longest; none if one has none.
fn anchors(prefixes: &[Prefix], keywords: &[String]) -> Option<Vec<(usize, usize)>> {
    let mut anchors: Vec<(usize, usize)> = Vec::new();
    for prefix in prefixes {
        let anchor = keywords
            .iter()
            .enumerate()
            .filter_map(|(index, keyword)| {
                let offset = memchr::memmem::find(&prefix.bytes, keyword.as_bytes())?;
                Some((keyword.len(), index, offset))
            })
            .max_by_key(|&(length, ..)| length)?;
        anchors.push((anchor.1, anchor.2));
    }
    anchors.sort_unstable();
    anchors.dedup();
    if anchors.is_empty() { None } else { Some(anchors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pattern: &str, keywords: &[&str]) -> String {
        let mut pattern = Pattern::new(pattern.to_owned()).unwrap();
        let keywords: Vec<String> = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
        match pattern.plan(&keywords) {
            Plan::Start(anchors, _) => {
                format!("{anchors:?}{}", if pattern.beheaded { " beheaded" } else { "" })
            }
            Plan::Near(before, _) => format!("near {before:?}"),
        }
    }

    #[test]
    fn the_place_of_the_keyword_is_reckoned() {
        for (pattern, keywords, expected) in [
            (
                r"\b(sk_(?:live|test)_[0-9a-zA-Z]{24,247})\b",
                &["sk_live_", "sk_test_"][..],
                "[(0, 0), (1, 0)]",
            ),
            (
                r"\b((?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z2-7]{16})\b",
                &["a3t", "akia", "asia"],
                "[(0, 0), (1, 0), (2, 0)]",
            ),
            (
                r"xox[baprs]-[0-9]{10}",
                &["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-"],
                "[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]",
            ),
            (r"https?://hooks\.example\.com/([a-z]+)", &["hooks.example"], "[(0, 7), (0, 8)]"),
            (
                r"(?i)[\w.-]{0,50}?(?:adobe)(?:[ \t\w.-]{0,20})=([a-z0-9]{32})",
                &["adobe"],
                "[(0, 0)] beheaded",
            ),
            (r"\b([0-9]{8,10}:AA[\w-]{33})\b", &[":aa"], "near Some(10)"),
            (r"\b[\w]{0,50}adobe=(\w+)", &["adobe"], "near Some(50)"),
            (r"[a-z]+adobe", &["adobe"], "near None"),
            (r"(?:abc|def)x", &["abc"], "near None"),
            (r"(?i)passw(?:or)?d=", &["password", "passwd"], "[(0, 0), (1, 0)]"),
        ] {
            assert_eq!(plan(pattern, keywords), expected, "{pattern}");
        }
    }

    #[test]
    fn keywords_follow_from_a_pattern() {
        let words = |pattern: &str| Pattern::new(pattern.to_owned()).unwrap().words(3);
        assert_eq!(words("(?i)api[_-]?key").unwrap(), ["api-key", "api_key", "apikey"]);
        assert_eq!(words(r"[0-9]{8}:token[a-z]+").unwrap(), [":token"]);
        assert_eq!(words(r"[0-9a-f]{32}"), None);
        assert_eq!(words(r"pw|password"), None);
    }

    #[test]
    fn what_is_too_large_or_wrong_is_refused() {
        for (pattern, reason) in [
            ("a(b", "unclosed group"),
            ("(?:(?:a{1000}){1000}){1000}", "too large"),
            ("[z-a]", "invalid character class range"),
            (r"(?<a>b)\k<a>", "unrecognized escape sequence"),
            ("a**{2", "unclosed counted repetition"),
        ] {
            let error = Pattern::new(pattern.to_owned()).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
            assert!(!error.contains('\n'));
        }
        assert!(Pattern::new(r"\pL+ё[а-я]".to_owned()).is_ok());
    }

    #[test]
    fn the_secret_is_the_group() {
        let find = |pattern: &str, group, text: &str| {
            let mut pattern = Pattern::new(pattern.to_owned()).unwrap();
            pattern.group = group;
            let found = pattern.first(text.as_bytes(), 0..text.len());
            found.map(|found| (found.whole, found.secret))
        };
        assert_eq!(find("a(?:x)(b)?(c)?", 0, "zaxc"), Some((1..4, 3..4)));
        assert_eq!(find("a(b)(c)", 2, "abc"), Some((0..3, 2..3)));
        assert_eq!(find("abc", 0, "xabc"), Some((1..4, 1..4)));
        assert_eq!(find("a(b)?(c)", 1, "ac"), None);
    }
}
