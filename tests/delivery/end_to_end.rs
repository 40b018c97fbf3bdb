//! Delivery against a real receiver over sockets, counted at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use mycelium_daemon::clock::Wall;
use mycelium_daemon::delivery::breaker_store::{BreakerStore, StoredBreaker};
use mycelium_daemon::delivery::webhook::signature::Signer;
use mycelium_daemon::delivery::{RawWebhook, Secret};
use mycelium_daemon::net::breaker::{BreakerSnapshot, BreakerState};
use mycelium_daemon::net::{BreakerMode, BreakerPolicy};
use mycelium_daemon::telemetry::trace::RequestOrigin;

use crate::support::receiver::queue::Queue;
use crate::support::receiver::rig::{Rig, SECRET, endpoint, fresh_directory, quick, raw, rig, rig_in};
use crate::support::receiver::tally::{attempts, check, seqs, taken};
use crate::support::receiver::{Answer, Receiver, by_body, ok, status};

/// Delivers `count` records through a misbehaving receiver; tells what arrived.
fn through(
    count: u64,
    change: impl FnOnce(&mut RawWebhook),
    script: impl FnMut(&crate::support::receiver::Request, usize) -> Answer + Send + 'static,
) -> (Vec<crate::support::receiver::Request>, Queue, Rig) {
    let server = Receiver::start(script);
    let queue = Queue::with(1..=count);
    let mut raw = raw(server.url());
    change(&mut raw);
    let rig = rig(&raw, &queue);
    queue.wait_drained();
    rig.stop();
    (server.stop(), queue, rig)
}

#[test]
fn a_good_receiver_gets_everything_once_over_one_connection() {
    let (requests, _, rig) = through(100, |_| {}, |_, _| ok());
    check(&requests, 1..=100);
    assert_eq!(requests.iter().map(|r| seqs(&r.body).len()).sum::<usize>(), 100, "no duplicates");
    assert!(requests.iter().all(|r| r.connection == 0));
    let metrics = &rig.metrics;
    assert_eq!((metrics.opened.get(), metrics.reused.get()), (1, requests.len() as u64 - 1));
    assert_eq!(metrics.records.get(), 100);
    let view = rig.view();
    assert_eq!((view.delivered, view.failures, view.breaker), (100, 0, "closed"));
    assert!(view.last_success.is_some() && view.last_error.is_none());
}

#[test]
fn a_request_carries_what_the_standards_ask_for() {
    let change = |raw: &mut RawWebhook| {
        raw.secret = Some(SECRET.into());
        raw.headers = vec![("Authorization".into(), "Bearer t".into())];
    };
    let (requests, ..) = through(1, change, |_, _| ok());
    let request = &requests[0];
    assert_eq!(request.target, "/hook");
    assert_eq!(request.header("content-type"), "application/cloudevents-batch+json");
    assert_eq!(request.header("authorization"), "Bearer t");
    assert!(request.header("user-agent").starts_with("myceliumd/"));
    let trace = request.header("traceparent");
    assert!(trace.len() == 55 && trace.starts_with("00-") && trace.ends_with("-00"), "{trace}");
    let stamp: i64 = request.header("webhook-timestamp").parse().unwrap();
    assert!((stamp - Wall::now().0 / 1000).abs() < 60);
    let secret = Secret::parse("secret", SECRET).unwrap();
    let signer = Signer::new(Some(&secret), None).unwrap();
    let want = signer.sign(request.header("webhook-id"), stamp, &request.wire);
    assert_eq!(request.header("webhook-signature"), want);
}

#[test]
fn compressed_bodies_unpack_to_the_same_events_and_are_signed_as_sent() {
    let change = |raw: &mut RawWebhook| {
        raw.gzip = true;
        raw.secret = Some(SECRET.into());
    };
    let (requests, ..) = through(20, change, |_, index| if index == 0 { status(503) } else { ok() });
    check(&requests, 1..=20);
    let request = &requests[1];
    assert_eq!(request.header("content-encoding"), "gzip");
    assert!(request.wire.len() < request.body.len() / 2);
    let secret = Secret::parse("secret", SECRET).unwrap();
    let signer = Signer::new(Some(&secret), None).unwrap();
    let stamp = request.header("webhook-timestamp").parse().unwrap();
    assert_eq!(
        request.header("webhook-signature"),
        signer.sign(request.header("webhook-id"), stamp, &request.wire)
    );
}

