//! The terminal: taken over and given back as it was, also when something goes wrong.

use std::io::{self, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, SetTitle, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;

use super::app::App;
use super::sixteen::Sixteen;
use super::view;

/// Most that is given to the clipboard, in bytes: terminals refuse more.
const CLIPBOARD: usize = 70_000;

/// Whether the terminal is taken over.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken over; given back when dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Sixteen<Stdout>>>,
    /// The size it was drawn in.
    drawn: Size,
}

impl Screen {
    /// Takes the terminal over: its other page, no echo, the mouse.
    ///
    /// # Errors
    /// Where standard output is no terminal, or the terminal refuses.
    pub fn open() -> io::Result<Self> {
        take(true)?;
        let terminal = Terminal::new(CrosstermBackend::new(Sixteen::new(io::stdout())))?;
        let drawn = terminal.size()?;
        Ok(Self { terminal, drawn })
    }

    /// Its size.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Draws the state: what has changed since the last time.
    ///
    /// # Errors
    /// Where the terminal has gone.
    pub fn draw(&mut self, app: impl FnOnce(&mut dyn FnMut(&App))) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // A panic somewhere has given it back.
            return Err(io::Error::other("it was given back"));
        }
        // Left to itself ratatui would ask the terminal for its cursor, and the answer comes in among the keys.
        let size = self.terminal.size()?;
        if size != self.drawn {
            self.clear()?;
        }
        self.terminal.draw(|frame| app(&mut |app| view::draw(app, frame)))?;
        Ok(())
    }

    /// Forgets what is on the screen, so that all is drawn anew.
    ///
    /// # Errors
    /// As [`Screen::draw`].
    pub fn clear(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(Sixteen::new(io::stdout())))?;
        self.drawn = self.terminal.size()?;
        Ok(())
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// As [`Screen::draw`].
    pub fn mouse(&mut self, take: bool) -> io::Result<()> {
        if take {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Gives text to the clipboard of the terminal (OSC 52), also through tmux.
    ///
    /// # Errors
    /// As [`Screen::draw`]; where the text is too long.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        if text.len() > CLIPBOARD {
            return Err(io::Error::other("it is too long for the clipboard of a terminal: export it"));
        }
        let mut out = io::stdout();
        out.write_all(&clipboard(text))?;
        out.flush()
    }

    /// Gives the terminal back and takes it again after `meanwhile`.
    ///
    /// # Errors
    /// As [`Screen::open`].
    pub fn step_aside(
        &mut self,
        takes_mouse: bool,
        meanwhile: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        restore();
        let done = meanwhile();
        take(takes_mouse)?;
        self.clear()?;
        done
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// `ESC ] 52 ; c ; base64 BEL`
fn clipboard(text: &str) -> Vec<u8> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    format!("\x1b]52;c;{encoded}\x07").into_bytes()
}

fn take(takes_mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, SetTitle("leaktap"), cursor::Hide)?;
    if takes_mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back as it was; harmless where it was not taken. For panics and signals, too.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Where the terminal has gone nothing is left to be mended.
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_to_the_clipboard_as_the_terminal_takes_it() {
        assert_eq!(clipboard("made up"), b"\x1b]52;c;bWFkZSB1cA==\x07");
        assert_eq!(
            clipboard("\x1b]0;x\x07"),
            b"\x1b]52;c;G10wO3gH\x07",
            "nothing of it commands the terminal"
        );
    }
}
