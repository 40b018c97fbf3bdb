//! What the daemon says about itself: metrics, logs, trace context.

pub mod logs;
pub mod metrics;
pub mod trace;
