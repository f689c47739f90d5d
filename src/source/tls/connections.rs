//! Records to connections: numbered, each told by one of its ends, closed when session or process end.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::record::{Record, What};
use crate::model::{Endpoint, FlowKey, Side, Transport};

/// Connections at once; of more, those silent for longest are closed.
const MOST: usize = 65_536;
/// Of a connection that one end told, the other end is not told for so long after.
const QUIET: u64 = Duration::from_secs(10).as_nanos() as u64;

/// What is to be told of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// These bytes of the chunk.
    Data(Range<usize>),
    Missing(u64),
    End,
}

/// The next to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) connection: u64,
    pub(super) time: u64,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) sent: bool,
    pub(super) told: Told,
}

/// The connections there are.
#[derive(Default)]
pub(super) struct Connections {
    /// By process and session.
    open: HashMap<u32, HashMap<u64, Open, ahash::RandomState>, ahash::RandomState>,
    count: usize,
    /// Who tells the flow of a network namespace: a process at which side of it, when it was last heard of.
    flows: HashMap<(u32, FlowKey), Teller, ahash::RandomState>,
    serial: u64,
    out: VecDeque<Piece>,
    name: String,
}

struct Open {
    number: u64,
    born: u64,
    ends: Option<(u32, FlowKey, Side)>,
    local: Endpoint,
    remote: Endpoint,
    uid: u32,
    last: u64,
    /// Something of it was told.
    is_told: bool,
}

struct Teller {
    number: u64,
    side: Side,
    last: u64,
}

impl Connections {
    pub(super) fn next(&mut self) -> Option<Piece> {
        self.out.pop_front()
    }

    /// The name of the process of what was taken last.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes a record whose bytes begin at `start` of the chunk.
    pub(super) fn take(&mut self, record: &Record<'_>, start: usize) {
        match record.what {
            What::Data => self.data(record, start),
            What::End => self.end(record.pid, record.session, record.time, record.missing),
            What::Exit | What::Exec => {
                let sessions = self.open.remove(&record.pid).unwrap_or_default();
                let mut sessions: Vec<Open> = sessions.into_values().collect();
                sessions.sort_unstable_by_key(|open| open.number);
                for open in sessions {
                    self.close(record.pid, open, record.time, 0);
                }
            }
        }
    }

    fn data(&mut self, record: &Record<'_>, start: usize) {
        let sessions = self.open.entry(record.pid).or_default();
        if sessions.get(&record.session).is_some_and(|open| open.born != record.born) {
            // The session is another connection's now.
            self.end(record.pid, record.session, record.time, 0);
        }
        if self.count >= MOST {
            self.make_room(record.time);
        }
        if record.name != self.name.as_bytes() {
            self.name = String::from_utf8_lossy(record.name).into_owned();
        }
        let sessions = self.open.entry(record.pid).or_default();
        let open = sessions.entry(record.session).or_insert_with(|| {
            self.serial += 1;
            self.count += 1;
            Open {
                number: self.serial,
                born: record.born,
                ends: None,
                local: Endpoint::of_process(record.pid),
                remote: Endpoint::of_process(0),
                uid: record.uid,
                last: record.time,
                is_told: false,
            }
        });
        open.last = record.time;
        if let Some((local, remote, namespace)) = record.ends {
            let (key, side) = FlowKey::new(local, remote, Transport::Tcp);
            (open.local, open.remote) = (local, remote);
            open.ends = Some((namespace, key, side));
        }
        if let Some((namespace, key, side)) = open.ends {
            let mine = Teller { number: open.number, side, last: record.time };
            let teller = self.flows.entry((namespace, key)).or_insert_with(|| Teller { ..mine });
            if teller.number != open.number
                && teller.side != side
                && record.time.saturating_sub(teller.last) < QUIET
            {
                // Both ends are on this machine: the one told first tells it all.
                if std::mem::take(&mut open.is_told) {
                    self.out.push_back(piece(record.pid, open, record.time, Told::End));
                }
                return;
            }
            *teller = mine;
        }
        open.is_told = true;
        let pieces = [
            (record.missing > 0).then_some(Told::Missing(record.missing)),
            (!record.bytes.is_empty()).then(|| Told::Data(start..start + record.bytes.len())),
        ];
        for told in pieces.into_iter().flatten() {
            self.out.push_back(Piece { sent: record.sent, ..piece(record.pid, open, record.time, told) });
        }
    }

