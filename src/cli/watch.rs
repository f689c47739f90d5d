//! `leaktap watch`: the terminal screen, live or over files.

mod export;
mod newsman;
mod rule_files;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use self::newsman::Newsman;
use super::flags::Watch as Flags;
use super::telling::{self, Lasting, Telling};
use super::{Exit, World, capture, diagnostics, rules, signals};
use crate::baseline::{Baseline, BaselineError, Entry};
use crate::config::{Config, When};
use crate::model::Timestamp;
use crate::model::secret::FingerprintKey;
use crate::pipeline::{self, Courier, Options, Outcome, Pace, Sources, Until};
use crate::process::Attribution;
use crate::rule::RuleSet;
use crate::sink::{Fsync, Place, Rotation, Spec, clean};
use crate::source::live::{ANY, CALM, Live, Settings};
use crate::source::tls::Tls;
use crate::source::{self, Input, filter};
use crate::tui::{App, Effect, Message, News, Screen, Setup, Speed, Theme};

/// Files of sinks are not put aside while somebody watches.
const NEVER: Lasting<'_> = Lasting {
    rotation: Rotation { size: None, every: None, keep: 0 },
    sync: Fsync::Never,
    retain: None,
    metrics: None,
};

/// Runs the command.
pub(super) fn run(flags: &Flags, world: &World<'_>) -> anyhow::Result<Exit> {
    let config = &world.config;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!(
            "watch needs a terminal for input and output; without one there are `leaktap capture` and `leaktap scan`"
        );
    }
    if flags.speed.is_some() && flags.read.is_empty() {
        bail!("--speed is for files: name one by -r");
    }
    if config.write_baseline || config.every {
        bail!("watch shows every sighting and mutes by the key m: leave --every and --write-baseline out");
    }
    if config.pcap_out.is_some() {
        bail!("watch writes no frames: leave --pcap-out out, or run scan or capture beside it");
    }
    if let Some(expression) = &config.filter {
        filter::check(expression)?;
    }
    let in_force = Arc::new(rules::in_force(config)?);
    let begun = Timestamp::default().after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let mutes = mutes(config)?;
    let sinks = beside(config)?;
    let signals = signals::of_screen().context("cannot handle signals")?;
    let reload = signals::reload().context("cannot handle signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = telling::with_stop(world, Arc::clone(&stop))?;
    let options = Options { pulse: true, reveal: false, every: false, ..asked };
    let looked = Looked::open(flags, config)?;
    let telling = match sinks.as_slice() {
        [] => None,
        sinks => Some(Telling::lasting(sinks, &NEVER, world, || ())?),
    };
    let followed = rule_files::follow(&config.rules, &reload);

    let screen = Screen::open().context("cannot take the terminal over")?;
    let speed = match &looked {
        Looked::Live(..) => None,
        Looked::Files(_) => Some(flags.speed.map_or(Speed::MOST, Speed)),
    };
    let setup = Setup {
        source: looked.name(flags),
        speed,
        reveal: !flags.never_reveal,
        asks: !config.reveal,
        theme: theme(&flags.theme, config.color, world),
        mutes: mutes.clone(),
        begun,
        baseline: config.baseline.as_deref().map(shown),
        formats: export::formats(),
        size: screen.size()?,
    };
    let (courier, news) = Courier::new(speed.is_some());
    let said = courier.clone();
    diagnostics::divert(Some(Box::new(move |text, is_fault| said.bring(News::Note(text, is_fault)))));
    if let Err(error) = &followed {
        tracing::warn!("rule files are not followed: {error}; R and SIGHUP read them again");
    }
    let pace = Pace::new(speed.map_or(f32::INFINITY, |speed| speed.0));
    let newsman = Newsman::new(courier, config, &reload, (mutes, begun), telling, !flags.never_reveal);
    let outside = Outside { pace: &pace, reload: &reload, config, key: &options.key };
    let (outcome, sink_failed) = thread::scope(|scope| {
        let running = scope.spawn(|| newsman.run(looked, in_force, &options, &pace));
        let shown =
            pipeline::show(screen, App::new(setup), &news, &mut |effect| outside.act(effect), &signals);
        stop.store(true, Ordering::Relaxed);
        // What the run still says is shown to nobody: it must not wait for that.
        drop(news);
        diagnostics::divert(None);
        let came_to = match running.join() {
            Ok(came_to) => came_to,
            // A thread of ours ends by panic only by a fault of the program, which goes on here.
            Err(panic) => std::panic::resume_unwind(panic),
        };
        shown.context("the terminal failed").map(|()| came_to)
    })?;
    drop(followed);
    Ok(telling::exit(outcome, config.fail_on, sink_failed))
}

