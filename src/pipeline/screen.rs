//! The screen beside a run: threads for the run's news, keys, updates and what is done outside; the caller's thread only draws.
//!
//! ```text
//! run ──news, bounded──▶ updates (state) ──what is to be done──▶ outside
//! keys ────────────────▶    │ shared
//!                           ▼
//!                    caller: draws, at most 30 times a second
//! ```

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, tick};
use crossterm::event::{self as terminal, Event as Input, MouseEventKind};
use ratatui::layout::Size;

use crate::tui::{App, Effect, Message, News, Screen};

/// News that waits for the screen.
const WAITING: usize = 65_536;
/// News taken in one go.
const BATCH: usize = 4096;
/// Time between two drawings at least.
const FRAME: Duration = Duration::from_millis(33);
/// For so long after something happened lists may still be brought up to date.
const SETTLES: Duration = Duration::from_millis(600);
/// How often time goes on where nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// Brings news to the screen.
#[derive(Clone, Debug)]
pub struct Courier {
    news: Sender<News>,
    /// Whether a run may be made to wait.
    waits: bool,
    dropped: Arc<AtomicU64>,
}

impl Courier {
    /// A courier, and where its news arrives. One that does not wait drops and counts what there is no room for.
    #[must_use]
    pub fn new(waits: bool) -> (Self, Receiver<News>) {
        let (news, arrives) = bounded(WAITING);
        (Self { news, waits, dropped: Arc::default() }, arrives)
    }

