//! Every shipped rule against its own keywords and examples, missed by little and repeated.

use leaktap::model::message::Origin;
use leaktap::model::{Field, Surface};
use leaktap::rule::Context;

use super::linear;
use crate::support::RULES;

#[test]
fn every_rule_is_linear_where_it_nearly_matches() {
    // Bytes of the small input; the large one is 8 KiB, in `make soak` 256 KiB, and there with every keyword.
    let soak = std::env::var("LEAKTAP_SOAK").is_ok();
    let (small, keywords) = if soak { (32 << 10, usize::MAX) } else { (1 << 10, 1) };
    let mut faults = Vec::new();
    for rule in RULES.rules() {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for keyword in rule.keywords.iter().take(keywords) {
            units.push(keyword.clone().into_bytes());
            units.push(format!("{keyword}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").into_bytes());
            units.push(format!("{keyword} = \"").into_bytes());
        }
        if let Some(example) = rule.examples.leak.first() {
            // Without its last tenth; and with a line end in its middle.
            let (start, end) = example.as_bytes().split_at(example.len() / 2);
            units.push(example.as_bytes()[..example.len() * 9 / 10].to_vec());
            units.push([start, b"\n", end].concat());
        }
        for unit in units {
            let prepare = |bytes: usize| unit.repeat(bytes / unit.len() + 1);
            let work = |value: &Vec<u8>| {
                let name = Some("key".into());
                let mut field = Field::new(Surface::ResponseBody, name, value.into(), 0..value.len());
                let context = Context { status: Some(500), essence: "text/html", path: "", now: None };
                RULES.field(&field, &context, &mut Vec::new(), None);
                field.origin = Origin::Text;
                RULES.field(&field, &context, &mut Vec::new(), None);
            };
            if let Err(fault) = linear(small, prepare, work) {
                faults.push(format!("{} by {}: {fault}", rule.text.id, unit.escape_ascii()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
