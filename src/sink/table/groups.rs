//! Leaks gathered by secret: what the table shows, and no more of it than has room.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::super::say;
use crate::model::event::{End, Explain, Leak, Process, SecretText};
use crate::model::{Confidence, Endpoint, Exposure, Severity, Surface};

/// Characters kept of one text.
const TEXT: usize = 4096;

/// One secret with every place it was seen at; or one kind of traceback, misconfiguration … of one server.
pub(super) struct Group {
    /// The worst of its places.
    pub(super) severity: Severity,
    /// The surest of its places.
    pub(super) confidence: Confidence,
    /// What it is, by the worst place.
    pub(super) title: String,
    /// Whose find it is, by the worst place.
    pub(super) rule: String,
    pub(super) secret: Option<Shown>,
    pub(super) exposures: BTreeSet<Exposure>,
    pub(super) advice: Vec<String>,
    /// Why it was told, where that was asked for.
    pub(super) why: Vec<String>,
    pub(super) places: Vec<Place>,
}

/// What may be shown of a secret.
pub(super) struct Shown {
    pub(super) shown: String,
    length: usize,
    base64: bool,
    revealed: bool,
}

/// One leak.
pub(super) struct Place {
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) surface: Surface,
    pub(super) name: Option<String>,
    /// `GET example.com/path`
    pub(super) request: Option<String>,
    /// `200`, `no answer seen`
    pub(super) status: Option<String>,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) protocol: String,
    /// Who sent it; who got it.
    pub(super) processes: Vec<Vec<String>>,
    source: String,
    frames: [u64; 2],
    /// Only where it tells more than the other texts.
    pub(super) evidence: Option<String>,
    pub(super) times: u64,
}

/// Groups, up to a number of leaks.
pub(super) struct Groups {
    groups: Vec<Group>,
    keys: HashMap<Key, usize>,
    ids: HashMap<String, (usize, usize)>,
    limit: usize,
    overflow: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Secret(String),
    Rule(String, Endpoint),
}

impl Groups {
    pub(super) fn new(limit: usize) -> Self {
        Self { groups: Vec::new(), keys: HashMap::new(), ids: HashMap::new(), limit, overflow: 0 }
    }

    pub(super) fn add(&mut self, leak: &Leak) {
        if self.ids.contains_key(&leak.id) {
            return self.again(&leak.id, 1);
        }
        if self.ids.len() >= self.limit {
            self.overflow += 1;
            return;
        }
        let key = match &leak.secret {
            Some(secret) => Key::Secret(secret.fingerprint.clone()),
            None => Key::Rule(leak.rule.clone(), leak.flow.server),
        };
        let index = *self.keys.entry(key).or_insert(self.groups.len());
        if index == self.groups.len() {
            self.groups.push(Group::new(leak));
        }
        if let Some(group) = self.groups.get_mut(index) {
            self.ids.insert(leak.id.clone(), (index, group.places.len()));
            group.add(leak);
        }
    }

    /// Further sightings; of a leak that was not kept they are dropped.
    pub(super) fn again(&mut self, id: &str, times: u64) {
        let place = self.ids.get(id).and_then(|&(group, place)| {
            self.groups.get_mut(group).and_then(|group| group.places.get_mut(place))
        });
        if let Some(place) = place {
            place.times = place.times.saturating_add(times);
        }
    }

    /// Leaks that were not kept.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The worst first; secrets before what is none; else as they were found.
    pub(super) fn worst_first(self) -> Vec<Group> {
        let mut groups = self.groups;
        groups.sort_by_key(|group| Reverse((group.severity, group.secret.is_some(), group.confidence)));
        for group in &mut groups {
            group.places.sort_by_key(|place| Reverse(place.severity));
        }
        groups
    }
}

impl Group {
    fn new(leak: &Leak) -> Self {
        Self {
            severity: leak.severity,
            confidence: leak.confidence,
            title: cut(&leak.title),
            rule: cut(&leak.rule),
            secret: leak.secret.as_ref().map(Shown::new),
            exposures: BTreeSet::new(),
            advice: Vec::new(),
            why: Vec::new(),
            places: Vec::new(),
        }
    }

