//! From arguments to files: folders expanded, in a stable order.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::SourceError;

/// One file (or stream) to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The path as a user would type it: the argument, joined with the way from there.
    pub path: PathBuf,
    /// Named itself, not found in a folder: that it is no capture is then an error.
    pub named: bool,
    /// Its size in bytes, where it is a regular file.
    pub size: Option<u64>,
}

impl Input {
    /// The path as text, for events and messages.
    #[must_use]
    pub fn display(&self) -> String {
        self.path.display().to_string()
    }
}

/// What `arguments` name, in their order; of a folder all regular files below it, each folder's entries sorted by
/// the bytes of their names. Symbolic links are followed, but no folder is entered twice for one argument.
/// `-` is standard input.
///
/// What cannot be reached stands in its place as an error.
#[must_use]
pub fn inputs(arguments: &[PathBuf]) -> Vec<Result<Input, SourceError>> {
    let mut found = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.push(Ok(Input { path: argument.clone(), named: true, size: None }));
            continue;
        }
        match fs::metadata(argument) {
            Ok(metadata) if metadata.is_dir() => walk(argument, &mut found),
            Ok(metadata) => found.push(Ok(Input {
                path: argument.clone(),
                named: true,
                size: metadata.is_file().then_some(metadata.len()),
            })),
            Err(error) => found.push(Err(SourceError::Io { path: argument.clone(), error })),
        }
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Result<Input, SourceError>>) {
    // A folder by its device and inode: links could otherwise lead to it again and again.
    let mut entered = HashSet::new();
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| {
        !entry.file_type().is_dir()
            || entry.metadata().map_or(true, |folder| entered.insert((folder.dev(), folder.ino())))
    }) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let size = entry.metadata().ok().map(|metadata| metadata.len());
                found.push(Ok(Input { path: entry.into_path(), named: false, size }));
            }
            // Folders are walked; pipes, sockets and devices in a folder are no captures.
            Ok(_) => {}
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let error =
                    error.into_io_error().unwrap_or_else(|| io::Error::other("the folder cannot be walked"));
                found.push(Err(SourceError::Io { path, error }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_walked_in_a_stable_order_and_loops_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["b/two.pcap", "b/One.pcap", "a.pcap", "c/d/deep.pcapng.gz", "B.pcap"] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "12345").unwrap();
        }
        symlink(root, root.join("b/up")).unwrap();
        symlink(root.join("c"), root.join("again")).unwrap();
        symlink(root.join("a.pcap"), root.join("z.pcap")).unwrap();
        symlink(root.join("nowhere"), root.join("broken")).unwrap();

        let found =
            inputs(&[root.join("b/two.pcap"), root.to_owned(), PathBuf::from("-"), root.join("none")]);
        let found: Vec<_> = found
            .into_iter()
            .map(|found| match found {
                Ok(input) => {
                    let path = input.path.strip_prefix(root).unwrap_or(&input.path);
                    (path.display().to_string(), input.named, input.size)
                }
                Err(SourceError::Io { path, .. }) => {
                    (format!("no {}", path.strip_prefix(root).unwrap().display()), false, None)
                }
                Err(other) => panic!("{other}"),
            })
            .collect();
        let expected = [
            ("b/two.pcap", true, Some(5)),
            ("B.pcap", false, Some(5)),
            ("a.pcap", false, Some(5)),
            ("again/d/deep.pcapng.gz", false, Some(5)),
            ("b/One.pcap", false, Some(5)),
            ("b/two.pcap", false, Some(5)),
            ("no broken", false, None),
            ("z.pcap", false, Some(5)),
            ("-", true, None),
            ("no none", false, None),
        ];
        assert_eq!(found, expected.map(|(path, named, size)| (path.to_owned(), named, size)));
    }

    #[test]
    fn paths_are_shown_as_typed() {
        let shown: Vec<_> =
            inputs(&[PathBuf::from("src/../src/source/inputs.rs"), PathBuf::from("./src/source/file")])
                .into_iter()
                .map(|found| found.unwrap().display())
                .collect();
        assert_eq!(shown[0], "src/../src/source/inputs.rs");
        assert!(shown.contains(&"./src/source/file/mod.rs".to_owned()), "{shown:?}");
    }
}
