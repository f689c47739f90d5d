//! A terminal of a test's own: a program in it, what it shows, the keys it is given.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// What takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal.
pub(crate) struct Terminal {
    child: Child,
    near: File,
    far: File,
    shown: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All that was written.
    pub(crate) written: Vec<u8>,
}

impl Terminal {
    /// Runs a command in a terminal of this size, in a session of its own.
    pub(crate) fn run(command: &Command, columns: u16, rows: u16) -> Self {
        let near: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        // O_NOCTTY: it is the terminal of the program, not of the tests.
        let far = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(0o400)
            .open(name.to_str().unwrap())
            .unwrap();
        resize(&far, columns, rows);
        let mut of_session = Command::new("setsid");
        of_session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => of_session.env(name, value),
                None => of_session.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            of_session.current_dir(folder);
        }
        let end = || Stdio::from(far.try_clone().unwrap());
        of_session.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("COLORFGBG");
        let child = of_session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let near = File::from(near);
        let (send, shown) = channel();
        let mut reads = near.try_clone().unwrap();
        thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(length @ 1..) = reads.read(&mut bytes) {
                if send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        Self { child, near, far, shown, screen: parser, written: Vec::new() }
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.screen_mut().set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        resize(&self.far, columns, rows);
    }

    /// The screen as text.
    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen is as wanted; how long that took.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            if wanted(&self.text()) {
                return begun.elapsed();
            }
            match self.shown.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("{what}: {error} with:\n{}", self.text()),
            }
        }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> Duration {
        self.wait(text, |screen| screen.contains(text))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written.extend_from_slice(bytes);
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.near.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(kill.success());
    }

    /// Whether the program is stopped, as by Ctrl-Z.
    pub(crate) fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// Waits for the end. What the terminal was left as: its settings are sound, and what was written last.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            // What it writes has to be read, or it waits.
            match self.shown.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => {}
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
        };
        while let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(100)) {
            self.take(&bytes);
        }
        status
    }

    /// Whether the terminal is as it was: its own page, a cursor, no mouse, echo and lines.
    pub(crate) fn is_sound(&self) -> bool {
        let screen = self.screen.screen();
        let modes = tcgetattr(&self.far).unwrap().local_modes;
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
            && !screen.bracketed_paste()
            && modes.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
