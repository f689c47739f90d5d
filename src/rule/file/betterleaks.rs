//! What can be said of betterleaks' expressions without running them: which secrets a filter drops whatever else holds.

use super::super::allow::{Allowlist, Stopwords};
use super::super::gitleaks;
use super::super::pattern::Pattern;
use super::{Draft, Key, Reader, Value};
use crate::model::Confidence;

impl Reader<'_> {
    /// A key of betterleaks alone, or one that says the same here. Expressions are not run.
    pub(super) fn betterleaks_key(&mut self, draft: &mut Draft, key: &Key<'_>, value: &Value<'_>) -> bool {
        match key.get_ref().as_ref() {
            "filter" => {
                if let Some(filter) = self.string(value) {
                    let (list, entropy) = self.dropped(value, &filter);
                    draft.allowlists.extend(list);
                    draft.entropy = draft.entropy.or(entropy);
                }
            }
            "validate" | "analyze" | "revoke" => {
                self.string(value);
            }
            "confidence" => {
                let levels = [Confidence::Low, Confidence::Medium, Confidence::High];
                draft.confidence = self.one_of(value, &levels.map(|level| (level.as_str(), level)));
            }
            "specificity" => {
                draft.specificity =
                    self.integer(value, -1000..=1000).and_then(|number| i32::try_from(number).ok());
            }
            _ => return false,
        }
        true
    }

    /// What an expression drops, as an allowlist and as the least entropy.
    pub(super) fn dropped(&mut self, value: &Value<'_>, filter: &str) -> (Option<Allowlist>, Option<f32>) {
        let drops = drops(filter);
        let mut regexes = Vec::new();
        for pattern in &drops.regexes {
            match Pattern::new(gitleaks::allowlist(pattern)) {
                Ok(mut pattern) => {
                    pattern.forget();
                    regexes.push(pattern);
                }
                Err(reason) => self.fault(&value.span(), format!("regex {pattern:?}: {reason}")),
            }
        }
        let says = !regexes.is_empty() || !drops.words.is_empty();
        let list = Allowlist { regexes, stopwords: Stopwords::new(drops.words), ..Allowlist::default() };
        (says.then_some(list), drops.entropy)
    }
}

/// What a filter drops.
#[derive(Debug, Default, PartialEq)]
pub(in crate::rule) struct Drops {
    /// Secrets of fewer bits a byte.
    pub(in crate::rule) entropy: Option<f32>,
    /// Secrets that one of these matches.
    pub(in crate::rule) regexes: Vec<String>,
    /// Secrets with one of these words in them.
    pub(in crate::rule) words: Vec<String>,
}

/// Reads a filter: of alternatives (`||`) at its top those that compare the entropy of the secret, or look for patterns or words in
/// it. All others, and filters that are no such list, say nothing: their rules find more than they would.
pub(in crate::rule) fn drops(filter: &str) -> Drops {
    let mut drops = Drops::default();
    if let Some(tokens) = tokens(filter) {
        alternatives(&tokens, &mut drops);
    }
    drops
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f32),
    Mark(&'static str),
}

/// Operators, the longer ones first.
const MARKS: [&str; 25] = [
    "||", "&&", "<=", ">=", "==", "!=", "??", "(", ")", "[", "]", "{", "}", "<", ">", ",", ".", ";", "?",
    ":", "!", "=", "+", "-", "*",
];

/// `None`: something else stands in it.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => {
                let (text, length) = quoted(rest, first)?;
                tokens.push(Token::Text(text));
                length
            }
            '0'..='9' => {
                let length =
                    rest.find(|byte: char| !byte.is_ascii_digit() && byte != '.').unwrap_or(rest.len());
                tokens.push(Token::Number(rest.get(..length)?.parse().ok()?));
                length
            }
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let length = rest
                    .find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest.get(..length)?.to_owned()));
                length
            }
            _ => {
                let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark))?;
                tokens.push(Token::Mark(mark));
                mark.len()
            }
        };
        rest = rest.get(length..)?.trim_start();
    }
    Some(tokens)
}

/// The text of a string, and how long it is as written: raw between backquotes, else with escapes.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Some((text, at + 1)),
            '\\' if quote != '`' => match letters.next()?.1 {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                other => text.push(other),
            },
            _ => text.push(letter),
        }
    }
    None
}

