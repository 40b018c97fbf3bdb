//! PURE. When a connector looks at its source: at fixed times, never in bursts, and not while its breaker is open.

use std::time::Duration;

use crate::clock::Mono;
use crate::delivery::breaker::{Breaker, Permit, Verdict};
use crate::delivery::{BreakerMode, BreakerPolicy};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Wait(Mono),
    Poll(Permit),
}

#[derive(Clone, Debug)]
pub struct Plan {
    breaker: Breaker,
    interval: Duration,
    due: Mono,
}

impl Plan {
    /// Due at once.
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

    pub fn next(&mut self, now: Mono) -> Action {
        if now < self.due {
            return Action::Wait(self.due);
        }
        self.breaker.ask(now).map_or_else(Action::Wait, Action::Poll)
    }

    /// Takes in what a look came to. With `more` there is data left to read, and the next look comes at once.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, more: bool, now: Mono) {
        self.breaker.settle(permit, verdict, now);
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

    fn plan() -> Plan {
        let policy =
            BreakerPolicy { failures: 2, open: 4 * SECOND, open_max: 4 * SECOND, ..BreakerPolicy::default() };
        Plan::new(Breaker::new(policy, 1), SECOND, Mono(0))
    }

    fn poll(plan: &mut Plan, now: Mono) -> Permit {
        match plan.next(now) {
            Action::Poll(permit) => permit,
            Action::Wait(until) => panic!("waits until {until:?}"),
        }
    }

    #[test]
    fn looks_keep_their_times_and_what_was_missed_is_left_out() {
        let good = Verdict::Good { took: Duration::ZERO };
        let mut plan = plan();
        let start = Mono(0);
        let permit = poll(&mut plan, start);
        plan.settle(permit, good, false, start + SECOND / 4);
        assert_eq!(plan.next(start + SECOND / 2), Action::Wait(start + SECOND), "not from its end on");
        let late = start + 10 * SECOND;
        let permit = poll(&mut plan, late);
        plan.settle(permit, good, false, late);
        assert_eq!(plan.next(late), Action::Wait(late + SECOND), "one look, not nine");
        let permit = poll(&mut plan, late + SECOND);
        plan.settle(permit, good, true, late + SECOND);
        poll(&mut plan, late + SECOND);
    }

    #[test]
    fn a_source_that_fails_is_left_alone_until_its_breaker_lets_a_trial_through() {
        let mut plan = plan();
        let mut now = Mono(0);
        for _ in 0..2 {
            let permit = poll(&mut plan, now);
            plan.settle(permit, Verdict::Bad, false, now);
            now = now + SECOND;
        }
        let Action::Wait(until) = plan.next(now) else { panic!("two failures trip it") };
        assert!(until > now && until <= Mono(0) + 6 * SECOND, "{until:?}");
        let trial = poll(&mut plan, until);
        plan.settle(trial, Verdict::Good { took: Duration::ZERO }, false, until);
        assert_eq!(plan.next(until), Action::Wait(until + SECOND), "back to its interval");
        plan.set_mode(BreakerMode::Open);
        assert!(matches!(plan.next(until + SECOND), Action::Wait(_)), "held open by an operator");
    }
}
