//! What the screen asks: a filter, a choice from a menu, whether a secret shall be seen.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Position;

use super::super::filter::{Completion, Field, Filter, Wrong, complete};
use super::super::keys;
use super::super::line::{self, Line};
use super::super::view;
use super::export::Scope;
use super::{App, Effect, REVEALED, Revealed};
use crate::baseline::Entry;

/// Values of a field that completion knows, from the leaks seen last.
const KNOWN: usize = 30;
/// Leaks that are looked at for them.
const SEEN: usize = 2000;

/// A question.
#[derive(Debug)]
pub(in crate::tui) enum Prompt {
    /// Which leaks?
    Filter(Box<Asking>),
    /// Which of these?
    Menu(Menu),
    /// Shall the secret of this leak be seen?
    Reveal(u64),
    /// Why is this muted?
    Reason(Box<Reason>),
}

/// Why something is muted, while it is typed.
#[derive(Debug)]
pub(in crate::tui) struct Reason {
    pub(in crate::tui) entry: Entry,
    pub(in crate::tui) line: Line,
    /// What is wrong with it.
    pub(in crate::tui) wrong: Option<&'static str>,
}

/// A filter that is being typed.
#[derive(Debug)]
pub(in crate::tui) struct Asking {
    pub(in crate::tui) line: Line,
    pub(in crate::tui) wrong: Option<Wrong>,
    pub(in crate::tui) completions: Vec<Completion>,
    /// Which of them Tab has brought.
    pub(in crate::tui) chosen: Option<usize>,
    /// Where the word begins that they complete.
    start: usize,
    /// The filter before.
    before: String,
}

/// Things to choose from.
#[derive(Debug)]
pub(in crate::tui) struct Menu {
    pub(in crate::tui) title: String,
    pub(in crate::tui) items: Vec<Item>,
    pub(in crate::tui) chosen: usize,
}

/// One of them.
#[derive(Debug)]
pub(in crate::tui) struct Item {
    pub(in crate::tui) key: char,
    pub(in crate::tui) label: String,
    pub(super) choice: Choice,
}

/// What follows from it.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    Mute(Entry),
    Export(&'static str, Scope),
    Copy(String),
}

impl Menu {
    pub(super) fn new(title: &str, items: Vec<Item>) -> Self {
        Self { title: title.to_owned(), items, chosen: 0 }
    }
}

impl App {
    pub(super) fn ask_filter(&mut self) {
        self.help = None;
        let text = self.filter.text();
        let line = Line::new(text);
        let before = text.to_owned();
        self.prompt = Some(Prompt::Filter(Box::new(Asking {
            line,
            wrong: None,
            completions: Vec::new(),
            chosen: None,
            start: 0,
            before,
        })));
        self.suggest();
    }

    /// Whether to reveal the secret of the leak that is looked at.
    pub(super) fn ask_reveal(&mut self) {
        if self.revealed.take().is_some() {
            return;
        }
        let Some((serial, entry)) = self.leak_at_hand() else { return };
        let Some(secret) = &entry.leak.secret else {
            return self.say("there is no secret to it".to_owned(), false);
        };
        if !self.setup.reveal {
            return self.say("nothing is revealed: --never-reveal".to_owned(), false);
        }
        if !self.vault.has(&secret.fingerprint) {
            return self.say("its value is not kept any more".to_owned(), false);
        }
        if self.setup.asks {
            self.prompt = Some(Prompt::Reveal(serial));
        } else {
            self.reveal(serial);
        }
    }

    fn reveal(&mut self, serial: u64) {
        self.revealed = Some(Revealed { serial, until: self.now + REVEALED });
    }

