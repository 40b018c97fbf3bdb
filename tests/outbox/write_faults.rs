//! Disks that are full, broken or read-only, caps, and clocks that jump.

use std::time::Duration;

use crate::support::outbox::{CrashDisk, EIO, EROFS, EVENT, NOW, append, drain, open, policy, stamp};
use mycelium_daemon::clock::{BootId, Wall};
use mycelium_outbox::{
    AppendError, BatchRecord, Durability, GapReason, Outbox, OutboxError, OutboxPolicy, OverflowPolicy,
    Position, RecordBatch, RecordKind,
};

const LATER: Duration = Duration::from_mins(1);

/// A segment is never written again after a failed write or sync, and nothing is durable that was not synced.
///
/// Mutants seen red: a second sync of the same descriptor, which succeeds without having written anything; the segment
/// written on after the failure.
#[test]
fn a_failed_sync_poisons_the_segment_and_its_records_are_written_elsewhere() {
    for seed in 0..50 {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        for n in 1..=8 {
            append(&mut outbox, n, NOW).unwrap();
        }
        disk.fail_syncs(EIO, 1);
        for n in 9..=16 {
            append(&mut outbox, n, NOW).unwrap();
        }
        assert_eq!(outbox.status().durable_seq, 8);
        assert!(outbox.degraded().unwrap().contains("sync"), "{:?}", outbox.degraded());
        outbox.tick(NOW + LATER);
        assert_eq!((outbox.degraded(), outbox.status().durable_seq), (None, 16));
        assert_eq!(outbox.status().segments, 2);
        let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(seed));
        let mut outbox = open(&disk, 2, policy(), &["hub"]);
        let (events, gaps) = drain(&mut outbox, 0, NOW);
        assert_eq!((events, gaps), ((1..=16).collect(), vec![]));
    }
}

#[test]
fn a_disk_that_refuses_writes_costs_nothing_as_long_as_memory_lasts() {
    for (errno, text) in [(EIO, "check the disk"), (EROFS, "remount"), (28, "free space")] {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        append(&mut outbox, 1, NOW).unwrap();
        assert!(outbox.flush(NOW));
        disk.refuse_writes(Some(errno));
        for n in 2..=3_001 {
            append(&mut outbox, n, NOW).unwrap();
        }
        let status = outbox.status();
        assert!(status.degraded.as_ref().unwrap().contains(text), "{:?}", status.degraded);
        assert_eq!((status.durable_seq, status.in_memory), (1, 3_000));
        let calls = disk.calls();
        outbox.tick(NOW + Duration::from_millis(1));
        assert_eq!(disk.calls(), calls, "not again before its time");
        let retry = outbox.next_deadline().unwrap();
        outbox.tick(retry);
        assert!(outbox.degraded().is_some() && disk.calls() > calls, "still refused");
        disk.refuse_writes(None);
        outbox.tick(retry + LATER);
        assert_eq!((outbox.degraded(), outbox.status().durable_seq), (None, 3_001), "by itself");
        let (events, gaps) = drain(&mut outbox, 0, NOW + LATER + LATER);
        assert_eq!((events, gaps), ((1..=3_001).collect(), vec![]));
    }
}

/// Was left behind: each attempt made another file, 64 KiB to 1 MiB every ten seconds until the disk was full.
#[test]
fn a_segment_that_could_not_be_begun_leaves_no_file_behind() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=8).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    assert!(outbox.flush(NOW));
    let before = disk.names();
    disk.refuse_data(Some(EIO));
    let mut now = NOW;
    for n in 9..=40 {
        append(&mut outbox, n, now).unwrap();
        now = now + LATER;
        outbox.tick(now);
        assert!(outbox.degraded().unwrap().contains("write"), "{:?}", outbox.degraded());
    }
    assert_eq!(disk.names(), before);
    disk.refuse_data(None);
    let (events, gaps) = drain(&mut outbox, 0, now + LATER);
    assert_eq!((events, gaps), ((1..=40).collect(), vec![]));
}

