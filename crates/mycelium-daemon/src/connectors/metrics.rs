//! The numbers of one connector.

use std::sync::Arc;

use super::extract::RejectReason;
use crate::net::breaker::BreakerState;
use crate::telemetry::metrics::{Counter, Gauge, Histogram, LabelledCounters, StateGauge, labels};

/// Seconds; a sensor on the same network up to a time-out.
static POLL_SECONDS: [f64; 9] = [5e-3, 2.5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// How a poll of the source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    Ok,
    Failed,
}
labels!(PollOutcome { Ok = "ok", Failed = "failed" });

/// Newest value of each input of the daemon, with its name, by the number of the input; NaN before the first.
#[derive(Debug, Default)]
pub struct InputMetrics(pub Vec<(String, Gauge)>);

impl InputMetrics {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| (name.to_owned(), Gauge::with(f64::NAN))).collect())
    }
}

/// Written by the thread of one connector.
#[derive(Debug)]
pub struct ConnectorMetrics {
    pub connector: String,
    pub polls: LabelledCounters<PollOutcome>,
    pub seconds: Histogram<9>,
    pub values: Counter,
    /// Connections of an `http` connector.
    pub reused: Counter,
    pub opened: Counter,
    pub rejects: LabelledCounters<RejectReason>,
    pub lag: Gauge,
    pub breaker_state: StateGauge<BreakerState>,
    pub breaker_transitions: LabelledCounters<BreakerState>,
    /// Those of all connectors: an input has its number among all.
    pub inputs: Arc<InputMetrics>,
}

impl ConnectorMetrics {
    pub fn new(connector: &str, inputs: Arc<InputMetrics>) -> Self {
        Self {
            connector: connector.to_owned(),
            polls: LabelledCounters::default(),
            seconds: Histogram::new(&POLL_SECONDS),
            values: Counter::new(),
            reused: Counter::new(),
            opened: Counter::new(),
            rejects: LabelledCounters::default(),
            lag: Gauge::new(),
            breaker_state: StateGauge::default(),
            breaker_transitions: LabelledCounters::default(),
            inputs,
        }
    }
}
