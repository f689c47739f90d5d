//! Other programs on the same capture.

use std::path::Path;

use crate::generate::Truth;

/// TODO
pub(crate) fn print(_capture: &Path, _truth: &[Truth], _tcpdump: Option<f64>, _one: f64) {}
