//! The state of the outbox as pollers and scrapes see it.

use std::path::Path;
use std::time::Duration;

use super::tracing::Traces;
use crate::clock::{BootId, Mono, Stamp, Wall};
use crate::snapshots::{OutboxView, Snapshots};
use crate::sync::lock;
use crate::telemetry::metrics::{Metrics, OutboxMetrics};
use mycelium_outbox::gap::Reason;
use mycelium_outbox::status::Status;

/// Copies a status to the snapshots and into the gauges. Only the thread of the outbox calls this: a copy that came
/// late would take counters back. `traces` name the window that waits for a commit.
pub fn show(
    status: &Status,
    max_bytes: u64,
    snapshots: &Snapshots,
    metrics: &Metrics,
    traces: Option<&Traces>,
) {
    show_lags(status, snapshots, metrics);
    let metrics = &metrics.outbox;
    let view = view(status, max_bytes, snapshots.identity.boot, (Mono::now(), Wall::now()));
    metrics.appended.store(status.accepted);
    metrics.pending.set(view.records as f64);
    metrics.in_memory.set(view.in_memory as f64);
    metrics.dead.set(view.dead as f64);
    metrics.bytes.set(view.bytes as f64);
    metrics.max_bytes.set(max_bytes as f64);
    metrics.oldest_age_seconds.set(view.oldest_age.unwrap_or_default().as_secs_f64());
    metrics.degraded.set(f64::from(u8::from(view.degraded.is_some())));
    tell_losses(status, metrics);
    let before = std::mem::replace(&mut *lock(&snapshots.outbox), view.clone());
    tell_changes(&before, &view, traces);
}

/// Of all reasons but a torn end: what that has cost is known in bytes only. In the order of
/// [`OutboxMetrics::DROPS`], where the dead letters come last.
const LOSSES: [Reason; OutboxMetrics::DROPS.len() - 1] =
    [Reason::DropOldest, Reason::DropNewest, Reason::Memory, Reason::Queue, Reason::Damage, Reason::Missing];

/// Counts and logs what was lost since the last time, that which opening has found included.
fn tell_losses(status: &Status, metrics: &OutboxMetrics) {
    let totals = LOSSES.map(|reason| (reason.name(), status.dropped[reason.index()]));
    let totals = totals.into_iter().chain([("dead-full", status.dead_dropped)]);
    for (counter, (reason, total)) in metrics.dropped.iter().zip(totals) {
        let before = counter.get();
        counter.store(total);
        if total > before {
            log::warn!("the outbox has lost {} records by {reason}, {total} in all", total - before);
        }
    }
    let (before, total) = (metrics.damaged_bytes.get(), status.skipped_bytes);
    metrics.damaged_bytes.store(total);
    if total > before {
        log::warn!("the outbox has skipped {} bytes that hold no record, {total} in all", total - before);
    }
}

fn tell_changes(before: &OutboxView, now: &OutboxView, traces: Option<&Traces>) {
    // Each attempt is for another file: only its cause makes it news.
    let cause = |text: &Option<String>| {
        text.as_deref().map(|t| t.split_once(": ").map_or(t, |(_, why)| why).to_owned())
    };
    match (&before.degraded, &now.degraded) {
        (_, Some(text)) if cause(&before.degraded) != cause(&now.degraded) => {
            let (trace_id, span_id) = traces.map(Traces::waiting).unwrap_or_default();
            log::warn!(trace_id, span_id; "the outbox is degraded: {text}");
        }
        (Some(_), None) => log::info!("the outbox is well again"),
        _ => {}
    }
    match (before.full, now.full) {
        (false, true) => {
            log::warn!(
                "the outbox has reached its size: nothing is kept before a receiver has taken something"
            );
        }
        (true, false) => log::info!("the outbox has room again"),
        _ => {}
    }
}

/// Ages grow while nothing happens.
pub fn show_age(snapshots: &Snapshots, metrics: &OutboxMetrics, now: (Mono, Wall)) {
    let mut view = lock(&snapshots.outbox);
    view.oldest_age = view.oldest.map(|oldest| age(oldest, snapshots.identity.boot, now));
    metrics.oldest_age_seconds.set(view.oldest_age.unwrap_or_default().as_secs_f64());
}

fn show_lags(status: &Status, snapshots: &Snapshots, metrics: &Metrics) {
    let mut rows = lock(&snapshots.endpoints);
    for endpoint in &status.endpoints {
        let name = endpoint.name.as_str();
        if let Some(row) = rows.iter_mut().find(|row| row.name == name && row.kind == "webhook") {
            row.lag = endpoint.lag;
        }
        if let Some(delivery) = metrics.delivery.iter().find(|delivery| delivery.endpoint == name) {
            delivery.lag_records.set(endpoint.lag as f64);
        }
    }
}

/// Notes how much the file system of `data` has left for this process.
pub fn show_free_space(data: &Path, metrics: &OutboxMetrics) {
    if let Ok(space) = rustix::fs::statvfs(data) {
        metrics.free_bytes.set(space.f_bavail.saturating_mul(space.f_frsize) as f64);
    }
}

fn view(status: &Status, max_bytes: u64, boot: BootId, now: (Mono, Wall)) -> OutboxView {
    OutboxView {
        durable_seq: status.durable_seq,
        records: status.pending,
        in_memory: status.held,
        bytes: status.bytes,
        max_bytes,
        segments: status.segments,
        dropped: status.dropped.iter().sum(),
        damaged_bytes: status.skipped_bytes,
        dead: status.dead,
        oldest: status.oldest,
        oldest_age: status.oldest.map(|oldest| age(oldest, boot, now)),
        degraded: status.degraded.clone(),
        full: status.full,
    }
}

/// Of a record of this boot by the monotonic clock; of an earlier one by the wall, which is all there is: a wrong
/// clock gives a wrong age, and nothing but what is shown depends on it.
fn age((of, stamp): (BootId, Stamp), boot: BootId, (mono, wall): (Mono, Wall)) -> Duration {
    if of == boot {
        return mono.since(stamp.mono);
    }
    Duration::from_millis(u64::try_from(wall.0.saturating_sub(stamp.wall.0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_follows_the_monotonic_clock_within_a_boot_and_the_wall_beyond_it() {
        let stamp = Stamp { mono: Mono(5_000_000_000), wall: Wall(1_000_000), synced: false };
        let (this, earlier) = (BootId(1), BootId(2));
        let rows = [
            (this, Mono(9_000_000_000), Wall(0), 4, "the wall may jump as it likes"),
            (this, Mono(1), Wall(9_000_000), 0, "never negative"),
            (earlier, Mono(1), Wall(1_060_000), 60, "the monotonic clock began anew"),
            (earlier, Mono(1), Wall(0), 0, "a clock behind the record gives no age"),
        ];
        for (boot, mono, wall, want, why) in rows {
            assert_eq!(age((boot, stamp), this, (mono, wall)), Duration::from_secs(want), "{why}");
        }
    }
}
