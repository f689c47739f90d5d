//! What is remembered of a request until its answer is over.

use crate::engine::story::Heads;

/// Bytes of a target that are remembered: far more than is ever shown of it.
const TARGET: usize = 8 << 10;

/// What later findings tell of an exchange.
#[derive(Debug)]
pub(in crate::engine) struct Exchange {
    pub(in crate::engine) number: u32,
    pub(in crate::engine) status: Option<u16>,
    pub(in crate::engine) version: &'static str,
    /// Method, host and target, one behind the other; where the host begins and the target.
    text: Box<[u8]>,
    host: u32,
    target: u32,
    /// Its heads, where somebody watches.
    pub(in crate::engine) heads: Option<Box<Heads>>,
}

impl Exchange {
    /// Of a request that was seen; of others the parts are empty.
    pub(in crate::engine) fn new(
        number: u32,
        version: &'static str,
        method: &[u8],
        host: &[u8],
        target: &[u8],
    ) -> Self {
        let text = [method, host, shown_part(target)].concat().into_boxed_slice();
        // Heads are shorter than that.
        let host_at = method.len() as u32;
        let target_at = host_at + host.len() as u32;
        Self { number, status: None, version, text, host: host_at, target: target_at, heads: None }
    }

    /// Bytes it held when it began.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + self.heads.as_ref().map_or(0, |heads| heads.asked_weight())
    }

    fn part(&self, range: std::ops::Range<u32>) -> &[u8] {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    pub(in crate::engine) fn method(&self) -> &[u8] {
        self.part(0..self.host)
    }

    pub(in crate::engine) fn host(&self) -> &[u8] {
        self.part(self.host..self.target)
    }

    pub(in crate::engine) fn target(&self) -> &[u8] {
        self.part(self.target..self.text.len() as u32)
    }
}

/// What is remembered of a request target. One that is too long ends at a mark between its parts, so that no value is cut.
pub(in crate::engine) fn shown_part(target: &[u8]) -> &[u8] {
    let Some(start) = target.get(..TARGET) else { return target };
    let end = start.iter().rposition(|byte| matches!(byte, b'/' | b'?' | b'&' | b'#'));
    start.get(..end.unwrap_or(0)).unwrap_or_default()
}
