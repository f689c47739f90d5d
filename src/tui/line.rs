//! A line that is being typed: a cursor, words, a history.

use crossterm::event::KeyEvent;

use super::keys;

/// Lines remembered.
const HISTORY: usize = 100;
/// Longest line, in bytes.
const LONGEST: usize = 2000;

/// A line of text with a cursor in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) text: String,
    /// In bytes.
    pub(super) cursor: usize,
    /// Which line of the history is shown, from the newest, and what was typed before.
    back: Option<(usize, String)>,
}

impl Line {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len(), back: None }
    }

    /// Takes a key that edits; whether it did.
    pub(super) fn key(&mut self, key: KeyEvent, history: &[String]) -> bool {
        let Some(name) = keys::name(key) else { return false };
        match name.as_str() {
            "space" => self.insert(' '),
            "backspace" | "ctrl-h" => self.remove(self.before()),
            "delete" => {
                let after = self.after();
                self.text.drain(self.cursor..after);
            }
            "left" | "ctrl-b" => self.cursor = self.before(),
            "right" | "ctrl-f" => self.cursor = self.after(),
            "home" | "ctrl-a" => self.cursor = 0,
            "end" | "ctrl-e" => self.cursor = self.text.len(),
            "ctrl-u" => self.remove(0),
            "ctrl-k" => self.text.truncate(self.cursor),
            "ctrl-w" => {
                let before = self.text.get(..self.cursor).unwrap_or_default().trim_end();
                self.remove(before.rfind(' ').map_or(0, |at| at + 1));
            }
            "up" | "ctrl-p" => self.recall(history, true),
            "down" | "ctrl-n" => self.recall(history, false),
            _ => {
                let mut letters = name.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => self.insert(letter),
                    _ => return false,
                }
            }
        }
        true
    }

    /// Puts text at the cursor; control characters and line breaks become spaces.
    pub(super) fn paste(&mut self, text: &str) {
        text.chars().for_each(|letter| self.insert(if letter.is_control() { ' ' } else { letter }));
    }

    /// The word from `start` to the cursor becomes `with`.
    pub(super) fn replace(&mut self, start: usize, with: &str) {
        self.remove(start);
        with.chars().for_each(|letter| self.insert(letter));
    }

    fn insert(&mut self, letter: char) {
        if self.text.len() < LONGEST && self.text.is_char_boundary(self.cursor) {
            self.text.insert(self.cursor, letter);
            self.cursor += letter.len_utf8();
        }
    }

    fn remove(&mut self, from: usize) {
        if self.text.is_char_boundary(from) && from <= self.cursor {
            self.text.drain(from..self.cursor);
            self.cursor = from;
        }
    }

    fn before(&self) -> usize {
        self.text.get(..self.cursor).and_then(|text| text.char_indices().next_back()).map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text.get(self.cursor..).and_then(|text| text.chars().next());
        self.cursor + next.map_or(0, char::len_utf8)
    }

    fn recall(&mut self, history: &[String], older: bool) {
        let (at, typed) = match (self.back.take(), older) {
            (None, true) => (0, self.text.clone()),
            (None, false) => return,
            (Some((at, typed)), true) => ((at + 1).min(history.len().saturating_sub(1)), typed),
            (Some((0, typed)), false) => {
                *self = Self::new(&typed);
                return;
            }
            (Some((at, typed)), false) => (at - 1, typed),
        };
        if let Some(line) = history.len().checked_sub(at + 1).and_then(|at| history.get(at)) {
            *self = Self { back: Some((at, typed)), ..Self::new(line) };
        }
    }
}

/// Adds a line to a history: the newest last, none twice.
pub(super) fn remember(history: &mut Vec<String>, line: &str) {
    if line.is_empty() {
        return;
    }
    history.retain(|known| known != line);
    history.push(line.to_owned());
    if history.len() > HISTORY {
        history.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    fn typed(line: &mut Line, keys: &str, history: &[String]) {
        for word in keys.split(' ') {
            let (code, modifiers) = match word {
                "left" => (KeyCode::Left, KeyModifiers::NONE),
                "up" => (KeyCode::Up, KeyModifiers::NONE),
                "down" => (KeyCode::Down, KeyModifiers::NONE),
                "backspace" => (KeyCode::Backspace, KeyModifiers::NONE),
                "delete" => (KeyCode::Delete, KeyModifiers::NONE),
                "space" => (KeyCode::Char(' '), KeyModifiers::NONE),
                word if word.starts_with('^') => {
                    (KeyCode::Char(word.chars().nth(1).unwrap()), KeyModifiers::CONTROL)
                }
                word => (KeyCode::Char(word.chars().next().unwrap()), KeyModifiers::NONE),
            };
            assert!(line.key(KeyEvent::new(code, modifiers), history), "{word}");
        }
    }

    #[test]
    fn a_line_is_edited_as_in_a_shell() {
        for (keys, text, cursor) in [
            ("a ü c", "aüc", 4),
            ("a ü c left left x", "axüc", 2),
            ("a ü backspace c", "ac", 2),
            ("a b left delete", "a", 1),
            ("a space b c ^w x", "a x", 3),
            ("a b ^a x ^e y", "xaby", 4),
            ("a b c left ^k", "ab", 2),
            ("a b c left ^u", "c", 0),
            ("^b ^h ^w left delete delete a", "a", 1),
        ] {
            let mut line = Line::default();
            typed(&mut line, keys, &[]);
            assert_eq!((line.text.as_str(), line.cursor), (text, cursor), "{keys}");
        }
        let mut line = Line::new("ho");
        line.replace(0, "host:");
        line.paste("a\nb");
        assert_eq!(line.text, "host:a b");
    }

    #[test]
    fn old_lines_come_back() {
        let mut history = Vec::new();
        for line in ["one", "two", "one", "three", ""] {
            remember(&mut history, line);
        }
        assert_eq!(history, ["two", "one", "three"]);
        for (keys, text) in [
            ("x up", "three"),
            ("x up up", "one"),
            ("x up up up up up", "two"),
            ("x up up down", "three"),
            ("x up down", "x"),
            ("x down", "x"),
        ] {
            let mut line = Line::default();
            typed(&mut line, keys, &history);
            assert_eq!(line.text, text, "{keys}");
        }
    }
}
