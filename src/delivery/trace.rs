//! Where a delivery's `traceparent` (W3C Trace Context, version 00) comes from.

use fastrand::Rng;

use super::sender::Reply;
use crate::clock::Stamp;

/// Spans around deliveries. Two sides: the tracer of the daemon, and [`Untraced`].
pub trait Trace: Send {
    /// Begins a span; gives the `traceparent` that is sent along.
    fn begin(&mut self, now: Stamp) -> String;
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
    fn begin(&mut self, _: Stamp) -> String {
        // All-zero ids are invalid.
        format!("00-{:032x}-{:016x}-00", self.0.u128(1..), self.0.u64(1..))
    }

    fn end(&mut self, _: Stamp, _: &Reply) {}
}
