//! Rule files that change under a screen: then they are read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, unbounded};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Editors change a file in several steps: it is read once they have been quiet for so long.
const QUIET: Duration = Duration::from_millis(200);

/// Raises `reload` whenever one of these files or folders changes, for as long as what is returned lives.
///
/// # Errors
/// Where the system does not tell of changes.
pub(super) fn follow(
    paths: &[PathBuf],
    reload: &Arc<AtomicBool>,
) -> notify::Result<Option<RecommendedWatcher>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let absolute: Vec<PathBuf> = paths.iter().filter_map(|path| std::path::absolute(path).ok()).collect();
    let (changes, changed) = unbounded::<()>();
    let ours = absolute.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_change = !matches!(event.kind, EventKind::Access(_));
        if is_change && event.paths.iter().any(|path| is_ours(path, &ours)) {
            // Nobody waits for it any more: the screen has ended.
            let _ = changes.send(());
        }
    })?;
    for path in &absolute {
        // A file is often replaced, not written: its folder tells of that.
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    let reload = Arc::clone(reload);
    let waiting = std::thread::Builder::new().name("rule files".into()).spawn(move || {
        while changed.recv().is_ok() {
            loop {
                match changed.recv_timeout(QUIET) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            reload.store(true, Ordering::Relaxed);
        }
    });
    waiting.map_err(notify::Error::io)?;
    Ok(Some(watcher))
}

/// Whether a path is one of these files, or a rule file in one of these folders.
fn is_ours(path: &Path, ours: &[PathBuf]) -> bool {
    let is_rules = path.extension().is_some_and(|extension| extension == "toml");
    ours.iter().any(|own| path == own || is_rules && path.parent() == Some(own))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    fn is_raised(reload: &AtomicBool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if reload.swap(false, Ordering::Relaxed) {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    #[test]
    fn a_change_of_a_file_or_in_a_folder_is_noticed_however_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rules) = (folder.path().join("a.toml"), folder.path().join("rules"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&rules).unwrap();
        let reload = Arc::new(AtomicBool::new(false));
        let _watcher = follow(&[file.clone(), rules.clone()], &reload).unwrap().unwrap();
        fs::write(&file, "# changed").unwrap();
        assert!(is_raised(&reload), "written");
        let other = folder.path().join("other");
        fs::write(&other, "# replaced").unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(is_raised(&reload), "replaced");
        fs::write(rules.join("b.toml"), "").unwrap();
        assert!(is_raised(&reload), "new in a folder");
        assert!(!is_ours(&folder.path().join("c.toml"), &[file]));
        assert!(follow(&[], &reload).unwrap().is_none());
    }
}
