//! What `leaktap watch` costs: events taken, screens drawn, memory, with as many leaks as it holds and more (docs/PERFORMANCE.md).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::hint::black_box;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use leaktap::baseline::Baseline;
use leaktap::model::event::Leak;
use leaktap::model::finding::FindingId;
use leaktap::model::{Endpoint, Secret, Severity, Timestamp};
use leaktap::pipeline::resident;
use leaktap::tui::{App, Message, News, Setup, Sighting, Theme, Told, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;

/// As many as the screen holds.
const HELD: u64 = 100_000;
/// News in one batch, as the threads of the screen give them at most.
const BATCH: u64 = 1000;
/// Events a second that it has to bear.
const RATE: u64 = 10_000;
/// Made up.
const EVENT: &str = r#"{"id":"0","time":"2026-11-22T05:22:00.123456789Z","rule":"stripe-secret-key","title":"Stripe secret key",
    "exposures":["query-string","cleartext"],"severity":"critical","confidence":"high","cwe":["CWE-598","CWE-319"],"owasp":["API2:2023"],
    "surface":"request.query","name":"api_key","secret":{"redacted":"sk_l…9f2c","length":32,"fingerprint":"6b1e"},
    "flow":{"client":"10.0.0.1:51000","server":"10.0.0.2:80","transport":"tcp","protocol":"http/1.1","encrypted":false},
    "http":{"method":"GET","host":"api.example.com","target":"/v1/x?api_key=sk_l…9f2c","status":200,"message":3},
    "process":{"pid":4242,"name":"python3","container":null},"source":"eth0","frames":[17,21],
    "evidence":"GET /v1/x?api_key=sk_l…9f2c HTTP/1.1","advice":"Send the key in a header over TLS; rotate this one.","related":[]}"#;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let template: Leak = serde_json::from_str(EVENT).unwrap();
    let before = resident().unwrap_or_default();
    let mut app = App::new(setup(Size::new(160, 50)));
    let mut clock = Duration::ZERO;
    let memory = |what: &str| {
        println!(
            "{what:<44} {:>9.1} MB more than before",
            (resident().unwrap_or_default().saturating_sub(before)) as f64 / 1e6
        );
    };

    let mut number = 0;
    for (what, until) in
        [("the first 100,000 leaks", HELD), ("400,000 more, of which the oldest go", 5 * HELD)]
    {
        let taken = take(&mut app, &mut clock, &mut number, until, &template);
        println!("{what:<44} {:>9.2} µs each", taken);
        memory("memory");
    }
    let again = sightings(&mut app, &mut clock, number);
    println!("{:<44} {again:>9.2} µs each", "500,000 sightings of leaks that are held");
    memory("memory");

    println!();
    for (size, name) in
        [(Size::new(60, 15), "60x15"), (Size::new(80, 24), "80x24"), (Size::new(160, 50), "160x50")]
    {
        app.update(Message::Resize(size));
        let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
        for (view, keys) in [
            ("leaks", "1"),
            ("leaks, the worst first", "s"),
            ("leaks in groups", "v"),
            ("secrets", "2"),
            ("endpoints", "3"),
            ("one leak", "1\n"),
        ] {
            press(&mut app, keys);
            settle(&mut app, &mut clock);
            let (middle, slow) = drawn(&app, &mut terminal);
            println!(
                "{:<44} {middle:>9.0} µs, one in twenty more than {slow:.0}",
                format!("a drawing of {view}, {name}")
            );
            press(&mut app, "\u{1b}");
        }
        press(&mut app, "1vvs");
        settle(&mut app, &mut clock);
    }

    println!();
    for (what, typed) in [
        ("no filter", ""),
        ("a filter that some pass", "/severity>=high host:api*\n"),
        ("a filter that none passes", "/\u{15}nothing-like-that\n"),
    ] {
        press(&mut app, typed);
        settle(&mut app, &mut clock);
        let share = second(&mut app, &mut clock, &mut number, &template);
        println!(
            "{:<44} {:>8.1} % of one processor",
            format!("{RATE} events and 30 drawings a second, {what}"),
            share * 100.0
        );
        press(&mut app, "\\");
    }
    memory("memory");
}

/// Processor time of this thread: the machine may be busy.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn setup(size: Size) -> Setup {
    Setup {
        source: "eth0".to_owned(),
        speed: None,
        reveal: true,
        asks: true,
        theme: Theme::Dark,
        mutes: Baseline::default(),
        begun: Timestamp::default(),
        baseline: None,
        formats: vec!["ndjson"],
        size,
    }
}

fn id(number: u64) -> FindingId {
    FindingId((u128::from(number) + 1).to_be_bytes())
}

