//! Decides whether the system clock is synchronized, without a battery-backed clock to compare it with.
//!
//! [`ClockWatch`] decides (pure), [`Evidence::read`] reads the system. The kernel's own flag (`STA_UNSYNC`) has no safe
//! reader, so each of these counts as evidence of a time source:
//!
//! 1. `systemd-timesyncd` has touched its marker file;
//! 2. the kernel knows the offset of TAI (chrony and ntpd set it once they are synchronized);
//! 3. the clock was set to a plausible time while this process ran;
//! 4. the kernel's clock frequency was adjusted twice while this process ran (once may be a stored value).
//!
//! Nothing counts while the clock shows a time before this program was released.

use std::path::Path;

use clock_steering::Clock;
use clock_steering::unix::UnixClock;

pub use mycelium_outbox::time::{BootId, Mono, Stamp, Wall, clock_label};

/// 2026-01-01: a clock that shows an earlier time is wrong.
const EARLIEST: Wall = Wall(1_767_225_600_000);
/// 2100-01-01: so is one that shows a later time.
const LATEST: Wall = Wall(4_102_444_800_000);
/// Milliseconds by which the clock must move against the monotonic clock to have been set; slewing between two
/// observations (at most 0.05 %) stays below.
const STEP_MS: i64 = 1_000;
/// Changes of the kernel's frequency that prove a time daemon.
const ADJUSTMENTS: u8 = 2;

/// Touched by `systemd-timesyncd` whenever it has synchronized the clock.
const MARKER: &str = "/run/systemd/timesync/synchronized";

/// Traces of a time daemon in the system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    pub marker: bool,
    /// Seconds between TAI and UTC in the kernel; 0 until it is set.
    pub tai: i32,
    /// The kernel's correction of the oscillator, ppm.
    pub frequency: f64,
}

impl Evidence {
    /// Two system calls and one file status; what is not permitted counts as absent.
    pub fn read() -> Self {
        let clock = UnixClock::CLOCK_REALTIME;
        Self {
            marker: Path::new(MARKER).exists(),
            tai: clock.get_tai().unwrap_or_default(),
            frequency: clock.get_frequency().unwrap_or_default(),
        }
    }
}

/// Decides from repeated observations when the system clock is synchronized.
#[derive(Clone, Debug, Default)]
pub struct ClockWatch {
    /// Wall minus monotonic time at the last observation, ms.
    offset: Option<i64>,
    frequency: f64,
    adjustments: u8,
    synced: bool,
}

impl ClockWatch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Takes one observation of both clocks. Returns a stamp if the outbox must record it: the clock is synchronized
    /// from now on, or it was set again.
    pub fn observe(&mut self, mono: Mono, wall: Wall, evidence: Evidence) -> Option<Stamp> {
        let offset = wall.0.saturating_sub((mono.0 / 1_000_000).cast_signed());
        let stepped =
            self.offset.is_some_and(|before| offset.saturating_sub(before).saturating_abs() > STEP_MS);
        if self.offset.is_some() && (evidence.frequency - self.frequency).abs() > f64::EPSILON {
            self.adjustments = self.adjustments.saturating_add(1);
        }
        self.offset = Some(offset);
        self.frequency = evidence.frequency;
        let before = self.synced;
        let disciplined = evidence.marker || evidence.tai != 0 || stepped || self.adjustments >= ADJUSTMENTS;
        self.synced = wall >= EARLIEST && wall < LATEST && (before || disciplined);
        (self.synced && (stepped || !before)).then_some(Stamp { mono, wall, synced: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const YEAR: i64 = 365 * 86_400_000;

    fn at(secs: u64) -> Mono {
        Mono(secs * 1_000_000_000)
    }

    /// The wall clock `base` ms after the epoch at monotonic zero, after `secs`.
    fn wall(base: i64, secs: u64) -> Wall {
        Wall(base + secs.cast_signed() * 1000)
    }

    fn no_evidence() -> Evidence {
        Evidence::default()
    }

    #[test]
    fn each_kind_of_evidence_is_enough_but_not_at_an_implausible_time() {
        let marker = Evidence { marker: true, ..no_evidence() };
        let tai = Evidence { tai: 37, ..no_evidence() };
        let rows = [
            (NOW, no_evidence(), false, "a saved clock shows a plausible time too"),
            (NOW, marker, true, "timesyncd"),
            (NOW, tai, true, "chrony or ntpd"),
            (0, marker, false, "1970, whatever the marker says"),
            (EARLIEST.0 - 1, tai, false, "before this program was released"),
            (NOW + 100 * YEAR, marker, false, "a century ahead"),
            (i64::MAX, marker, false, "the end of time"),
            (i64::MIN, marker, false, "before time"),
        ];
        for (ms, evidence, want, why) in rows {
            let mut watch = ClockWatch::new();
            assert_eq!(watch.observe(at(0), Wall(ms), evidence).is_some(), want, "{why}");
            assert_eq!(watch.synced(), want, "{why}");
        }
    }

    #[test]
    fn a_step_of_years_to_a_plausible_time_is_a_synchronization_in_both_directions() {
        for (from, why) in [(0, "forwards from 1970"), (NOW + 30 * YEAR, "backwards by 30 years")] {
            let mut watch = ClockWatch::new();
            for secs in 0..100 {
                assert_eq!(watch.observe(at(secs), wall(from, secs), no_evidence()), None, "{why}");
            }
            let stamp = watch.observe(at(100), wall(NOW, 100), no_evidence()).expect(why);
            assert_eq!((stamp.mono, stamp.wall, stamp.synced), (at(100), wall(NOW, 100), true));
            assert_eq!(watch.observe(at(101), wall(NOW, 101), no_evidence()), None, "reported once");
            assert!(watch.synced());
        }
    }

    #[test]
    fn a_step_to_an_implausible_time_loses_the_synchronization_and_a_step_back_restores_it() {
        let mut watch = ClockWatch::new();
        assert!(watch.observe(at(0), wall(NOW, 0), Evidence { tai: 37, ..no_evidence() }).is_some());
        assert_eq!(watch.observe(at(10), wall(0, 10), no_evidence()), None);
        assert!(!watch.synced());
        assert!(watch.observe(at(20), wall(NOW, 20), no_evidence()).is_some());
        let again = watch.observe(at(30), wall(NOW + 5_000, 30), no_evidence());
        assert!(again.is_some(), "set again while synchronized: reported again");
    }

    #[test]
    fn slewing_is_not_a_step_and_one_change_of_frequency_is_not_evidence() {
        let mut watch = ClockWatch::new();
        for secs in 0..1000 {
            let slewed = Wall(wall(NOW, secs).0 + secs.cast_signed() / 2);
            let frequency = if secs < 10 { 0.0 } else { -12.5 };
            assert_eq!(
                watch.observe(at(secs), slewed, Evidence { frequency, ..no_evidence() }),
                None,
                "{secs}"
            );
        }
        let frequency = -12.75;
        assert!(watch.observe(at(1000), wall(NOW, 1000), Evidence { frequency, ..no_evidence() }).is_some());
    }

    #[test]
    fn reading_the_real_clock_needs_no_privilege() {
        let evidence = Evidence::read();
        assert!(evidence.frequency.abs() <= 500.0, "the kernel clamps it: {evidence:?}");
    }
}
