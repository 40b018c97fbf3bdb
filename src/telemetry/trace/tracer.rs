//! Begins spans anywhere, ends them into a bounded queue, exports them from one thread.
//!
//! Nobody waits for the receiver: a full queue drops and counts. With tracing off a [`Tracer`] draws ids, so that
//! receivers can still follow a request, and records nothing.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::context::{Sampler, SpanContext};
use super::otlp::{self, Resource};
use super::settings::Settings;
use super::span::Span;
use crate::telemetry::metrics::Metrics;

/// Spans that wait for export; about 300 bytes each.
pub const QUEUE: usize = 512;
/// Spans of one request.
const BATCH: usize = 128;
/// How long spans gather.
const LINGER: Duration = Duration::from_secs(5);
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after a failure; doubles up to the last.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(5);
/// Attempts for one batch.
const ATTEMPTS: u32 = 5;

#[derive(Debug, Default)]
struct Queue {
    spans: Vec<Span>,
    stopped: bool,
}

struct Shared {
    sampler: Option<Sampler>,
    queue: Mutex<Queue>,
    changed: Condvar,
    metrics: Arc<Metrics>,
    rng: Mutex<fastrand::Rng>,
}

/// A handle; clones share one queue.
#[derive(Clone)]
pub struct Tracer(Arc<Shared>);

impl Tracer {
    /// `seed`: from the kernel's entropy, so that no two daemons draw the same ids.
    pub fn new(settings: &Settings, seed: u64, metrics: Arc<Metrics>) -> Self {
        let sampler = settings.otlp_url.as_ref().map(|_| Sampler::new(settings.sample_ratio));
        Self(Arc::new(Shared {
            sampler,
            queue: Mutex::default(),
            changed: Condvar::new(),
            metrics,
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
        }))
    }

    /// A new span, below `parent` if there is one.
    pub fn begin(&self, parent: Option<SpanContext>) -> SpanContext {
        let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let trace_id = parent.map_or_else(|| rng.u128(1..), |parent| parent.trace_id);
        let span_id = rng.u64(1..);
        let sampled = self.0.sampler.is_some_and(|sampler| sampler.records(parent, trace_id));
        SpanContext { trace_id, span_id, sampled }
    }

    /// Queues a finished span if its trace is recorded; never waits.
    pub fn end(&self, span: Span) {
        if self.0.sampler.is_none() || !span.context.sampled {
            return;
        }
        let mut queue = lock(&self.0);
        if queue.stopped || queue.spans.len() >= QUEUE {
            self.0.metrics.spans_dropped.add(1);
            return;
        }
        queue.spans.push(span);
        if queue.spans.len() >= BATCH {
            self.0.changed.notify_one();
        }
    }

