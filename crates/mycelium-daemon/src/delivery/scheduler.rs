//! PURE. Decides what the delivery thread of one endpoint does next.
//!
//! [`DeliveryScheduler::next`] returns an action and the `on_*` methods take its result. Times and seeds are arguments,
//! so tests run a day of outage in microseconds. Invariants:
//!
//! - At most one batch is in flight, and no later one is sent before the source has stored its result.
//! - Only `Ack` and `DeadLetter` advance, each over records from the front: the order is kept, nothing is skipped.
//! - A batch keeps its size from its first attempt on; only a rejection (4xx, 413) or a part that was taken cuts it.
//! - Whatever the endpoint responds, there is always a next attempt, except after 410.

use std::time::Duration;

use fastrand::Rng;

use super::settings::DeliverySettings;
use crate::clock::Mono;
use crate::net::backoff::{Backoff, jitter_up_to};
use crate::net::breaker::{Breaker, CallResult, NEVER, Permit};
use crate::net::outcome::RequestOutcome;
use crate::net::{BreakerMode, BreakerPolicy};

/// Longest wait between attempts without a network. Such attempts cost the endpoint nothing.
const NETWORK_RETRY_MAX: Duration = Duration::from_mins(1);
/// Attempts in a row that could not be sent (DNS or routing failed) before this counts as an outage.
const NETWORK_OUTAGE: u32 = 3;
/// Records rejected in a row, without a success in between, after which the endpoint is suspected instead of the records
/// (a wrong secret, a new schema) and every further rejection costs a back-off.
const REJECTIONS_IN_A_ROW: u32 = 8;
/// Deliveries after which a batch size that was cut by 413 is doubled.
const REGROW_AFTER: u32 = 32;
/// Wait before a failed operation of the source is repeated.
const SOURCE_RETRY: Duration = Duration::from_secs(1);

/// The settings of an endpoint that decide when and how much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerPolicy {
    /// At least 1.
    pub batch_records: usize,
    pub linger: Duration,
    pub retry_base: Duration,
    pub retry_max: Duration,
    /// Longest `Retry-After` that is honoured.
    pub retry_after_max: Duration,
    pub spread: Duration,
}

