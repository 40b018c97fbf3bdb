//! The state of the outbox as pollers and scrapes see it.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use crate::board::{Board, OutboxView};
use crate::clock::{BootId, Mono, Stamp, Wall};
use crate::outbox::gap::Reason;
use crate::outbox::status::Status;
use crate::telemetry::metrics::{Metrics, OutboxMetrics};

/// Copies a status to the board and into the gauges. Only the thread of the outbox calls this: a copy that came
/// late would take counters back.
pub fn show(status: &Status, max_bytes: u64, board: &Board, metrics: &Metrics) {
    show_lags(status, board, metrics);
    let metrics = &metrics.outbox;
    let view = view(status, max_bytes, board.identity.boot, (Mono::now(), Wall::now()));
    metrics.appended.store(status.accepted);
    metrics.pending.set(view.records as f64);
    metrics.in_memory.set(view.in_memory as f64);
    metrics.dead.set(view.dead as f64);
    metrics.bytes.set(view.bytes as f64);
    metrics.max_bytes.set(max_bytes as f64);
    metrics.oldest_age_seconds.set(view.oldest_age.unwrap_or_default().as_secs_f64());
    metrics.degraded.set(f64::from(u8::from(view.degraded.is_some())));
    metrics.damaged_bytes.store(view.damaged_bytes);
    let reasons = [Reason::DropOldest, Reason::DropNewest, Reason::Memory, Reason::Queue];
    let dropped = reasons.map(|reason| status.dropped[reason.index()]);
    for (counter, total) in metrics.dropped.iter().zip(dropped.into_iter().chain([status.dead_dropped])) {
        counter.store(total);
    }
    *board.outbox.lock().unwrap_or_else(PoisonError::into_inner) = view;
}

/// Ages grow while nothing happens.
pub fn show_age(board: &Board, metrics: &OutboxMetrics, now: (Mono, Wall)) {
    let mut view = board.outbox.lock().unwrap_or_else(PoisonError::into_inner);
    view.oldest_age = view.oldest.map(|oldest| age(oldest, board.identity.boot, now));
    metrics.oldest_age_seconds.set(view.oldest_age.unwrap_or_default().as_secs_f64());
}

fn show_lags(status: &Status, board: &Board, metrics: &Metrics) {
    let mut rows = board.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
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