    fn end(&mut self, pid: u32, session: u64, time: u64, missing: u64) {
        let Some(sessions) = self.open.get_mut(&pid) else { return };
        let Some(open) = sessions.remove(&session) else { return };
        if sessions.is_empty() {
            self.open.remove(&pid);
        }
        self.close(pid, open, time, missing);
    }

    fn close(&mut self, pid: u32, open: Open, time: u64, missing: u64) {
        self.count -= 1;
        if open.is_told {
            if missing > 0 {
                self.out.push_back(piece(pid, &open, time, Told::Missing(missing)));
            }
            self.out.push_back(piece(pid, &open, time, Told::End));
        }
        self.forget(time);
    }

    /// Flows that nobody told of for long are forgotten, now and then.
    fn forget(&mut self, time: u64) {
        if self.flows.len() > 2 * self.count + 1024 {
            let open: std::collections::HashSet<u64> =
                self.open.values().flat_map(HashMap::values).map(|open| open.number).collect();
            self.flows.retain(|_, teller| {
                open.contains(&teller.number) || time.saturating_sub(teller.last) < QUIET
            });
        }
    }

    /// Closes one in eight, those silent for longest.
    fn make_room(&mut self, time: u64) {
        let of = |(&pid, sessions): (&u32, &HashMap<u64, Open, _>)| {
            sessions.iter().map(|(&session, open)| (open.last, pid, session)).collect::<Vec<_>>()
        };
        let mut all: Vec<(u64, u32, u64)> = self.open.iter().flat_map(of).collect();
        all.sort_unstable();
        for (_, pid, session) in all.into_iter().take(MOST / 8) {
            self.end(pid, session, time, 0);
        }
    }
}

