//! PURE. The circuit breaker of one endpoint.
//!
//! Closed lets requests through and records their results; open lets none through for a growing, jittered time;
//! half-open gives out one permit with a deadline. Every permit carries the generation in which it was given, and the
//! result of an earlier generation is ignored.
//!
//! Only the endpoint's own failures trip it: several in a row, or half of the recent calls failed or slow. A rejected
//! record, a 429 and a missing route do not.

use std::time::Duration;

use fastrand::Rng;

use super::backoff::{exponential, jitter_up_to};
use super::breaker_policy::{BreakerMode, BreakerPolicy};
use crate::clock::Mono;
use crate::telemetry::metrics::labels;

/// Later than any real time: no deadline.
pub const NEVER: Mono = Mono(u64::MAX);

/// Permission to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
}

/// What a request says about the health of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It succeeded in this time; counts as failed when slow.
    Success {
        took: Duration,
    },
    /// The endpoint responded, but this call says nothing about its health.
    Neutral,
    Failure,
    /// The request was not sent: DNS or routing failed.
    Unreachable,
}

/// The state of a breaker as shown to operators, and its metrics label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}
labels!(BreakerState { Closed = "closed", Open = "open", HalfOpen = "half_open" });

/// What is stored across restarts. Times are remaining times, since the monotonic clock starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSnapshot {
    pub mode: BreakerMode,
    pub state: BreakerState,
    /// Until an open breaker allows a trial.
    pub remaining: Duration,
    /// Times it opened since the last success, counted only as far as they lengthen the open time.
    pub opens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Mono },
    HalfOpen { deadline: Option<Mono> },
}

#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    mode: BreakerMode,
    phase: Phase,
    generation: u64,
    /// Failures in a row.
    consecutive: u32,
    /// The newest results, newest in bit 0; set means failed or slow.
    recent: u64,
    /// How many bits of `recent` are results.
    counted: u32,
    opens: u32,
    rng: Rng,
}

