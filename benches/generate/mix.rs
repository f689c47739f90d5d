//! Flows that are under way at once, each a list of steps, taking turns that fall at random.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::Seeded;
use super::wire::{Flow, From, MSS, Wire};

/// Segments of one turn, as a congestion window lets them go.
const BURST: usize = 16;

/// What happens next on a flow.
#[derive(Debug)]
pub(crate) enum Step {
    /// The handshake.
    Open,
    /// Bytes of one side, in full segments; the other side acknowledges each burst.
    Send(From, Vec<u8>),
    /// A datagram of the client.
    Datagram(Vec<u8>),
    /// Both sides end.
    Close,
}

/// A flow and what is still to happen on it.
pub(crate) struct Talk {
    flow: Flow,
    steps: VecDeque<Step>,
    /// Bytes of the step at hand that are sent.
    sent: usize,
}

impl Talk {
    /// These steps on that flow.
    pub(crate) fn new(flow: Flow, steps: impl Into<VecDeque<Step>>) -> Self {
        Self { flow, steps: steps.into(), sent: 0 }
    }

    /// Whether something happened.
    fn turn<W: Write>(&mut self, wire: &mut Wire<W>) -> io::Result<bool> {
        let Some(step) = self.steps.front() else { return Ok(false) };
        match step {
            Step::Open => wire.open(&mut self.flow)?,
            Step::Close => wire.close(&mut self.flow)?,
            Step::Datagram(payload) => wire.datagram(self.flow.client, self.flow.server, payload)?,
            Step::Send(from, bytes) => {
                let end = bytes.len().min(self.sent + BURST * MSS);
                for segment in bytes[self.sent..end].chunks(MSS) {
                    wire.send(&mut self.flow, *from, segment)?;
                }
                wire.acknowledge(&self.flow, from.other())?;
                self.sent = end;
                if end < bytes.len() {
                    return Ok(true);
                }
                self.sent = 0;
            }
        }
        self.steps.pop_front();
        Ok(true)
    }
}

/// Plays `together` talks at once. `next` is told the flow of the talk that is over (`None` at first) and the bytes written so
/// far, and gives the talk that comes in its place.
pub(crate) fn play<W: Write>(
    seeded: &mut Seeded,
    wire: &mut Wire<W>,
    together: usize,
    mut next: impl FnMut(&mut Seeded, Option<Flow>, usize) -> Option<Talk>,
) -> io::Result<()> {
    let mut active = Vec::new();
    for _ in 0..together {
        active.extend(next(seeded, None, wire.written()));
    }
    while !active.is_empty() {
        let at = seeded.below(active.len());
        let talk = &mut active[at];
        if talk.turn(wire)? {
            continue;
        }
        match next(seeded, Some(talk.flow.clone()), wire.written()) {
            Some(following) => active[at] = following,
            None => drop(active.swap_remove(at)),
        }
    }
    Ok(())
}
