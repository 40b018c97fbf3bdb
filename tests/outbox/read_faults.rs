//! Reads that fail: for a moment, for a long time, for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::outbox::{CrashDisk, EIO, EVENT, NOW, open, payload, policy, stamp};
use mycelium_daemon::clock::{BootId, Mono};
use mycelium_outbox::format::file_name::segment_file_name;
use mycelium_outbox::{Gap, Outbox, RecordBatch, RecordKind};

const RECORDS: u64 = 230;
const SECOND: Duration = Duration::from_secs(1);

/// An outbox with several segments and nothing sent.
fn written() -> (CrashDisk, Outbox<CrashDisk>) {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    for n in 1..=RECORDS {
        outbox.append(EVENT, stamp(n, 1, true), &payload(1, n), NOW).unwrap();
    }
    assert!(outbox.flush(NOW));
    assert!(disk.names().contains(&segment_file_name(4)), "several segments: {:?}", disk.names());
    (disk, outbox)
}

/// What a receiver has got.
#[derive(Default)]
struct Received {
    order: Vec<u64>,
    gaps: Vec<Gap>,
    /// Fetches that failed.
    failures: u32,
    last_failure: String,
}

/// Fetches and acknowledges as a delivery does: after a failure it waits a second. At most `most` fetches.
fn receive(outbox: &mut Outbox<CrashDisk>, boot: u64, now: &mut Mono, most: u32) -> Received {
    let mut received = Received::default();
    let mut batch = RecordBatch::default();
    for _ in 0..most {
        outbox.tick(*now);
        if let Err(e) = outbox.fetch(0, 16, 1 << 20, &mut batch, *now) {
            received.failures += 1;
            received.last_failure = e.to_string();
            *now = *now + SECOND;
            continue;
        }
        if batch.is_empty() && outbox.status().endpoints[0].lag == 0 && outbox.status().in_memory == 0 {
            break;
        }
        *now = *now + SECOND;
        for entry in &batch.records {
            let bytes = batch.payload(entry);
            match Gap::decode(bytes).filter(|_| entry.meta.kind == RecordKind::GAP) {
                Some(gap) => received.gaps.push(gap),
                None if entry.meta.boot == BootId(boot) => {
                    // Sequence numbers and records are no longer the same after a gap record.
                    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    assert!(bytes == payload(boot, number), "record {number} has wrong bytes");
                    received.order.push(number);
                }
                None => {}
            }
        }
        if !batch.is_empty() {
            outbox.ack(0, batch.through, *now).unwrap();
        }
    }
    received
}

