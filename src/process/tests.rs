//! Connections of this process and its children, who is found at their ends, and whom a selection admits.

use std::net::{TcpListener, TcpStream};

use super::cgroup::place;
use super::*;
use crate::model::Endpoint;

fn key(client: &TcpStream) -> (FlowKey, Side) {
    let near: Endpoint = client.local_addr().unwrap().into();
    FlowKey::new(near, client.peer_addr().unwrap().into(), Transport::Tcp)
}

/// Attribution for which this process is nobody special.
fn attribution() -> Attribution {
    Attribution { own: 0, ..Attribution::open(Selection::default()).unwrap() }
}

#[test]
fn both_ends_of_a_connection_have_their_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_server, _) = listener.accept().unwrap();
    let (key, side) = key(&client);
    let attribution = attribution();
    attribution.observe(&[(key, true)]);
    let parties = attribution.of(key, side);
    let told = parties.told(End::Client).unwrap();
    assert_eq!((told.pid, told.end), (std::process::id(), Some(End::Client)));
    assert_eq!(told.peer.as_ref().unwrap().end, Some(End::Server));
    assert_eq!(parties.told(End::Server).unwrap().end, Some(End::Server));
    let own = Attribution::open(Selection::default()).unwrap().of(key, side);
    assert_eq!(own.told(End::Client), None, "leaktap itself leaks nothing");
}

#[test]
fn who_was_there_when_it_began_is_known_when_it_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (key, side) = key(&client);
    let early = attribution();
    early.observe(&[(key, true), (key, false)]);
    drop((client, server, listener));
    assert_eq!(early.of(key, side).told(End::Client).unwrap().pid, std::process::id());
    // Nobody has it any more, and whoever asks for the first time hears so.
    assert_eq!(attribution().of(key, side).told(End::Client), None);
}

#[test]
fn before_a_connection_is_taken_it_is_of_who_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (key, side) = key(&client);
    let attribution = attribution();
    attribution.observe(&[(key, true)]);
    assert_eq!(attribution.of(key, side).told(End::Server).unwrap().end, Some(End::Server));
}

#[test]
fn the_far_end_of_a_connection_is_not_of_who_listens_on_the_same_port_here() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (key, side) =
        FlowKey::new(Endpoint::v4([127, 0, 0, 1], 9), Endpoint::v4([192, 0, 2, 80], port), Transport::Tcp);
    assert_eq!(attribution().of(key, side).told(End::Server), None);
}

#[test]
fn who_connected_stays_known_when_the_server_has_the_connection_seconds_later() {
    let attribution = attribution();
    let mut state = attribution.state.lock().unwrap();
    let (near, far) = (Endpoint::v4([127, 0, 0, 1], 51_000), Endpoint::v4([127, 0, 0, 1], 8080));
    let (key, side) = FlowKey::new(near, far, Transport::Tcp);
    let mut tell = |local, remote, listens, name: &str| {
        let name = name.to_owned();
        state.learn(Connection { local, remote, listens, pid: u32::MAX, uid: 0, namespace: 0, name });
        // As if that were long ago.
        let known = state.flows.get_mut(&key).unwrap();
        known.since = Instant::now().checked_sub(2 * ANEW).unwrap();
        let end = |owner: &Owner| owner.identity().map(|identity| identity.name.clone());
        let (low, high) = (end(&known.low), end(&known.high));
        if side == Side::Low { (low, high) } else { (high, low) }
    };
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(tell(near, far, false, "curl"), (name("curl"), None));
    assert_eq!(tell(far, near, true, "parent"), (name("curl"), name("parent")));
    assert_eq!(tell(far, near, false, "worker"), (name("curl"), name("worker")));
    // Another connection of the same ends.
    assert_eq!(tell(near, far, false, "wget"), (name("wget"), name("worker")));
    assert_eq!(tell(far, near, true, "other"), (name("wget"), name("other")));
}

#[test]
fn what_is_remembered_is_limited() {
    let attribution = attribution();
    let mut state = attribution.state.lock().unwrap();
    for number in 0..FLOWS as u32 + 100 {
        let end = Endpoint::v4(number.to_be_bytes(), 1);
        let key = FlowKey::new(end, Endpoint::v4([10, 0, 0, 1], 80), Transport::Tcp).0;
        state.insert(key, Known { low: Owner::Nobody, high: Owner::Nobody, since: Instant::now() });
    }
    assert_eq!((state.flows.len(), state.order.len()), (FLOWS, FLOWS));
}

#[test]
fn a_selection_admits_who_is_meant() {
    let docker = format!("/docker/{}", "4f".repeat(32));
    let identity = |pid, path: &str| {
        Some(Arc::new(Identity {
            pid,
            name: "app".into(),
            command: None,
            uid: 0,
            user: None,
            place: place(path),
            ancestors: vec![40, 1],
        }))
    };
    let parties = Parties { client: identity(42, "/a.slice/b.service"), server: identity(50, &docker) };
    let pids = |pid| Selection { pids: vec![pid], ..Selection::default() };
    let container = |id: &str| Selection { containers: vec![id.into()], ..Selection::default() };
    let cgroup = |path: &str| Selection { cgroups: vec![path.into()], ..Selection::default() };
    for (selection, admitted) in [
        (Selection::default(), true),
        (pids(42), true),
        (pids(40), true),
        (pids(50), true),
        (pids(43), false),
        (container("4f4f4f"), true),
        (container("4e"), false),
        (container(""), false),
        (cgroup("/a.slice"), true),
        (cgroup("/sys/fs/cgroup/a.slice/b.service/"), true),
        (cgroup("a.slice/b"), false),
        (cgroup("/c.slice"), false),
    ] {
        assert_eq!(selection.admits(&parties), admitted, "{selection:?}");
    }
    assert!(!pids(42).admits(&Parties::default()));
}
