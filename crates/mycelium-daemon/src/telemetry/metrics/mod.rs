//! Every metric of the daemon in one table, as atomics that any thread may touch without waiting.
//!
//! [`Metrics`] holds the numbers; [`FAMILIES`] says how each is called, of what type and unit it is and what it
//! means, and is the only source of the exported text and of `docs/METRICS.md`.

mod families;
mod primitives;
mod process;
mod render;
mod table;

pub use families::{FAMILIES, MetricFamily, MetricKind};
pub use primitives::{Counter, Gauge, Histogram};
pub use process::ProcessStats;
pub use render::{BuildInfo, ExpositionFormat, render};
pub use table::{ConnectorMetrics, DeliveryMetrics, HttpMetrics, Metrics, OutboxMetrics, SimMetrics};
