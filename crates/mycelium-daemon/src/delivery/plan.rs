//! PURE. What the sender of one endpoint does next.
//!
//! [`Plan::next`] says what to do, `on_*` say what came of it; times and seeds are arguments, so tests play a
//! day of outage in microseconds. Invariants:
//!
//! - One batch is in flight; nothing behind it goes out before the source has taken note of what became of it.
//! - Only `Ack` and `DeadLetter` move on, each over records from the front: order holds, nothing is skipped.
//! - A batch keeps its size from its first sending on; only a refusal (4xx, 413) cuts it.
//! - Whatever the endpoint answers, there is always a next attempt, except after 410.

use std::time::Duration;

use fastrand::Rng;

use super::breaker::{Breaker, NEVER, Permit, Verdict};
use super::outcome::Outcome;
use super::retry::{Backoff, up_to};
use super::settings::{BreakerMode, BreakerPolicy, Endpoint};
use crate::clock::Mono;

/// Longest wait between two tries to get out of the house: they cost the endpoint nothing.
const NETWORK_RETRY_MAX: Duration = Duration::from_mins(1);
/// Attempts in a row that did not get out of the house and make an outage.
const NETWORK_OUTAGE: u32 = 3;
/// Records in a row that may be refused, with none taken between, before the endpoint itself is under
/// suspicion (a wrong secret, a new schema) and each further one costs a back-off.
const REFUSALS_IN_A_ROW: u32 = 8;
/// Deliveries after which a batch size that was cut by 413 is tried doubled.
const CALM: u32 = 32;
/// A source that failed is asked again after this.
const SOURCE_RETRY: Duration = Duration::from_secs(1);

/// The part of an endpoint's settings that decides when and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// At least 1.
    pub batch_records: usize,
    pub linger: Duration,
    pub retry_base: Duration,
    pub retry_max: Duration,
    pub spread: Duration,
}

impl From<&Endpoint> for Policy {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            batch_records: endpoint.batch_records,
            linger: endpoint.linger,
            retry_base: endpoint.retry_base,
            retry_max: endpoint.retry_max,
            spread: endpoint.spread,
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until then, or until woken.
    Wait(Mono),
    /// Look for durable records and report them with [`Plan::on_fetched`].
    Fetch { records: usize },
    /// Send the first `count` records in hand and report with [`Plan::on_reply`].
    Send { count: usize, permit: Permit },
    /// The first `count` records in hand were taken: note it, then [`Plan::on_settled`].
    Ack { count: usize },
    /// The first record in hand was refused for good: keep it aside, then [`Plan::on_settled`].
    DeadLetter { status: u16 },
}

/// What the source had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub count: usize,
    /// No more fit into one body.
    pub full: bool,
    /// These were sent before and have to go out together again.
    pub frozen: bool,
    /// Left over from an earlier life of this process.
    pub backlog: bool,
}

#[derive(Clone, Copy, Debug)]
struct Hand {
    count: usize,
    /// How many of them make the batch; 0 until it is first sent.
    size: usize,
    ready_at: Mono,
}

#[derive(Clone, Debug)]
pub struct Plan {
    policy: Policy,
    breaker: Breaker,
    backoff: Backoff,
    network: Backoff,
    rng: Rng,
    hand: Option<Hand>,
    /// Whether the source may have something new.
    look: bool,
    /// Nothing lingers until the source is empty.
    flushing: bool,
    first_look: bool,
    in_flight: bool,
    /// What the source still has to take note of.
    due: Option<Action>,
    not_before: Mono,
    /// A source that failed is left alone until then.
    source_from: Mono,
    /// Set by an outage until the next delivery.
    outage: bool,
    /// Slow start: batch size that doubles with every delivery.
    ramp: usize,
    /// Largest batch the endpoint has not called too large.
    cap: usize,
    calm: u32,
    /// Number of records at the front among which at least one is refused.
    suspects: usize,
    refused_in_row: u32,
    gone: bool,
}

