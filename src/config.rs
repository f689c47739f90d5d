//! Settings as they were given become settings as they were checked: `leaktap.toml`, then `LEAKTAP_*`, then flags; the later wins.

pub mod key;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IntoDeserializer;

use crate::model::{Confidence, Severity};
use crate::sink::{self, Place, Spec, SpecError, clean};

/// Looks an environment variable up; a parameter, so that tests need not change the process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Flows fall into so many shards, so that more jobs would be idle.
const JOBS: usize = 64;

/// Every setting, as files and flags name it.
pub const KEYS: &[&str] = &[
    "rules",
    "no-default-rules",
    "severity",
    "confidence",
    "fail-on",
    "filter",
    "format",
    "sink",
    "jobs",
    "reveal",
    "every",
    "explain",
    "baseline",
    "write-baseline",
    "pcap-out",
    "color",
    "progress",
    "quiet",
    "verbose",
];

/// The environment variable of a setting: `LEAKTAP_FAIL_ON`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("LEAKTAP_{}", key.replace('-', "_").to_ascii_uppercase())
}

/// One layer of settings; what it does not say is left to the layer below. Keys are named as the flags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "Settings of leaktap"))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Layer {
    /// Rule files and folders beside the built-in ones.
    pub rules: Option<Vec<PathBuf>>,
    /// Whether the built-in rules are left out.
    pub no_default_rules: Option<bool>,
    /// The least severity to report.
    pub severity: Option<Severity>,
    /// The least confidence to report.
    pub confidence: Option<Confidence>,
    /// The severity from which on the exit code is 1.
    pub fail_on: Option<Severity>,
    /// A capture filter.
    pub filter: Option<String>,
    /// The format of standard output.
    pub format: Option<String>,
    /// Sinks beside standard output.
    pub sink: Option<Vec<String>>,
    /// Workers.
    pub jobs: Option<usize>,
    /// Whether values of secrets are told.
    pub reveal: Option<bool>,
    /// Whether each sighting is told.
    pub every: Option<bool>,
    /// Whether it is said why each leak is told.
    pub explain: Option<bool>,
    /// What is known and not told.
    pub baseline: Option<PathBuf>,
    /// Whether what is told becomes known.
    pub write_baseline: Option<bool>,
    /// Where the frames of leaking flows go.
    pub pcap_out: Option<PathBuf>,
    /// Whether colours are used.
    pub color: Option<When>,
    /// Whether progress is shown.
    pub progress: Option<When>,
    /// Whether only errors are said.
    pub quiet: Option<bool>,
    /// How much more than warnings is said.
    pub verbose: Option<u8>,
}

/// Settings as checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Rule files and folders beside the built-in ones.
    pub rules: Vec<PathBuf>,
    /// Whether the built-in rules are used.
    pub default_rules: bool,
    /// The least severity to report.
    pub severity: Severity,
    /// The same, where it was asked for.
    pub asked_severity: Option<Severity>,
    /// The least confidence to report.
    pub confidence: Confidence,
    /// The severity from which on the exit code is 1.
    pub fail_on: Option<Severity>,
    /// A capture filter.
    pub filter: Option<String>,
    /// The format of standard output, where one was asked for.
    pub format: Option<String>,
    /// Sinks that were asked for.
    pub sinks: Vec<Spec>,
    /// Workers, 1 to 64.
    pub jobs: usize,
    /// Whether values of secrets are told.
    pub reveal: bool,
    /// Whether each sighting is told.
    pub every: bool,
    /// Whether it is said why each leak is told.
    pub explain: bool,
    /// What is known and not told.
    pub baseline: Option<PathBuf>,
    /// Whether what is told becomes known.
    pub write_baseline: bool,
    /// Where the frames of leaking flows go.
    pub pcap_out: Option<PathBuf>,
    /// Whether colours are used.
    pub color: When,
    /// Whether progress is shown.
    pub progress: When,
    /// How much is said on standard error.
    pub verbosity: Verbosity,
}

/// Whether something is done that depends on there being a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What could not be done.
    Quiet,
    /// And what the user should know.
    #[default]
    Normal,
    /// And what is being done.
    Verbose,
    /// And why.
    Debug,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A configuration file could not be read.
    #[error("cannot read the configuration {}: {error}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A configuration file says something that nobody understands.
    #[error("{}:{line}: {reason}", shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// An environment variable says something that nobody understands.
    #[error("the variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A format or a sink is named wrongly.
    #[error(transparent)]
    Sink(#[from] SpecError),
    /// Two sinks would write to one place.
    #[error("{0} is written to by two sinks; give each its own place")]
    SamePlace(String),
    /// The number of jobs makes no sense.
    #[error("--jobs {0} is outside 1 to {JOBS}")]
    Jobs(usize),
    /// A baseline is to be written, but not where.
    #[error("--write-baseline does not say where to: give --baseline FILE too")]
    NoBaseline,
    /// There are no random numbers to make a fingerprint key of.
    #[error("the system gives no random numbers for a fingerprint key: {0}")]
    Random(String),
}