/// A leak by number: ten thousand secrets, a hundred hosts, all clients.
fn leak(template: &Leak, number: u64) -> News {
    let mut leak = template.clone();
    leak.id = id(number).to_string();
    leak.time = Timestamp::from_nanos(1_795_324_920_000_000_000 + number as i64 * 100_000);
    leak.flow.client =
        Endpoint::v4([10, 1, (number >> 8) as u8, number as u8], 40_000 + (number % 20_000) as u16);
    leak.severity =
        [Severity::Low, Severity::Medium, Severity::High, Severity::Critical][number as usize % 4];
    if let Some(secret) = &mut leak.secret {
        secret.fingerprint = format!("{:064x}", number % 10_000);
    }
    if let Some(http) = &mut leak.http {
        http.host = Some(format!(
            "{}{}.example.com",
            if number.is_multiple_of(2) { "api" } else { "www" },
            number % 100
        ));
    }
    let value = Some(Secret::new(format!("sk_live_madeUp{number:018}").as_bytes()));
    News::Leak(Box::new(Told { leak, value, story: None }))
}

/// Gives leaks up to a number; microseconds for each, what it takes to make them left out.
fn take(app: &mut App, clock: &mut Duration, number: &mut u64, until: u64, template: &Leak) -> f64 {
    let (mut spent, from) = (Duration::ZERO, *number);
    while *number < until {
        let news: Vec<News> = (*number..*number + BATCH).map(|number| leak(template, number)).collect();
        *number += BATCH;
        *clock += Duration::from_millis(100);
        let begun = processor();
        app.update(Message::News(news));
        app.update(Message::Tick(*clock));
        spent += processor().saturating_sub(begun);
    }
    spent.as_secs_f64() * 1e6 / (until - from) as f64
}

fn sightings(app: &mut App, clock: &mut Duration, number: u64) -> f64 {
    const MANY: u64 = 500_000;
    let mut spent = Duration::ZERO;
    for batch in 0..MANY / BATCH {
        let sighting = |at: u64| {
            News::Sighting(Sighting {
                leak: id(number - 1 - (at * 7919) % (HELD / 2)),
                time: Timestamp::from_nanos(1_795_324_990_000_000_000 + at as i64),
                client: Endpoint::v4([10, 1, 0, 1], 50_000),
                frame: at,
            })
        };
        let news: Vec<News> = (batch * BATCH..(batch + 1) * BATCH).map(sighting).collect();
        *clock += Duration::from_millis(100);
        let begun = processor();
        app.update(Message::News(news));
        app.update(Message::Tick(*clock));
        spent += processor().saturating_sub(begun);
    }
    spent.as_secs_f64() * 1e6 / MANY as f64
}

/// Presses keys, each a letter.
fn press(app: &mut App, keys: &str) {
    for letter in keys.chars() {
        let (code, modifiers) = match letter {
            '\n' => (KeyCode::Enter, KeyModifiers::NONE),
            '\u{1b}' => (KeyCode::Esc, KeyModifiers::NONE),
            '\u{15}' => (KeyCode::Char('u'), KeyModifiers::CONTROL),
            letter => (KeyCode::Char(letter), KeyModifiers::NONE),
        };
        black_box(app.update(Message::Key(KeyEvent::new(code, modifiers))));
    }
}

/// Lets lists be brought up to date.
fn settle(app: &mut App, clock: &mut Duration) {
    loop {
        *clock += Duration::from_millis(100);
        app.update(Message::Tick(*clock));
        if !app.is_busy() {
            return;
        }
    }
}

/// Microseconds of a drawing: the middle of many, and that which one in twenty exceeds.
fn drawn(app: &App, terminal: &mut Terminal<TestBackend>) -> (f64, f64) {
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let begun = processor();
            terminal.draw(|frame| draw(app, frame)).unwrap();
            processor().saturating_sub(begun).as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 19 / 20])
}

/// What a second of the load takes: leaks and sightings half and half, in ten batches, and thirty drawings.
fn second(app: &mut App, clock: &mut Duration, number: &mut u64, template: &Leak) -> f64 {
    const SECONDS: u64 = 10;
    let mut terminal = Terminal::new(TestBackend::new(160, 50)).unwrap();
    app.update(Message::Resize(Size::new(160, 50)));
    let mut spent = Duration::ZERO;
    for _ in 0..SECONDS * 10 {
        let half = RATE / 20;
        let mut news: Vec<News> = (*number..*number + half).map(|number| leak(template, number)).collect();
        *number += half;
        news.extend((0..half).map(|at| {
            let (time, client) = (Timestamp::from_nanos(at as i64), Endpoint::v4([10, 1, 0, 1], 50_000));
            News::Sighting(Sighting { leak: id(*number - 1 - at * 17), time, client, frame: at })
        }));
        *clock += Duration::from_millis(100);
        let begun = processor();
        app.update(Message::News(news));
        app.update(Message::Tick(*clock));
        for _ in 0..3 {
            terminal.draw(|frame| draw(app, frame)).unwrap();
        }
        spent += processor().saturating_sub(begun);
    }
    spent.as_secs_f64() / SECONDS as f64
}
