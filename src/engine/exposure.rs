//! How a value leaks and how bad that is: what follows from surface, direction, transport and circumstance.

use crate::model::message::Origin;
use crate::model::{Exposure, Severity, Surface};

/// What decides the exposures of a finding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstance<'a> {
    pub(super) surface: Surface,
    pub(super) name: Option<&'a str>,
    pub(super) origin: Origin,
    pub(super) encrypted: bool,
    /// It is of the ordinary kind that logs in: a session cookie.
    pub(super) session: bool,
    pub(super) reflected: bool,
    pub(super) in_traceback: bool,
}

/// The exposures of a secret, in the contract's order. They add up: a key of the request that a debug page shows is
/// `response`, `reflected`, `traceback` and `cleartext`. None: the wire carries it encrypted, where it belongs.
pub(super) fn of_secret(seen: Circumstance<'_>) -> Vec<Exposure> {
    let is_url_header = seen.name.is_some_and(|name| {
        ["referer", "location", "content-location"].iter().any(|header| name.eq_ignore_ascii_case(header))
    });
    let in_url = match seen.surface {
        Surface::RequestPath => true,
        Surface::RequestHeader | Surface::ResponseHeader => is_url_header,
        _ => false,
    };
    let in_cookie = matches!(seen.surface, Surface::RequestCookie | Surface::ResponseCookie);
    // Over TLS that is how a session begins.
    let handed_out = seen.surface.is_response()
        && !(seen.encrypted && seen.session && seen.surface == Surface::ResponseCookie);
    let opened = matches!(seen.origin, Origin::Layer("session" | "jwt" | "json" | "base64"));
    [
        (Exposure::QueryString, seen.surface == Surface::RequestQuery),
        (Exposure::Url, in_url),
        (Exposure::Cleartext, !seen.encrypted),
        (Exposure::Response, handed_out),
        (Exposure::Reflected, seen.reflected),
        (Exposure::Traceback, seen.in_traceback),
        (Exposure::Log, seen.surface == Surface::Log),
        (Exposure::Stored, seen.surface == Surface::Command),
        (Exposure::ClientSession, opened && in_cookie || seen.origin == Origin::Layer("jwt")),
    ]
    .into_iter()
    .filter_map(|(exposure, holds)| holds.then_some(exposure))
    .collect()
}

/// The exposures of personal data: over TLS it leaks only by where it stands.
pub(super) fn of_personal(surface: Surface, encrypted: bool) -> Vec<Exposure> {
    let by_place = match surface {
        Surface::RequestQuery => Some(Exposure::QueryString),
        Surface::RequestPath => Some(Exposure::Url),
        Surface::Log | Surface::Command => None,
        _ if encrypted => return Vec::new(),
        _ => None,
    };
    by_place.filter(|_| encrypted).into_iter().chain([Exposure::Pii]).collect()
}

/// The severity in these circumstances: one level milder in all on the loopback or where the server refused, and of a
/// secret that can be used (medium or worse) never below medium. Nothing becomes `info`: it would no longer be told.
pub(super) fn severity(by_rule: Severity, is_secret: bool, loopback: bool, refused: bool) -> Severity {
    if !loopback && !refused {
        return by_rule;
    }
    let least = if is_secret { Severity::Medium } else { Severity::Low };
    if by_rule <= least { by_rule } else { by_rule.milder() }
}

/// Whether a status says that a credential was not accepted (RFC 9110 sections 15.5.2, 15.5.4, 15.5.8).
pub(super) fn is_refusal(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403 | 407))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Circumstance<'static> = Circumstance {
        surface: Surface::RequestQuery,
        name: None,
        origin: Origin::Plain,
        encrypted: false,
        session: false,
        reflected: false,
        in_traceback: false,
    };

    #[test]
    fn exposures_follow_from_where_it_stands() {
        use Exposure::{Cleartext, ClientSession, QueryString, Reflected, Response, Traceback, Url};
        for (seen, exposures) in [
            (PLAIN, vec![QueryString, Cleartext]),
            (Circumstance { encrypted: true, ..PLAIN }, vec![QueryString]),
            (Circumstance { surface: Surface::RequestHeader, encrypted: true, ..PLAIN }, vec![]),
            (Circumstance { surface: Surface::ResponseCookie, encrypted: true, ..PLAIN }, vec![Response]),
            (
                Circumstance { surface: Surface::ResponseCookie, encrypted: true, session: true, ..PLAIN },
                vec![],
            ),
            (
                Circumstance { surface: Surface::ResponseCookie, session: true, ..PLAIN },
                vec![Cleartext, Response],
            ),
            (
                Circumstance { surface: Surface::RequestHeader, name: Some("referer"), ..PLAIN },
                vec![Url, Cleartext],
            ),
            (
                Circumstance { surface: Surface::RequestHeader, name: Some("X-Api-Key"), ..PLAIN },
                vec![Cleartext],
            ),
            (
                Circumstance { surface: Surface::ResponseHeader, name: Some("Location"), ..PLAIN },
                vec![Url, Cleartext, Response],
            ),
            (
                Circumstance { surface: Surface::ResponseBody, reflected: true, in_traceback: true, ..PLAIN },
                vec![Cleartext, Response, Reflected, Traceback],
            ),
            (
                Circumstance { surface: Surface::RequestCookie, origin: Origin::Layer("session"), ..PLAIN },
                vec![Cleartext, ClientSession],
            ),
            (Circumstance { surface: Surface::RequestPath, ..PLAIN }, vec![Url, Cleartext]),
        ] {
            assert_eq!(of_secret(seen), exposures, "{seen:?}");
        }
    }

    #[test]
    fn circumstances_lower_by_one_level_in_all() {
        use Severity::{Critical, High, Info, Low, Medium};
        for (by_rule, is_secret, loopback, refused, severity_now) in [
            (Critical, true, false, false, Critical),
            (Critical, true, true, false, High),
            (Critical, true, true, true, High),
            (High, true, false, true, Medium),
            (Medium, true, true, true, Medium),
            (Low, true, true, false, Low),
            (Medium, false, true, false, Low),
            (Low, false, true, false, Low),
            (Info, false, true, false, Info),
        ] {
            assert_eq!(
                severity(by_rule, is_secret, loopback, refused),
                severity_now,
                "{by_rule:?} {loopback} {refused}"
            );
        }
    }
}
