//! One entry of a baseline: which leaks it knows, why, who answers for it, until when.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::Timestamp;
use crate::model::event::Leak;
use crate::model::finding::{Finding, Once};
use crate::model::route;

/// What is known. Either the identity of one leak, or what all that are meant have in common: each part that is said must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The leak of this identity: 32 hexadecimal digits.
    pub id: Option<String>,
    /// Leaks of this rule.
    pub rule: Option<String>,
    /// Leaks at this host and path (a server's address and port, where it is no HTTP): `*` stands for any part of a segment, `**`
    /// for any number of segments.
    pub endpoint: Option<String>,
    /// Leaks in a field of this name.
    pub name: Option<String>,
    /// Leaks of the secret with this fingerprint: 64 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// Why they are known.
    pub reason: Option<String>,
    /// Who answers for them.
    pub owner: Option<String>,
    /// The last day (UTC) on which they are not told.
    pub expires: Option<Day>,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

/// What a screen can mute of a leak that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mute {
    /// All that its rule finds.
    Rule,
    /// All that leaks at its endpoint.
    Endpoint,
    /// Its secret, wherever it leaks; of a leak without one its rule at its endpoint.
    Secret,
    /// This leak alone.
    Leak,
}

/// What an entry is compared with.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    pub(super) id: Cow<'a, str>,
    rule: &'a str,
    endpoint: String,
    /// The endpoint as it was asked for.
    exact: String,
    name: Option<&'a str>,
    pub(super) fingerprint: Option<Cow<'a, str>>,
}

impl Day {
    /// Whether it is over at `now`.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        let end = self.0.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
        end.is_ok_and(|end| i128::from(now.as_nanos()) >= end.timestamp().as_nanosecond())
    }
}

impl FromStr for Day {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

/// `2026-12-31`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Entry {
    /// What knows a finding in every later capture: its rule, endpoint and fingerprint. What is told once for each host or
    /// path, whatever its value, is known there by its name.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        let sighting = Sighting::from(finding);
        let rule = Some(finding.rule.id.clone());
        match finding.once {
            Once::PerHost => Self {
                rule,
                endpoint: Some(route::host(finding) + "/**"),
                name: finding.name.clone(),
                ..Self::default()
            },
            Once::PerEndpoint => Self { rule, endpoint: Some(sighting.endpoint), ..Self::default() },
            Once::PerValue => Self {
                rule,
                endpoint: Some(sighting.endpoint),
                fingerprint: finding.secret.as_ref().map(|secret| secret.fingerprint.to_string()),
                ..Self::default()
            },
        }
    }

    /// What mutes that much of a leak.
    #[must_use]
    pub fn muting(what: Mute, leak: &Leak) -> Self {
        let rule = || Some(leak.rule.clone());
        let endpoint = || Some(Sighting::from(leak).endpoint);
        match (what, &leak.secret) {
            (Mute::Rule, _) => Self { rule: rule(), ..Self::default() },
            (Mute::Endpoint, _) => Self { endpoint: endpoint(), ..Self::default() },
            (Mute::Secret, Some(secret)) => {
                Self { fingerprint: Some(secret.fingerprint.clone()), ..Self::default() }
            }
            (Mute::Secret, None) => Self { rule: rule(), endpoint: endpoint(), ..Self::default() },
            (Mute::Leak, _) => Self { id: Some(leak.id.clone()), ..Self::default() },
        }
    }

    /// The same with what a person says of it: a reason, in which words like `owner:ann` and `until:2026-12-31` say who answers for it
    /// and its last day.
    ///
    /// # Errors
    /// What is wrong with a word.
    pub fn because(mut self, text: &str) -> Result<Self, &'static str> {
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            match word.split_once(':') {
                Some(("owner", owner)) if !owner.is_empty() => self.owner = Some(owner.to_owned()),
                Some(("until", day)) => {
                    self.expires = Some(day.parse().map_err(|()| "until: wants a day, like 2026-12-31")?);
                }
                _ => words.push(word),
            }
        }
        self.reason = Some(words.join(" ")).filter(|reason| !reason.is_empty());
        Ok(self)
    }

    /// Whether it has expired at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|day| day.is_over(now))
    }

    /// Whether it means a leak, expired or not.
    #[must_use]
    pub fn fits(&self, sighting: &Sighting<'_>) -> bool {
        if let Some(id) = &self.id {
            return *id == sighting.id;
        }
        let is_said = self.rule.is_some()
            || self.endpoint.is_some()
            || self.name.is_some()
            || self.fingerprint.is_some();
        is_said
            && self.rule.as_ref().is_none_or(|rule| rule == sighting.rule)
            && self
                .fingerprint
                .as_ref()
                .is_none_or(|print| sighting.fingerprint.as_ref() == Some(&Cow::Borrowed(print)))
            && self
                .name
                .as_ref()
                .is_none_or(|name| sighting.name.is_some_and(|own| own.eq_ignore_ascii_case(name)))
            && self.endpoint.as_ref().is_none_or(|pattern| {
                let pattern = pattern.to_lowercase();
                [&sighting.endpoint, &sighting.exact]
                    .into_iter()
                    .any(|text| is_match(&pattern, &text.to_lowercase()))
            })
    }

    /// Whether both mean the same leaks.
    pub(super) fn concerns_as(&self, other: &Self) -> bool {
        let all = |entry: &Self| {
            let Self { id, rule, endpoint, name, fingerprint, .. } = entry.clone();
            [id, rule, endpoint, name, fingerprint]
        };
        all(self) == all(other)
    }
}

