//! Where an API takes a call: its host and path, with what differs from call to call left out.

use super::finding::Finding;
use super::redact::HIDDEN;

/// The path of a request target, with a `*` for what differs from call to call: segments with digits, and those that are masked.
#[must_use]
pub fn path(target: &str) -> String {
    let varies =
        |segment: &str| segment.contains(HIDDEN) || segment.bytes().any(|byte| byte.is_ascii_digit());
    let segments = plain_path(target).split('/').map(|segment| if varies(segment) { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The endpoint of a leak: `api.example.com/v1/users/*`; `10.0.0.2:5432` where it is no HTTP.
#[must_use]
pub fn endpoint(host: Option<&str>, server: &str, target: Option<&str>) -> String {
    join(host, server, &path(target.unwrap_or_default()))
}

/// The same with the path as it was asked for, as far as it may be shown.
#[must_use]
pub fn exact(host: Option<&str>, server: &str, target: Option<&str>) -> String {
    join(host, server, plain_path(target.unwrap_or_default()))
}

/// The host (or server) of a finding, as [`endpoint`] begins.
#[must_use]
pub fn host(finding: &Finding) -> String {
    let host = finding.http.as_ref().and_then(|http| http.host.as_deref());
    join(host, &finding.flow.server.to_string(), "")
}

fn join(host: Option<&str>, server: &str, path: &str) -> String {
    format!("{}{path}", host.unwrap_or(server).to_ascii_lowercase())
}

/// Without query and fragment; of an absolute form without scheme and authority (RFC 9112 section 3.2.2).
fn plain_path(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_call_to_call_is_left_out() {
        for (host, target, expected, plain) in [
            (
                Some("API.example.com"),
                "/v1/users/42?key=…",
                "api.example.com/*/users/*",
                "api.example.com/v1/users/42",
            ),
            (
                Some("a.example:8080"),
                "/reset/ab…yz/confirm",
                "a.example:8080/reset/*/confirm",
                "a.example:8080/reset/ab…yz/confirm",
            ),
            (Some("a.example"), "http://…@a.example/x#f", "a.example/x", "a.example/x"),
            (Some("a.example"), "http://a.example?x=http://b/c", "a.example", "a.example"),
            (Some("a.example"), "/go/http://b/c", "a.example/go/http://b/c", "a.example/go/http://b/c"),
            (None, "", "10.0.0.2:5432", "10.0.0.2:5432"),
            (None, "*", "10.0.0.2:5432*", "10.0.0.2:5432*"),
        ] {
            assert_eq!(endpoint(host, "10.0.0.2:5432", Some(target)), expected, "{target}");
            assert_eq!(exact(host, "10.0.0.2:5432", Some(target)), plain, "{target}");
        }
        assert_eq!(endpoint(None, "[2001:DB8::1]:80", None), "[2001:db8::1]:80");
    }
}
