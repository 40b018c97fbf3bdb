//! Groups of records: all or none, once each, and the caller learns when they are durable.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::outbox::{CrashDisk, EIO, EVENT, NOW, identity, name, open, policy, stamp};
use mycelium_daemon::clock::Mono;
use mycelium_outbox::{
    AppendError, Durability, GroupReceipt, MAX_PAYLOAD_BYTES, Outbox, OutboxHandle, OutboxOptions,
    OutboxPolicy, OverflowPolicy, RecordBatch, RecordGroup, start,
};

fn group(payloads: &[&str]) -> RecordGroup {
    let mut group = RecordGroup::new(EVENT, stamp(1, 1, true));
    for text in payloads {
        group.push(text.as_bytes(), None);
    }
    group
}

fn keyed(rows: &[(&str, u8)]) -> RecordGroup {
    let mut group = RecordGroup::new(EVENT, stamp(1, 1, true));
    for (text, key) in rows {
        group.push(text.as_bytes(), Some([*key; 16]));
    }
    group
}

fn stored(outbox: &mut Outbox<CrashDisk>) -> Vec<String> {
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 1_000, 1 << 20, &mut batch, NOW).unwrap();
    let text = |record| String::from_utf8_lossy(batch.payload(record)).into_owned();
    batch.records.iter().filter(|record| record.meta.kind == EVENT).map(text).collect()
}

#[test]
fn a_group_has_consecutive_numbers_and_is_durable_after_its_commit() {
    let disk = CrashDisk::default();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    let receipt = outbox.append_group(&group(&["a", "b", "c"]), NOW).unwrap();
    assert_eq!(receipt, GroupReceipt { first_seq: 1, last_seq: 3, repeated: 0, durable: false });
    assert_eq!(outbox.is_settled(3), None);
    assert!(outbox.flush(NOW));
    assert_eq!((outbox.is_settled(3), outbox.is_settled(4)), (Some(true), None));
    assert_eq!(stored(&mut outbox), ["a", "b", "c"]);
}

#[test]
fn a_record_that_was_seen_keeps_its_number_and_is_not_stored_again() {
    let disk = CrashDisk::default();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    outbox.append_group(&keyed(&[("a", 1), ("b", 2)]), NOW).unwrap();
    let again = outbox.append_group(&keyed(&[("c", 3), ("a", 1), ("c", 3)]), NOW).unwrap();
    assert_eq!(again, GroupReceipt { first_seq: 1, last_seq: 3, repeated: 2, durable: false });
    assert!(outbox.flush(NOW));
    let known = outbox.append_group(&keyed(&[("b", 2)]), NOW).unwrap();
    assert_eq!(known, GroupReceipt { first_seq: 2, last_seq: 2, repeated: 1, durable: true });
    assert_eq!(stored(&mut outbox), ["a", "b", "c"]);
}

#[test]
fn without_space_for_all_of_a_group_none_of_it_is_kept_and_nothing_counts_as_lost() {
    let disk = CrashDisk::default();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    let too_large = "x".repeat(MAX_PAYLOAD_BYTES + 1);
    assert_eq!(outbox.append_group(&group(&["a", &too_large]), NOW), Err(AppendError::TooLarge));
    disk.refuse_writes(Some(EIO));
    outbox.append_group(&group(&["a"]), NOW).unwrap();
    outbox.commit(NOW);
    assert!(outbox.degraded().is_some());
    assert_eq!(outbox.append_group(&group(&["b", "c"]), NOW), Err(AppendError::Full), "the disk refuses");
    disk.refuse_writes(None);
    assert!(outbox.flush(NOW));
    outbox.append_group(&group(&["d"]), NOW).unwrap();
    assert!(outbox.flush(NOW));
    assert_eq!(stored(&mut outbox), ["a", "d"]);
    assert_eq!(outbox.status().dropped.iter().sum::<u64>(), 0);
    let huge = "y".repeat(MAX_PAYLOAD_BYTES);
    let mut refused = 0;
    disk.refuse_writes(Some(EIO));
    for _ in 0..200 {
        refused += usize::from(outbox.append_group(&group(&[&huge, &huge]), NOW).is_err());
    }
    let pending = outbox.status().in_memory_bytes;
    assert!(refused > 0 && pending < 5 << 20, "{refused} {pending}");
}

