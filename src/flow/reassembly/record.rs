//! What is remembered of bytes already handed on, so that a retransmission with other bytes is told.

use super::*;

impl Half {
    /// Records what was handed on.
    #[inline]
    pub(super) fn remember(&mut self, bytes: &[u8], secret: Secret) {
        let run = match u16::try_from(bytes.len()) {
            Ok(len) => Run { hash: secret.digest(bytes), len },
            Err(_) => Run::default(),
        };
        if run.len == 0 {
            return self.forget();
        }
        if self.last_len > 0 {
            let (hash, len) = (self.last_hash, self.last_len);
            let extra = self.extra();
            extra.newest = (extra.newest + 1) % RUNS as u8;
            if let Some(slot) = extra.hashes.get_mut(usize::from(extra.newest)) {
                *slot = hash;
            }
            if let Some(slot) = extra.lens.get_mut(usize::from(extra.newest)) {
                *slot = len;
            }
        }
        self.last_hash = run.hash;
        self.last_len = run.len;
        if let Some(tail) = bytes.last_chunk() {
            self.tail = *tail;
        } else {
            self.tail = [0; 8];
            self.tail.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(kept, byte)| *kept = *byte);
        }
    }

    /// Nothing is known of what lies before `next`.
    pub(super) fn forget(&mut self) {
        self.last_len = 0;
        if let Some(extra) = &mut self.extra {
            extra.lens = [0; RUNS];
        }
    }

    /// The run so many before the newest.
    pub(super) fn run(&self, back: usize) -> Option<Run> {
        let run = match back.checked_sub(1) {
            None => Run { hash: self.last_hash, len: self.last_len },
            Some(back) => {
                let extra = self.extra.as_ref()?;
                let slot = (usize::from(extra.newest) + RUNS).checked_sub(back)? % RUNS;
                Run { hash: *extra.hashes.get(slot)?, len: *extra.lens.get(slot)? }
            }
        };
        (run.len > 0).then_some(run)
    }

    /// Compares a retransmission that begins `known` octets before `next` with what is remembered.
    pub(super) fn compare<R: Receiver>(
        &self,
        sender: Side,
        known: u32,
        span: Span<'_>,
        shared: &Shared,
        out: &mut Out<'_, R>,
    ) {
        let bytes = span.bytes;
        if known == 1 && bytes.len() <= 1 {
            return;
        }
        let known = known as usize;
        let mut conflicting = 0_usize;
        // Where the run ends, in octets behind the start of the retransmission.
        let mut end = known;
        for back in 0..=RUNS {
            let Some(run) = self.run(back) else { break };
            let Some(begin) = end.checked_sub(usize::from(run.len)) else { break };
            if let Some(copy) = bytes.get(begin..end)
                && shared.secret.digest(copy) != run.hash
            {
                conflicting += copy.len();
            }
            end = begin;
        }
        if conflicting == 0
            && let Some(overlap) = bytes.get(..known)
        {
            let len = overlap.len().min(self.tail.len()).min(usize::from(self.last_len));
            let differ = overlap
                .iter()
                .rev()
                .zip(self.tail.iter().rev())
                .take(len)
                .filter(|(new, old)| new != old)
                .count();
            if differ > 0 {
                conflicting = known;
            }
        }
        out.lost(sender, LossReason::ConflictingRetransmission, conflicting as u64);
    }
}
