//! PURE. Rate limits: the generic cell rate algorithm (ITU-T I.371) in whole nanoseconds of the monotonic clock.
//!
//! A bucket is one number, the theoretical arrival time of the next request. Each valid key has one; those of other
//! requests are in `anonymous`.

use std::time::Duration;

use crate::clock::Mono;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A rate in requests per second, and a burst in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Nanoseconds per request, rounded up, so the rate is never exceeded.
    interval_nanos: u64,
    burst: u32,
}

impl RateLimit {
    /// A zero is replaced by 1.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { interval_nanos: NANOS_PER_SECOND.div_ceil(u64::from(per_second.max(1))), burst: burst.max(1) }
    }

    pub fn burst(self) -> u32 {
        self.burst
    }

    /// Seconds until an exhausted bucket is full again.
    pub fn window_seconds(self) -> u64 {
        self.burst_nanos().div_ceil(NANOS_PER_SECOND).max(1)
    }

    /// Nanoseconds of a whole burst; at most 2^32 * 10^9, which fits.
    fn burst_nanos(self) -> u64 {
        self.interval_nanos.saturating_mul(u64::from(self.burst))
    }
}

/// One bucket; full when new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateBucket {
    /// When the bucket will be full again, in nanoseconds of [`Mono`]; in the past if it is full.
    full_at: u64,
}

/// The state of a bucket, as response headers report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateQuota {
    pub burst: u32,
    pub window_seconds: u64,
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset_seconds: u64,
}

impl RateBucket {
    /// Takes one request, or returns the time until one is available.
    pub fn take(&mut self, limit: RateLimit, now: Mono) -> Result<RateQuota, (RateQuota, Duration)> {
        let full_at = self.full_at.max(now.0).saturating_add(limit.interval_nanos);
        let ahead = full_at - now.0;
        if ahead <= limit.burst_nanos() {
            self.full_at = full_at;
            return Ok(self.quota(limit, now));
        }
        Err((self.quota(limit, now), Duration::from_nanos(ahead - limit.burst_nanos())))
    }

    pub fn quota(&self, limit: RateLimit, now: Mono) -> RateQuota {
        let ahead = self.full_at.saturating_sub(now.0);
        RateQuota {
            burst: limit.burst,
            window_seconds: limit.window_seconds(),
            remaining: (limit.burst_nanos().saturating_sub(ahead) / limit.interval_nanos) as u32,
            reset_seconds: ahead.div_ceil(NANOS_PER_SECOND),
        }
    }

    /// A bucket of a new limit with the same number of remaining requests, at most its burst.
    #[must_use]
    pub fn rescaled(self, old: RateLimit, new: RateLimit, now: Mono) -> Self {
        let left = self.quota(old, now).remaining.min(new.burst);
        let ahead = u64::from(new.burst - left).saturating_mul(new.interval_nanos);
        Self { full_at: now.0.saturating_add(ahead) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_request_per_interval() {
        let limit = RateLimit::new(2, 3);
        let mut bucket = RateBucket::default();
        let mut at =
            |ms: u64| bucket.take(limit, Mono(10 * NANOS_PER_SECOND + ms * 1_000_000)).map(|q| q.remaining);
        assert_eq!([at(0), at(0), at(0)].map(Result::unwrap), [2, 1, 0]);
        assert_eq!(at(0).unwrap_err().1, Duration::from_millis(500));
        assert_eq!(at(499).unwrap_err().1, Duration::from_millis(1));
        assert_eq!(at(500), Ok(0));
        assert_eq!(at(60_000), Ok(2), "an idle bucket is full, not fuller");
    }

    /// Mutants seen red: `max(now)` left out (an idle bucket accumulates more than its burst), the interval rounded down.
    #[test]
    fn never_more_than_burst_plus_rate_times_time_and_never_starving() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let per_second = if rng.bool() { rng.u32(1..20) } else { rng.u32(1..=1_000_000_000) };
            let burst = if rng.bool() { rng.u32(1..20) } else { rng.u32(1..=1_000_000_000) };
            let limit = RateLimit::new(per_second, burst);
            let mut bucket = RateBucket::default();
            let start = rng.u64(..u64::from(u32::MAX));
            let (mut now, mut passed) = (start, 0_u64);
            for _ in 0..500 {
                now += rng.u64(..=2 * limit.interval_nanos);
                match bucket.take(limit, Mono(now)) {
                    Ok(quota) => {
                        passed += 1;
                        assert!(quota.remaining < burst);
                    }
                    Err((_, wait)) => {
                        assert!(
                            wait <= Duration::from_nanos(limit.interval_nanos),
                            "one interval is always enough"
                        );
                        let mut later = bucket;
                        assert!(later.take(limit, Mono(now) + wait).is_ok(), "the returned wait is enough");
                    }
                }
                let allowed = u128::from(burst)
                    + u128::from(now - start) * u128::from(per_second) / u128::from(NANOS_PER_SECOND);
                assert!(u128::from(passed) <= allowed, "seed {seed}: {passed} > {allowed}");
            }
        }
    }

    #[test]
    fn extremes_saturate_and_a_stopped_clock_refills_nothing() {
        let limit = RateLimit::new(1, u32::MAX);
        let mut bucket = RateBucket { full_at: u64::MAX };
        assert!(bucket.take(limit, Mono(0)).is_err());
        let mut bucket = RateBucket::default();
        assert!(bucket.take(limit, Mono(u64::MAX)).is_ok());
        let one = RateLimit::new(1, 1);
        let mut bucket = RateBucket::default();
        assert!(bucket.take(one, Mono(5)).is_ok());
        assert!(bucket.take(one, Mono(5)).is_err());
        assert!(bucket.take(one, Mono(0)).is_err(), "a clock that runs backwards refills nothing");
    }

    #[test]
    fn rescaling_clamps_remaining_requests_to_the_new_burst() {
        let (old, new) = (RateLimit::new(1, 40), RateLimit::new(10, 5));
        let now = Mono(NANOS_PER_SECOND);
        assert_eq!(RateBucket::default().rescaled(old, new, now).quota(new, now).remaining, 5);
        let mut used = RateBucket::default();
        for _ in 0..37 {
            used.take(old, now).unwrap();
        }
        assert_eq!(used.rescaled(old, new, now).quota(new, now).remaining, 3);
        assert_eq!(
            used.rescaled(old, RateLimit::new(1, 90), now).quota(RateLimit::new(1, 90), now).remaining,
            3
        );
    }
}
