//! What takes events: a file, a screen, a queue.

use std::io;

use crate::model::event::Event;

/// A place events go to. It sees them in their final order and reads redacted text only.
pub trait Sink: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// Where it could not be written. [`io::ErrorKind::BrokenPipe`] means that the reader has gone: a clean end, not
    /// a fault. After an error the sink is given nothing more.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Shows a reader what was taken so far, where the format writes as it goes: asked for where events come slowly. By
    /// default nothing.
    ///
    /// # Errors
    /// As for [`Sink::event`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes what was held back; nothing comes behind it.
    ///
    /// # Errors
    /// As for [`Sink::event`].
    fn finish(&mut self) -> io::Result<()>;
}
