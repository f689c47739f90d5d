//! The whole of `leaktap scan` over generated captures: processor time beside that of tcpdump and of a plain read, memory, and
//! whether all that leaks is found.
//!
//! `cargo bench --bench scan -- [NAME...] [--full | --size MB] [--seed N] [--runs N] [--write FOLDER | --read FOLDER]
//! [--compare] [--save FILE] [--against FILE]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

mod generate;
mod measure;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use generate::truth::{Told, Truth, compare};
use generate::{WORKLOADS, Workload};
use measure::{Cost, baseline, median, rivals};

/// What is asked for.
struct Asked {
    workloads: Vec<&'static Workload>,
    /// MB of each capture; `None` for the full size.
    megabytes: Option<usize>,
    seed: u64,
    runs: usize,
    write: Option<PathBuf>,
    read: Option<PathBuf>,
    compare: bool,
    save: Option<PathBuf>,
    against: Option<PathBuf>,
}

impl Asked {
    fn new(arguments: &[String]) -> Self {
        let option = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
        };
        let number = |name: &str| option(name).map(|text| text.parse::<usize>().expect("a number"));
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let is_named = |workload: &&Workload| has(workload.name);
        let any = WORKLOADS.iter().any(|workload| is_named(&workload));
        Self {
            workloads: WORKLOADS.iter().filter(|workload| !any || is_named(workload)).collect(),
            megabytes: if has("--full") { None } else { Some(number("--size").unwrap_or(200)) },
            seed: number("--seed").unwrap_or(1) as u64,
            runs: number("--runs").unwrap_or(5).max(1),
            write: option("--write").map(PathBuf::from),
            read: option("--read").map(PathBuf::from),
            compare: has("--compare"),
            save: option("--save").map(PathBuf::from),
            against: option("--against").map(PathBuf::from),
        }
    }

    /// Bytes that a capture is to have.
    fn bytes(&self, workload: &Workload) -> usize {
        self.megabytes.map_or(workload.full, |megabytes| megabytes * 1_000_000)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        // In processes of their own, so that the one which measures stays small.
        [mode, name, seed, bytes, path] if mode == "--generate" => {
            let workload = WORKLOADS.iter().find(|workload| workload.name == name).expect("a workload");
            generate(workload, seed.parse().unwrap(), bytes.parse().unwrap(), Path::new(path));
            return ExitCode::SUCCESS;
        }
        [mode, path] if mode == "--plain-read" => {
            read_plain(Path::new(path));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let asked = Asked::new(&arguments);
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&own).expect("a folder for captures");
    let folder = asked.write.as_ref().or(asked.read.as_ref()).unwrap_or(&own);
    fs::create_dir_all(folder).expect("a folder for captures");
    let before = asked.against.as_deref().map(baseline::load).unwrap_or_default();
    let mut figures = BTreeMap::new();
    let mut is_right = true;
    if asked.write.is_none() {
        asked.workloads.iter().for_each(|workload| println!("{:<8} {}", workload.name, workload.about));
        heading();
    }
    for workload in &asked.workloads {
        let capture = folder.join(format!("{}.pcap", workload.name));
        if asked.read.is_none() {
            generated(&asked, workload, &capture);
        }
        if asked.write.is_some() {
            continue;
        }
        let measured = measure(&asked, workload, &capture);
        is_right &= measured.is_right();
        measured.print(workload);
        if let Some(before) = before.get(workload.name) {
            measured.figures(&asked).print_change(before);
        }
        if asked.compare {
            rivals::print(&capture, &truth_of(&capture), measured.tcpdump, measured.one);
        }
        figures.insert(workload.name.to_owned(), measured.figures(&asked));
        if asked.read.is_none() {
            fs::remove_file(&capture).expect("a capture");
            fs::remove_file(truth_path(&capture)).expect("a truth file");
        }
    }
    if asked.write.is_none() {
        start_up(&asked, &own);
    }
    if let Some(path) = &asked.save {
        baseline::save(path, &figures);
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn truth_path(capture: &Path) -> PathBuf {
    capture.with_extension("truth.ndjson")
}

fn generated(asked: &Asked, workload: &Workload, capture: &Path) {
    let bytes = asked.bytes(workload).to_string();
    let seed = asked.seed.to_string();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--generate", workload.name, &seed, &bytes])
        .arg(capture)
        .status();
    assert!(done.is_ok_and(|status| status.success()), "{} cannot be written", capture.display());
}

fn generate(workload: &Workload, seed: u64, bytes: usize, path: &Path) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a capture"));
    let truth = (workload.write)(seed, bytes, &mut out).expect("a capture");
    out.flush().expect("a capture");
    let mut out = BufWriter::new(File::create(truth_path(path)).expect("a truth file"));
    for known in &truth {
        writeln!(out, "{}", serde_json::to_string(known).unwrap()).expect("a truth file");
    }
    out.flush().expect("a truth file");
}

fn read_plain(path: &Path) {
    let mut file = File::open(path).expect("a capture");
    let mut block = vec![0; 256 << 10];
    while file.read(&mut block).expect("a capture") > 0 {
        std::hint::black_box(&block);
    }
}

fn truth_of(capture: &Path) -> Vec<Truth> {
    lines(&truth_path(capture)).map(|line| serde_json::from_str(&line).expect("a truth file")).collect()
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    BufReader::new(File::open(path).expect("a file of lines")).lines().map(|line| line.expect("a line"))
}

/// All that is measured of one workload.
struct Measured {
    megabytes: f64,
    /// Middle of the runs.
    one: f64,
    /// Middle of the ratios of runs that followed each other.
    tcpdump: Option<f64>,
    read: f64,
    peak: u64,
    limit: u64,
    /// Time by the clock of one job, in that of two.
    jobs: f64,
    is_identical: bool,
    truth: usize,
    missed: usize,
    other: usize,
}

fn leaktap(capture: &Path, jobs: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leaktap"));
    command
        .env("LEAKTAP_FINGERPRINT_KEY", "bench")
        .args(["scan", "--format", "ndjson", "--progress", "never", "--jobs", jobs])
        .arg(capture);
    command
}

fn tcpdump(capture: &Path) -> Command {
    let mut command = Command::new("tcpdump");
    command.args(["-n", "-w", "/dev/null", "-r"]).arg(capture);
    command
}

fn measure(asked: &Asked, workload: &Workload, capture: &Path) -> Measured {
    let size = fs::metadata(capture).expect("a capture").len();
    let outs = ["one", "two", "none"].map(|name| capture.with_extension(name));
    let [first, second, none] = &outs;
    let run = |command: &mut Command, out: &Path| {
        measure::run(command, out).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut plain = Command::new(std::env::current_exe().unwrap());
    plain.arg("--plain-read").arg(capture);
    // The file into memory.
    run(&mut plain, none);
    let has_tcpdump = measure::is_installed("tcpdump");
    let mut rounds: Vec<(Cost, Option<Cost>, Cost, Cost)> = Vec::new();
    for _ in 0..asked.runs {
        let read = run(&mut plain, none);
        let rival = has_tcpdump.then(|| run(&mut tcpdump(capture), none));
        rounds.push((
            read,
            rival,
            run(&mut leaktap(capture, "1"), first),
            run(&mut leaktap(capture, "2"), second),
        ));
    }
    let is_identical = is_same(first, second);
    run(leaktap(capture, "1").arg("--reveal"), first);
    let truth = truth_of(capture);
    let (missed, other) = compare(&truth, &told(first));
    for out in &outs {
        fs::remove_file(out).expect("an output");
    }
    let ratios = rounds.iter().filter_map(|(_, rival, one, _)| Some((one, (*rival)?)));
    Measured {
        megabytes: size as f64 / 1e6,
        one: median(rounds.iter().map(|round| round.2.processor.as_secs_f64())),
        tcpdump: has_tcpdump.then(|| {
            median(ratios.map(|(one, rival)| one.processor.as_secs_f64() / rival.processor.as_secs_f64()))
        }),
        read: median(
            rounds.iter().map(|(read, _, one, _)| one.processor.as_secs_f64() / read.processor.as_secs_f64()),
        ),
        peak: rounds.iter().map(|round| round.2.peak).max().unwrap_or_default(),
        limit: (workload.limit)(size),
        jobs: median(rounds.iter().map(|(_, _, one, two)| one.wall.as_secs_f64() / two.wall.as_secs_f64())),
        is_identical,
        truth: truth.iter().filter(|known| known.is_due()).count(),
        missed: missed.len(),
        other,
    }
}

/// All rules loaded, and nothing to look at.
fn start_up(asked: &Asked, folder: &Path) {
    let [empty, out] = ["empty.pcap", "empty.out"].map(|name| folder.join(name));
    fs::write(&empty, generate::empty()).expect("a capture");
    let runs = (0..asked.runs).map(|_| measure::run(&mut leaktap(&empty, "1"), &out).expect("a run"));
    let runs: Vec<Cost> = runs.collect();
    let millis = |of: fn(&Cost) -> f64| median(runs.iter().map(of)) * 1e3;
    println!(
        "start-up {:.0} ms (60), {:.0} ms of the processor",
        millis(|cost| cost.wall.as_secs_f64()),
        millis(|cost| cost.processor.as_secs_f64())
    );
    for path in [empty, out] {
        fs::remove_file(path).expect("an output");
    }
}

fn is_same(first: &Path, second: &Path) -> bool {
    lines(first).eq(lines(second))
}

/// The leaks told in `out`.
fn told(out: &Path) -> BTreeSet<Told> {
    let mut told = BTreeSet::new();
    for line in lines(out) {
        let event: serde_json::Value = serde_json::from_str(&line).expect("an event");
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        if let Some(value) = text(&event["secret"]["value"]) {
            let [surface, client] =
                [&event["surface"], &event["flow"]["client"]].map(|at| text(at).unwrap_or_default());
            told.insert(Told { surface, name: text(&event["name"]), value, client });
        }
    }
    told
}

fn heading() {
    println!(
        "{:<8} {:>6} {:>6} {:>17} {:>7} {:>17} {:>7} {:>15}",
        "", "MB", "MB/s", "x tcpdump (goal)", "x read", "peak MB (limit)", "jobs 2", "found / truth"
    );
}

impl Measured {
    fn is_right(&self) -> bool {
        self.missed == 0 && self.is_identical
    }

    fn print(&self, workload: &Workload) {
        let tcpdump = self.tcpdump.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let mut line = format!(
            "{:<8} {:>6.0} {:>6.0} {:>9} {:>7} {:>7.1} {:>8.0} {:>8} {:>6.2}x {:>7} / {:<6}",
            workload.name,
            self.megabytes,
            self.megabytes / self.one,
            tcpdump,
            format!("({:.1})", workload.goal),
            self.read,
            self.peak as f64 / 1e6,
            format!("({:.0})", self.limit as f64 / 1e6),
            self.jobs,
            self.truth - self.missed,
            self.truth,
        );
        for (is_so, said) in [
            (self.missed > 0, format!("{} MISSED", self.missed)),
            (self.other > 0, format!("{} other", self.other)),
            (!self.is_identical, "two jobs say SOMETHING ELSE".to_owned()),
        ] {
            if is_so {
                line.push_str(&format!("  {said}"));
            }
        }
        println!("{line}");
    }

    fn figures(&self, asked: &Asked) -> baseline::Figures {
        baseline::Figures {
            megabytes: asked.megabytes,
            tcpdump: self.tcpdump,
            read: self.read,
            peak: self.peak as f64 / 1e6,
            jobs: self.jobs,
        }
    }
}
