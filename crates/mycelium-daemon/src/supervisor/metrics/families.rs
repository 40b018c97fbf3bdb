//! Every metric by name, type, unit, labels and meaning; what is exported and documented comes from here alone.

use std::sync::Arc;

use super::Metrics;
use crate::telemetry::metrics::{BuildInfo, MetricFamily, MetricKind, ProcessStats};
use mycelium_core::features::{FEATURE_NAMES, LYAPUNOV_INDEX};

/// What [`FAMILIES`] are rendered from.
pub struct MetricsSource {
    pub metrics: Arc<Metrics>,
    pub process: ProcessStats,
    pub build: BuildInfo,
}

/// One row per metric: name: type, unit, labels; meaning; where the numbers are. What to alert on stands in
/// deploy/prometheus alone, from where docs/METRICS.md has it.
macro_rules! families {
    ($($name:literal: $kind:ident, $unit:literal, [$($label:literal),*]; $help:literal; $write:expr;)+) => {
        &[$(MetricFamily {
            name: $name, kind: MetricKind::$kind, unit: $unit, labels: &[$($label),*],
            help: $help, write: $write,
        }),+]
    };
}

#[rustfmt::skip]
pub const FAMILIES: &[MetricFamily<MetricsSource>] = families! {
    "mfn_build": Info, "", ["version", "target"];
        "Version and target of this binary.";
        |from, to| to.count(&[("version", from.build.version), ("target", from.build.target)], 1);
    "mfn_simulation_steps": Counter, "", [];
        "Steps of the field.";
        |from, to| to.count(&[], from.metrics.sim.steps.get());
    "mfn_simulation_step_duration_seconds": Histogram, "seconds", [];
        "Time of one step, features included. Buckets from a 64x64 step (microseconds) to one of 512x512 (milliseconds).";
        |from, to| to.histogram(&[], &from.metrics.sim.step_seconds);
    "mfn_simulation_late_ticks": Counter, "", [];
        "Ticks that came later than one whole tick.";
        |from, to| to.count(&[], from.metrics.sim.late_ticks.get());
    "mfn_simulation_reseeds": Counter, "", [];
        "Times the field was re-seeded because a value was not finite.";
        |from, to| to.count(&[], from.metrics.sim.reseeds.get());
    "mfn_growth_events": Counter, "", [];
        "Spikes, spontaneous or listed.";
        |from, to| to.count(&[], from.metrics.sim.growth_events.get());
    "mfn_turing_activations": Counter, "", [];
        "Cells whose activator passed its threshold.";
        |from, to| to.count(&[], from.metrics.sim.turing_activations.get());
    "mfn_clamping_events": Counter, "", [];
        "Cells whose potential was clipped to -95..40 mV.";
        |from, to| to.count(&[], from.metrics.sim.clamping_events.get());
    "mfn_stimuli": Counter, "", [];
        "Stimuli applied to the field from outside.";
        |from, to| to.count(&[], from.metrics.sim.stimuli.get());
    "mfn_fractal_dimension": Histogram, "", [];
        "Box-counting dimension of each feature record. Buckets from 0 to 2, finer where patterns lie.";
        |from, to| to.histogram(&[], &from.metrics.sim.fractal_dimension);
    "mfn_lyapunov_exponent": Gauge, "", [];
        "Largest Lyapunov exponent per step of the last feature record; NaN until it is known.";
        |from, to| to.value(&[], from.metrics.sim.features[LYAPUNOV_INDEX].get());
    "mfn_feature": Gauge, "", ["name"];
        "Each feature of the last record, in its own unit (docs/FEATURES.md).";
        |from, to| for (name, gauge) in FEATURE_NAMES.iter().zip(&from.metrics.sim.features) {
            to.value(&[("name", name)], gauge.get());
        };
    "mfn_http_requests": Counter, "", ["endpoint", "method", "status"];
        "Requests answered; status 0 stands for all statuses that are not listed here.";
        |from, to| for (endpoint, method, status, count) in from.metrics.http.requests() {
            to.count(&[("endpoint", endpoint), ("method", method), ("status", &status.to_string())], count);
        };
    "mfn_http_request_duration_seconds": Histogram, "seconds", [];
        "Time from a whole request to its answer, without what a long poll waits for a record. Buckets from a cached answer (10 us) to a bounded simulation (5 s).";
        |from, to| to.histogram(&[], &from.metrics.http.seconds);
    "mfn_http_connections": Gauge, "", ["state"];
        "Open connections: idle ones wait for a request, busy ones for its answer.";
        |from, to| {
            to.value(&[("state", "idle")], from.metrics.http.idle.get());
            to.value(&[("state", "busy")], from.metrics.http.busy.get());
        };
    "mfn_http_evictions": Counter, "", ["reason"];
        "Connections ended from this side, those that found no place (refused), failed TLS handshakes, and requests whose client went while they waited (abandoned).";
        |from, to| to.counters(None, "reason", &from.metrics.http.evictions);
    "mfn_http_stream_dropped": Counter, "", [];
        "Feature records that the readers of streams and WebSockets were too slow for.";
        |from, to| to.count(&[], from.metrics.http.stream_dropped.get());
    "mfn_http_rate_limited": Counter, "", [];
        "Requests answered 429.";
        |from, to| to.count(&[], from.metrics.http.rate_limited.get());
    "mfn_events_accepted": Counter, "", [];
        "Events of the user's own that the outbox has taken.";
        |from, to| to.count(&[], from.metrics.http.events.accepted.get());
    "mfn_events_repeated": Counter, "", [];
        "Events that were not stored again, because one with their source and id was.";
        |from, to| to.count(&[], from.metrics.http.events.repeated.get());
    "mfn_events_refused": Counter, "", ["reason"];
        "Requests with events that were refused as a whole: busy ones are to be sent again, invalid and too large ones to be corrected.";
        |from, to| to.counters(None, "reason", &from.metrics.http.events.refused);
    "mfn_outbox_records": Gauge, "", ["state"];
        "Records waiting for a receiver (all that are kept when there is none), waiting in memory for the disk, and dead.";
        |from, to| {
            let outbox = &from.metrics.outbox;
            for (state, gauge) in [("pending", &outbox.pending), ("in_memory", &outbox.in_memory), ("dead", &outbox.dead)] {
                to.value(&[("state", state)], gauge.get());
            }
        };
    "mfn_outbox_appended_records": Counter, "", [];
        "Records the outbox has taken.";
        |from, to| to.count(&[], from.metrics.outbox.appended.get());
    "mfn_outbox_bytes": Gauge, "bytes", [];
        "Disk space of all segments.";
        |from, to| to.value(&[], from.metrics.outbox.bytes.get());
    "mfn_outbox_max_bytes": Gauge, "bytes", [];
        "What the segments may take: outbox.max_bytes.";
        |from, to| to.value(&[], from.metrics.outbox.max_bytes.get());
    "mfn_outbox_free_bytes": Gauge, "bytes", [];
        "Free space on the file system of the data directory.";
        |from, to| to.value(&[], from.metrics.outbox.free_bytes.get());
    "mfn_outbox_oldest_age_seconds": Gauge, "seconds", [];
        "Age of the oldest record a receiver has not taken.";
        |from, to| to.value(&[], from.metrics.outbox.oldest_age_seconds.get());
    "mfn_outbox_dropped": Counter, "", ["reason"];
        "Records lost before delivery: given up for want of room, damaged, or gone with their files.";
        |from, to| to.counters(None, "reason", &from.metrics.outbox.dropped);
    "mfn_outbox_damaged_bytes": Counter, "bytes", [];
        "Bytes of segments that held no record any more.";
        |from, to| to.count(&[], from.metrics.outbox.damaged_bytes.get());
    "mfn_outbox_degraded": Gauge, "", [];
        "1 while the outbox cannot write, else 0.";
        |from, to| to.value(&[], from.metrics.outbox.degraded.get());
    "mfn_outbox_commit_duration_seconds": Histogram, "seconds", [];
        "Time of one commit with its fdatasync. Buckets from a good disk (0.1 ms) to a dying SD card (5 s).";
        |from, to| to.histogram(&[], &from.metrics.outbox.commit_seconds);
    "mfn_delivery_batches": Counter, "", ["endpoint", "outcome"];
        "Batches by what became of them.";
        |from, to| for d in &from.metrics.delivery {
            to.counters(Some(("endpoint", &d.endpoint)), "outcome", &d.batches);
        };
    "mfn_delivery_records": Counter, "", ["endpoint"];
        "Records receivers have acknowledged.";
        |from, to| for d in &from.metrics.delivery {
            to.count(&[("endpoint", &d.endpoint)], d.records.get());
        };
    "mfn_delivery_filtered_records": Counter, "", ["endpoint"];
        "Records that `types` left out; they count as delivered.";
        |from, to| for d in &from.metrics.delivery {
            to.count(&[("endpoint", &d.endpoint)], d.filtered.get());
        };
    "mfn_delivery_duration_seconds": Histogram, "seconds", ["endpoint"];
        "Time of one request to a receiver. Buckets from the same network (5 ms) to the time-out (15 s).";
        |from, to| for d in &from.metrics.delivery {
            to.histogram(&[("endpoint", &d.endpoint)], &d.seconds);
        };
    "mfn_delivery_retries": Counter, "", ["endpoint"];
        "Requests that were tried again.";
        |from, to| for d in &from.metrics.delivery {
            to.count(&[("endpoint", &d.endpoint)], d.retries.get());
        };
    "mfn_delivery_lag_records": Gauge, "", ["endpoint"];
        "Records the receiver has not taken yet.";
        |from, to| for d in &from.metrics.delivery {
            to.value(&[("endpoint", &d.endpoint)], d.lag_records.get());
        };
    "mfn_connections_reused": Counter, "", ["endpoint"];
        "Requests to receivers and sensors over a connection that was open already.";
        |from, to| {
            for d in &from.metrics.delivery {
                to.count(&[("endpoint", &d.endpoint)], d.reused.get());
            }
            for c in &from.metrics.connectors {
                to.count(&[("endpoint", &c.connector)], c.reused.get());
            }
        };
    "mfn_connections_opened": Counter, "", ["endpoint"];
        "Connections made to receivers and sensors.";
        |from, to| {
            for d in &from.metrics.delivery {
                to.count(&[("endpoint", &d.endpoint)], d.opened.get());
            }
            for c in &from.metrics.connectors {
                to.count(&[("endpoint", &c.connector)], c.opened.get());
            }
        };
    "mfn_breaker_state": Gauge, "", ["endpoint", "state"];
        "1 for the state the breaker is in, 0 for the others.";
        |from, to| for d in &from.metrics.delivery {
            to.states(("endpoint", &d.endpoint), "state", &d.breaker_state);
        };
    "mfn_connector_polls": Counter, "", ["connector", "outcome"];
        "Looks of a connector at its source.";
        |from, to| for c in &from.metrics.connectors {
            to.counters(Some(("connector", &c.connector)), "outcome", &c.polls);
        };
    "mfn_connector_duration_seconds": Histogram, "seconds", ["connector"];
        "Time of one look. Buckets from the same network (5 ms) to a time-out (15 s).";
        |from, to| for c in &from.metrics.connectors {
            to.histogram(&[("connector", &c.connector)], &c.seconds);
        };
    "mfn_connector_values": Counter, "", ["connector"];
        "Values read from sensors.";
        |from, to| for c in &from.metrics.connectors {
            to.count(&[("connector", &c.connector)], c.values.get());
        };
    "mfn_connector_rejected": Counter, "", ["connector", "reason"];
        "Lines, files and values that were left out as they were no good.";
        |from, to| for c in &from.metrics.connectors {
            to.counters(Some(("connector", &c.connector)), "reason", &c.rejects);
        };
    "mfn_connector_lag": Gauge, "", ["connector"];
        "What is there and was not read yet: bytes of a followed file, files of a directory.";
        |from, to| for c in &from.metrics.connectors {
            to.value(&[("connector", &c.connector)], c.lag.get());
        };
    "mfn_connector_breaker_state": Gauge, "", ["connector", "state"];
        "1 for the state the breaker is in, 0 for the others.";
        |from, to| for c in &from.metrics.connectors {
            to.states(("connector", &c.connector), "state", &c.breaker_state);
        };
    "mfn_connector_breaker_transitions": Counter, "", ["connector", "to"];
        "Changes of the breaker into each state.";
        |from, to| for c in &from.metrics.connectors {
            to.counters(Some(("connector", &c.connector)), "to", &c.breaker_transitions);
        };
    "mfn_input_value": Gauge, "", ["input"];
        "Newest value of each input, in its own unit; NaN until there is one.";
        |from, to| for (name, gauge) in &from.metrics.inputs.0 {
            to.value(&[("input", name)], gauge.get());
        };
    "mfn_signal_samples": Counter, "", ["input"];
        "Samples of each signal that are in its features.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.samples.get());
        };
    "mfn_signal_late": Counter, "", ["input"];
        "Samples older than the open window of their signal, which are in no feature.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.late.get());
        };
    "mfn_signal_refused": Counter, "", ["input"];
        "Samples refused: more than a day in the future, or not finite once scaled.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.refused.get());
        };
    "mfn_signal_saturated": Counter, "", ["input"];
        "Samples at or beyond `low` or `high`, counted when their window is complete.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.saturated.get());
        };
    "mfn_signal_missing": Counter, "", ["input"];
        "Samples that should have come by `expected_ms`, counted when a window is complete.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.missing.get());
        };
    "mfn_signal_windows": Counter, "", ["input"];
        "Complete windows of each signal.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.windows.get());
        };
    "mfn_signal_spikes": Counter, "", ["input"];
        "Spikes of each signal.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.spikes.get());
        };
    "mfn_signal_lost": Counter, "", ["input"];
        "Windows, spikes and blocks of samples that the outbox did not take.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.count(&[("input", &signal.signal)], signal.lost.get());
        };
    "mfn_signal_value": Gauge, "", ["input"];
        "Newest sample of each signal, in its unit; NaN until there is one.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.value(&[("input", &signal.signal)], signal.value.get());
        };
    "mfn_signal_time_seconds": Gauge, "seconds", ["input"];
        "Time of the newest sample since 1970, whose age is time() minus this; NaN until there is one.";
        |from, to| for signal in &from.metrics.signals.0 {
            to.value(&[("input", &signal.signal)], signal.time.get());
        };
    "mfn_breaker_transitions": Counter, "", ["endpoint", "to"];
        "Changes of the breaker into each state.";
        |from, to| for d in &from.metrics.delivery {
            to.counters(Some(("endpoint", &d.endpoint)), "to", &d.breaker_transitions);
        };
    "mfn_clock_synced": Gauge, "", [];
        "1 while the system clock is disciplined, else 0.";
        |from, to| to.value(&[], from.metrics.clock_synced.get());
    "mfn_log_suppressed": Counter, "", [];
        "Log lines that were counted instead of written.";
        |from, to| to.count(&[], from.metrics.log_suppressed.get());
    "mfn_log_lost": Counter, "", [];
        "Log lines that standard error did not take: its disk is full or nobody reads it.";
        |from, to| to.count(&[], from.metrics.log_lost.get());
    "mfn_trace_spans_exported": Counter, "", [];
        "Spans the OTLP receiver has taken.";
        |from, to| to.count(&[], from.metrics.spans.exported.get());
    "mfn_trace_spans_dropped": Counter, "", [];
        "Sampled spans that were given up: the queue was full or the receiver refused them.";
        |from, to| to.count(&[], from.metrics.spans.dropped.get());
    "process_cpu_seconds": Counter, "seconds", [];
        "Processor time of this process, user and system.";
        |from, to| to.value(&[], from.process.cpu_seconds);
    "mfn_memory_budget_bytes": Gauge, "bytes", [];
        "What `myceliumd check` reckons this configuration takes, without the program itself.";
        |from, to| to.value(&[], from.metrics.memory_budget.get());
    "process_resident_memory_bytes": Gauge, "bytes", [];
        "Memory of this process that is present.";
        |from, to| to.value(&[], from.process.resident_bytes);
    "process_open_fds": Gauge, "", [];
        "Open file descriptors.";
        |from, to| to.value(&[], from.process.open_fds);
    "process_max_fds": Gauge, "", [];
        "File descriptors this process may open.";
        |from, to| to.value(&[], from.process.max_fds);
    "process_threads": Gauge, "", [];
        "Threads of this process.";
        |from, to| to.value(&[], from.process.threads);
    "process_start_time_seconds": Gauge, "seconds", [];
        "Start of this process, seconds since 1970 by the clock as it is now.";
        |from, to| to.value(&[], from.process.start_time_seconds);
};