/// What is looked at.
enum Looked {
    /// Interfaces, and whose their connections are.
    Live(Box<Sources>, Option<Box<Attribution>>),
    Files(Vec<Input>),
}

impl Looked {
    fn open(flags: &Flags, config: &Config) -> anyhow::Result<Self> {
        if !flags.read.is_empty() {
            // Before the screen hides it: what cannot be reached is said at once.
            let inputs: Result<Vec<Input>, _> = source::inputs(&flags.read).into_iter().collect();
            let inputs = inputs?;
            if inputs.iter().any(|input| input.path.as_os_str() == "-") {
                bail!("standard input is the keyboard's here: give a file, or a named pipe");
            }
            return Ok(Self::Files(inputs));
        }
        let words = if flags.interface.is_empty() { vec![ANY.to_owned()] } else { flags.interface.clone() };
        let settings = Settings {
            way: flags.backend,
            filter: config.filter.clone(),
            buffer: usize::from(flags.buffer) << 20,
            promiscuous: flags.promiscuous,
            retire: CALM,
        };
        let open = capture::open_each(&words, &settings, 1)?;
        let tls = if flags.tls { Some(capture::tls(0)?) } else { None };
        let attribution = capture::attribution(flags.selection())?.map(Box::new);
        Ok(Self::Live(Box::new(Sources { interfaces: open, tls }), attribution))
    }

    fn name(&self, flags: &Flags) -> String {
        match self {
            Self::Live(open, _) => {
                let names = open.interfaces.iter().map(Live::name).chain(open.tls.iter().map(Tls::name));
                names.collect::<Vec<_>>().join(", ")
            }
            Self::Files(_) => flags.read.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", "),
        }
    }

    /// Runs until all is read, or it is stopped.
    fn run(
        self,
        rules: Arc<RuleSet>,
        options: &Options,
        pace: &Pace,
        on: &mut dyn FnMut(&crate::model::event::Event) -> pipeline::Flow,
        watch: &mut dyn pipeline::Watch,
    ) -> Outcome {
        match self {
            Self::Live(open, whose) => {
                pipeline::capture(*open, rules, options, Until::default(), whose.as_deref(), on, watch)
            }
            Self::Files(inputs) => pipeline::replay(&inputs, rules, options, pace, on, watch),
        }
    }
}

/// The sinks beside the screen, which has standard output.
fn beside(config: &Config) -> anyhow::Result<Vec<Spec>> {
    if config.sinks.iter().any(|spec| spec.place == Place::Standard) {
        bail!("standard output is the screen's: give each sink a file");
    }
    let outputs = config.outputs(true)?;
    Ok(outputs.into_iter().filter(|spec| spec.place != Place::Standard).collect())
}

/// What is muted from the start. A file that is not there yet is made with the first mute.
fn mutes(config: &Config) -> anyhow::Result<Baseline> {
    match &config.baseline {
        Some(path) if path.exists() => Ok(Baseline::read(path)?),
        _ => Ok(Baseline::default()),
    }
}

fn shown(path: &Path) -> String {
    clean(&path.display().to_string()).into_owned()
}

/// The theme that was asked for; else none where colours are not wanted, else by what the terminal says of its ground.
fn theme(word: &str, color: When, world: &World<'_>) -> Theme {
    let variable = |name: &str| (world.environment)(name).filter(|value| !value.is_empty());
    let is_plain = match color {
        When::Never => true,
        When::Always => false,
        When::Auto => variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|term| term == "dumb"),
    };
    // `COLORFGBG`, as rxvt, Konsole and others set it: `15;0`, the last number being the ground.
    let ground =
        variable("COLORFGBG").and_then(|value| value.to_str()?.rsplit(';').next()?.parse::<u8>().ok());
    match word {
        "dark" => Theme::Dark,
        "light" => Theme::Light,
        "none" => Theme::Plain,
        _ if is_plain => Theme::Plain,
        _ if matches!(ground, Some(7 | 15)) => Theme::Light,
        _ => Theme::Dark,
    }
}