#[test]
fn a_receiver_that_fails_in_every_way_still_gets_everything_in_order() {
    let faults = [
        status(500),
        status(503),
        Answer::Drop,
        Answer::HalfAnswer,
        Answer::ResetMidBody,
        Answer::Garbage,
        status(302),
        status(408),
        status(425),
        Answer::Status(429, vec![("Retry-After", "0".into())]),
        status(401),
        status(404),
        Answer::OkThenClose,
    ];
    let script = move |_: &crate::support::receiver::Request, index: usize| match index % 3 {
        0 => faults[(index / 3) % faults.len()].clone(),
        _ => ok(),
    };
    let (requests, queue, rig) = through(300, |_| {}, script);
    check(&requests, 1..=300);
    assert_eq!(queue.dead(), []);
    assert!(attempts(&requests).iter().any(|(_, n)| *n > 1));
    assert!(rig.view().failures > 5);
}

#[test]
fn an_outage_is_survived_and_the_backlog_arrives_in_order_after_it() {
    let server = Receiver::start(|_, _| ok());
    let (url, address) = (server.url(), server.address);
    let queue = Queue::with(1..=20);
    let rig = rig(&raw(url), &queue);
    queue.wait_drained();
    let before = server.stop();
    queue.push(21..=60);
    for round in 0.. {
        if rig.view().failures > 8 {
            break;
        }
        assert!(round < 2_000_000, "nothing was tried: {:?}", rig.view());
        std::thread::yield_now();
    }
    assert!(rig.view().last_error.unwrap().contains("connection refused"));
    queue.push(61..=80);
    let server = Receiver::start_on(address, None, |_, _| ok());
    queue.wait_drained();
    rig.stop();
    let mut all = before;
    let after = server.stop();
    let first = seqs(&after[0].body);
    assert_eq!(first[0], 21, "order over the outage");
    all.extend(after);
    check(&all, 1..=80);
}

#[test]
fn one_poison_record_goes_to_the_dead_letters_and_the_rest_arrives() {
    let script = by_body(|request, _| if seqs(&request.body).contains(&13) { status(400) } else { ok() });
    let (requests, queue, rig) = through(40, |_| {}, script);
    check(&requests, (1..=40).filter(|&seq| seq != 13));
    assert_eq!(queue.dead(), [(13, 400)]);
    let refused = requests.iter().filter(|r| r.answered == 400).count();
    assert!(refused <= 5, "a batch of 8 takes four cuts: {refused}");
    assert_eq!(rig.view().breaker, "closed", "poison does not trip it");
    let ids = attempts(&requests);
    assert_eq!(ids.len(), requests.len(), "every cut made a new webhook-id");
}

#[test]
fn a_body_that_is_too_large_is_halved_until_it_fits() {
    let script = by_body(|request, _| if seqs(&request.body).len() > 3 { status(413) } else { ok() });
    let (requests, queue, _) = through(40, |_| {}, script);
    check(&requests, 1..=40);
    assert_eq!(queue.dead(), []);
    assert!(requests.iter().filter(|r| r.answered == 413).count() <= 4, "the size that fits is remembered");
}

#[test]
fn after_410_nothing_is_sent_until_an_operator_says_so_even_over_a_restart() {
    let gone = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&gone);
    let server = Receiver::start(move |_, _| if flag.load(SeqCst) { status(410) } else { ok() });
    let queue = Queue::with(1..=8);
    let directory = fresh_directory();
    let settings = raw(server.url());
    let first = rig_in(&directory, &settings, quick(), Box::new(queue.clone()));
    server.wait_until("the 410", |log| log.len() == 1);
    first.stop();
    assert!(first.view().disabled);
    let second = rig_in(&directory, &settings, quick(), Box::new(queue.clone()));
    queue.push(9..=12);
    gone.store(false, SeqCst);
    second.control.set_mode(BreakerMode::Auto, RequestOrigin::default());
    queue.wait_drained();
    second.stop();
    assert!(!second.view().disabled);
    let requests = server.stop();
    std::fs::remove_dir_all(directory).unwrap();
    check(&requests, 1..=12);
    assert_eq!(requests.iter().filter(|r| r.answered == 410).count(), 1);
}