    /// Brings a piece of news. Nobody may be there any more.
    pub fn bring(&self, news: News) {
        if self.waits {
            let _ = self.news.send(news);
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && self.news.try_send(News::Dropped(dropped)).is_err() {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(_)) = self.news.try_send(news) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is done outside the screen; it may take its time. What it says is shown.
pub type Outside<'a> = &'a mut (dyn FnMut(Effect) -> Option<Message> + Send);

/// What only the drawing thread can do.
enum Order {
    Quit,
    Suspend,
    Redraw,
    Copy(String),
    Mouse(bool),
}

/// Signals that the screen heeds.
#[derive(Debug)]
pub struct Signals {
    /// End.
    pub stop: Arc<AtomicBool>,
    /// Step aside until continued.
    pub suspend: Arc<AtomicBool>,
    /// The process was stopped and goes on: the terminal may have been used by others.
    pub resumed: Arc<AtomicBool>,
    /// Stops this process as a terminal would.
    pub stop_process: fn() -> io::Result<()>,
}

/// Shows the screen until somebody quits, the terminal goes or a signal comes.
///
/// # Errors
/// Where there is no terminal, or it fails.
pub fn show(
    mut screen: Screen,
    app: App,
    news: &Receiver<News>,
    outside: Outside<'_>,
    signals: &Signals,
) -> io::Result<()> {
    let app = Mutex::new(app);
    let is_over = AtomicBool::new(false);
    let changed = AtomicBool::new(true);
    let (keys, pressed) = bounded::<Message>(1024);
    let (effects, to_do) = bounded::<Effect>(256);
    let (orders, ordered) = bounded::<Order>(256);
    let said = keys.clone();
    thread::scope(|scope| {
        let (app, is_over, changed) = (&app, &is_over, &changed);
        // It waits for keys in the terminal: it is left behind.
        let reads_on = Arc::new(AtomicBool::new(true));
        let reads = Arc::clone(&reads_on);
        thread::Builder::new().name("keys".into()).spawn(move || read_keys(&keys, &reads))?;
        scope.spawn(move || {
            for effect in to_do {
                if let Some(message) = outside(effect) {
                    let _ = said.send(message);
                }
            }
        });
        let updates = scope.spawn(move || update(app, news, &pressed, &effects, &orders, is_over, changed));
        let drawn = draw(&mut screen, app, &ordered, changed, &updates, signals);
        is_over.store(true, Ordering::Relaxed);
        reads_on.store(false, Ordering::Relaxed);
        drop(ordered);
        drop(screen);
        drawn
    })
}

fn read_keys(keys: &Sender<Message>, reads_on: &AtomicBool) {
    while reads_on.load(Ordering::Relaxed) {
        match terminal::poll(TICK) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let message = match terminal::read() {
            Ok(Input::Key(key)) => Message::Key(key),
            Ok(Input::Mouse(mouse)) => match mouse.kind {
                // Terminals tell of every move.
                MouseEventKind::Moved | MouseEventKind::Drag(_) | MouseEventKind::Up(_) => continue,
                _ => Message::Mouse(mouse),
            },
            Ok(Input::Paste(text)) => Message::Paste(text),
            Ok(Input::Resize(width, height)) => Message::Resize(Size { width, height }),
            Ok(_) => continue,
            Err(_) => return,
        };
        if keys.send(message).is_err() {
            return;
        }
    }
}

/// Keeps the state; ends when the screen is over or the terminal has gone.
fn update(
    app: &Mutex<App>,
    news: &Receiver<News>,
    pressed: &Receiver<Message>,
    effects: &Sender<Effect>,
    orders: &Sender<Order>,
    is_over: &AtomicBool,
    changed: &AtomicBool,
) {
    let begun = Instant::now();
    let mut touched = begun;
    let mut second = 0;
    let ticks = tick(TICK);
    let mut has_news = true;
    let nothing = crossbeam_channel::never();
    while !is_over.load(Ordering::Relaxed) {
        let mut messages = Vec::new();
        crossbeam_channel::select! {
            recv(pressed) -> message => match message {
                Ok(message) => messages.push(message),
                Err(_) => break,
            },
            recv(if has_news { news } else { &nothing }) -> first => match first {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(news.try_iter().take(BATCH));
                    messages.push(Message::News(batch));
                }
                Err(_) => has_news = false,
            },
            recv(ticks) -> _ => messages.push(Message::Tick(begun.elapsed())),
        }
        // Keys go first, however much news there is.
        messages.extend(pressed.try_iter().take(64));
        if messages.iter().any(|message| !matches!(message, Message::Tick(_))) {
            touched = Instant::now();
        }
        let mut all = Vec::new();
        let is_busy = {
            let mut app = app.lock().unwrap_or_else(PoisonError::into_inner);
            for message in messages {
                all.extend(app.update(message));
            }
            app.is_busy()
        };
        // Where nothing happens what is drawn changes with the seconds.
        let now = begun.elapsed().as_secs();
        if is_busy || touched.elapsed() < SETTLES || now != second {
            second = now;
            changed.store(true, Ordering::Relaxed);
        }
        for effect in all {
            let order = match effect {
                Effect::Quit => Order::Quit,
                Effect::Suspend => Order::Suspend,
                Effect::Redraw => Order::Redraw,
                Effect::Copy(text) => Order::Copy(text),
                Effect::Mouse(take) => Order::Mouse(take),
                effect => {
                    let _ = effects.send(effect);
                    continue;
                }
            };
            let _ = orders.send(order);
        }
    }
}

/// Draws what has changed and does what only the terminal's own thread can.
fn draw(
    screen: &mut Screen,
    app: &Mutex<App>,
    ordered: &Receiver<Order>,
    changed: &AtomicBool,
    updates: &thread::ScopedJoinHandle<'_, ()>,
    signals: &Signals,
) -> io::Result<()> {
    let lock = || app.lock().unwrap_or_else(PoisonError::into_inner);
    let takes_mouse = || lock().takes_mouse();
    loop {
        let begun = Instant::now();
        if changed.swap(false, Ordering::Relaxed) {
            screen.draw(|draw| draw(&lock()))?;
        }
        if signals.stop.load(Ordering::Relaxed) || updates.is_finished() {
            return Ok(());
        }
        if signals.suspend.swap(false, Ordering::Relaxed) {
            screen.step_aside(takes_mouse(), signals.stop_process)?;
            signals.resumed.store(false, Ordering::Relaxed);
        }
        if signals.resumed.swap(false, Ordering::Relaxed) {
            screen.step_aside(takes_mouse(), || Ok(()))?;
        }
        loop {
            match ordered.recv_timeout(FRAME.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))) {
                Ok(Order::Quit) => return Ok(()),
                Ok(Order::Suspend) => signals.suspend.store(true, Ordering::Relaxed),
                Ok(Order::Redraw) => screen.clear()?,
                Ok(Order::Mouse(take)) => screen.mouse(take)?,
                Ok(Order::Copy(text)) => {
                    if let Err(error) = screen.copy(&text) {
                        let _ = lock().update(Message::Said(error.to_string(), true));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if begun.elapsed() >= FRAME || signals.suspend.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_courier_drops_and_counts_what_there_is_no_room_for() {
        let (courier, arrives) = Courier::new(false);
        let note = || News::Note("made up".into(), false);
        for _ in 0..WAITING + 7 {
            courier.bring(note());
        }
        assert_eq!(arrives.len(), WAITING);
        let _ = arrives.try_recv();
        let _ = arrives.try_recv();
        courier.bring(note());
        let last: Vec<News> = arrives.try_iter().collect();
        assert!(matches!(last[last.len() - 2..], [News::Dropped(7), News::Note(..)]));
        let (courier, arrives) = Courier::new(true);
        drop(arrives);
        courier.bring(note());
    }
}
