//! PURE. When a connector polls its source: at fixed times, never in bursts, and not while its breaker is open.

use std::time::Duration;

use crate::clock::Mono;
use crate::net::breaker::{Breaker, CallResult, Permit};
use crate::net::{BreakerMode, BreakerPolicy};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollAction {
    Wait(Mono),
    Poll(Permit),
}

#[derive(Clone, Debug)]
pub struct PollSchedule {
    breaker: Breaker,
    interval: Duration,
    /// Time of the next poll.
    due: Mono,
}

impl PollSchedule {
    /// The first poll is due at once.
    pub fn new(breaker: Breaker, interval: Duration, now: Mono) -> Self {
        Self { breaker, interval, due: now }
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub fn set_mode(&mut self, mode: BreakerMode) {
        self.breaker.set_mode(mode);
    }

    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        self.breaker.set_policy(policy);
    }

    pub fn next(&mut self, now: Mono) -> PollAction {
        if now < self.due {
            return PollAction::Wait(self.due);
        }
        self.breaker.acquire(now).map_or_else(PollAction::Wait, PollAction::Poll)
    }

    /// Takes the result of a poll. With `more` there is data left to read, and the next poll is due at once.
    pub fn on_polled(&mut self, permit: Permit, result: CallResult, more: bool, now: Mono) {
        self.breaker.record_result(permit, result, now);
        let next = self.due + self.interval;
        self.due = match (more, next < now) {
            (true, _) => now,
            (false, true) => now + self.interval,
            (false, false) => next,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> PollSchedule {
        let policy =
            BreakerPolicy { failures: 2, open: 4 * SECOND, open_max: 4 * SECOND, ..BreakerPolicy::default() };
        PollSchedule::new(Breaker::new(policy, 1), SECOND, Mono(0))
    }

    fn poll(schedule: &mut PollSchedule, now: Mono) -> Permit {
        match schedule.next(now) {
            PollAction::Poll(permit) => permit,
            PollAction::Wait(until) => panic!("waits until {until:?}"),
        }
    }

    #[test]
    fn polls_keep_their_interval_and_missed_ones_are_skipped() {
        let good = CallResult::Success { took: Duration::ZERO };
        let mut schedule = schedule();
        let start = Mono(0);
        let permit = poll(&mut schedule, start);
        schedule.on_polled(permit, good, false, start + SECOND / 4);
        assert_eq!(
            schedule.next(start + SECOND / 2),
            PollAction::Wait(start + SECOND),
            "the interval counts from the start of a poll"
        );
        let late = start + 10 * SECOND;
        let permit = poll(&mut schedule, late);
        schedule.on_polled(permit, good, false, late);
        assert_eq!(schedule.next(late), PollAction::Wait(late + SECOND), "one poll, not nine");
        let permit = poll(&mut schedule, late + SECOND);
        schedule.on_polled(permit, good, true, late + SECOND);
        poll(&mut schedule, late + SECOND);
    }

    #[test]
    fn a_failing_source_is_not_polled_until_its_breaker_allows_a_trial() {
        let mut schedule = schedule();
        let mut now = Mono(0);
        for _ in 0..2 {
            let permit = poll(&mut schedule, now);
            schedule.on_polled(permit, CallResult::Failure, false, now);
            now = now + SECOND;
        }
        let PollAction::Wait(until) = schedule.next(now) else { panic!("two failures trip it") };
        assert!(until > now && until <= Mono(0) + 6 * SECOND, "{until:?}");
        let trial = poll(&mut schedule, until);
        schedule.on_polled(trial, CallResult::Success { took: Duration::ZERO }, false, until);
        assert_eq!(schedule.next(until), PollAction::Wait(until + SECOND), "polled at its interval again");
        schedule.set_mode(BreakerMode::Open);
        assert!(matches!(schedule.next(until + SECOND), PollAction::Wait(_)), "forced open by an operator");
    }
}
