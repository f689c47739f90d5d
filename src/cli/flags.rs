//! The command line as typed.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::config::{Layer, When};
use crate::model::{Confidence, Severity};
use crate::sink::FORMATS;

const EXAMPLES: &str = "\
Examples:
  leaktap scan trace.pcap                        what leaks in a capture, as a table
  leaktap scan captures/ --fail-on high          all captures of a folder; 1 where high or worse
  tcpdump -i any -w - | leaktap scan -           a capture from a pipe
  leaktap scan trace.pcap --format ndjson | jq   one JSON object a line
  leaktap rules list                             what is looked for

Settings: leaktap.toml here or in the XDG folder, then LEAKTAP_* variables (LEAKTAP_FAIL_ON=high),
then flags; the later wins.

Exit code: 0 ran; 1 ran and a leak reached --fail-on; 2 something could not be done.";

const SCAN_EXAMPLES: &str = "\
Examples:
  leaktap scan trace.pcap
  leaktap scan monday.pcapng.gz tuesday/ --severity high
  leaktap scan trace.pcap --filter 'tcp port 8080' --sink ndjson:leaks.ndjson
  zstdcat big.pcap.zst | leaktap scan - --format ndjson --fail-on critical";

const RULES_EXAMPLES: &str = "\
Examples:
  leaktap rules list
  leaktap rules show stripe-secret-key
  leaktap rules check my-rules.toml
  echo 'api_key=…' | leaktap rules test -";

fn scan_help() -> String {
    let formats: String =
        FORMATS.iter().map(|format| format!("  {:8}{}\n", format.name, format.about)).collect();
    format!("Formats:\n{formats}\n{SCAN_EXAMPLES}")
}

/// Finds credentials that leak in clear in network traffic.
#[derive(Debug, Parser)]
#[command(name = "leaktap", version, after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 110)]
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
    /// The rules in force: list, show, check, test
    #[command(after_help = RULES_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
    Rules {
        #[command(subcommand)]
        command: Rules,
    },
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
    /// Format of standard output: table on a terminal, else ndjson
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
    /// Write to a file too, FORMAT:FILE as in ndjson:leaks.ndjson (repeats)
    #[arg(long, value_name = "SPEC", help_heading = "Output")]
    sink: Option<Vec<String>>,
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
            "leaktap scan a --jobs many",
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
    }
}
