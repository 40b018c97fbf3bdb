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

impl Position {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// Index into `DeliveryMetrics::STATES`.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What is kept over a restart: times as what remains of them, since no clock survives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub mode: BreakerMode,
    pub position: Position,
    /// Until an open one may be tried.
    pub remaining: Duration,
    /// Times it opened since the last success.
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

    /// As it was before a restart. An open time longer than the policy's cap is cut to the cap.
    pub fn restored(policy: BreakerPolicy, seed: u64, kept: Snapshot, now: Mono) -> Self {
        let state = match kept.position {
            Position::Closed => State::Closed,
            Position::Open => State::Open { until: now + kept.remaining.min(policy.open_max) },
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
        self.opens = self.opens.saturating_add(1);
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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const GOOD: Verdict = Verdict::Good { took: Duration::from_millis(20) };

    fn policy() -> BreakerPolicy {
        BreakerPolicy { failures: 3, ..BreakerPolicy::default() }
    }

    fn at(secs: u64) -> Mono {
        Mono(secs * 1_000_000_000)
    }

    fn feed(breaker: &mut Breaker, verdicts: &[Verdict], now: Mono) {
        for &verdict in verdicts {
            let permit = breaker.ask(now).expect("closed");
            breaker.settle(permit, verdict, now);
        }
    }

    fn tripped() -> Breaker {
        let mut breaker = Breaker::new(policy(), 7);
        feed(&mut breaker, &[Verdict::Bad; 3], at(0));
        assert_eq!(breaker.position(), Position::Open);
        breaker
    }

    #[test]
    fn only_what_the_endpoint_does_trips_it() {
        let slow = Verdict::Good { took: Duration::from_secs(11) };
        let limit = Verdict::Good { took: Duration::from_secs(10) };
        let rows: [(&[Verdict], Position, &str); 8] = [
            (&[Verdict::Bad, Verdict::Bad], Position::Closed, "two of three"),
            (&[Verdict::Bad; 3], Position::Open, "three in a row"),
            (
                &[Verdict::Bad, Verdict::Bad, GOOD, Verdict::Bad, Verdict::Bad],
                Position::Closed,
                "interrupted",
            ),
            (&[slow; 3], Position::Open, "slow calls count"),
            (&[limit; 3], Position::Closed, "as slow as allowed"),
            (&[Verdict::Alive; 40], Position::Closed, "poison does not"),
            (&[Verdict::Unreachable; 40], Position::Closed, "no route is the network's fault"),
            (
                &[Verdict::Bad, Verdict::Bad, Verdict::Unreachable, Verdict::Bad],
                Position::Open,
                "nor does it heal",
            ),
        ];
        for (verdicts, want, why) in rows {
            let mut breaker = Breaker::new(policy(), 1);
            feed(&mut breaker, verdicts, at(0));
            assert_eq!(breaker.position(), want, "{why}");
        }
    }

    #[test]
    fn every_second_call_failing_trips_it_though_never_two_in_a_row() {
        let mut breaker = Breaker::new(policy(), 1);
        feed(
            &mut breaker,
            &[GOOD, Verdict::Bad, GOOD, Verdict::Bad, GOOD, Verdict::Bad, GOOD, Verdict::Bad],
            at(0),
        );
        assert_eq!(breaker.position(), Position::Closed, "eight calls are not yet a rate over twelve");
        feed(&mut breaker, &[GOOD, Verdict::Bad, GOOD, Verdict::Bad], at(0));
        assert_eq!(breaker.position(), Position::Open);
    }

    #[test]
    fn half_open_hands_out_one_permit_and_its_result_decides() {
        for (verdict, want) in [
            (GOOD, Position::Closed),
            (Verdict::Alive, Position::Closed),
            (Verdict::Bad, Position::Open),
            (Verdict::Good { took: 60 * SECOND }, Position::Open),
            (Verdict::Unreachable, Position::HalfOpen),
        ] {
            let mut breaker = tripped();
            let until = breaker.open_until().unwrap();
            assert_eq!(breaker.ask(at(1)), Err(until));
            let permit = breaker.ask(until).unwrap();
            let deadline = until + policy().probe_timeout;
            assert_eq!(breaker.ask(until), Err(deadline), "one permit only");
            breaker.settle(permit, verdict, until + SECOND);
            assert_eq!(breaker.position(), want, "{verdict:?}");
        }
    }

    #[test]
    fn a_lost_permit_counts_as_failed_and_never_leaves_it_stuck() {
        let mut breaker = tripped();
        let until = breaker.open_until().unwrap();
        let lost = breaker.ask(until).unwrap();
        let after = until + policy().probe_timeout + SECOND;
        let again = breaker.ask(after).unwrap_err();
        assert!(again > after && breaker.position() == Position::Open);
        breaker.settle(lost, GOOD, after);
        assert_eq!(breaker.position(), Position::Open, "the late result decides nothing");
        let fresh = breaker.ask(again).unwrap();
        breaker.settle(fresh, GOOD, again);
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn a_late_success_of_before_the_trip_decides_nothing() {
        let mut breaker = Breaker::new(policy(), 1);
        let early = breaker.ask(at(0)).unwrap();
        feed(&mut breaker, &[Verdict::Bad; 3], at(0));
        // Seen red with the generation ignored: the old success closes the half-open breaker.
        let until = breaker.open_until().unwrap();
        let probe = breaker.ask(until).unwrap();
        breaker.settle(early, GOOD, until);
        assert_eq!(breaker.position(), Position::HalfOpen);
        breaker.settle(probe, Verdict::Bad, until);
        assert_eq!(breaker.position(), Position::Open);
    }

    #[test]
    fn open_times_grow_to_the_cap_and_differ_between_devices() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut breaker = Breaker::new(policy(), seed);
            feed(&mut breaker, &[Verdict::Bad; 3], at(0));
            let mut now = at(0);
            for k in 0..8 {
                let until = breaker.open_until().unwrap();
                let ceiling = doubled(policy().open, k, policy().open_max);
                let open = until - now;
                assert!(open >= ceiling / 2 && open <= ceiling, "{k}: {open:?} of {ceiling:?}");
                now = until;
                let permit = breaker.ask(now).unwrap();
                breaker.settle(permit, Verdict::Bad, now);
            }
            seen.insert(now);
        }
        assert_eq!(seen.len(), 200, "no two devices knock at the same time");
    }

    #[test]
    fn an_operator_overrules_it_and_hands_it_back() {
        let mut breaker = tripped();
        breaker.set_mode(BreakerMode::Closed);
        for _ in 0..20 {
            let permit = breaker.ask(at(1)).unwrap();
            breaker.settle(permit, Verdict::Bad, at(1));
        }
        assert_eq!(breaker.position(), Position::Closed, "forced closed does not trip");
        breaker.set_mode(BreakerMode::Open);
        assert_eq!((breaker.ask(at(2)), breaker.position()), (Err(NEVER), Position::Open));
        breaker.set_mode(BreakerMode::Auto);
        assert!(breaker.ask(at(3)).is_ok(), "decides again, and has forgotten the failures");
    }

    #[test]
    fn what_is_kept_over_a_restart_comes_back_with_the_time_that_remained() {
        let breaker = tripped();
        let kept = breaker.snapshot(at(5));
        let rest = breaker.open_until().unwrap() - at(5);
        assert_eq!(
            kept,
            Snapshot { mode: BreakerMode::Auto, position: Position::Open, remaining: rest, opens: 1 }
        );
        let back = Breaker::restored(policy(), 1, kept, at(1000));
        assert_eq!(back.open_until(), Some(at(1000) + rest));
        assert_eq!(back.snapshot(at(1000)), kept);
        let absurd = Snapshot { remaining: Duration::MAX, ..kept };
        let cut = Breaker::restored(policy(), 1, absurd, at(0));
        assert_eq!(cut.open_until(), Some(at(900)), "at most the cap");
        let half = Snapshot { position: Position::HalfOpen, ..kept };
        assert!(Breaker::restored(policy(), 1, half, at(0)).ask(at(0)).is_ok());
    }

    /// Whatever happens to it, a request gets through within the longest open time and one probe deadline.
    #[test]
    fn no_sequence_of_results_leaves_it_stuck() {
        for seed in 0..500 {
            let mut rng = Rng::with_seed(seed);
            let mut breaker = Breaker::new(policy(), seed);
            let mut now = at(0);
            let mut last = now;
            for _ in 0..200 {
                match breaker.ask(now) {
                    Ok(permit) => {
                        last = now;
                        now = now + up_to(&mut rng, 30 * SECOND);
                        match rng.u8(0..6) {
                            0 => breaker.settle(permit, GOOD, now),
                            1 => breaker.settle(permit, Verdict::Alive, now),
                            2 => breaker.settle(permit, Verdict::Unreachable, now),
                            3 => {}
                            _ => breaker.settle(permit, Verdict::Bad, now),
                        }
                    }
                    Err(until) => {
                        assert!(until > now, "seed {seed}: asks to wait for the past");
                        now = until;
                    }
                }
                assert!(
                    now - last <= policy().open_max + policy().probe_timeout * 2 + 60 * SECOND,
                    "seed {seed}"
                );
            }
        }
    }
}
