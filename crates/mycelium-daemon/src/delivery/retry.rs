//! PURE. When to try again: exponential back-off with full jitter, and what `Retry-After` asks for.
//!
//! The jitter is applied after the cap. The other way round, every client that has reached the cap waits the
//! same time, and all of them come back at once.

use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;

use crate::clock::Wall;

/// Doubles with every failure up to a cap; starts over after a success.
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

    /// How long to wait after one more failure: evenly between zero and the doubled, capped base.
    pub fn fail(&mut self, rng: &mut Rng) -> Duration {
        let ceiling = doubled(self.base, self.failures, self.cap);
        self.failures = self.failures.saturating_add(1);
        up_to(rng, ceiling)
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
pub fn doubled(base: Duration, times: u32, cap: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(cap)
}

/// Evenly distributed in `0..=most`.
pub fn up_to(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_nanos(rng.u64(0..=u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
}

/// How long `Retry-After` (RFC 9110, 10.2.3) asks to wait; `None` when it says nothing that can be read.
///
/// A date is taken relative to the answer's own `Date`, so a wrong clock on this side does no harm; without
/// one, relative to `wall`. A date that has passed is no wait at all.
pub fn retry_after(value: &str, date: Option<&str>, wall: Wall) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(value)?;
    let now = date.and_then(http_date).unwrap_or(wall);
    Some(Duration::from_millis(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0)))
}

/// An HTTP date in any of its three forms.
pub fn http_date(text: &str) -> Option<Wall> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let ms = time.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Wall)
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
        assert_eq!(doubled(Duration::MAX, u32::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_does_not_trust_the_own_clock() {
        let noon = "Tue, 15 Nov 2039 12:00:00 GMT";
        let later = "Tue, 15 Nov 2039 12:00:30 GMT";
        let unset = Wall(0);
        let right = http_date(noon).unwrap();
        let rows = [
            ("120", None, unset, Some(120), "seconds"),
            (" 7 ", None, unset, Some(7), "spaces around"),
            ("0", None, unset, Some(0), "now"),
            (later, Some(noon), unset, Some(30), "own clock in 1970, relative to the answer's date"),
            (later, None, right, Some(30), "no date in the answer, relative to the own clock"),
            (noon, Some(later), unset, Some(0), "has passed"),
            ("-3", None, unset, None, "signed"),
            ("1.5", None, unset, None, "fraction"),
            ("soon", None, unset, None, "word"),
            ("", None, unset, None, "empty"),
        ];
        for (value, date, wall, want, why) in rows {
            assert_eq!(retry_after(value, date, wall), want.map(Duration::from_secs), "{why}");
        }
        let huge = retry_after("99999999999999999999999", None, unset).unwrap();
        assert_eq!(huge, Duration::from_secs(u64::MAX), "saturates; the plan clamps it");
    }
}