fn alternatives(tokens: &[Token], drops: &mut Drops) {
    let tokens = bare(tokens);
    let at_top =
        |mark: &str| top(tokens).any(|(_, token)| matches!(token, Token::Mark(known) if *known == mark));
    if [";", "?", "??"].into_iter().any(at_top) {
        return;
    }
    let ends: Vec<usize> =
        top(tokens).filter(|(_, token)| **token == Token::Mark("||")).map(|(at, _)| at).collect();
    let mut start = 0;
    for &end in ends.iter().chain([&tokens.len()]) {
        let part = tokens.get(start..end).unwrap_or_default();
        start = end + 1;
        if bare(part).len() < part.len() { alternatives(part, drops) } else { alternative(part, drops) }
    }
}

/// Tokens outside of all brackets.
fn top(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter(move |(_, token)| {
        match token {
            Token::Mark("(" | "[" | "{") => depth += 1,
            Token::Mark(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

/// Without the brackets around all of them.
fn bare(tokens: &[Token]) -> &[Token] {
    match tokens {
        [Token::Mark("("), inner @ .., Token::Mark(")")] => {
            let mut depth = 0_i32;
            let is_one = inner.iter().all(|token| {
                match token {
                    Token::Mark("(") => depth += 1,
                    Token::Mark(")") => depth -= 1,
                    _ => {}
                }
                depth >= 0
            });
            if is_one { bare(inner) } else { tokens }
        }
        _ => tokens,
    }
}

/// `entropy(finding["secret"]) < 3.5`, `matchesAny(finding["secret"], [...])`, `containsAny(finding["secret"], [...])`.
fn alternative(tokens: &[Token], drops: &mut Drops) {
    use Token::{Mark, Number, Text, Word};
    let tokens = match tokens {
        [Word(room), Mark("."), rest @ ..] if room == "filter" => rest,
        _ => tokens,
    };
    let [Word(name), Mark("("), Word(finding), Mark("["), Text(secret), Mark("]"), rest @ ..] = tokens else {
        return;
    };
    if finding != "finding" || secret != "secret" {
        return;
    }
    match (name.as_str(), rest) {
        ("entropy", [Mark(")"), Mark("<" | "<="), Number(least)]) => {
            drops.entropy = Some(drops.entropy.map_or(*least, |known| known.max(*least)));
        }
        (name @ ("matchesAny" | "containsAny"), [Mark(","), Mark("["), list @ .., Mark("]"), Mark(")")]) => {
            let is_list = list.iter().all(|token| matches!(token, Text(_) | Mark(",")));
            let texts = list.iter().filter_map(|token| match token {
                Text(text) => Some(text.clone()),
                _ => None,
            });
            if is_list {
                let to = if name == "matchesAny" { &mut drops.regexes } else { &mut drops.words };
                to.extend(texts);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_drops_whatever_else_holds_is_known() {
        let some = |entropy: f32| Drops { entropy: Some(entropy), ..Drops::default() };
        for (filter, expected) in [
            ("entropy(finding[\"secret\"]) < 3.5", some(3.5)),
            ("filter.entropy(finding[\"secret\"]) <= 2", some(2.0)),
            ("\n(entropy(finding[\"secret\"]) < 3.0 || tokenRatio(finding[\"secret\"]) >= 2.5)\n", some(3.0)),
            ("entropy(finding[\"secret\"]) < 3.0 && size(finding[\"secret\"]) < 9", Drops::default()),
            ("entropy(finding[\"match\"]) < 3.0", Drops::default()),
            ("!(entropy(finding[\"secret\"]) < 3.0)", Drops::default()),
            ("a == 1 ? entropy(finding[\"secret\"]) < 3.0 : false", Drops::default()),
            ("let low = 3.0; entropy(finding[\"secret\"]) < low", Drops::default()),
            (
                "entropy(finding[\"secret\"]) < 3.0 || (a && b) || entropy(finding[\"secret\"]) < 4.0",
                some(4.0),
            ),
            (
                "matchesAny(finding[\"secret\"], [\n  `^a\\d\"+$`,\n  \"b\\\\d\",\n]) || containsAny(finding[\"secret\"], [\"dummy\"])",
                Drops {
                    regexes: vec!["^a\\d\"+$".to_owned(), "b\\d".to_owned()],
                    words: vec!["dummy".to_owned()],
                    entropy: None,
                },
            ),
            ("matchesAny(finding[\"secret\"], words)", Drops::default()),
            ("`never closed", Drops::default()),
            ("", Drops::default()),
            ("((((", Drops::default()),
        ] {
            assert_eq!(drops(filter), expected, "{filter}");
        }
    }
}
