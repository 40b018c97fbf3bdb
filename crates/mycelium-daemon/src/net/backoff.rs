//! PURE. Exponential back-off with full jitter.
//!
//! The jitter is applied after the cap. Otherwise all clients that have reached the cap would wait the same time and
//! retry at the same moment.

use std::time::Duration;

use fastrand::Rng;

/// The wait after a failure; its ceiling doubles with every failure up to a cap and is reset by a success.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// Records a failure; the wait before the next attempt, uniform between zero and the ceiling.
    pub fn fail(&mut self, rng: &mut Rng) -> Duration {
        let ceiling = exponential(self.base, self.failures, self.cap);
        self.failures = self.failures.saturating_add(1);
        jitter_up_to(rng, ceiling)
    }

    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// `base * 2^times`, at most `cap`.
pub fn exponential(base: Duration, times: u32, cap: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(cap)
}

/// Uniform in `0..=most`.
pub fn jitter_up_to(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_nanos(rng.u64(0..=u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_are_spread_down_to_zero_even_at_the_cap() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(8));
        let ceilings = [1, 2, 4, 8, 8, 8];
        let mut longest = [Duration::ZERO; 6];
        let mut shortest = [Duration::MAX; 6];
        for seed in 0..500 {
            let mut rng = Rng::with_seed(seed);
            let mut backoff = Backoff::new(base, cap);
            for k in 0..6 {
                let wait = backoff.fail(&mut rng);
                longest[k] = longest[k].max(wait);
                shortest[k] = shortest[k].min(wait);
            }
        }
        for (k, secs) in ceilings.into_iter().enumerate() {
            let ceiling = Duration::from_secs(secs);
            assert!(longest[k] <= ceiling && longest[k] > ceiling * 9 / 10, "attempt {k}: {:?}", longest[k]);
            // Seen red with the jitter drawn before the cap: at the cap every wait is then 8 s.
            assert!(shortest[k] < ceiling / 10, "attempt {k}: {:?}", shortest[k]);
        }
    }

    #[test]
    fn a_success_starts_over_and_a_year_of_failures_does_not_overflow() {
        let mut rng = Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(15));
        for _ in 0..100_000 {
            assert!(backoff.fail(&mut rng) <= Duration::from_mins(15));
        }
        backoff.succeed();
        assert!(backoff.fail(&mut rng) <= Duration::from_secs(1));
        assert_eq!(exponential(Duration::MAX, u32::MAX, Duration::MAX), Duration::MAX);
    }
}