#[test]
fn what_memory_cannot_hold_is_dropped_counted_and_reported_and_the_rest_arrives() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    disk.refuse_writes(Some(EIO));
    let taken = (1..=5_000).filter(|&n| append(&mut outbox, n, NOW).is_ok()).count() as u64;
    assert!(taken <= 4_096, "{taken}");
    assert_eq!(outbox.status().dropped[GapReason::Memory.index()], 5_000 - taken);
    disk.refuse_writes(None);
    let (events, gaps) = drain(&mut outbox, 0, NOW + LATER);
    assert_eq!(events, (1..=taken).collect::<Vec<_>>());
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].reason, gaps[0].records), (GapReason::Memory, 5_000 - taken));
}

fn small(full: OverflowPolicy) -> OutboxPolicy {
    OutboxPolicy { max_bytes: 512 << 10, full, ..policy() }
}

#[test]
fn drop_oldest_keeps_the_newest_and_tells_each_endpoint_what_it_lost() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, small(OverflowPolicy::DropOldest), &["slow", "fast"]);
    for n in 1..=3_000 {
        append(&mut outbox, n, NOW).unwrap();
        if n % 50 == 0 {
            let (_, gaps) = drain(&mut outbox, 1, NOW);
            assert!(gaps.iter().all(|g| g.endpoint.as_str() == "slow"), "`fast` lost nothing: {gaps:?}");
        }
    }
    let status = outbox.status();
    assert!(status.bytes <= 512 << 10, "{}", status.bytes);
    let (events, gaps) = drain(&mut outbox, 0, NOW);
    assert_eq!(*events.last().unwrap(), 3_000);
    assert!(events.windows(2).all(|w| w[1] == w[0] + 1), "what is left has no gap");
    assert_eq!(status.dropped[GapReason::DropOldest.index()], status.endpoints[0].acked.0);
    // A gap record includes those before it that were not taken: the last one has it all.
    let last = gaps.last().unwrap();
    let acked = status.endpoints[0].acked;
    assert_eq!((last.from, last.through, last.records), (Position(1), acked, acked.0));
    assert!(gaps.iter().all(|g| g.from == Position(1) && g.endpoint.as_str() == "slow"), "{gaps:?}");
}

#[test]
fn drop_newest_keeps_the_oldest_and_continues_once_there_is_space() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, small(OverflowPolicy::DropNewest), &["hub"]);
    let taken = (1..=3_000).filter(|&n| append(&mut outbox, n, NOW).is_ok()).count() as u64;
    let status = outbox.status();
    assert!(status.full && status.degraded.is_none() && status.bytes <= 512 << 10);
    assert_eq!(status.dropped[GapReason::DropNewest.index()], 3_000 - taken);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 200, 1 << 20, &mut batch, NOW).unwrap();
    outbox.ack(0, batch.through, NOW).unwrap();
    outbox.flush(NOW);
    assert!(!outbox.status().full, "a segment was given back");
    append(&mut outbox, 9_999, NOW).unwrap();
    let (events, gaps) = drain(&mut outbox, 0, NOW);
    let mut want: Vec<u64> = (201..=taken).collect();
    want.push(9_999);
    assert_eq!(events, want);
    assert_eq!(gaps.iter().map(|g| g.records).sum::<u64>(), 3_000 - taken);
}

#[test]
fn block_refuses_and_loses_nothing() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, small(OverflowPolicy::Block), &["hub"]);
    let mut n = 1;
    while append(&mut outbox, n, NOW).is_ok() {
        n += 1;
    }
    assert_eq!(append(&mut outbox, n, NOW), Err(AppendError::Full));
    assert_eq!(outbox.status().dropped, [0; GapReason::ALL.len()]);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 100, 1 << 20, &mut batch, NOW).unwrap();
    outbox.ack(0, batch.through, NOW).unwrap();
    outbox.flush(NOW);
    append(&mut outbox, n, NOW).unwrap();
    let (events, gaps) = drain(&mut outbox, 0, NOW);
    assert_eq!((events, gaps), ((101..=n).collect(), vec![]));
}

