//! Signals: each input has a channel that gives windows, spikes and samples, computed in the time of the samples.
//!
//! Connectors and `POST /v1/samples` put samples into one bounded `queue`; one thread, the `worker`, owns all channels,
//! appends their outputs to the outbox as `record`s and publishes the newest ones on the `board` of each signal.
//! Without inputs there is no thread and no queue.

mod board;
mod metrics;
mod queue;
pub mod record;
mod request;
mod worker;

use mycelium_core::signals::{SignalChannel, SignalSettings};

pub use board::{MAX_RECENT_SPIKES, RING_SAMPLES, RingSample, SignalBoard, SignalCounts};
pub use metrics::{SignalMetrics, SignalMetricsTable};
pub use queue::{QUEUED_SAMPLES, QueuedSample, SignalQueue, SignalQueueFull};
pub use request::{MAX_SAMPLES, SampleRefusal, parse_samples};
pub use worker::{SignalThread, SignalWorkerSpec, StoreSignal};

/// The signal of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalSpec {
    pub name: String,
    /// The connector that brings samples; empty if only the API does.
    pub connector: String,
    /// Empty if none is configured.
    pub unit: String,
    pub settings: SignalSettings,
    /// Samples bring their time, and may come later than it.
    pub has_own_time: bool,
}

/// Memory of all signals together, bytes: channels, boards, the queue twice (what is in it, and what is being worked off)
/// and the stack of the thread.
pub fn memory_bytes(signals: &[SignalSpec]) -> usize {
    let of = |signal: &SignalSpec| {
        let record = signal.name.len() + signal.unit.len();
        SignalChannel::memory_bytes(&signal.settings) + SignalBoard::MEMORY_BYTES + record
    };
    let shared = if signals.is_empty() { 0 } else { 2 * queue::QUEUE_BYTES + worker::STACK_BYTES };
    signals.iter().map(of).sum::<usize>() + shared
}