impl Plan {
    pub fn new(policy: Policy, breaker: Breaker, seed: u64) -> Self {
        Self {
            policy,
            breaker,
            backoff: Backoff::new(policy.retry_base, policy.retry_max),
            network: Backoff::new(policy.retry_base, policy.retry_max.min(NETWORK_RETRY_MAX)),
            rng: Rng::with_seed(seed),
            hand: None,
            look: true,
            flushing: false,
            first_look: true,
            in_flight: false,
            due: None,
            not_before: Mono(0),
            source_from: Mono(0),
            outage: false,
            ramp: policy.batch_records,
            cap: policy.batch_records,
            calm: 0,
            suspects: 0,
            refused_in_row: 0,
            gone: false,
        }
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The endpoint said 410: nothing is sent any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    pub fn set_gone(&mut self, gone: bool) {
        self.gone = gone;
    }

    /// An operator's word. Anything but `open` also takes back a 410.
    pub fn set_mode(&mut self, mode: BreakerMode) {
        self.breaker.set_mode(mode);
        if mode != BreakerMode::Open {
            self.gone = false;
        }
        if mode == BreakerMode::Closed {
            self.not_before = Mono(0);
        }
    }

    /// Takes on new settings; a batch that is in hand keeps its size.
    pub fn reconfigure(&mut self, policy: Policy, breaker: BreakerPolicy) {
        self.breaker.set_policy(breaker);
        self.backoff = Backoff::new(policy.retry_base, policy.retry_max);
        self.network = Backoff::new(policy.retry_base, policy.retry_max.min(NETWORK_RETRY_MAX));
        self.ramp = policy.batch_records;
        self.cap = policy.batch_records;
        self.policy = policy;
        self.not_before = Mono(0);
    }

    /// New records are durable.
    pub fn wake(&mut self) {
        self.look = true;
    }

    /// Send what there is now: neither linger nor back-off holds it, only the breaker may.
    pub fn flush(&mut self, now: Mono) {
        self.not_before = Mono(0);
        self.flushing = true;
        self.look = true;
        // What was not sent yet is fetched again, with all that has come since.
        self.hand = self.hand.filter(|hand| hand.size > 0).map(|hand| Hand { ready_at: now, ..hand });
    }

    /// Whether new records would change anything now: not while a batch is on its way or waits for its time.
    pub fn wants_news(&self, now: Mono) -> bool {
        let gathers = self.hand.is_none_or(|hand| now < hand.ready_at);
        gathers && !self.gone && !self.in_flight && self.due.is_none() && now >= self.source_from
    }

    /// What is in hand is not what the source would give now: look again before sending.
    pub fn on_stale(&mut self, permit: Permit, now: Mono) {
        // Handed back unused: a half-open breaker would wait for it.
        self.breaker.settle(permit, Verdict::Unreachable, now);
        self.in_flight = false;
        self.hand = None;
        self.look = true;
    }

    /// Largest batch to make at the moment.
    fn limit(&self) -> usize {
        let seek = if self.suspects > 0 { self.suspects.div_ceil(2) } else { usize::MAX };
        self.policy.batch_records.min(self.ramp).min(self.cap).min(seek).max(1)
    }

    pub fn next(&mut self, now: Mono) -> Action {
        if self.in_flight || self.gone {
            return Action::Wait(NEVER);
        }
        let rests = now < self.source_from;
        if let Some(due) = self.due {
            return if rests { Action::Wait(self.source_from) } else { due };
        }
        let linger = self.hand.map_or(NEVER, |hand| hand.ready_at);
        let hand = match self.hand {
            Some(hand) if now >= linger => hand,
            _ if self.look && !rests => return Action::Fetch { records: self.limit() },
            _ if self.look => return Action::Wait(self.source_from.min(linger)),
            _ => return Action::Wait(linger),
        };
        if now < self.not_before {
            return Action::Wait(self.not_before);
        }
        match self.breaker.ask(now) {
            Err(again) => Action::Wait(again),
            Ok(permit) => self.send(hand, permit),
        }
    }

    fn send(&mut self, hand: Hand, permit: Permit) -> Action {
        let count = if hand.size > 0 { hand.size } else { hand.count.min(self.limit()) };
        self.hand = Some(Hand { size: count, ..hand });
        self.in_flight = true;
        Action::Send { count, permit }
    }

    pub fn on_fetched(&mut self, fetched: Fetched, now: Mono) {
        self.look = false;
        let since = self.hand.map(|hand| hand.ready_at);
        if fetched.count == 0 {
            self.hand = None;
            self.flushing = false;
            return;
        }
        let complete = self.flushing || fetched.full || fetched.frozen || fetched.count >= self.limit();
        let ready_at = if complete { now } else { since.unwrap_or(now + self.policy.linger) };
        let size = if fetched.frozen { fetched.count } else { 0 };
        self.hand = Some(Hand { count: fetched.count, size, ready_at });
        if self.first_look && fetched.backlog {
            // Power came back for a whole site at once: do not all knock in the same second.
            self.begin_outage();
            self.not_before = now + up_to(&mut self.rng, self.policy.spread);
        }
        self.first_look = false;
    }

    /// The source could not do what was asked of it; the same is asked again a little later.
    pub fn on_source_failed(&mut self, now: Mono) {
        self.look = true;
        self.source_from = now + SOURCE_RETRY;
    }

    /// The source has taken note of an `Ack` or a `DeadLetter`.
    pub fn on_settled(&mut self) {
        self.due = None;
        self.hand = None;
        self.look = true;
    }

    pub fn on_reply(&mut self, permit: Permit, outcome: Outcome, now: Mono) {
        self.in_flight = false;
        self.breaker.settle(permit, outcome.verdict(), now);
        match outcome {
            Outcome::Delivered { .. } => self.delivered(),
            Outcome::Refused(status) => self.refused(status, now),
            Outcome::TooLarge => self.too_large(),
            Outcome::Gone => self.gone = true,
            Outcome::Unreachable => {
                let wait = self.network.fail(&mut self.rng);
                self.later(wait, self.network.failures() >= NETWORK_OUTAGE, now);
            }
            Outcome::Busy { retry_after } | Outcome::Failed { retry_after } => self.failed(retry_after, now),
            Outcome::Misconfigured(_) => self.failed(None, now),
            Outcome::Abandoned => {}
        }
    }

    fn size(&self) -> usize {
        self.hand.map_or(0, |hand| hand.size)
    }

    fn delivered(&mut self) {
        let count = self.size();
        self.due = Some(Action::Ack { count });
        self.suspects = self.suspects.saturating_sub(count);
        self.backoff.succeed();
        self.network.succeed();
        self.not_before = Mono(0);
        self.outage = false;
        self.refused_in_row = 0;
        self.ramp = self.ramp.saturating_mul(2).min(self.policy.batch_records);
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.cap = self.cap.saturating_mul(2).min(self.policy.batch_records);
        }
    }

