//! The state of the screen and how it changes: [`App::update`] is the only way, and it does nothing but that.
//!
//! **Architecture Invariant:** no clock, no I/O, no thread: time comes as a message, what shall be done outside goes out as an [`Effect`].

mod act;
mod export;
mod prompt;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crossterm::event::{KeyEvent, KeyEventKind, MouseEvent};
use ratatui::layout::Size;

use crate::baseline::{Baseline, Entry as Known, Sighting};
use crate::model::Timestamp;
use crate::model::event::{Leak, Lost, Summary};
use crate::model::pulse::{LiveFlow, Pulse};
use crate::model::shown::counted;

use super::filter::Filter;
use super::index::{By, Index, Row, Sort, Tree};
use super::keys::{self, Place};
use super::list::List;
use super::news::{News, RuleNow, Told};
use super::series::Series;
use super::store::{Entry, LEAKS, Store};
use super::theme::Theme;
use super::vault::Vault;
use super::view;

pub(super) use prompt::{Menu, Prompt, Reason};

/// Leaks looked at in one go, so that nothing else waits long.
const STEP: usize = 10_000;
/// Lists of groups are made anew so often at most.
const REFRESH: Duration = Duration::from_millis(250);
/// How long a message stays.
const SAID: Duration = Duration::from_secs(5);
/// How long a secret stays revealed.
const REVEALED: Duration = Duration::from_secs(15);
/// Losses held by reason, notes held.
const REASONS: usize = 200;
const NOTES: usize = 100;

/// What comes to the screen.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size.
    Resize(Size),
    /// What the run tells.
    News(Vec<News>),
    /// So much time has passed since the screen began.
    Tick(Duration),
    /// What became of an effect; whether it failed.
    Said(String, bool),
}

/// What shall be done outside.
#[derive(Debug)]
pub enum Effect {
    /// End.
    Quit,
    /// Stop the process until it is continued.
    Suspend,
    /// Draw all anew.
    Redraw,
    /// Give this to the terminal's clipboard.
    Copy(String),
    /// Write leaks in this format.
    Export(&'static str, Vec<Leak>),
    /// The baseline knows this from now on.
    Mute(Known),
    /// It does not any more.
    Unmute(Known),
    /// Stop reading files, or go on.
    Pause(bool),
    /// Read files so fast.
    Speed(Speed),
    /// Read the rules again.
    Reload,
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
}

/// How fast files are read: so many times as fast as they were captured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub f32);

impl Speed {
    /// As fast as can be.
    pub const MOST: Self = Self(f32::INFINITY);
    const STEPS: [f32; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, f32::INFINITY];

    fn faster(self) -> Self {
        Self(Self::STEPS.into_iter().find(|&step| step > self.0).unwrap_or(f32::INFINITY))
    }

    fn slower(self) -> Self {
        Self(Self::STEPS.into_iter().rev().find(|&step| step < self.0).unwrap_or(0.1))
    }
}

/// `2×`, `as fast as can be`.
impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_finite() { write!(f, "{}×", self.0) } else { f.write_str("full speed") }
    }
}

/// What the screen is begun with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is looked at: interfaces, files.
    pub source: String,
    /// How fast files are read; `None`: it is live.
    pub speed: Option<Speed>,
    /// Whether values may be revealed.
    pub reveal: bool,
    /// Whether it is asked before.
    pub asks: bool,
    /// How it looks.
    pub theme: Theme,
    /// What is muted from the start.
    pub mutes: Baseline,
    /// When the run began: what has expired by then is not muted.
    pub begun: Timestamp,
    /// Where mutes are kept; `None`: they last as long as the screen.
    pub baseline: Option<String>,
    /// The formats of exports.
    pub formats: Vec<&'static str>,
    /// The size of the terminal.
    pub size: Size,
}

/// The pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// One line a leak, or groups of them.
    Leaks,
    /// One line a secret.
    Secrets,
    /// One line a host and route.
    Endpoints,
    /// What talks at present.
    Flows,
    /// What was lost, what waits, what is in force.
    Health,
}

impl Tab {
    pub(super) const ALL: [Self; 5] =
        [Self::Leaks, Self::Secrets, Self::Endpoints, Self::Flows, Self::Health];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Leaks => "Leaks",
            Self::Secrets => "Secrets",
            Self::Endpoints => "Endpoints",
            Self::Flows => "Flows",
            Self::Health => "Health",
        }
    }

    fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL.get((at + by) % Self::ALL.len()).copied().unwrap_or(self)
    }
}

