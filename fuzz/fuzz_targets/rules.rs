//! Rule files of any text: loaded or refused with a reason.
#![no_main]

use std::io::Write;

use leaktap::rule::RuleSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("leaktap-fuzz-{}.toml", std::process::id()));
    if std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).is_err() {
        return;
    }
    if let Err(error) = RuleSet::load(false, &[path]) {
        assert!(!error.to_string().is_empty());
    }
});