impl From<&DeliverySettings> for SchedulerPolicy {
    fn from(settings: &DeliverySettings) -> Self {
        Self {
            batch_records: settings.batch_records,
            linger: settings.linger,
            retry_base: settings.retry_base,
            retry_max: settings.retry_max,
            retry_after_max: settings.retry_after_max,
            spread: settings.spread,
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryAction {
    /// Wait until then, or until woken.
    Wait(Mono),
    /// Fetch durable records, then call [`DeliveryScheduler::on_fetched`].
    Fetch { records: usize },
    /// Send the first `count` fetched records, then call [`DeliveryScheduler::on_reply`].
    Send { count: usize, permit: Permit },
    /// The first `count` fetched records were delivered, and those the endpoint does not want before the next: store
    /// that, then call [`DeliveryScheduler::on_source_done`]. 0: only such were fetched.
    Ack { count: usize },
    /// The first fetched record was rejected: move it to the dead letters, then call
    /// [`DeliveryScheduler::on_source_done`].
    DeadLetter { status: u16 },
}

/// The result of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub struct FetchedBatch {
    /// Records that the endpoint wants.
    pub count: usize,
    /// There are others, which count as delivered.
    pub unwanted: bool,
    /// The next record would not fit into the same body.
    pub full: bool,
    /// These may have been sent before and must be sent together again.
    pub frozen: bool,
    /// Left over from before the start of this process.
    pub backlog: bool,
}

#[derive(Clone, Copy, Debug)]
struct CurrentBatch {
    /// Records fetched.
    count: usize,
    /// Records that are sent together; 0 until the first attempt.
    size: usize,
    /// End of the linger time.
    ready_at: Mono,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub struct DeliveryScheduler {
    policy: SchedulerPolicy,
    breaker: Breaker,
    backoff: Backoff,
    network_backoff: Backoff,
    rng: Rng,
    batch: Option<CurrentBatch>,
    /// The source may have new records.
    poll_source: bool,
    /// No linger until the source is empty.
    flushing: bool,
    first_fetch: bool,
    in_flight: bool,
    /// An `Ack` or `DeadLetter` that the source has not stored yet.
    pending_source_op: Option<DeliveryAction>,
    /// No attempt before this.
    retry_at: Mono,
    /// No operation of the source before this.
    source_retry_at: Mono,
    /// An outage lasts until the next delivery.
    outage: bool,
    /// Largest batch after an outage; doubles with every delivery.
    slow_start_limit: usize,
    /// Largest batch since the last 413.
    size_cap: usize,
    successes_since_cut: u32,
    /// Number of records at the front among which at least one is rejected; 0 if none is known.
    bisect_remaining: usize,
    rejections_in_row: u32,
    /// The endpoint responded 410.
    disabled: bool,
}

impl DeliveryScheduler {
    pub fn new(policy: SchedulerPolicy, breaker: Breaker, seed: u64) -> Self {
        Self {
            policy,
            breaker,
            backoff: Backoff::new(policy.retry_base, policy.retry_max),
            network_backoff: Backoff::new(policy.retry_base, policy.retry_max.min(NETWORK_RETRY_MAX)),
            rng: Rng::with_seed(seed),
            batch: None,
            poll_source: true,
            flushing: false,
            first_fetch: true,
            in_flight: false,
            pending_source_op: None,
            retry_at: Mono(0),
            source_retry_at: Mono(0),
            outage: false,
            slow_start_limit: policy.batch_records,
            size_cap: policy.batch_records,
            successes_since_cut: 0,
            bisect_remaining: 0,
            rejections_in_row: 0,
            disabled: false,
        }
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether the endpoint responded 410, after which nothing is sent.
    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    pub fn set_disabled(&mut self, disabled: bool) {
        self.disabled = disabled;
    }

    /// Sets the breaker's mode. Anything but `open` also revokes a 410.
    pub fn set_mode(&mut self, mode: BreakerMode) {
        self.breaker.set_mode(mode);
        if mode != BreakerMode::Open {
            self.disabled = false;
        }
        if mode == BreakerMode::Closed {
            self.retry_at = Mono(0);
        }
    }

    /// Applies new settings; the current batch keeps its size.
    pub fn reconfigure(&mut self, policy: SchedulerPolicy, breaker: BreakerPolicy) {
        self.breaker.set_policy(breaker);
        self.backoff = Backoff::new(policy.retry_base, policy.retry_max);
        self.network_backoff = Backoff::new(policy.retry_base, policy.retry_max.min(NETWORK_RETRY_MAX));
        self.slow_start_limit = policy.batch_records;
        self.size_cap = policy.batch_records;
        self.policy = policy;
        self.retry_at = Mono(0);
    }

    /// New records are durable.
    pub fn wake(&mut self) {
        self.poll_source = true;
    }

    /// Sends pending records without linger or back-off, unless the breaker is open.
    pub fn flush(&mut self, now: Mono) {
        self.retry_at = Mono(0);
        self.flushing = true;
        self.poll_source = true;
        // A batch that was not sent yet is fetched again, with the records that were added since.
        self.batch =
            self.batch.filter(|batch| batch.size > 0).map(|batch| CurrentBatch { ready_at: now, ..batch });
    }

    /// Whether new records would change the next action: not while a batch is in flight or backing off.
    pub fn waits_for_records(&self, now: Mono) -> bool {
        let incomplete = self.batch.is_none_or(|batch| now < batch.ready_at);
        incomplete
            && !self.disabled
            && !self.in_flight
            && self.pending_source_op.is_none()
            && now >= self.source_retry_at
    }

    /// When the current batch is tried again, while a back-off or an open breaker delays it.
    pub fn next_attempt(&self, now: Mono) -> Option<Mono> {
        let at = self.retry_at.max(self.breaker.open_until().unwrap_or(Mono(0)));
        (self.batch.is_some() && !self.disabled && at > now).then_some(at)
    }

    /// The current batch is outdated: it is fetched again before it is sent.
    pub fn on_stale(&mut self, permit: Permit, now: Mono) {
        // The permit is returned unused; otherwise a half-open breaker would wait for its result.
        self.breaker.record_result(permit, CallResult::Unreachable, now);
        self.in_flight = false;
        self.batch = None;
        self.poll_source = true;
    }

    /// Largest batch at the moment.
    fn limit(&self) -> usize {
        let seek = if self.bisect_remaining > 0 { self.bisect_remaining.div_ceil(2) } else { usize::MAX };
        self.policy.batch_records.min(self.slow_start_limit).min(self.size_cap).min(seek).max(1)
    }

    pub fn next(&mut self, now: Mono) -> DeliveryAction {
        if self.in_flight || self.disabled {
            return DeliveryAction::Wait(NEVER);
        }
        let source_waits = now < self.source_retry_at;
        if let Some(op) = self.pending_source_op {
            return if source_waits { DeliveryAction::Wait(self.source_retry_at) } else { op };
        }
        let linger = self.batch.map_or(NEVER, |batch| batch.ready_at);
        let batch = match self.batch {
            Some(batch) if now >= linger => batch,
            _ if self.poll_source && !source_waits => return DeliveryAction::Fetch { records: self.limit() },
            _ if self.poll_source => return DeliveryAction::Wait(self.source_retry_at.min(linger)),
            _ => return DeliveryAction::Wait(linger),
        };
        if batch.count == 0 {
            let ack = DeliveryAction::Ack { count: 0 };
            self.pending_source_op = Some(ack);
            return ack;
        }
        if now < self.retry_at {
            return DeliveryAction::Wait(self.retry_at);
        }
        match self.breaker.acquire(now) {
            Err(again) => DeliveryAction::Wait(again),
            Ok(permit) => self.send(batch, permit),
        }
    }

    fn send(&mut self, batch: CurrentBatch, permit: Permit) -> DeliveryAction {
        let count = if batch.size > 0 { batch.size } else { batch.count.min(self.limit()) };
        self.batch = Some(CurrentBatch { size: count, ..batch });
        self.in_flight = true;
        DeliveryAction::Send { count, permit }
    }

    pub fn on_fetched(&mut self, fetched: FetchedBatch, now: Mono) {
        self.poll_source = false;
        let since = self.batch.map(|batch| batch.ready_at);
        if fetched.count == 0 && !fetched.unwanted {
            self.batch = None;
            self.flushing = false;
            return;
        }
        let complete = self.flushing || fetched.full || fetched.frozen || fetched.count >= self.limit();
        let ready_at = if complete { now } else { since.unwrap_or(now + self.policy.linger) };
        let size = if fetched.frozen { fetched.count } else { 0 };
        self.batch = Some(CurrentBatch { count: fetched.count, size, ready_at });
        if self.first_fetch && fetched.backlog {
            // After a power cut all devices of a site start at once: spread their first requests.
            self.begin_outage();
            self.retry_at = now + jitter_up_to(&mut self.rng, self.policy.spread);
        }
        self.first_fetch = false;
    }

    /// An operation of the source failed; it is repeated after a short wait.
    pub fn on_source_failed(&mut self, now: Mono) {
        self.poll_source = true;
        self.source_retry_at = now + SOURCE_RETRY;
    }

    /// The source has stored an `Ack` or a `DeadLetter`.
    pub fn on_source_done(&mut self) {
        self.pending_source_op = None;
        self.batch = None;
        self.poll_source = true;
    }

    /// The first `taken` records were delivered, and `rest` became of the next one; `Success` if there is none.
    pub fn on_reply(&mut self, permit: Permit, taken: usize, rest: RequestOutcome, now: Mono) {
        self.in_flight = false;
        self.breaker.record_result(permit, rest.call_result(), now);
        if taken > 0 {
            self.delivered(taken);
        }
        match rest {
            RequestOutcome::Success { .. } => self.grow(),
            // The next record is the culprit: it is tried alone.
            RequestOutcome::Rejected(_) | RequestOutcome::TooLarge if taken > 0 => self.bisect_remaining = 1,
            RequestOutcome::Rejected(status) => self.rejected(status, now),
            RequestOutcome::TooLarge => self.too_large(),
            RequestOutcome::Gone => self.disabled = true,
            RequestOutcome::Unreachable => {
                let wait = self.network_backoff.fail(&mut self.rng);
                self.retry_after(wait, self.network_backoff.failures() >= NETWORK_OUTAGE, now);
            }
            RequestOutcome::Busy { retry_after } | RequestOutcome::Failed { retry_after } => {
                self.failed(retry_after, now);
            }
            RequestOutcome::Misconfigured(_) => self.failed(None, now),
            RequestOutcome::Aborted => {}
        }
    }

    fn size(&self) -> usize {
        self.batch.map_or(0, |batch| batch.size)
    }

    fn delivered(&mut self, count: usize) {
        self.pending_source_op = Some(DeliveryAction::Ack { count });
        self.bisect_remaining = self.bisect_remaining.saturating_sub(count);
        self.backoff.succeed();
        self.network_backoff.succeed();
        self.retry_at = Mono(0);
        self.rejections_in_row = 0;
    }

    /// A whole batch was delivered.
    fn grow(&mut self) {
        self.outage = false;
        self.slow_start_limit = self.slow_start_limit.saturating_mul(2).min(self.policy.batch_records);
        self.successes_since_cut += 1;
        if self.successes_since_cut >= REGROW_AFTER {
            self.successes_since_cut = 0;
            self.size_cap = self.size_cap.saturating_mul(2).min(self.policy.batch_records);
        }
    }

    /// At least one record of the batch is rejected: bisect until it is alone, then make it a dead letter.
    fn rejected(&mut self, status: u16, now: Mono) {
        self.network_backoff.succeed();
        let size = self.size();
        if size > 1 {
            self.bisect_remaining = size;
            self.resize(size.div_ceil(2));
            return;
        }
        self.bisect_remaining = 0;
        self.pending_source_op = Some(DeliveryAction::DeadLetter { status });
        self.rejections_in_row = self.rejections_in_row.saturating_add(1);
        if self.rejections_in_row >= REJECTIONS_IN_A_ROW {
            // Every record is rejected: this is more likely the endpoint's fault than the records'.
            self.slow_start_limit = 1;
            self.retry_at = now + self.backoff.fail(&mut self.rng);
        }
    }

    fn too_large(&mut self) {
        self.network_backoff.succeed();
        self.successes_since_cut = 0;
        let size = self.size();
        if size > 1 {
            self.size_cap = size.div_ceil(2);
            self.resize(self.size_cap);
        } else {
            self.pending_source_op = Some(DeliveryAction::DeadLetter { status: 413 });
        }
    }

    fn resize(&mut self, size: usize) {
        self.batch = self.batch.map(|batch| CurrentBatch { size, ..batch });
    }

    fn failed(&mut self, retry_after: Option<Duration>, now: Mono) {
        self.network_backoff.succeed();
        let asked = retry_after.unwrap_or_default().min(self.policy.retry_after_max);
        let wait = self.backoff.fail(&mut self.rng).max(asked);
        self.retry_after(wait, self.breaker.open_until().is_some(), now);
    }

    fn retry_after(&mut self, wait: Duration, outage: bool, now: Mono) {
        self.retry_at = now + wait;
        if outage {
            self.begin_outage();
        }
        if self.outage {
            // Every later attempt may be the first one after the outage.
            let open = self.breaker.open_until().unwrap_or(now);
            self.retry_at = self.retry_at.max(open) + jitter_up_to(&mut self.rng, self.policy.spread);
        }
    }

    fn begin_outage(&mut self) {
        self.outage = true;
        self.slow_start_limit = (self.policy.batch_records / 16).max(1);
    }
}
