//! One JSON object of a line format, built field by field.

use std::io::{self, Write as _};

use serde_json::{Map, Value};

use super::Output;

/// An object.
#[derive(Default)]
pub(super) struct Record(Map<String, Value>);

impl Record {
    /// Gives a field its value.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Writes it as one line, in one write.
    pub(super) fn write(&self, out: &mut Output) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.0)?;
        line.push(b'\n');
        out.write_all(&line)
    }
}
