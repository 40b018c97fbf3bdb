//! The numbers of the outbox, and its status as pollers and scrapes see it.

use std::path::Path;
use std::time::Duration;

use super::metrics::Metrics;
use super::tracing::Traces;
use crate::clock::{BootId, Mono, Stamp, Wall};
use crate::snapshots::{OutboxView, Snapshots};
use crate::sync::lock;
use crate::telemetry::metrics::{Counter, Gauge, Histogram, Label, LabelledCounters, labels};
use mycelium_outbox::{GapReason, OutboxStatus};

/// Written by the outbox thread.
#[derive(Debug)]
pub struct OutboxMetrics {
    pub commit_seconds: Histogram<10>,
    pub appended: Counter,
    pub pending: Gauge,
    pub in_memory: Gauge,
    pub dead: Gauge,
    pub bytes: Gauge,
    pub max_bytes: Gauge,
    pub free_bytes: Gauge,
    pub oldest_age_seconds: Gauge,
    pub degraded: Gauge,
    pub damaged_bytes: Counter,
    pub dropped: LabelledCounters<DropReason>,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            commit_seconds: Histogram::new(&COMMIT_SECONDS),
            appended: Counter::new(),
            pending: Gauge::new(),
            in_memory: Gauge::new(),
            dead: Gauge::new(),
            bytes: Gauge::new(),
            max_bytes: Gauge::new(),
            free_bytes: Gauge::new(),
            oldest_age_seconds: Gauge::new(),
            degraded: Gauge::new(),
            damaged_bytes: Counter::new(),
            dropped: LabelledCounters::default(),
        }
    }
}

/// Seconds; an fdatasync from a good disk to a dying SD card.
static COMMIT_SECONDS: [f64; 10] = [1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0];

/// Why a record was lost before delivery. A torn end is none: its cost is known in bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    FullOldest,
    FullNewest,
    Memory,
    Queue,
    Damage,
    Missing,
    DeadFull,
}
labels!(DropReason {
    FullOldest = "full_oldest",
    FullNewest = "full_newest",
    Memory = "memory",
    Queue = "queue",
    Damage = "damage",
    Missing = "missing",
    DeadFull = "dead_full",
});

impl DropReason {
    /// The reason in gap records and log lines, and records lost for it since the start.
    fn total(self, status: &OutboxStatus) -> (&'static str, u64) {
        let reason = match self {
            Self::FullOldest => GapReason::DropOldest,
            Self::FullNewest => GapReason::DropNewest,
            Self::Memory => GapReason::Memory,
            Self::Queue => GapReason::Queue,
            Self::Damage => GapReason::Damage,
            Self::Missing => GapReason::Missing,
            Self::DeadFull => return ("dead-full", status.dead_letters_dropped),
        };
        (reason.name(), status.dropped[reason.index()])
    }
}

/// Publishes a status in the snapshots and the gauges. Only the outbox thread may call this: a copy published late
/// would move counters backwards. `traces` name the window that waits for a commit.
pub fn publish(
    status: &OutboxStatus,
    max_bytes: u64,
    snapshots: &Snapshots,
    metrics: &Metrics,
    traces: Option<&Traces>,
) {
    publish_lags(status, snapshots, metrics);
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
    report_losses(status, metrics);
    let before = std::mem::replace(&mut *lock(&snapshots.outbox), view.clone());
    log_changes(&before, &view, traces);
}

/// Counts and logs what was lost since the last call; the first includes what was found when the outbox was opened.
fn report_losses(status: &OutboxStatus, metrics: &OutboxMetrics) {
    for &label in DropReason::ALL {
        let ((reason, total), before) = (label.total(status), metrics.dropped.get(label));
        metrics.dropped.store(label, total);
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

fn log_changes(before: &OutboxView, now: &OutboxView, traces: Option<&Traces>) {
    // The text names the file of the failed attempt, which differs each time: compare the cause behind it.
    let cause = |text: &Option<String>| {
        text.as_deref().map(|t| t.split_once(": ").map_or(t, |(_, why)| why).to_owned())
    };
    match (&before.degraded, &now.degraded) {
        (_, Some(text)) if cause(&before.degraded) != cause(&now.degraded) => {
            let (trace_id, span_id) = traces.map(Traces::first_uncommitted).unwrap_or_default();
            log::warn!(trace_id, span_id; "the outbox is degraded: {text}");
        }
        (Some(_), None) => log::info!("the outbox has recovered"),
        _ => {}
    }
    match (before.full, now.full) {
        (false, true) => {
            log::warn!(
                "the outbox has reached outbox.max_bytes: no record is stored until a receiver acknowledges some"
            );
        }
        (true, false) => log::info!("the outbox stores records again"),
        _ => {}
    }
}

/// Updates the age of the oldest record, which grows while the outbox thread sleeps.
pub fn publish_age(snapshots: &Snapshots, metrics: &OutboxMetrics, now: (Mono, Wall)) {
    let mut view = lock(&snapshots.outbox);
    view.oldest_age = view.oldest.map(|oldest| age(oldest, snapshots.identity.boot, now));
    metrics.oldest_age_seconds.set(view.oldest_age.unwrap_or_default().as_secs_f64());
}

fn publish_lags(status: &OutboxStatus, snapshots: &Snapshots, metrics: &Metrics) {
    let mut rows = lock(&snapshots.endpoints);
    for endpoint in &status.endpoints {
        let name = endpoint.name.as_str();
        if let Some(row) = rows.iter_mut().find(|row| row.name == name) {
            row.lag = endpoint.lag;
        }
        if let Some(delivery) = metrics.delivery.iter().find(|delivery| delivery.endpoint == name) {
            delivery.lag_records.set(endpoint.lag as f64);
        }
    }
}

/// Measures how much the file system of `data` has left for this process.
pub fn publish_free_space(data: &Path, metrics: &OutboxMetrics) {
    if let Ok(space) = rustix::fs::statvfs(data) {
        metrics.free_bytes.set(space.f_bavail.saturating_mul(space.f_frsize) as f64);
    }
}

fn view(status: &OutboxStatus, max_bytes: u64, boot: BootId, now: (Mono, Wall)) -> OutboxView {
    OutboxView {
        durable_seq: status.durable_seq,
        records: status.pending,
        in_memory: status.in_memory,
        bytes: status.bytes,
        max_bytes,
        segments: status.segments,
        dropped: status.dropped.iter().sum(),
        damaged_bytes: status.skipped_bytes,
        dead: status.dead_letters,
        oldest: status.oldest,
        oldest_age: status.oldest.map(|oldest| age(oldest, boot, now)),
        degraded: status.degraded.clone(),
        full: status.full,
    }
}

/// Age of a record: of this boot by the monotonic clock, of an earlier boot by the wall clock. A wrong wall clock gives
/// a wrong age; only what is displayed depends on it.
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
            (this, Mono(9_000_000_000), Wall(0), 4, "jumps of the wall clock do not matter"),
            (this, Mono(1), Wall(9_000_000), 0, "never negative"),
            (earlier, Mono(1), Wall(1_060_000), 60, "the monotonic clock restarted"),
            (earlier, Mono(1), Wall(0), 0, "a clock behind the record gives no age"),
        ];
        for (boot, mono, wall, want, why) in rows {
            assert_eq!(age((boot, stamp), this, (mono, wall)), Duration::from_secs(want), "{why}");
        }
    }
}
