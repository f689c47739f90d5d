//! Several capture files as one capture: their frames by time, as a rotating capture or several taps wrote them.
//!
//! A file is open only while its frames may come: of a thousand files that follow each other one or two are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::file::{CaptureFile, Step};
use super::{Input, Next, Source, SourceError};
use crate::model::{Frame, Origins, Timestamp};

/// Opens an input; with or without the filter, which need not be asked where only the first frame's time is wanted.
pub type Open<'a> = Box<dyn Fn(&Input, bool) -> Result<CaptureFile, SourceError> + 'a>;

/// Capture files as one. Frames are numbered through; [`Joined::origins`] knows their files and their numbers there. Of frames
/// of one time those of the file given first come first; within a file the order is the file's.
pub struct Joined<'a> {
    inputs: &'a [Input],
    open: Open<'a>,
    /// Those that are open, by their place in the inputs.
    files: Vec<Option<CaptureFile>>,
    /// Files to open, by the time of their first frames.
    waiting: VecDeque<(Timestamp, usize)>,
    /// The next frames of those open.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Those that have to give their next frame yet: the one that gave the last, streams that had none.
    behind: Vec<usize>,
    origins: Arc<Origins>,
    given: u64,
    /// The file of the last frame, and its number there.
    last: Option<(usize, u64)>,
    /// Bytes of files that are closed again.
    closed: u64,
}

impl<'a> Joined<'a> {
    /// Looks into every input for the time of its first frame; what cannot be read is given with its place, the rest is joined.
    #[must_use]
    pub fn new(inputs: &'a [Input], open: Open<'a>) -> (Self, Vec<(usize, SourceError)>) {
        let mut joined = Self {
            inputs,
            open,
            files: inputs.iter().map(|_| None).collect(),
            waiting: VecDeque::new(),
            heads: BinaryHeap::new(),
            behind: Vec::new(),
            origins: Arc::new(Origins::new(inputs.iter().map(|input| Arc::from(input.display())).collect())),
            given: 0,
            last: None,
            closed: 0,
        };
        let mut faults = Vec::new();
        let mut waiting = Vec::new();
        for (at, input) in inputs.iter().enumerate() {
            // What can be read once only is opened for good.
            let is_stream = input.size.is_none();
            let first = (joined.open)(input, is_stream).map(|mut file| {
                if is_stream {
                    joined.behind.push(at);
                    if let Some(place) = joined.files.get_mut(at) {
                        *place = Some(file);
                    }
                    return None;
                }
                match file.step() {
                    Ok(Step::Frame) => Some(file.frame().time),
                    Ok(Step::End | Step::Idle) => None,
                    // One that is damaged from its first frame on says so when it is read.
                    Err(_) => Some(Timestamp::default()),
                }
            });
            match first {
                Ok(Some(time)) => waiting.push((time, at)),
                Ok(None) => {}
                Err(error) => faults.push((at, error)),
            }
        }
        waiting.sort_unstable();
        joined.waiting = waiting.into();
        (joined, faults)
    }

    /// Which frames of which files those given are.
    #[must_use]
    pub fn origins(&self) -> Arc<Origins> {
        Arc::clone(&self.origins)
    }

    /// Brings the next frame of a file. Says whether the file has to be asked again.
    fn step(&mut self, at: usize) -> Result<bool, SourceError> {
        let Some(place) = self.files.get_mut(at) else { return Ok(false) };
        let Some(file) = place else { return Ok(false) };
        match file.step() {
            Ok(Step::Frame) => {
                self.heads.push(Reverse((file.frame().time, at)));
                Ok(false)
            }
            Ok(Step::Idle) => Ok(true),
            Ok(Step::End) => {
                self.closed += file.position();
                *place = None;
                Ok(false)
            }
            Err(error) => {
                self.closed += file.position();
                *place = None;
                Err(error)
            }
        }
    }
}

impl Source for Joined<'_> {
    /// As any source, but after an error the rest of the files goes on.
    fn next(&mut self) -> Result<Next<'_>, SourceError> {
        let mut idle = false;
        for at in std::mem::take(&mut self.behind) {
            if self.step(at)? {
                self.behind.push(at);
                idle = true;
            }
        }
        // What a stream will give may be earlier than what the files have.
        if idle {
            return Ok(Next::Idle);
        }
        while let Some(&(time, at)) = self.waiting.front()
            && self.heads.peek().is_none_or(|Reverse((head, _))| time <= *head)
        {
            self.waiting.pop_front();
            let Some(input) = self.inputs.get(at) else { continue };
            let file = (self.open)(input, true)?;
            if let Some(place) = self.files.get_mut(at) {
                *place = Some(file);
            }
            self.step(at)?;
        }
        let Some(Reverse((_, at))) = self.heads.pop() else { return Ok(Next::End) };
        let Some(Some(file)) = self.files.get(at) else { return Ok(Next::End) };
        self.behind.push(at);
        let frame = file.frame();
        self.given += 1;
        if self.last != Some((at, frame.number - 1)) {
            self.origins.begin(self.given, at, frame.number);
        }
        self.last = Some((at, frame.number));
        Ok(Next::Frame(Frame { number: self.given, ..frame }))
    }

    fn position(&self) -> u64 {
        self.closed + self.files.iter().flatten().map(Source::position).sum::<u64>()
    }
}
