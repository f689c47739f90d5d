//! Every view at three sizes, with its colours and without: snapshots.

use std::fmt::Write as _;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::baseline::Baseline;
use crate::model::event::{Lost, Summary};
use crate::model::finding::FindingId;
use crate::model::pulse::{LiveFlow, Pulse};
use crate::model::story::{Passage, Story};
use crate::model::{Secret, Timestamp};
use crate::tui::app::{Message, Setup, Speed};
use crate::tui::example;
use crate::tui::news::{News, RuleNow, Sighting, Told, identity};
use crate::tui::theme::Theme;

const SIZES: [(u16, u16); 3] = [(60, 15), (80, 24), (160, 50)];

fn setup(size: (u16, u16), theme: Theme) -> Setup {
    Setup {
        source: "lo".into(),
        speed: None,
        reveal: true,
        asks: true,
        theme,
        mutes: Baseline::default(),
        begun: Timestamp::default(),
        baseline: Some("known.toml".into()),
        formats: vec!["ndjson", "markdown", "sarif"],
        size: Size::new(size.0, size.1),
    }
}

fn story(number: usize) -> Option<Box<Story>> {
    let passage = |text: &str, mark: &str| {
        let marks = text.find(mark).filter(|_| !mark.is_empty()).map(|at| at..at + mark.len());
        Some(Passage { text: text.to_owned(), marks: marks.into_iter().collect() })
    };
    number.is_multiple_of(example::KINDS).then(|| {
        Box::new(Story {
            request: passage(
                "GET /v1/charges?api_key=sk_l…9f2c&limit=3 HTTP/1.1\nHost: api.example.com\nUser-Agent: curl/8.5\nAccept: */*",
                "sk_l…9f2c",
            ),
            response: passage("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 31", ""),
        })
    })
}

fn told(number: usize) -> Told {
    Told {
        leak: example::leak(number),
        value: Some(Secret::new(b"made-up-value-of-32-characters!!")),
        story: story(number),
    }
}

fn pulse() -> Pulse {
    let flow = |port: u16, protocol: &str, is_open| {
        let mut flow = example::leak(usize::from(port)).flow;
        flow.protocol = protocol.to_owned();
        LiveFlow {
            flow,
            to_server: 812 + u64::from(port) * 1000,
            to_client: 1_500_000,
            frames: 1234,
            first: example::leak(0).time,
            last: example::leak(usize::from(port)).time,
            is_open,
        }
    };
    let counts =
        |pairs: &[(&str, u64)]| pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
    Pulse {
        time: example::leak(12).time,
        frames: 12_345,
        bytes: 9_876_543,
        drops: counts(&[("kernel-drop", 0), ("queue-drop", 17)]),
        queues: vec![(3, 64), (0, 64)],
        behind: Some(Duration::from_millis(140)),
        open: 3,
        flows: 132,
        held: 3 << 20,
        fragments: 0,
        messages: counts(&[("http/1.1", 310)]),
        protocols: counts(&[("http/1.1", 120), ("tls", 10)]),
        not_inspected: counts(&[("encrypted", 10)]),
        gaps: (3, 4344),
        malformed: 1,
        live: vec![flow(10, "http/1.1", true), flow(6, "tls", true), flow(5, "http/1.1", false)],
        position: None,
        memory: Some(48 << 20),
    }
}

/// A screen in the middle of a capture.
fn app(size: (u16, u16), theme: Theme) -> App {
    let mut app = App::new(setup(size, theme));
    let rules = (0..521).map(|number| RuleNow { id: number.to_string(), file: "built-in".into() });
    app.update(Message::News(vec![News::Rules(rules.collect(), false)]));
    for number in 0..12 {
        app.update(Message::Tick(Duration::from_secs(number as u64 / 2)));
        app.update(Message::News(vec![News::Leak(Box::new(told(number)))]));
    }
    let first = example::leak(0);
    let sighting = |second: i64| {
        News::Sighting(Sighting {
            leak: FindingId(identity(&first.id).to_be_bytes()),
            time: Timestamp::from_nanos(first.time.as_nanos() + second * 1_000_000_000),
            client: first.flow.client,
            frame: 100 + second as u64,
        })
    };
    app.update(Message::News((1..=41).map(sighting).collect()));
    app.update(Message::News(vec![
        News::Lost(Lost {
            reason: "gap".into(),
            flow: None,
            direction: None,
            count: 3,
            bytes: 4344,
            frames: [30, 31],
            last_source: None,
            source: "lo".into(),
        }),
        News::Pulse(Box::new(pulse())),
    ]));
    app.update(Message::Tick(Duration::from_secs(7)));
    app
}

