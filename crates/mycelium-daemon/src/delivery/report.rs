//! What a delivery thread reports: its row in the snapshots, its metrics, and a log line when something has changed.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::kind::SendReply;
use super::metrics::{BatchOutcome, DeliveryMetrics};
use super::scheduler::DeliveryScheduler;
use super::source::SourceError;
use crate::clock::{Mono, Stamp};
use crate::formats::plural::counted;
use crate::net::breaker::BreakerState;
use crate::net::client::ConnectionCounts;
use crate::net::outcome::RequestOutcome;
use crate::net::trace::TraceHeaders;
use crate::snapshots::Snapshots;
use crate::sync::lock;
use crate::telemetry::metrics::Label;

pub(super) struct Report {
    name: String,
    /// Kind and name, as log lines begin.
    label: String,
    destination: String,
    snapshots: Arc<Snapshots>,
    /// Index of this endpoint in `snapshots.endpoints`.
    row: Option<usize>,
    metrics: Arc<DeliveryMetrics>,
    breaker: BreakerState,
    delivered: u64,
    failures: u64,
    last_success: Option<Stamp>,
    last_error: Option<String>,
    /// Failed attempts since the last delivery, and the detail last logged.
    streak: u64,
    logged: String,
    source_failing: bool,
    /// Of the current attempt, or the last one.
    trace: TraceHeaders,
}

impl Report {
    pub(super) fn new(
        endpoint: &Endpoint,
        snapshots: Arc<Snapshots>,
        metrics: Arc<DeliveryMetrics>,
        scheduler: &DeliveryScheduler,
    ) -> Self {
        let rows = lock(&snapshots.endpoints);
        let row = rows.iter().position(|row| row.name == endpoint.name() && row.kind == endpoint.kind());
        drop(rows);
        Self {
            name: endpoint.name().to_owned(),
            label: endpoint.label(),
            destination: endpoint.destination(),
            snapshots,
            row,
            metrics,
            breaker: scheduler.breaker().state(),
            delivered: 0,
            failures: 0,
            last_success: None,
            last_error: None,
            streak: 0,
            logged: String::new(),
            source_failing: false,
            trace: TraceHeaders::default(),
        }
    }

    /// An attempt begins; later log lines carry the ids of its span.
    pub(super) fn begin(&mut self, trace: &TraceHeaders) {
        self.trace.clone_from(trace);
    }

    /// One attempt with `count` records, after `earlier` attempts with the same batch.
    pub(super) fn attempted(
        &mut self,
        reply: &SendReply,
        count: usize,
        earlier: u32,
        connections: ConnectionCounts,
        now: Stamp,
    ) {
        let m = &self.metrics;
        m.seconds.observe(reply.took.as_secs_f64());
        m.retries.add(u64::from(earlier > 0));
        m.opened.add(connections.opened);
        m.reused.add(connections.reused());
        if reply.taken > 0 {
            m.records.add(reply.taken as u64);
            self.delivered += reply.taken as u64;
            self.last_success = Some(now);
        }
        match reply.rest {
            RequestOutcome::Success { .. } => self.recovered(),
            RequestOutcome::Rejected(_) | RequestOutcome::TooLarge if count > 1 => {
                self.metrics.batches.add(BatchOutcome::Split, 1);
                log::debug!("{}: {}; a batch of {count} records is bisected", self.label, reply.note);
            }
            // Counted when the dead letter is stored.
            RequestOutcome::Rejected(_) | RequestOutcome::TooLarge | RequestOutcome::Aborted => {}
            RequestOutcome::Gone => {
                self.metrics.batches.add(BatchOutcome::Disabled, 1);
                self.failed(&reply.note);
            }
            _ => {
                self.metrics.batches.add(BatchOutcome::Retried, 1);
                self.failed(&reply.note);
            }
        }
    }

    /// A whole batch was delivered.
    fn recovered(&mut self) {
        self.metrics.batches.add(BatchOutcome::Delivered, 1);
        if self.streak > 0 {
            log::info!("{}: recovered after {}", self.label, counted(self.streak, "failed attempt"));
        }
        self.streak = 0;
        self.last_error = None;
        self.source_failing = false;
        self.logged.clear();
    }

    /// Logs the first failure and every change of the cause as a warning, the others at level debug.
    fn failed(&mut self, detail: &str) {
        self.failures += 1;
        self.streak += 1;
        if self.logged == detail {
            log::debug!("{}: attempt {} failed: {detail}", self.label, self.streak);
        } else {
            let (trace_id, span_id) = self.trace.ids();
            log::warn!(
                endpoint = self.name.as_str(), trace_id, span_id;
                "{}: cannot deliver to {}: {detail}", self.label, self.destination
            );
            detail.clone_into(&mut self.logged);
        }
        self.last_error = Some(detail.to_owned());
    }

    /// The result of a probe; it is not counted as an attempt.
    pub(super) fn probed(&mut self, result: Result<(), String>) {
        if let Err(error) = &result {
            log::debug!("{}: probe of {} failed: {error}", self.label, self.destination);
        }
        self.last_error = result.err();
    }

    /// Records that `types` leaves out were counted as delivered.
    pub(super) fn filtered(&self, count: usize) {
        self.metrics.filtered.add(count as u64);
    }

    pub(super) fn dead_lettered(&mut self, event: &str, status: u16) {
        self.metrics.batches.add(BatchOutcome::DeadLettered, 1);
        let (trace_id, span_id) = self.trace.ids();
        log::warn!(
            endpoint = self.name.as_str(), trace_id, span_id;
            "{}: {event} was rejected with status {status}: moved to dead letters",
            self.label
        );
    }

    pub(super) fn source_failed(&mut self, what: &str, error: &SourceError) {
        if !self.source_failing {
            log::warn!(endpoint = self.name.as_str(); "{}: cannot {what}: {error}", self.label);
        }
        self.source_failing = true;
        self.last_error = Some(format!("cannot {what}: {error}"));
    }

    /// The lag is published by the outbox, since it changes with every append.
    pub(super) fn publish(&mut self, scheduler: &DeliveryScheduler) {
        let breaker = scheduler.breaker().state();
        let changed = breaker != self.breaker;
        if changed {
            let level = if breaker == BreakerState::Open { log::Level::Warn } else { log::Level::Info };
            log::log!(level, endpoint = self.name.as_str(); "{}: breaker is {}", self.label, breaker.text());
        }
        let m = &self.metrics;
        m.breaker_state.set(breaker);
        if changed {
            m.breaker_transitions.add(breaker, 1);
        }
        self.breaker = breaker;
        let Some(row) = self.row else { return };
        let mut rows = lock(&self.snapshots.endpoints);
        let view = &mut rows[row];
        view.breaker = breaker.text();
        view.mode = scheduler.breaker().mode().name();
        view.delivered = self.delivered;
        view.failures = self.failures;
        view.last_success = self.last_success;
        view.last_error.clone_from(&self.last_error);
        view.next_try = scheduler.next_attempt(Mono::now());
        view.disabled = scheduler.is_disabled();
    }
}
