//! The numbers of events.

use crate::telemetry::metrics::{Counter, LabelledCounters, labels};

/// Why a request with events was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The outbox could not take them: the client keeps them.
    Busy,
    /// Not what the API describes.
    Invalid,
    /// An event is larger than a record.
    TooLarge,
}
labels!(RefusalReason { Busy = "busy", Invalid = "invalid", TooLarge = "too_large" });

/// Written by the HTTP loop and the outbox thread.
#[derive(Debug, Default)]
pub struct EventMetrics {
    /// Events stored.
    pub accepted: Counter,
    /// Events that were stored before.
    pub repeated: Counter,
    /// Requests refused.
    pub refused: LabelledCounters<RefusalReason>,
}
