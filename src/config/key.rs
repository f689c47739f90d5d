//! The fingerprint key: one for each installation, made at first use.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown, lchown};
use std::path::{Path, PathBuf};

use super::{ConfigError, Environment, home_folder};
use crate::model::secret::FingerprintKey;

/// Name of the key's file in the state folder.
const FILE: &str = "fingerprint.key";
/// Random bytes of a key.
const BYTES: usize = 32;

/// Where the key of a run comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `LEAKTAP_FINGERPRINT_KEY`.
    Variable,
    /// A file of the state folder.
    File(PathBuf),
    /// Made for this run alone; why.
    Run(String),
}

/// The installation's key: the bytes of `LEAKTAP_FINGERPRINT_KEY`, else the text of `fingerprint.key` in the state
/// folder (64 hexadecimal digits, so that the file's text in the variable is the same key elsewhere), made where there is
/// none; where none can be kept, a key for this run.
///
/// # Errors
/// An empty variable, or a system without random numbers.
pub fn fingerprint_key(environment: Environment<'_>) -> Result<(FingerprintKey, KeySource), ConfigError> {
    let me = fs::metadata("/proc/self").ok().map(|process| process.uid());
    // Asked for only under sudo; where it cannot be read the state folder is root's own.
    let caller = caller(environment, me, &|| fs::read_to_string("/etc/passwd").unwrap_or_default());
    from(environment, caller.as_ref())
}

/// Who called sudo.
#[derive(Debug, PartialEq, Eq)]
struct Caller {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

fn caller(environment: Environment<'_>, me: Option<u32>, passwd: &dyn Fn() -> String) -> Option<Caller> {
    let uid: u32 = environment("SUDO_UID")?.to_str()?.parse().ok()?;
    if me != Some(0) || uid == 0 {
        return None;
    }
    passwd().lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let same = fields.next()?.parse() == Ok(uid);
        let gid = fields.next()?.parse().ok()?;
        let home = PathBuf::from(fields.nth(1)?);
        (same && home.is_absolute()).then_some(Caller { uid, gid, home })
    })
}

fn from(
    environment: Environment<'_>,
    caller: Option<&Caller>,
) -> Result<(FingerprintKey, KeySource), ConfigError> {
    if let Some(key) = environment("LEAKTAP_FINGERPRINT_KEY") {
        if key.is_empty() {
            let reason =
                "it is empty; an empty key would let anyone try values against fingerprints".to_owned();
            return Err(ConfigError::Variable { name: "LEAKTAP_FINGERPRINT_KEY", reason });
        }
        return Ok((FingerprintKey::new(key.as_bytes()), KeySource::Variable));
    }
    let fresh = random()?;
    let Some(folder) = state_folder(environment, caller) else {
        let reason = "neither XDG_STATE_HOME nor HOME is set".to_owned();
        return Ok((FingerprintKey::new(fresh.as_bytes()), KeySource::Run(reason)));
    };
    let path = folder.join(FILE);
    match read_or_make(&folder, &path, &fresh, caller) {
        Ok(key) => Ok((FingerprintKey::new(key.as_bytes()), KeySource::File(path))),
        Err(error) => {
            let reason = format!("{}: {error}", path.display());
            Ok((FingerprintKey::new(fresh.as_bytes()), KeySource::Run(reason)))
        }
    }
}

/// A system service's own folder, else the calling user's XDG state folder.
fn state_folder(environment: Environment<'_>, caller: Option<&Caller>) -> Option<PathBuf> {
    // systemd names several by colons; the first is enough.
    let service = environment("STATE_DIRECTORY")
        .and_then(|folders: OsString| std::env::split_paths(&folders).next())
        .filter(|folder| folder.is_absolute());
    if service.is_some() {
        return service;
    }
    let home = |name: &str| match (name, caller) {
        ("HOME", Some(caller)) => Some(caller.home.clone().into_os_string()),
        _ => environment(name),
    };
    Some(home_folder(&home, "XDG_STATE_HOME", ".local/state")?.join("leaktap"))
}

fn read_or_make(folder: &Path, path: &Path, fresh: &str, caller: Option<&Caller>) -> io::Result<String> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    make_folder(folder, caller)?;
    // Written elsewhere and then linked: whoever reads the key's file finds it whole, and the first of two that
    // make one at the same time wins for both.
    let mark = random().map_err(io::Error::other)?;
    let early = folder.join(format!(".{FILE}.{}", mark.get(..16).unwrap_or_default()));
    let written = write(&early, fresh, caller).and_then(|()| match fs::hard_link(&early, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => write(path, fresh, caller),
        Ok(()) => Ok(()),
    });
    // What is left of it is of no use to anyone.
    let _ = fs::remove_file(&early);
    written?;
    read(path)
}

