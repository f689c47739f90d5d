//! A sink behind a queue and a thread of its own: however slow or dead it is, nobody waits for it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::model::event::Event;
use crate::model::shown::counted;
use crate::sink::Sink;

/// Events that wait; what comes while so many do is dropped and counted.
const WAITING: usize = 16_384;
/// What was taken is shown once nothing came for this long …
const PAUSE: Duration = Duration::from_millis(50);
/// … and at this age in any case.
const AGE: Duration = Duration::from_millis(500);
/// How often a sink may try again by itself what failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end waits for what is queued.
const END: Duration = Duration::from_secs(10);

/// Who is told what happens to a sink.
pub type Tell = Box<dyn Fn(&str) + Send>;

/// The near end of the queue.
pub struct Queued {
    events: Option<Sender<(Instant, Event)>>,
    done: Receiver<()>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    lost: AtomicU64,
    /// Its reader has gone: a clean end.
    gone: AtomicBool,
    failing: AtomicBool,
    /// Events that were given and not yet taken.
    waiting: AtomicU64,
    /// Since when the event at hand waits.
    at_hand: Mutex<Option<Instant>>,
}

/// How a sink behind a queue goes.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<State>);

impl Gauge {
    /// Events that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How old the oldest of them is: that at hand, for they are taken in order.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let at_hand = *self.0.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        at_hand.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Events that did not reach it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Whether it failed last.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed)
    }
}

impl Queued {
    /// Puts a thread before `sink`. `name` names it in what `tell` is told.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn new(name: String, sink: Box<dyn Sink>, tell: Tell) -> io::Result<Self> {
        Self::with(WAITING, name, sink, tell)
    }

    fn with(room: usize, name: String, sink: Box<dyn Sink>, tell: Tell) -> io::Result<Self> {
        let (give, take) = bounded(room);
        let (end, done) = bounded(1);
        let state = Arc::<State>::default();
        let far = Far { name, sink, tell, state: Arc::clone(&state), failing: 0 };
        thread::Builder::new().name("sink".into()).spawn(move || {
            far.run(&take);
            // Whoever waited for too long is not there any more.
            let _ = end.send(());
        })?;
        Ok(Self { events: Some(give), done, state })
    }

    /// How it goes.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.state))
    }
}

impl Sink for Queued {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if self.state.gone.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let Some(events) = &self.events else { return Err(io::ErrorKind::BrokenPipe.into()) };
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        match events.try_send((Instant::now(), event.clone())) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.state.waiting.fetch_sub(1, Ordering::Relaxed);
                self.state.lost.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(events) = self.events.take() else { return Ok(()) };
        let waiting = events.len();
        drop(events);
        if let Err(RecvTimeoutError::Timeout) = self.done.recv_timeout(END) {
            return Err(io::Error::other(format!(
                "it took no event for {} s, and {waiting} wait",
                END.as_secs()
            )));
        }
        match self.state.lost.load(Ordering::Relaxed) {
            0 => Ok(()),
            lost => Err(io::Error::other(format!("{} did not reach it", counted(lost, "event")))),
        }
    }
}

/// What the thread owns.
struct Far {
    name: String,
    sink: Box<dyn Sink>,
    tell: Tell,
    state: Arc<State>,
    /// Events lost since it began to fail; 0 while all is well.
    failing: u64,
}

