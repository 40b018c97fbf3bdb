//! Sensor data into the field: connectors request JSON, follow files or read devices, inputs extract numbers from it.
//!
//! Every number becomes a named series of the feature window; an input with a cell also stimulates the field there.
//! Reading order: `settings`, `extract` and `csv` (text to numbers), `schedule` (when), then the sources
//! `follower`, `spool`, `value_file` and `serial`, and `worker`, the thread around them. A connector that hangs affects only itself: each
//! has its own thread, which the watchdog does not monitor.

mod checkpoint;
mod csv;
mod disposal;
mod extract;
mod fingerprint;
mod follower;
mod ingest;
mod limits;
mod line_splitter;
mod metrics;
mod report;
mod schedule;
mod serial;
mod settings;
mod spool;
mod value_file;
mod worker;

pub use extract::{Extraction, MeasuredAt, Reading, RejectReason};
pub use ingest::{FieldBusy, ReadingSink};
pub use limits::{MAX_BODY_BYTES, MAX_CONNECTORS, MAX_LINE_BYTES};
pub use metrics::{ConnectorMetrics, InputMetrics, PollOutcome};
pub use settings::{
    AfterRead, Connector, ConnectorInput, ConnectorSource, FileFormat, ReadingTime, StartPosition,
    Stimulation,
};
pub use worker::{ConnectorControl, ConnectorSpec, spawn};