/// A leak looked at by itself.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) serial: u64,
    pub(super) scroll: usize,
}

/// A secret that is to be seen for a while.
#[derive(Debug)]
pub(super) struct Revealed {
    pub(super) serial: u64,
    pub(super) until: Duration,
}

/// A loss by reason, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loss {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// The state of the screen.
#[derive(Debug)]
pub struct App {
    pub(super) setup: Setup,
    pub(super) size: Size,
    pub(super) now: Duration,
    pub(super) tab: Tab,
    pub(super) store: Store,
    pub(super) index: Index,
    pub(super) vault: Vault,
    pub(super) mutes: Baseline,
    /// How many of these were muted here.
    muted_here: usize,
    pub(super) filter: Filter,
    pub(super) history: Vec<String>,
    pub(super) sort: Sort,
    /// What the leaks are grouped by, if at all.
    pub(super) group: Option<By>,
    pub(super) grouped: Tree,
    pub(super) secrets: Tree,
    pub(super) endpoints: Tree,
    /// Of each tab.
    pub(super) lists: [List; 5],
    pub(super) marked: HashSet<u64>,
    pub(super) detail: Option<Detail>,
    pub(super) revealed: Option<Revealed>,
    pub(super) prompt: Option<Prompt>,
    /// How far the help is scrolled, where it is open.
    pub(super) help: Option<usize>,
    pub(super) is_paused: bool,
    pub(super) takes_mouse: bool,
    pub(super) said: Option<(String, bool, Duration)>,
    pub(super) pulse: Pulse,
    pub(super) flows: Vec<LiveFlow>,
    pub(super) losses: BTreeMap<String, Loss>,
    pub(super) notes: Vec<(String, bool)>,
    pub(super) rules: Vec<RuleNow>,
    pub(super) summary: Option<Box<Summary>>,
    /// News that the screen was too late for.
    pub(super) dropped: u64,
    pub(super) leaks: Series,
    pub(super) traffic: Series,
    /// Whether processes of leaks are known.
    pub(super) names_processes: bool,
    /// When the newest leak was captured.
    pub(super) newest: Timestamp,
    refreshed: Duration,
    /// Whether leaks may pass the filter now that did not, by their times.
    is_recounted: bool,
    /// The leak to choose again once a filter has been applied.
    wanted: Option<u64>,
}