    /// Some record of the batch is not wanted: halve until it stands alone, then move it aside.
    fn refused(&mut self, status: u16, now: Mono) {
        self.network.succeed();
        let size = self.size();
        if size > 1 {
            self.suspects = size;
            self.resize(size.div_ceil(2));
            return;
        }
        self.suspects = 0;
        self.due = Some(Action::DeadLetter { status });
        self.refused_in_row = self.refused_in_row.saturating_add(1);
        if self.refused_in_row >= REFUSALS_IN_A_ROW {
            // Nothing at all is taken: more likely the endpoint than that many bad records.
            self.ramp = 1;
            self.not_before = now + self.backoff.fail(&mut self.rng);
        }
    }

    fn too_large(&mut self) {
        self.network.succeed();
        self.calm = 0;
        let size = self.size();
        if size > 1 {
            self.cap = size.div_ceil(2);
            self.resize(self.cap);
        } else {
            self.due = Some(Action::DeadLetter { status: 413 });
        }
    }

    fn resize(&mut self, size: usize) {
        self.hand = self.hand.map(|hand| Hand { size, ..hand });
    }

    fn failed(&mut self, retry_after: Option<Duration>, now: Mono) {
        self.network.succeed();
        let asked = retry_after.unwrap_or_default().min(self.policy.retry_max);
        let wait = self.backoff.fail(&mut self.rng).max(asked);
        self.later(wait, self.breaker.open_until().is_some(), now);
    }

    fn later(&mut self, wait: Duration, outage: bool, now: Mono) {
        self.not_before = now + wait;
        if outage {
            self.begin_outage();
        }
        if self.outage {
            // Any attempt from here on may be the first that gets through.
            let open = self.breaker.open_until().unwrap_or(now);
            self.not_before = self.not_before.max(open) + up_to(&mut self.rng, self.policy.spread);
        }
    }

    fn begin_outage(&mut self) {
        self.outage = true;
        self.ramp = (self.policy.batch_records / 16).max(1);
    }
}
