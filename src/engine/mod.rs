//! Joins the stages; no thread, no wall clock, no I/O; cannot fail.
