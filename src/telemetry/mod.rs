//! What the daemon says about itself: metrics, logs, trace context.

pub mod metrics;
