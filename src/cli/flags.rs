//! The command line as typed.

#[cfg(target_os = "linux")]
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::config::{Layer, When};
use crate::model::{Confidence, Severity};
use crate::process::Selection;
use crate::sink::{FORMATS, Fsync, Rotation, remote};
use crate::source::live::Way;

const EXAMPLES: &str = "\
Examples:
  leaktap scan trace.pcap                        what leaks in a capture, as a table
  leaktap scan captures/ --fail-on high          all captures of a folder; 1 where high or worse
  tcpdump -i any -w - | leaktap scan -           a capture from a pipe
  leaktap capture -i lo                          what leaks on the loopback, as it passes
  leaktap run --fail-on high -- pytest           what a test suite leaks
  leaktap scan trace.pcap --format ndjson | jq   one JSON object a line
  leaktap rules list                             what is looked for

Settings: leaktap.toml here or in the XDG folder, then LEAKTAP_* variables (LEAKTAP_FAIL_ON=high),
then flags; the later wins.

Exit code: 0 ran; 1 ran and a leak reached --fail-on; 2 something could not be done.";

const SCAN_EXAMPLES: &str = "\
Examples:
  leaktap scan trace.pcap
  leaktap scan monday.pcapng.gz tuesday/ --severity high
  leaktap scan --join ring.pcap*
  leaktap scan trace.pcap --filter 'tcp port 8080' --sink ndjson:leaks.ndjson
  zstdcat big.pcap.zst | leaktap scan - --format ndjson --fail-on critical";

const CAPTURE_EXAMPLES: &str = "\
Examples:
  leaktap capture -i lo --filter 'tcp port 8080'        the traffic of a local server, as it passes
  leaktap capture -i eth0 -i wg0 --format ndjson | jq   two interfaces, one JSON object a line
  leaktap capture -i any --duration 10m --fail-on high  ten minutes; 1 where high or worse

Needs CAP_NET_RAW, no more: `leaktap doctor` says the command that gives it.
SIGINT and SIGTERM end it with everything told; SIGHUP reads the rules again.";

const WATCH_EXAMPLES: &str = "\
Examples:
  leaktap watch                                        what leaks on any interface
  leaktap watch -i lo --filter 'tcp port 8080'         the traffic of a local server
  leaktap watch -r trace.pcap                          a capture; --speed 1 as fast as it was captured
  leaktap watch -i lo --baseline known.toml            what is muted there is kept in the file

? lists the keys, q ends. Live it needs CAP_NET_RAW, no more: `leaktap doctor` says the command that gives it.";

#[cfg(target_os = "linux")]
const RUN_EXAMPLES: &str = "\
Examples:
  leaktap run -- pytest                               what tests leak, as they run
  leaktap run --fail-on high -- pytest -q             1 where they pass and a leak is high
  leaktap run --sink ndjson:leaks.ndjson -- npm test  leaks into a file, too
  leaktap run --sink junit:leaks.xml -- pytest        as test cases for a build server; also sarif:FILE

The command runs in a network namespace of its own: its traffic and nobody else's is seen. It
reaches what listens on this machine's loopback at the same ports, and other machines over IPv4
by a relay. No root is needed where users may make namespaces (then other machines are reached
only where /dev/net/tun may be opened).

Exit code: the command's where that is not 0 (128 and the number of a signal that ended it);
else 1 where a leak reached --fail-on; 2 where something could not be done.";

const RULES_EXAMPLES: &str = "\
Examples:
  leaktap rules list
  leaktap rules show stripe-secret-key
  leaktap rules check my-rules.toml
  echo 'api_key=…' | leaktap rules test -";

