//! Where a delivery's `traceparent` and `tracestate` (W3C Trace Context) come from.

use std::sync::Arc;

use fastrand::Rng;

use super::sender::Reply;
use super::source::Record;
use crate::clock::Stamp;

/// What is sent along, so that the receiver's work is part of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub traceparent: String,
    pub tracestate: Option<Arc<str>>,
}

impl From<&str> for Carried {
    fn from(traceparent: &str) -> Self {
        Self { traceparent: traceparent.to_owned(), tracestate: None }
    }
}

/// Spans around deliveries. Two sides: the tracer of the daemon, and [`Untraced`].
pub trait Trace: Send {
    /// Begins a span around the delivery of these records.
    fn begin(&mut self, now: Stamp, records: &[Record]) -> Carried;
    /// Ends the span begun last.
    fn end(&mut self, now: Stamp, reply: &Reply);
}

/// Fresh ids, not sampled: receivers can follow them, nobody exports them here.
#[derive(Debug)]
pub struct Untraced(Rng);

impl Untraced {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }
}

impl Trace for Untraced {
    fn begin(&mut self, _: Stamp, _: &[Record]) -> Carried {
        // All-zero ids are invalid.
        Carried {
            traceparent: format!("00-{:032x}-{:016x}-00", self.0.u128(1..), self.0.u64(1..)),
            tracestate: None,
        }
    }

    fn end(&mut self, _: Stamp, _: &Reply) {}
}
