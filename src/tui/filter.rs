//! The filter language: which leaks are looked at. `severity>=high host:api* (rule:aws* or -exposure:cleartext) "charge"`
//!
//! Terms stand side by side (all must hold), `or` between them, `-` or `not` before one, parentheses around several. A term is
//! `field:pattern`, `field=value`, `field>=level` or a bare word that is looked for everywhere. `a|b` is either, `*` and `?`
//! stand for any characters; without them a pattern may stand anywhere in the text. Letters' case does not matter.

mod complete;
mod text;

use std::fmt;

use crate::model::event::Leak;
use crate::model::{Confidence, Exposure, Severity, Surface};

pub(super) use complete::{Completion, complete};
use text::{Pattern, contains};

/// A leak and what is known of it beside the event.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) leak: &'a Leak,
    /// Sightings.
    pub(super) times: u64,
    /// Host and route.
    pub(super) endpoint: &'a str,
    pub(super) muted: bool,
}

/// A filter as typed, and what it means.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    text: String,
    expression: Expression,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, in bytes from the start.
    pub(super) at: usize,
    /// What, and what helps.
    pub(super) what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

#[derive(Clone, Debug, Default)]
enum Expression {
    #[default]
    Everything,
    Term(Term),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

#[derive(Clone, Debug)]
struct Term {
    /// `None`: anywhere.
    field: Option<Field>,
    relation: Relation,
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    Text(Pattern),
    Severity(Severity),
    Confidence(Confidence),
    Number(u64),
    Flag(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// `:`
    Like,
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

const RELATIONS: [(&str, Relation); 7] = [
    // The longer ones first: they begin like the shorter.
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("!=", Relation::Unequal),
    (":", Relation::Like),
    ("=", Relation::Equal),
    (">", Relation::More),
    ("<", Relation::Less),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Severity,
    Confidence,
    Number,
    Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Severity,
    Confidence,
    Rule,
    Title,
    Exposure,
    Surface,
    Name,
    Host,
    Path,
    Endpoint,
    Method,
    Status,
    Client,
    Server,
    Protocol,
    Process,
    Secret,
    Cwe,
    Owasp,
    Source,
    Evidence,
    Id,
    Times,
    Encrypted,
    Muted,
}

/// Every field: its name, what it holds, and a line on it. Completion and the help are drawn from this table.
pub(super) const FIELDS: [(Field, &str, Kind, &str); 25] = [
    (Field::Severity, "severity", Kind::Severity, "how bad: severity>=high"),
    (Field::Confidence, "confidence", Kind::Confidence, "how sure: confidence:high"),
    (Field::Rule, "rule", Kind::Text, "which rule: rule:aws*"),
    (Field::Title, "title", Kind::Text, "what leaks, in words"),
    (Field::Exposure, "exposure", Kind::Text, "how: exposure:query-string"),
    (Field::Surface, "surface", Kind::Text, "where in the message: surface:request.*"),
    (Field::Name, "name", Kind::Text, "parameter, header, cookie, JSON path"),
    (Field::Host, "host", Kind::Text, "host of the request: host:api*"),
    (Field::Path, "path", Kind::Text, "target of the request, masked"),
    (Field::Endpoint, "endpoint", Kind::Text, "host and route, * for numbers"),
    (Field::Method, "method", Kind::Text, "GET, POST …"),
    (Field::Status, "status", Kind::Number, "of the answer: status:5xx, status>=400"),
    (Field::Client, "client", Kind::Text, "address and port of who asked"),
    (Field::Server, "server", Kind::Text, "address and port of who answered"),
    (Field::Protocol, "protocol", Kind::Text, "http/1.1 …"),
    (Field::Process, "process", Kind::Text, "name, number, command, user, container, unit"),
    (Field::Secret, "secret", Kind::Text, "fingerprint's start, or redacted form"),
    (Field::Cwe, "cwe", Kind::Text, "weakness: cwe:598"),
    (Field::Owasp, "owasp", Kind::Text, "OWASP API entry: owasp:API2*"),
    (Field::Source, "source", Kind::Text, "interface or capture file"),
    (Field::Evidence, "evidence", Kind::Text, "the redacted excerpt"),
    (Field::Id, "id", Kind::Text, "identity of the leak"),
    (Field::Times, "times", Kind::Number, "sightings: times>10"),
    (Field::Encrypted, "encrypted", Kind::Flag, "whether the wire was: yes, no"),
    (Field::Muted, "muted", Kind::Flag, "muted ones: muted:yes shows them"),
];

impl Field {
    fn named(name: &str) -> Option<(Self, Kind)> {
        let found = FIELDS.iter().find(|field| field.1.eq_ignore_ascii_case(name))?;
        Some((found.0, found.2))
    }

    /// The values of a closed set.
    pub(super) fn values(self) -> Vec<&'static str> {
        match self {
            Self::Severity => Severity::ALL.iter().rev().map(|level| level.as_str()).collect(),
            Self::Confidence => vec!["high", "medium", "low"],
            Self::Surface => Surface::ALL.iter().map(|surface| surface.as_str()).collect(),
            Self::Exposure => EXPOSURES.iter().map(|exposure| exposure.as_str()).collect(),
            Self::Status => vec!["2xx", "3xx", "4xx", "5xx"],
            Self::Method => vec!["GET", "POST", "PUT", "PATCH", "DELETE"],
            Self::Encrypted | Self::Muted => vec!["yes", "no"],
            _ => Vec::new(),
        }
    }
}

const EXPOSURES: [Exposure; 11] = [
    Exposure::QueryString,
    Exposure::Url,
    Exposure::Cleartext,
    Exposure::Response,
    Exposure::Reflected,
    Exposure::Traceback,
    Exposure::Log,
    Exposure::Stored,
    Exposure::ClientSession,
    Exposure::Pii,
    Exposure::Misconfiguration,
];

impl Filter {
    /// What was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.expression, Expression::Everything)
    }

