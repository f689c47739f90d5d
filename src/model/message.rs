//! What a message is made of for those who look for secrets: values at places.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Direction;

/// The place in a message where a value stands (CONTRACT: surface).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Surface {
    /// A path segment of the target, its userinfo or its fragment.
    #[serde(rename = "request.path")]
    RequestPath,
    /// A query parameter.
    #[serde(rename = "request.query")]
    RequestQuery,
    /// A header field, or the credential within `Authorization`.
    #[serde(rename = "request.header")]
    RequestHeader,
    /// One cookie of `Cookie`.
    #[serde(rename = "request.cookie")]
    RequestCookie,
    /// A value in the body of a request, or what a client sent outside any message.
    #[serde(rename = "request.body")]
    RequestBody,
    /// The status line.
    #[serde(rename = "response.status")]
    ResponseStatus,
    /// A header field.
    #[serde(rename = "response.header")]
    ResponseHeader,
    /// The cookie of one `Set-Cookie`.
    #[serde(rename = "response.cookie")]
    ResponseCookie,
    /// A value in the body of a response, or what a server sent outside any message.
    #[serde(rename = "response.body")]
    ResponseBody,
    /// A credential exchange outside HTTP.
    #[serde(rename = "login")]
    Login,
    /// A database statement or document.
    #[serde(rename = "command")]
    Command,
    /// A syslog or logging record.
    #[serde(rename = "log")]
    Log,
}

impl Surface {
    /// Every surface, in the order of the contract.
    pub const ALL: [Self; 12] = [
        Self::RequestPath,
        Self::RequestQuery,
        Self::RequestHeader,
        Self::RequestCookie,
        Self::RequestBody,
        Self::ResponseStatus,
        Self::ResponseHeader,
        Self::ResponseCookie,
        Self::ResponseBody,
        Self::Login,
        Self::Command,
        Self::Log,
    ];

    /// Whether the server sent it.
    #[must_use]
    pub fn is_of_response(self) -> bool {
        use Surface::{ResponseBody, ResponseCookie, ResponseHeader, ResponseStatus};
        matches!(self, ResponseStatus | ResponseHeader | ResponseCookie | ResponseBody)
    }

    /// `request.path`, `request.query` …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestPath => "request.path",
            Self::RequestQuery => "request.query",
            Self::RequestHeader => "request.header",
            Self::RequestCookie => "request.cookie",
            Self::RequestBody => "request.body",
            Self::ResponseStatus => "response.status",
            Self::ResponseHeader => "response.header",
            Self::ResponseCookie => "response.cookie",
            Self::ResponseBody => "response.body",
            Self::Login => "login",
            Self::Command => "command",
            Self::Log => "log",
        }
    }

    /// The surface of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|surface| surface.as_str() == name)
    }

    /// The body surface of a direction.
    #[must_use]
    pub fn body(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::RequestBody,
            Direction::ToClient => Self::ResponseBody,
        }
    }

    /// Whether the server sent what stands here.
    #[must_use]
    pub fn is_response(self) -> bool {
        matches!(
            self,
            Self::ResponseStatus | Self::ResponseHeader | Self::ResponseCookie | Self::ResponseBody
        )
    }
}

/// How a value came out of what carried it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// As the name says: a parameter, a header, a JSON string.
    #[default]
    Plain,
    /// The credential of an HTTP authentication scheme, lower case: `basic` (the password), `bearer` (the token),
    /// `digest` (the response) …
    Scheme(&'static str),
    /// The user of an HTTP authentication scheme.
    User(&'static str),
    /// The password within the userinfo of a URL.
    Userinfo,
    /// A stretch of running text: it holds more than one value.
    Text,
    /// Several fields together as they stand: a request target, a URL, the head of a response. Only rules that ask for it
    /// look there.
    Whole,
    /// Read from a layer inside another value: `base64`, `jwt`, `session`, `json`, `url` …
    Layer(&'static str),
}

/// One value at one place: the unit that rules look at.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Where it stands.
    pub surface: Surface,
    /// What names it there, decoded (CONTRACT: names and values); `None` where nothing does.
    pub name: Option<Cow<'a, str>>,
    /// The name that rules look at where the told one is the carrier's: the parameter of a URL inside a header,
    /// the `name` of an `<input>`.
    pub inner: Option<Cow<'a, str>>,
    /// The value, decoded, whole, without quotes.
    pub value: Cow<'a, [u8]>,
    /// How it came out of its carrier.
    pub origin: Origin,
    /// Where the value stands, still encoded, in what carries it (the head, the body buffer): it tells the frames.
    /// As long as `value` where nothing had to be decoded.
    pub span: Range<usize>,
}

impl<'a> Field<'a> {
    /// A field as its name says.
    #[must_use]
    pub fn new(
        surface: Surface,
        name: Option<Cow<'a, str>>,
        value: Cow<'a, [u8]>,
        span: Range<usize>,
    ) -> Self {
        Self { surface, name, inner: None, value, origin: Origin::Plain, span }
    }

    /// The same field with another origin.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same field with a name for rules that differs from the told one.
    #[must_use]
    pub fn with_inner(self, inner: Option<Cow<'a, str>>) -> Self {
        Self { inner, ..self }
    }

    /// The name that rules match their `names` on.
    #[must_use]
    pub fn rule_name(&self) -> Option<&str> {
        self.inner.as_deref().or(self.name.as_deref())
    }
}