/// Free space is others' business too: first memory is used, then the oldest records are dropped, and the disk
/// gets no fuller.
#[test]
fn a_disk_others_have_filled_is_survived_and_left_alone() {
    let disk = CrashDisk::new();
    let keep = OutboxPolicy { keep_free_bytes: 1 << 20, ..policy() };
    let mut outbox = open(&disk, 1, keep, &["hub"]);
    disk.capacity(Some((1 << 20) + 5 * 65_536));
    for n in 1..=5_000 {
        append(&mut outbox, n, NOW + Duration::from_millis(n)).unwrap();
    }
    let status = outbox.status();
    assert!(status.bytes <= 5 * 65_536, "{}", status.bytes);
    let (events, gaps) = drain(&mut outbox, 0, NOW + LATER);
    assert_eq!(*events.last().unwrap(), 5_000);
    assert!(events.windows(2).all(|w| w[1] == w[0] + 1));
    assert!(gaps.iter().all(|g| g.reason == GapReason::DropOldest), "{gaps:?}");
    disk.capacity(None);
    append(&mut outbox, 5_001, NOW + LATER).unwrap();
    assert_eq!(drain(&mut outbox, 0, NOW + LATER + LATER).0, [5_001]);
}

#[test]
fn segments_are_used_again_and_the_directory_stays_small() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    let mut next = 1;
    for n in 1..=2_000 {
        append(&mut outbox, n, NOW).unwrap();
        if n % 40 == 0 {
            let (events, gaps) = drain(&mut outbox, 0, NOW);
            assert_eq!((events, gaps), ((next..=n).collect(), vec![]));
            next = n + 1;
        }
    }
    assert!(outbox.status().bytes <= 4 * 65_536, "{}", outbox.status().bytes);
    let again = disk.restarted();
    let mut outbox = open(&again, 2, policy(), &["hub"]);
    assert_eq!(drain(&mut outbox, 0, NOW), (vec![], vec![]), "nothing of earlier lives comes back");
}

#[test]
fn class_each_syncs_every_append_and_class_none_only_when_asked() {
    for (durability, appended, flushed) in [(Durability::Each, 10, 0), (Durability::None, 0, 1)] {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, OutboxPolicy { durability, ..policy() }, &[]);
        append(&mut outbox, 1, NOW).unwrap();
        let before = disk.syncs();
        for n in 2..=11 {
            append(&mut outbox, n, NOW).unwrap();
        }
        assert_eq!(disk.syncs() - before, appended, "{durability}");
        assert!(outbox.flush(NOW));
        assert_eq!(disk.syncs() - before - appended, flushed, "{durability}");
        assert_eq!(outbox.status().durable_seq, 11, "{durability}");
    }
}

const YEAR_MS: i64 = 365 * 86_400 * 1_000;
const TRUE_WALL: i64 = 1_700_000_000_000;

fn fetch(outbox: &mut Outbox<CrashDisk>, batch: &mut RecordBatch) -> Vec<BatchRecord> {
    assert!(outbox.flush(NOW));
    outbox.fetch(0, 100, 1 << 20, batch, NOW).unwrap();
    batch.records.clone()
}

fn unsynced(outbox: &mut Outbox<CrashDisk>, mono_ms: u64, wall: i64) {
    outbox.append(EVENT, stamp(mono_ms, wall, false), b"x", NOW).unwrap();
}

#[test]
fn unsynced_times_are_corrected_once_the_clock_is_known_whichever_way_it_jumps() {
    for wrong in [0, TRUE_WALL - 50 * YEAR_MS, TRUE_WALL + 80 * YEAR_MS] {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        unsynced(&mut outbox, 1_000, wrong);
        unsynced(&mut outbox, 61_000, wrong + 60_000);
        let mut batch = RecordBatch::default();
        let before = fetch(&mut outbox, &mut batch);
        assert!(before.iter().all(|e| e.clock() == "unsynced" && e.wall() == e.meta.stamp.wall));
        outbox.clock_synced(stamp(121_000, TRUE_WALL, true), NOW);
        let again = disk.restarted();
        for mut outbox in [outbox, open(&again, 2, policy(), &["hub"])] {
            let entries = fetch(&mut outbox, &mut batch);
            let walls: Vec<Wall> = entries.iter().map(BatchRecord::wall).take(3).collect();
            assert_eq!(walls, [120_000, 60_000, 0].map(|ms| Wall(TRUE_WALL - ms)), "clock was {wrong}");
            assert_eq!(entries[0].clock(), "corrected");
            assert_eq!((entries[2].clock(), entries[2].meta.kind), ("synced", RecordKind::CLOCK_SYNC));
            assert!(
                entries.windows(2).all(|w| w[0].meta.position < w[1].meta.position),
                "order is not wall time"
            );
        }
    }
}