    /// Reads a filter; an empty one lets all through.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, end: text.len() };
        let expression = if tokens.is_empty() { Expression::Everything } else { parser.any(0)? };
        match parser.tokens.get(parser.at) {
            None => Ok(Self { text: text.trim().to_owned(), expression }),
            Some(token) => Err(Wrong { at: token.at, what: "this ) closes nothing".to_owned() }),
        }
    }

    /// Whether a leak passes. Muted ones pass only where the filter speaks of them.
    pub(super) fn passes(&self, subject: Subject<'_>) -> bool {
        (!subject.muted || self.speaks_of_muted()) && self.expression.holds(subject)
    }

    /// Whether what passes may change with the times a leak was seen.
    pub(super) fn counts(&self) -> bool {
        self.expression.speaks_of(Field::Times)
    }

    fn speaks_of_muted(&self) -> bool {
        self.expression.speaks_of(Field::Muted)
    }
}

impl Expression {
    fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Term(term) => term.holds(subject),
            Self::Not(inner) => !inner.holds(subject),
            Self::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(subject)),
        }
    }

    fn speaks_of(&self, field: Field) -> bool {
        match self {
            Self::Everything => false,
            Self::Term(term) => term.field == Some(field),
            Self::Not(inner) => inner.speaks_of(field),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.speaks_of(field)),
        }
    }
}

impl Term {
    fn holds(&self, subject: Subject<'_>) -> bool {
        match self.relation {
            Relation::Unequal => !self.values.iter().any(|value| self.is(value, subject)),
            _ => self.values.iter().any(|value| self.is(value, subject)),
        }
    }

    fn is(&self, value: &Value, subject: Subject<'_>) -> bool {
        let leak = subject.leak;
        match value {
            Value::Severity(level) => self.compares(leak.severity, *level),
            Value::Confidence(level) => self.compares(leak.confidence, *level),
            Value::Number(number) => {
                let own = match self.field {
                    Some(Field::Times) => Some(subject.times),
                    _ => leak.http.as_ref().and_then(|http| http.status).map(u64::from),
                };
                own.is_some_and(|own| self.compares(own, *number))
            }
            Value::Flag(wanted) => {
                let own = if self.field == Some(Field::Muted) { subject.muted } else { leak.flow.encrypted };
                own == *wanted
            }
            Value::Text(pattern) => {
                let is_exact = matches!(self.relation, Relation::Equal | Relation::Unequal);
                texts(self.field, subject, &mut |text| pattern.matches(text, is_exact))
            }
        }
    }

    fn compares<T: PartialOrd>(&self, own: T, other: T) -> bool {
        match self.relation {
            // That it is unequal is said by the caller.
            Relation::Like | Relation::Equal | Relation::Unequal => own == other,
            Relation::Less => own < other,
            Relation::AtMost => own <= other,
            Relation::More => own > other,
            Relation::AtLeast => own >= other,
        }
    }
}

