//! Misconfigurations that follow from a leak: that it was there says how the server is set up.

use std::sync::Arc;

use crate::model::finding::{Finding, Once, RuleText};
use crate::model::{Exposure, Severity};
use crate::rule::{Rule, RuleSet};

/// The rules of what follows, where they are in force.
#[derive(Debug)]
pub struct Consequences {
    accepted: Option<Consequence>,
    stored: Option<Consequence>,
}

#[derive(Debug)]
struct Consequence {
    rule: Arc<RuleText>,
    severity: Severity,
    remote: bool,
}

impl Consequences {
    /// Of the rules in force.
    #[must_use]
    pub fn new(rules: &RuleSet) -> Self {
        let known = |id: &str| rules.signal(id).and_then(|id| rules.rule(id)).map(Consequence::new);
        Self { accepted: known("key-over-plain-http"), stored: known("secret-in-cacheable-answer") }
    }

    /// What follows from a leak that is told: a credential of a request in clear was taken (2xx) instead of being
    /// redirected to TLS; an answer with a secret may be stored by caches (RFC 9111 section 5.2.2.5).
    #[must_use]
    pub fn of(&self, finding: &Finding) -> Option<Finding> {
        let usable = finding.once == Once::PerValue
            && finding.secret.is_some()
            && finding.severity >= Severity::Medium
            && finding.http.as_ref()?.status.is_some_and(|status| (200..300).contains(&status));
        let consequence = match finding.surface.is_response() {
            false => self.accepted.as_ref().filter(|_| !finding.flow.encrypted),
            true => self.stored.as_ref().filter(|_| finding.cacheable),
        };
        let consequence = consequence.filter(|_| usable)?;
        if consequence.remote && (finding.flow.server.is_loopback() || finding.flow.server.is_made_up()) {
            return None;
        }
        let mut follows = Finding {
            rule: Arc::clone(&consequence.rule),
            severity: consequence.severity,
            exposures: vec![Exposure::Misconfiguration],
            secret: None,
            name: None,
            once: Once::PerHost,
            related: vec![finding.id],
            reasons: Vec::new(),
            ..finding.clone()
        };
        follows.id = finding.id.following(&consequence.rule.id);
        Some(follows)
    }
}

impl Consequence {
    fn new(rule: &Rule) -> Self {
        Self { rule: Arc::clone(&rule.text), severity: rule.severity, remote: rule.remote }
    }
}