fn press(app: &mut App, keys: &str) {
    for word in keys.split_whitespace() {
        let codes: Vec<KeyCode> = match word {
            "enter" => vec![KeyCode::Enter],
            "tab" => vec![KeyCode::Tab],
            word => word.chars().map(KeyCode::Char).collect(),
        };
        for code in codes {
            app.update(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
    }
}

fn drawn(app: &App) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(app.size.width, app.size.height)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal
}

/// The screen as text; `styled` with the style of each stretch before it.
fn text(app: &App, styled: bool) -> String {
    let terminal = drawn(app);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut before = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            let mut style = String::new();
            for (colour, mark) in [(cell.fg, ""), (cell.bg, "on ")] {
                if colour != Color::Reset {
                    let _ = write!(style, "{}{mark}{colour}", if style.is_empty() { "" } else { " " });
                }
            }
            for (modifier, name) in [
                (Modifier::BOLD, "bold"),
                (Modifier::DIM, "dim"),
                (Modifier::REVERSED, "reversed"),
                (Modifier::UNDERLINED, "underlined"),
            ] {
                if cell.modifier.contains(modifier) {
                    let _ = write!(style, "{}{name}", if style.is_empty() { "" } else { " " });
                }
            }
            if styled && style != before && cell.symbol() != " " {
                let _ = write!(line, "‹{}›", style.to_lowercase());
                before = style;
            }
            line.push_str(cell.symbol());
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A view after these keys, at every size, once with colours and once without.
#[track_caller]
fn snapshot(name: &str, keys: &str, change: impl Fn(&mut App)) {
    for (theme, styled) in [(Theme::Dark, true), (Theme::Plain, false)] {
        let mut all = String::new();
        for size in SIZES {
            let mut app = app(size, theme);
            press(&mut app, keys);
            change(&mut app);
            let _ = writeln!(all, "══ {}×{} ══\n{}", size.0, size.1, text(&app, styled));
        }
        insta::with_settings!({omit_expression => true}, {
            insta::assert_snapshot!(format!("{name}_{}", if styled { "colour" } else { "plain" }), all);
        });
    }
}

#[test]
fn leaks() {
    snapshot("leaks", "j t j", |_| ());
}

#[test]
fn leaks_grouped_by_endpoint() {
    snapshot("grouped", "v v s j enter", |_| ());
}

#[test]
fn a_filter_is_typed() {
    snapshot("filter", "/ host:shop tab", |_| ());
    snapshot("filter_wrong", "/ severity>=grave enter", |_| ());
}

#[test]
fn a_leak() {
    snapshot("detail", "G enter", |_| ());
    snapshot("detail_revealed", "G enter r r", |_| ());
    snapshot("detail_asks", "G enter r", |_| ());
    snapshot("detail_process", "enter", |_| ());
}

#[test]
fn secrets_endpoints_flows_and_health() {
    snapshot("secrets", "2 enter j", |_| ());
    snapshot("endpoints", "3", |_| ());
    snapshot("flows", "4 j", |_| ());
    snapshot("health", "5", |app| {
        press(app, "1 G m r enter");
        press(app, "5");
        app.update(Message::Tick(Duration::from_secs(60)));
    });
}

#[test]
fn menus_and_help() {
    snapshot("menu_mute", "m", |_| ());
    snapshot("mute_why", "m r", |_| ());
    snapshot(
        "mute_because",
        "m r 'a_test_key_of_ours,_rotated_by_the_end_of_the_year_owner:ann_until:2026-12-31_and_more'",
        |_| (),
    );
    snapshot("menu_export", "x", |_| ());
    snapshot("help", "?", |_| ());
}

#[test]
fn nothing_yet_and_nothing_at_all() {
    for (name, speed, summary) in [
        ("empty_live", None, None),
        ("empty_file", Some(Speed(2.0)), None),
        ("empty_over", Some(Speed::MOST), Some(Box::<Summary>::default())),
    ] {
        let mut all = String::new();
        for size in SIZES {
            let mut app = App::new(Setup { speed, ..setup(size, Theme::Plain) });
            let position = speed.map(|_| (1 << 20, Some(4 << 20)));
            app.update(Message::News(vec![News::Pulse(Box::new(Pulse { position, ..Pulse::default() }))]));
            if let Some(summary) = &summary {
                app.update(Message::News(vec![News::Summary(summary.clone())]));
            }
            let _ = writeln!(all, "══ {}×{} ══\n{}", size.0, size.1, text(&app, false));
        }
        insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(name, all) });
    }
}

#[test]
fn the_light_theme_and_sixteen_colours() {
    let app = app((80, 24), Theme::Light);
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!("leaks_light", text(&app, true)) });
    for theme in [Theme::Dark, Theme::Light, Theme::Plain] {
        for keys in ["", "G enter r r", "2", "4", "5", "?", "x", "/ a"] {
            let mut app = self::app((160, 50), theme);
            press(&mut app, keys);
            let terminal = drawn(&app);
            for cell in terminal.backend().buffer().content() {
                for colour in [cell.fg, cell.bg] {
                    assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)), "{colour}");
                    assert!(theme != Theme::Plain || colour == Color::Reset, "{keys}: {colour}");
                }
            }
        }
    }
}

#[test]
fn no_value_is_drawn_unless_revealed() {
    for keys in ["", "G enter", "G enter r", "2 enter", "3 enter", "5", "v enter", "G m", "G x", "G y"] {
        for size in SIZES {
            let mut app = app(size, Theme::Dark);
            press(&mut app, keys);
            assert!(!text(&app, false).contains("made-up-value"), "{keys}");
        }
    }
    let mut app = app((80, 24), Theme::Dark);
    press(&mut app, "G enter r r");
    assert!(text(&app, false).contains("made-up-value"));
    app.update(Message::Tick(Duration::from_secs(60)));
    assert!(!text(&app, false).contains("made-up-value"));
}

#[test]
fn what_comes_from_the_network_commands_no_terminal() {
    for keys in ["", "j j j enter", "2", "3", "v"] {
        let mut app = app((160, 50), Theme::Dark);
        press(&mut app, keys);
        assert!(!text(&app, false).contains('\u{1b}'), "{keys}");
    }
}

#[test]
fn any_size_is_drawn() {
    for width in [0, 1, 2, 5, 10, 20, 30, 40, 59, 75, 76, 103, 104, 126, 140, 158, 300] {
        for height in [0, 1, 2, 3, 4, 5, 6, 10, 17, 18, 35, 36, 100] {
            for keys in ["", "G enter r r", "2 enter", "3", "4", "5", "?", "x", "/ a"] {
                let mut app = app((width, height), Theme::Dark);
                press(&mut app, keys);
                drawn(&app);
            }
        }
    }
}
