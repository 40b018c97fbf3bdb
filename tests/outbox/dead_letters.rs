//! `DeadLetterStore` letters: bounded, kept over damage and power cuts, and in nobody's way.

use crate::support::outbox::{
    CrashDisk, EIO, EROFS, EVENT, NOW, identity, name, open, policy, stamp, store_dead_letter,
    stored_dead_letters,
};
use mycelium_outbox::format::crc;
use mycelium_outbox::format::record::RECORD_HEADER_BYTES;
use mycelium_outbox::{Outbox, OutboxError, RecordBatch};

const LOG: &str = "dead.log";

fn with_dead_letters(
    dead_letters: std::ops::RangeInclusive<u64>,
    len: usize,
) -> (CrashDisk, Outbox<CrashDisk>) {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub", "lab"]);
    for n in dead_letters {
        store_dead_letter(&mut outbox, n, len).unwrap();
    }
    (disk, outbox)
}

fn reopened(disk: &CrashDisk) -> Outbox<CrashDisk> {
    open(&disk.restarted(), 2, policy(), &["hub", "lab"])
}

/// Numbers in the next batch of letters that are to be sent again.
fn replayed(outbox: &mut Outbox<CrashDisk>, most: usize) -> Result<(Vec<u64>, RecordBatch), OutboxError> {
    let mut batch = RecordBatch::default();
    outbox.fetch_replay(0, most, 1 << 20, &mut batch)?;
    Ok((batch.records.iter().map(|e| e.meta.seq).collect(), batch))
}

#[test]
fn changes_of_dead_letters_survive_a_restart() {
    let (disk, mut outbox) = with_dead_letters(1..=6, 100);
    assert_eq!(outbox.replay_dead_letters(&[2, 5]).unwrap(), 2);
    assert_eq!(outbox.discard_dead_letters(&[1, 77]).unwrap(), 1);
    let through = replayed(&mut outbox, 1).unwrap().1.through;
    outbox.ack_replay(0, through).unwrap();
    for outbox in [&mut outbox, &mut reopened(&disk)] {
        assert_eq!(stored_dead_letters(outbox), [3, 4, 5, 6]);
        assert_eq!(replayed(outbox, 9).unwrap().0, [5]);
        assert!(outbox.status().endpoints[0].replay && !outbox.status().endpoints[1].replay);
    }
    let refused = replayed(&mut outbox, 1).unwrap().1.through;
    outbox.reject_replay(refused).unwrap();
    for outbox in [&mut outbox, &mut reopened(&disk)] {
        assert_eq!(stored_dead_letters(outbox), [3, 4, 5, 6], "refused again: it stays");
        assert!(!outbox.status().endpoints[0].replay, "and is not sent again by itself");
    }
}

#[test]
fn a_thousand_dead_letters_are_kept_and_the_oldest_are_dropped_and_counted() {
    let (disk, mut outbox) = with_dead_letters(1..=1_050, 8);
    let status = outbox.status();
    assert_eq!((status.dead_letters, status.dead_letters_dropped), (1_000, 50));
    for outbox in [&mut outbox, &mut reopened(&disk)] {
        assert_eq!(stored_dead_letters(outbox), (51..=1_050).collect::<Vec<_>>());
    }
}

/// Regression: every change was a separate write and sync, and the file grew with them without an end.
#[test]
fn dead_letters_and_their_file_are_bounded_in_bytes() {
    let (disk, mut outbox) = with_dead_letters(1..=300, 30_000);
    let status = outbox.status();
    assert!(status.dead_letter_bytes <= 2 << 20, "{}", status.dead_letter_bytes);
    assert_eq!(status.dead_letters + status.dead_letters_dropped, 300);
    assert!(disk.contents(LOG).len() <= 4 << 20, "{}", disk.contents(LOG).len());
    let kept = stored_dead_letters(&mut outbox);
    assert_eq!(kept, (300 - status.dead_letters + 1..=300).collect::<Vec<_>>());

    let (disk, mut outbox) = with_dead_letters(1..=1_000, 8);
    let mut largest = 0;
    for _ in 0..100 {
        let before = disk.syncs();
        assert_eq!(outbox.replay_dead_letters(&[]).unwrap(), 1_000);
        assert!(disk.syncs() - before <= 2, "{} syncs for one request", disk.syncs() - before);
        largest = largest.max(disk.contents(LOG).len());
    }
    assert!(largest <= 4 << 20, "{largest}");
    for outbox in [&mut outbox, &mut reopened(&disk)] {
        assert_eq!(replayed(outbox, 5_000).unwrap().0, (1..=1_000).collect::<Vec<_>>());
    }
}

