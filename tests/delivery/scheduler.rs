//! The plan in virtual time: whole outages of days, in microseconds, with a receiver that is a closure.

use std::time::Duration;

use mycelium_daemon::clock::Mono;
use mycelium_daemon::delivery::scheduler::{
    DeliveryAction, DeliveryScheduler, FetchedBatch, SchedulerPolicy,
};
use mycelium_daemon::net::breaker::{Breaker, BreakerState, NEVER, Permit};
use mycelium_daemon::net::error::TransportError;
use mycelium_daemon::net::outcome::RequestOutcome;
use mycelium_daemon::net::{BreakerMode, BreakerPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn policy() -> SchedulerPolicy {
    SchedulerPolicy {
        batch_records: 64,
        linger: SECOND,
        retry_base: SECOND,
        retry_max: 15 * MINUTE,
        retry_after_max: 30 * MINUTE,
        spread: 30 * SECOND,
    }
}

/// One attempt: when, and the sequence numbers in it.
type Attempt = (Mono, Vec<u64>);

/// A plan, an endless outbox and a clock that only moves when the plan waits.
struct World {
    plan: DeliveryScheduler,
    now: Mono,
    /// One record becomes durable every so often.
    every: Duration,
    acked: u64,
    frozen: u64,
    hand: Vec<u64>,
    taken: Vec<u64>,
    dead: Vec<u64>,
    attempts: Vec<Attempt>,
    /// The next attempt that the plan announced when it last waited.
    announced: Option<Mono>,
    /// Durable before the first look, from an earlier life.
    backlog: u64,
}

impl World {
    fn new(policy: SchedulerPolicy, seed: u64) -> Self {
        let breaker = Breaker::new(BreakerPolicy::default(), seed);
        Self {
            plan: DeliveryScheduler::new(policy, breaker, seed),
            now: Mono(0),
            every: MINUTE,
            acked: 0,
            frozen: 0,
            hand: vec![],
            taken: vec![],
            dead: vec![],
            attempts: vec![],
            announced: None,
            backlog: 0,
        }
    }

    fn durable(&self) -> u64 {
        self.backlog + self.now.0 / self.every.as_nanos() as u64
    }

    fn next_record_at(&self) -> Mono {
        Mono((self.now.0 / self.every.as_nanos() as u64 + 1) * self.every.as_nanos() as u64)
    }

    fn lag(&self) -> u64 {
        self.durable() - self.acked
    }

    /// Runs until `until`; `receiver` says what each attempt comes to and how long it takes.
    fn run(&mut self, until: Mono, mut receiver: impl FnMut(Mono, &[u64]) -> (RequestOutcome, Duration)) {
        let mut idle_rounds = 0;
        // An operator may have changed the plan since.
        self.announced = None;
        while self.now < until {
            idle_rounds += 1;
            assert!(idle_rounds < 200_000, "spins without moving at {:?}", self.now);
            let before = self.now;
            match self.plan.next(self.now) {
                DeliveryAction::Wait(at) => {
                    assert!(at > self.now, "waits for the past");
                    self.announced = self.plan.next_attempt(self.now);
                    assert!(self.announced.is_none_or(|next| at <= next), "sleeps beyond its next attempt");
                    let durable = self.durable();
                    self.now = at.min(self.next_record_at()).min(until);
                    if self.durable() > durable {
                        self.plan.wake();
                    }
                }
                DeliveryAction::Fetch { records } => self.fetch(records),
                DeliveryAction::Send { count, permit } => {
                    assert!(self.announced.is_none_or(|next| self.now >= next), "tries before it said");
                    let batch = self.hand[..count].to_vec();
                    self.frozen = *batch.last().unwrap();
                    let (outcome, took) = receiver(self.now, &batch);
                    self.attempts.push((self.now, batch));
                    self.now = self.now + took;
                    let taken = if matches!(outcome, RequestOutcome::Success { .. }) { count } else { 0 };
                    self.plan.on_reply(permit, taken, outcome, self.now);
                }
                DeliveryAction::Ack { count } => {
                    self.taken.extend(&self.hand[..count]);
                    self.acked = self.hand[count - 1];
                    self.plan.on_source_done();
                }
                DeliveryAction::DeadLetter { .. } => {
                    self.dead.push(self.hand[0]);
                    self.acked = self.hand[0];
                    self.plan.on_source_done();
                }
            }
            if self.now > before {
                idle_rounds = 0;
            }
        }
    }

    fn fetch(&mut self, records: usize) {
        let frozen = self.frozen > self.acked;
        let last = if frozen { self.frozen } else { self.durable().min(self.acked + records as u64) };
        self.hand = (self.acked + 1..=last).collect();
        let backlog = self.hand.first().is_some_and(|&seq| seq <= self.backlog);
        let count = self.hand.len();
        self.plan.on_fetched(FetchedBatch { count, unwanted: false, full: false, frozen, backlog }, self.now);
    }
}

fn good(_: Mono, _: &[u64]) -> (RequestOutcome, Duration) {
    let took = Duration::from_millis(50);
    (RequestOutcome::Success { took }, took)
}

fn refused() -> (RequestOutcome, Duration) {
    (RequestOutcome::from(TransportError::Refused), Duration::from_millis(2))
}

fn at(duration: Duration) -> Mono {
    Mono(0) + duration
}

#[test]
fn a_day_without_receiver_is_few_attempts_and_then_everything_in_order() {
    for seed in 0..20 {
        let mut world = World::new(policy(), seed);
        world.run(at(HOUR), good);
        assert_eq!(world.taken.len(), 59, "seed {seed}: one a minute, each after its linger");
        let before = world.attempts.len();
        world.run(at(25 * HOUR), |_, _| refused());
        let tried = world.attempts.len() - before;
        assert!((90..400).contains(&tried), "seed {seed}: {tried} attempts in a day");
        let back = world.now;
        world.run(back + HOUR, good);
        assert!(world.lag() <= 1, "seed {seed}: {} behind", world.lag());
        let all: Vec<u64> = (1..=world.acked).collect();
        assert_eq!(world.taken, all, "seed {seed}");
    }
}

#[test]
fn the_batch_of_before_the_outage_is_repeated_whole_and_later_ones_start_small() {
    let mut world = World::new(policy(), 3);
    world.every = SECOND;
    world.linger_fill();
    world.run(at(HOUR), |_, _| refused());
    let first = world.attempts[0].1.clone();
    assert!(world.attempts.iter().all(|(_, batch)| *batch == first), "repeats carry the same records");
    let failed = world.attempts.len();
    world.run(at(3 * HOUR), good);
    let sizes: Vec<usize> = world.attempts[failed..].iter().map(|(_, batch)| batch.len()).collect();
    assert_eq!(sizes[0], first.len());
    assert_eq!(sizes[1..5], [8, 16, 32, 64], "slow start doubles");
    assert!(world.lag() < 4);
}

impl World {
    /// Lets the first batch be a full one.
    fn linger_fill(&mut self) {
        self.backlog = 64;
    }
}

#[test]
fn devices_that_lost_the_same_receiver_do_not_come_back_together() {
    let mut first = vec![];
    for seed in 0..300 {
        let mut world = World::new(policy(), seed);
        world.run(at(2 * HOUR), |_, _| refused());
        let back = world.now;
        let mut came = None;
        world.run(back + HOUR, |now, batch| {
            came.get_or_insert(now);
            good(now, batch)
        });
        first.push((came.unwrap() - back).as_secs());
    }
    for start in (0..900).step_by(30) {
        let crowd = first.iter().filter(|&&s| (start..start + 30).contains(&s)).count();
        // Seen red with open times without jitter and no spread: everyone shares a few instants.
        assert!(crowd < 60, "{crowd} of 300 within 30 s of second {start}");
    }
    assert!(first.iter().all(|&s| s <= 930), "the longest wait is the cap and the spread");
}

#[test]
fn after_a_power_cut_of_a_whole_site_devices_do_not_send_at_once() {
    let mut first = vec![];
    for seed in 0..200 {
        let mut world = World::new(policy(), seed);
        world.backlog = 100;
        world.run(at(MINUTE), good);
        first.push(world.attempts[0].0.0);
        assert_eq!(world.attempts[0].1.len(), 4, "slow start");
    }
    first.sort_unstable();
    assert!(
        first[10] < 5_000_000_000 && first[190] > 25_000_000_000 && *first.last().unwrap() <= 30_000_000_000
    );
    let mut world = World::new(policy(), 1);
    world.run(at(2 * MINUTE), good);
    assert_eq!(world.attempts[0].0, at(MINUTE + SECOND), "a first start has nothing to spread");
}

#[test]
fn a_missing_uplink_trips_nothing_and_is_noticed_within_two_minutes_when_it_is_back() {
    for seed in 0..50 {
        let mut world = World::new(policy(), seed);
        world.run(at(24 * HOUR), |_, _| (RequestOutcome::from(TransportError::NoRoute), Duration::ZERO));
        assert_eq!(world.plan.breaker().state(), BreakerState::Closed);
        let back = world.now;
        let mut came = None;
        world.run(back + 10 * MINUTE, |now, batch| {
            came.get_or_insert(now);
            good(now, batch)
        });
        assert!(came.unwrap() - back <= 90 * SECOND, "seed {seed}: {:?}", came.unwrap() - back);
    }
}

#[test]
fn poison_is_found_by_halving_and_everything_else_arrives() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let poison: Vec<u64> = (1..=500).filter(|_| rng.u8(..) < 6).collect();
        let mut world = World::new(policy(), seed);
        world.every = SECOND;
        world.backlog = 500;
        let until = at(HOUR);
        let bad = poison.clone();
        world.run(until, move |now, batch| {
            if batch.iter().any(|seq| bad.contains(seq)) {
                (RequestOutcome::Rejected(422), Duration::from_millis(20))
            } else {
                good(now, batch)
            }
        });
        assert_eq!(world.dead, poison, "seed {seed}: exactly the culprits");
        let want: Vec<u64> = (1..=world.acked).filter(|seq| !poison.contains(seq)).collect();
        assert_eq!(world.taken, want, "seed {seed}");
        let cost = world.attempts.iter().filter(|(_, b)| b.iter().any(|s| poison.contains(s))).count();
        assert!(cost <= poison.len() * 8, "seed {seed}: {cost} refusals for {} culprits", poison.len());
    }
}

