//! The house rules as tests: floors, captions, complete lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each room (docs/ARCHITECTURE.md). A module uses lower floors only; rooms of one floor do not know each other.
const FLOORS: [(&str, u32); 20] = [
    ("model", 1),
    // What is not told again: the faces change it, so that it lies below them.
    ("baseline", 2),
    ("source", 3),
    ("process", 3),
    ("namespace", 3),
    ("packet", 3),
    ("flow", 3),
    ("protocol", 3),
    ("content", 3),
    ("rule", 3),
    ("ledger", 3),
    ("sink", 3),
    ("tui", 3),
    ("report", 3),
    ("engine", 4),
    ("pipeline", 5),
    ("privilege", 5),
    ("redaction", 6),
    ("config", 6),
    // The command line reads its settings: the top floor has two steps.
    ("cli", 7),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The room of a file below `src`: its folder, or its own name.
fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// Where `text` of room `room` reaches above its floor.
fn climbs(room: &str, text: &str) -> Vec<String> {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let Some(own) = floors.get(room) else { return Vec::new() };
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for mark in ["crate::", "leaktap::"] {
            for reached in line.split(mark).skip(1) {
                let names: Vec<&str> = match reached.strip_prefix('{') {
                    // `use crate::{a, b::C}` at one level.
                    Some(list) => {
                        list.split(',').map(|name| name.trim().trim_end_matches(['}', ';'])).collect()
                    }
                    None => vec![reached],
                };
                for name in names {
                    let name: String = name
                        .chars()
                        .take_while(|&letter| letter.is_alphanumeric() || letter == '_')
                        .collect();
                    if name != room && floors.get(name.as_str()).is_some_and(|floor| floor >= own) {
                        found.push(format!("{room} uses {name}: {}", line.trim()));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn a_room_uses_lower_floors_only() {
    let folder = root().join("src");
    let mut found = Vec::new();
    for path in sources(&folder) {
        let room = room(path.strip_prefix(&folder).unwrap());
        found.extend(climbs(&room, &fs::read_to_string(&path).unwrap()));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_floor_test_sees_what_climbs() {
    assert!(climbs("flow", "use crate::model::FlowKey;\n// use crate::engine::Engine;").is_empty());
    assert_eq!(climbs("flow", "use crate::engine::Engine;").len(), 1);
    assert_eq!(climbs("packet", "use crate::{model::Frame, flow::Table};").len(), 1);
    assert_eq!(climbs("content", "    let x = crate::rule::RuleSet::default();").len(), 1);
    assert!(climbs("engine", "use crate::{flow, rule};").is_empty());
}

#[test]
fn every_room_has_a_floor() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let room = name.strip_suffix(".rs").unwrap_or(&name).to_owned();
        let known =
            ["lib", "main"].contains(&room.as_str()) || FLOORS.iter().any(|(floor, _)| *floor == room);
        assert!(known, "src/{name} stands on no floor");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        let folder = root().join(folder);
        if !folder.exists() {
            continue;
        }
        for path in sources(&folder) {
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
            assert!(first.starts_with("//! "), "{} opens without a caption", path.display());
        }
    }
}

#[test]
fn the_only_door_to_a_secret_is_used_where_it_is_reviewed() {
    // Each of these reads a secret's value for a reason that stands in the file; a new place is a decision.
    let reviewed = [
        "model/secret.rs",
        "model/event.rs",
        "engine/inspect.rs",
        "engine/inspect/overlap.rs",
        "engine/inspect/personal.rs",
        "engine/inspect/telling.rs",
        "engine/story.rs",
        "engine/tap.rs",
        "redaction/mod.rs",
        // What the screen may reveal, one at a time.
        "tui/vault.rs",
    ];
    let folder = root().join("src");
    for path in sources(&folder) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        assert!(reviewed.contains(&name.as_str()) || !text.contains(".expose()"), "{name} opens a secret");
    }
}

#[test]
fn only_memory_shared_with_the_kernel_is_unsafe() {
    let folder = root().join("src");
    let found: Vec<String> = sources(&folder)
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.contains("unsafe {") || text.contains("unsafe impl") || text.contains("unsafe fn")
        })
        .map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, ["source/live/ebpf/kernel.rs", "source/live/ring/socket.rs"]);
}

#[test]
fn only_the_command_line_knows_clap_and_anyhow() {
    let folder = root().join("src");
    for path in sources(&folder) {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        if ["main.rs", "config.rs"].contains(&name.as_str())
            || name.starts_with("cli/")
            || name.starts_with("config/")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("clap::") && !text.contains("anyhow::"), "{name} knows the command line");
    }
}
