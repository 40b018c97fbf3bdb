//! Protections that chance alone does not put to the test, each by itself: what happens when it is not there.

use std::collections::BTreeSet;

use crate::support::outbox::{CrashDisk, EIO, NOW, append, drain, open, policy};
use mycelium_outbox::{GapReason, OutboxPolicy, OverflowPolicy, Position, RecordBatch};

/// Mutant seen red: segments are given back by what the cursors say in memory.
#[test]
fn a_segment_is_given_back_only_when_the_cursors_of_all_endpoints_are_on_the_disk() {
    for seed in 0..20 {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub", "spare"]);
        (1..=400).for_each(|n| append(&mut outbox, n, NOW).unwrap());
        assert!(outbox.flush(NOW));
        for endpoint in [0, 1] {
            outbox.ack(endpoint, outbox.readable(), NOW).unwrap();
        }
        // Writes the cursor of one endpoint only.
        outbox.freeze(0, outbox.readable(), 0, NOW).unwrap();
        let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(seed));
        let mut outbox = open(&disk, 2, policy(), &["hub", "spare"]);
        assert_eq!(drain(&mut outbox, 1, NOW), ((1..=400).collect(), vec![]), "seed {seed}");
    }
}

/// A file gets the name of a segment only with a commit that is on the disk. `FileKind` before, a power cut leaves one that
/// holds nothing: no segment, so a stranger to every later start, mentioned each time and never given back.
///
/// Mutant seen red: a segment named when it is begun; the power cuts of `outbox_crash.rs` let it through.
#[test]
fn a_segment_cut_off_before_its_first_commit_leaves_no_foreign_file() {
    for (cut, seed) in (1..60).flat_map(|cut| (0..20).map(move |seed| (cut, seed))) {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        disk.dead_after_calls(cut);
        (1..=200).for_each(|n| append(&mut outbox, n, NOW).unwrap());
        drop(outbox);
        let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(seed));
        let outbox = open(&disk, 2, policy(), &["hub"]);
        let foreign = outbox.warnings().iter().find(|warning| warning.contains("not a file of this outbox"));
        assert_eq!(foreign, None, "cut {cut}, seed {seed}");
    }
}

/// A file in its next life whose first commit was cut short holds records bound to a number that the next process gives
/// again. Used again by that process as well, it gave them back behind the first commit of the new segment.
///
/// Mutant seen red: spare files of an earlier process are used again.
#[test]
fn records_of_a_life_that_was_never_named_do_not_come_to_light_in_the_next() {
    for (cut, kill) in (1..120).flat_map(|cut| [(cut, true), (cut, false)]) {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        disk.dead_after_calls(200 + cut);
        for n in 1..=1_000 {
            append(&mut outbox, n, NOW).unwrap();
            if n % 24 == 0 && outbox.ack(0, outbox.readable(), NOW).is_ok() {
                outbox.flush(NOW);
            }
        }
        drop(outbox);
        let rng = &mut fastrand::Rng::with_seed(cut);
        let disk = if kill { disk.restarted() } else { disk.power_cycled(rng) };
        let mut outbox = open(&disk, 2, policy(), &["hub"]);
        for n in 2_001..=2_004 {
            append(&mut outbox, n, NOW).unwrap();
            assert!(outbox.flush(NOW));
            outbox.ack(0, outbox.readable(), NOW).unwrap();
            assert!(outbox.flush(NOW));
        }
        drop(outbox);
        let (events, gaps) = drain(&mut open(&disk.restarted(), 3, policy(), &["hub"]), 0, NOW);
        assert_eq!((events, gaps), (vec![], vec![]), "cut {cut}");
    }
}

/// The same where the power cut took back the new name and the new header, and left records: an old segment that
/// every cursor is behind, with records in it that are bound to a number the next process gives.
///
/// Mutant seen red: segments of an earlier process are used again.
#[test]
fn what_a_power_cut_left_in_an_old_segment_does_not_come_to_light_in_its_next_life() {
    let file = |number: u64| format!("{number:016x}.seg");
    let later = CrashDisk::new();
    let mut outbox = open(&later, 1, policy(), &["hub"]);
    (1..=400).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=200).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    outbox.ack(0, outbox.readable(), NOW).unwrap();
    // Segment 3 is the last of this process and cut at the next start; 4 goes into a new file, 5 into any spare one.
    assert!(disk.names().contains(&file(3)) && !disk.names().contains(&file(4)));
    for old in [1, 2] {
        let mut mixed = disk.contents(&file(old));
        mixed[8_192..].copy_from_slice(&later.contents(&file(5))[8_192..]);
        disk.put(&file(old), Some(mixed));
    }
    let mut outbox = open(&disk, 2, policy(), &["hub"]);
    let mut n = 2_000;
    while !disk.names().contains(&file(5)) {
        n += 1;
        append(&mut outbox, n, NOW).unwrap();
        assert!(outbox.flush(NOW));
        outbox.ack(0, outbox.readable(), NOW).unwrap();
        assert!(n < 2_200, "{:?}", disk.names());
    }
    drop(outbox);
    let (events, gaps) = drain(&mut open(&disk.restarted(), 3, policy(), &["hub"]), 0, NOW);
    // The last one, whose acknowledgement never got to the disk, and nothing else.
    assert_eq!((events, gaps), (vec![n], vec![]));
}