#[test]
fn a_receiver_that_refuses_everything_gets_ever_fewer_dead_letters() {
    let mut world = World::new(policy(), 5);
    world.every = SECOND;
    world.run(at(HOUR), |_, _| (RequestOutcome::Rejected(400), Duration::from_millis(20)));
    let hour = world.dead.len();
    assert!((8..60).contains(&hour), "{hour} in the first hour of 3,600 records");
    world.run(at(24 * HOUR), |_, _| (RequestOutcome::Rejected(400), Duration::from_millis(20)));
    let day = world.dead.len() - hour;
    assert!(day < 400, "{day} in the rest of the day: at most a few an hour");
    let dead = world.dead.len() as u64;
    assert_eq!(world.dead, (1..=dead).collect::<Vec<_>>(), "from the front, in order");
    // Never stuck: once healed, all the rest arrives.
    world.run(at(27 * HOUR), good);
    assert_eq!(world.taken, (dead + 1..=world.acked).collect::<Vec<_>>());
    assert!(world.lag() < 70);
}

#[test]
fn a_wrong_token_costs_no_record_and_opens_the_breaker() {
    let mut world = World::new(policy(), 5);
    world.run(at(24 * HOUR), |_, _| (RequestOutcome::Misconfigured(401), Duration::from_millis(20)));
    assert_eq!((world.dead.len(), world.taken.len()), (0, 0));
    assert!(world.plan.breaker().snapshot(world.now).opens > 3);
    world.run(at(26 * HOUR), good);
    assert!(world.lag() <= 1);
}

