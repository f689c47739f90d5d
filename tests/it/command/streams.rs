//! Captures that come through a pipe as they are made: what leaks is told within a second, though the pipe stays open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leaktap::model::Timestamp;
use leaktap::source::memory::write::{capture, pcapng};

use super::*;

struct Piped {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Piped {
    fn new(room: &Room, arguments: &[&str]) -> Self {
        let mut command = room.process(&[&["scan", "-", "--format", "ndjson"], arguments].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (give, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| give.send(line)));
        Self { input: child.stdin.take(), child, lines }
    }

    fn write(&mut self, bytes: &[u8]) -> Instant {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
        Instant::now()
    }

    /// The next event, and how long after `since` it came.
    #[track_caller]
    fn event(&self, since: Instant) -> (Value, Duration) {
        let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("no event came");
        (serde_json::from_str(&line).unwrap(), since.elapsed())
    }

    /// Closes the pipe; what was still told.
    fn end(mut self) -> Vec<Value> {
        self.input = None;
        let rest = self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        rest
    }
}

/// The frames, the first of them captured so long ago.
fn aged(frames: &[Kept], age: Duration) -> Vec<Kept> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age;
    let first = frames[0].time;
    let at = |time: Timestamp| Timestamp::default().after(now + time.since(first));
    frames.iter().map(|frame| Kept { time: at(frame.time), ..frame.clone() }).collect()
}

/// The program has been seen to work: a first exchange was told.
fn warm(piped: &mut Piped, write: Write, file: &[Kept], first: usize) -> Vec<u8> {
    let whole = write(file);
    let head = write(&file[..first]).len();
    let since = piped.write(&whole[..head]);
    assert_eq!(piped.event(since).0["type"], "leak");
    whole[head..].to_vec()
}

type Write = fn(&[Kept]) -> Vec<u8>;

#[test]
fn a_leak_is_told_within_a_second_of_its_answer() {
    for write in [capture as Write, pcapng] {
        let room = Room::new();
        let mut piped = Piped::new(&room, &["--severity", "high"]);
        let frames = aged(&two_leaks(), Duration::ZERO);
        let rest = warm(&mut piped, write, &frames, leaking().len());
        let since = piped.write(&rest);
        let (leak, after) = piped.event(since);
        assert_eq!((&leak["rule"], &leak["http"]["status"]), (&"stripe-secret-key".into(), &200.into()));
        assert!(after < Duration::from_secs(1), "{after:?}");
        piped.end();
    }
}

#[test]
fn a_request_without_an_answer_is_told_within_a_second_though_nothing_more_comes() {
    for (write, age) in [
        (capture as Write, Duration::ZERO),
        (pcapng, Duration::ZERO),
        // A file that comes slowly, or a clock that is wrong.
        (capture, Duration::from_secs(90 * 86_400)),
    ] {
        let room = Room::new();
        let mut piped = Piped::new(&room, &["--severity", "high"]);
        let asked = exchange(51_001, OTHER).frames();
        let frames = aged(&[leaking(), asked[..4].to_vec()].concat(), age);
        let rest = warm(&mut piped, write, &frames, leaking().len());
        let since = piped.write(&rest);
        let (leak, after) = piped.event(since);
        assert!(leak["http"]["status"].is_null(), "{leak}");
        assert!(after < Duration::from_secs(1), "{after:?}");
        piped.end();
    }
}

#[test]
fn records_that_come_byte_by_byte_are_whole_in_the_end() {
    // Blocks of no interest among them, which are passed over as they come.
    let note = [0x0bad_u32, 40, 1, 2, 3, 4, 5, 6, 7, 40].map(u32::to_le_bytes).concat();
    let packed = pcapng(&leaking());
    let (head, rest) = packed.split_at(60);
    for bytes in [capture(&leaking()), [head, &note, rest].concat()] {
        let room = Room::new();
        let mut piped = Piped::new(&room, &["--severity", "high"]);
        // Slower than the program waits, in the middle of a record.
        let (first, last) = bytes.split_at(bytes.len() - 400);
        for part in first.chunks(97) {
            piped.write(part);
        }
        assert!(piped.lines.recv_timeout(Duration::from_millis(200)).is_err());
        for part in last.chunks(7) {
            piped.write(part);
        }
        let events = piped.end();
        assert_eq!(of_type(&events, "leak").len(), 1, "{events:?}");
        assert_eq!(events.last().unwrap()["frames"], leaking().len());
    }
}