#[test]
fn a_batch_that_was_sent_goes_out_again_unchanged_after_a_restart() {
    let server = Receiver::start(|_, index| if index == 0 { Answer::Hang } else { ok() });
    let queue = Queue::with(1..=5);
    let rig_1 = rig(&raw(server.url()), &queue);
    server.wait_until("the first attempt", |log| log.len() == 1);
    // Ends while the receiver hangs: cut off within the grace, not after timeout_ms.
    rig_1.control.stop();
    assert!(rig_1.control.join(Duration::from_millis(10)));
    queue.push(6..=30);
    let rig_2 = rig(&raw(server.url()), &queue);
    queue.wait_drained();
    rig_2.stop();
    let requests = server.stop();
    check(&requests, 1..=30);
    assert_eq!(requests[0].wire, requests[1].wire);
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
}

#[test]
fn a_receiver_that_hangs_is_given_up_after_the_timeout_and_asked_again() {
    let change = |raw: &mut RawWebhook| raw.timeout_ms = 150;
    let (requests, _, rig) = through(5, change, |_, index| if index == 0 { Answer::Hang } else { ok() });
    check(&requests, 1..=5);
    assert_eq!(requests.len(), 2);
    assert_eq!(rig.view().failures, 1);
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let other = Receiver::start(|_, _| ok());
    let target = other.url();
    let script = move |_: &crate::support::receiver::Request, index: usize| match index {
        0 => Answer::Status(307, vec![("Location", target.clone())]),
        _ => ok(),
    };
    let (requests, ..) = through(3, |_| {}, script);
    check(&requests, 1..=3);
    assert_eq!(other.stop().len(), 0);
}

#[test]
fn retry_after_is_waited_for_up_to_its_limit() {
    let (requests, ..) = through(
        3,
        |raw| raw.delivery.retry_after_max_ms = 50,
        |_, index| match index {
            0 => Answer::Status(429, vec![("Retry-After", "3600".into())]),
            _ => ok(),
        },
    );
    check(&requests, 1..=3);
}

#[test]
fn a_wrong_token_empties_nothing_into_the_dead_letters() {
    let healed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&healed);
    let server = Receiver::start(move |_, _| if flag.load(SeqCst) { ok() } else { status(401) });
    let queue = Queue::with(1..=50);
    let rig = rig(&raw(server.url()), &queue);
    server.wait_until("ten attempts", |log| log.len() >= 10);
    assert!(rig.view().last_error.unwrap().contains("check `secret` and `headers`"));
    healed.store(true, SeqCst);
    queue.wait_drained();
    rig.stop();
    check(&server.stop(), 1..=50);
    assert_eq!(queue.dead(), []);
}

#[test]
fn an_open_breaker_holds_everything_and_closing_it_lets_go() {
    let server = Receiver::start(|_, _| ok());
    let queue = Queue::default();
    let rig = rig(&raw(server.url()), &queue);
    rig.control.set_mode(BreakerMode::Open, RequestOrigin::default());
    while rig.view().mode != "open" {
        std::thread::yield_now();
    }
    let waits = queue.waits();
    queue.push(1..=20);
    rig.control.flush();
    while queue.waits() <= waits {
        std::thread::yield_now();
    }
    assert_eq!(server.requests().len(), 0);
    rig.control.set_mode(BreakerMode::Auto, RequestOrigin::default());
    queue.wait_drained();
    rig.stop();
    check(&server.stop(), 1..=20);
}

#[test]
fn an_outbox_that_cannot_be_written_for_a_while_delays_but_does_not_lose() {
    let server = Receiver::start(|_, _| ok());
    let queue = Queue::with(1..=10);
    queue.break_for(2);
    let rig = rig(&raw(server.url()), &queue);
    queue.wait_drained();
    rig.stop();
    check(&server.stop(), 1..=10);
}

#[test]
fn new_settings_take_effect_without_losing_the_batch_in_hand() {
    let old = Receiver::start(|_, _| status(500));
    let new = Receiver::start(|_, _| ok());
    let queue = Queue::with(1..=30);
    let settings = raw(old.url());
    let rig = rig(&settings, &queue);
    old.wait_until("an attempt at the old address", |log| !log.is_empty());
    let changed = RawWebhook { url: new.url(), secret: Some(SECRET.into()), ..settings };
    rig.endpoint.update(endpoint(&changed), quick());
    queue.wait_drained();
    rig.stop();
    let (old, new) = (old.stop(), new.stop());
    check(&new, 1..=30);
    assert_eq!(old[0].header("webhook-id"), new[0].header("webhook-id"));
    assert!(new[0].header("webhook-signature").starts_with("v1,"));
    assert_eq!(taken(&old), []);
}

