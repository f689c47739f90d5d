//! What keys, the mouse and news do to the state.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::model::Secret;
use crate::model::Severity;
use crate::model::event::Flow;
use crate::model::finding::FindingId;
use crate::tui::example;
use crate::tui::news::{Sighting, identity};

fn setup() -> Setup {
    Setup {
        source: "lo".into(),
        speed: None,
        reveal: true,
        asks: true,
        theme: Theme::Dark,
        mutes: Baseline::default(),
        begun: Timestamp::default(),
        baseline: None,
        formats: vec!["ndjson", "markdown"],
        size: Size::new(80, 24),
    }
}

fn leak(app: &mut App, number: usize) {
    let told = Told { leak: example::leak(number), value: Some(Secret::new(b"made-up-value")), story: None };
    app.update(Message::News(vec![News::Leak(Box::new(told))]));
}

/// A screen with so many leaks, the newest being the last.
fn app(leaks: usize) -> App {
    let mut app = App::new(setup());
    (0..leaks).for_each(|number| leak(&mut app, number));
    app.update(Message::Tick(Duration::from_secs(1)));
    app
}

/// Presses keys: names as the table has them; `'text'` is typed letter by letter.
#[track_caller]
fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for word in keys.split_whitespace() {
        let codes: Vec<(KeyCode, KeyModifiers)> = match word {
            "enter" => vec![(KeyCode::Enter, KeyModifiers::NONE)],
            "esc" => vec![(KeyCode::Esc, KeyModifiers::NONE)],
            "tab" => vec![(KeyCode::Tab, KeyModifiers::NONE)],
            "up" => vec![(KeyCode::Up, KeyModifiers::NONE)],
            "down" => vec![(KeyCode::Down, KeyModifiers::NONE)],
            "left" => vec![(KeyCode::Left, KeyModifiers::NONE)],
            "right" => vec![(KeyCode::Right, KeyModifiers::NONE)],
            "pgdn" => vec![(KeyCode::PageDown, KeyModifiers::NONE)],
            "space" => vec![(KeyCode::Char(' '), KeyModifiers::NONE)],
            _ => match (word.strip_prefix("ctrl-"), word.strip_prefix('\'')) {
                (Some(letter), _) => {
                    vec![(KeyCode::Char(letter.chars().next().unwrap()), KeyModifiers::CONTROL)]
                }
                (_, Some(text)) => {
                    let text = text.trim_end_matches('\'').replace('_', " ");
                    text.chars().map(|letter| (KeyCode::Char(letter), KeyModifiers::NONE)).collect()
                }
                _ => word.chars().map(|letter| (KeyCode::Char(letter), KeyModifiers::NONE)).collect(),
            },
        };
        for (code, modifiers) in codes {
            effects.extend(app.update(Message::Key(KeyEvent::new(code, modifiers))));
        }
    }
    effects
}

