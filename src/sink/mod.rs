//! The list of sinks.