#[test]
fn a_full_outbox_refuses_groups_and_takes_them_after_an_acknowledgement() {
    let disk = CrashDisk::default();
    let small = OutboxPolicy { max_bytes: 512 << 10, full: OverflowPolicy::DropNewest, ..policy() };
    let mut outbox = open(&disk, 1, small, &["hub"]);
    let payload = "z".repeat(20_000);
    let mut accepted = 0;
    while outbox.append_group(&group(&[&payload]), NOW).is_ok() {
        outbox.commit(NOW);
        accepted += 1;
        assert!(accepted < 100, "it never gets full");
    }
    assert_eq!(outbox.status().dropped.iter().sum::<u64>(), 0, "the caller knows");
    let mut batch = RecordBatch::default();
    for _ in 0..accepted {
        outbox.fetch(0, 1, 1 << 20, &mut batch, NOW).unwrap();
        outbox.ack(0, batch.through, NOW).unwrap();
    }
    outbox.flush(NOW);
    outbox.flush(NOW);
    assert!(outbox.append_group(&group(&[&payload]), NOW).is_ok());
}

fn running(test: &str, policy: OutboxPolicy) -> (std::path::PathBuf, OutboxHandle) {
    let data = std::env::temp_dir().join(format!("mycelium-groups-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&data).unwrap();
    let options = OutboxOptions {
        policy,
        identity: identity(1),
        endpoints: vec![name("hub")],
        on_commit: None,
        on_status: None,
    };
    (data.clone(), start(&data, options).unwrap().handle)
}

fn send(
    handle: &OutboxHandle,
    group: RecordGroup,
    wait: Option<Duration>,
) -> Receiver<Result<GroupReceipt, AppendError>> {
    let (sender, receiver) = channel();
    let until = wait.map(|wait| Mono::now() + wait);
    handle.append_group(group, until, Box::new(move |result| sender.send(result).unwrap())).unwrap();
    receiver
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_thread_tells_a_caller_at_once_or_when_its_records_are_durable() {
    let group_time = Duration::from_millis(400);
    let (data, handle) = running("wait", OutboxPolicy { group: group_time, ..policy() });
    let start = Mono::now();
    let durable = send(&handle, group(&["a", "b"]), Some(PATIENCE));
    let at_once = send(&handle, group(&["c"]), None).recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(!at_once.durable && Mono::now() - start < group_time, "{at_once:?}");
    let receipt = durable.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(receipt, GroupReceipt { first_seq: 1, last_seq: 2, repeated: 0, durable: true });
    assert!(
        Mono::now() - start >= group_time.checked_sub(Duration::from_millis(50)).unwrap(),
        "with its group"
    );
    assert!(handle.status().durable_seq >= 2);
    assert!(handle.shutdown(Mono::now() + PATIENCE));
    let closed = handle.append_group(group(&["d"]), None, Box::new(|_| ()));
    assert_eq!(closed, Err(AppendError::Closed));
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_shutdown_makes_waiting_groups_durable_and_tells_their_callers() {
    let (data, handle) = running("stop", OutboxPolicy { group: PATIENCE, ..policy() });
    let waiting: Vec<_> = (0..5).map(|_| send(&handle, group(&["a", "b"]), Some(PATIENCE))).collect();
    assert!(handle.shutdown(Mono::now() + PATIENCE));
    for receiver in waiting {
        assert!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().durable);
    }
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn without_syncs_a_group_is_settled_once_written_and_never_called_durable() {
    let policy = OutboxPolicy { durability: Durability::None, group: Duration::from_millis(20), ..policy() };
    let (data, handle) = running("none", policy);
    let receipt = send(&handle, group(&["a"]), Some(PATIENCE)).recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(!receipt.durable);
    assert!(handle.shutdown(Mono::now() + PATIENCE));
    std::fs::remove_dir_all(data).unwrap();
}
