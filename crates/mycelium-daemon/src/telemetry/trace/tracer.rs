//! Starts spans and queues finished ones for the export thread.
//!
//! Never blocks: a full queue drops spans and counts them. With tracing off a [`Tracer`] draws ids, so that receivers
//! can follow a request, and records nothing.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::context::{Sampler, SpanContext};
use super::settings::TraceSettings;
use super::span::Span;
use crate::sync::{lock, unpoisoned};
use crate::telemetry::metrics::Counter;

/// Spans in the queue; 832 bytes each plus their texts, allocated only with tracing on.
pub const QUEUE: usize = 512;
/// Spans of one request.
const BATCH: usize = 128;
/// Longest time a batch is filled.
const LINGER: Duration = Duration::from_secs(5);

/// Spans that were exported or dropped.
#[derive(Debug, Default)]
pub struct SpanCounters {
    pub exported: Counter,
    pub dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    spans: Vec<Span>,
    stopped: bool,
}

struct Shared {
    sampler: Option<Sampler>,
    queue: Mutex<Queue>,
    changed: Condvar,
    counters: Arc<SpanCounters>,
    rng: Mutex<fastrand::Rng>,
}

/// A handle; clones share one queue.
#[derive(Clone)]
pub struct Tracer(Arc<Shared>);

impl Tracer {
    /// `seed` must come from the kernel, so that no two daemons draw the same ids.
    pub fn new(settings: &TraceSettings, seed: u64, counters: Arc<SpanCounters>) -> Self {
        let sampler = settings.otlp_url.as_ref().map(|_| Sampler::new(settings.sample_ratio));
        Self(Arc::new(Shared {
            sampler,
            queue: Mutex::default(),
            changed: Condvar::new(),
            counters,
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
        }))
    }

    /// A new span, below `parent` if there is one.
    pub fn begin(&self, parent: Option<SpanContext>) -> SpanContext {
        let mut rng = lock(&self.0.rng);
        let trace_id = parent.map_or_else(|| rng.u128(1..), |parent| parent.trace_id);
        let span_id = rng.u64(1..);
        let sampled = self.0.sampler.is_some_and(|sampler| sampler.records(parent, trace_id));
        SpanContext { trace_id, span_id, sampled }
    }

    /// Queues a finished span if its trace is recorded.
    pub fn end(&self, span: Span) {
        if self.0.sampler.is_none() || !span.context.sampled {
            return;
        }
        let mut queue = lock(&self.0.queue);
        if queue.stopped || queue.spans.len() >= QUEUE {
            self.0.counters.dropped.add(1);
            return;
        }
        queue.spans.push(span);
        if queue.spans.len() >= BATCH {
            self.0.changed.notify_one();
        }
    }

    /// Whether spans are recorded at all.
    pub fn is_on(&self) -> bool {
        self.0.sampler.is_some()
    }

    /// Blocks until a batch is full or its time is over; `None` once stopped.
    pub fn next_batch(&self) -> Option<Vec<Span>> {
        let mut queue = lock(&self.0.queue);
        loop {
            if queue.stopped {
                return None;
            }
            let waited = self
                .0
                .changed
                .wait_timeout_while(queue, LINGER, |queue| !queue.stopped && queue.spans.len() < BATCH);
            queue = unpoisoned(waited).0;
            if !queue.spans.is_empty() && !queue.stopped {
                let count = queue.spans.len().min(BATCH);
                return Some(queue.spans.drain(..count).collect());
            }
        }
    }

    /// Spans in the queue.
    pub fn waiting(&self) -> usize {
        lock(&self.0.queue).spans.len()
    }

    /// Sleeps for `wait`; false if stopped.
    pub fn pause(&self, wait: Duration) -> bool {
        let waited = self.0.changed.wait_timeout_while(lock(&self.0.queue), wait, |queue| !queue.stopped);
        !unpoisoned(waited).0.stopped
    }

    /// Accepts no more spans; queued ones are dropped and counted.
    pub fn stop(&self) {
        let mut queue = lock(&self.0.queue);
        queue.stopped = true;
        let left = std::mem::take(&mut queue.spans);
        drop(queue);
        self.dropped(left.len());
        self.0.changed.notify_all();
    }

    /// Counts spans the collector has accepted.
    pub fn exported(&self, spans: usize) {
        self.0.counters.exported.add(spans as u64);
    }

    /// Counts spans that were discarded.
    pub fn dropped(&self, spans: usize) {
        self.0.counters.dropped.add(spans as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::telemetry::trace::{Attributes, SpanKind};

    fn settings(on: bool) -> TraceSettings {
        TraceSettings { otlp_url: on.then(|| "http://127.0.0.1:9/v1/traces".to_owned()), sample_ratio: 1.0 }
    }

    fn span(context: SpanContext) -> Span {
        Span {
            context,
            parent: None,
            name: "x".to_owned(),
            kind: SpanKind::Internal,
            start: Wall(0),
            took: Duration::ZERO,
            attributes: Attributes::default(),
            state: None,
            links: heapless::Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_child_is_in_the_trace_of_its_parent_and_nothing_is_recorded_with_tracing_off() {
        let counters: Arc<SpanCounters> = Arc::default();
        let tracer = Tracer::new(&settings(true), 1, Arc::clone(&counters));
        let root = tracer.begin(None);
        let child = tracer.begin(Some(root));
        assert!(root.sampled && child.sampled && child.trace_id == root.trace_id);
        assert_ne!(child.span_id, root.span_id);

        let off = Tracer::new(&settings(false), 1, counters);
        let root = off.begin(None);
        assert!(!root.sampled && root.trace_id != 0 && root.span_id != 0);
        off.end(span(SpanContext { sampled: true, ..root }));
        assert!(lock(&off.0.queue).spans.is_empty());
    }

    #[test]
    fn a_full_queue_drops_spans_and_counts_them() {
        let counters: Arc<SpanCounters> = Arc::default();
        let tracer = Tracer::new(&settings(true), 1, Arc::clone(&counters));
        for _ in 0..QUEUE + 7 {
            tracer.end(span(tracer.begin(None)));
        }
        assert_eq!((lock(&tracer.0.queue).spans.len(), counters.dropped.get()), (QUEUE, 7));
    }
}
