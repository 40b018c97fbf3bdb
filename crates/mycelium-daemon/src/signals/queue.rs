//! Samples on their way to the thread that owns the channels.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::sync::lock;

/// Most samples that wait.
pub const QUEUED_SAMPLES: usize = 2_048;
/// Memory of so many samples.
pub(super) const QUEUE_BYTES: usize = QUEUED_SAMPLES * size_of::<QueuedSample>();

/// One sample of a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueuedSample {
    /// Index of the input among all inputs of the daemon.
    pub input: usize,
    /// Milliseconds since 1970.
    pub t_ms: i64,
    /// As measured, before `scale` and `shift`.
    pub value: f64,
}

/// The queue has no space for all of the samples, or the daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalQueueFull;

/// A bounded queue with one reader. It never waits for space: who offers samples keeps what is refused.
#[derive(Debug)]
pub struct SignalQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState {
    samples: Vec<QueuedSample>,
    is_closed: bool,
}

impl Default for SignalQueue {
    fn default() -> Self {
        let samples = Vec::with_capacity(QUEUED_SAMPLES);
        Self { state: Mutex::new(QueueState { samples, is_closed: false }), changed: Condvar::new() }
    }
}

impl SignalQueue {
    /// Adds all samples if there is space for them and `accept` agrees, else none. `accept` is called with the queue
    /// locked: it may take another lock for a moment.
    pub fn offer(
        &self,
        samples: impl Iterator<Item = QueuedSample> + Clone,
        accept: impl FnOnce() -> bool,
    ) -> Result<(), SignalQueueFull> {
        let mut state = lock(&self.state);
        let space = QUEUED_SAMPLES - state.samples.len();
        if state.is_closed || samples.clone().count() > space || !accept() {
            return Err(SignalQueueFull);
        }
        state.samples.extend(samples);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// No sample is accepted from now on.
    pub fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for samples, at most so long, and swaps them with `batch`, which is emptied before. False once the queue is
    /// closed and empty.
    pub(super) fn take(&self, batch: &mut Vec<QueuedSample>, timeout: Duration) -> bool {
        batch.clear();
        let state = lock(&self.state);
        let idle = |state: &mut QueueState| state.samples.is_empty() && !state.is_closed;
        let waited = self.changed.wait_timeout_while(state, timeout, idle);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::swap(&mut state.samples, batch);
        !(batch.is_empty() && state.is_closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_queued_all_or_none_and_never_beyond_the_limit() {
        let queue = SignalQueue::default();
        let of = |count: usize| (0..count).map(|k| QueuedSample { input: 0, t_ms: k as i64, value: 1.0 });
        assert_eq!(queue.offer(of(QUEUED_SAMPLES - 1), || true), Ok(()));
        assert_eq!(queue.offer(of(2), || true), Err(SignalQueueFull), "one too many");
        assert_eq!(queue.offer(of(1), || false), Err(SignalQueueFull), "refused elsewhere");
        assert_eq!(queue.offer(of(1), || true), Ok(()));
        let mut batch = Vec::with_capacity(QUEUED_SAMPLES);
        assert!(queue.take(&mut batch, Duration::ZERO));
        assert_eq!(batch.len(), QUEUED_SAMPLES);
        assert!(queue.take(&mut batch, Duration::ZERO), "open");
        assert_eq!(queue.offer(of(1), || true), Ok(()));
        queue.close();
        assert_eq!(queue.offer(of(1), || true), Err(SignalQueueFull), "closed");
        assert!(queue.take(&mut batch, Duration::ZERO) && batch.len() == 1, "what was accepted comes out");
        assert!(!queue.take(&mut batch, Duration::ZERO));
    }
}
