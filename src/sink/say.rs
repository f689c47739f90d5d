//! What formats say of a leak in one way: its request, its place, its frames, and all of it in a sentence.

use super::text::clean;
use crate::model::event::{Leak, SecretText};
use crate::model::{Direction, Surface};

/// `GET example.com/path`; none outside HTTP.
pub(super) fn request(leak: &Leak) -> Option<String> {
    let http = leak.http.as_ref()?;
    let host = http.host.as_deref().unwrap_or_default();
    let target = http.target.as_deref().unwrap_or_default();
    let place = if target.starts_with('/') || target.starts_with('?') {
        format!("{host}{target}")
    } else {
        // An absolute target names its host; `*` and authorities read best apart.
        let host = if target.contains("://") { "" } else { host };
        [host, target].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
    };
    let request = format!("{} {place}", http.method.as_deref().unwrap_or_default());
    Some(request.trim().to_owned()).filter(|request| !request.is_empty())
}

/// `request.query api_key`
pub(super) fn place(leak: &Leak) -> String {
    match &leak.name {
        Some(name) => format!("{} {name}", leak.surface.as_str()),
        None => leak.surface.as_str().to_owned(),
    }
}

/// `frames 17-21 of flask.pcap`
pub(super) fn frames(frames: [u64; 2], source: &str) -> String {
    let source = clean(source);
    match frames {
        [first, last] if first == last => format!("frame {first} of {source}"),
        [first, last] => format!("frames {first}-{last} of {source}"),
    }
}

/// What is shown of a secret: its value where it was told, else its redacted form.
pub(super) fn secret(secret: &SecretText) -> &str {
    secret.value.as_ref().unwrap_or(&secret.redacted)
}

/// The host of the exchange, or the server's address and port.
pub(super) fn host(leak: &Leak) -> String {
    let host = leak.http.as_ref().and_then(|http| http.host.as_deref()).filter(|host| !host.is_empty());
    host.map_or_else(|| leak.flow.server.to_string(), str::to_ascii_lowercase)
}

/// Which way the bytes went that carry it.
pub(super) fn direction(leak: &Leak) -> Direction {
    match leak.surface {
        Surface::ResponseStatus
        | Surface::ResponseHeader
        | Surface::ResponseCookie
        | Surface::ResponseBody => Direction::ToClient,
        _ => Direction::ToServer,
    }
}

/// All of it in one line: `Stripe secret key sk_l…9f2c in request.query api_key of GET api.example.com/… (10.0.0.1:51000 -> 10.0.0.2:80, frame 4 of a.pcap)`
#[must_use]
pub fn sentence(leak: &Leak) -> String {
    let mut text = leak.title.clone();
    if let Some(shown) = &leak.secret {
        text = format!("{text} {}", secret(shown));
    }
    text = format!("{text} in {}", place(leak));
    if let Some(request) = request(leak) {
        text = format!("{text} of {request}");
    }
    let frames = frames(leak.frames, &leak.source);
    clean(&format!("{text} ({} -> {}, {frames})", leak.flow.client, leak.flow.server)).into_owned()
}
