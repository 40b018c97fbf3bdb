//! What a connector says about itself: its row and its inputs on the snapshots, its metrics, and a log line when
//! something has changed.

use std::sync::Arc;
use std::time::Duration;

use super::metrics::{ConnectorMetrics, PollOutcome};
use super::plan::Plan;
use super::sample::{Picked, Reject};
use super::settings::Connector;
use crate::clock::Stamp;
use crate::delivery::breaker::Position;
use crate::delivery::trace::Carried;
use crate::snapshots::Snapshots;
use crate::sync::lock;
use crate::telemetry::metrics::Label;

pub(super) struct Report {
    name: String,
    snapshots: Arc<Snapshots>,
    /// Index of this connector in `snapshots.endpoints`.
    row: Option<usize>,
    metrics: Arc<ConnectorMetrics>,
    position: Position,
    values: u64,
    failures: u64,
    rejected: u64,
    last_success: Option<Stamp>,
    last_error: Option<String>,
    last_rejected: Option<String>,
    /// Failed looks since the last good one.
    streak: u64,
    /// Trace and span id of the look under way, for log lines; empty without one.
    ids: (String, String),
}

impl Report {
    pub(super) fn new(
        connector: &Connector,
        snapshots: Arc<Snapshots>,
        metrics: Arc<ConnectorMetrics>,
        plan: &Plan,
    ) -> Self {
        let rows = lock(&snapshots.endpoints);
        let row = rows.iter().position(|row| row.name == connector.name && row.kind == connector.kind());
        drop(rows);
        Self {
            name: connector.name.clone(),
            snapshots,
            row,
            metrics,
            position: plan.breaker().position(),
            values: 0,
            failures: 0,
            rejected: 0,
            last_success: None,
            last_error: None,
            last_rejected: None,
            streak: 0,
            ids: Default::default(),
        }
    }

    /// What is said from now on belongs to this look.
    pub(super) fn within(&mut self, carried: &Carried) {
        let mut parts = carried.traceparent.split('-').skip(1).map(str::to_owned);
        self.ids = parts.next().zip(parts.next()).unwrap_or_default();
    }

    /// The connections that the requests of a look took.
    pub(super) fn connected(&self, requests: u64, opened: u64) {
        let m = &self.metrics;
        m.opened.add(opened);
        m.reused.add(requests.saturating_sub(opened));
    }

    /// A look that reached its source.
    pub(super) fn reached(&mut self, took: Duration, now: Stamp) {
        let m = &self.metrics;
        m.polls.add(PollOutcome::Ok, 1);
        m.seconds.observe(took.as_secs_f64());
        if self.streak > 0 {
            log::info!("connector {}: reading again after {} failed looks", self.name, self.streak);
        }
        self.streak = 0;
        self.last_error = None;
        self.last_success = Some(now);
    }

    /// A look that did not. Said when it begins and when the cause changes; else only at level debug.
    pub(super) fn failed(&mut self, origin: &str, detail: &str, took: Duration) {
        let m = &self.metrics;
        m.polls.add(PollOutcome::Failed, 1);
        m.seconds.observe(took.as_secs_f64());
        self.failures += 1;
        self.streak += 1;
        if self.last_error.as_deref() == Some(detail) {
            log::debug!("connector {}: look {} failed: {detail}", self.name, self.streak);
        } else {
            let (trace_id, span_id) = (&*self.ids.0, &*self.ids.1);
            log::warn!(
                connector = self.name, trace_id, span_id;
                "connector {}: cannot read {origin}: {detail}", self.name
            );
            self.last_error = Some(detail.to_owned());
        }
    }

    /// Data that is left out as a whole.
    pub(super) fn left_out(&mut self, place: &str, why: Reject, detail: &str) {
        self.count(why);
        self.say_rejected(format!("{place}: {detail}"));
    }

    /// One piece of data: its numbers are on their way to the field.
    pub(super) fn picked(&mut self, connector: &Connector, place: &str, picked: &Picked, now: Stamp) {
        let m = &self.metrics;
        m.values.add(picked.readings.len() as u64);
        self.values += picked.readings.len() as u64;
        let mut inputs = lock(&self.snapshots.inputs);
        for reading in &picked.readings {
            if let Some(view) = inputs.get_mut(reading.input) {
                view.last = Some((reading.value, now));
                view.values += 1;
            }
            if let Some((_, gauge)) = self.metrics.inputs.0.get(reading.input) {
                gauge.set(reading.value);
            }
        }
        drop(inputs);
        let nothing = picked.readings.is_empty();
        for &(k, why) in &picked.rejects {
            self.count(why);
            // Lines of several sensors in one file lack what belongs to the others: that is no mistake.
            if nothing || why != Reject::Missing {
                let input = connector.inputs.get(k).map_or("?", |input| input.name.as_str());
                let what = match why {
                    Reject::Missing => "nothing stands at its pointer",
                    Reject::NotANumber => "what stands at its pointer is no finite number",
                    _ => "gain and offset make more than 10 V of it: the value is kept, the field not pushed",
                };
                self.say_rejected(format!("{place}: input {input}: {what}"));
            }
        }
    }

    /// The field took nothing: it is full until its next step.
    pub(super) fn busy(&mut self, readings: usize) {
        (0..readings).for_each(|_| self.count(Reject::Busy));
    }

    fn count(&mut self, why: Reject) {
        let m = &self.metrics;
        m.rejects.add(why, 1);
        self.rejected += 1;
    }

    /// The same text again is no news: a sensor is asked every few seconds.
    fn say_rejected(&mut self, text: String) {
        if self.last_rejected.as_ref() != Some(&text) {
            let (trace_id, span_id) = (&*self.ids.0, &*self.ids.1);
            log::warn!(connector = self.name, trace_id, span_id; "connector {}: left out: {text}", self.name);
        }
        self.last_rejected = Some(text);
    }

    pub(super) fn publish(&mut self, plan: &Plan, lag: u64) {
        let position = plan.breaker().position();
        if position != self.position {
            log::info!("connector {}: breaker is {}", self.name, position.text());
        }
        let m = &self.metrics;
        m.lag.set(lag as f64);
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
        view.lag = lag;
        view.delivered = self.values;
        view.failures = self.failures;
        view.rejected = self.rejected;
        view.last_success = self.last_success;
        view.last_error.clone_from(&self.last_error);
        view.last_rejected.clone_from(&self.last_rejected);
    }
}