/// The number of the leak that is chosen.
fn chosen(app: &App) -> u64 {
    match app.chosen() {
        Some(Row::Leak(serial)) => serial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newest_is_followed_until_one_scrolls_and_again_after() {
    let mut app = app(10);
    assert_eq!(chosen(&app), 9);
    leak(&mut app, 10);
    assert_eq!(chosen(&app), 10, "followed");
    press(&mut app, "j j");
    assert_eq!(chosen(&app), 8);
    leak(&mut app, 11);
    assert_eq!((chosen(&app), app.list().row, app.list().top), (8, 3, 0), "it stays where it is");
    press(&mut app, "f");
    leak(&mut app, 12);
    assert_eq!((chosen(&app), app.list().top), (12, 0));
}

#[test]
fn vim_and_arrow_keys_move() {
    let mut app = app(100);
    let height = app.height();
    for (keys, row) in [
        ("j", 1),
        ("down", 2),
        ("k", 1),
        ("up", 0),
        ("up", 0),
        ("G", 99),
        ("g", 0),
        ("pgdn", height),
        ("ctrl-b", 0),
        ("ctrl-d", height / 2),
        ("ctrl-u", 0),
        ("ctrl-f ctrl-f", 2 * height),
    ] {
        press(&mut app, keys);
        assert_eq!(app.list().row, row, "{keys}");
        let list = app.list();
        assert!((list.top..list.top + height).contains(&list.row), "{keys}: in sight");
    }
}

#[test]
fn the_worst_may_come_first() {
    let mut app = app(10);
    press(&mut app, "s");
    let levels: Vec<Severity> = (0..10)
        .map(|row| match app.row(row) {
            Some(Row::Leak(serial)) => app.store.get(serial).unwrap().leak.severity,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(levels.is_sorted_by(|a, b| a >= b), "{levels:?}");
    press(&mut app, "j j j");
    let before = chosen(&app);
    for number in 10..20 {
        leak(&mut app, number);
    }
    assert_eq!(chosen(&app), before, "the same is chosen though worse ones came");
}

#[test]
fn a_filter_is_applied_while_it_is_typed_and_comes_back_from_the_history() {
    let mut app = app(20);
    press(&mut app, "/ 'host:shop'");
    assert_eq!(app.index.len(), 8, "before it is confirmed");
    press(&mut app, "enter");
    assert_eq!((app.filter.text(), app.prompt.is_none()), ("host:shop", true));
    leak(&mut app, 20);
    leak(&mut app, 21);
    assert_eq!(app.index.len(), 9, "what comes is filtered, too");
    press(&mut app, "/ ctrl-u 'severity>=hi' esc");
    assert_eq!((app.filter.text(), app.index.len()), ("host:shop", 9), "as it was");
    press(&mut app, "\\");
    assert_eq!(app.index.len(), 22);
    press(&mut app, "/ up enter");
    assert_eq!(app.filter.text(), "host:shop");
}

#[test]
fn a_wrong_filter_says_why_and_changes_nothing() {
    let mut app = app(20);
    press(&mut app, "/ 'host:shop_severity>=gra' enter");
    let Some(Prompt::Filter(asking)) = &app.prompt else { panic!() };
    assert!(asking.wrong.as_ref().unwrap().what.starts_with("levels are"));
    assert_eq!(asking.line.cursor, 20, "the cursor is where it is wrong");
    assert_eq!(app.filter.text(), "host:shop", "the last one that was whole");
}

#[test]
fn tab_completes_fields_and_values_seen() {
    let mut app = app(20);
    press(&mut app, "/ 'ho' tab 'sh' tab enter");
    assert_eq!(app.filter.text(), "host:shop.example");
    press(&mut app, "/ ctrl-u 'sev' tab tab");
    let Some(Prompt::Filter(asking)) = &app.prompt else { panic!() };
    assert_eq!(asking.line.text, "severity:critical");
}

#[test]
fn a_group_opens_and_its_leaks_too() {
    let mut app = app(20);
    press(&mut app, "v");
    assert_eq!(app.group, Some(By::Secret));
    let groups = app.rows();
    press(&mut app, "enter");
    assert!(app.rows() > groups);
    press(&mut app, "j enter");
    assert!(app.detail.is_some());
    press(&mut app, "esc left");
    assert_eq!(app.rows(), groups, "closed from within");
    assert!(matches!(app.chosen(), Some(Row::Group(_))));
    press(&mut app, "v v v");
    assert_eq!(app.group, None);
}

#[test]
fn a_group_that_is_chosen_stays_chosen_while_others_come_first() {
    let mut app = app(20);
    press(&mut app, "3 j");
    let held = app.chosen();
    for number in 20..60 {
        leak(&mut app, number);
        app.update(Message::Tick(Duration::from_secs(number as u64)));
        assert_eq!(app.chosen(), held);
    }
}

#[test]
fn the_secrets_page_holds_secrets_only_with_all_their_leaks() {
    let mut app = app(20);
    press(&mut app, "2");
    assert_eq!(
        (app.rows(), app.index.secrets()),
        (3, 3),
        "of five kinds one has no secret and two share one"
    );
    press(&mut app, "enter");
    let leaks = app.tree().unwrap().rows.iter().filter(|row| matches!(row, Row::Leak(_))).count();
    assert!(leaks >= 4);
}

#[test]
fn revealing_is_deliberate_and_ends_by_itself() {
    let mut app = app(10);
    press(&mut app, "enter r");
    assert!(app.revealed.is_none(), "asked first");
    press(&mut app, "n");
    assert!(app.revealed.is_none() && app.prompt.is_none(), "any other key: no");
    press(&mut app, "r r");
    assert!(app.revealed.is_some());
    app.update(Message::Tick(Duration::from_secs(10)));
    assert!(app.revealed.is_some());
    app.update(Message::Tick(Duration::from_secs(17)));
    assert!(app.revealed.is_none(), "hidden again");
    press(&mut app, "r y n");
    assert!(app.revealed.is_none(), "and with the next leak");
    press(&mut app, "r y esc enter");
    assert!(app.revealed.is_none(), "and on the way back");
}

#[test]
fn with_never_reveal_no_value_is_even_kept() {
    let mut app = App::new(Setup { reveal: false, ..setup() });
    leak(&mut app, 0);
    let secret = example::leak(0).secret.unwrap();
    assert!(!app.vault.has(&secret.fingerprint));
    press(&mut app, "enter r r y");
    assert!(app.revealed.is_none());
    assert!(app.said.as_ref().unwrap().0.contains("--never-reveal"));
}

#[test]
fn what_is_muted_is_gone_and_comes_back() {
    let mut app = app(20);
    let all = app.index.len();
    let effects = press(&mut app, "j m r enter");
    let [Effect::Mute(known)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(known.rule.as_deref(), Some("session-cookie"));
    assert_eq!(app.index.len(), all - 4);
    leak(&mut app, 23);
    assert_eq!(app.index.len(), all - 4, "what comes is muted, too");
    press(&mut app, "/ 'muted:yes' enter");
    assert_eq!(app.index.len(), 5, "and can be seen");
    let effects = press(&mut app, "\\ u");
    assert!(matches!(effects.as_slice(), [Effect::Unmute(again)] if again == known));
    assert_eq!(app.index.len(), all + 1);
    assert!(press(&mut app, "u").is_empty());
}

#[test]
fn a_mute_may_have_a_reason_an_owner_and_a_last_day() {
    for (typed, reason, owner, until) in [
        ("", None, None, None),
        ("'a_test_key_of_ours'", Some("a test key of ours"), None, None),
        ("'owner:ann_rotated_until:2026-12-31'", Some("rotated"), Some("ann"), Some("2026-12-31")),
        ("'see_ticket:42' ctrl-w 'ops'", Some("see ops"), None, None),
    ] {
        let mut app = app(1);
        let effects = press(&mut app, &format!("m r {typed} enter"));
        let [Effect::Mute(known)] = effects.as_slice() else { panic!("{typed}: {effects:?}") };
        assert_eq!((known.reason.as_deref(), known.owner.as_deref()), (reason, owner), "{typed}");
        assert_eq!(known.expires.map(|day| day.to_string()).as_deref(), until, "{typed}");
        let undone = press(&mut app, "u");
        assert!(matches!(undone.as_slice(), [Effect::Unmute(again)] if again == known), "{typed}");
    }
    let mut app = app(1);
    assert!(press(&mut app, "m r 'until:soon' enter").is_empty());
    assert!(matches!(&app.prompt, Some(Prompt::Reason(reason)) if reason.wrong.is_some()));
    app.update(Message::Paste(" pasted\nin two lines".into()));
    assert!(press(&mut app, "esc").is_empty());
    assert!(app.prompt.is_none() && app.mutes.entries().is_empty(), "nothing was muted");
}

#[test]
fn each_kind_of_mute_says_what_it_means() {
    for (key, expected) in [
        ("r", "stripe-secret-key"),
        ("s", "all of the secret 6b1e90d2…"),
        ("e", "all at api.example.com/*/charges"),
        ("l", "leak 00000000…"),
    ] {
        let mut app = app(1);
        let effects = press(&mut app, &format!("m {key} enter"));
        let [Effect::Mute(known)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(known.to_string(), expected);
        assert_eq!(app.index.len(), 0, "{expected}");
    }
}

#[test]
fn what_the_baseline_knows_is_muted_from_the_start() {
    let mut mutes = Baseline::default();
    mutes.add(Known { rule: Some("session-cookie".into()), ..Known::default() });
    let mut app = App::new(Setup { mutes, ..setup() });
    (0..10).for_each(|number| leak(&mut app, number));
    assert_eq!((app.index.len(), app.store.len()), (8, 10));
    assert!(press(&mut app, "u").is_empty(), "only what was muted here is taken back");
}

#[test]
fn exports_are_of_what_is_marked_or_chosen_or_listed() {
    let mut app = app(10);
    for (keys, expected, leaks) in [
        ("x n", "ndjson", 1),
        ("x N", "ndjson", 10),
        ("x M", "markdown", 10),
        ("t t t x m", "markdown", 3),
        ("esc x m", "markdown", 1),
        ("* x n", "ndjson", 10),
        ("* v g x n", "ndjson", 4),
        ("enter j enter x n", "ndjson", 1),
    ] {
        let effects = press(&mut app, keys);
        let [Effect::Export(format, exported)] = effects.as_slice() else { panic!("{keys}: {effects:?}") };
        assert_eq!((*format, exported.len()), (expected, leaks), "{keys}");
        assert!(exported.iter().flat_map(|leak| &leak.secret).all(|secret| secret.value.is_none()));
    }
}

#[test]
fn copies_hold_nothing_secret() {
    for (key, expected) in [
        (
            "l",
            "CRITICAL  Stripe secret key  sk_l…9f2c  in request.query api_key  GET api.example.com/v1/charges?api_key=sk_l…9f2c&limit=3  10.0.0.1:51000 -> 10.0.0.2:80  2026-11-22T05:22:00.123456789Z",
        ),
        ("u", "api.example.com/v1/charges?api_key=sk_l…9f2c&limit=3"),
        ("i", "00000000000000000000000000000001"),
    ] {
        let mut app = app(1);
        let effects = press(&mut app, &format!("y {key}"));
        let [Effect::Copy(text)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(text, expected);
    }
}

#[test]
fn a_pause_lets_the_list_stand_still_and_loses_nothing() {
    let mut app = app(10);
    assert!(press(&mut app, "space").is_empty(), "a capture goes on");
    (10..15).for_each(|number| leak(&mut app, number));
    assert_eq!((app.index.len(), app.store.len(), chosen(&app)), (10, 15, 9));
    press(&mut app, "space");
    assert_eq!((app.index.len(), chosen(&app)), (15, 14));
}

#[test]
fn files_are_paused_and_read_faster_or_slower() {
    let mut app = App::new(Setup { speed: Some(Speed(1.0)), ..setup() });
    assert!(matches!(press(&mut app, "space").as_slice(), [Effect::Pause(true)]));
    assert!(matches!(press(&mut app, "space").as_slice(), [Effect::Pause(false)]));
    for (keys, speed) in
        [("+", 2.0), ("+ + + + + + + +", f32::INFINITY), ("-", 100.0), ("- - - - - - -", 0.5)]
    {
        match press(&mut app, keys).as_slice() {
            [.., Effect::Speed(told)] => assert_eq!(told.0, speed, "{keys}"),
            other => panic!("{keys}: {other:?}"),
        }
    }
    let mut live = self::app(1);
    assert!(press(&mut live, "+").is_empty(), "live there is no speed");
}

#[test]
fn sightings_count_on_without_a_new_leak() {
    let mut app = app(3);
    let leak = example::leak(1);
    let sighting = Sighting {
        leak: FindingId(identity(&leak.id).to_be_bytes()),
        time: Timestamp::from_nanos(leak.time.as_nanos() + 60_000_000_000),
        client: leak.flow.client,
        frame: 99,
    };
    app.update(Message::News((0..5).map(|_| News::Sighting(sighting)).collect()));
    assert_eq!((app.index.len(), app.store.get(1).unwrap().times), (3, 6));
    press(&mut app, "/ 'times>5' enter");
    assert_eq!(app.index.len(), 1);
    press(&mut app, "/ ctrl-u 'times>6' enter");
    assert_eq!(app.index.len(), 0);
    app.update(Message::News(vec![News::Sighting(sighting)]));
    app.update(Message::Tick(Duration::from_secs(2)));
    assert_eq!(app.index.len(), 1, "the filter follows the count");
}

#[test]
fn the_mouse_chooses_opens_scrolls_and_changes_pages() {
    let mut app = app(100);
    let mouse = |app: &mut App, kind, column, row| {
        app.update(Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
    };
    let click = MouseEventKind::Down(MouseButton::Left);
    let body = view::areas(&app).body;
    mouse(&mut app, click, 5, body.y + 3);
    assert_eq!((app.list().row, app.detail.is_some()), (3, false));
    mouse(&mut app, click, 5, body.y + 3);
    assert!(app.detail.is_some(), "the second click opens");
    press(&mut app, "esc");
    mouse(&mut app, MouseEventKind::ScrollDown, 5, body.y);
    assert_eq!((app.list().top, app.list().row), (3, 3));
    let tabs = view::areas(&app).tabs;
    for column in 0..80 {
        mouse(&mut app, click, column, tabs.y);
    }
    assert_eq!(app.tab, Tab::Health);
    press(&mut app, "1 m");
    let prompt_row = view::areas(&app).bottom.y - 2;
    mouse(&mut app, click, 2, prompt_row);
    press(&mut app, "enter");
    assert_eq!(app.mutes.entries().len(), 1, "the last item: this leak");
}

#[test]
fn flows_lead_to_their_leaks() {
    let mut app = app(10);
    let flow = example::leak(6).flow;
    let live = LiveFlow {
        flow: Flow { ..flow },
        to_server: 1,
        to_client: 2,
        frames: 3,
        first: Timestamp::default(),
        last: Timestamp::default(),
        is_open: true,
    };
    app.update(Message::News(vec![News::Pulse(Box::new(Pulse { live: vec![live], ..Pulse::default() }))]));
    press(&mut app, "4 enter");
    assert_eq!((app.tab, app.index.len()), (Tab::Leaks, 2));
    assert_eq!(app.filter.text(), "client=10.0.0.7:40001 server=10.0.0.2:80");
}

#[test]
fn the_next_and_the_last_leak_are_a_key_away() {
    let mut app = app(3);
    press(&mut app, "enter n n");
    assert_eq!(app.detail.as_ref().unwrap().serial, 0);
    press(&mut app, "n");
    assert!(app.said.is_some(), "there is no further one");
    press(&mut app, "p");
    assert_eq!(app.detail.as_ref().unwrap().serial, 1);
}

#[test]
fn a_leak_that_went_while_it_was_looked_at_is_said() {
    let mut app = App::with(setup(), 5);
    (0..5).for_each(|number| leak(&mut app, number));
    press(&mut app, "G enter");
    leak(&mut app, 5);
    assert!(app.leak_at_hand().is_none());
    for keys in ["r", "y", "m", "=", "n", "x", "esc"] {
        press(&mut app, keys);
    }
    assert!(app.index.len() == 5);
}

#[test]
fn every_key_is_harmless_everywhere() {
    let keys: Vec<&str> = keys::KEYS.iter().flat_map(|binding| binding.keys).copied().collect();
    for leaks in [0, 3] {
        for page in ["1", "2", "3", "4", "5", "?", "1 enter", "1 v", "1 /", "1 m", "1 x", "1 enter r"] {
            for size in [Size::new(80, 24), Size::new(1, 1), Size::new(0, 0), Size::new(60, 15)] {
                let mut app = app(leaks);
                app.update(Message::Resize(size));
                press(&mut app, page);
                for key in &keys {
                    if key.len() == 1
                        || key.starts_with("ctrl-")
                        || ["enter", "esc", "tab", "up", "down"].contains(key)
                    {
                        press(&mut app, key);
                    }
                }
                app.update(Message::Tick(Duration::from_secs(3)));
            }
        }
    }
}

/// 100,000 leaks, 10,000 a second: the work for each does not grow with what is held.
#[test]
fn a_hundred_thousand_leaks_are_held_at_the_same_cost_each() {
    const COME: usize = 120_000;
    const A_TENTH: usize = 1000;
    let mut app = App::new(setup());
    for tenth in 0..COME / A_TENTH {
        let news = (0..A_TENTH).map(|number| {
            let mut leak = example::leak(tenth * A_TENTH + number);
            // A tenth of them are secrets of their own.
            if let Some(secret) = leak.secret.as_mut().filter(|_| number % 10 == 0) {
                secret.fingerprint = format!("{:064x}", tenth * A_TENTH + number);
            }
            News::Leak(Box::new(Told { leak, value: None, story: None }))
        });
        app.update(Message::News(news.collect()));
        app.update(Message::Tick(Duration::from_millis(100 * tenth as u64)));
    }
    assert_eq!((app.store.len(), app.index.len(), app.store.gone()), (LEAKS, LEAKS, 20_000));
    assert_eq!(app.index.looked, COME as u64, "each is looked at once");
    // A filter looks at each once more, in steps that let keys in between.
    press(&mut app, "/ 'host:shop' enter");
    let mut steps = 0;
    while app.index.progress(&app.store).is_some() {
        let before = app.index.looked;
        app.update(Message::Tick(Duration::from_secs(20)));
        assert!(app.index.looked - before <= STEP as u64);
        steps += 1;
    }
    assert!((5..=15).contains(&steps), "{steps} steps");
    assert_eq!(app.index.len(), LEAKS * 2 / 5);
    // What is drawn are the rows that are seen.
    press(&mut app, "G");
    assert!(app.row(app.list().row).is_some());
}