/// Reads every layer and checks what they say together. `file` is the configuration file that was asked for;
/// otherwise `leaktap.toml` in `folder`, else in the user's configuration folder, is read where there is one.
///
/// # Errors
/// The first thing that is wrong, with where it stands.
pub fn read(
    flags: Layer,
    file: Option<&Path>,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<Config, ConfigError> {
    let asked = file.map(Path::to_path_buf).or_else(|| environment("LEAKTAP_CONFIG").map(PathBuf::from));
    let lowest = match asked {
        Some(path) => Layer::file(&path)?,
        None => {
            let here = Some(folder.join("leaktap.toml"));
            let home = home_folder(environment, "XDG_CONFIG_HOME", ".config")
                .map(|folder| folder.join("leaktap/leaktap.toml"));
            match [here, home].into_iter().flatten().find(|path| path.is_file()) {
                Some(path) => Layer::file(&path)?,
                None => Layer::default(),
            }
        }
    };
    check(flags.over(Layer::variables(environment)?.over(lowest)))
}

/// The folder that an XDG variable names (absolute, as its specification asks), or its default in `$HOME`.
pub(crate) fn home_folder(environment: Environment<'_>, variable: &str, default: &str) -> Option<PathBuf> {
    let named = environment(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || environment("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| Some(home()?.join(default)))
}

impl Layer {
    /// This layer over a lower one: what it says wins, lists as a whole.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        // Quiet and verbose are two ends of one setting.
        let said = self.quiet.is_some() || self.verbose.is_some();
        let (quiet, verbose) = if said { (self.quiet, self.verbose) } else { (lower.quiet, lower.verbose) };
        Self {
            rules: self.rules.or(lower.rules),
            no_default_rules: self.no_default_rules.or(lower.no_default_rules),
            severity: self.severity.or(lower.severity),
            confidence: self.confidence.or(lower.confidence),
            fail_on: self.fail_on.or(lower.fail_on),
            filter: self.filter.or(lower.filter),
            format: self.format.or(lower.format),
            sink: self.sink.or(lower.sink),
            jobs: self.jobs.or(lower.jobs),
            reveal: self.reveal.or(lower.reveal),
            every: self.every.or(lower.every),
            explain: self.explain.or(lower.explain),
            baseline: self.baseline.or(lower.baseline),
            write_baseline: self.write_baseline.or(lower.write_baseline),
            pcap_out: self.pcap_out.or(lower.pcap_out),
            color: self.color.or(lower.color),
            progress: self.progress.or(lower.progress),
            quiet,
            verbose,
        }
    }

    /// What a configuration file says. Paths of rules and baseline in it count from its folder.
    ///
    /// # Errors
    /// Where it cannot be read, or says something unknown: with the line.
    pub fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_path_buf(), error })?;
        let mut layer: Self = toml::from_str(&text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
            ConfigError::File {
                path: path.to_path_buf(),
                line: 1 + before.matches('\n').count(),
                reason: error.message().trim().replace('\n', "; "),
            }
        })?;
        if let Some(folder) = path.parent() {
            for path in layer.rules.iter_mut().flatten().chain(&mut layer.baseline) {
                *path = folder.join(&path);
            }
        }
        Ok(layer)
    }

    /// What `LEAKTAP_*` variables say. `LEAKTAP_RULES` separates its paths as `PATH` does, `LEAKTAP_SINK` its sinks by commas.
    /// An empty variable says nothing.
    ///
    /// # Errors
    /// The first variable with a value that makes no sense.
    pub fn variables(environment: Environment<'_>) -> Result<Self, ConfigError> {
        let raw = |name: &'static str| environment(name).filter(|value| !value.is_empty());
        let text = |name: &'static str| match raw(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(ConfigError::Variable { name, reason: "it is not UTF-8".to_owned() }),
        };
        Ok(Self {
            rules: raw("LEAKTAP_RULES").map(|paths| std::env::split_paths(&paths).collect()),
            no_default_rules: flag("LEAKTAP_NO_DEFAULT_RULES", text("LEAKTAP_NO_DEFAULT_RULES")?)?,
            severity: named("LEAKTAP_SEVERITY", text("LEAKTAP_SEVERITY")?)?,
            confidence: named("LEAKTAP_CONFIDENCE", text("LEAKTAP_CONFIDENCE")?)?,
            fail_on: named("LEAKTAP_FAIL_ON", text("LEAKTAP_FAIL_ON")?)?,
            filter: text("LEAKTAP_FILTER")?,
            format: text("LEAKTAP_FORMAT")?,
            sink: text("LEAKTAP_SINK")?
                .map(|specs| specs.split(',').map(|spec| spec.trim().to_owned()).collect()),
            jobs: number("LEAKTAP_JOBS", text("LEAKTAP_JOBS")?)?,
            reveal: flag("LEAKTAP_REVEAL", text("LEAKTAP_REVEAL")?)?,
            every: flag("LEAKTAP_EVERY", text("LEAKTAP_EVERY")?)?,
            explain: flag("LEAKTAP_EXPLAIN", text("LEAKTAP_EXPLAIN")?)?,
            baseline: raw("LEAKTAP_BASELINE").map(PathBuf::from),
            write_baseline: flag("LEAKTAP_WRITE_BASELINE", text("LEAKTAP_WRITE_BASELINE")?)?,
            pcap_out: raw("LEAKTAP_PCAP_OUT").map(PathBuf::from),
            color: named("LEAKTAP_COLOR", text("LEAKTAP_COLOR")?)?,
            progress: named("LEAKTAP_PROGRESS", text("LEAKTAP_PROGRESS")?)?,
            quiet: flag("LEAKTAP_QUIET", text("LEAKTAP_QUIET")?)?,
            verbose: number("LEAKTAP_VERBOSE", text("LEAKTAP_VERBOSE")?)?,
        })
    }
}

