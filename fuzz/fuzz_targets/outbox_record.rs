//! Damage to the files of a closed outbox. Twelve records are written, the input changes bytes of the files (or cuts them), and
//! the outbox is opened again: it opens, and every event it hands out is one that was written, byte for byte, in order.
#![no_main]

#[path = "../../tests/support/outbox.rs"]
#[allow(dead_code)]
mod outbox_support;

use libfuzzer_sys::fuzz_target;
use mycelium_outbox::RecordBatch;
use mycelium_outbox::format::record::{decode_at, find_magic};
use mycelium_outbox::format::segment::SegmentHeader;
use outbox_support::{CrashDisk, EVENT, NOW, open, payload, policy, stamp};

const RECORDS: u64 = 12;

thread_local! {
    static WRITTEN: CrashDisk = written();
}

fn written() -> CrashDisk {
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["a"]);
    for n in 1..=RECORDS {
        outbox.append(EVENT, stamp(n, 0, true), &payload(1, n), NOW).unwrap();
    }
    assert!(outbox.flush(NOW));
    drop(outbox);
    disk
}

fuzz_target!(|bytes: &[u8]| {
    let _ = SegmentHeader::decode(bytes);
    let _ = decode_at(bytes, 1);
    let _ = find_magic(bytes, 0);
    let disk = WRITTEN.with(CrashDisk::restarted);
    for change in bytes.chunks_exact(4).take(64) {
        damage(&disk, change);
    }
    let mut outbox = open(&disk, 2, policy(), &["a"]);
    let (mut batch, mut last) = (RecordBatch::default(), 0);
    // Each batch moves on by at least one record; gaps and the clock's records come on top of the twelve.
    for _ in 0..256 {
        outbox.fetch(0, 64, 1 << 20, &mut batch, NOW).unwrap();
        if batch.is_empty() {
            return;
        }
        for entry in batch.records.iter().filter(|entry| entry.meta.kind == EVENT) {
            assert_eq!(batch.payload(entry), payload(1, entry.meta.seq), "wrong bytes were handed out");
            assert!(entry.meta.seq > last, "out of order or twice");
            last = entry.meta.seq;
        }
        outbox.ack(0, batch.through, NOW).unwrap();
    }
    panic!("the outbox still has records after 256 batches");
});

/// Four bytes: which file, where (in 16 bits, wrapped to its length), and what to put there; 0xff cuts it there.
fn damage(disk: &CrashDisk, change: &[u8]) {
    let names = disk.names();
    let name = &names[change[0] as usize % names.len()];
    let mut contents = disk.contents(name);
    if contents.is_empty() {
        return;
    }
    let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % contents.len();
    match change[3] {
        0xff => contents.truncate(at),
        value => contents[at] ^= value,
    }
    disk.put(name, Some(contents));
}
