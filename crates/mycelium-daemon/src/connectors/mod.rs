//! From sensors into the field: connectors fetch JSON or follow files, inputs pick numbers out of what comes.
//!
//! Every number is kept as a named series of the feature window; an input with a cell also pushes the field there.
//! Reading order: `settings` (what there is), `sample` and `csv` (text to numbers), `plan` (when), then the
//! sources `follow`, `spool` and the thread around them. A connector that hangs costs itself alone: it has a
//! thread of its own and is not among the tasks the watchdog waits for.

mod clear;
pub mod csv;
pub mod follow;
pub mod lines;
mod metrics;
mod place;
pub mod plan;
mod report;
pub mod sample;
mod settings;
pub mod spool;
mod worker;

pub use metrics::{ConnectorMetrics, InputMetrics, PollOutcome};
pub use sample::{Picked, Reading, Reject};
pub use settings::{Connector, Done, Drive, Format, Input, Source, Start};
pub use worker::{Busy, Sink, Spec, spawn};

/// Connectors at most: each takes a thread.
pub const MAX_CONNECTORS: usize = 8;
/// Largest answer or JSON file, bytes.
pub const MAX_BODY: usize = 64 << 10;
/// Longest line of a followed file, bytes.
pub const MAX_LINE: usize = 4096;