const REPORT_EXAMPLES: &str = "\
Examples:
  leaktap report leaks.ndjson > report.html
  leaktap report leaks.ndjson leaks.ndjson.1 --format sarif --sink csv:leaks.csv
  leaktap report week/*.ndjson.gz --severity high --baseline known.toml --format markdown";

const REDACT_EXAMPLES: &str = "\
Examples:
  leaktap redact trace.pcap -o shared.pcapng
  leaktap redact trace.pcap.zst -o shared.pcapng --all --rules my-rules.toml

Values are masked in place: lengths, frame numbers, times and checksums stay. What is compressed is masked whole.";

fn formats() -> String {
    FORMATS.iter().map(|format| format!("  {:10}{}\n", format.name, format.about)).collect()
}

fn scan_help() -> String {
    format!("Formats:\n{}\n{SCAN_EXAMPLES}", formats())
}

fn report_help() -> String {
    format!("Formats:\n{}\n{REPORT_EXAMPLES}", formats())
}

fn capture_help() -> String {
    let sinks: String = remote().iter().map(|(name, about)| format!("  {name:9}{about}\n")).collect();
    format!("Sinks beside FORMAT:FILE:\n{sinks}\n{CAPTURE_EXAMPLES}")
}

/// Finds credentials that leak in clear in network traffic.
#[derive(Debug, Parser)]
#[command(name = "leaktap", version, long_version = long_version(), after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 110)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Find leaks in capture files
    #[command(after_help = scan_help())]
    Scan(Scan),
    /// Find leaks in live traffic, until a signal, --duration or --count
    #[command(after_help = capture_help())]
    Capture(Box<Capture>),
    /// Look at leaks on a screen as they pass, or those of capture files
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(Watch),
    /// A page (or SARIF, CSV …) of leaks that were stored as ndjson
    #[command(after_help = report_help())]
    Report(Report),
    /// A copy of a capture with every secret masked, to share
    #[command(after_help = REDACT_EXAMPLES)]
    Redact(Redact),
    /// Run a command and find what it leaks: its traffic alone, loopback included
    #[cfg(target_os = "linux")]
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// The network interfaces of this machine, and the likely one
    Interfaces,
    /// What this machine allows, and the one command that mends what it does not
    Doctor,
    /// The rules in force: list, show, check, test
    #[command(after_help = RULES_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
    Rules {
        #[command(subcommand)]
        command: Rules,
    },
    /// Completions for a shell: bash, zsh, fish, elvish, powershell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL", value_parser = clap::value_parser!(Shell), hide_possible_values = true)]
        shell: Shell,
    },
    /// The man page; with --output every page, as files
    Man {
        /// A folder, which is made
        #[arg(short, long, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
}

/// The version, and what this program was built with.
fn long_version() -> String {
    let has = |name: &str, has: bool| format!("{}{name}", if has { '+' } else { '-' });
    let formats: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    let sinks: Vec<&str> = remote().iter().map(|(name, _)| *name).collect();
    format!(
        "{}\nfeatures: {} {} {}\nformats: {}\nsinks: {}\ntarget: {}",
        env!("CARGO_PKG_VERSION"),
        has("pcap", cfg!(feature = "pcap")),
        has("ring", cfg!(target_os = "linux")),
        has("ebpf", cfg!(all(feature = "ebpf", target_os = "linux"))),
        formats.join(" "),
        sinks.join(" "),
        env!("LEAKTAP_TARGET"),
    )
}

/// Flags of every command.
#[derive(Debug, Default, Args)]
pub(super) struct Common {
    /// Use the rules of this file or folder too, leaktap's or gitleaks' TOML (repeats)
    #[arg(long, value_name = "PATH", global = true, help_heading = "Rules")]
    rules: Option<Vec<PathBuf>>,
    /// Leave the built-in rules out
    #[arg(long, global = true, help_heading = "Rules")]
    no_default_rules: bool,
    /// Read settings from this file instead of leaktap.toml here or in the XDG folder
    #[arg(long, value_name = "FILE", global = true, help_heading = "General")]
    pub(super) config: Option<PathBuf>,
    /// Tell the values of secrets. Without it nothing shows them
    #[arg(long, global = true, help_heading = "Output")]
    reveal: bool,
    /// Format of standard output: table on a terminal, else ndjson (report: else html)
    #[arg(long, value_name = "FORMAT", global = true, help_heading = "Output")]
    format: Option<String>,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_parser = named::<When>(&WHEN), hide_possible_values = true, global = true,
        help_heading = "General")]
    color: Option<When>,
    /// Progress on standard error: auto, always, never
    #[arg(long, value_name = "WHEN", value_parser = named::<When>(&WHEN), hide_possible_values = true, global = true,
        help_heading = "General")]
    progress: Option<When>,
    /// Say errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "General")]
    quiet: bool,
    /// Say what is being done; twice: and why
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "General")]
    verbose: u8,
}

#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Captures (pcap, pcapng; also .gz, .zst), folders of them, or - for standard input
    #[arg(value_name = "INPUT", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    /// Read all inputs as one capture, by time: rotated files, or those of several taps
    #[arg(long, help_heading = "Input")]
    pub(super) join: bool,
    #[command(flatten)]
    pub(super) detection: Detection,
}

#[derive(Debug, Args)]
pub(super) struct Capture {
    /// Capture on this interface: a name, an address, or any (repeats; `leaktap interfaces` lists them)
    #[arg(
        short,
        long = "interface",
        value_name = "IFACE",
        required_unless_present = "tls",
        help_heading = "Capture"
    )]
    pub(super) interface: Vec<String>,
    /// How frames are captured: auto (the ring, else pcap), pcap (libpcap), ring (the kernel's packet ring, Linux), ebpf (a program in
    /// the kernel, which hands up no more of a flow once it is known to be encrypted; Linux)
    #[arg(long, value_name = "WAY", value_parser = PossibleValuesParser::new(WAYS).map(|way| way_of(&way)), default_value = "auto",
        hide_possible_values = true, hide_default_value = true, help_heading = "Capture")]
    pub(super) backend: Way,
    /// Read the clear text of TLS, too, where programs of this machine hand it to OpenSSL, BoringSSL, GnuTLS, NSS, Go or rustls: what
    /// leaks in spite of TLS is told (needs the feature ebpf, CAP_BPF and CAP_PERFMON)
    #[arg(long, help_heading = "Capture")]
    pub(super) tls: bool,
    /// End after so long: 90, 90s, 15m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Capture")]
    pub(super) duration: Option<Duration>,
    /// End after so many frames
    #[arg(long, value_name = "N", help_heading = "Capture")]
    pub(super) count: Option<u64>,
    /// Kernel memory for frames that wait, in MiB for each interface [default: 64]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(2..=2047), default_value_t = 64,
        hide_default_value = true, help_heading = "Capture")]
    pub(super) buffer: u16,
    /// Readers for each interface, which share its flows (ring only) [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), default_value_t = 1,
        hide_default_value = true, help_heading = "Capture")]
    pub(super) fanout: u16,
    /// Take frames for other machines too
    #[arg(long, help_heading = "Capture")]
    pub(super) promiscuous: bool,
    #[command(flatten)]
    chosen: Chosen,
    /// Put a sink's file aside before it grows over so many MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30), help_heading = "Output")]
    rotate_size: Option<u64>,
    /// Put a sink's file aside after so long: 1h, 1d
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Output")]
    rotate_every: Option<Duration>,
    /// How many files put aside are kept [default: 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9999), default_value_t = 7,
        hide_default_value = true, help_heading = "Output")]
    rotate_keep: u32,
    /// When a sink's file has to be on the disk: never (when the system sees fit), always, or at the latest after 1s, 30s …
    #[arg(long, value_name = "WHEN", value_parser = sync, default_value = "never", hide_default_value = true, help_heading = "Output")]
    pub(super) fsync: Fsync,
    /// Drop the rows of a sqlite sink that were not written for so long: 30d
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Output")]
    pub(super) retain: Option<Duration>,
    /// Tell Prometheus how it goes, at /metrics and /health of this address: 9464 (on the loopback), 192.0.2.1:9464
    #[arg(long, value_name = "ADDR", value_parser = address, help_heading = "Output")]
    pub(super) metrics: Option<SocketAddr>,
    /// Close flows, which begin anew, where the process has more memory than so many MiB [default: half of all]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30), help_heading = "Capture")]
    pub(super) memory: Option<u64>,
    /// Become this user once all is open [default: under sudo, who called it]
    #[arg(long, value_name = "NAME", help_heading = "Rights")]
    pub(super) user: Option<String>,
    /// Keep what is otherwise given up once all is open: user, capabilities, files (landlock), calls (seccomp), or raw: CAP_NET_RAW alone, by
    /// which libpcap and the readers of --fanout capture again on an interface that comes back (repeats)
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(RIGHTS), value_delimiter = ',', hide_possible_values = true,
        help_heading = "Rights")]
    pub(super) keep: Vec<String>,
    /// Leaks need not name their processes: then what it takes to see other users' processes is given up, too
    #[arg(long, conflicts_with_all = ["pid", "container", "cgroup"], help_heading = "Rights")]
    pub(super) no_processes: bool,
    #[command(flatten)]
    pub(super) detection: Detection,
}

/// What can be kept.
const RIGHTS: [&str; 5] = ["user", "capabilities", "files", "calls", "raw"];

/// When a file has to be on the disk.
fn sync(text: &str) -> Result<Fsync, String> {
    match text {
        "never" => Ok(Fsync::Never),
        "always" => Ok(Fsync::Always),
        _ => duration(text)
            .map(Fsync::Every)
            .map_err(|_| "write never, always, or a time such as 1s".to_owned()),
    }
}

/// An address and a port; a port alone is one of the loopback.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .or_else(|_| text.parse())
        .map_err(|_| "write a port, or ADDRESS:PORT".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// Files of events as the format ndjson tells them (also .gz, .zst), or - for standard input
    #[arg(value_name = "EVENTS", required = true)]
    pub(super) events: Vec<PathBuf>,
    /// Report from this severity on: info, low, medium, high, critical [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Severity>(&SEVERITIES), hide_possible_values = true,
        help_heading = "What is reported")]
    severity: Option<Severity>,
    /// Report from this confidence on: low, medium, high [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Confidence>(&CONFIDENCES), hide_possible_values = true,
        help_heading = "What is reported")]
    confidence: Option<Confidence>,
    /// Exit with 1 where a leak of this severity or worse is reported
    #[arg(long, value_name = "LEVEL", value_parser = named::<Severity>(&SEVERITIES), hide_possible_values = true,
        help_heading = "What is reported")]
    fail_on: Option<Severity>,
    /// Leave out the leaks that this file knows
    #[arg(long, value_name = "FILE", help_heading = "What is reported")]
    baseline: Option<PathBuf>,
    /// Write elsewhere too: sarif:leaks.sarif (repeats)
    #[arg(long, value_name = "SPEC", help_heading = "Output")]
    sink: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(super) struct Redact {
    /// The capture (pcap, pcapng; also .gz, .zst)
    #[arg(value_name = "IN")]
    pub(super) input: PathBuf,
    /// The copy, as pcapng
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: PathBuf,
    /// Mask also what bears credentials by its name: header fields, cookies, parameters, members of bodies
    #[arg(long)]
    pub(super) all: bool,
    /// Mask what is found from this severity on: info, low, medium, high, critical [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Severity>(&SEVERITIES), hide_possible_values = true)]
    severity: Option<Severity>,
    /// Mask what is found from this confidence on: low, medium, high [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Confidence>(&CONFIDENCES), hide_possible_values = true)]
    confidence: Option<Confidence>,
}

impl Redact {
    /// What it has in common with the commands that look for leaks.
    pub(super) fn detection(&mut self) -> Detection {
        Detection { severity: self.severity, confidence: self.confidence, ..Detection::default() }
    }
}

impl Report {
    /// What it has in common with the commands that look for leaks.
    pub(super) fn detection(&mut self) -> Detection {
        Detection {
            severity: self.severity,
            confidence: self.confidence,
            fail_on: self.fail_on,
            baseline: self.baseline.take(),
            sink: self.sink.take(),
            ..Detection::default()
        }
    }
}

/// Whose leaks are told, of live traffic.
#[derive(Debug, Default, Args)]
struct Chosen {
    /// Tell what this process leaks or gets, and all that it starts (repeats)
    #[arg(long, value_name = "PID", help_heading = "What is reported")]
    pid: Vec<u32>,
    /// Tell what this container or pod leaks or gets, by how its identifier begins (repeats)
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new(), help_heading = "What is reported")]
    container: Vec<String>,
    /// Tell what this control group and those below it leak or get (repeats)
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new(), help_heading = "What is reported")]
    cgroup: Vec<String>,
}

impl Chosen {
    fn selection(&self) -> Selection {
        Selection { pids: self.pid.clone(), containers: self.container.clone(), cgroups: self.cgroup.clone() }
    }
}

impl Watch {
    /// Whose leaks are told.
    pub(super) fn selection(&self) -> Selection {
        self.chosen.selection()
    }
}

impl Capture {
    /// Whose leaks are told.
    pub(super) fn selection(&self) -> Selection {
        self.chosen.selection()
    }

    /// How the files of sinks are put aside.
    pub(super) fn rotation(&self) -> Rotation {
        Rotation {
            size: self.rotate_size.map(|size| size << 20),
            every: self.rotate_every,
            keep: self.rotate_keep,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Watch this interface: a name, an address, or any (repeats) [default: any]
    #[arg(short, long = "interface", value_name = "IFACE", help_heading = "Watch", conflicts_with = "read")]
    pub(super) interface: Vec<String>,
    /// Look at a capture file or a folder of them instead (repeats)
    #[arg(short, long, value_name = "FILE", help_heading = "Watch", conflicts_with = "Chosen")]
    pub(super) read: Vec<PathBuf>,
    /// Read files so many times as fast as they were captured: 1, 0.5, 10, max [default: max]
    #[arg(long, value_name = "N", value_parser = speed, help_heading = "Watch")]
    pub(super) speed: Option<f32>,
    /// Read the clear text of TLS, too, where programs of this machine hand it to OpenSSL, BoringSSL, GnuTLS, NSS, Go or rustls: what
    /// leaks in spite of TLS is told (needs the feature ebpf, CAP_BPF and CAP_PERFMON)
    #[arg(long, help_heading = "Watch", conflicts_with = "read")]
    pub(super) tls: bool,
    /// Never show the value of a secret, whatever key is pressed; none is kept
    #[arg(long, help_heading = "Watch", conflicts_with = "reveal")]
    pub(super) never_reveal: bool,
    /// Colours: auto, dark, light, none
    #[arg(long, value_name = "THEME", value_parser = PossibleValuesParser::new(THEMES), default_value = "auto",
        hide_possible_values = true, hide_default_value = true, help_heading = "Watch")]
    pub(super) theme: String,
    /// How frames are captured: auto (the ring, else pcap), pcap (libpcap), ring (the kernel's packet ring, Linux), ebpf (a program in
    /// the kernel, which hands up no more of a flow once it is known to be encrypted; Linux)
    #[arg(long, value_name = "WAY", value_parser = PossibleValuesParser::new(WAYS).map(|way| way_of(&way)), default_value = "auto",
        hide_possible_values = true, hide_default_value = true, help_heading = "Watch")]
    pub(super) backend: Way,
    /// Kernel memory for frames that wait, in MiB for each interface [default: 64]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(2..=2047), default_value_t = 64,
        hide_default_value = true, help_heading = "Watch")]
    pub(super) buffer: u16,
    /// Take frames for other machines too
    #[arg(long, help_heading = "Watch")]
    pub(super) promiscuous: bool,
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    pub(super) detection: Detection,
}

#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Read the clear text of TLS, too, where programs of the command hand it to OpenSSL, BoringSSL, GnuTLS, NSS, Go or rustls: what
    /// leaks in spite of TLS is told (needs the feature ebpf, CAP_BPF and CAP_PERFMON)
    #[arg(long, help_heading = "Capture")]
    pub(super) tls: bool,
    /// The command, and what it is given
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(super) command: Vec<OsString>,
    #[command(flatten)]
    pub(super) detection: Detection,
}

/// Flags of the commands that look for leaks.
#[derive(Debug, Default, Args)]
pub(super) struct Detection {
    /// Report from this severity on: info, low, medium, high, critical [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Severity>(&SEVERITIES), hide_possible_values = true,
        help_heading = "What is reported")]
    severity: Option<Severity>,
    /// Report from this confidence on: low, medium, high [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = named::<Confidence>(&CONFIDENCES), hide_possible_values = true,
        help_heading = "What is reported")]
    confidence: Option<Confidence>,
    /// Exit with 1 where a leak of this severity or worse is reported
    #[arg(long, value_name = "LEVEL", value_parser = named::<Severity>(&SEVERITIES), hide_possible_values = true,
        help_heading = "What is reported")]
    fail_on: Option<Severity>,
    /// Look at these frames only: a filter in libpcap's syntax
    #[arg(long, value_name = "BPF", help_heading = "What is reported")]
    filter: Option<String>,
    /// Tell each sighting, not only the first at a place
    #[arg(long, help_heading = "What is reported")]
    every: bool,
    /// Say why each leak is told: the checks of its rule, what moved confidence and severity
    #[arg(long, help_heading = "What is reported")]
    explain: bool,
    /// Do not tell the leaks that this file knows
    #[arg(long, value_name = "FILE", help_heading = "What is reported")]
    baseline: Option<PathBuf>,
    /// Have the file of --baseline know from now on what this run tells
    #[arg(long, help_heading = "What is reported")]
    write_baseline: bool,
    /// Write elsewhere too: ndjson:leaks.ndjson, syslog:udp://HOST, webhook:https://HOST/PATH (repeats)
    #[arg(long, value_name = "SPEC", help_heading = "Output")]
    sink: Option<Vec<String>>,
    /// Write the frames of the flows that leak, as pcapng with a comment where each leak is
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pcap_out: Option<PathBuf>,
    /// Workers [default: one a core, at most 4]
    #[arg(long, value_name = "N", help_heading = "General")]
    jobs: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Every rule: id, severity, confidence, title
    List,
    /// All of one rule
    Show {
        /// The rule
        id: String,
    },
    /// The faults of rule files, with file and line, and their own examples
    Check {
        /// A rule file or folder; without one, the rules in force
        path: Option<PathBuf>,
    },
    /// Turns a gitleaks (or betterleaks) configuration into a rule file of leaktap's own form
    Import {
        /// The configuration
        file: PathBuf,
        /// Where to: a folder, which is made, or - for standard output
        #[arg(short, long, value_name = "FOLDER")]
        output: PathBuf,
    },
    /// What matches in a text or a capture; what was suppressed, and why
    Test {
        /// A text or a capture; - for standard input
        file: PathBuf,
    },
}

const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
const CONFIDENCES: [&str; 3] = ["low", "medium", "high"];
const WAYS: [&str; 4] = ["auto", "pcap", "ring", "ebpf"];
const THEMES: [&str; 4] = ["auto", "dark", "light", "none"];
const WHEN: [&str; 3] = ["auto", "always", "never"];

/// Parses a value by the names that configuration files know it by.
fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| {
        T::deserialize(name.into_deserializer()).map_err(|error: serde::de::value::Error| error)
    })
}

fn way_of(name: &str) -> Way {
    match name {
        "pcap" => Way::Pcap,
        "ring" => Way::Ring,
        "ebpf" => Way::Ebpf,
        _ => Way::Auto,
    }
}

/// How many times as fast as captured.
fn speed(text: &str) -> Result<f32, String> {
    if text == "max" {
        return Ok(f32::INFINITY);
    }
    let speed = text.trim_end_matches('x').parse().ok();
    speed
        .filter(|speed: &f32| (0.01..=10_000.0).contains(speed))
        .ok_or_else(|| "write a number from 0.01 to 10000, or max".to_owned())
}

/// A span of time: a number and a unit, seconds without one.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    seconds
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "write a number and s, m, h or d, as in 90s".to_owned())
}

/// The layer of settings that flags are. A flag that was not given says nothing.
pub(super) fn layer(common: Common, detection: Detection) -> Layer {
    let given = |flag: bool| flag.then_some(true);
    Layer {
        rules: common.rules,
        no_default_rules: given(common.no_default_rules),
        severity: detection.severity,
        confidence: detection.confidence,
        fail_on: detection.fail_on,
        filter: detection.filter,
        format: common.format,
        sink: detection.sink,
        jobs: detection.jobs,
        reveal: given(common.reveal),
        every: given(detection.every),
        explain: given(detection.explain),
        baseline: detection.baseline,
        write_baseline: given(detection.write_baseline),
        pcap_out: detection.pcap_out,
        color: common.color,
        progress: common.progress,
        quiet: given(common.quiet),
        verbose: (common.verbose > 0).then_some(common.verbose),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn levels_are_those_of_the_model() {
        assert_eq!(Severity::ALL.map(Severity::as_str), SEVERITIES);
        assert_eq!(
            [Confidence::Low, Confidence::Medium, Confidence::High].map(Confidence::as_str),
            CONFIDENCES
        );
    }

    #[test]
    fn flags_become_a_layer() {
        let typed = "leaktap -vv scan a.pcap - --severity high --fail-on critical --rules x --rules y \
                     --sink ndjson:o --reveal --jobs 2 --color never";
        let arguments = Arguments::try_parse_from(typed.split_whitespace()).unwrap();
        let Command::Scan(scan) = arguments.command else { panic!() };
        assert_eq!(scan.inputs, [PathBuf::from("a.pcap"), PathBuf::from("-")]);
        assert_eq!(
            layer(arguments.common, scan.detection),
            Layer {
                rules: Some(vec!["x".into(), "y".into()]),
                severity: Some(Severity::High),
                fail_on: Some(Severity::Critical),
                sink: Some(vec!["ndjson:o".into()]),
                jobs: Some(2),
                reveal: Some(true),
                color: Some(When::Never),
                verbose: Some(2),
                ..Layer::default()
            }
        );
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for typed in [
            "leaktap",
            "leaktap scan",
            "leaktap scan a --severity grave",
            "leaktap scan a -q -v",
            "leaktap rules",
            "leaktap rules show",
            "leaktap capture",
            "leaktap capture -i lo --backend raw",
            "leaktap capture -i lo --duration soon",
            "leaktap capture -i lo --buffer 0",
            "leaktap scan a --jobs many",
            "leaktap watch -i lo -r a.pcap",
            "leaktap watch -r a.pcap --speed 0",
            "leaktap watch -r a.pcap --pid 1",
            "leaktap watch --theme pink",
            "leaktap watch --reveal --never-reveal",
            "leaktap run",
            "leaktap run --",
            "leaktap run pytest",
        ] {
            let error = Arguments::try_parse_from(typed.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{typed}");
        }
        for typed in ["leaktap --version", "leaktap --help", "leaktap scan --help"] {
            let error = Arguments::try_parse_from(typed.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 0, "{typed}");
        }
    }

    #[test]
    fn spans_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "0", "m", "1.5h", "-3", "3w", "99999999999999999999", "999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn help_reads_well() {
        let help = |path: &[&str]| {
            let mut command = Arguments::command().term_width(100);
            command.build();
            let mut command = &mut command;
            for name in path {
                command = command.find_subcommand_mut(name).unwrap();
            }
            command.render_help().to_string()
        };
        insta::assert_snapshot!("help", help(&[]));
        insta::assert_snapshot!("help_scan", help(&["scan"]));
        insta::assert_snapshot!("help_capture", help(&["capture"]));
        insta::assert_snapshot!("help_watch", help(&["watch"]));
        #[cfg(target_os = "linux")]
        insta::assert_snapshot!("help_run", help(&["run"]));
    }
}