    pub(super) fn prompt_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let name = keys::name(key).unwrap_or_default();
        match self.prompt.take() {
            Some(Prompt::Reveal(serial)) => {
                if matches!(name.as_str(), "r" | "y" | "enter") {
                    self.reveal(serial);
                }
                Vec::new()
            }
            Some(Prompt::Menu(menu)) => self.menu_key(menu, &name),
            Some(Prompt::Filter(asking)) => {
                self.filter_key(asking, key, &name);
                Vec::new()
            }
            Some(Prompt::Reason(reason)) => self.reason_key(reason, key, &name),
            None => Vec::new(),
        }
    }

    fn menu_key(&mut self, mut menu: Menu, name: &str) -> Vec<Effect> {
        let last = menu.items.len().saturating_sub(1);
        let by_key = menu.items.iter().position(|item| name.chars().eq([item.key]));
        let taken = match name {
            "enter" => Some(menu.chosen),
            "up" => {
                menu.chosen = menu.chosen.checked_sub(1).unwrap_or(last);
                None
            }
            "down" | "tab" => {
                menu.chosen = if menu.chosen >= last { 0 } else { menu.chosen + 1 };
                None
            }
            "esc" | "q" | "ctrl-c" => return Vec::new(),
            _ => by_key,
        };
        match taken.and_then(|at| menu.items.get(at)) {
            Some(item) => self.choose(item.choice.clone()),
            None => {
                self.prompt = Some(Prompt::Menu(menu));
                Vec::new()
            }
        }
    }

    fn reason_key(&mut self, mut reason: Box<Reason>, key: KeyEvent, name: &str) -> Vec<Effect> {
        match name {
            "esc" | "ctrl-c" => return Vec::new(),
            "enter" => match reason.entry.clone().because(&reason.line.text) {
                Ok(entry) => return self.mute(entry),
                Err(wrong) => reason.wrong = Some(wrong),
            },
            _ => {
                reason.line.key(key, &[]);
                reason.wrong = None;
            }
        }
        self.prompt = Some(Prompt::Reason(reason));
        Vec::new()
    }

    fn choose(&mut self, choice: Choice) -> Vec<Effect> {
        match choice {
            Choice::Mute(entry) => {
                let reason = Reason { entry, line: Line::new(""), wrong: None };
                self.prompt = Some(Prompt::Reason(Box::new(reason)));
                Vec::new()
            }
            Choice::Export(format, scope) => self.export(format, scope),
            Choice::Copy(text) => {
                self.say("copied, where the terminal lets programs copy".to_owned(), false);
                vec![Effect::Copy(text)]
            }
        }
    }

    /// A click takes the item it hits, or goes back.
    pub(super) fn prompt_click(&mut self, at: Position) -> Vec<Effect> {
        let hit = view::menu_item_at(self, at);
        match (self.prompt.take(), hit) {
            (Some(Prompt::Menu(menu)), Some(hit)) => match menu.items.get(hit) {
                Some(item) => self.choose(item.choice.clone()),
                None => Vec::new(),
            },
            (Some(typed @ (Prompt::Filter(_) | Prompt::Reason(_))), _) => {
                self.prompt = Some(typed);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(Prompt::Filter(asking)) = &mut self.prompt {
            asking.line.paste(text);
            asking.chosen = None;
            self.try_filter();
        } else if let Some(Prompt::Reason(reason)) = &mut self.prompt {
            reason.line.paste(text);
        }
    }

    fn filter_key(&mut self, mut asking: Box<Asking>, key: KeyEvent, name: &str) {
        match name {
            "esc" | "ctrl-c" => {
                let before = std::mem::take(&mut asking.before);
                self.set_filter(&before);
            }
            "enter" => match Filter::parse(&asking.line.text) {
                Ok(filter) => {
                    line::remember(&mut self.history, filter.text());
                    let text = filter.text().to_owned();
                    if text != self.filter.text() {
                        self.set_filter(&text);
                    }
                }
                Err(wrong) => {
                    asking.line.cursor = wrong.at.min(asking.line.text.len());
                    asking.completions.clear();
                    asking.wrong = Some(wrong);
                    self.prompt = Some(Prompt::Filter(asking));
                }
            },
            "tab" | "backtab" => {
                let count = asking.completions.len();
                if count > 0 {
                    let at = match (asking.chosen, name) {
                        (None, "tab") => 0,
                        (None, _) => count - 1,
                        (Some(at), "tab") => (at + 1) % count,
                        (Some(at), _) => (at + count - 1) % count,
                    };
                    let text = asking.completions.get(at).map(|found| found.text.clone());
                    asking.line.replace(asking.start, &text.unwrap_or_default());
                    // The only one is taken: what may follow is shown.
                    asking.chosen = (count > 1).then_some(at);
                }
                self.prompt = Some(Prompt::Filter(asking));
                self.try_filter();
            }
            _ => {
                if asking.line.key(key, &self.history) || key.code == KeyCode::Null {
                    asking.chosen = None;
                }
                self.prompt = Some(Prompt::Filter(asking));
                self.try_filter();
            }
        }
    }

    /// Applies what has been typed so far, where it is a filter.
    fn try_filter(&mut self) {
        self.suggest();
        let Some(Prompt::Filter(asking)) = &mut self.prompt else { return };
        // A word that may become a field is no search yet.
        let is_field = asking.line.cursor == asking.line.text.len()
            && asking.start < asking.line.cursor
            && asking.completions.first().is_some_and(|first| first.text.ends_with(':'));
        let before = asking.line.text.get(..asking.start).filter(|_| is_field);
        let whole = before.map(|before| before.trim_end_matches(['-', '!']));
        match Filter::parse(whole.unwrap_or(&asking.line.text)) {
            Ok(filter) => {
                asking.wrong = None;
                if filter.text() != self.filter.text() {
                    self.filter = filter;
                    self.apply_filter();
                }
            }
            Err(wrong) => asking.wrong = Some(wrong),
        }
    }

    /// What the word at the cursor may become; while Tab goes through them they stay.
    fn suggest(&mut self) {
        let Some(Prompt::Filter(asking)) = &self.prompt else { return };
        if asking.chosen.is_some() {
            return;
        }
        let known = |field| self.known(field);
        let (start, completions) = complete(&asking.line.text, asking.line.cursor, &known);
        if let Some(Prompt::Filter(asking)) = &mut self.prompt {
            (asking.start, asking.completions) = (start, completions);
        }
    }

    /// Values of a field among the leaks seen last.
    fn known(&self, field: Field) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for serial in self.store.serials().rev().take(SEEN) {
            let Some(entry) = self.store.get(serial) else { continue };
            let leak = &entry.leak;
            let http = leak.http.as_ref();
            let value = match field {
                Field::Rule => Some(leak.rule.clone()),
                Field::Title => Some(leak.title.clone()),
                Field::Host => http.and_then(|http| http.host.clone()),
                Field::Endpoint => Some(entry.endpoint.to_string()),
                Field::Name => leak.name.clone(),
                Field::Client => Some(leak.flow.client.ip().to_string()),
                Field::Server => Some(leak.flow.server.to_string()),
                Field::Protocol => Some(leak.flow.protocol.clone()),
                Field::Process => leak.process.as_ref().map(|process| process.name.clone()),
                Field::Source => Some(leak.source.clone()),
                Field::Cwe => leak.cwe.first().cloned(),
                Field::Owasp => leak.owasp.first().map(ToString::to_string),
                _ => None,
            };
            if let Some(value) = value
                && !found.contains(&value)
            {
                found.push(value);
                if found.len() >= KNOWN {
                    break;
                }
            }
        }
        found
    }

    /// From here on these leaks are listed; a filter that is wrong changes nothing.
    pub(super) fn set_filter(&mut self, text: &str) {
        match Filter::parse(text) {
            Ok(filter) => {
                self.filter = filter;
                self.apply_filter();
            }
            Err(wrong) => self.say(wrong.to_string(), true),
        }
    }
}
