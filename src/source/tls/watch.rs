//! Which libraries and programs there are: found in what processes have mapped, each file watched once for all of them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::library::{self, Watched};

/// A program loads its libraries after it has begun: it is looked at so long after that.
const LOOKS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(4),
    Duration::from_millis(30),
    Duration::from_millis(300),
    Duration::from_secs(3),
];
/// All processes are looked at so often, and never for more than one hundredth of the time.
const ALL: Duration = Duration::from_secs(3);
const SHARE: u32 = 100;
/// Programs that began and are looked at again: of more, some are found by the look at all.
const BEGUN: usize = 1024;
/// Files remembered.
const FILES: usize = 65_536;
/// Where libraries of the system lie: who uses one for some milliseconds only is seen as well.
const FOLDERS: [&str; 7] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt"];
const NAMES: [&str; 5] = ["libssl.so", "libssl3.so", "libnspr4.so", "libgnutls.so", "libssl-"];

/// What tells a file from every other: device, inode, when it was written, length.
type Identity = (u64, u64, i64, i64, u64);

/// Looks for files to watch.
#[derive(Default)]
pub(super) struct Watch {
    seen: HashSet<Identity>,
    /// Programs that began: which process, when, and how often it was looked at.
    begun: Vec<(u32, Instant, usize)>,
    all: Option<Instant>,
}

/// A file to be watched.
pub(super) struct Found {
    /// Open, so that it can be reached when the process through which it was found is gone.
    pub(super) file: File,
    /// Its name, as people know it.
    pub(super) shown: String,
    pub(super) watched: Watched,
}

impl Watch {
    /// The libraries of the system, whoever will use them.
    pub(super) fn of_system(&mut self, found: &mut Vec<Found>) {
        for folder in FOLDERS {
            self.of_folder(Path::new(folder), true, found);
        }
    }

    fn of_folder(&mut self, folder: &Path, deeper: bool, found: &mut Vec<Found>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if NAMES.iter().any(|known| name.starts_with(known)) {
                self.file(&entry.path(), &entry.path(), found);
            } else if deeper && name.ends_with("-linux-gnu") {
                self.of_folder(&entry.path(), false, found);
            }
        }
    }

    /// A program began.
    pub(super) fn begun(&mut self, pid: u32) {
        self.begun.retain(|(other, ..)| *other != pid);
        if self.begun.len() < BEGUN {
            self.begun.push((pid, Instant::now(), 0));
        }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self) -> bool {
        !self.begun.is_empty() || self.all.is_none_or(|next| Instant::now() >= next)
    }

    /// What is to be watched by now and was not before.
    pub(super) fn look(&mut self, found: &mut Vec<Found>) {
        let now = Instant::now();
        let mut due = Vec::new();
        self.begun.retain_mut(|(pid, since, looks)| {
            while LOOKS.get(*looks).is_some_and(|after| now.duration_since(*since) >= *after) {
                *looks += 1;
                if due.last() != Some(pid) {
                    due.push(*pid);
                }
            }
            *looks < LOOKS.len()
        });
        for pid in due {
            self.of_process(pid, found);
        }
        if self.all.is_none_or(|next| now >= next) {
            self.of_all(found);
        }
    }

    /// Every process there is.
    pub(super) fn of_all(&mut self, found: &mut Vec<Found>) {
        let begun = Instant::now();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                self.of_process(pid, found);
            }
        }
        self.all = Some(Instant::now() + ALL.max(begun.elapsed() * SHARE));
    }

    fn of_process(&mut self, pid: u32, found: &mut Vec<Found>) {
        if pid == std::process::id() {
            return;
        }
        let program = PathBuf::from(format!("/proc/{pid}/exe"));
        // Of a kernel thread there is none.
        let Ok(shown) = fs::read_link(&program) else { return };
        self.file(&program, &shown, found);
        let Ok(maps) = fs::read(format!("/proc/{pid}/maps")) else { return };
        let mut before = "";
        let maps = String::from_utf8_lossy(&maps);
        for path in maps.lines().filter_map(mapped) {
            if path != before {
                before = path;
                self.file(&PathBuf::from(format!("/proc/{pid}/root{path}")), Path::new(path), found);
            }
        }
    }

    fn file(&mut self, path: &Path, shown: &Path, found: &mut Vec<Found>) {
        let Ok(file) = fs::metadata(path) else { return };
        let identity = (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len());
        if !file.is_file() || self.seen.contains(&identity) {
            return;
        }
        if self.seen.len() >= FILES {
            self.seen.clear();
        }
        self.seen.insert(identity);
        let Ok(file) = File::open(path) else { return };
        if let Some(watched) = library::watched(&file) {
            found.push(Found { file, shown: shown.display().to_string(), watched });
        }
    }
}

/// The file of a line of `/proc/PID/maps` that is mapped to be run.
fn mapped(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let path = rest.get(rest.find('/')?..)?;
    (rest.as_bytes().get(2) == Some(&b'x') && !path.ends_with(" (deleted)")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_mapped_to_be_run_are_found() {
        for (line, path) in [
            (
                "7f0000000000-7f0000001000 r-xp 00002000 08:01 77 /usr/lib/x86_64-linux-gnu/libssl.so.3",
                Some("/usr/lib/x86_64-linux-gnu/libssl.so.3"),
            ),
            ("7f0000000000-7f0000001000 r-xp 00002000 08:01 77   /srv/a b/lib.so", Some("/srv/a b/lib.so")),
            ("7f0000000000-7f0000001000 r--p 00000000 08:01 77 /usr/lib/libssl.so.3", None),
            ("7f0000000000-7f0000001000 r-xp 00000000 08:01 77 /usr/lib/old.so (deleted)", None),
            ("7fff00000000-7fff00001000 r-xp 00000000 00:00 0 [vdso]", None),
            ("", None),
        ] {
            assert_eq!(mapped(line), path, "{line}");
        }
    }

    #[test]
    fn a_file_is_looked_at_once() {
        let mut watch = Watch::default();
        let mut found = Vec::new();
        watch.of_system(&mut found);
        let first = found.len();
        watch.of_system(&mut found);
        assert_eq!(found.len(), first);
        for pid in [std::process::id(), u32::MAX] {
            watch.of_process(pid, &mut found);
        }
        assert_eq!(found.len(), first, "nothing of this process, nothing of none");
    }

    #[test]
    fn programs_that_begin_are_looked_at_and_forgotten() {
        let mut watch = Watch { all: Some(Instant::now() + ALL), ..Watch::default() };
        let past = Instant::now().checked_sub(LOOKS[4]).unwrap();
        for pid in 0..2 * BEGUN as u32 {
            watch.begun(u32::MAX - pid);
        }
        watch.begun(u32::MAX);
        assert_eq!(watch.begun.len(), BEGUN);
        watch.look(&mut Vec::new());
        assert_eq!(watch.begun.len(), BEGUN, "they may load more");
        watch.begun.iter_mut().for_each(|begun| begun.1 = past);
        watch.look(&mut Vec::new());
        assert!(watch.begun.is_empty());
    }
}
