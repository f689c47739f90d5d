//! What a filter may go on with: fields, then their values.

use super::{FIELDS, Field};

/// Something that may be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Completion {
    /// The word at the cursor becomes this.
    pub(in crate::tui) text: String,
    /// A line on it.
    pub(in crate::tui) about: &'static str,
}

/// Completions shown at once.
const MOST: usize = 50;

/// Where the word before `cursor` (in bytes) begins, and what it may become. `known` are values seen of a field.
pub(in crate::tui) fn complete(
    text: &str,
    cursor: usize,
    known: &dyn Fn(Field) -> Vec<String>,
) -> (usize, Vec<Completion>) {
    let before = text.get(..cursor).unwrap_or(text);
    let start = before.rfind([' ', '(', ')']).map_or(0, |at| at + 1);
    let word = before.get(start..).unwrap_or_default();
    let sign = word.len() - word.trim_start_matches(['-', '!']).len();
    let (start, word) = (start + sign, word.get(sign..).unwrap_or_default());
    let Some(end) = word.find([':', '=', '<', '>', '!']) else {
        let found = FIELDS.iter().filter(|field| field.1.starts_with(&word.to_ascii_lowercase()));
        let all = found.map(|field| Completion { text: format!("{}:", field.1), about: field.3 });
        return (start, all.collect());
    };
    let (name, rest) = word.split_at(end);
    let Some((field, _)) = Field::named(name) else { return (start, Vec::new()) };
    let marks = rest.len() - rest.trim_start_matches([':', '=', '<', '>', '!']).len();
    let (mark, values) = rest.split_at(marks);
    let (done, part) = values.rsplit_once('|').map_or(("", values), |(done, part)| (done, part));
    let done = if done.is_empty() { String::new() } else { format!("{done}|") };
    let mut all: Vec<String> = field.values().iter().map(|&value| value.to_owned()).collect();
    all.extend(known(field));
    let part = part.trim_start_matches('"').to_ascii_lowercase();
    let fitting = all.iter().filter(|value| {
        let value = value.to_ascii_lowercase();
        value.contains(&part) && value != part
    });
    let mut fitting: Vec<&String> = fitting.collect();
    // Those that begin so come first.
    fitting.sort_by_key(|value| !value.to_ascii_lowercase().starts_with(&part));
    let quoted = |value: &str| {
        if value.contains([' ', '(', ')']) { format!("\"{value}\"") } else { value.to_owned() }
    };
    let found = fitting.into_iter().take(MOST);
    let all =
        found.map(|value| Completion { text: format!("{name}{mark}{done}{}", quoted(value)), about: "" });
    (start, all.collect())
}