impl App {
    /// A screen without any leak yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self::with(setup, LEAKS)
    }

    pub(super) fn with(setup: Setup, limit: usize) -> Self {
        Self {
            size: setup.size,
            mutes: setup.mutes.clone(),
            setup,
            now: Duration::ZERO,
            tab: Tab::Leaks,
            store: Store::new(limit),
            index: Index::new(),
            vault: Vault::default(),
            muted_here: 0,
            filter: Filter::default(),
            history: Vec::new(),
            sort: Sort::Newest,
            group: None,
            grouped: Tree::new(By::Secret, false),
            secrets: Tree::new(By::Secret, true),
            endpoints: Tree::new(By::Endpoint, false),
            lists: Default::default(),
            marked: HashSet::new(),
            detail: None,
            revealed: None,
            prompt: None,
            help: None,
            is_paused: false,
            takes_mouse: true,
            said: None,
            pulse: Pulse::default(),
            flows: Vec::new(),
            losses: BTreeMap::new(),
            notes: Vec::new(),
            rules: Vec::new(),
            summary: None,
            dropped: 0,
            leaks: Series::default(),
            traffic: Series::default(),
            names_processes: false,
            newest: Timestamp::default(),
            refreshed: Duration::ZERO,
            is_recounted: false,
            wanted: None,
        }
    }

    /// Takes a message; what shall be done outside.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        let effects = match message {
            Message::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Message::Key(key) => self.key(key),
            Message::Mouse(mouse) => self.mouse(mouse),
            Message::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Message::Resize(size) => {
                self.size = size;
                Vec::new()
            }
            Message::News(news) => {
                news.into_iter().for_each(|news| self.news(news));
                Vec::new()
            }
            Message::Tick(now) => {
                self.tick(now);
                Vec::new()
            }
            Message::Said(text, is_fault) => {
                self.say(text, is_fault);
                Vec::new()
            }
        };
        self.settle();
        effects
    }

    /// Whether lists are still being brought up to date.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.is_paused && self.index.progress(&self.store).is_some()
    }

    /// Whether the mouse is the screen's.
    #[must_use]
    pub fn takes_mouse(&self) -> bool {
        self.takes_mouse
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        let places: &[Place] = if self.help.is_some() || self.detail.is_some() {
            &[Place::Detail, Place::Files, Place::Everywhere]
        } else {
            &[Place::Lists, Place::Files, Place::Everywhere]
        };
        let is_file = self.setup.speed.is_some();
        let places: Vec<Place> =
            places.iter().copied().filter(|place| *place != Place::Files || is_file).collect();
        match keys::action(key, &places) {
            Some(action) => self.act(action),
            None => Vec::new(),
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::Leak(told) => self.leak(*told),
            News::Sighting(sighting) => {
                if let Some(serial) = self.store.seen(&sighting)
                    && let Some(entry) = self.store.get(serial)
                {
                    self.index.seen(serial, entry);
                    self.is_recounted |= self.filter.counts();
                }
            }
            News::Lost(lost) => self.lost(&lost),
            News::Pulse(pulse) => {
                self.traffic.add(pulse.bytes.saturating_sub(self.pulse.bytes));
                if !self.is_paused {
                    self.flows.clone_from(&pulse.live);
                }
                self.pulse = Pulse { live: Vec::new(), ..*pulse };
            }
            News::Summary(summary) => {
                if self.setup.speed.is_some() {
                    self.say("all is read".to_owned(), false);
                }
                self.summary = Some(summary);
            }
            News::Note(text, is_fault) => {
                self.say(text.clone(), is_fault);
                self.notes.push((text, is_fault));
                if self.notes.len() > NOTES {
                    self.notes.remove(0);
                }
            }
            News::Rules(rules, is_again) => {
                if is_again {
                    self.say(
                        format!(
                            "the rules were read again: {} in force",
                            counted(rules.len() as u64, "rule")
                        ),
                        false,
                    );
                }
                self.rules = rules;
            }
            News::Dropped(count) => self.dropped += count,
        }
    }

    fn leak(&mut self, mut told: Told) {
        if let (Some(value), Some(secret), true) = (told.value.take(), &told.leak.secret, self.setup.reveal) {
            self.vault.keep(&secret.fingerprint, value);
        }
        self.newest = self.newest.max(told.leak.time);
        self.names_processes |= told.leak.process.is_some();
        self.leaks.add(1);
        if let Some((serial, gone)) = self.store.add(told) {
            self.index.remove(serial, &gone);
            self.marked.remove(&serial);
        }
    }

    fn lost(&mut self, lost: &Lost) {
        if self.losses.len() >= REASONS && !self.losses.contains_key(&lost.reason) {
            return;
        }
        let loss = self.losses.entry(lost.reason.clone()).or_default();
        loss.count += lost.count;
        loss.bytes += lost.bytes;
    }

    fn tick(&mut self, now: Duration) {
        self.now = now;
        self.leaks.advance(now);
        self.traffic.advance(now);
        if self.said.as_ref().is_some_and(|(_, _, until)| *until <= now) {
            self.said = None;
        }
        if self.revealed.as_ref().is_some_and(|revealed| revealed.until <= now) {
            self.revealed = None;
        }
        if std::mem::take(&mut self.is_recounted) {
            self.apply_filter();
        }
    }

    /// Brings the lists up to date, a step at a time.
    fn settle(&mut self) {
        if !self.is_paused || self.wanted.is_some() {
            let Self { index, store, filter, sort, lists, group, mutes, setup, .. } = self;
            let [flat, ..] = lists;
            let is_flat = group.is_none();
            let is_muted = |entry: &Entry| {
                let leak = &entry.leak;
                !mutes.entries().is_empty()
                    && mutes.knows(&Sighting::from(leak), setup.begun.max(leak.time)).is_some()
            };
            index.advance(store, filter, STEP, is_muted, |index, serial, entry| {
                if is_flat
                    && flat.is_parked
                    && let Some(row) = index.row_of(*sort, serial, entry.leak.severity)
                {
                    flat.inserted(row);
                }
            });
        }
        if let Some(wanted) = self.wanted
            && self.index.progress(&self.store).is_none()
        {
            self.wanted = None;
            let level = self.store.get(wanted).map(|entry| entry.leak.severity);
            let row = level.and_then(|level| self.index.row_of(self.sort, wanted, level));
            if let (Some(row), None) = (row, self.group) {
                let [flat, ..] = &mut self.lists;
                (flat.row, flat.is_parked) = (row, row > 0);
            }
        }
        if self.now >= self.refreshed + REFRESH || self.now < REFRESH {
            self.refreshed = self.now;
            self.refresh();
        }
        let (len, height) = (self.rows(), self.height());
        self.list_mut().show(len, height);
    }

    /// Makes the lists of groups anew where they have changed.
    pub(super) fn refresh(&mut self) {
        let Self { index, sort, grouped, secrets, endpoints, lists, group, tab, .. } = self;
        let [leaks, of_secrets, of_endpoints, ..] = lists;
        let shown = match (*tab, *group) {
            (Tab::Leaks, Some(_)) => Some((grouped, leaks)),
            (Tab::Secrets, _) => Some((secrets, of_secrets)),
            (Tab::Endpoints, _) => Some((endpoints, of_endpoints)),
            _ => None,
        };
        if let Some((tree, list)) = shown
            && tree.refresh(index, *sort)
            && list.is_parked
            && let Some(held) = &list.held
            && tree.rows.get(list.row) != Some(held)
            && let Some(row) = tree.rows.iter().position(|row| row == held)
        {
            let moved = row as isize - list.row as isize;
            list.row = row;
            list.top = list.top.saturating_add_signed(moved);
        }
    }

    /// Applies the filter to all leaks anew, a step at a time.
    pub(super) fn apply_filter(&mut self) {
        self.wanted = match self.chosen() {
            Some(Row::Leak(serial)) if self.list().is_parked => Some(serial),
            _ => None,
        };
        self.index.reset(&self.store);
        self.refreshed = Duration::ZERO;
        let [leaks, ..] = &mut self.lists;
        if self.group.is_none() {
            leaks.reset();
        }
    }

    pub(super) fn say(&mut self, text: String, is_fault: bool) {
        self.said = Some((text, is_fault, self.now + SAID));
    }

    pub(super) fn list(&self) -> &List {
        let [leaks, secrets, endpoints, flows, health] = &self.lists;
        match self.tab {
            Tab::Leaks => leaks,
            Tab::Secrets => secrets,
            Tab::Endpoints => endpoints,
            Tab::Flows => flows,
            Tab::Health => health,
        }
    }

    pub(super) fn list_mut(&mut self) -> &mut List {
        let [leaks, secrets, endpoints, flows, health] = &mut self.lists;
        match self.tab {
            Tab::Leaks => leaks,
            Tab::Secrets => secrets,
            Tab::Endpoints => endpoints,
            Tab::Flows => flows,
            Tab::Health => health,
        }
    }

    /// The groups shown, where it is groups.
    pub(super) fn tree(&self) -> Option<&Tree> {
        match (self.tab, self.group) {
            (Tab::Leaks, Some(_)) => Some(&self.grouped),
            (Tab::Secrets, _) => Some(&self.secrets),
            (Tab::Endpoints, _) => Some(&self.endpoints),
            _ => None,
        }
    }

    /// How many rows the list at hand has.
    pub(super) fn rows(&self) -> usize {
        match (self.tab, self.tree()) {
            (_, Some(tree)) => tree.rows.len(),
            (Tab::Flows, _) => self.flows.len(),
            (Tab::Health, _) => view::health_rows(self),
            _ => self.index.len(),
        }
    }

    /// What a row of the list at hand holds, where it is leaks or groups of them.
    pub(super) fn row(&self, row: usize) -> Option<Row> {
        match (self.tab, self.tree()) {
            (_, Some(tree)) => tree.rows.get(row).cloned(),
            (Tab::Leaks, _) => self.index.at(self.sort, row).map(Row::Leak),
            _ => None,
        }
    }

    /// What is chosen in the list at hand.
    pub(super) fn chosen(&self) -> Option<Row> {
        self.row(self.list().row)
    }

    /// The leak that is looked at, or chosen.
    pub(super) fn leak_at_hand(&self) -> Option<(u64, &Entry)> {
        let serial = match (&self.detail, self.chosen()) {
            (Some(detail), _) => detail.serial,
            (None, Some(Row::Leak(serial))) => serial,
            (None, Some(Row::Group(key))) => *self.group_of(&key)?.members.back()?,
            _ => return None,
        };
        Some((serial, self.store.get(serial)?))
    }

    /// A group of the list at hand.
    pub(super) fn group_of(&self, key: &str) -> Option<&super::index::Group> {
        self.index.groups(self.tree()?.by).get(key)
    }

    /// Rows seen at once.
    pub(super) fn height(&self) -> usize {
        usize::from(view::areas(self).body.height)
    }
}

#[cfg(test)]
mod tests;
