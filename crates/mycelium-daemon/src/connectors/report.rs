//! What a connector reports: its rows in the snapshots, its metrics, and a log line when something has changed.

use std::sync::Arc;
use std::time::Duration;

use super::extract::{Extraction, RejectReason};
use super::metrics::{ConnectorMetrics, PollOutcome};
use super::schedule::PollSchedule;
use super::settings::Connector;
use crate::clock::{Mono, Stamp};
use crate::formats::plural::counted;
use crate::net::breaker::BreakerState;
use crate::net::client::ConnectionCounts;
use crate::net::trace::TraceHeaders;
use crate::snapshots::Snapshots;
use crate::sync::lock;
use crate::telemetry::metrics::Label;

pub(super) struct Report {
    name: String,
    snapshots: Arc<Snapshots>,
    /// Index of this connector in `snapshots.endpoints`.
    row: Option<usize>,
    metrics: Arc<ConnectorMetrics>,
    breaker: BreakerState,
    values: u64,
    failures: u64,
    rejected: u64,
    last_success: Option<Stamp>,
    last_error: Option<String>,
    last_rejected: Option<String>,
    /// Failed polls since the last successful one.
    streak: u64,
    /// Of the current poll, or the last one; empty for files.
    trace: TraceHeaders,
}

impl Report {
    pub(super) fn new(
        connector: &Connector,
        snapshots: Arc<Snapshots>,
        metrics: Arc<ConnectorMetrics>,
        schedule: &PollSchedule,
    ) -> Self {
        let rows = lock(&snapshots.endpoints);
        let row = rows.iter().position(|row| row.name == connector.name && row.kind == connector.kind());
        drop(rows);
        Self {
            name: connector.name.clone(),
            snapshots,
            row,
            metrics,
            breaker: schedule.breaker().state(),
            values: 0,
            failures: 0,
            rejected: 0,
            last_success: None,
            last_error: None,
            last_rejected: None,
            streak: 0,
            trace: TraceHeaders::default(),
        }
    }

    /// A poll begins; later log lines carry the ids of its span.
    pub(super) fn begin(&mut self, trace: &TraceHeaders) {
        self.trace.clone_from(trace);
    }

    /// The connections that the requests of a poll used.
    pub(super) fn connected(&self, connections: ConnectionCounts) {
        let m = &self.metrics;
        m.opened.add(connections.opened);
        m.reused.add(connections.reused());
    }

    /// A poll succeeded.
    pub(super) fn succeeded(&mut self, took: Duration, now: Stamp) {
        let m = &self.metrics;
        m.polls.add(PollOutcome::Ok, 1);
        m.seconds.observe(took.as_secs_f64());
        if self.streak > 0 {
            log::info!("connector {}: recovered after {}", self.name, counted(self.streak, "failed read"));
        }
        self.streak = 0;
        self.last_error = None;
        self.last_success = Some(now);
    }

    /// A poll failed. The first failure and every change of the cause is a warning, the others are logged at level debug.
    pub(super) fn failed(&mut self, origin: &str, detail: &str, took: Duration) {
        let m = &self.metrics;
        m.polls.add(PollOutcome::Failed, 1);
        m.seconds.observe(took.as_secs_f64());
        self.failures += 1;
        self.streak += 1;
        if self.last_error.as_deref() == Some(detail) {
            log::debug!("connector {}: poll {} failed: {detail}", self.name, self.streak);
        } else {
            let (trace_id, span_id) = self.trace.ids();
            log::warn!(
                connector = self.name, trace_id, span_id;
                "connector {}: cannot read {origin}: {detail}", self.name
            );
            self.last_error = Some(detail.to_owned());
        }
    }

    /// A piece of data is rejected as a whole.
    pub(super) fn reject(&mut self, place: &str, why: RejectReason, detail: &str) {
        self.count(why);
        self.log_rejected(format!("{place}: {detail}"));
    }

    /// The readings of one piece of data were handed to the field.
    pub(super) fn extracted(
        &mut self,
        connector: &Connector,
        place: &str,
        extraction: &Extraction,
        now: Stamp,
    ) {
        let m = &self.metrics;
        m.values.add(extraction.readings.len() as u64);
        self.values += extraction.readings.len() as u64;
        let mut inputs = lock(&self.snapshots.inputs);
        for reading in &extraction.readings {
            if let Some(view) = inputs.get_mut(reading.input) {
                view.last = Some((reading.value, now));
                view.values += 1;
            }
            if let Some((_, gauge)) = self.metrics.inputs.0.get(reading.input) {
                gauge.set(reading.value);
            }
        }
        drop(inputs);
        let empty = extraction.readings.is_empty();
        for &(k, why) in &extraction.rejects {
            self.count(why);
            // LineSplitter of several sensors in one file lack what belongs to the others: that is no mistake.
            if empty || why != RejectReason::Missing {
                let input = connector.inputs.get(k).map_or("?", |input| input.name.as_str());
                let what = match why {
                    RejectReason::Missing => "its pointer finds no value",
                    RejectReason::NotANumber => "the value at its pointer is not a finite number",
                    RejectReason::Time => {
                        "its time is missing or not in its format: the value is used, but not in the signal"
                    }
                    _ => {
                        "gain and offset give more than 10 V: the value is used, but the field is not stimulated"
                    }
                };
                self.log_rejected(format!("{place}: input {input}: {what}"));
            }
        }
    }

    /// The field takes no more readings before its next step.
    pub(super) fn busy(&mut self, readings: usize) {
        (0..readings).for_each(|_| self.count(RejectReason::Busy));
    }

    fn count(&mut self, why: RejectReason) {
        let m = &self.metrics;
        m.rejects.add(why, 1);
        self.rejected += 1;
    }

    /// A repeated text is not logged again, since sensors are polled every few seconds.
    fn log_rejected(&mut self, text: String) {
        if self.last_rejected.as_ref() != Some(&text) {
            let (trace_id, span_id) = self.trace.ids();
            log::warn!(connector = self.name, trace_id, span_id; "connector {}: rejected: {text}", self.name);
        }
        self.last_rejected = Some(text);
    }

    pub(super) fn publish(&mut self, schedule: &PollSchedule, lag: u64) {
        let breaker = schedule.breaker().state();
        let changed = breaker != self.breaker;
        if changed {
            let level = if breaker == BreakerState::Open { log::Level::Warn } else { log::Level::Info };
            log::log!(level, connector = self.name; "connector {}: breaker is {}", self.name, breaker.text());
        }
        let m = &self.metrics;
        m.lag.set(lag as f64);
        m.breaker_state.set(breaker);
        if changed {
            m.breaker_transitions.add(breaker, 1);
        }
        self.breaker = breaker;
        let Some(row) = self.row else { return };
        let mut rows = lock(&self.snapshots.endpoints);
        let view = &mut rows[row];
        view.breaker = breaker.text();
        view.mode = schedule.breaker().mode().name();
        view.lag = lag;
        view.delivered = self.values;
        view.failures = self.failures;
        view.rejected = self.rejected;
        view.last_success = self.last_success;
        view.last_error.clone_from(&self.last_error);
        view.next_try = schedule.breaker().open_until().filter(|&at| at > Mono::now());
        view.last_rejected.clone_from(&self.last_rejected);
    }
}