impl Far {
    fn run(mut self, events: &Receiver<(Instant, Event)>) {
        let mut dropped = 0;
        let mut since: Option<Instant> = None;
        let mut shown = Instant::now();
        loop {
            let is_pause = match events.recv_timeout(if since.is_some() { PAUSE } else { RETRY }) {
                Ok((given, event)) => {
                    self.at_hand(Some(given));
                    let taken = self.sink.event(&event);
                    self.at_hand(None);
                    self.state.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.went(taken, 1);
                    since.get_or_insert_with(Instant::now);
                    false
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let is_due = since.is_some_and(|since| is_pause || since.elapsed() >= AGE);
            if is_due || shown.elapsed() >= RETRY {
                let flushed = self.sink.flush();
                self.went(flushed, 0);
                (since, shown) = (None, Instant::now());
                let lost = self.state.lost.load(Ordering::Relaxed);
                if lost > dropped && self.failing == 0 {
                    (self.tell)(&format!(
                        "the sink {} is too slow, and lost {}",
                        self.name,
                        counted(lost - dropped, "event")
                    ));
                }
                dropped = lost;
            }
            if self.state.gone.load(Ordering::Relaxed) {
                return;
            }
        }
        let finished = self.sink.finish();
        self.went(finished, 0);
    }

    fn at_hand(&self, since: Option<Instant>) {
        *self.state.at_hand.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// A sink that fails is tried again with the next event; that is told once, and how it ended.
    fn went(&mut self, result: io::Result<()>, events: u64) {
        match result {
            Ok(()) if self.failing > 0 && events > 0 => {
                (self.tell)(&format!("the sink {} takes events again", self.name));
                self.failing = 0;
                self.state.failing.store(false, Ordering::Relaxed);
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.state.gone.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                if self.failing == 0 {
                    (self.tell)(&format!("the sink {} fails: {error}", self.name));
                }
                self.failing += 1;
                self.state.failing.store(true, Ordering::Relaxed);
                self.state.lost.fetch_add(events, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::example;

    /// Takes an event once it is let, and fails where it is told to.
    struct Slow {
        let_go: Receiver<io::Result<()>>,
        taken: Arc<AtomicU64>,
    }

    impl Sink for Slow {
        fn event(&mut self, _: &Event) -> io::Result<()> {
            let result = self.let_go.recv().unwrap_or(Ok(()));
            self.taken.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
            result
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Told = Arc<Mutex<Vec<String>>>;

    fn slow(room: usize) -> (Queued, Sender<io::Result<()>>, Arc<AtomicU64>, Told) {
        let (go, let_go) = bounded(100);
        let taken = Arc::<AtomicU64>::default();
        let told = Told::default();
        let sink = Box::new(Slow { let_go, taken: Arc::clone(&taken) });
        let tell = Arc::clone(&told);
        let tell: Tell = Box::new(move |text| tell.lock().unwrap().push(text.to_owned()));
        (Queued::with(room, "slow".into(), sink, tell).unwrap(), go, taken, told)
    }

    #[test]
    fn nobody_waits_and_what_is_dropped_is_counted() {
        let (mut queued, go, taken, _) = slow(4);
        let event = &example::events()[0];
        for _ in 0..20 {
            queued.event(event).unwrap();
        }
        let gauge = queued.gauge();
        assert!(gauge.waiting() >= 4 && gauge.lost() > 0);
        drop(go);
        let error = queued.finish().unwrap_err().to_string();
        assert_eq!((gauge.waiting(), gauge.lag()), (0, Duration::ZERO));
        let taken = taken.load(Ordering::Relaxed);
        assert!((4..=5).contains(&taken), "{taken}");
        assert_eq!(error, format!("{} events did not reach it", 20 - taken));
    }

    #[test]
    fn a_sink_that_fails_is_tried_again_and_told_once() {
        let (mut queued, go, taken, told) = slow(100);
        for result in [Ok(()), Err(io::ErrorKind::StorageFull), Err(io::ErrorKind::StorageFull), Ok(())] {
            go.send(result.map_err(io::Error::from)).unwrap();
            queued.event(&example::events()[0]).unwrap();
        }
        assert_eq!(queued.finish().unwrap_err().to_string(), "2 events did not reach it");
        assert_eq!(taken.load(Ordering::Relaxed), 2);
        assert_eq!(
            *told.lock().unwrap(),
            ["the sink slow fails: no storage space", "the sink slow takes events again"]
        );
    }

    #[test]
    fn a_reader_that_goes_is_a_clean_end() {
        let (mut queued, go, ..) = slow(100);
        let event = &example::events()[0];
        go.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        queued.event(event).unwrap();
        let gone = queued.done.recv();
        assert!(gone.is_ok());
        assert_eq!(queued.event(event).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
