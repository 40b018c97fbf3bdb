//! What metrics are made of: counters, gauges and histograms that any thread may touch without waiting, labels, and
//! the text formats of Prometheus. Which metrics there are is said by `supervisor::metrics`.

mod exposition;
mod label;
mod primitives;
mod process;

pub use exposition::{BuildInfo, ExpositionFormat, MetricFamily, MetricKind, SampleWriter, render};
pub(crate) use label::labels;
pub use label::{Label, LabelledCounters, StateGauge};
pub use primitives::{Counter, Gauge, Histogram};
pub use process::ProcessStats;
