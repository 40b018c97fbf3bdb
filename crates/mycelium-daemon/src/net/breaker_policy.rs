//! When a circuit breaker trips and how long it stays open: `[breaker]` of the configuration.

use std::time::Duration;

use mycelium_core::range::{Interval, OutOfRange, string_enum};

use super::checks::{DAY_MS, RangeChecks};

/// When a breaker trips and how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Consecutive failures that trip it, at least 1.
    pub failures: u32,
    pub open: Duration,
    pub open_max: Duration,
    /// Slower than this counts as a failure towards tripping.
    pub slow: Duration,
    /// A half-open permit whose result has not arrived by then counts as failed.
    pub probe_timeout: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `[breaker]` as it was written; defaults are those of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct RawBreaker {
    pub failures: i64,
    pub open_ms: i64,
    pub open_max_ms: i64,
    pub slow_ms: i64,
    pub probe_timeout_ms: i64,
}

impl RawBreaker {
    pub const DEFAULT: Self = Self {
        failures: 5,
        open_ms: 30_000,
        open_max_ms: 900_000,
        slow_ms: 10_000,
        probe_timeout_ms: 20_000,
    };
}

impl Default for RawBreaker {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BreakerPolicy {
    /// Range of `failures`.
    pub const FAILURES: Interval = Interval::closed(1.0, 1000.0);
    /// Range of all times, milliseconds.
    pub const TIMES_MS: Interval = DAY_MS;
    pub const DEFAULT: Self = Self {
        failures: RawBreaker::DEFAULT.failures as u32,
        open: Duration::from_millis(RawBreaker::DEFAULT.open_ms as u64),
        open_max: Duration::from_millis(RawBreaker::DEFAULT.open_max_ms as u64),
        slow: Duration::from_millis(RawBreaker::DEFAULT.slow_ms as u64),
        probe_timeout: Duration::from_millis(RawBreaker::DEFAULT.probe_timeout_ms as u64),
    };

    /// The policy, or every violation.
    pub fn checked(prefix: &str, raw: &RawBreaker) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = RangeChecks::new(prefix);
        let policy = Self {
            failures: checks.integer("failures", raw.failures, Self::FAILURES) as u32,
            open: checks.millis("open_ms", raw.open_ms, Self::TIMES_MS),
            open_max: checks.millis("open_max_ms", raw.open_max_ms, Self::TIMES_MS),
            slow: checks.millis("slow_ms", raw.slow_ms, Self::TIMES_MS),
            probe_timeout: checks.millis("probe_timeout_ms", raw.probe_timeout_ms, Self::TIMES_MS),
        };
        checks.ordered(("open_ms", policy.open), ("open_max_ms", policy.open_max));
        checks.finish(policy)
    }
}

/// Whether a breaker decides by itself or is forced open or closed by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerMode {
    Auto,
    Open,
    Closed,
}
string_enum!(BreakerMode, "mode", Auto = "auto", Open = "open", Closed = "closed");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_and_the_defaults_are_in_range() {
        assert_eq!(BreakerPolicy::checked("breaker", &RawBreaker::default()), Ok(BreakerPolicy::default()));
        let bad = RawBreaker { failures: 0, open_ms: 100, open_max_ms: 50, ..RawBreaker::default() };
        let got = BreakerPolicy::checked("breaker", &bad).unwrap_err();
        assert_eq!(got.len(), 2, "{got:?}");
        assert_eq!("closed".parse(), Ok(BreakerMode::Closed));
        assert!("half_open".parse::<BreakerMode>().is_err());
    }
}
