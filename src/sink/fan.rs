//! Several sinks as one: each gets every event, and one that fails does not take the others with it.

use std::io;

use super::Sink;
use crate::model::event::Event;

/// The sinks of a run.
#[derive(Default)]
pub struct Fan {
    open: Vec<(String, Box<dyn Sink>)>,
}

/// A sink that failed; it gets nothing more.
#[derive(Debug)]
pub struct Failure {
    /// The sink, as it was named.
    pub sink: String,
    /// Why. A reader that has gone is no failure and not told.
    pub error: io::Error,
}

impl Fan {
    /// Adds a sink; `name` names it in a [`Failure`].
    pub fn add(&mut self, name: String, sink: Box<dyn Sink>) {
        self.open.push((name, sink));
    }

    /// Whether no sink is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Gives an event to every sink that is left.
    pub fn event(&mut self, event: &Event, failed: &mut dyn FnMut(Failure)) {
        self.each(|sink| sink.event(event), failed);
    }

    /// Has every sink that is left show what it took.
    pub fn flush(&mut self, failed: &mut dyn FnMut(Failure)) {
        self.each(|sink| sink.flush(), failed);
    }

    /// Ends every sink that is left.
    pub fn finish(&mut self, failed: &mut dyn FnMut(Failure)) {
        self.each(|sink| sink.finish(), failed);
        self.open.clear();
    }

    fn each(
        &mut self,
        mut give: impl FnMut(&mut dyn Sink) -> io::Result<()>,
        failed: &mut dyn FnMut(Failure),
    ) {
        self.open.retain_mut(|(name, sink)| match give(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    failed(Failure { sink: std::mem::take(name), error });
                }
                false
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::example;
    use super::*;

    struct Frail {
        after: usize,
        kind: io::ErrorKind,
        taken: Arc<AtomicUsize>,
    }

    impl Sink for Frail {
        fn event(&mut self, _: &Event) -> io::Result<()> {
            if self.taken.load(Ordering::Relaxed) == self.after {
                return Err(self.kind.into());
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_fails_is_told_once_and_the_others_go_on() {
        let taken: Vec<Arc<AtomicUsize>> = (0..3).map(|_| Arc::default()).collect();
        let mut fan = Fan::default();
        for (index, (after, kind)) in [
            (1, io::ErrorKind::StorageFull),
            (2, io::ErrorKind::BrokenPipe),
            (usize::MAX, io::ErrorKind::Other),
        ]
        .into_iter()
        .enumerate()
        {
            fan.add(
                format!("sink {index}"),
                Box::new(Frail { after, kind, taken: Arc::clone(&taken[index]) }),
            );
        }
        let mut failures = Vec::new();
        let event = &example::events()[0];
        for _ in 0..4 {
            fan.event(event, &mut |failure| failures.push(failure.sink));
        }
        let counts: Vec<usize> = taken.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [1, 2, 4]);
        assert_eq!(failures, ["sink 0"], "a closed pipe is a clean end");
        assert!(!fan.is_empty());
        fan.finish(&mut |failure| failures.push(failure.sink));
        assert!(fan.is_empty());
        assert_eq!(failures.len(), 1);
    }
}
