//! Log lines: levels that can change while running, text or JSON, a rate limit per line of code.
//!
//! Everything goes through the `log` facade. Fields are given as key-values
//! (`log::warn!(endpoint = name; "cannot deliver: {error}")`); `request_id`, `trace_id` and `span_id` link lines to
//! requests and traces. Warnings and errors of one line of code are limited to ten a minute; the next one that is
//! written says how many were suppressed. A line has at most 1 KiB. A closed standard error does not stop the daemon.

mod line;
mod logger;
mod rate_limit;
mod settings;
mod shortened;
pub mod target;

pub use line::MAX_LINE_BYTES;
pub use logger::{set_level, start, unwritten_lines};
pub use settings::{LogFormat, LogSettings};
pub use shortened::Shortened;