/// Whether `is` holds for one of the texts of a field; of no field: of all that stands in the list.
fn texts(field: Option<Field>, subject: Subject<'_>, is: &mut dyn FnMut(&str) -> bool) -> bool {
    let leak = subject.leak;
    let http = leak.http.as_ref();
    let mut some = |text: Option<&str>| text.is_some_and(&mut *is);
    match field {
        None => {
            some(Some(&leak.title))
                || some(Some(&leak.rule))
                || some(leak.name.as_deref())
                || some(http.and_then(|http| http.host.as_deref()))
                || some(http.and_then(|http| http.target.as_deref()))
                || some(leak.secret.as_ref().map(|secret| secret.redacted.as_str()))
                || some(Some(&leak.evidence))
                || some(Some(leak.surface.as_str()))
                || leak.exposures.iter().any(|exposure| some(Some(exposure.as_str())))
                || some(leak.process.as_ref().map(|process| process.name.as_str()))
                || some(Some(&leak.flow.client.to_string()))
                || some(Some(&leak.flow.server.to_string()))
        }
        Some(Field::Rule) => some(Some(&leak.rule)),
        Some(Field::Title) => some(Some(&leak.title)),
        Some(Field::Exposure) => leak.exposures.iter().any(|exposure| some(Some(exposure.as_str()))),
        Some(Field::Surface) => some(Some(leak.surface.as_str())),
        Some(Field::Name) => some(leak.name.as_deref()),
        Some(Field::Host) => some(http.and_then(|http| http.host.as_deref())),
        Some(Field::Path) => some(http.and_then(|http| http.target.as_deref())),
        Some(Field::Endpoint) => some(Some(subject.endpoint)),
        Some(Field::Method) => some(http.and_then(|http| http.method.as_deref())),
        Some(Field::Status) => {
            some(http.and_then(|http| http.status).map(|status| status.to_string()).as_deref())
        }
        Some(Field::Client) => {
            some(Some(&leak.flow.client.to_string())) || some(Some(&leak.flow.client.ip().to_string()))
        }
        Some(Field::Server) => {
            some(Some(&leak.flow.server.to_string())) || some(Some(&leak.flow.server.ip().to_string()))
        }
        Some(Field::Protocol) => some(Some(&leak.flow.protocol)),
        Some(Field::Process) => leak.process.as_ref().is_some_and(|process| {
            some(Some(&process.name))
                || some(Some(&process.pid.to_string()))
                || some(process.container.as_deref())
                || some(process.command.as_deref())
                || some(process.user.as_deref())
                || some(process.unit.as_deref())
                || some(process.pod.as_deref())
                || some(process.peer.as_ref().map(|peer| peer.name.as_str()))
        }),
        Some(Field::Secret) => leak
            .secret
            .as_ref()
            .is_some_and(|secret| some(Some(&secret.redacted)) || some(Some(&secret.fingerprint))),
        Some(Field::Cwe) => leak.cwe.iter().any(|cwe| some(Some(cwe))),
        Some(Field::Owasp) => leak.owasp.iter().any(|entry| some(Some(entry))),
        Some(Field::Source) => some(Some(&leak.source)),
        Some(Field::Evidence) => some(Some(&leak.evidence)),
        Some(Field::Id) => some(Some(&leak.id)),
        Some(Field::Severity | Field::Confidence | Field::Times | Field::Encrypted | Field::Muted) => false,
    }
}

/// A word, or a mark by itself.
#[derive(Debug)]
struct Token {
    at: usize,
    kind: TokenKind,
}

