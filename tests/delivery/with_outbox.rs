//! From the real outbox through the real sender to a real receiver.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::RawWebhook;
use mycelium_daemon::delivery::outbox_source::OutboxSource;
use mycelium_daemon::delivery::source::WINDOW;
use mycelium_outbox::{
    OutboxHandle, OutboxOptions, OutboxPolicy, RunningOutbox, SafeName, WriterIdentity, start,
};

use crate::support::receiver::queue::record;
use crate::support::receiver::rig::{Rig, fresh_directory, quick, raw, rig_of};
use crate::support::receiver::tally::{check, seqs, taken};
use crate::support::receiver::{Answer, PATIENCE, Receiver, by_body, ok, status};

const DEVICE: &str = "dev";

struct OutboxRig {
    running: Option<RunningOutbox>,
    boot: BootId,
    data: PathBuf,
}

fn open(data: &Path, boot: u64, policy: OutboxPolicy) -> OutboxRig {
    let boot = BootId(boot);
    let identity = WriterIdentity { device: SafeName::new(DEVICE).unwrap(), boot, stamp: stamp(0, true) };
    let endpoints = vec![SafeName::new("lab").unwrap()];
    let options = OutboxOptions { policy, identity, endpoints, on_commit: None, on_status: None };
    OutboxRig { running: Some(start(data, options).unwrap()), boot, data: data.to_owned() }
}

fn prompt() -> OutboxPolicy {
    OutboxPolicy { group: Duration::from_millis(2), ..OutboxPolicy::default() }
}

fn stamp(wall: i64, synced: bool) -> Stamp {
    Stamp { mono: Mono::now(), wall: Wall(wall), synced }
}

impl OutboxRig {
    fn handle(&self) -> &OutboxHandle {
        &self.running.as_ref().unwrap().handle
    }

    fn append(&self, seqs: impl IntoIterator<Item = u64>, synced: bool) {
        for seq in seqs {
            self.handle().append(WINDOW, stamp(5_000, synced), &record(seq).payload).unwrap();
        }
    }

    fn deliver_to(&self, raw: &RawWebhook) -> Rig {
        let source = OutboxSource::new(self.handle().clone(), "lab").unwrap();
        rig_of(self.boot, &self.data.join("breakers"), raw, quick(), Box::new(source))
    }

    fn wait(&self, what: &str, mut done: impl FnMut(&OutboxHandle) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self.handle()) {
            assert!(Instant::now() < until, "never saw {what}: {:?}", self.handle().status());
            std::thread::yield_now();
        }
    }

    fn wait_drained(&self, records: u64) {
        self.wait("the end", |handle| {
            let status = handle.status();
            status.durable_seq >= records && status.endpoints[0].lag == 0
        });
    }

    fn close(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        if let Some(running) = self.running.take() {
            running.handle.shutdown(Mono::now() + Duration::from_secs(5));
            running.thread.join().unwrap();
        }
    }
}

impl Drop for OutboxRig {
    fn drop(&mut self) {
        self.shut();
    }
}