fn named<'de, T: Deserialize<'de>>(
    name: &'static str,
    value: Option<String>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    T::deserialize(value.into_deserializer()).map(Some).map_err(|error: serde::de::value::Error| {
        ConfigError::Variable { name, reason: clean(&error.to_string()).into_owned() }
    })
}

fn flag(name: &'static str, value: Option<String>) -> Result<Option<bool>, ConfigError> {
    match value.map(|value| value.to_ascii_lowercase()).as_deref() {
        None => Ok(None),
        Some("1" | "true" | "yes" | "on") => Ok(Some(true)),
        Some("0" | "false" | "no" | "off") => Ok(Some(false)),
        Some(_) => Err(ConfigError::Variable { name, reason: "it must be 1 or 0".to_owned() }),
    }
}

fn number<T: std::str::FromStr>(name: &'static str, value: Option<String>) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    let reason = || "it must be a small whole number".to_owned();
    value.trim().parse().map(Some).map_err(|_| ConfigError::Variable { name, reason: reason() })
}

fn check(layer: Layer) -> Result<Config, ConfigError> {
    let sinks = layer.sink.unwrap_or_default().iter().map(|spec| spec.parse()).collect::<Result<_, _>>()?;
    let jobs = layer.jobs.unwrap_or_else(cores);
    if !(1..=JOBS).contains(&jobs) {
        return Err(ConfigError::Jobs(jobs));
    }
    let write_baseline = layer.write_baseline.unwrap_or(false);
    if write_baseline && layer.baseline.is_none() {
        return Err(ConfigError::NoBaseline);
    }
    Ok(Config {
        rules: layer.rules.unwrap_or_default(),
        default_rules: !layer.no_default_rules.unwrap_or(false),
        severity: layer.severity.unwrap_or(Severity::Low),
        asked_severity: layer.severity,
        confidence: layer.confidence.unwrap_or(Confidence::Low),
        fail_on: layer.fail_on,
        filter: layer.filter,
        format: layer.format,
        sinks,
        jobs,
        reveal: layer.reveal.unwrap_or(false),
        every: layer.every.unwrap_or(false),
        explain: layer.explain.unwrap_or(false),
        baseline: layer.baseline,
        write_baseline,
        pcap_out: layer.pcap_out,
        color: layer.color.unwrap_or_default(),
        progress: layer.progress.unwrap_or_default(),
        verbosity: match (layer.quiet.unwrap_or(false), layer.verbose.unwrap_or(0)) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Debug,
        },
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

impl Config {
    /// Every sink of a run: standard output (unless a sink has taken it and no format was asked for), then the others.
    /// `terminal` says whether standard output is one.
    ///
    /// # Errors
    /// An unknown format; a place that two would write to.
    pub fn outputs(&self, terminal: bool) -> Result<Vec<Spec>, ConfigError> {
        self.outputs_by(if terminal { "table" } else { "ndjson" })
    }

    /// The same with a format of standard output where none was asked for.
    ///
    /// # Errors
    /// As [`Config::outputs`].
    pub fn outputs_by(&self, default: &str) -> Result<Vec<Spec>, ConfigError> {
        let mut outputs = Vec::new();
        let taken = self.sinks.iter().any(|spec| spec.place == Place::Standard);
        if self.format.is_some() || !taken {
            let format = sink::format(self.format.as_deref().unwrap_or(default))?;
            outputs.push(Spec { format, place: Place::Standard });
        }
        for spec in &self.sinks {
            if outputs.iter().any(|other: &Spec| other.place == spec.place) {
                return Err(ConfigError::SamePlace(match &spec.place {
                    Place::Standard => "standard output".to_owned(),
                    Place::Error => "standard error".to_owned(),
                    Place::File(path) => shown(path),
                    Place::Syslog(_) | Place::Webhook(_) => spec.to_string(),
                }));
            }
            outputs.push(spec.clone());
        }
        Ok(outputs)
    }
}

fn shown(path: impl AsRef<OsStr>) -> String {
    clean(&path.as_ref().to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests;