#[derive(Debug)]
enum TokenKind {
    Open,
    Close,
    Not,
    Or,
    /// The text without its quotes, and how much of it stood before the first quote.
    Word(String, usize),
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some(&(at, letter)) = letters.peek() {
        let single = match letter {
            '(' => Some(TokenKind::Open),
            ')' => Some(TokenKind::Close),
            '-' | '!' => Some(TokenKind::Not),
            _ => None,
        };
        if let Some(kind) = single {
            letters.next();
            tokens.push(Token { at, kind });
            continue;
        }
        if letter.is_whitespace() {
            letters.next();
            continue;
        }
        let (mut word, mut plain, mut quoted) = (String::new(), None, None);
        while let Some(&(here, letter)) = letters.peek() {
            if letter == '"' {
                quoted = if quoted.is_some() { None } else { Some(here) };
                plain.get_or_insert(word.len());
            } else if quoted.is_none() && (letter.is_whitespace() || matches!(letter, '(' | ')')) {
                break;
            } else {
                word.push(letter);
            }
            letters.next();
        }
        if let Some(at) = quoted {
            return Err(Wrong { at, what: "this quote is not closed".to_owned() });
        }
        let kind = match (plain, word.to_ascii_lowercase().as_str()) {
            (None, "or" | "||" | "|") => TokenKind::Or,
            (None, "and" | "&&") => continue,
            (None, "not") => TokenKind::Not,
            _ => {
                let plain = plain.unwrap_or(word.len());
                TokenKind::Word(word, plain)
            }
        };
        tokens.push(Token { at, kind });
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    end: usize,
}

/// Parentheses and nots within each other.
const DEPTH: usize = 64;

impl Parser<'_> {
    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.at)
    }

    fn any(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let mut parts = vec![self.all(depth)?];
        while let Some(TokenKind::Or) = self.peek() {
            self.at += 1;
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some(TokenKind::Or | TokenKind::Close)) {
            parts.push(self.one(depth)?);
        }
        if parts.is_empty() {
            return Err(Wrong { at: self.place(), what: "a term is missing here".to_owned() });
        }
        Ok(one_or(parts, Expression::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, Wrong> {
        let at = self.place();
        if depth > DEPTH {
            return Err(Wrong { at, what: "this is nested too deeply".to_owned() });
        }
        let token = self.tokens.get(self.at);
        self.at += 1;
        match token.map(|token| &token.kind) {
            Some(TokenKind::Not) => Ok(Expression::Not(Box::new(self.one(depth + 1)?))),
            Some(TokenKind::Open) => {
                let inner = self.any(depth + 1)?;
                if !matches!(self.peek(), Some(TokenKind::Close)) {
                    return Err(Wrong { at, what: "this ( is not closed".to_owned() });
                }
                self.at += 1;
                Ok(inner)
            }
            Some(TokenKind::Word(word, plain)) => term(word, *plain, at).map(Expression::Term),
            _ => Err(Wrong { at, what: "a term is missing here".to_owned() }),
        }
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => many(parts.into_iter().chain(last).collect()),
    }
}

fn term(word: &str, plain: usize, at: usize) -> Result<Term, Wrong> {
    let free = word.get(..plain).unwrap_or(word);
    let name_end = free.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(free.len());
    let (name, rest) = word.split_at(name_end);
    let relation = RELATIONS
        .iter()
        .find(|(mark, _)| rest.starts_with(mark) && name_end + mark.len() <= free.len().max(name_end));
    let Some(&(mark, relation)) = relation.filter(|_| !name.is_empty()) else {
        let values = vec![Value::Text(Pattern::new(word))];
        return Ok(Term { field: None, relation: Relation::Like, values });
    };
    let value = rest.get(mark.len()..).unwrap_or_default();
    let Some((field, kind)) = Field::named(name) else {
        // An address or URL is no term: `localhost:8080`, `https://…`.
        if mark == ":" && (value.starts_with("//") || value.starts_with(|first: char| first.is_ascii_digit()))
        {
            let values = vec![Value::Text(Pattern::new(word))];
            return Ok(Term { field: None, relation: Relation::Like, values });
        }
        let near = FIELDS.iter().find(|field| {
            let least = name.len().min(3);
            field.1.get(..least) == name.get(..least).map(str::to_ascii_lowercase).as_deref()
        });
        let hint = near
            .map_or_else(|| "Tab lists those there are".to_owned(), |field| format!("is {} meant?", field.1));
        return Err(Wrong { at, what: format!("there is no field {name}: {hint}") });
    };
    let at = at + name_end + mark.len();
    if value.is_empty() {
        return Err(Wrong { at, what: format!("what shall {name} be?") });
    }
    let is_ordered = !matches!(relation, Relation::Like | Relation::Equal | Relation::Unequal);
    if is_ordered && matches!(kind, Kind::Text | Kind::Flag) {
        return Err(Wrong { at, what: format!("{name} has no order: write {name}:…") });
    }
    let values = value.split('|').filter(|part| !part.is_empty());
    let values: Result<Vec<Value>, String> =
        values.map(|part| value_of(field, kind, part, is_ordered)).collect();
    Ok(Term { field: Some(field), relation, values: values.map_err(|what| Wrong { at, what })? })
}

fn value_of(field: Field, kind: Kind, text: &str, is_ordered: bool) -> Result<Value, String> {
    let known = || field.values().join(", ");
    let lower = text.to_ascii_lowercase();
    match kind {
        Kind::Text => Ok(Value::Text(Pattern::new(text))),
        Kind::Severity => Severity::ALL
            .into_iter()
            .find(|level| level.as_str().starts_with(&lower))
            .map(Value::Severity)
            .ok_or_else(|| format!("levels are {}", known())),
        Kind::Confidence => [Confidence::Low, Confidence::Medium, Confidence::High]
            .into_iter()
            .find(|level| level.as_str().starts_with(&lower))
            .map(Value::Confidence)
            .ok_or_else(|| format!("levels are {}", known())),
        Kind::Flag => match lower.as_str() {
            "yes" | "true" | "1" => Ok(Value::Flag(true)),
            "no" | "false" | "0" => Ok(Value::Flag(false)),
            _ => Err("write yes or no".to_owned()),
        },
        Kind::Number => match lower.parse() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) if !is_ordered && contains(&lower, "x") || lower.contains(['*', '?']) => {
                Ok(Value::Text(Pattern::new(&lower.replace('x', "?"))))
            }
            Err(_) => Err(format!("{text} is no number")),
        },
    }
}

#[cfg(test)]
mod tests;
