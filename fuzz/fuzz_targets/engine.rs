//! Whole captures of any frames through the whole engine.
#![no_main]

use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use leaktap::engine::{Engine, Intake, LIMITS, Settings};
use leaktap::model::secret::FingerprintKey;
use leaktap::rule::RuleSet;
use leaktap::source::{Next, Source, from_reader};
use libfuzzer_sys::fuzz_target;

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    rules: Arc::new(RuleSet::load(true, &[]).expect("the shipped rules")),
    key: FingerprintKey::new(b"fuzz"),
    limits: LIMITS,
    explain: false,
    watched: false,
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut source) = from_reader(Path::new("fuzz"), Box::new(Cursor::new(bytes.to_vec())), None) else { return };
    let mut engine = Engine::new(&SETTINGS);
    let mut intake = Intake::default();
    engine.begin(Arc::from("fuzz"), None);
    let mut last = (0, Default::default());
    while let Ok(Next::Frame(frame)) = source.next() {
        last = (frame.number, frame.time);
        intake.sort(&frame, |shard, frame, packet| engine.packet(shard, packet, frame.number, frame.time));
    }
    intake.end_capture(last.0, last.1, |shard, frame, packet| engine.packet(shard, packet, frame.number, frame.time));
    engine.finish(last.0, last.1);
    engine.released().for_each(drop);
});