/// Mutants seen red: `uncorrected_through` not written, or not heeded: the frozen batch changes its times at the restart.
#[test]
fn what_was_sent_with_an_uncorrected_time_keeps_it_for_ever_also_over_a_restart() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub", "late"]);
    (1..=4).for_each(|n| unsynced(&mut outbox, n * 1_000, n.cast_signed()));
    let mut batch = RecordBatch::default();
    assert!(outbox.flush(NOW));
    outbox.fetch(0, 2, 1 << 20, &mut batch, NOW).unwrap();
    let epoch = batch.epoch;
    outbox.freeze(0, batch.through, epoch, NOW).unwrap();
    outbox.clock_synced(stamp(10_000, TRUE_WALL, true), NOW);
    let stale = outbox.freeze(0, Position(4), epoch, NOW);
    assert!(matches!(stale, Err(OutboxError::Stale)), "fetched before the clock was known");
    unsynced(&mut outbox, 11_000, 5);
    assert!(outbox.flush(NOW));
    let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(1));
    let mut outbox = open(&disk, 2, policy(), &["hub", "late"]);
    for endpoint in [0, 1] {
        let mut walls = Vec::new();
        for _ in 0..2 {
            outbox.fetch(endpoint, 2, 1 << 20, &mut batch, NOW).unwrap();
            assert_eq!(batch.records.len(), 2);
            walls.extend(batch.records.iter().map(|e| (e.wall().0, e.clock())));
            outbox.ack(endpoint, batch.through, NOW).unwrap();
        }
        let want = [
            (1, "unsynced"),
            (2, "unsynced"),
            (TRUE_WALL - 7_000, "corrected"),
            (TRUE_WALL - 6_000, "corrected"),
        ];
        assert_eq!(walls, want, "endpoint {endpoint}: an event is the same for everybody");
    }
}

#[test]
fn the_clock_of_one_boot_says_nothing_about_another_and_only_the_first_answer_counts() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    unsynced(&mut outbox, 1_000, 7);
    assert!(outbox.flush(NOW));
    let disk = disk.restarted();
    let mut outbox = open(&disk, 2, policy(), &["hub"]);
    unsynced(&mut outbox, 500, 8);
    outbox.clock_synced(stamp(1_500, TRUE_WALL, true), NOW);
    outbox.clock_synced(stamp(2_500, TRUE_WALL + YEAR_MS, true), NOW);
    let entries = fetch(&mut outbox, &mut RecordBatch::default());
    assert_eq!(entries.len(), 3, "one record says when the clock was known");
    assert_eq!(
        (entries[0].meta.boot, entries[0].wall(), entries[0].clock()),
        (BootId(1), Wall(7), "unsynced")
    );
    assert_eq!((entries[1].wall(), entries[1].clock()), (Wall(TRUE_WALL - 1_000), "corrected"));
}

/// Regression: the batch was sent although its cursor could not be written, and corrected when it was sent again.
#[test]
fn what_was_sent_while_the_cursor_could_not_be_written_keeps_its_time_as_well() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=3).for_each(|n| unsynced(&mut outbox, n * 1_000, n.cast_signed()));
    let mut batch = RecordBatch::default();
    fetch(&mut outbox, &mut batch);
    disk.refuse_writes(Some(EIO));
    // The worker sends it all the same.
    outbox.freeze(0, Position(2), batch.epoch, NOW).unwrap_err();
    outbox.clock_synced(stamp(10_000, TRUE_WALL, true), NOW);
    disk.refuse_writes(None);
    outbox.tick(NOW + LATER);
    for mut outbox in [open(&disk.restarted(), 2, policy(), &["hub"]), outbox] {
        let again: Vec<i64> = fetch(&mut outbox, &mut batch).iter().map(|e| e.wall().0).collect();
        assert_eq!(again, [1, 2]);
        outbox.ack(0, Position(2), NOW).unwrap();
        assert_eq!(fetch(&mut outbox, &mut batch)[0].wall().0, TRUE_WALL - 7_000);
    }
}