/// Seen red with `wants_news` always true: the backlog behind the batch in hand wakes the thread for ever.
#[test]
fn a_batch_that_waits_for_its_time_is_not_woken_by_the_backlog_behind_it() {
    let server = Receiver::start(|_, _| status(503));
    let queue = Queue::with(1..=100);
    let mut settings = raw(server.url());
    settings.delivery.retry_base_ms = 3_600_000;
    settings.delivery.retry_max_ms = 3_600_000;
    let rig = rig(&settings, &queue);
    for attempts in 1..=3 {
        server.wait_until("the next attempt", |log| log.len() >= attempts);
        queue.push([100 + attempts as u64]);
        while rig.view().failures < attempts as u64 {
            std::thread::yield_now();
        }
        rig.control.flush();
    }
    server.wait_until("the last attempt", |log| log.len() >= 4);
    rig.stop();
    assert!(queue.waits() < 30, "slept {} times", queue.waits());
}

#[test]
fn a_flapping_receiver_trips_the_breaker_and_gets_everything_all_the_same() {
    let script = |_: &crate::support::receiver::Request, index: usize| {
        if (index / 7).is_multiple_of(2) { Answer::Drop } else { ok() }
    };
    let (requests, _, rig) = through(400, |_| {}, script);
    check(&requests, 1..=400);
    let metrics = &rig.metrics;
    assert!(metrics.breaker_transitions.get(BreakerState::Open) > 1, "opened");
    let [closed, half_open] =
        [BreakerState::Closed, BreakerState::HalfOpen].map(|state| metrics.breaker_transitions.get(state));
    assert!(closed > 0 && half_open >= closed, "closed {closed} times out of half-open {half_open} times");
    assert!(metrics.retries.get() > 10);
}

#[test]
fn an_unset_clock_borrows_the_receivers_for_its_timestamp() {
    let date = || ("Date", "Tue, 15 Nov 2039 12:00:00 GMT".to_owned());
    let server =
        Receiver::start(move |_, index| Answer::Status(if index == 0 { 503 } else { 200 }, vec![date()]));
    let queue = Queue::default();
    let rig = rig(&RawWebhook { secret: Some(SECRET.into()), ..raw(server.url()) }, &queue);
    rig.snapshots.clock_synced.store(false, SeqCst);
    queue.push(1..=1);
    queue.wait_drained();
    rig.stop();
    let requests = server.stop();
    let stamps: Vec<i64> = requests.iter().map(|r| r.header("webhook-timestamp").parse().unwrap()).collect();
    assert!((stamps[0] - Wall::now().0 / 1000).abs() < 60, "the first attempt knows no better");
    assert!((2_204_971_200..2_204_971_260).contains(&stamps[1]), "{stamps:?}");
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_ne!(requests[0].header("webhook-signature"), requests[1].header("webhook-signature"));
}

const HOUR: Duration = Duration::from_hours(1);

/// Waits until the thread has gone to sleep once more.
fn sleeps_again(queue: &Queue, waits: u64) {
    while queue.waits() <= waits {
        std::thread::yield_now();
    }
}

/// Mutant seen red: times it opened left out of what makes the file out of date.
#[test]
fn a_breaker_keeps_how_often_it_has_opened_over_a_restart() {
    let server = Receiver::start(|_, _| status(500));
    let (queue, directory) = (Queue::with(1..=3), fresh_directory());
    let policy = BreakerPolicy { failures: 1, ..quick() };
    let rig = rig_in(&directory, &raw(server.url()), policy, Box::new(queue.clone()));
    let store = BreakerStore::new(&directory, "lab");
    // As a power cut would find it.
    server.wait_until("the file", |log| log.len() >= 6 && store.load().unwrap().unwrap().breaker.opens == 2);
    rig.stop();
    let kept = store.load().unwrap().unwrap().breaker;
    // 5 ms, 10 ms, and 20 ms from then on.
    assert_eq!((kept.mode, kept.opens), (BreakerMode::Auto, 2));
    assert_ne!(kept.state, BreakerState::Closed);
    std::fs::remove_dir_all(directory).unwrap();
}