/// Does what the screen asks for.
struct Outside<'a> {
    pace: &'a Pace,
    reload: &'a AtomicBool,
    config: &'a Config,
    key: &'a FingerprintKey,
}

impl Outside<'_> {
    fn act(&self, effect: Effect) -> Option<Message> {
        match effect {
            Effect::Pause(pause) => self.pace.pause(pause),
            Effect::Speed(speed) => self.pace.go(speed.0),
            Effect::Reload => self.reload.store(true, Ordering::Relaxed),
            Effect::Export(format, leaks) => {
                let said = match export::write(format, leaks, Path::new("")) {
                    Ok(said) => Message::Said(said, false),
                    Err(error) => Message::Said(format!("{error:#}"), true),
                };
                return Some(said);
            }
            Effect::Mute(known) => return self.keep(|baseline| baseline.add(known)),
            Effect::Unmute(known) => {
                return self.keep(|baseline| {
                    let at = baseline.entries().iter().position(|entry: &Entry| *entry == known);
                    at.and_then(|at| baseline.remove(at)).is_some()
                });
            }
            // The drawing thread does these.
            Effect::Quit | Effect::Suspend | Effect::Redraw | Effect::Copy(_) | Effect::Mouse(_) => {}
        }
        None
    }

    /// Changes the file of the baseline as it is by now: others may have changed it meanwhile.
    fn keep(&self, change: impl FnOnce(&mut Baseline) -> bool) -> Option<Message> {
        let path = self.config.baseline.as_ref()?;
        let kept = (|| {
            let mut baseline = if path.exists() { Baseline::read(path)? } else { Baseline::default() };
            if change(&mut baseline) {
                baseline.seal(self.key);
                baseline.write(path)?;
            }
            Ok::<(), BaselineError>(())
        })();
        kept.err().map(|error| Message::Said(format!("it is muted on this screen only: {error}"), true))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use indicatif::ProgressBar;

    use super::*;
    use crate::config::{self, Layer};

    fn config(layer: Layer) -> Config {
        config::read(layer, None, Path::new("/nonexistent"), &|_| None).unwrap()
    }

    #[test]
    fn the_theme_is_the_one_asked_for_or_the_terminals() {
        for (word, color, variables, expected) in [
            ("auto", When::Auto, &[][..], Theme::Dark),
            ("auto", When::Auto, &[("NO_COLOR", "1")], Theme::Plain),
            ("auto", When::Always, &[("NO_COLOR", "1")], Theme::Dark),
            ("auto", When::Never, &[], Theme::Plain),
            ("auto", When::Auto, &[("COLORFGBG", "0;15")], Theme::Light),
            ("auto", When::Auto, &[("COLORFGBG", "15;default;0")], Theme::Dark),
            ("auto", When::Auto, &[("TERM", "dumb")], Theme::Plain),
            ("light", When::Never, &[], Theme::Light),
            ("none", When::Always, &[], Theme::Plain),
        ] {
            let environment = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let world = World {
                config: config(Layer::default()),
                environment: &environment,
                bar: ProgressBar::hidden(),
            };
            assert_eq!(theme(word, color, &world), expected, "{word} {variables:?}");
        }
    }

    #[test]
    fn what_is_muted_is_kept_in_the_file_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.toml");
        let config = config(Layer { baseline: Some(path.clone()), ..Layer::default() });
        let (pace, reload, key) = (Pace::new(1.0), AtomicBool::new(false), FingerprintKey::new(b"made up"));
        let outside = Outside { pace: &pace, reload: &reload, config: &config, key: &key };
        assert!(mutes(&config).unwrap().entries().is_empty(), "no file yet");
        let known = |rule: &str| Entry { rule: Some(rule.to_owned()), ..Entry::default() };
        assert!(outside.act(Effect::Mute(known("first"))).is_none());
        assert!(outside.act(Effect::Mute(known("second"))).is_none());
        assert!(outside.act(Effect::Unmute(known("first"))).is_none());
        assert_eq!(mutes(&config).unwrap().entries(), [known("second")]);
        std::fs::write(&path, "no baseline").unwrap();
        let said = outside.act(Effect::Mute(known("third")));
        assert!(matches!(said, Some(Message::Said(text, true)) if text.contains("on this screen only")));
    }

    #[test]
    fn standard_output_is_the_screens() {
        let config = config(Layer { sink: Some(vec!["ndjson:-".into()]), ..Layer::default() });
        assert!(beside(&config).is_err());
    }
}