fn piece(pid: u32, open: &Open, time: u64, told: Told) -> Piece {
    let Open { number: connection, local, remote, uid, .. } = *open;
    Piece { connection, time, local, remote, pid, uid, sent: true, told }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> (Endpoint, Endpoint, u32) {
        (Endpoint::v4([10, 0, 0, 1], 51_000), Endpoint::v4([10, 0, 0, 2], 443), 7)
    }

    fn server() -> (Endpoint, Endpoint, u32) {
        let (local, remote, namespace) = client();
        (remote, local, namespace)
    }

    const BASE: Record<'static> = Record {
        time: 1,
        session: 0x1000,
        born: 1,
        missing: 0,
        pid: 42,
        uid: 0,
        what: What::Data,
        sent: true,
        ends: None,
        name: b"curl",
        bytes: b"abc",
    };

    /// What is told: connection and `data`, `missing`, `end`.
    fn told(connections: &mut Connections, records: &[Record<'_>]) -> Vec<String> {
        let mut all = Vec::new();
        for record in records {
            connections.take(record, 0);
            while let Some(piece) = connections.next() {
                let what = match piece.told {
                    Told::Data(range) => format!("{}", range.len()),
                    Told::Missing(bytes) => format!("missing {bytes}"),
                    Told::End => "end".to_owned(),
                };
                all.push(format!("{} {what} {}", piece.connection, piece.local));
            }
        }
        all
    }

    #[test]
    fn records_are_told_of_their_connections() {
        let ends = Some(client());
        let known = Record { ends, ..BASE };
        for (why, records, expected) in [
            (
                "one",
                vec![known, Record { sent: false, ..known }],
                vec!["1 3 10.0.0.1:51000", "1 3 10.0.0.1:51000"],
            ),
            ("addresses known later", vec![BASE, known], vec!["1 3 [100::2a]:0", "1 3 10.0.0.1:51000"]),
            (
                "what is missing comes first",
                vec![Record { missing: 9, ..known }],
                vec!["1 missing 9 10.0.0.1:51000", "1 3 10.0.0.1:51000"],
            ),
            (
                "a session that ends",
                vec![known, Record { what: What::End, missing: 2, ..known }, Record { born: 5, ..BASE }],
                vec![
                    "1 3 10.0.0.1:51000",
                    "1 missing 2 10.0.0.1:51000",
                    "1 end 10.0.0.1:51000",
                    "2 3 [100::2a]:0",
                ],
            ),
            (
                "a session used again",
                vec![known, Record { born: 5, ..known }],
                vec!["1 3 10.0.0.1:51000", "1 end 10.0.0.1:51000", "2 3 10.0.0.1:51000"],
            ),
            (
                "a process that ends",
                vec![known, Record { session: 0x2000, ..BASE }, Record { what: What::Exit, ..BASE }],
                vec!["1 3 10.0.0.1:51000", "2 3 [100::2a]:0", "1 end 10.0.0.1:51000", "2 end [100::2a]:0"],
            ),
            (
                "both ends here: the first tells it",
                vec![
                    known,
                    Record { pid: 43, ends: Some(server()), sent: false, ..BASE },
                    Record { pid: 43, what: What::Exit, ..BASE },
                    known,
                ],
                vec!["1 3 10.0.0.1:51000", "1 3 10.0.0.1:51000"],
            ),
            (
                "also when it is over",
                vec![
                    known,
                    Record { what: What::Exit, ..BASE },
                    Record { pid: 43, ends: Some(server()), time: QUIET, ..BASE },
                    Record { pid: 43, ends: Some(server()), time: QUIET + 1, ..BASE },
                ],
                vec!["1 3 10.0.0.1:51000", "1 end 10.0.0.1:51000", "2 3 10.0.0.2:443"],
            ),
            (
                "an end that turns out to be the other of what is told",
                vec![known, Record { pid: 43, ..BASE }, Record { pid: 43, ends: Some(server()), ..BASE }],
                vec!["1 3 10.0.0.1:51000", "2 3 [100::2b]:0", "2 end [100::2b]:0"],
            ),
            (
                "the same addresses in another namespace",
                vec![known, Record { pid: 43, ends: Some((server().0, server().1, 8)), ..BASE }],
                vec!["1 3 10.0.0.1:51000", "2 3 10.0.0.2:443"],
            ),
        ] {
            let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            if why.starts_with("an end that turns") {
                // It is closed by the addresses it has by then.
                expected[2] = "2 end 10.0.0.2:443".to_owned();
            }
            assert_eq!(told(&mut Connections::default(), &records), expected, "{why}");
        }
    }

    #[test]
    fn there_are_never_too_many() {
        let mut connections = Connections::default();
        for session in 0..2 * MOST as u64 {
            let local = Endpoint::v4([10, 0, (session >> 8) as u8, session as u8], 5);
            let ends = Some((local, client().1, (session >> 16) as u32));
            let time = session * 1_000_000_000;
            told(&mut connections, &[Record { session, time, ends, ..BASE }]);
        }
        assert!(connections.count <= MOST && connections.count > MOST / 2, "{}", connections.count);
        assert!(connections.flows.len() <= 2 * MOST + 1024 + MOST, "{}", connections.flows.len());
        let exit = Record { what: What::Exit, time: u64::MAX, ..BASE };
        told(&mut connections, &[exit]);
        assert_eq!((connections.count, connections.open.len()), (0, 0));
        assert!(connections.flows.len() <= 1024, "{}", connections.flows.len());
    }
}
