//! The outbox as the rest of the program uses it: through its handle, on a real directory.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::outbox::{EVENT, stamp};
use mycelium_daemon::clock::{BootId, Mono};
use mycelium_outbox::check;
use mycelium_outbox::state_dir::StateDir;
use mycelium_outbox::{
    AppendError, Durability, MAX_PAYLOAD_BYTES, OutboxError, OutboxHandle, OutboxOptions, OutboxPolicy,
    OverflowPolicy, Position, RecordBatch, RunningOutbox, SafeName, WaitOutcome, WriterIdentity, start,
};

/// A new directory for one test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mycelium-outbox-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn policy() -> OutboxPolicy {
    OutboxPolicy { keep_free_bytes: 0, group: Duration::from_millis(5), ..OutboxPolicy::default() }
}

fn identity(boot: u64) -> WriterIdentity {
    WriterIdentity {
        device: SafeName::new("edge-1").unwrap(),
        boot: BootId(boot),
        stamp: stamp(1, 1_000, true),
    }
}

fn run(dir: &Dir, boot: u64, policy: OutboxPolicy) -> RunningOutbox {
    let endpoints = vec![SafeName::new("hub").unwrap(), SafeName::new("spare").unwrap()];
    start(
        &dir.0,
        OutboxOptions { policy, identity: identity(boot), endpoints, on_commit: None, on_status: None },
    )
    .unwrap()
}

fn append(handle: &OutboxHandle, n: u64) {
    handle.append(EVENT, stamp(n, 5, true), format!("record {n}").as_bytes()).unwrap();
}