fn all(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

/// Regression: four transient errors of `pread64` were taken for damage, and seven durable records skipped.
/// Mutant seen red: a block that fails once counts as damaged.
#[test]
fn reads_that_fail_for_a_moment_skip_no_record() {
    for times in 1..120 {
        let (disk, mut outbox) = written();
        let mut now = NOW;
        disk.fail_reads(times);
        let received = receive(&mut outbox, 1, &mut now, 1_000);
        assert_eq!(received.order, all(RECORDS), "{times} failures");
        assert_eq!(received.gaps, [], "{times} failures");
    }
}

/// The endpoint waits as in any outage, while records are appended and written.
/// Mutant seen red: the attempts alone decide, without a look at whether anything else can be read.
#[test]
fn a_disk_that_refuses_every_read_for_a_day_loses_nothing() {
    let (disk, mut outbox) = written();
    let mut now = NOW;
    disk.fail_reads(u64::MAX);
    let mut last = RECORDS;
    for _ in 0..24 {
        last += 1;
        outbox.append(EVENT, stamp(last, 1, true), &payload(1, last), now).unwrap();
        assert!(outbox.flush(now), "writing still works");
        let refused = receive(&mut outbox, 1, &mut now, 60);
        assert_eq!((refused.order.len(), refused.failures), (0, 60));
        assert!(refused.last_failure.contains("cannot read outbox/"), "{}", refused.last_failure);
        now = now + Duration::from_hours(1);
    }
    disk.fail_reads(0);
    let received = receive(&mut outbox, 1, &mut now, 1_000);
    assert_eq!((received.order, received.gaps), (all(last), vec![]));
}

/// Mutants seen red: a block is never given up; the first failure counts as damage.
#[test]
fn a_block_that_stays_unreadable_costs_its_records_after_five_attempts_and_nothing_else() {
    for block in [0, 4_096] {
        let (disk, mut outbox) = written();
        disk.bad_block(Some((&segment_file_name(2), block..block + 4_096)));
        let mut now = NOW;
        let first = receive(&mut outbox, 1, &mut now, 3);
        assert!(first.gaps.is_empty());
        let mut received = Received { failures: first.failures, ..Received::default() };
        for n in 1..=200 {
            // Writes that succeed show that the disk is there.
            outbox.append(EVENT, stamp(n, 1, true), &payload(1, RECORDS + n), now).unwrap();
            assert!(outbox.flush(now));
            let part = receive(&mut outbox, 1, &mut now, 2);
            received.order.extend(part.order);
            received.gaps.extend(part.gaps);
            received.failures += part.failures;
        }
        let order: Vec<u64> = first.order.into_iter().chain(received.order).collect();
        let got: BTreeSet<u64> = order.iter().copied().collect();
        assert!(order.is_sorted() && order.len() == got.len(), "in order, once");
        let lost: Vec<u64> = (1..=RECORDS).filter(|n| !got.contains(n)).collect();
        assert!(
            (1..60).contains(&lost.len()) && received.failures >= 3,
            "{} lost, {lost:?}",
            received.failures
        );
        // Positions and sequence numbers are equal in a first boot, before the first gap record.
        for seq in lost {
            assert!(
                received.gaps.iter().any(|gap| gap.from.0 <= seq && seq <= gap.through.0),
                "{seq} unreported"
            );
        }
    }
}

/// Mutant seen red: no pause between two attempts.
#[test]
fn attempts_within_a_second_count_as_one() {
    let (disk, mut outbox) = written();
    disk.bad_block(Some((&segment_file_name(2), 0..4_096)));
    let mut batch = RecordBatch::default();
    let mut before = Vec::new();
    while outbox.fetch(0, 16, 1 << 20, &mut batch, NOW).is_ok() {
        before.extend(batch.records.iter().map(|record| record.meta.seq));
        outbox.ack(0, batch.through, NOW).unwrap();
    }
    let mut now = NOW;
    for n in 1..=100 {
        // Writes that succeed show that the disk is there.
        now = now + Duration::from_millis(9);
        outbox.append(EVENT, stamp(n, 1, true), &payload(1, RECORDS + n), now).unwrap();
        assert!(outbox.flush(now));
        assert!(outbox.fetch(0, 16, 1 << 20, &mut batch, now).is_err(), "attempt {n}");
    }
    disk.bad_block(None);
    now = now + SECOND;
    let after = receive(&mut outbox, 1, &mut now, 1_000);
    let order: Vec<u64> = before.into_iter().chain(after.order).collect();
    assert_eq!((order, after.gaps), (all(RECORDS + 100), vec![]));
}

/// A stick that was pulled: what is cached can still be read, nothing can be written.
/// Mutant seen red: the commits are not asked for.
#[test]
fn a_block_of_a_disk_that_cannot_be_written_is_waited_for() {
    let (disk, mut outbox) = written();
    disk.bad_block(Some((&segment_file_name(2), 0..1 << 20)));
    disk.refuse_writes(Some(EIO));
    let mut now = NOW;
    let before = receive(&mut outbox, 1, &mut now, 10_000);
    assert!(before.failures > 9_000 && before.gaps.is_empty(), "{}", before.last_failure);
    disk.bad_block(None);
    disk.refuse_writes(None);
    now = now + Duration::from_secs(20);
    let after = receive(&mut outbox, 1, &mut now, 1_000);
    let order: Vec<u64> = before.order.into_iter().chain(after.order).collect();
    assert_eq!((order, after.gaps), (all(RECORDS), vec![]));
}

/// Mutants seen red: no second attempt of a read at the start; a start of a disk that refuses every read.
#[test]
fn reads_that_fail_for_a_moment_at_the_start_cost_nothing_and_a_disk_that_refuses_them_is_not_started() {
    for skipped in 0..12 {
        let (disk, mut outbox) = written();
        let mut batch = RecordBatch::default();
        outbox.fetch(0, 16, 1 << 20, &mut batch, NOW).unwrap();
        outbox.freeze(0, batch.through, batch.epoch, NOW).unwrap();
        drop(outbox);
        let disk = disk.restarted();
        disk.fail_reads_after(skipped, 7);
        let mut outbox = open(&disk, 2, policy(), &["hub"]);
        assert_eq!(outbox.warnings(), [] as [&str; 0], "after {skipped} reads");
        let received = receive(&mut outbox, 1, &mut NOW.clone(), 1_000);
        assert_eq!((received.order, received.gaps), (all(RECORDS), vec![]), "after {skipped} reads");
    }
    for times in 1..10 {
        let (disk, outbox) = written();
        drop(outbox);
        let disk = disk.restarted();
        disk.fail_reads(times);
        let mut outbox = open(&disk, 2, policy(), &["hub"]);
        assert_eq!(outbox.warnings(), [] as [&str; 0], "{times} failures");
        let received = receive(&mut outbox, 1, &mut NOW.clone(), 1_000);
        assert_eq!((received.order, received.gaps), (all(RECORDS), vec![]), "{times} failures");
    }
    let (disk, outbox) = written();
    drop(outbox);
    let disk = disk.restarted();
    let endpoints = [crate::support::outbox::name("hub")];
    for cursor in [true, false] {
        if !cursor {
            disk.put("hub.cursor", None);
        }
        let names = disk.names();
        disk.fail_reads(u64::MAX);
        let identity = crate::support::outbox::identity(2);
        let refused = Outbox::open(disk.clone(), policy(), &identity, &endpoints, NOW).unwrap_err();
        assert!(refused.to_string().contains("cannot read outbox/"), "{refused}");
        disk.fail_reads(0);
        assert_eq!(disk.names(), names, "nothing was changed");
    }
    let mut outbox = open(&disk, 2, policy(), &["hub"]);
    assert_eq!(receive(&mut outbox, 1, &mut NOW.clone(), 1_000).order, all(RECORDS));
}

/// An end that could not be read may hold commits: it must not be cut off.
#[test]
fn what_cannot_be_read_at_the_start_is_not_cut_off() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    let last = segment_file_name(1);
    let (mut records, mut end) = (0, 0);
    while end < 20_000 {
        records += 1;
        outbox.append(EVENT, stamp(records, 1, true), &payload(1, records), NOW).unwrap();
        assert!(outbox.flush(NOW), "every record is a commit");
        end = disk.contents(&last).iter().rposition(|&byte| byte != 0).unwrap() as u64;
    }
    drop(outbox);
    let disk = disk.restarted();
    disk.bad_block(Some((&last, 12_288..1 << 20)));
    drop(open(&disk, 2, policy(), &["hub"]));
    disk.bad_block(None);
    let mut outbox = open(&disk, 3, policy(), &["hub"]);
    assert_eq!(receive(&mut outbox, 1, &mut NOW.clone(), 1_000).order, all(records));
}