/// Regression: no batch at all could be frozen, and so nothing was delivered, until the note was on the disk.
#[test]
fn a_clock_found_while_the_disk_refuses_holds_back_only_what_it_will_change() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub", "lab"]);
    (1..=2).for_each(|n| unsynced(&mut outbox, n * 1_000, n.cast_signed()));
    (3..=4).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    unsynced(&mut outbox, 5_000, 5);
    let mut batch = RecordBatch::default();
    fetch(&mut outbox, &mut batch);
    outbox.freeze(0, Position(2), batch.epoch, NOW).unwrap();
    disk.refuse_data(Some(EIO));
    outbox.clock_synced(stamp(10_000, TRUE_WALL, true), NOW);
    assert!(outbox.degraded().is_some());
    let mut frozen = |acked: u64, through: u64| {
        outbox.ack(1, Position(acked), NOW).unwrap();
        outbox.fetch(1, 100, 1 << 20, &mut batch, NOW).unwrap();
        outbox.freeze(1, Position(through), batch.epoch, NOW)
    };
    let pending = |frozen| matches!(frozen, Err(OutboxError::ClockPending));
    assert!(!pending(frozen(0, 2)), "sent to the other one uncorrected already");
    assert!(!pending(frozen(2, 4)), "their clock was right");
    assert!(pending(frozen(4, 5)), "this one will have another time");
    disk.refuse_data(None);
    outbox.tick(NOW + LATER);
    outbox.fetch(1, 100, 1 << 20, &mut batch, NOW).unwrap();
    assert_eq!(batch.records.last().unwrap().meta.kind, RecordKind::CLOCK_SYNC);
    outbox.freeze(1, batch.through, batch.epoch, NOW).unwrap();
}

/// Regression: where a write into a file that is used again finds no space either, as on file systems that never write
/// in place, one segment of the backlog was dropped for every append.
#[test]
fn a_disk_that_stays_full_costs_one_segment_per_attempt() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=500).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    assert!(outbox.flush(NOW));
    let before = outbox.status();
    assert!(before.segments > 6, "{}", before.segments);
    disk.capacity(Some(before.bytes));
    disk.refuse_data(Some(28));
    let taken = (501..=9_000).filter(|&n| append(&mut outbox, n, NOW).is_ok()).count() as u64;
    let status = outbox.status();
    assert!(status.segments + 1 >= before.segments, "{} of {}", status.segments, before.segments);
    assert_eq!(
        status.dropped[GapReason::Memory.index()],
        8_500 - taken,
        "what is new is refused and counted"
    );
    disk.capacity(None);
    disk.refuse_data(None);
    let (events, _) = drain(&mut outbox, 0, NOW + LATER);
    assert!(events.len() as u64 >= 500 - 80 + taken, "{}", events.len());
}

/// Regression: where the disk reports space and refuses writes, as under a quota, every append with memory full was one
/// more attempt to write, whatever the time of the next one.
#[test]
fn a_disk_that_reports_space_and_refuses_writes_is_retried_at_intervals() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=100).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    assert!(outbox.flush(NOW));
    disk.refuse_writes(Some(28));
    let mut n = 100;
    while append(&mut outbox, n + 1, NOW).is_ok() {
        n += 1;
    }
    let calls = disk.calls();
    (0..100).for_each(|_| assert!(append(&mut outbox, n + 1, NOW).is_err()));
    assert_eq!(disk.calls(), calls, "not again before its time");
    disk.refuse_writes(None);
    let (events, gaps) = drain(&mut outbox, 0, NOW + LATER);
    assert_eq!(events, (1..=n).collect::<Vec<_>>());
    assert_eq!((gaps.len(), gaps[0].reason, gaps[0].records), (1, GapReason::Memory, 101));
}

/// Mutant seen red: no segment is given up before every endpoint has a cursor, whatever the reason it has none.
#[test]
fn a_disk_too_full_for_a_first_cursor_gives_up_the_oldest_all_the_same() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    disk.capacity(Some(5 * 65_536 + 4_096));
    (1..=6_000).for_each(|n| append(&mut outbox, n, NOW + Duration::from_millis(n)).unwrap());
    assert!(!disk.names().contains(&"hub.cursor".to_owned()), "{:?}", disk.names());
    disk.capacity(None);
    let (events, gaps) = drain(&mut outbox, 0, NOW + LATER);
    assert!(events.last() == Some(&6_000) && events.windows(2).all(|w| w[1] == w[0] + 1));
    assert!(gaps.iter().all(|g| g.reason == GapReason::DropOldest), "{gaps:?}");
    assert!(
        gaps.last().unwrap().records >= 6_000 - events.len() as u64,
        "gap records that gave way included"
    );
}
