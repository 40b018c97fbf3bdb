//! The numbers of each signal.

use crate::telemetry::metrics::{Counter, Gauge};

/// Written by the thread of the signals.
#[derive(Debug)]
pub struct SignalMetrics {
    pub signal: String,
    /// Samples in features.
    pub samples: Counter,
    /// Samples older than the open window.
    pub late: Counter,
    /// Samples refused: too far in the future, or not finite after scaling.
    pub refused: Counter,
    pub saturated: Counter,
    pub missing: Counter,
    pub windows: Counter,
    pub spikes: Counter,
    /// Outputs that the outbox did not take.
    pub lost: Counter,
    /// Newest sample; NaN before the first.
    pub value: Gauge,
    /// Its time, seconds since 1970; NaN before the first.
    pub time: Gauge,
}

/// All of them, by the number of the input.
#[derive(Debug, Default)]
pub struct SignalMetricsTable(pub Vec<SignalMetrics>);

impl SignalMetricsTable {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let of = |name: &str| SignalMetrics {
            signal: name.to_owned(),
            samples: Counter::new(),
            late: Counter::new(),
            refused: Counter::new(),
            saturated: Counter::new(),
            missing: Counter::new(),
            windows: Counter::new(),
            spikes: Counter::new(),
            lost: Counter::new(),
            value: Gauge::with(f64::NAN),
            time: Gauge::with(f64::NAN),
        };
        Self(names.into_iter().map(of).collect())
    }
}
