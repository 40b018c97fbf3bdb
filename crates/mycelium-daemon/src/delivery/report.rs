//! What a delivery thread says about itself: its row on the snapshots, its metrics, and a log line when something
//! has changed.

use std::sync::Arc;

use super::breaker::Position;
use super::metrics::{BatchOutcome, DeliveryMetrics};
use super::outcome::{Fault, Outcome};
use super::plan::Plan;
use super::sender::Reply;
use super::settings::Endpoint;
use super::source::SourceError;
use super::trace::Carried;
use crate::clock::Stamp;
use crate::snapshots::Snapshots;
use crate::sync::lock;
use crate::telemetry::metrics::Label;

pub(super) struct Report {
    name: String,
    origin: String,
    snapshots: Arc<Snapshots>,
    /// Index of this endpoint in `snapshots.endpoints`.
    row: Option<usize>,
    metrics: Arc<DeliveryMetrics>,
    position: Position,
    delivered: u64,
    failures: u64,
    last_success: Option<Stamp>,
    last_error: Option<String>,
    /// Failed attempts since the last good one, and the detail last logged.
    streak: u64,
    logged: String,
    source_failing: bool,
    /// `traceparent` of the attempt at work, or the last one.
    traceparent: String,
}

impl Report {
    pub(super) fn new(
        endpoint: &Endpoint,
        snapshots: Arc<Snapshots>,
        metrics: Arc<DeliveryMetrics>,
        plan: &Plan,
    ) -> Self {
        let rows = lock(&snapshots.endpoints);
        let row = rows.iter().position(|row| row.name == endpoint.name && row.kind == "webhook");
        drop(rows);
        Self {
            name: endpoint.name.clone(),
            origin: endpoint.origin(),
            snapshots,
            row,
            metrics,
            position: plan.breaker().position(),
            delivered: 0,
            failures: 0,
            last_success: None,
            last_error: None,
            streak: 0,
            logged: String::new(),
            source_failing: false,
            traceparent: String::new(),
        }
    }

    /// An attempt begins: what is said from now on is about this span.
    pub(super) fn begins(&mut self, carried: &Carried) {
        self.traceparent.clone_from(&carried.traceparent);
    }

    /// Ids of trace and span, as in `traceparent`.
    fn span(&self) -> (&str, &str) {
        let mut parts = self.traceparent.split('-').skip(1);
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
    }

    /// One attempt with `count` records, the `earlier`-th repetition of its batch; `(requests, opened)` are
    /// the connections it took.
    pub(super) fn attempted(
        &mut self,
        reply: &Reply,
        count: usize,
        earlier: u32,
        wires: (u64, u64),
        now: Stamp,
    ) {
        let m = &self.metrics;
        m.seconds.observe(reply.took.as_secs_f64());
        m.retries.add(u64::from(earlier > 0));
        m.opened.add(wires.1);
        m.reused.add(wires.0.saturating_sub(wires.1));
        match reply.outcome {
            Outcome::Delivered { .. } => self.delivered(count, now),
            Outcome::Refused(_) | Outcome::TooLarge if count > 1 => {
                self.metrics.batches.add(BatchOutcome::Split, 1);
                log::debug!("webhook {}: {}; {count} records are cut in two", self.name, reply.detail);
            }
            // Counted where the record is moved.
            Outcome::Refused(_) | Outcome::TooLarge | Outcome::Abandoned => {}
            Outcome::Gone => {
                self.metrics.batches.add(BatchOutcome::Disabled, 1);
                self.failed(&reply.detail);
            }
            _ => {
                self.metrics.batches.add(BatchOutcome::Retried, 1);
                self.failed(&reply.detail);
            }
        }
    }

    fn delivered(&mut self, count: usize, now: Stamp) {
        self.metrics.batches.add(BatchOutcome::Delivered, 1);
        let m = &self.metrics;
        m.records.add(count as u64);
        self.delivered += count as u64;
        self.last_success = Some(now);
        if self.streak > 0 {
            log::info!("webhook {}: delivering again after {} failed attempts", self.name, self.streak);
        }
        self.streak = 0;
        self.last_error = None;
        self.source_failing = false;
        self.logged.clear();
    }

    /// Says so when it begins and when the cause changes; every single attempt only at level debug.
    fn failed(&mut self, detail: &str) {
        self.failures += 1;
        self.streak += 1;
        if self.logged == detail {
            log::debug!("webhook {}: attempt {} failed: {detail}", self.name, self.streak);
        } else {
            let (trace_id, span_id) = self.span();
            log::warn!(
                endpoint = self.name.as_str(), trace_id, span_id;
                "webhook {}: cannot deliver to {}: {detail}", self.name, self.origin
            );
            detail.clone_into(&mut self.logged);
        }
        self.last_error = Some(detail.to_owned());
    }

    /// What a look at an idle endpoint showed; counts neither for nor against it.
    pub(super) fn probed(&mut self, found: Result<(), Fault>) {
        match found {
            Ok(()) => self.last_error = None,
            Err(fault) => {
                log::debug!(
                    "webhook {}: nothing to deliver, and {} does not answer: {fault}",
                    self.name,
                    self.origin
                );
                self.last_error = Some(fault.to_string());
            }
        }
    }

    pub(super) fn dead_lettered(&mut self, event: &str, status: u16) {
        self.metrics.batches.add(BatchOutcome::DeadLettered, 1);
        let (trace_id, span_id) = self.span();
        log::warn!(
            endpoint = self.name.as_str(), trace_id, span_id;
            "webhook {}: {event} was refused with {status}: it is kept among the dead letters",
            self.name
        );
    }

    pub(super) fn source_failed(&mut self, what: &str, error: &SourceError) {
        if !self.source_failing {
            log::warn!(endpoint = self.name.as_str(); "webhook {}: cannot {what}: {error}", self.name);
        }
        self.source_failing = true;
        self.last_error = Some(format!("cannot {what}: {error}"));
    }

    /// The lag is not said here: it changes with every append, and the outbox shows it.
    pub(super) fn publish(&mut self, plan: &Plan) {
        let position = plan.breaker().position();
        if position != self.position {
            log::info!("webhook {}: breaker is {}", self.name, position.text());
        }
        let m = &self.metrics;
        m.breaker_state.set(position);
        if position != self.position {
            m.breaker_transitions.add(position, 1);
        }
        self.position = position;
        let Some(row) = self.row else { return };
        let mut rows = lock(&self.snapshots.endpoints);
        let view = &mut rows[row];
        view.breaker = position.text();
        view.mode = plan.breaker().mode().name();
        view.delivered = self.delivered;
        view.failures = self.failures;
        view.last_success = self.last_success;
        view.last_error.clone_from(&self.last_error);
        view.disabled = plan.is_gone();
    }
}
