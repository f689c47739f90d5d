//! Where a secret stands that was found in several fields taken together.

use crate::model::message::Origin;
use crate::model::text::percent_decode;
use crate::model::{Field, Surface};

/// Surface and name of what begins at `at` of the field's value: of a request target the parameter, of a head the
/// header; else those of the field.
pub(super) fn of(field: &Field<'_>, at: usize) -> (Surface, Option<String>) {
    let own = || (field.surface, field.name.as_deref().map(str::to_owned));
    if field.origin != Origin::Whole {
        return own();
    }
    let before = field.value.get(..at).unwrap_or_default();
    match field.surface {
        Surface::RequestPath if memchr::memchr(b'?', before).is_some() => {
            let start = memchr::memrchr3(b'?', b'&', b';', before).map_or(0, |mark| mark + 1);
            let parameter = before.get(start..).unwrap_or_default();
            let name = memchr::memchr(b'=', parameter).and_then(|end| parameter.get(..end));
            let decoded = |name| String::from_utf8_lossy(&percent_decode(name, true)).into_owned();
            (Surface::RequestQuery, name.map(decoded))
        }
        Surface::ResponseHeader if field.name.is_none() => {
            let line = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
            let text = field.value.get(line..).unwrap_or_default();
            let name = memchr::memchr(b':', text).and_then(|end| text.get(..end));
            (field.surface, name.map(|name| String::from_utf8_lossy(name).into_owned()))
        }
        _ => own(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_place_is_the_innermost() {
        let head = "HTTP/1.1 200 OK\r\nServer: made-up\r\nSet-Cookie: a=b";
        for (surface, value, word, expected) in [
            (Surface::RequestPath, "/a/b?c=d&e%20f=g", "b", (Surface::RequestPath, None)),
            (Surface::RequestPath, "/a/b?c=d&e%20f=g", "d", (Surface::RequestQuery, Some("c"))),
            (Surface::RequestPath, "/a/b?c=d&e%20f=g", "g", (Surface::RequestQuery, Some("e f"))),
            (Surface::RequestPath, "/a/b?g", "g", (Surface::RequestQuery, None)),
            (Surface::ResponseHeader, head, "a=b", (Surface::ResponseHeader, Some("Set-Cookie"))),
            (Surface::ResponseHeader, head, "Server", (Surface::ResponseHeader, Some("Server"))),
        ] {
            let field = Field::new(surface, None, Cow::Borrowed(value.as_bytes()), 0..value.len());
            let (surface, name) = of(&field.from(Origin::Whole), value.rfind(word).unwrap());
            assert_eq!((surface, name.as_deref()), expected, "{value} {word}");
        }
    }
}
