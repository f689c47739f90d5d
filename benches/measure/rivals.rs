//! Other programs on the same capture, each asked for the same leaks as well as it can be.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use super::{Cost, is_installed, run};
use crate::generate::truth::Truth;

/// What all of them look for.
const PATTERN: &str = "sk_live_[0-9A-Za-z]{24,}|[Aa]pi[-_][Kk]ey";

/// Beginnings of keys, as many as fifty signatures for URL, headers and answers have room for.
const KEYS: [&str; 17] = [
    "sk_live_",
    "rk_live_",
    "api_key=",
    "X-Api-Key",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AIza",
    "SG.",
    "npm_",
    "pypi-",
    "dop_v1_",
];

/// A program, how it is asked, and how many of the leaks stand in what it told.
struct Rival {
    program: &'static str,
    command: fn(&Path, &Path) -> Command,
    found: fn(&Path, &Path, &[&Truth]) -> usize,
}

const RIVALS: [Rival; 3] = [
    Rival { program: "ngrep", command: ngrep, found: values_in_output },
    Rival { program: "tshark", command: tshark, found: values_in_output },
    Rival { program: "suricata", command: suricata, found: alerts },
];

/// Runs those that are installed once each, and prints a line of each. `one` is leaktap's processor time in seconds, `tcpdump` the
/// same in that of tcpdump.
pub(crate) fn print(capture: &Path, truth: &[Truth], tcpdump: Option<f64>, one: f64) {
    let size = fs::metadata(capture).expect("a capture").len() as f64 / 1e6;
    let due: Vec<&Truth> = truth.iter().filter(|known| known.is_due()).collect();
    for rival in RIVALS.iter().filter(|rival| is_installed(rival.program)) {
        let folder = capture.with_extension(rival.program);
        fs::create_dir_all(&folder).expect("a folder");
        let out = folder.join("out");
        match run(&mut (rival.command)(capture, &folder), &out) {
            Ok(Cost { processor, peak, .. }) => {
                let seconds = processor.as_secs_f64();
                let beside = tcpdump.map_or("-".to_owned(), |ratio| format!("{:.1}", seconds / one * ratio));
                println!(
                    "  {:<9} {:>12.0} MB/s {beside:>8} x tcpdump {:>7.1} x leaktap {:>6.0} MB {:>7} / {}",
                    rival.program,
                    size / seconds,
                    seconds / one,
                    peak as f64 / 1e6,
                    (rival.found)(&out, &folder, &due),
                    due.len()
                );
            }
            Err(error) => println!("  {error}"),
        }
        fs::remove_dir_all(&folder).expect("a folder");
    }
}

/// Packet by packet, without reassembly.
fn ngrep(capture: &Path, _: &Path) -> Command {
    let mut command = Command::new("ngrep");
    command.args(["-q", "-n", "10000000", "-W", "byline", "-I"]).arg(capture).arg(PATTERN);
    command
}

fn tshark(capture: &Path, _: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(capture);
    command.args(["-Y", &format!("http matches \"{PATTERN}\" or http.file_data matches \"{PATTERN}\"")]);
    command.args([
        "-T",
        "fields",
        "-e",
        "http.request.uri",
        "-e",
        "http.request.line",
        "-e",
        "http.file_data",
    ]);
    command
}

fn suricata(capture: &Path, folder: &Path) -> Command {
    let mut rules = String::new();
    let buffers = ["http.uri", "http.header", "http.response_body"];
    let places = buffers.iter().flat_map(|buffer| KEYS.iter().map(move |key| (buffer, key)));
    for (number, (buffer, key)) in places.take(50).enumerate() {
        rules.push_str(&format!(
            "alert http any any -> any any (msg:\"{key} in {buffer}\"; {buffer}; content:\"{key}\"; sid:{}; rev:1;)\n",
            1_000_001 + number
        ));
    }
    fs::write(folder.join("leaks.rules"), rules).expect("rules");
    fs::write(folder.join("suricata.yaml"), SURICATA).expect("settings");
    let mut command = Command::new("suricata");
    command.arg("-c").arg(folder.join("suricata.yaml")).arg("-S").arg(folder.join("leaks.rules"));
    command.args(["--runmode", "single", "-k", "none", "-l"]).arg(folder).arg("-r").arg(capture);
    command
}

/// Nothing given up for the sake of memory: every flow, every stream and every body to its end.
const SURICATA: &str = "\
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
logging: {default-log-level: error, outputs: [{console: {enabled: yes}}]}
flow: {memcap: 8gb, hash-size: 1048576, prealloc: 10000}
stream: {memcap: 8gb, reassembly: {memcap: 8gb, depth: 0}}
app-layer:
  protocols:
    http:
      enabled: yes
      memcap: 8gb
      libhtp:
        default-config: {personality: IDS, request-body-limit: 0, response-body-limit: 0}
";

/// Leaks whose value stands in the output; read line by line, as this process has to stay small (see [`run`]).
fn values_in_output(out: &Path, _: &Path, truth: &[&Truth]) -> usize {
    let mut left: HashSet<&[u8]> = truth.iter().map(|known| known.leak.value.as_bytes()).collect();
    let mut output = BufReader::new(File::open(out).expect("an output"));
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).expect("an output") > 0 {
        for word in line.split(|&byte| !byte.is_ascii_alphanumeric() && byte != b'_') {
            left.remove(word);
        }
        line.clear();
    }
    truth.iter().filter(|known| !left.contains(known.leak.value.as_bytes())).count()
}

/// Alerts on the flows of leaks, as many of each as it has leaks.
fn alerts(_: &Path, folder: &Path, truth: &[&Truth]) -> usize {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for known in truth {
        *left.entry(&known.leak.client).or_default() += 1;
    }
    let mut found = 0;
    let alerts = BufReader::new(File::open(folder.join("eve.json")).expect("alerts"));
    for line in alerts.lines() {
        let event: serde_json::Value = serde_json::from_str(&line.expect("alerts")).expect("an event");
        for side in ["src", "dest"] {
            let address = event[format!("{side}_ip")].as_str().unwrap_or_default();
            let end = format!("{address}:{}", event[format!("{side}_port")]);
            if let Some(left) = left.get_mut(end.as_str()).filter(|left| **left > 0) {
                *left -= 1;
                found += 1;
            }
        }
    }
    found
}
