//! Connections whose clear text is seen: ordered as it comes, told as encrypted.

use std::collections::HashMap;

use crate::flow::{Close, Loss, LossReason, Now, Piece, Receiver};
use crate::model::{Clear, FlowKey, Plain, Side};

use super::Workshop;
use super::conversation::State;

/// The connections of one shard, by the number that their source gave them.
#[derive(Default)]
pub(super) struct Flows {
    open: HashMap<u64, Open, ahash::RandomState>,
}

struct Open {
    key: FlowKey,
    /// Which side of the key the process is.
    local: Side,
    state: State,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes what comes next; of more than `most` connections those that come later are left, which is counted.
    pub(super) fn take(&mut self, plain: &Plain<'_>, most: usize, workshop: &mut Workshop) {
        let now = Now { frame: plain.number, time: plain.time };
        if plain.what == Clear::End {
            if let Some(open) = self.open.remove(&plain.connection) {
                open.close(Close::Ended, now, workshop);
            }
            return;
        }
        let (key, local) = plain.key();
        if self.open.len() >= most && !self.open.contains_key(&plain.connection) {
            return workshop.stats.not_inspected("flow-limit");
        }
        let open = self.open.entry(plain.connection).or_insert_with(|| Open {
            key,
            local,
            state: workshop.open_plain(&key, now),
        });
        open.is_now(key, local);
        let sender = if plain.sent { open.local } else { open.local.other() };
        let piece = match plain.what {
            Clear::Data(bytes) => Piece::Data { bytes, frame: plain.number, time: plain.time },
            Clear::Missing(bytes) => {
                let loss = Loss { reason: LossReason::Gap, bytes, frame: plain.number };
                workshop.lost(&open.key, &mut open.state, sender, loss, now);
                Piece::Gap(bytes)
            }
            Clear::End => return,
        };
        // Of what is not looked into no state is left: then nothing comes of it.
        workshop.piece(&open.key, &mut open.state, sender, piece, now);
    }

    /// The capture is over.
    pub(super) fn finish(&mut self, now: Now, workshop: &mut Workshop) {
        let mut open: Vec<(u64, Open)> = self.open.drain().collect();
        open.sort_unstable_by_key(|(connection, _)| *connection);
        for (_, open) in open {
            open.close(Close::Finished, now, workshop);
        }
    }
}

impl Open {
    /// The addresses may become known later.
    fn is_now(&mut self, key: FlowKey, local: Side) {
        if self.key == key {
            return;
        }
        if self.local != local
            && let Some(conversation) = &mut self.state
        {
            conversation.turn_sides();
        }
        (self.key, self.local) = (key, local);
    }

    fn close(mut self, why: Close, now: Now, workshop: &mut Workshop) {
        for sender in [self.local, self.local.other()] {
            workshop.piece(&self.key, &mut self.state, sender, Piece::End, now);
        }
        workshop.close(&self.key, self.state, why, now);
    }
}

#[cfg(test)]
mod tests;