impl Breaker {
    pub fn new(policy: BreakerPolicy, seed: u64) -> Self {
        Self {
            policy,
            mode: BreakerMode::Auto,
            phase: Phase::Closed,
            generation: 0,
            consecutive: 0,
            recent: 0,
            counted: 0,
            opens: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// As it was before a restart, but open for at most the first open time: a device that loses its power every few
    /// minutes would otherwise restart a wait of a quarter of an hour each time. If the trial fails, the next wait is as
    /// long as it would have been.
    pub fn restored(policy: BreakerPolicy, seed: u64, stored: BreakerSnapshot, now: Mono) -> Self {
        let phase = match stored.state {
            BreakerState::Closed => Phase::Closed,
            BreakerState::Open => Phase::Open { until: now + stored.remaining.min(policy.open) },
            BreakerState::HalfOpen => Phase::HalfOpen { deadline: None },
        };
        Self { mode: stored.mode, phase, opens: stored.opens, ..Self::new(policy, seed) }
    }

    pub fn snapshot(&self, now: Mono) -> BreakerSnapshot {
        let (state, remaining) = match self.phase {
            Phase::Closed => (BreakerState::Closed, Duration::ZERO),
            Phase::Open { until } => (BreakerState::Open, until - now),
            Phase::HalfOpen { .. } => (BreakerState::HalfOpen, Duration::ZERO),
        };
        BreakerSnapshot { mode: self.mode, state, remaining, opens: self.opens }
    }

    /// The forced state, or the breaker's own.
    pub fn state(&self) -> BreakerState {
        match (self.mode, self.phase) {
            (BreakerMode::Open, _) | (BreakerMode::Auto, Phase::Open { .. }) => BreakerState::Open,
            (BreakerMode::Closed, _) | (BreakerMode::Auto, Phase::Closed) => BreakerState::Closed,
            (BreakerMode::Auto, Phase::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    pub fn mode(&self) -> BreakerMode {
        self.mode
    }

    /// When it allows the next trial, if it is open and not forced.
    pub fn open_until(&self) -> Option<Mono> {
        match (self.mode, self.phase) {
            (BreakerMode::Auto, Phase::Open { until }) => Some(until),
            _ => None,
        }
    }

    /// Forces it open or closed, or lets it decide again. Forcing it closed also resets its history.
    pub fn set_mode(&mut self, mode: BreakerMode) {
        if mode != self.mode {
            self.generation += 1;
            self.mode = mode;
        }
        if mode == BreakerMode::Closed {
            self.close();
        } else if let Phase::HalfOpen { deadline } = &mut self.phase {
            *deadline = None;
        }
    }

    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// A permit, or the time from which one may be available.
    pub fn acquire(&mut self, now: Mono) -> Result<Permit, Mono> {
        match self.mode {
            BreakerMode::Open => return Err(NEVER),
            BreakerMode::Closed => return Ok(self.permit()),
            BreakerMode::Auto => {}
        }
        match self.phase {
            Phase::Closed => Ok(self.permit()),
            Phase::Open { until } if now < until => Err(until),
            Phase::HalfOpen { deadline: Some(deadline) } if now < deadline => Err(deadline),
            Phase::HalfOpen { deadline: Some(_) } => {
                // The permit was lost. Counting that as a failure keeps the breaker from staying half-open forever.
                self.trip(now);
                Err(self.open_until().unwrap_or(now))
            }
            Phase::Open { .. } | Phase::HalfOpen { deadline: None } => {
                self.generation += 1;
                self.phase = Phase::HalfOpen { deadline: Some(now + self.policy.probe_timeout) };
                Ok(self.permit())
            }
        }
    }

    /// Records the result of a permitted request.
    pub fn record_result(&mut self, permit: Permit, result: CallResult, now: Mono) {
        if permit.generation != self.generation || self.mode != BreakerMode::Auto {
            return;
        }
        let slow = matches!(result, CallResult::Success { took } if took > self.policy.slow);
        let bad = slow || result == CallResult::Failure;
        match (self.phase, result) {
            (Phase::Open { .. }, _) | (Phase::Closed, CallResult::Unreachable) => {}
            (Phase::Closed, CallResult::Neutral) => self.consecutive = 0,
            (Phase::Closed, CallResult::Success { .. } | CallResult::Failure) => self.record(bad, now),
            (Phase::HalfOpen { deadline: Some(deadline) }, _) if now > deadline => self.trip(now),
            (Phase::HalfOpen { .. }, CallResult::Unreachable) => {
                self.phase = Phase::HalfOpen { deadline: None }
            }
            (Phase::HalfOpen { .. }, _) if bad => self.trip(now),
            (Phase::HalfOpen { .. }, _) => self.close(),
        }
    }

    fn permit(&self) -> Permit {
        Permit { generation: self.generation }
    }

    /// Number of recent calls over which the failure rate is computed.
    fn rate_over(&self) -> u32 {
        self.policy.failures.saturating_mul(4).clamp(8, 64)
    }

    fn record(&mut self, bad: bool, now: Mono) {
        self.consecutive = if bad { self.consecutive + 1 } else { 0 };
        self.recent = self.recent << 1 | u64::from(bad);
        self.counted = (self.counted + 1).min(64);
        let over = self.rate_over();
        let failed = (self.recent & (u64::MAX >> (64 - over))).count_ones();
        if self.consecutive >= self.policy.failures || (self.counted >= over && failed * 2 >= over) {
            self.trip(now);
        }
    }

    fn trip(&mut self, now: Mono) {
        let ceiling = exponential(self.policy.open, self.opens, self.policy.open_max);
        // At least half of the ceiling, so that an overloaded endpoint gets time to recover.
        let open = ceiling / 2 + jitter_up_to(&mut self.rng, ceiling / 2);
        if ceiling < self.policy.open_max {
            self.opens += 1;
        }
        self.enter(Phase::Open { until: now + open });
    }

    fn close(&mut self) {
        self.opens = 0;
        self.enter(Phase::Closed);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        self.consecutive = 0;
        self.recent = 0;
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests;
