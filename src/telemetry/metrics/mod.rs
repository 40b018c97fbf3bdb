//! Every metric of the daemon in one table, as atomics that any thread may touch without waiting.

mod primitives;
mod table;

pub use primitives::{Counter, Gauge, Histogram};
pub use table::{DeliveryMetrics, HttpMetrics, Metrics, OutboxMetrics, SimMetrics};