/// Regression: a damaged dead letter was skipped and still waited to be sent again, so that the
/// endpoint was woken for it without an end.
#[test]
fn an_unreadable_dead_letter_blocks_nothing() {
    let (disk, mut outbox) = with_dead_letters(1..=3, 100);
    outbox.replay_dead_letters(&[1, 2]).unwrap();
    let mut bytes = disk.contents(LOG);
    let first = bytes.iter().position(|&b| b == 0xA5).unwrap();
    bytes[first] ^= 1;
    disk.overwrite(LOG, bytes);
    let (seqs, batch) = replayed(&mut outbox, 9).unwrap();
    assert_eq!(seqs, [2], "the other one goes out");
    outbox.ack_replay(0, batch.through).unwrap();
    assert!(!outbox.status().endpoints[0].replay, "nothing is left to wait for");

    outbox.replay_dead_letters(&[3]).unwrap();
    disk.refuse_reads(Some((LOG, EIO)));
    let failed = replayed(&mut outbox, 9).unwrap_err().to_string();
    assert!(failed.contains("cannot read outbox/dead.log"), "{failed}");
    assert!(!outbox.status().endpoints[0].replay, "reported once, then dead again");
    disk.refuse_reads(None);
    assert_eq!(outbox.replay_dead_letters(&[3]).unwrap(), 1, "once it can be read, it can be sent");
    assert_eq!(replayed(&mut outbox, 9).unwrap().0, [3]);
}

/// Regression: an acknowledgement that could not be written was asked for again until it could, and nothing was
/// delivered meanwhile; and a disk that cannot be written could not be read either.
#[test]
fn a_disk_that_refuses_writes_holds_up_no_replay() {
    let (disk, mut outbox) = with_dead_letters(1..=3, 100);
    outbox.replay_dead_letters(&[]).unwrap();
    disk.refuse_writes(Some(EROFS));
    outbox.append(EVENT, stamp(1, 1, true), b"x", NOW).unwrap();
    assert!(!outbox.flush(NOW), "all files are closed now");
    let (seqs, batch) = replayed(&mut outbox, 1).unwrap();
    assert_eq!(seqs, [1]);
    assert!(outbox.ack_replay(0, batch.through).is_err());
    outbox.ack_replay(0, batch.through).unwrap();
    let (seqs, batch) = replayed(&mut outbox, 1).unwrap();
    assert_eq!(seqs, [2], "the first counts as taken");
    assert!(outbox.reject_replay(batch.through).is_err());
    outbox.reject_replay(batch.through).unwrap();
    assert_eq!(replayed(&mut outbox, 9).unwrap().0, [3]);
    disk.refuse_writes(None);
    assert_eq!(replayed(&mut reopened(&disk), 9).unwrap().0, [1, 2, 3], "after a restart again, never less");
}

/// Regression: what a failed write had left after the next dead letter took effect at the next start.
#[test]
fn a_failed_request_leaves_nothing_that_takes_effect_later() {
    let (disk, mut outbox) = with_dead_letters(1..=9, 100);
    disk.fail_syncs(EIO, 1);
    assert!(outbox.discard_dead_letters(&[]).is_err());
    assert_eq!(stored_dead_letters(&mut outbox).len(), 9);
    store_dead_letter(&mut outbox, 10, 10).unwrap();
    for outbox in [&mut outbox, &mut reopened(&disk)] {
        assert_eq!(stored_dead_letters(outbox), (1..=10).collect::<Vec<_>>());
    }
}

/// Regression: a file left without its header blocked every later dead letter until a restart.
#[test]
fn a_first_dead_letter_that_could_not_be_written_is_written_when_the_disk_works_again() {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    disk.refuse_data(Some(28));
    assert!(store_dead_letter(&mut outbox, 1, 100).is_err());
    assert!(!disk.names().contains(&LOG.to_owned()), "no file without a header");
    disk.refuse_data(None);
    store_dead_letter(&mut outbox, 1, 100).unwrap();
    assert_eq!(stored_dead_letters(&mut open(&disk.restarted(), 2, policy(), &["hub"])), [1]);
}

