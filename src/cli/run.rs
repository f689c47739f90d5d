//! `leaktap run`: a command, and what it leaks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::capture::{self, attribution};
use super::flags::Run;
use super::frames::Frames;
use super::known::Known;
use super::telling::{self, Telling};
use super::{Exit, World, rules};
use crate::model::finding::Finding;
use crate::namespace::{self, Ports, Relay};
use crate::pipeline::{self, Options, Outcome, Sources, Until, Watch};
use crate::process::Selection;
use crate::sink::{Place, Rotation};
use crate::source::filter;
use crate::source::live::{EAGER, Live, Settings, Way};

/// Bytes of kernel memory for frames that wait, for each interface.
const BUFFER: usize = 32 << 20;
/// Files are not put aside while the command runs.
const NEVER: Rotation = Rotation { size: None, every: None, keep: 0 };
/// What a command leaves running is asked to end, and after so long ended.
const GRACE: Duration = Duration::from_secs(2);
/// Whoever cannot be ended by then stays.
const LAST: Duration = Duration::from_secs(30);
/// How often it is looked who is left; of those who go on by children of children none may live longer than the second.
const LOOK: Duration = Duration::from_millis(20);
const LATE_LOOK: Duration = Duration::from_micros(500);

/// Runs the command.
pub(super) fn run(flags: &Run, world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    if let Some(expression) = &config.filter {
        filter::check(expression)?;
    }
    let mut outputs = config.outputs(true)?;
    for output in &mut outputs {
        // Standard output is the command's.
        if output.place == Place::Standard {
            output.place = Place::Error;
        }
    }
    let in_force = Arc::new(rules::in_force(config)?);
    // Before the first thread.
    namespace::prepare()?;
    // What the command starts and leaves comes to this process.
    set_child_subreaper(true).context("cannot look after what the command starts")?;
    let stop = Arc::new(AtomicBool::new(false));
    let options = telling::with_stop(world, Arc::clone(&stop))?;
    let frames = Frames::open(world, &outputs, &[], Some(NEVER))?;
    let options = Options { tape: frames.tape(), ..options };
    let mut watching = Watching { known: Known::open(world, &options.key, &outputs)?, frames };
    let mut telling = Telling::beside(&outputs, world)?;
    let ports = Ports::here();

    let (entered, within) = mpsc::channel();
    let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]);
    let signals = signals.context("cannot handle signals")?;
    let (outcome, status) = thread::scope(|scope| {
        let (stop, options, telling, watching) = (&stop, &options, &mut telling, &mut watching);
        // This thread lives in the namespace, with all that it starts: the readers of frames and the command.
        let inside = scope.spawn(move || {
            let inside = namespace::enter(&ports)?;
            if let Some(restriction) = inside.restriction() {
                tracing::warn!("{restriction}");
            }
            let settings = Settings {
                way: Way::Ring,
                filter: options.filter.clone(),
                buffer: BUFFER,
                promiscuous: false,
                retire: EAGER,
            };
            let interfaces: Result<Vec<Live>, _> =
                inside.interfaces().into_iter().map(|name| Live::open(name, &settings, None)).collect();
            let interfaces = interfaces?;
            let tls = if flags.tls { Some(capture::tls(own_namespace())?) } else { None };
            let attribution = attribution(Selection::default())?;
            // The relay runs before the command does: nobody is refused who comes early.
            let (joined, is_joined) = mpsc::channel::<()>();
            let _ = entered.send((inside, joined));
            let _ = is_joined.recv();
            let child = start(&flags.command)?;
            let waiting = scope.spawn(move || wait(child, signals, stop));
            let outcome = pipeline::capture(
                Sources { interfaces, tls },
                in_force,
                options,
                Until::default(),
                attribution.as_ref(),
                &mut |event| {
                    // Nobody may read what leaks any more: the command goes on.
                    let _ = telling.event(event);
                    pipeline::Flow::Go
                },
                watching,
            );
            let status = waiting.join().unwrap_or_else(|_| Err(io::Error::other("it was lost")));
            Ok::<_, anyhow::Error>((outcome, status.context("cannot wait for the command")?))
        });
        // Here, outside. It is dropped, and with it the way out, when the command is done.
        let _relay = match within.recv() {
            Ok((inside, joined)) => {
                let relay = Relay::start(inside).context("cannot start the relay of the command's namespace");
                drop(joined);
                Some(relay?)
            }
            // It could not enter, and says why.
            Err(_) => None,
        };
        match inside.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    telling.finish();
    let problems = outcome.problems + watching.known.finish() + watching.frames.finish(&[], &options);
    Ok(exit(status, telling::exit(Outcome { problems, ..outcome }, config.fail_on, telling.failed)))
}

/// The network namespace of this thread, by inode.
fn own_namespace() -> u32 {
    let namespace = fs::metadata("/proc/thread-self/ns/net");
    // The kernel's own numbers of namespaces are as long.
    namespace.map_or(0, |namespace| namespace.ino() as u32)
}

fn start(words: &[OsString]) -> anyhow::Result<Child> {
    let Some((program, arguments)) = words.split_first() else { bail!("there is no command to run") };
    let shown = program.to_string_lossy().into_owned();
    Command::new(program).args(arguments).spawn().with_context(|| format!("cannot run {shown}"))
}

/// Waits for the command and passes signals on to it; then ends what it left running, and the capture.
fn wait(mut child: Child, mut signals: Signals, stop: &AtomicBool) -> io::Result<ExitStatus> {
    let pid = Pid::from_raw(child.id() as i32);
    let handle = signals.handle();
    let passing = thread::spawn(move || {
        for signal in signals.forever() {
            // The terminal tells all of its foreground group by itself.
            let is_told = matches!(signal, SIGINT | SIGQUIT)
                && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
            if !is_told && let Ok(signal) = Signal::try_from(signal) {
                let _ = kill(pid, signal);
            }
        }
    });
    let status = child.wait();
    end_rest();
    handle.close();
    let _ = passing.join();
    stop.store(true, Ordering::Relaxed);
    status
}

/// Ends what the command left running, which without the relay would be cut off.
fn end_rest() {
    let begun = Instant::now();
    let mut asked = Vec::new();
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        let rest = children();
        if rest.is_empty() {
            return;
        }
        if begun.elapsed() > LAST {
            tracing::warn!("processes were left by the command that cannot be ended: {rest:?}");
            return;
        }
        let is_late = begun.elapsed() > GRACE;
        for pid in rest {
            if is_late {
                let _ = kill(pid, Signal::SIGKILL);
            } else if !asked.contains(&pid) {
                tracing::info!("process {pid} was left by the command and is ended");
                let _ = kill(pid, Signal::SIGTERM);
                asked.push(pid);
            }
        }
        // Those whom the first look found may be gone by now, each with a child of its own.
        thread::sleep(if begun.elapsed() > LOOK { LATE_LOOK } else { LOOK });
    }
}