fn read(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let key = text.trim();
    if key.len() < 2 * BYTES || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let reason =
            format!("it does not hold {} hexadecimal digits; delete it and a new one is made", 2 * BYTES);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(key.to_owned())
}

fn write(path: &Path, key: &str, caller: Option<&Caller>) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    if let Some(caller) = caller {
        // Without it the caller would need sudo to read the key again; the key serves this run all the same.
        let _ = fchown(&file, Some(caller.uid), Some(caller.gid));
    }
    file.sync_all()
}

/// Makes the folder and what is missing above it, for its owner alone.
fn make_folder(folder: &Path, caller: Option<&Caller>) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => continue,
            Ok(()) => {}
        }
        if let Some(caller) = caller {
            let _ = lchown(path, Some(caller.uid), Some(caller.gid));
        }
    }
    Ok(())
}

fn random() -> Result<String, ConfigError> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| ConfigError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key_of(variables: &[(&str, &Path)]) -> (String, KeySource) {
        let environment = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_os_str().to_owned())
        };
        let (key, source) = from(&environment, None).unwrap();
        (key.fingerprint(b"made up").to_string(), source)
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("deep/leaktap/fingerprint.key");
        let deep = state.path().join("deep");
        let (first, source) = key_of(&[("XDG_STATE_HOME", &deep)]);
        assert_eq!(source, KeySource::File(file.clone()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(key_of(&[("XDG_STATE_HOME", &deep)]), (first.clone(), source));
        // The file's text shares the key with another machine.
        assert_eq!(
            key_of(&[("LEAKTAP_FINGERPRINT_KEY", Path::new(text.trim()))]),
            (first.clone(), KeySource::Variable)
        );
        let other = tempfile::tempdir().unwrap();
        assert_ne!(key_of(&[("XDG_STATE_HOME", other.path())]).0, first);
    }

    #[test]
    fn two_that_start_together_share_one_key() {
        let state = tempfile::tempdir().unwrap();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..16).map(|_| scope.spawn(|| key_of(&[("XDG_STATE_HOME", state.path())]).0)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn where_none_can_be_kept_a_key_for_the_run_is_made() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("file");
        fs::write(&file, "").unwrap();
        let (first, source) = key_of(&[("XDG_STATE_HOME", &file)]);
        assert!(matches!(source, KeySource::Run(_)), "{source:?}");
        assert_ne!(key_of(&[("XDG_STATE_HOME", &file)]).0, first);
        assert_eq!(key_of(&[]).1, KeySource::Run("neither XDG_STATE_HOME nor HOME is set".into()));
    }

    #[test]
    fn a_damaged_key_is_not_used_and_not_shown() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("leaktap").join(FILE);
        fs::create_dir(path.parent().unwrap()).unwrap();
        for text in
            ["", "0123abcd", "not hexadecimal, made up, and long enough to be taken for a key, really"]
        {
            fs::write(&path, text).unwrap();
            let KeySource::Run(reason) = key_of(&[("XDG_STATE_HOME", state.path())]).1 else { panic!() };
            assert!(
                reason.ends_with("it does not hold 64 hexadecimal digits; delete it and a new one is made")
            );
            assert!(text.is_empty() || !reason.contains(text));
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left as it is");
        }
    }

    #[test]
    fn an_empty_key_is_refused() {
        let environment = |name: &str| (name == "LEAKTAP_FINGERPRINT_KEY").then(OsString::new);
        assert!(matches!(from(&environment, None), Err(ConfigError::Variable { .. })));
    }

    #[test]
    fn under_sudo_it_is_the_callers() {
        let passwd = || {
            "root:x:0:0:root:/root:/bin/bash\nbroken line\nada:x:1000:1001:Ada:/home/ada:/bin/sh\n".to_owned()
        };
        let sudo = |uid: &'static str| move |name: &str| (name == "SUDO_UID").then(|| OsString::from(uid));
        let ada = Caller { uid: 1000, gid: 1001, home: "/home/ada".into() };
        for (uid, me, expected) in [
            ("1000", Some(0), Some(&ada)),
            ("1000", Some(1000), None),
            ("1000", None, None),
            ("0", Some(0), None),
            ("4711", Some(0), None),
            ("x", Some(0), None),
        ] {
            assert_eq!(caller(&sudo(uid), me, &passwd).as_ref(), expected, "{uid} as {me:?}");
        }
        let root = |name: &str| (name == "HOME").then(|| OsString::from("/root"));
        assert_eq!(state_folder(&root, Some(&ada)).unwrap(), Path::new("/home/ada/.local/state/leaktap"));
        let service = |name: &str| match name {
            "STATE_DIRECTORY" => Some(OsString::from("/var/lib/leaktap:/var/lib/other")),
            _ => root(name),
        };
        assert_eq!(state_folder(&service, None).unwrap(), Path::new("/var/lib/leaktap"));
    }
}