#[test]
fn what_the_outbox_holds_arrives_once_and_in_order_while_more_is_appended() {
    let data = fresh_directory();
    let server = Receiver::start(|_, index| if index % 4 == 1 { status(500) } else { ok() });
    let outbox = open(&data, 1, prompt());
    outbox.append(1..=100, true);
    let rig = outbox.deliver_to(&raw(server.url()));
    outbox.append(101..=200, true);
    outbox.wait_drained(200);
    rig.stop();
    outbox.close();
    check(&server.stop(), 1..=200);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_batch_that_was_in_flight_at_the_end_is_repeated_byte_for_byte_by_the_next_process() {
    let data = fresh_directory();
    let server = Receiver::start(|_, index| if index == 0 { Answer::Hang } else { ok() });
    let first = open(&data, 1, prompt());
    first.append(1..=5, true);
    first.wait("five durable records", |handle| handle.status().durable_seq == 5);
    let rig = first.deliver_to(&raw(server.url()));
    server.wait_until("the first attempt", |log| log.len() == 1);
    let sent = seqs(&server.requests()[0].body).len();
    rig.control.stop();
    assert!(rig.control.join(Duration::ZERO));
    first.append(6..=20, true);
    first.close();
    let second = open(&data, 2, prompt());
    let rig = second.deliver_to(&raw(server.url()));
    second.wait("an empty outbox", |handle| handle.status().endpoints[0].lag == 0);
    rig.stop();
    second.close();
    let requests = server.stop();
    assert_eq!(requests[0].wire, requests[1].wire);
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_eq!(seqs(&requests[1].body).len(), sent, "nothing was added to it");
    check(&requests, 1..=20);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_refused_record_lies_among_the_dead_letters_and_arrives_when_it_is_replayed() {
    let data = fresh_directory();
    let healed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = healed.clone();
    let server = Receiver::start(by_body(move |request, _| {
        let poison = !flag.load(std::sync::atomic::Ordering::SeqCst) && seqs(&request.body).contains(&7);
        if poison { status(422) } else { ok() }
    }));
    let outbox = open(&data, 1, prompt());
    outbox.append(1..=20, true);
    let rig = outbox.deliver_to(&raw(server.url()));
    outbox.wait_drained(20);
    let dead = outbox.handle().list_dead_letters(10).unwrap();
    assert_eq!((dead.len(), dead[0].event_id.as_str(), dead[0].status), (1, "dev-0000000000000001-7", 422));
    check(&server.requests(), (1..=20).filter(|&seq| seq != 7));
    // AppendError again: stays, and is not tried for ever.
    outbox.handle().replay_dead_letters(vec![]).unwrap();
    outbox.wait("the second refusal", |handle| !handle.status().endpoints[0].replay);
    assert_eq!(outbox.handle().list_dead_letters(10).unwrap().len(), 1);
    healed.store(true, std::sync::atomic::Ordering::SeqCst);
    outbox.handle().replay_dead_letters(vec![]).unwrap();
    outbox.wait("the replay", |handle| handle.status().dead_letters == 0);
    rig.stop();
    outbox.close();
    let requests = server.stop();
    assert_eq!(taken(&requests).last(), Some(&7));
    let events: Vec<_> = requests.iter().filter(|r| r.body.contains("-7\"")).collect();
    assert!(events.len() >= 3);
    std::fs::remove_dir_all(data).unwrap();
}

/// Regression: every fetch asked for the dead letter first and failed with it, so nothing was delivered any more.
#[test]
fn an_unreadable_dead_letter_does_not_block_new_records() {
    let data = fresh_directory();
    let server =
        Receiver::start(by_body(|request, _| if request.body.contains("-1\"") { status(422) } else { ok() }));
    let outbox = open(&data, 1, prompt());
    outbox.append(1..=1, true);
    let rig = outbox.deliver_to(&raw(server.url()));
    outbox.wait_drained(1);
    rig.stop();
    outbox.handle().replay_dead_letters(vec![]).unwrap();
    // Reading a file beyond its end fails nowhere; a directory in its place does, once it is opened again.
    let log = data.join("outbox/dead.log");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    assert!(
        outbox.handle().discard_dead_letters(vec![99]).is_ok(),
        "none of that number: nothing is written"
    );
    let refused = outbox.handle().replay_dead_letters(vec![]);
    assert!(refused.is_err(), "closes the file");
    let rig = outbox.deliver_to(&raw(server.url()));
    outbox.append(2..=9, true);
    outbox.wait_drained(9);
    outbox.wait("no more waiting for it", |handle| !handle.status().endpoints[0].replay);
    rig.stop();
    outbox.close();
    check(&server.stop(), 2..=9);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn times_from_before_the_clock_was_known_are_corrected_unless_they_were_sent() {
    const NOW: i64 = 1_800_000_000_000;
    let data = fresh_directory();
    let server = Receiver::start(|_, _| ok());
    let outbox = open(&data, 1, prompt());
    let rig = outbox.deliver_to(&raw(server.url()));
    outbox.append(1..=3, false);
    outbox.wait_drained(3);
    rig.stop();
    outbox.append(4..=6, false);
    outbox.handle().clock_synced(stamp(NOW, true)).unwrap();
    outbox.append(7..=7, true);
    let rig = outbox.deliver_to(&raw(server.url()));
    // Seven windows and the record that says when the clock became known.
    outbox.wait_drained(8);
    rig.stop();
    outbox.close();
    let text: String = server.stop().iter().map(|r| r.body.clone()).collect();
    let sent_early = |event: &&str| {
        event.contains("\"time\":\"1970-01-01T00:00:05.000Z\"")
            && event.contains("\"clock\":\"unsynced\",\"datacontenttype\"")
    };
    assert_eq!(text.split("\"specversion\"").filter(sent_early).count(), 3, "{text}");
    assert_eq!(
        text.matches("\"time\":\"2027-01-15T0").count(),
        4,
        "three corrected, one of the sync: {text}"
    );
    assert_eq!(text.matches(",\"clock\":\"corrected\",\"datacontenttype\"").count(), 3);
    assert!(text.contains("\"type\":\"io.mycelium.clock.v1\""));
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn what_had_to_be_dropped_is_delivered_as_a_gap() {
    let data = fresh_directory();
    let small =
        OutboxPolicy { max_bytes: 512 << 10, segment_bytes: 64 << 10, keep_free_bytes: 0, ..prompt() };
    let outbox = open(&data, 1, small);
    for seq in 1..=900 {
        outbox.append([seq], true);
        if seq % 50 == 0 {
            outbox.wait("room in the queue", |handle| handle.status().in_memory == 0);
        }
    }
    let server = Receiver::start(|_, _| ok());
    let rig = {
        let mut settings = raw(server.url());
        settings.delivery.batch_records = 64;
        outbox.deliver_to(&settings)
    };
    outbox.wait("an empty outbox", |handle| {
        let status = handle.status();
        status.in_memory == 0 && status.endpoints[0].lag == 0
    });
    rig.stop();
    outbox.close();
    let requests = server.stop();
    let text: String = requests.iter().map(|r| r.body.clone()).collect();
    assert!(
        text.contains("io.mycelium.gap.v1") && text.contains("\"reason\":\"drop-oldest\""),
        "no gap event"
    );
    let arrived = taken(&requests);
    assert!(arrived.is_sorted() && arrived.len() > 200 && arrived.len() < 900, "{}", arrived.len());
    std::fs::remove_dir_all(data).unwrap();
}