#[test]
fn a_flipped_bit_or_a_cut_costs_at_most_the_dead_letter_it_is_in() {
    let (disk, mut outbox) = with_dead_letters(1..=8, 300);
    outbox.discard_dead_letters(&[3]).unwrap();
    let clean = disk.contents(LOG);
    let kept = [1, 2, 4, 5, 6, 7, 8];
    let one = (clean.len() - 136 - RECORD_HEADER_BYTES - 1) / 8;
    for bit in (0..clean.len() * 8).step_by(37) {
        let mut bad = clean.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let disk = disk.restarted();
        disk.put(LOG, Some(bad));
        let mut outbox = reopened(&disk);
        let touched = (bit / 8).checked_sub(136).map(|at| (at / one) as u64 + 1);
        let got = stored_dead_letters(&mut outbox);
        // The last record says that letter 3 is gone: without it, that one is back.
        let lost: Vec<u64> = kept.into_iter().filter(|n| !got.contains(n)).collect();
        assert!(lost.iter().all(|&n| Some(n) == touched), "bit {bit}: lost {lost:?}, touched {touched:?}");
        assert!(got.iter().all(|n| kept.contains(n) || *n == 3 && touched == Some(9)), "bit {bit}: {got:?}");
        let announced = outbox.warnings().iter().any(|r| r.contains(LOG));
        assert!(announced, "bit {bit}: {:?}", outbox.warnings());
        store_dead_letter(&mut outbox, 99, 50).unwrap();
        assert!(stored_dead_letters(&mut outbox).contains(&99), "bit {bit}: and it goes on");
    }
    for cut in (136..clean.len()).step_by(41) {
        let disk = disk.restarted();
        disk.put(LOG, Some(clean[..cut].to_vec()));
        let mut outbox = reopened(&disk);
        let whole = ((cut - 136) / one) as u64;
        let got = stored_dead_letters(&mut outbox);
        assert_eq!(got, (1..=whole.min(8)).collect::<Vec<_>>(), "cut at {cut}");
        let id = store_dead_letter(&mut outbox, 99, 50).unwrap();
        assert_eq!(id, whole.min(8) + 1);
    }
}

#[test]
fn unreadable_files_are_kept_each_under_a_separate_name() {
    let (disk, outbox) = with_dead_letters(1..=2, 100);
    drop(outbox);
    for n in 1_u8..=3 {
        for file in [LOG, "hub.cursor"] {
            disk.put(file, Some(vec![n; 500]));
        }
        let mut outbox = open(&disk, 2, policy(), &["hub"]);
        assert_eq!(stored_dead_letters(&mut outbox), [] as [u64; 0]);
        store_dead_letter(&mut outbox, 7, 100).unwrap();
        assert!(outbox.flush(NOW));
    }
    for file in [LOG, "hub.cursor"] {
        let kept = [1, 2, 3].map(|count| disk.contents(&format!("{file}.damaged.{count}"))[0]);
        assert_eq!(kept, [1, 2, 3], "{file}");
    }
}

/// Regression: the last segment was shortened and spare files were removed before it was noticed.
#[test]
fn cursors_and_dead_letters_of_a_newer_program_are_refused_before_anything_is_changed() {
    let (disk, mut outbox) = with_dead_letters(1..=2, 100);
    outbox.append(EVENT, stamp(1, 1, true), b"x", NOW).unwrap();
    assert!(outbox.flush(NOW));
    drop(outbox);
    disk.put("00000000000000f0.free", Some(vec![0; 77]));
    for (file, slots) in [(LOG, vec![0]), ("lab.cursor", vec![0, 4_096])] {
        let disk = disk.restarted();
        let mut newer = disk.contents(file);
        // A slot that was never written has no magic.
        let magic = newer[slots[slots.len() - 1]..][..8].to_vec();
        for at in slots {
            let prefix = [&magic[..], &[9, 0, 0, 0]].concat();
            newer[at..at + 12].copy_from_slice(&prefix);
            newer[at + 12..at + 16].copy_from_slice(&crc(&prefix).to_le_bytes());
        }
        disk.put(file, Some(newer));
        let all = || disk.names().into_iter().map(|n| (disk.contents(&n), n)).collect::<Vec<_>>();
        let before = all();
        let refused = Outbox::open(disk.clone(), policy(), &identity(2), &[name("hub")], NOW).unwrap_err();
        assert!(matches!(refused, OutboxError::Newer { version: 9, .. }), "{file}: {refused}");
        assert!(before == all(), "{file}: something was changed");
    }
}
