//! Time. The only module that reads a clock; everything else gets `now` as an argument.
//!
//! Use [`Mono`] for order, deadlines and intervals. [`Wall`] is for people and receivers only: on a device without a
//! battery-backed clock it is wrong at boot and jumps by years once the network is up.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the monotonic clock that also counts suspended time (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Reads the clock.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::Boottime);
        Self(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }

    /// Time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Mono {
    type Output = Duration;
    fn sub(self, rhs: Self) -> Duration {
        self.since(rhs)
    }
}

/// Milliseconds since 1970-01-01 UTC, as the system clock has it; may be wrong by years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Wall {
    /// Reads the clock.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::Realtime);
        Self(t.tv_sec * 1000 + t.tv_nsec / 1_000_000)
    }
}

/// RFC 3339 in UTC with milliseconds; times outside 1970..=9999 are shown at the nearer end.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: i64 = 253_402_300_799_999;
        let ms = self.0.clamp(0, LAST).unsigned_abs();
        let time = std::time::UNIX_EPOCH + Duration::from_millis(ms);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

/// One start of a process: 64 random bits, 16 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A reading of both clocks, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The monotonic clock.
    pub mono: Mono,
    /// The wall clock.
    pub wall: Wall,
    /// The system clock was known to be disciplined (NTP or equivalent) when this was taken.
    pub synced: bool,
}

/// How far a wall time can be trusted: `synced` at once, `corrected` later from a synchronised clock of the same
/// boot, or `unsynced`.
pub const fn clock_label(synced: bool, corrected: bool) -> &'static str {
    match (synced, corrected) {
        (true, _) => "synced",
        (false, true) => "corrected",
        (false, false) => "unsynced",
    }
}
