//! What conversations hold, and who makes room where that is too much.

use super::Conversation;
use crate::engine::marks::{Carrier, Marks};
use crate::engine::tap::Tap;
use crate::engine::{SHARDS, Workshop};
use crate::flow::Now;
use crate::model::{FlowKey, Side};

/// Bytes that the conversations of one shard may hold: heads, bodies, decoders, exchanges.
pub(in crate::engine) const HELD: usize = (512 << 20) / SHARDS;
/// A conversation that holds no more than this is let be.
const LITTLE: usize = 4 << 10;

impl Workshop {
    /// Reckons what a conversation holds. Where the shard holds too much, the one at hand makes room.
    pub(super) fn reckon(&mut self, key: &FlowKey, conversation: &mut Conversation, sender: Side, now: Now) {
        if !self.holds(conversation) || conversation.held as usize <= LITTLE {
            return;
        }
        let direction = conversation.direction(sender);
        let carrier = Carrier { frame: now.frame, time: now.time };
        for all in [false, true] {
            for direction in [direction, direction.reverse()] {
                let mut marks = Marks::default();
                Tap::new(self, conversation, key, now, &[], &mut marks, carrier).relieve(direction, all);
            }
            let kept = conversation.half(direction).kept();
            if all && kept > LITTLE {
                conversation.lose(direction, "memory-limit", kept as u64, now.frame);
                self.interrupt(key, conversation, sender, Some(0), now);
            }
            if all {
                while let Some(oldest) = conversation.forget_exchange() {
                    self.release_exchange(conversation.number, oldest.number, oldest.status);
                }
            }
            if !self.holds(conversation) {
                return;
            }
        }
    }

    /// Whether the shard holds too much, after what this conversation holds was reckoned anew.
    pub(in crate::engine) fn holds(&mut self, conversation: &mut Conversation) -> bool {
        let weight = conversation.weight();
        let Some(held) = self.held.get_mut(self.shard) else { return false };
        *held = (*held + weight).saturating_sub(conversation.held as usize);
        conversation.held = u32::try_from(weight).unwrap_or(u32::MAX);
        *held > HELD
    }

    pub(super) fn holds_no_more(&mut self, conversation: &mut Conversation) {
        if let Some(held) = self.held.get_mut(self.shard) {
            *held = held.saturating_sub(std::mem::take(&mut conversation.held) as usize);
        }
    }
}