#[test]
fn too_large_halves_and_the_size_that_fits_is_kept_for_a_while() {
    let mut world = World::new(policy(), 5);
    world.backlog = 2000;
    world.every = 10 * SECOND;
    let mut limit = 10;
    world.run(at(HOUR), |now, batch| {
        if batch.len() > limit { (RequestOutcome::TooLarge, SECOND) } else { good(now, batch) }
    });
    assert_eq!(world.dead, []);
    let failed = world.attempts.iter().filter(|(_, b)| b.len() > 10).count();
    assert!(failed < 20, "{failed} too large ones for {} batches", world.attempts.len());
    limit = 0;
    world.backlog += 3;
    world.run(at(HOUR) + 2 * MINUTE, |now, b| {
        if b.len() > limit { (RequestOutcome::TooLarge, SECOND) } else { good(now, b) }
    });
    assert!(!world.dead.is_empty(), "a single record that is too large goes aside");
}

#[test]
fn retry_after_is_honoured_whatever_the_longest_back_off_is_and_clamped_to_its_own_limit() {
    for (asked, least, most) in [(120, 120, 152), (1_200, 1_200, 1_232), (1_000_000, 1_800, 1_832)] {
        let mut world = World::new(policy(), 9);
        let wait = Some(Duration::from_secs(asked));
        world.run(at(HOUR), |now, batch| match batch {
            _ if now < at(2 * MINUTE) => (RequestOutcome::Busy { retry_after: wait }, Duration::ZERO),
            _ => good(now, batch),
        });
        let gap = (world.attempts[1].0 - world.attempts[0].0).as_secs();
        assert!((least..=most).contains(&gap), "asked for {asked}, waited {gap}");
        assert_eq!(
            world.plan.breaker().state(),
            BreakerState::Closed,
            "a request for patience is no failure"
        );
    }
}

