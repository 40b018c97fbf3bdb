//! The numbers of one endpoint.

use crate::net::breaker::BreakerState;
use crate::telemetry::metrics::{Counter, Gauge, Histogram, LabelledCounters, StateGauge, labels};

/// Seconds; a receiver on the same network up to the time-out.
static REQUEST_SECONDS: [f64; 9] = [5e-3, 2.5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    Delivered,
    Retried,
    Split,
    DeadLettered,
    Disabled,
}
labels!(BatchOutcome {
    Delivered = "delivered",
    Retried = "retried",
    Split = "split",
    DeadLettered = "dead_lettered",
    Disabled = "disabled",
});

/// Written by the delivery thread of one endpoint.
#[derive(Debug)]
pub struct DeliveryMetrics {
    pub endpoint: String,
    pub batches: LabelledCounters<BatchOutcome>,
    pub records: Counter,
    /// Records that `types` leaves out.
    pub filtered: Counter,
    pub retries: Counter,
    pub reused: Counter,
    pub opened: Counter,
    pub seconds: Histogram<9>,
    /// Written by the outbox thread.
    pub lag_records: Gauge,
    pub breaker_state: StateGauge<BreakerState>,
    pub breaker_transitions: LabelledCounters<BreakerState>,
}

impl DeliveryMetrics {
    pub fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            batches: LabelledCounters::default(),
            records: Counter::new(),
            filtered: Counter::new(),
            retries: Counter::new(),
            reused: Counter::new(),
            opened: Counter::new(),
            seconds: Histogram::new(&REQUEST_SECONDS),
            lag_records: Gauge::new(),
            breaker_state: StateGauge::default(),
            breaker_transitions: LabelledCounters::default(),
        }
    }
}
