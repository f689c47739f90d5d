//! The table as it looks: snapshots at several widths, and what must not break it.

use super::super::example::{self, Buffer};
use super::*;
use crate::model::Severity;
use crate::model::event::Leak;

fn table(events: &[Event], width: usize, color: bool) -> String {
    let buffer = Buffer::default();
    let mut sink = Table::new(Box::new(buffer.clone()), Style { color, width, live: false, fail_on: None });
    for event in events {
        sink.event(event).unwrap();
    }
    assert_eq!(buffer.text(), "", "a table is written at the end");
    sink.finish().unwrap();
    buffer.text()
}

#[test]
fn a_table_at_100_columns() {
    insta::assert_snapshot!(table(&example::events(), 100, false));
}

#[test]
fn a_table_at_60_columns() {
    let text = table(&example::events(), 60, false);
    for line in text.lines() {
        assert!(columns(line) <= 60, "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_table_in_colour() {
    let text = table(&example::events(), 100, true);
    insta::assert_snapshot!(text.replace('\x1b', "␛"));
    assert_eq!(anstream::adapter::strip_str(&text).to_string(), table(&example::events(), 100, false));
}

#[test]
fn nothing_found_is_said() {
    let events: Vec<Event> = example::events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Summary(mut summary) => {
                summary.leaks.clear();
                summary.again = 0;
                Some(Event::Summary(summary))
            }
            _ => None,
        })
        .collect();
    insta::assert_snapshot!(table(&events, 100, false), @r"
             read  2 captures · 12,345 frames · 9.4 MiB · 132 flows (120 http/1.1, 10 tls, 2 unknown)
                   310 messages (http/1.1) · 41.2 s
            found  no leak
        held back  6 below-severity
    not inspected  10 encrypted · 2 unknown-protocol
         not seen  3 gaps (4.2 KiB) · 1 malformed frame
    ");
}

#[test]
fn many_places_of_one_secret_are_counted() {
    let events: Vec<Event> = (0..50)
        .map(|index| Event::Leak(Box::new(Leak { id: index.to_string(), ..example::leak() })))
        .collect();
    let text = table(&events, 100, false);
    assert_eq!(text.matches("where").count(), PLACES);
    assert!(text.contains("… and 30 more places"), "{text}");
    assert!(text.contains("50 critical · 1 secret"), "{text}");
}

#[test]
fn leaks_beyond_the_limit_are_counted() {
    let mut groups = Groups::new(2);
    for index in 0..5 {
        groups.add(&Leak { id: index.to_string(), ..example::leak() });
    }
    // Known ones are sightings, not leaks.
    groups.add(&Leak { id: "1".into(), ..example::leak() });
    groups.again("4", 7);
    assert_eq!(groups.overflow(), 3);
    let groups = groups.worst_first();
    let times: Vec<u64> = groups[0].places.iter().map(|place| place.times).collect();
    assert_eq!(times, [1, 2]);
}

#[test]
fn the_worst_comes_first_whatever_the_order() {
    let mut events = example::events();
    let heads = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| Severity::ALL.iter().any(|level| line.contains(&level.as_str().to_uppercase())))
            .map(str::to_owned)
            .collect()
    };
    let forward = heads(&table(&events, 100, false));
    events.reverse();
    assert_eq!(forward, heads(&table(&events, 100, false)));
    assert_eq!(forward.len(), 4);
}

#[test]
fn revealed_values_are_shown() {
    let mut leak = example::leak();
    if let Some(secret) = &mut leak.secret {
        secret.value = Some("sk_live_madeUpForThisTest0000000".into());
    }
    let text = table(&[Event::Leak(Box::new(leak))], 100, false);
    assert!(text.starts_with("CRITICAL  Stripe secret key  sk_live_madeUpForThisTest0000000\n"), "{text}");
}