/// A power cut leaves the wait as it was when the breaker opened. Mutants seen red: the wait kept whole at the start, the
/// file not written at the stop.
#[test]
fn an_open_breaker_stays_open_over_restarts_but_no_longer_than_when_it_first_opens() {
    let server = Receiver::start(|_, _| ok());
    let (queue, directory) = (Queue::with(1..=3), fresh_directory());
    let store = BreakerStore::new(&directory, "lab");
    let open = |remaining| StoredBreaker {
        breaker: BreakerSnapshot { mode: BreakerMode::Auto, state: BreakerState::Open, remaining, opens: 5 },
        disabled: false,
        url_crc: 0,
    };
    store.save(&open(HOUR)).unwrap();
    let slow = BreakerPolicy { open: HOUR, open_max: 24 * HOUR, ..quick() };
    let rig = rig_in(&directory, &raw(server.url()), slow, Box::new(queue.clone()));
    sleeps_again(&queue, 1);
    rig.stop();
    assert_eq!((server.requests().len(), rig.view().breaker), (0, "open"));
    let left = store.load().unwrap().unwrap();
    assert!(left.breaker.remaining < HOUR && left.breaker.opens == 5, "{left:?}");
    store.save(&open(HOUR)).unwrap();
    let rig = rig_in(&directory, &raw(server.url()), quick(), Box::new(queue.clone()));
    queue.wait_drained();
    rig.stop();
    check(&server.stop(), 1..=3);
    std::fs::remove_dir_all(directory).unwrap();
}

/// Mutant seen red: no further try after a failed save.
#[test]
fn a_breaker_that_could_not_be_kept_is_kept_once_the_disk_lets_it() {
    let server = Receiver::start(|_, _| status(500));
    let (queue, directory) = (Queue::with(1..=3), fresh_directory());
    std::fs::write(&directory, "in the way").unwrap();
    let rig = rig_in(&directory, &raw(server.url()), quick(), Box::new(queue.clone()));
    server.wait_until("the breaker opening as far as it does", |log| log.len() >= 12);
    std::fs::remove_file(&directory).unwrap();
    server.wait_until("the file", |_| BreakerStore::new(&directory, "lab").path().exists());
    rig.stop();
    std::fs::remove_dir_all(directory).unwrap();
}

/// Mutant seen red: settings taken over whether or not they are others.
#[test]
fn a_reload_that_changes_nothing_does_not_forget_what_the_receiver_asked_for() {
    let server = Receiver::start(|_, _| Answer::Status(429, vec![("Retry-After", "3600".into())]));
    let queue = Queue::with(1..=3);
    let mut settings = raw(server.url());
    settings.delivery.retry_max_ms = 3_600_000;
    let rig = rig(&settings, &queue);
    server.wait_until("the answer", |log| log.len() == 1);
    while rig.view().failures == 0 {
        std::thread::yield_now();
    }
    // The first may find the thread on its way to sleep.
    for _ in 0..2 {
        let waits = queue.waits();
        rig.endpoint.update(endpoint(&settings), quick());
        sleeps_again(&queue, waits);
    }
    assert_eq!(server.requests().len(), 1, "nothing before the hour is over");
    settings.delivery.batch_records = 2;
    rig.endpoint.update(endpoint(&settings), quick());
    server.wait_until("another attempt with other settings", |log| log.len() == 2);
    rig.stop();
}

#[test]
fn an_endpoint_gets_only_the_types_it_wants_and_its_cursor_passes_the_others() {
    let change = |types: &str| {
        let types = vec![types.to_owned()];
        move |raw: &mut RawWebhook| raw.delivery.types = types
    };
    let (requests, _, rig) = through(100, change("com.example.*"), |_, _| ok());
    assert!(requests.is_empty(), "windows are left out");
    assert_eq!((rig.metrics.filtered.get(), rig.metrics.records.get()), (100, 0));
    let (requests, _, rig) = through(100, change("io.mycelium.window.*"), |_, _| ok());
    check(&requests, 1..=100);
    assert_eq!((rig.metrics.filtered.get(), rig.metrics.records.get()), (0, 100));
}
