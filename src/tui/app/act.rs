//! What keys and the mouse do.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::super::index::{By, Row, Sort, Tree};
use super::super::keys::Action;
use super::super::view;
use super::prompt::{Choice, Item, Menu, Prompt};
use super::{App, Detail, Effect, Tab};
use crate::baseline::{Change, Entry, Mute};

/// Rows the wheel moves.
const WHEEL: isize = 3;

impl App {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        if let Some(effects) = self.act_in_page(action) {
            return effects;
        }
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Help => self.help = if self.help.is_some() { None } else { Some(0) },
            Action::Tab(tab) => self.show_tab(tab),
            Action::NextTab => self.show_tab(self.tab.step(1)),
            Action::LastTab => self.show_tab(self.tab.step(Tab::ALL.len() - 1)),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-(self.height() as isize)),
            Action::PageDown => self.step(self.height() as isize),
            Action::HalfUp => self.step(-((self.height() / 2).max(1) as isize)),
            Action::HalfDown => self.step((self.height() / 2).max(1) as isize),
            Action::Top | Action::Follow => self.go(0),
            Action::Bottom => self.go(self.rows().saturating_sub(1)),
            Action::Open => self.open(),
            Action::Unfold => self.fold(false),
            Action::Fold => self.fold(true),
            Action::Back => {
                if self.marked.is_empty() {
                    self.set_filter("");
                } else {
                    self.marked.clear();
                }
            }
            Action::Pause => {
                self.is_paused = !self.is_paused;
                if self.setup.speed.is_some() {
                    return vec![Effect::Pause(self.is_paused)];
                }
            }
            Action::Sort => {
                self.sort = if self.sort == Sort::Newest { Sort::Worst } else { Sort::Newest };
                self.list_mut().reset();
                self.refresh();
            }
            Action::Group => self.next_group(),
            Action::Filter => self.ask_filter(),
            Action::ClearFilter => self.set_filter(""),
            Action::FilterBySame => self.filter_by_same(),
            Action::Mark => self.mark(),
            Action::MarkAll => self.mark_all(),
            Action::Mute => self.ask_mute(),
            Action::Undo => return self.undo(),
            Action::Export => self.ask_export(),
            Action::Copy => self.ask_copy(),
            Action::Faster | Action::Slower => {
                if let Some(speed) = self.setup.speed {
                    let speed = if action == Action::Faster { speed.faster() } else { speed.slower() };
                    self.setup.speed = Some(speed);
                    self.say(format!("speed: {speed}"), false);
                    return vec![Effect::Speed(speed)];
                }
            }
            Action::Reload => return vec![Effect::Reload],
            Action::Theme => {
                self.setup.theme = self.setup.theme.next();
                self.say(format!("theme: {}", self.setup.theme.name()), false);
            }
            Action::Mouse => {
                self.takes_mouse = !self.takes_mouse;
                let whose = if self.takes_mouse { "leaktap" } else { "the terminal" };
                self.say(format!("the mouse is {whose}'s now"), false);
                return vec![Effect::Mouse(self.takes_mouse)];
            }
            Action::Reveal | Action::Next | Action::Previous => {}
        }
        Vec::new()
    }

    /// What is different while a leak or the help is open; `None` where it is not.
    fn act_in_page(&mut self, action: Action) -> Option<Vec<Effect>> {
        let page = self.height();
        let step = match action {
            Action::Up => Some(-1),
            Action::Down => Some(1),
            Action::PageUp => Some(-(page as isize)),
            Action::PageDown => Some(page as isize),
            Action::HalfUp => Some(-((page / 2).max(1) as isize)),
            Action::HalfDown => Some((page / 2).max(1) as isize),
            Action::Top => Some(isize::MIN / 2),
            Action::Bottom => Some(isize::MAX / 2),
            _ => None,
        };
        if let Some(scroll) = self.help {
            let most = view::help_rows(self).saturating_sub(page);
            match (step, action) {
                (Some(step), _) => self.help = Some(scroll.saturating_add_signed(step).min(most)),
                (_, Action::Back | Action::Open) => self.help = None,
                (_, Action::Tab(_) | Action::NextTab | Action::LastTab) => {
                    self.help = None;
                    return None;
                }
                (_, Action::Quit | Action::Suspend | Action::Redraw | Action::Help | Action::Theme) => {
                    return None;
                }
                _ => {}
            }
            return Some(Vec::new());
        }
        let most = self.detail.as_ref().map(|_| view::detail_rows(self).saturating_sub(page))?;
        let detail = self.detail.as_mut()?;
        match (step, action) {
            (Some(step), _) => detail.scroll = detail.scroll.saturating_add_signed(step).min(most),
            (_, Action::Back) => self.close_detail(),
            (_, Action::Next) => self.next_leak(1),
            (_, Action::Previous) => self.next_leak(-1),
            (_, Action::Reveal) => self.ask_reveal(),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn show_tab(&mut self, tab: Tab) {
        self.close_detail();
        self.tab = tab;
        self.refresh();
    }

    fn close_detail(&mut self) {
        self.detail = None;
        self.revealed = None;
    }

    fn go(&mut self, row: usize) {
        let (len, height) = (self.rows(), self.height());
        self.list_mut().go(row, len, height);
        self.hold();
    }

    fn step(&mut self, by: isize) {
        let (len, height) = (self.rows(), self.height());
        if self.tab == Tab::Health {
            return self.list_mut().scroll(by, len, height);
        }
        self.list_mut().step(by, len, height);
        self.hold();
    }

    /// Remembers what is chosen.
    fn hold(&mut self) {
        self.list_mut().held = self.chosen();
    }

    fn open(&mut self) {
        match self.chosen() {
            Some(Row::Leak(serial)) => {
                self.revealed = None;
                self.detail = Some(Detail { serial, scroll: 0 });
            }
            Some(Row::Group(_)) => self.toggle(),
            Some(Row::More(..)) => self.filter_by_same(),
            None if self.tab == Tab::Flows => {
                let flow = self.flows.get(self.list().row).map(|live| live.flow.clone());
                if let Some(flow) = flow {
                    self.tab = Tab::Leaks;
                    self.set_filter(&format!("client={} server={}", flow.client, flow.server));
                }
            }
            None => {}
        }
    }

    fn tree_mut(&mut self) -> Option<&mut Tree> {
        match (self.tab, self.group) {
            (Tab::Leaks, Some(_)) => Some(&mut self.grouped),
            (Tab::Secrets, _) => Some(&mut self.secrets),
            (Tab::Endpoints, _) => Some(&mut self.endpoints),
            _ => None,
        }
    }

    fn toggle(&mut self) {
        if let Some(Row::Group(key)) = self.chosen() {
            let list = self.list_mut();
            list.held = Some(Row::Group(key.clone()));
            // What is open stays in sight, also where it is the newest.
            list.is_parked = true;
            if let Some(tree) = self.tree_mut() {
                tree.toggle(&key);
            }
            self.refresh();
        }
    }

    /// Opens the chosen group, or closes the one that the choice is in.
    fn fold(&mut self, close: bool) {
        let Some(tree) = self.tree() else {
            if !close {
                self.open();
            }
            return;
        };
        match self.chosen() {
            Some(Row::Group(key)) => {
                if tree.is_open(&key) == close {
                    self.toggle();
                }
            }
            Some(_) if close => {
                let before = tree.rows.get(..=self.list().row).unwrap_or_default();
                if let Some(row) = before.iter().rposition(|row| matches!(row, Row::Group(_))) {
                    self.go(row);
                    self.toggle();
                }
            }
            _ => self.open(),
        }
    }

    /// The next leak of the list, past groups.
    fn next_leak(&mut self, by: isize) {
        let mut row = self.list().row;
        while let Some(next) = row.checked_add_signed(by).filter(|&next| next < self.rows()) {
            row = next;
            if let Some(Row::Leak(serial)) = self.row(row) {
                self.go(row);
                self.revealed = None;
                self.detail = Some(Detail { serial, scroll: 0 });
                return;
            }
        }
        self.say(if by > 0 { "this is the last one" } else { "this is the first one" }.to_owned(), false);
    }

    fn next_group(&mut self) {
        if self.tab != Tab::Leaks {
            return self.say("only leaks can be grouped: 1 brings them".to_owned(), false);
        }
        self.group = match self.group {
            None => Some(By::Secret),
            Some(By::Secret) => Some(By::Endpoint),
            Some(By::Endpoint) => Some(By::Client),
            Some(By::Client) => None,
        };
        if let Some(by) = self.group {
            self.grouped = Tree::new(by, false);
        }
        self.list_mut().reset();
        self.refresh();
        let how = match self.group {
            None => "each leak by itself",
            Some(By::Secret) => "grouped by secret",
            Some(By::Endpoint) => "grouped by endpoint",
            Some(By::Client) => "grouped by client",
        };
        self.say(how.to_owned(), false);
    }

    /// Lists what is like the choice.
    fn filter_by_same(&mut self) {
        let by = self.tree().map(|tree| tree.by);
        let key = match (self.chosen(), &self.detail) {
            (Some(Row::Group(key) | Row::More(key, _)), None) => Some(key),
            _ => None,
        };
        let Some((_, entry)) = self.leak_at_hand() else { return };
        let filter = match (key, by) {
            (Some(key), Some(By::Endpoint)) => format!("endpoint=\"{key}\""),
            (Some(key), Some(By::Client)) => format!("client={key}"),
            _ => match &entry.leak.secret {
                Some(secret) => format!("secret:{}", secret.fingerprint.get(..16).unwrap_or_default()),
                None => format!("rule={} server={}", entry.leak.rule, entry.leak.flow.server),
            },
        };
        self.close_detail();
        self.tab = Tab::Leaks;
        self.group = None;
        self.set_filter(&filter);
    }

    fn mark(&mut self) {
        let serials: Vec<u64> = match self.chosen() {
            Some(Row::Leak(serial)) => vec![serial],
            Some(Row::Group(key)) => {
                self.group_of(&key).map(|group| group.members.iter().copied().collect()).unwrap_or_default()
            }
            _ => return,
        };
        let is_marked = serials.iter().all(|serial| self.marked.contains(serial));
        for serial in serials {
            if is_marked {
                self.marked.remove(&serial);
            } else {
                self.marked.insert(serial);
            }
        }
        self.step(1);
    }

    fn mark_all(&mut self) {
        if self.marked.is_empty() {
            let all = (0..self.index.len()).filter_map(|row| self.index.at(Sort::Newest, row));
            self.marked = all.collect();
        } else {
            self.marked.clear();
        }
    }

    fn ask_mute(&mut self) {
        let Some((_, entry)) = self.leak_at_hand() else { return };
        let leak = &entry.leak;
        let mut choices = vec![('r', "the rule everywhere", Mute::Rule)];
        if leak.secret.is_some() {
            choices.push(('s', "the secret everywhere", Mute::Secret));
        }
        choices.push(('e', "all at the endpoint", Mute::Endpoint));
        choices.push(('l', "this leak alone", Mute::Leak));
        let items = choices.into_iter().map(|(key, label, what)| {
            let known = Entry::muting(what, leak);
            Item { key, label: format!("{label}: {known}"), choice: Choice::Mute(known) }
        });
        let items = items.collect();
        self.prompt = Some(Prompt::Menu(Menu::new("Mute", items)));
    }

    pub(super) fn mute(&mut self, known: Entry) -> Vec<Effect> {
        if !self.mutes.add(known.clone()) {
            self.say(format!("{known}: that was muted already"), false);
            return Vec::new();
        }
        self.muted_here += 1;
        self.apply_filter();
        let lasts = match &self.setup.baseline {
            Some(baseline) => format!("kept in {baseline}"),
            None => "until the end; --baseline FILE keeps it".to_owned(),
        };
        self.say(format!("muted {known} ({lasts}); u takes it back"), false);
        vec![Effect::Mute(known)]
    }

    fn undo(&mut self) -> Vec<Effect> {
        if self.muted_here == 0 {
            self.say("nothing was muted here".to_owned(), false);
            return Vec::new();
        }
        self.muted_here -= 1;
        let Some(Change::Added(known)) = self.mutes.undo() else { return Vec::new() };
        self.apply_filter();
        self.say(format!("{known} is seen again"), false);
        vec![Effect::Unmute(known)]
    }

    pub(super) fn mouse(&mut self, mouse: MouseEvent) -> Vec<Effect> {
        let at = Position::new(mouse.column, mouse.row);
        let wheel = match mouse.kind {
            MouseEventKind::ScrollDown => Some(WHEEL),
            MouseEventKind::ScrollUp => Some(-WHEEL),
            _ => None,
        };
        if let Some(by) = wheel {
            if self.help.is_some() || self.detail.is_some() {
                let action = if by > 0 { Action::Down } else { Action::Up };
                for _ in 0..WHEEL {
                    self.act(action);
                }
            } else if self.prompt.is_none() {
                let (len, height) = (self.rows(), self.height());
                self.list_mut().scroll(by, len, height);
                self.hold();
            }
            return Vec::new();
        }
        if mouse.kind != MouseEventKind::Down(MouseButton::Left) {
            return Vec::new();
        }
        if self.prompt.is_some() {
            return self.prompt_click(at);
        }
        let areas = view::areas(self);
        if areas.tabs.contains(at) {
            if let Some(tab) = view::tab_at(self, at.x) {
                self.help = None;
                self.show_tab(tab);
            }
        } else if self.help.is_none() && self.detail.is_none() && areas.body.contains(at) {
            let row = self.list().top + usize::from(at.y - areas.body.y);
            if row < self.rows() {
                if row == self.list().row {
                    self.open();
                } else {
                    self.go(row);
                }
            }
        }
        Vec::new()
    }
}