    fn add(&mut self, leak: &Leak) {
        if leak.severity > self.severity {
            self.severity = leak.severity;
            self.title = cut(&leak.title);
            self.rule = cut(&leak.rule);
        }
        self.confidence = self.confidence.max(leak.confidence);
        self.exposures.extend(&leak.exposures);
        if let Some(advice) = &leak.advice
            && self.advice.len() < 3
            && !self.advice.contains(advice)
        {
            self.advice.push(cut(advice));
        }
        for reason in leak.explain.iter().flat_map(Explain::texts) {
            if self.why.len() < 8 && !self.why.contains(&reason) {
                self.why.push(cut(&reason));
            }
        }
        self.places.push(Place::new(leak));
    }
}

impl Shown {
    fn new(secret: &SecretText) -> Self {
        Self {
            shown: cut(secret.value.as_ref().unwrap_or(&secret.redacted)),
            length: secret.length,
            base64: secret.encoding.is_some(),
            revealed: secret.value.is_some(),
        }
    }

    /// What the text shown does not say itself.
    pub(super) fn remark(&self) -> String {
        if self.base64 {
            format!("base64 of {} bytes", self.length)
        } else if self.revealed {
            String::new()
        } else {
            format!("{} characters", self.length)
        }
    }
}

impl Place {
    fn new(leak: &Leak) -> Self {
        let http = leak.http.as_ref();
        // A target shows what its path and query hold; a header's place says it all.
        let told = leak.secret.is_some()
            && matches!(
                leak.surface,
                Surface::RequestPath
                    | Surface::RequestQuery
                    | Surface::RequestHeader
                    | Surface::RequestCookie
            );
        let evidence = !leak.evidence.is_empty() && (http.is_none() || !told);
        Self {
            severity: leak.severity,
            title: cut(&leak.title),
            surface: leak.surface,
            name: leak.name.as_deref().map(cut),
            request: say::request(leak).as_deref().map(cut),
            status: http
                .map(|http| http.status.map_or("no answer seen".to_owned(), |status| status.to_string())),
            client: leak.flow.client,
            server: leak.flow.server,
            protocol: cut(&leak.flow.protocol),
            processes: leak
                .process
                .iter()
                .flat_map(|process| {
                    let other = process.peer.as_deref().filter(|peer| peer.pid != process.pid);
                    [Some(process), other]
                })
                .flatten()
                .map(who)
                .collect(),
            source: cut(&leak.source),
            frames: leak.frames,
            evidence: evidence.then(|| cut(&leak.evidence)),
            times: 1,
        }
    }

    /// `frames 17-21 of flask.pcap`
    pub(super) fn frames(&self) -> String {
        say::frames(self.frames, &self.source)
    }
}

/// `python3 (4242)`, its user, where it runs, its command line.
fn who(process: &Process) -> Vec<String> {
    let name = match process.end {
        _ if process.peer.as_ref().is_some_and(|peer| peer.pid == process.pid) => {
            format!("both ends {} ({})", process.name, process.pid)
        }
        Some(End::Client) => format!("client {} ({})", process.name, process.pid),
        Some(End::Server) => format!("server {} ({})", process.name, process.pid),
        None => format!("{} ({})", process.name, process.pid),
    };
    let user = process.user.as_ref().map(|user| format!("user {user}"));
    let short = |id: &str| match (id.len(), id.get(..12)) {
        (64, Some(start)) => start.to_owned(),
        _ => id.to_owned(),
    };
    let container = process.container.as_deref().map(|id| {
        let runtime = process.runtime.as_deref().unwrap_or("container");
        format!("{runtime} {}", short(id))
    });
    let pod = process.pod.as_ref().map(|pod| format!("pod {pod}"));
    let parts = [Some(name), user, container, pod, process.unit.clone(), process.command.clone()];
    parts.into_iter().flatten().map(|part| cut(&part)).collect()
}

fn cut(text: &str) -> String {
    text.char_indices().nth(TEXT).map_or(text, |(end, _)| text.get(..end).unwrap_or_default()).to_owned()
}
