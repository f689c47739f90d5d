//! Bodies that come slowly: which of them have to be looked at before they are whole, and when.
//!
//! A capture that is read looks at a body when a piece of it is full or nothing more comes, which is the same every time it is read. Live,
//! somebody waits: an event stream may stay open for hours.

use std::collections::VecDeque;
use std::time::Duration;

use crate::flow::Now;
use crate::model::{Direction, FlowKey, Timestamp};

use super::conversation::Conversation;
use super::marks::{Carrier, Marks};
use super::tap::Tap;
use super::{Engine, Workshop};

/// What came of a body is looked at no later than this.
const PATIENCE: Duration = Duration::from_millis(300);
/// Bytes walked over at once for that, at most; what is more has to wait for the next time.
const BUDGET: usize = 4 << 20;

/// The flows of which something came that was not looked at, the oldest first; each stands here once.
#[derive(Default)]
pub(super) struct Unseen(VecDeque<(usize, FlowKey, Timestamp)>);

impl Engine {
    /// Whether bodies under way are looked at from here on: then [`Engine::glance`] has to be asked for often.
    pub fn glances(&mut self, does: bool) {
        self.workshop.unseen = does.then(Unseen::default);
    }

    /// It is `time`, and `frame` was the last one: looks at what came of bodies under way some time ago. Costs little where it is asked
    /// for often.
    pub fn glance(&mut self, frame: u64, time: Timestamp) {
        let mut left = BUDGET;
        while left > 0
            && let Some(Unseen(flows)) = &mut self.workshop.unseen
            && let Some((shard, key, _)) = flows.pop_front_if(|(_, _, since)| since.after(PATIENCE) <= time)
        {
            let Some(table) = self.tables.get_mut(shard) else { continue };
            let now = Now { frame, time };
            self.workshop.at(shard, now);
            table.each_state(&key, |state| {
                if let Some(conversation) = state {
                    left = left.saturating_sub(self.workshop.glance(&key, conversation, now));
                }
            });
        }
    }
}

impl Workshop {
    /// Remembers a flow of which something came that may have to be looked at.
    pub(super) fn note(&mut self, key: &FlowKey, conversation: &mut Conversation, now: Now) {
        if let Some(Unseen(flows)) = &mut self.unseen
            && conversation.is_to_be_noted()
        {
            flows.push_back((self.shard, *key, now.time));
        }
    }

    fn glance(&mut self, key: &FlowKey, conversation: &mut Conversation, now: Now) -> usize {
        let carrier = Carrier { frame: now.frame, time: now.time };
        let glance = |direction| {
            let mut marks = Marks::default();
            Tap::new(self, conversation, key, now, &[], &mut marks, carrier).glance(direction)
        };
        let walked = [Direction::ToServer, Direction::ToClient].map(glance).iter().sum();
        conversation.noted = false;
        self.holds(conversation);
        walked
    }
}