#[test]
fn after_410_nothing_is_tried_until_an_operator_or_a_new_url_says_so() {
    let mut world = World::new(policy(), 1);
    world.run(at(24 * HOUR), |_, _| (RequestOutcome::Gone, Duration::ZERO));
    assert_eq!(world.attempts.len(), 1);
    assert!(world.plan.is_disabled());
    world.plan.set_mode(BreakerMode::Auto);
    world.run(at(26 * HOUR), good);
    assert!(world.lag() <= 1);
}

#[test]
fn an_operators_open_holds_for_ever_and_closed_ends_every_wait() {
    let mut world = World::new(policy(), 1);
    world.plan.set_mode(BreakerMode::Open);
    world.run(at(24 * HOUR), good);
    assert_eq!(world.attempts.len(), 0);
    assert_eq!(world.plan.next(world.now), DeliveryAction::Wait(NEVER));
    world.plan.set_mode(BreakerMode::Auto);
    world.run(at(25 * HOUR), |_, _| refused());
    let tried = world.attempts.len();
    world.plan.set_mode(BreakerMode::Closed);
    world.run(at(25 * HOUR) + SECOND, good);
    assert!(world.attempts.len() > tried, "closed: at once");
}

#[test]
fn small_batches_wait_for_their_linger_and_full_ones_do_not() {
    let mut world = World::new(SchedulerPolicy { linger: 10 * SECOND, batch_records: 4, ..policy() }, 1);
    world.every = SECOND;
    world.run(at(MINUTE), good);
    assert!(world.attempts.iter().all(|(_, b)| b.len() == 4), "full before the linger is over");
    let mut slow = World::new(SchedulerPolicy { linger: 10 * SECOND, ..policy() }, 1);
    slow.every = 7 * SECOND;
    slow.run(at(MINUTE), good);
    assert_eq!(slow.attempts[0], (at(17 * SECOND), vec![1, 2]), "first record at 7 s, linger 10 s");
}

#[test]
fn flush_overrides_linger_and_back_off() {
    let mut world = World::new(SchedulerPolicy { linger: HOUR, ..policy() }, 1);
    world.run(at(5 * MINUTE), good);
    assert_eq!(world.attempts.len(), 0);
    world.plan.flush(world.now);
    world.run(at(5 * MINUTE) + SECOND, good);
    assert_eq!(world.taken, [1, 2, 3, 4, 5]);
}

