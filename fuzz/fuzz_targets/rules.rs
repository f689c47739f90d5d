//! Rule files of any text: loaded, and then looking at a field, or refused with a reason.
#![no_main]

use std::io::Write;

use leaktap::model::{Field, Surface};
use leaktap::rule::{Context, RuleSet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("leaktap-fuzz-{}.toml", std::process::id()));
    if std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).is_err() {
        return;
    }
    match RuleSet::load(false, &[path]) {
        Ok(rules) => {
            let value = b"api_key=sk_live_4Hq8ZtW2mXc9Rb6Lf1Ky7NpD";
            let mut hits = Vec::new();
            rules.scan(value, &mut hits);
            let field = Field::new(Surface::RequestQuery, Some("key".into()), value[..].into(), 0..value.len());
            let mut found = Vec::new();
            rules.field(&field, &Context::default(), &mut found, None);
            assert!(found.iter().all(|found| found.secret.end <= value.len() && found.whole.end <= value.len()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
