//! Log lines: levels that change while running, text or JSON, repeats counted instead of repeated.
//!
//! Everything goes through the `log` facade. Fields are given as key-values
//! (`log::warn!(endpoint = name; "cannot deliver: {error}")`); `request_id`, `trace_id` and `span_id` are the ones
//! that tie lines together. Warnings and errors of one line of code are limited to ten a minute; how many were
//! left out is said by the next that is written. A reader of standard error that goes away stops nothing.

mod line;
mod logger;
mod rate_limit;
mod settings;

pub use logger::{not_written, set_level, start};
pub use settings::{LogFormat, LogSettings};
