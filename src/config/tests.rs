//! Settings of file, variables and flags: which wins, and what is refused.

use std::fs;

use super::*;

fn read_with(
    flags: Layer,
    file: Option<&str>,
    folder: &Path,
    variables: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let environment =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    read(flags, file.map(Path::new), folder, &environment)
}

#[test]
fn the_later_layer_wins() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("leaktap.toml"),
        "severity = \"medium\"\nconfidence = \"medium\"\nfail-on = \"critical\"\nrules = [\"mine\"]\nquiet = true\n",
    )
    .unwrap();
    let variables = [("LEAKTAP_CONFIDENCE", "high"), ("LEAKTAP_FAIL_ON", "low"), ("LEAKTAP_REVEAL", "on")];
    let flags = Layer { fail_on: Some(Severity::High), verbose: Some(1), ..Layer::default() };
    let config = read_with(flags, None, folder.path(), &variables).unwrap();
    assert_eq!(config.severity, Severity::Medium, "the file over the default");
    assert_eq!(config.confidence, Confidence::High, "the variable over the file");
    assert_eq!(config.fail_on, Some(Severity::High), "the flag over the variable");
    assert_eq!(config.verbosity, Verbosity::Verbose, "-v over quiet");
    assert_eq!(config.rules, [folder.path().join("mine")], "paths count from the file");
    assert!(config.reveal && config.default_rules && !config.every);
}

#[test]
fn without_any_layer_the_defaults_hold() {
    let folder = tempfile::tempdir().unwrap();
    let config = read_with(Layer::default(), None, folder.path(), &[]).unwrap();
    assert_eq!((config.severity, config.confidence), (Severity::Low, Confidence::Low));
    assert_eq!((config.fail_on, config.reveal, config.every), (None, false, false));
    assert!((1..=4).contains(&config.jobs));
    assert_eq!(config.verbosity, Verbosity::Normal);
}

