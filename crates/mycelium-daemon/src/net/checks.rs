//! PURE. Range checks of settings; all violations of a table are collected.

use std::time::Duration;

use mycelium_core::range::{Interval, OutOfRange};

/// Milliseconds up to an hour.
pub const HOUR_MS: Interval = Interval::closed(0.0, 3_600_000.0);
/// Milliseconds up to a day, at least 1.
pub const DAY_MS: Interval = Interval::closed(1.0, 86_400_000.0);

/// Collects the violations in one table, so that all of them are reported at once.
pub struct RangeChecks<'a> {
    /// Path of the table, as in `webhooks[0]`.
    prefix: &'a str,
    violations: Vec<OutOfRange>,
}

impl<'a> RangeChecks<'a> {
    pub fn new(prefix: &'a str) -> Self {
        Self { prefix, violations: Vec::new() }
    }

    /// Path of `key` in the table.
    pub fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    pub fn reject(&mut self, key: &str, value: impl Into<String>, accepted: &str) {
        let violation =
            OutOfRange { key: self.path(key), value: value.into(), accepted: accepted.to_owned() };
        self.violations.push(violation);
    }

    /// The value, or `None` and a recorded violation.
    pub fn keep<T>(&mut self, checked: Result<T, OutOfRange>) -> Option<T> {
        checked.map_err(|violation| self.violations.push(violation)).ok()
    }

    pub fn integer(&mut self, key: &str, value: i64, range: Interval) -> u64 {
        let checked = range.check(&self.path(key), value as f64);
        self.keep(checked);
        value.unsigned_abs()
    }

    pub fn millis(&mut self, key: &str, value: i64, range: Interval) -> Duration {
        Duration::from_millis(self.integer(key, value, range))
    }

    /// `high` must not be below `low`.
    pub fn ordered(&mut self, low: (&str, Duration), high: (&str, Duration)) {
        if high.1 < low.1 {
            let accepted = format!("at least `{}`, which is {}", low.0, low.1.as_millis());
            self.reject(high.0, high.1.as_millis().to_string(), &accepted);
        }
    }

    /// `value` if nothing was rejected, else every violation.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<OutOfRange>> {
        if self.violations.is_empty() { Ok(value) } else { Err(self.violations) }
    }
}
