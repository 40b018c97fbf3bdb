//! PURE. The circuit breaker of one endpoint.
//!
//! Closed lets requests through and watches them; open lets none through for a growing, jittered time;
//! half-open hands out one permit with a deadline. Every permit carries the generation it was given in, and a
//! result of an earlier generation decides nothing.
//!
//! Only what the endpoint does trips it: failures in a row, or half of the recent calls failed or slow. A
//! refused record (poison), a request for patience (429) and a missing route do not.

use std::time::Duration;

use fastrand::Rng;

use super::retry::{doubled, up_to};
use super::settings::{BreakerMode, BreakerPolicy};
use crate::clock::Mono;
use crate::telemetry::metrics::labels;

/// Later than any real time: until somebody changes something.
pub const NEVER: Mono = Mono(u64::MAX);

/// Leave to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
}

/// What a request said about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Did what was asked, in this time; counts as failed when slow.
    Good {
        took: Duration,
    },
    /// Is there and answers, but this call says nothing about its health.
    Alive,
    Bad,
    /// Was never reached, and that is the network's fault.
    Unreachable,
}

/// Where the breaker stands, as shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Closed,
    Open,
    HalfOpen,
}

labels!(Position { Closed = "closed", Open = "open", HalfOpen = "half_open" });

/// What is kept over a restart: times as what remains of them, since no clock survives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub mode: BreakerMode,
    pub position: Position,
    /// Until an open one may be tried.
    pub remaining: Duration,
    /// Times it opened since the last success, as far as they lengthen the wait.
    pub opens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Mono },
    HalfOpen { deadline: Option<Mono> },
}

#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    mode: BreakerMode,
    state: State,
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
            state: State::Closed,
            generation: 0,
            consecutive: 0,
            recent: 0,
            counted: 0,
            opens: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// As it was before a restart, but never open for longer than the first time: a device that loses its power every few
    /// minutes would otherwise begin a wait of a quarter of an hour again and again. One trial costs the endpoint little,
    /// and if it fails, the next wait is as long as it would have been.
    pub fn restored(policy: BreakerPolicy, seed: u64, kept: Snapshot, now: Mono) -> Self {
        let state = match kept.position {
            Position::Closed => State::Closed,
            Position::Open => State::Open { until: now + kept.remaining.min(policy.open) },
            Position::HalfOpen => State::HalfOpen { deadline: None },
        };
        Self { mode: kept.mode, state, opens: kept.opens, ..Self::new(policy, seed) }
    }

    pub fn snapshot(&self, now: Mono) -> Snapshot {
        let (position, remaining) = match self.state {
            State::Closed => (Position::Closed, Duration::ZERO),
            State::Open { until } => (Position::Open, until - now),
            State::HalfOpen { .. } => (Position::HalfOpen, Duration::ZERO),
        };
        Snapshot { mode: self.mode, position, remaining, opens: self.opens }
    }

    /// What an operator sees: the forced position, or the one it took by itself.
    pub fn position(&self) -> Position {
        match (self.mode, self.state) {
            (BreakerMode::Open, _) | (BreakerMode::Auto, State::Open { .. }) => Position::Open,
            (BreakerMode::Closed, _) | (BreakerMode::Auto, State::Closed) => Position::Closed,
            (BreakerMode::Auto, State::HalfOpen { .. }) => Position::HalfOpen,
        }
    }

    pub fn mode(&self) -> BreakerMode {
        self.mode
    }

    /// Until when nothing gets through, while it is open by itself.
    pub fn open_until(&self) -> Option<Mono> {
        match (self.mode, self.state) {
            (BreakerMode::Auto, State::Open { until }) => Some(until),
            _ => None,
        }
    }

    /// Forces it open or closed, or lets it decide again; forcing it closed also forgets what was.
    pub fn set_mode(&mut self, mode: BreakerMode) {
        if mode != self.mode {
            self.generation += 1;
            self.mode = mode;
        }
        if mode == BreakerMode::Closed {
            self.close();
        } else if let State::HalfOpen { deadline } = &mut self.state {
            *deadline = None;
        }
    }

    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// A permit, or the time from which it is worth asking again.
    pub fn ask(&mut self, now: Mono) -> Result<Permit, Mono> {
        match self.mode {
            BreakerMode::Open => return Err(NEVER),
            BreakerMode::Closed => return Ok(self.permit()),
            BreakerMode::Auto => {}
        }
        match self.state {
            State::Closed => Ok(self.permit()),
            State::Open { until } if now < until => Err(until),
            State::HalfOpen { deadline: Some(deadline) } if now < deadline => Err(deadline),
            State::HalfOpen { deadline: Some(_) } => {
                // The permit never came back. Taking that as a failure keeps half-open from being for ever.
                self.trip(now);
                Err(self.open_until().unwrap_or(now))
            }
            State::Open { .. } | State::HalfOpen { deadline: None } => {
                self.generation += 1;
                self.state = State::HalfOpen { deadline: Some(now + self.policy.probe_timeout) };
                Ok(self.permit())
            }
        }
    }

    /// Takes in what came of a permitted request.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, now: Mono) {
        if permit.generation != self.generation || self.mode != BreakerMode::Auto {
            return;
        }
        let slow = matches!(verdict, Verdict::Good { took } if took > self.policy.slow);
        let bad = slow || verdict == Verdict::Bad;
        match (self.state, verdict) {
            (State::Open { .. }, _) | (State::Closed, Verdict::Unreachable) => {}
            (State::Closed, Verdict::Alive) => self.consecutive = 0,
            (State::Closed, Verdict::Good { .. } | Verdict::Bad) => self.note(bad, now),
            (State::HalfOpen { deadline: Some(deadline) }, _) if now > deadline => self.trip(now),
            (State::HalfOpen { .. }, Verdict::Unreachable) => self.state = State::HalfOpen { deadline: None },
            (State::HalfOpen { .. }, _) if bad => self.trip(now),
            (State::HalfOpen { .. }, _) => self.close(),
        }
    }

    fn permit(&self) -> Permit {
        Permit { generation: self.generation }
    }

    /// Number of recent calls the failure rate is taken over.
    fn rate_over(&self) -> u32 {
        self.policy.failures.saturating_mul(4).clamp(8, 64)
    }

    fn note(&mut self, bad: bool, now: Mono) {
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
        let ceiling = doubled(self.policy.open, self.opens, self.policy.open_max);
        // Half of it is certain, so that an endpoint in trouble does get its rest.
        let open = ceiling / 2 + up_to(&mut self.rng, ceiling / 2);
        if ceiling < self.policy.open_max {
            self.opens += 1;
        }
        self.start_over(State::Open { until: now + open });
    }

    fn close(&mut self) {
        self.opens = 0;
        self.start_over(State::Closed);
    }

    fn start_over(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
        self.consecutive = 0;
        self.recent = 0;
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests;