#[test]
fn the_file_asked_for_beats_the_one_here_and_that_the_users() {
    let (here, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let xdg = home.path().to_str().unwrap().to_owned();
    fs::create_dir(home.path().join("leaktap")).unwrap();
    fs::write(home.path().join("leaktap/leaktap.toml"), "jobs = 3").unwrap();
    let variables = [("XDG_CONFIG_HOME", xdg.as_str())];
    let jobs = |file: Option<&str>, more: &[(&str, &str)]| {
        read_with(Layer::default(), file, here.path(), &[&variables[..], more].concat()).unwrap().jobs
    };
    assert_eq!(jobs(None, &[]), 3);
    fs::write(here.path().join("leaktap.toml"), "jobs = 5").unwrap();
    assert_eq!(jobs(None, &[]), 5);
    let other = here.path().join("other.toml");
    fs::write(&other, "jobs = 7").unwrap();
    let other = other.to_str().unwrap();
    assert_eq!(jobs(Some(other), &[]), 7);
    assert_eq!(jobs(None, &[("LEAKTAP_CONFIG", other)]), 7);
    let missing = read_with(Layer::default(), Some("/no/such/leaktap.toml"), here.path(), &[]).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the configuration /no/such/leaktap.toml: "));
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaktap.toml");
    for (text, message) in [
        (
            "jobs = 2\nsevrity = \"low\"\n",
            ":2: unknown field `sevrity`, expected one of `rules`, `no-default-rules`",
        ),
        ("\n\nseverity = \"grave\"\n", ":3: unknown variant `grave`, expected one of `info`, `low`"),
        ("jobs = \"two\"", ":1: invalid type: string \"two\""),
        ("jobs = 1\n[", ":2: "),
    ] {
        fs::write(&path, text).unwrap();
        let error = read_with(Layer::default(), None, folder.path(), &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}{message}", path.display())), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, message) in [
        (
            "LEAKTAP_SEVERITY",
            "grave",
            "the variable LEAKTAP_SEVERITY: unknown variant `grave`, expected one of",
        ),
        ("LEAKTAP_REVEAL", "perhaps", "the variable LEAKTAP_REVEAL: it must be 1 or 0"),
        ("LEAKTAP_JOBS", "-1", "the variable LEAKTAP_JOBS: it must be a small whole number"),
        ("LEAKTAP_JOBS", "0", "--jobs 0 is outside 1 to 64"),
        ("LEAKTAP_JOBS", "65", "--jobs 65 is outside 1 to 64"),
        (
            "LEAKTAP_SINK",
            "ndjson:a,xml:b",
            "unknown format \"xml\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
        ),
    ] {
        let error = read_with(Layer::default(), None, folder.path(), &[(name, value)]).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let empty = read_with(Layer::default(), None, folder.path(), &[("LEAKTAP_SEVERITY", "")]).unwrap();
    assert_eq!(empty.severity, Severity::Low);
    let lists = [("LEAKTAP_RULES", "a:b c"), ("LEAKTAP_SINK", "ndjson:a, table:b")];
    let lists = read_with(Layer::default(), None, folder.path(), &lists).unwrap();
    assert_eq!(lists.rules, [PathBuf::from("a"), PathBuf::from("b c")]);
    assert_eq!(lists.sinks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ndjson:a", "table:b"]);
}

#[test]
fn standard_output_has_one_writer() {
    let outputs = |format: Option<&str>, sinks: &[&str], terminal| {
        let sink = Some(sinks.iter().map(|&sink| sink.to_owned()).collect());
        let layer = Layer { format: format.map(str::to_owned), sink, ..Layer::default() };
        check(layer)
            .unwrap()
            .outputs(terminal)
            .map(|outputs| outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    for (format, sinks, terminal, expected) in [
        (None, &[][..], true, "table:-"),
        (None, &[], false, "ndjson:-"),
        (Some("table"), &["ndjson:a"], false, "table:- ndjson:a"),
        (None, &["ndjson:-"], true, "ndjson:-"),
    ] {
        assert_eq!(outputs(format, sinks, terminal).unwrap(), expected);
    }
    for (format, sinks, message) in [
        (
            Some("xml"),
            &[][..],
            "unknown format \"xml\"; known are: table, ndjson, json, csv, sarif, junit, html, markdown, ecs, eve, cef",
        ),
        (Some("table"), &["ndjson:-"], "standard output is written to by two sinks; give each its own place"),
        (None, &["ndjson:a", "table:a"], "a is written to by two sinks; give each its own place"),
    ] {
        assert_eq!(outputs(format, sinks, true).unwrap_err().to_string(), message);
    }
}

/// What `packaging/leaktap.schema.json` must be: editors complete and check `leaktap.toml` by it.
#[test]
fn the_schema_is_that_of_the_settings() {
    let schema = schemars::schema_for!(Layer);
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/leaktap.schema.json");
    if std::env::var_os("LEAKTAP_WRITE_SCHEMA").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "remake it: LEAKTAP_WRITE_SCHEMA=1 cargo test --lib the_schema_is");
    // The lists of settings say the same.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut known: Vec<&String> = value["properties"].as_object().unwrap().keys().collect();
    known.sort();
    let mut keys: Vec<String> = KEYS.iter().map(|&key| key.to_owned()).collect();
    keys.sort();
    assert_eq!(known, keys.iter().collect::<Vec<_>>());
    for key in KEYS {
        let about = value["properties"][key]["description"].as_str().unwrap_or_default();
        assert!(!about.is_empty(), "{key} has no description");
    }
}

/// The example that comes with the project says every setting, and is valid as it is and with everything switched on.
#[test]
fn the_example_knows_every_setting() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/leaktap.toml")).unwrap();
    let on: String =
        text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n").collect();
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [(&text, 0), (&on, KEYS.len())] {
        let path = folder.path().join("leaktap.toml");
        fs::write(&path, text).unwrap();
        let layer = Layer::file(&path).unwrap_or_else(|error| panic!("{error}"));
        let table: toml::Table = toml::from_str(text).unwrap();
        assert_eq!(table.len(), expected, "{layer:?}");
    }
}

#[test]
fn every_setting_has_its_variable() {
    for key in KEYS {
        let name = variable(key);
        let (value, seen) = match *key {
            "severity" | "fail-on" => ("high", "high"),
            "confidence" => ("medium", "medium"),
            "format" | "filter" | "rules" | "baseline" | "pcap-out" => ("made-up", "made-up"),
            "sink" => ("csv:made-up", "made-up"),
            "jobs" | "verbose" => ("3", "3"),
            "color" | "progress" => ("always", "always"),
            _ => ("1", "true"),
        };
        let with = [(name.as_str(), value)];
        let environment =
            |asked: &str| with.iter().find(|(key, _)| *key == asked).map(|(_, value)| OsString::from(value));
        let layer = Layer::variables(&environment).unwrap();
        assert_ne!(layer, Layer::default(), "{name}");
        assert!(format!("{layer:?}").to_lowercase().contains(seen), "{name}: {layer:?}");
    }
}
