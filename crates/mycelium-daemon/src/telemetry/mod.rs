//! Metrics, logs and traces: the means to report, without knowledge of what is reported.

pub mod logs;
pub mod metrics;
pub mod trace;