/// Mutant seen red: positions behind a torn end are given out again.
#[test]
fn records_of_a_torn_end_that_come_to_light_later_do_not_collide_with_new_ones() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    (1..=16).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    drop(outbox);
    let segment = "0000000000000001.seg";
    let whole = disk.contents(segment);
    // The blocks of the second commit cannot be read for a while.
    let disk = disk.restarted();
    let mut hidden = whole.clone();
    hidden[136 + 8 * 964..].fill(0);
    disk.put(segment, Some(hidden));
    let mut outbox = open(&disk, 2, policy(), &["hub"]);
    (101..=116).for_each(|n| append(&mut outbox, n, NOW).unwrap());
    assert!(outbox.flush(NOW));
    drop(outbox);
    let disk = disk.restarted();
    disk.put(segment, Some(whole));
    let mut outbox = open(&disk, 3, policy(), &["hub"]);
    let (events, gaps) = drain(&mut outbox, 0, NOW);
    assert_eq!(events, (1..=16).chain(101..=116).collect::<Vec<u64>>());
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Torn), "{gaps:?}");
}

/// Mutants seen red: opening does not sync the end it has found, or not the directory; the second was so: a process
/// killed between naming its first segment and the sync of the directory, then a power cut, took back what the next
/// process had handed out.
#[test]
fn what_a_killed_process_had_written_is_on_the_disk_before_it_is_handed_out() {
    let mut unsynced = 0;
    for (cut, seed) in (1..60).zip(0..) {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        disk.dead_after_calls(cut);
        (1..=40).for_each(|n| append(&mut outbox, n, NOW).unwrap());
        let durable = outbox.readable();
        drop(outbox);
        let disk = disk.restarted();
        let outbox = open(&disk, 2, policy(), &["hub"]);
        let found = outbox.readable();
        assert!(found >= durable);
        unsynced += u64::from(found > durable);
        drop(outbox);
        let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(seed));
        let outbox = open(&disk, 3, policy(), &["hub"]);
        assert!(outbox.readable() >= found, "cut {cut}: {found:?} was there, then {:?}", outbox.readable());
    }
    assert!(unsynced > 0, "some were cut between write and sync");
}

/// Mutant seen red: the cursor moves over a loss before the record that says so is on the disk.
#[test]
fn a_loss_whose_report_was_cut_short_is_reported_at_the_next_start() {
    let small = OutboxPolicy { max_bytes: 512 << 10, full: OverflowPolicy::DropOldest, ..policy() };
    // The append with which the first segment is given up.
    let mut outbox = open(&CrashDisk::new(), 1, small, &["hub"]);
    let mut drops = 0;
    while outbox.status().dropped[GapReason::DropOldest.index()] == 0 {
        drops += 1;
        append(&mut outbox, drops, NOW).unwrap();
    }
    let mut lost = 0;
    for seed in 0..40 {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, small, &["hub"]);
        assert!(outbox.flush(NOW));
        (1..drops).for_each(|n| append(&mut outbox, n, NOW).unwrap());
        disk.fail_syncs(EIO, 1);
        append(&mut outbox, drops, NOW).unwrap();
        assert!(outbox.degraded().is_some(), "the commit with the gap record has failed");
        // Meanwhile a batch is sent, and the cursor written.
        let mut batch = RecordBatch::default();
        outbox.fetch(0, 8, 1 << 20, &mut batch, NOW).unwrap();
        outbox.freeze(0, batch.through, batch.epoch, NOW).unwrap();
        drop(outbox);
        let disk = disk.power_cycled(&mut fastrand::Rng::with_seed(seed));
        let mut outbox = open(&disk, 2, small, &["hub"]);
        let (events, gaps) = drain(&mut outbox, 0, NOW);
        let arrived: BTreeSet<u64> = events.into_iter().collect();
        let missing = (1..drops - 8).filter(|n| !arrived.contains(n)).count() as u64;
        let reported: u64 = gaps.iter().filter(|gap| gap.through > Position(0)).map(|gap| gap.records).sum();
        assert!(reported >= missing, "seed {seed}: {missing} missing, gaps report {reported}: {gaps:?}");
        lost += u64::from(missing > 0);
    }
    assert!(lost > 0, "in some the segment did not come back");
}