/// The children of this process: what the command left comes to it.
fn children() -> Vec<Pid> {
    if let Some(children) = children_of_threads() {
        return children;
    }
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let text = String::from_utf8_lossy(&stat).into_owned();
        text.rsplit_once(')')
            .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1).map(|parent| parent == own))
            == Some(true)
    };
    pids.filter(is_child).map(Pid::from_raw).collect()
}

/// The same where the kernel lists them: at once, so that they are still there when they are ended.
fn children_of_threads() -> Option<Vec<Pid>> {
    let mut found = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split(' ').filter_map(|pid| pid.parse().ok()).map(Pid::from_raw)),
            // The thread is gone, and what it had is another's.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// The command's own code where it failed; else what was found, and what could not be done.
fn exit(status: ExitStatus, own: Exit) -> Exit {
    match (status.code(), status.signal()) {
        (Some(0), _) => own,
        (Some(code), _) => Exit::Passed(code as u8),
        (None, signal) => Exit::Passed(128 + signal.unwrap_or_default() as u8),
    }
}

/// Says how the run goes.
struct Watching {
    known: Known,
    frames: Frames,
}

impl Watch for Watching {
    fn problem(&mut self, problem: &str) {
        tracing::error!("{problem}");
    }

    fn note(&mut self, note: &str) {
        tracing::warn!("{note}");
    }

    fn skipped(&mut self, _path: &str) {}

    fn is_known(&mut self, finding: &Finding) -> bool {
        let is_known = self.known.knows(finding);
        if !is_known {
            self.frames.sighting(finding);
        }
        is_known
    }

    fn progress(&mut self, _bytes: u64, _leaks: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_code_comes_first() {
        let ended = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(exit(ended(0), Exit::Ran), Exit::Ran);
        assert_eq!(exit(ended(0), Exit::Leaks), Exit::Leaks);
        assert_eq!(exit(ended(0), Exit::Failed), Exit::Failed);
        assert_eq!(exit(ended(7), Exit::Leaks).code(), 7);
        assert_eq!(exit(ExitStatus::from_raw(15), Exit::Failed).code(), 143);
    }
}
