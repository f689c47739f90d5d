//! What leaves the screen: leaks to a file, text to the clipboard. All of it redacted.

use super::super::index::{Row, Sort};
use super::prompt::{Choice, Item, Menu, Prompt};
use super::{App, Effect};
use crate::model::event::Leak;
use crate::model::shown::count;

/// Which leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that are marked.
    Marked,
    /// The one, or the group, at hand.
    AtHand,
    /// All that are listed.
    Listed,
}

impl App {
    pub(super) fn ask_export(&mut self) {
        let mut scopes = Vec::new();
        if !self.marked.is_empty() {
            scopes.push(Scope::Marked);
        } else if self.leak_at_hand().is_some() {
            scopes.push(Scope::AtHand);
        }
        if self.index.len() > 0 {
            scopes.push(Scope::Listed);
        }
        let mut items = Vec::new();
        for (upper, scope) in [false, true].into_iter().zip(scopes) {
            let amount = self.serials(scope).len() as u64;
            let what = match scope {
                Scope::Marked => count(amount, "marked leak", "marked leaks"),
                Scope::AtHand if amount == 1 => "this leak".to_owned(),
                Scope::AtHand => format!("this group of {}", count(amount, "leak", "leaks")),
                Scope::Listed => format!("all that is listed: {}", count(amount, "leak", "leaks")),
            };
            for format in &self.setup.formats {
                let Some(first) = format.chars().next() else { continue };
                let key = if upper { first.to_ascii_uppercase() } else { first };
                let label = format!("{format}: {what}");
                items.push(Item { key, label, choice: Choice::Export(format, scope) });
            }
        }
        if items.is_empty() {
            return self.say("there is nothing to export".to_owned(), false);
        }
        self.prompt = Some(Prompt::Menu(Menu::new("Export to a file in this folder", items)));
    }

    pub(super) fn export(&mut self, format: &'static str, scope: Scope) -> Vec<Effect> {
        let mut serials = self.serials(scope);
        serials.sort_unstable();
        let leaks: Vec<Leak> =
            serials.iter().filter_map(|&serial| Some(self.store.get(serial)?.leak.clone())).collect();
        vec![Effect::Export(format, leaks)]
    }

    fn serials(&self, scope: Scope) -> Vec<u64> {
        match scope {
            Scope::Marked => self.marked.iter().copied().collect(),
            Scope::Listed => {
                (0..self.index.len()).filter_map(|row| self.index.at(Sort::Newest, row)).collect()
            }
            Scope::AtHand => match (&self.detail, self.chosen()) {
                (Some(detail), _) => vec![detail.serial],
                (None, Some(Row::Group(key))) => self
                    .group_of(&key)
                    .map(|group| group.members.iter().copied().collect())
                    .unwrap_or_default(),
                (None, Some(Row::Leak(serial))) => vec![serial],
                _ => Vec::new(),
            },
        }
    }

    pub(super) fn ask_copy(&mut self) {
        let Some((_, entry)) = self.leak_at_hand() else { return };
        let leak = &entry.leak;
        let mut texts = vec![('l', "one line", line(leak))];
        if let Some(secret) = &leak.secret {
            texts.push(('f', "its fingerprint", secret.fingerprint.clone()));
        }
        texts.push(('i', "its identity", leak.id.clone()));
        if let Some(http) = &leak.http {
            let host = http.host.as_deref().unwrap_or_default();
            let target = http.target.as_deref().unwrap_or_default();
            texts.push(('u', "host and path, masked", format!("{host}{target}")));
        }
        texts.push(('e', "the redacted excerpt", leak.evidence.clone()));
        texts.push(('j', "the event as JSON", serde_json::to_string(leak).unwrap_or_default()));
        let items = texts
            .into_iter()
            .map(|(key, label, text)| Item { key, label: label.to_owned(), choice: Choice::Copy(text) })
            .collect();
        self.prompt = Some(Prompt::Menu(Menu::new("Copy", items)));
    }
}

/// A leak in one line, as a person would tell another.
fn line(leak: &Leak) -> String {
    let mut parts = vec![leak.severity.as_str().to_uppercase(), leak.title.clone()];
    parts.extend(leak.secret.as_ref().map(|secret| secret.redacted.clone()));
    let name = leak.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    parts.push(format!("in {}{name}", leak.surface.as_str()));
    if let Some(http) = &leak.http {
        let method = http.method.as_deref().unwrap_or_default();
        let host = http.host.as_deref().unwrap_or_default();
        let target = http.target.as_deref().unwrap_or_default();
        parts.push(format!("{method} {host}{target}"));
    }
    parts.push(format!("{} -> {}", leak.flow.client, leak.flow.server));
    parts.push(leak.time.to_string());
    parts.join("  ")
}