/// Any receiver, any seed: in order, nothing skipped, nothing twice after it was taken, never spinning.
#[test]
fn whatever_the_receiver_does_order_and_completeness_hold() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(SchedulerPolicy { batch_records: rng.usize(1..40), ..policy() }, seed);
        world.every = Duration::from_millis(rng.u64(200..60_000));
        world.backlog = rng.u64(0..100);
        world.run(at(12 * HOUR), move |now, batch| {
            let outcome = match rng.u8(0..12) {
                0 => RequestOutcome::Rejected(400),
                1 => RequestOutcome::TooLarge,
                2 => RequestOutcome::Misconfigured(403),
                3 => RequestOutcome::Busy { retry_after: Some(Duration::from_secs(rng.u64(0..100))) },
                4 => RequestOutcome::from(TransportError::NoRoute),
                5 => RequestOutcome::from(TransportError::Timeout),
                6 => RequestOutcome::Aborted,
                _ => return good(now, batch),
            };
            (outcome, Duration::from_millis(rng.u64(0..20_000)))
        });
        let done = world.attempts.len();
        assert!(done > 10, "seed {seed}");
        let mut all: Vec<u64> = world.taken.iter().chain(&world.dead).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (1..=world.acked).collect::<Vec<_>>(), "seed {seed}: each exactly once");
        assert!(world.taken.is_sorted() && world.dead.is_sorted(), "seed {seed}");
        world.run(at(40 * HOUR), good);
        assert!(world.lag() < 400, "seed {seed}: {} behind long after healing", world.lag());
    }
}

/// Fetches `count` records and gives the permit of the attempt that follows.
fn first_attempt(plan: &mut DeliveryScheduler, count: usize, now: Mono) -> Permit {
    assert!(matches!(plan.next(now), DeliveryAction::Fetch { .. }));
    let batch = FetchedBatch { count, unwanted: false, full: true, frozen: false, backlog: false };
    plan.on_fetched(batch, now);
    let DeliveryAction::Send { count: sent, permit } = plan.next(now) else { panic!("nothing is sent") };
    assert_eq!(sent, count);
    permit
}

fn plan() -> DeliveryScheduler {
    DeliveryScheduler::new(policy(), Breaker::new(BreakerPolicy::default(), 1), 1)
}

/// Seen red when a part that was taken was not acknowledged.
#[test]
fn what_was_taken_is_acknowledged_before_the_rest_is_tried_again() {
    let (mut plan, now) = (plan(), Mono(1));
    let permit = first_attempt(&mut plan, 10, now);
    plan.on_reply(permit, 4, RequestOutcome::Failed { retry_after: None }, now);
    assert_eq!(plan.next(now), DeliveryAction::Ack { count: 4 });
    plan.on_source_done();
    let batch = FetchedBatch { count: 6, unwanted: false, full: true, frozen: false, backlog: false };
    assert!(matches!(plan.next(now), DeliveryAction::Fetch { .. }));
    plan.on_fetched(batch, now);
    let DeliveryAction::Wait(at) = plan.next(now) else { panic!("no back-off") };
    assert!(at > now);
    assert!(matches!(plan.next(at), DeliveryAction::Send { count: 6, .. }));
}

#[test]
fn a_record_refused_after_others_were_taken_is_tried_alone_then_a_dead_letter() {
    for (rest, status) in [(RequestOutcome::Rejected(1153), 1153), (RequestOutcome::TooLarge, 413)] {
        let (mut plan, now) = (plan(), Mono(1));
        let permit = first_attempt(&mut plan, 10, now);
        plan.on_reply(permit, 4, rest, now);
        assert_eq!(plan.next(now), DeliveryAction::Ack { count: 4 });
        plan.on_source_done();
        assert_eq!(plan.next(now), DeliveryAction::Fetch { records: 1 });
        let alone = FetchedBatch { count: 1, unwanted: false, full: true, frozen: false, backlog: false };
        plan.on_fetched(alone, now);
        let DeliveryAction::Send { count: 1, permit } = plan.next(now) else { panic!("not alone") };
        plan.on_reply(permit, 0, rest, now);
        assert_eq!(plan.next(now), DeliveryAction::DeadLetter { status });
    }
}

#[test]
fn records_nobody_wants_are_acknowledged_after_the_linger_without_an_attempt() {
    let (mut plan, now) = (plan(), Mono(1));
    plan.set_mode(BreakerMode::Open);
    assert!(matches!(plan.next(now), DeliveryAction::Fetch { .. }));
    let batch = FetchedBatch { count: 0, unwanted: true, full: false, frozen: false, backlog: false };
    plan.on_fetched(batch, now);
    let ready = now + policy().linger;
    assert_eq!(plan.next(now), DeliveryAction::Wait(ready));
    assert_eq!(plan.next(ready), DeliveryAction::Ack { count: 0 }, "the breaker does not matter");
}