    /// The exporting thread; `None` with tracing off.
    pub fn export(&self, settings: &Settings, resource: Resource) -> std::io::Result<Option<Exporter>> {
        let Some(url) = settings.otlp_url.clone() else { return Ok(None) };
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("traces".into()).spawn(move || {
            Export { agent: agent(), url, resource, shared }.run();
        })?;
        Ok(Some(Exporter { shared: Arc::clone(&self.0), thread }))
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Queue> {
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running export.
pub struct Exporter {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Takes no more spans and gives the thread until its request under way is done; what is left is dropped and
    /// counted, as a stop must not wait for a receiver of traces.
    pub fn stop(self) {
        lock(&self.shared).stopped = true;
        self.shared.changed.notify_one();
        if self.thread.is_finished() {
            drop(self.thread.join());
        }
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("myceliumd/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::new_with_config(config)
}

/// What the receiver made of a batch.
enum Sent {
    Taken,
    /// Worth another try.
    Later(String),
    Refused(u16),
}

struct Export {
    agent: ureq::Agent,
    url: String,
    resource: Resource,
    shared: Arc<Shared>,
}

impl Export {
    fn run(self) {
        while let Some(batch) = self.next() {
            self.deliver(&batch);
        }
        let left = std::mem::take(&mut lock(&self.shared).spans);
        self.shared.metrics.spans_dropped.add(left.len() as u64);
    }

    /// The next batch: full, or whatever gathered; `None` at the end.
    fn next(&self) -> Option<Vec<Span>> {
        let mut queue = lock(&self.shared);
        loop {
            if queue.stopped {
                return None;
            }
            let waited = self
                .shared
                .changed
                .wait_timeout_while(queue, LINGER, |queue| !queue.stopped && queue.spans.len() < BATCH);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !queue.spans.is_empty() && !queue.stopped {
                let count = queue.spans.len().min(BATCH);
                return Some(queue.spans.drain(..count).collect());
            }
        }
    }

    fn deliver(&self, batch: &[Span]) {
        let body = otlp::encode(&self.resource, batch);
        let mut wait = RETRY;
        for attempt in 1..=ATTEMPTS {
            match self.send(&body) {
                Sent::Taken => {
                    self.shared.metrics.spans_exported.add(batch.len() as u64);
                    return;
                }
                Sent::Refused(status) => {
                    log::warn!("cannot export spans: the receiver refused them with {status}");
                    break;
                }
                Sent::Later(why) => {
                    log::warn!("cannot export spans now: {why}");
                    if attempt == ATTEMPTS || !self.pause(wait) {
                        break;
                    }
                    wait = (wait * 4).min(RETRY_MAX);
                }
            }
        }
        self.shared.metrics.spans_dropped.add(batch.len() as u64);
    }

    /// False when there is an end to come to.
    fn pause(&self, wait: Duration) -> bool {
        let jitter = fastrand::f64() / 2.0 + 0.75;
        let queue = lock(&self.shared);
        let wait = wait.mul_f64(jitter);
        let waited = self.shared.changed.wait_timeout_while(queue, wait, |queue| !queue.stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    fn send(&self, body: &str) -> Sent {
        match self.agent.post(&self.url).header("Content-Type", "application/json").send(body) {
            Ok(mut answer) => {
                // Read to the end, within reason, so that the connection can be used again.
                let mut rest = answer.body_mut().as_reader().take(64 * 1024);
                drop(std::io::copy(&mut rest, &mut std::io::sink()));
                match answer.status().as_u16() {
                    200..=299 => Sent::Taken,
                    status @ (408 | 429 | 502..=504) => Sent::Later(format!("status {status}")),
                    status => Sent::Refused(status),
                }
            }
            Err(error) => Sent::Later(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::telemetry::trace::{Attributes, SpanKind};

    fn settings(on: bool) -> Settings {
        Settings { otlp_url: on.then(|| "http://127.0.0.1:9/v1/traces".to_owned()), sample_ratio: 1.0 }
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
            error: None,
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_of_its_parent_and_off_means_nothing_is_kept() {
        let metrics = Arc::new(Metrics::new([]));
        let tracer = Tracer::new(&settings(true), 1, Arc::clone(&metrics));
        let root = tracer.begin(None);
        let child = tracer.begin(Some(root));
        assert!(root.sampled && child.sampled && child.trace_id == root.trace_id);
        assert_ne!(child.span_id, root.span_id);

        let off = Tracer::new(&settings(false), 1, metrics);
        let root = off.begin(None);
        assert!(!root.sampled && root.trace_id != 0 && root.span_id != 0);
        off.end(span(SpanContext { sampled: true, ..root }));
        assert!(lock(&off.0).spans.is_empty());
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let metrics = Arc::new(Metrics::new([]));
        let tracer = Tracer::new(&settings(true), 1, Arc::clone(&metrics));
        for _ in 0..QUEUE + 7 {
            tracer.end(span(tracer.begin(None)));
        }
        assert_eq!((lock(&tracer.0).spans.len(), metrics.spans_dropped.get()), (QUEUE, 7));
    }
}