fn stop(running: RunningOutbox) {
    assert!(running.handle.shutdown(Mono::now() + Duration::from_secs(20)), "shut down in time");
    running.thread.join().unwrap();
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let text = |e| String::from_utf8(batch.payload(e).to_vec()).unwrap();
    batch.records.iter().map(text).collect()
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn records_come_out_in_order_once_and_go_on_after_a_restart() {
    let dir = Dir::new("order");
    let running = run(&dir, 1, policy());
    let handle = running.handle.clone();
    let hub = handle.endpoint("hub").unwrap();
    for n in 1..=200 {
        append(&handle, n);
    }
    assert!(handle.flush().unwrap());
    assert_eq!(handle.status().durable_seq, 200);
    assert_eq!(handle.wait(hub, Some(Position(0)), LONG), WaitOutcome::Records);
    let mut batch = RecordBatch::default();
    handle.fetch(hub, 64, 1 << 20, &mut batch).unwrap();
    assert_eq!(batch.records.len(), 64);
    assert_eq!(batch.records[0].event_id(), "edge-1-0000000000000001-1");
    handle.freeze(hub, batch.through, batch.epoch).unwrap();
    handle.ack(hub, batch.through).unwrap();
    handle.fetch(hub, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(texts(&batch)[0], "record 65");
    handle.freeze(hub, batch.through, batch.epoch).unwrap();
    stop(running);

    let running = run(&dir, 2, policy());
    let handle = running.handle.clone();
    append(&handle, 201);
    assert!(handle.flush().unwrap());
    handle.fetch(hub, 1_000, 1 << 20, &mut batch).unwrap();
    assert!(batch.frozen, "the batch that may have been sent is fetched again, no larger");
    assert_eq!((texts(&batch)[0].as_str(), batch.records.len()), ("record 65", 10));
    handle.ack(hub, batch.through).unwrap();
    handle.fetch(hub, 1_000, 1 << 20, &mut batch).unwrap();
    assert_eq!(batch.records.len(), 200 - 74 + 1);
    let last = batch.records.last().unwrap();
    assert_eq!(last.event_id(), "edge-1-0000000000000002-1");
    handle.ack(hub, batch.through).unwrap();
    assert_eq!(handle.wait(hub, Some(batch.through), Duration::ZERO), WaitOutcome::Timeout);
    assert!(handle.flush().unwrap());
    let status = handle.status();
    assert_eq!(status.oldest, Some((BootId(1), stamp(1, 5, true))), "`spare` has taken nothing");
    assert_eq!((status.endpoints[0].lag, status.endpoints[1].lag), (0, 201));
    assert_eq!(status.degraded, None);
    stop(running);
}

#[test]
fn a_wait_ends_for_an_interrupt_even_one_that_came_before() {
    let dir = Dir::new("interrupt");
    let running = run(&dir, 1, policy());
    running.handle.interrupt();
    assert_eq!(running.handle.wait(0, None, LONG), WaitOutcome::Interrupt);
    assert_eq!(running.handle.wait(0, None, Duration::ZERO), WaitOutcome::Timeout, "seen once");
    assert_eq!(running.handle.wait(1, None, LONG), WaitOutcome::Interrupt, "each endpoint for itself");
    let handle = running.handle.clone();
    let waiting = std::thread::spawn(move || handle.wait(0, None, LONG));
    running.handle.interrupt();
    assert_eq!(waiting.join().unwrap(), WaitOutcome::Interrupt);
    stop(running);
}

#[test]
fn too_large_a_record_is_refused_and_the_largest_comes_back() {
    let dir = Dir::new("large");
    let running = run(&dir, 1, OutboxPolicy { segment_bytes: 65_536, ..policy() });
    let handle = running.handle.clone();
    let largest = vec![7; MAX_PAYLOAD_BYTES];
    let stamp = stamp(1, 1, true);
    let refused = handle.append(EVENT, stamp, &vec![0; MAX_PAYLOAD_BYTES + 1]);
    assert_eq!(refused, Err(AppendError::TooLarge));
    for _ in 0..3 {
        handle.append(EVENT, stamp, &largest).unwrap();
    }
    assert!(handle.flush().unwrap());
    let mut batch = RecordBatch::default();
    handle.fetch(0, 10, 1, &mut batch).unwrap();
    assert_eq!(batch.records.len(), 1, "at least one, however small the limit");
    handle.fetch(0, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(batch.records.len(), 3);
    assert!(batch.records.iter().all(|e| batch.payload(e) == largest));
    stop(running);
    assert!(matches!(handle.fetch(0, 1, 1, &mut batch), Err(OutboxError::Closed)));
}

/// Regression: the thread slept on records that it could accept again.
#[test]
fn class_block_refuses_when_full_and_continues_once_there_is_space() {
    let dir = Dir::new("block");
    let full =
        OutboxPolicy { max_bytes: 512 << 10, segment_bytes: 65_536, full: OverflowPolicy::Block, ..policy() };
    let running = run(&dir, 1, full);
    let handle = running.handle.clone();
    let mut appended = 0;
    let mut give_up = 0;
    while give_up < 2 {
        // A full queue may only mean that the thread had no turn yet; after a flush it means what it says.
        match handle.append(EVENT, stamp(1, 1, true), &[7; 1_000]) {
            Ok(()) => (appended, give_up) = (appended + 1, 0),
            Err(AppendError::Full) => {
                handle.flush().unwrap();
                give_up += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    let (mut batch, mut got) = (RecordBatch::default(), [0, 0]);
    for _ in 0..10_000 {
        if got.iter().all(|&n| n == appended) {
            break;
        }
        for (endpoint, got) in got.iter_mut().enumerate() {
            handle.fetch(endpoint, 100, 1 << 20, &mut batch).unwrap();
            if batch.is_empty() {
                handle.wait(endpoint, Some(Position(*got)), Duration::from_millis(20));
                continue;
            }
            *got += batch.records.len() as u64;
            handle.ack(endpoint, batch.through).unwrap();
        }
    }
    assert_eq!(got, [appended, appended], "everything accepted arrives, to both");
    stop(running);
}

#[test]
fn a_dead_letter_waits_for_its_replay_with_the_id_it_had_also_over_a_restart() {
    let dir = Dir::new("dead");
    let running = run(&dir, 1, policy());
    let handle = running.handle.clone();
    append(&handle, 1);
    append(&handle, 2);
    assert!(handle.flush().unwrap());
    let mut batch = RecordBatch::default();
    handle.fetch(0, 10, 1 << 20, &mut batch).unwrap();
    let id = handle.dead_letter(0, &mut batch, 1, 400, "no such field").unwrap();
    handle.ack(0, batch.through).unwrap();
    stop(running);

    let running = run(&dir, 2, policy());
    let handle = running.handle.clone();
    let dead_letters = handle.list_dead_letters(10).unwrap();
    assert_eq!(dead_letters.len(), 1);
    let dead_letter = &dead_letters[0];
    assert_eq!((dead_letter.id, dead_letter.status, dead_letter.reason.as_str()), (id, 400, "no such field"));
    assert_eq!(dead_letter.event_id, "edge-1-0000000000000001-2");
    assert_eq!(handle.wait(0, Some(Position(2)), Duration::ZERO), WaitOutcome::Timeout);
    assert_eq!(handle.replay_dead_letters(vec![]).unwrap(), 1);
    assert_eq!(handle.wait(0, Some(Position(2)), LONG), WaitOutcome::Replay);
    handle.fetch_replay(1, 10, 1 << 20, &mut batch).unwrap();
    assert!(batch.is_empty(), "another endpoint's letter");
    handle.fetch_replay(0, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(batch.records[0].event_id(), dead_letter.event_id);
    assert_eq!(texts(&batch), ["record 2"]);
    handle.reject_replay(batch.records[0].meta.position).unwrap();
    handle.fetch_replay(0, 10, 1 << 20, &mut batch).unwrap();
    assert!(batch.is_empty(), "refused again: it waits to be asked for");
    assert_eq!(handle.replay_dead_letters(vec![id]).unwrap(), 1);
    handle.fetch_replay(0, 10, 1 << 20, &mut batch).unwrap();
    handle.ack_replay(0, batch.through).unwrap();
    assert_eq!(handle.list_dead_letters(10).unwrap(), []);
    stop(running);
}

#[test]
fn without_a_writable_directory_only_class_none_starts_and_says_so() {
    let dir = Dir::new("unwritable");
    std::fs::write(dir.0.join("outbox"), "in the way").unwrap();
    let options = |durability| OutboxOptions {
        policy: OutboxPolicy { durability, ..policy() },
        identity: identity(1),
        endpoints: vec![SafeName::new("hub").unwrap()],
        on_commit: None,
        on_status: None,
    };
    assert!(matches!(start(&dir.0, options(Durability::Group)), Err(OutboxError::Io { .. })));
    let running = start(&dir.0, options(Durability::None)).unwrap();
    assert!(running.warnings[0].contains("in memory only"), "{:?}", running.warnings);
    append(&running.handle, 1);
    assert!(running.handle.flush().unwrap());
    let mut batch = RecordBatch::default();
    running.handle.fetch(0, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(texts(&batch), ["record 1"]);
    stop(running);
}

#[test]
fn a_removed_directory_is_created_again_and_no_pending_record_is_lost() {
    let dir = Dir::new("missing");
    let running = run(&dir, 1, policy());
    let handle = running.handle.clone();
    append(&handle, 1);
    assert!(handle.flush().unwrap());
    let mut batch = RecordBatch::default();
    for endpoint in [0, 1] {
        handle.ack(endpoint, Position(1)).unwrap();
    }
    assert!(handle.flush().unwrap());
    std::fs::remove_dir_all(dir.0.join("outbox")).unwrap();
    append(&handle, 2);
    assert!(!handle.flush().unwrap(), "a file without a name keeps nothing");
    let degraded = handle.status().degraded.unwrap();
    assert!(degraded.contains("removed by someone else") || degraded.contains("No such file"), "{degraded}");
    assert!((0..100).any(|_| handle.flush().unwrap()), "{:?}", handle.status().degraded);
    assert_eq!(handle.status().degraded, None);
    handle.fetch(0, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(texts(&batch), ["record 2"]);
    stop(running);
}

#[test]
fn the_directory_can_be_looked_at_beside_the_daemon_and_changed_only_without_it() {
    let dir = Dir::new("offline");
    let lock = StateDir::open(&dir.0).unwrap();
    let running = run(&dir, 1, policy());
    let handle = running.handle.clone();
    (1..=100).for_each(|n| append(&handle, n));
    assert!(handle.flush().unwrap());
    let mut batch = RecordBatch::default();
    handle.fetch(0, 1, 1 << 20, &mut batch).unwrap();
    handle.dead_letter(0, &mut batch, 0, 410, "gone").unwrap();

    let mut seen = 0;
    let report = check::inspect(&dir.0, &mut |_, _| seen += 1).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((seen, report.records, report.dead_letters), (100, 100, 1));
    assert_eq!(check::list_dead_letters(&dir.0, 10).unwrap()[0].reason, "gone");
    let refused = StateDir::open(&dir.0).unwrap_err().to_string();
    assert!(refused.contains("another instance holds the lock"), "{refused}");
    stop(running);
    drop(lock);

    let state = StateDir::open(&dir.0).unwrap();
    assert_eq!(check::replay_dead_letters(&state, &[], stamp(1, 1, true)).unwrap(), 1);
    let running = run(&dir, 2, policy());
    assert_eq!(running.handle.wait(0, Some(Position(1_000)), LONG), WaitOutcome::Replay);
    stop(running);
    assert_eq!(check::discard_dead_letters(&state, &[], stamp(1, 1, true)).unwrap(), 1);
    assert_eq!(check::list_dead_letters(&dir.0, 10).unwrap(), []);
}

/// One segment of a stopped outbox with records 1 to 100 and its file.
fn written(dir: &Dir) -> PathBuf {
    let running = run(dir, 1, policy());
    (1..=100).for_each(|n| append(&running.handle, n));
    assert!(running.handle.flush().unwrap());
    stop(running);
    dir.0.join("outbox/0000000000000001.seg")
}

fn flip(file: &PathBuf, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Mutant seen red: the second `decode_at` taken out.
#[test]
fn what_was_caught_half_written_is_no_damage_and_what_stays_is() {
    let dir = Dir::new("half-written");
    let file = written(&dir);
    let _lock = StateDir::open(&dir.0).unwrap();
    flip(&file, 300);
    // The writer gets done while the first decode_at is at a later record.
    let mut fixed = false;
    let mend = &mut |_: &_, _: &[u8]| {
        if !std::mem::replace(&mut fixed, true) {
            flip(&file, 300);
        }
    };
    // The first record is seen before the damaged one, but both are in the buffer by then.
    let report = check::inspect(&dir.0, mend).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    flip(&file, 300);
    let report = check::inspect(&dir.0, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].damage && report.findings[0].what.starts_with("1 record is lost"));
}

/// Mutant seen red: a torn end of the active segment taken for damage whoever is writing.
#[test]
fn a_torn_end_is_damage_only_when_nobody_is_writing_it() {
    let dir = Dir::new("torn-end");
    let file = written(&dir);
    let bytes = std::fs::read(&file).unwrap();
    // The mark is the last that is not zero.
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    flip(&file, end);
    let report = check::inspect(&dir.0, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].damage && report.findings[0].what.contains("torn"));
    let lock = StateDir::open(&dir.0).unwrap();
    let report = check::inspect(&dir.0, &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.records, 100);
    drop(lock);
    assert!(!check::inspect(&dir.0, &mut |_, _| {}).unwrap().is_sound());
}