/// What it knows, for messages: `stripe-secret-key at api.example.com/*`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |hash: &str| hash.chars().take(8).collect::<String>();
        if let Some(id) = &self.id {
            return write!(f, "leak {}…", short(id));
        }
        f.write_str(self.rule.as_deref().unwrap_or("all"))?;
        if let Some(name) = &self.name {
            write!(f, " named {name}")?;
        }
        if let Some(print) = &self.fingerprint {
            write!(f, " of the secret {}…", short(print))?;
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " at {endpoint}")?;
        }
        Ok(())
    }
}

/// Whether `text` is what `pattern` says: `*` any characters but `/`, `**` any characters; `/**` at the end also nothing.
fn is_match(pattern: &str, text: &str) -> bool {
    if let Some(base) = pattern.strip_suffix("/**")
        && is_match(base, text)
    {
        return true;
    }
    // Each `*` is tried as short as it goes, and the last one made longer where what follows does not fit.
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on, for the last `*` and the last `**`.
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) if pattern.get(p + 1) == Some(&b'*') => {
                p += 2;
                (double, single) = (Some((p, t)), None);
            }
            (Some(b'*'), _) => {
                p += 1;
                single = Some((p, t));
            }
            (Some(one), Some(other)) if one == other => (p, t) = (p + 1, t + 1),
            (None, None) => return true,
            _ => match (single, double) {
                (Some((back, from)), _) if text.get(from).is_some_and(|&byte| byte != b'/') => {
                    single = Some((back, from + 1));
                    (p, t) = (back, from + 1);
                }
                (_, Some((back, from))) if from < text.len() => {
                    (double, single) = (Some((back, from + 1)), None);
                    (p, t) = (back, from + 1);
                }
                _ => return false,
            },
        }
    }
}

impl<'a> From<&'a Finding> for Sighting<'a> {
    fn from(finding: &'a Finding) -> Self {
        let http = finding.http.as_ref();
        let (host, target) =
            (http.and_then(|http| http.host.as_deref()), http.and_then(|http| http.target.as_deref()));
        let server = finding.flow.server.to_string();
        Self {
            id: Cow::Owned(finding.id.to_string()),
            rule: &finding.rule.id,
            endpoint: route::endpoint(host, &server, target),
            exact: route::exact(host, &server, target),
            name: finding.name.as_deref(),
            fingerprint: finding.secret.as_ref().map(|secret| Cow::Owned(secret.fingerprint.to_string())),
        }
    }
}

impl<'a> From<&'a Leak> for Sighting<'a> {
    fn from(leak: &'a Leak) -> Self {
        let http = leak.http.as_ref();
        let (host, target) =
            (http.and_then(|http| http.host.as_deref()), http.and_then(|http| http.target.as_deref()));
        let server = leak.flow.server.to_string();
        Self {
            id: Cow::Borrowed(&leak.id),
            rule: &leak.rule,
            endpoint: route::endpoint(host, &server, target),
            exact: route::exact(host, &server, target),
            name: leak.name.as_deref(),
            fingerprint: leak.secret.as_ref().map(|secret| Cow::Borrowed(secret.fingerprint.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment() {
        for (pattern, text, fits) in [
            ("a.example/x", "a.example/x", true),
            ("a.example/x", "a.example/xy", false),
            ("a.example/*/keys", "a.example/v1/keys", true),
            ("a.example/*/keys", "a.example/v1/a/keys", false),
            ("a.example/*/keys", "a.example/*/keys", true),
            ("a.example/u*", "a.example/users", true),
            ("a.example/**", "a.example/x/y/z", true),
            ("a.example/**", "a.example", true),
            ("a.example/**", "a.example.org/x", false),
            ("**/keys", "a.example/v1/a/keys", true),
            ("**/k*s", "a.example/v1/keys", true),
            ("a.**/x/*/y", "a.example/x/1/x/2/y", true),
            ("*.example/**", "api.shop.example/x", true),
            ("*", "a.example/x", false),
            ("**", "a.example/x", true),
            ("", "a", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(is_match(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_day_is_over_at_its_midnight() {
        let day: Day = "2026-11-22".parse().unwrap();
        let moment = |text: &str| {
            Timestamp::from_nanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64)
        };
        assert!(!day.is_over(moment("2026-11-22T23:59:59.999999999Z")));
        assert!(day.is_over(moment("2026-11-23T00:00:00Z")));
        assert_eq!(day.to_string(), "2026-11-22");
        assert!("22.11.2026".parse::<Day>().is_err() && "2026-13-01".parse::<Day>().is_err());
        assert!(!"9999-12-31".parse::<Day>().unwrap().is_over(Timestamp::from_nanos(i64::MAX)));
    }
}
