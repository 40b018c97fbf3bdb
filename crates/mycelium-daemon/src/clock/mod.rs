//! Whether the system clock is right, told without a battery-backed clock to compare with.
//!
//! [`ClockWatch`] decides (pure), [`Evidence::read`] looks. The kernel's own flag (`STA_UNSYNC`) has no safe
//! reader, so these signs are taken, each of which takes somebody who knows the time:
//!
//! 1. `systemd-timesyncd` has touched its marker file;
//! 2. the kernel has been told the offset of TAI (chrony and ntpd do, once they are synchronized);
//! 3. the clock was set, while we watched, to a time this program can have lived in;
//! 4. the kernel's clock frequency was adjusted twice while we watched (once may be a stored value).
//!
//! No sign counts while the clock shows a time before this program was made.

use std::path::Path;

use clock_steering::Clock;
use clock_steering::unix::UnixClock;

pub use mycelium_outbox::time::{BootId, Mono, Stamp, Wall};

/// 2026-01-01: no clock that shows an earlier time is right.
const MADE: Wall = Wall(1_767_225_600_000);
/// 2100-01-01: nor one that shows a later one.
const UNLIKELY: Wall = Wall(4_102_444_800_000);
/// Milliseconds by which the clock moves against the monotonic one when it is set; slewing between two looks
/// (at most 0.05 %) stays below.
const STEP: i64 = 1_000;
/// Changes of the kernel's frequency that make a discipline.
const ADJUSTMENTS: u8 = 2;

/// Touched by `systemd-timesyncd` whenever it has synchronized the clock.
const MARKER: &str = "/run/systemd/timesync/synchronized";

/// What can be seen of whoever keeps the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    pub marker: bool,
    /// Seconds between TAI and UTC in the kernel; 0 until somebody has said so.
    pub tai: i32,
    /// The kernel's correction of the oscillator, ppm.
    pub frequency: f64,
}

impl Evidence {
    /// Looks once: two system calls and one file status; what is forbidden here counts as not seen.
    pub fn read() -> Self {
        let clock = UnixClock::CLOCK_REALTIME;
        Self {
            marker: Path::new(MARKER).exists(),
            tai: clock.get_tai().unwrap_or_default(),
            frequency: clock.get_frequency().unwrap_or_default(),
        }
    }
}

/// Follows the system clock and decides when it can be believed.
#[derive(Clone, Debug, Default)]
pub struct ClockWatch {
    /// Wall minus monotonic time at the last look, ms.
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

    /// Takes in one look at both clocks. A stamp comes back when the outbox should be told: the clock can be
    /// believed from now on, or it was set again.
    pub fn look(&mut self, mono: Mono, wall: Wall, evidence: Evidence) -> Option<Stamp> {
        let offset = wall.0.saturating_sub((mono.0 / 1_000_000).cast_signed());
        let stepped = self.offset.is_some_and(|before| offset.saturating_sub(before).saturating_abs() > STEP);
        if self.offset.is_some() && (evidence.frequency - self.frequency).abs() > f64::EPSILON {
            self.adjustments = self.adjustments.saturating_add(1);
        }
        self.offset = Some(offset);
        self.frequency = evidence.frequency;
        let before = self.synced;
        let kept = evidence.marker || evidence.tai != 0 || stepped || self.adjustments >= ADJUSTMENTS;
        self.synced = wall >= MADE && wall < UNLIKELY && (before || kept);
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

    fn nobody() -> Evidence {
        Evidence::default()
    }

    #[test]
    fn each_sign_is_enough_but_not_at_an_impossible_time() {
        let marker = Evidence { marker: true, ..nobody() };
        let tai = Evidence { tai: 37, ..nobody() };
        let rows = [
            (NOW, nobody(), false, "a plausible time alone is what a saved clock shows too"),
            (NOW, marker, true, "timesyncd"),
            (NOW, tai, true, "chrony or ntpd"),
            (0, marker, false, "1970, whatever the marker says"),
            (MADE.0 - 1, tai, false, "before this program was made"),
            (NOW + 100 * YEAR, marker, false, "a century ahead"),
            (i64::MAX, marker, false, "the end of time"),
            (i64::MIN, marker, false, "before time"),
        ];
        for (ms, evidence, want, why) in rows {
            let mut watch = ClockWatch::new();
            assert_eq!(watch.look(at(0), Wall(ms), evidence).is_some(), want, "{why}");
            assert_eq!(watch.synced(), want, "{why}");
        }
    }

    #[test]
    fn a_jump_by_years_to_a_possible_time_is_the_sync_in_both_directions() {
        for (from, why) in [(0, "forwards from 1970"), (NOW + 30 * YEAR, "backwards by 30 years")] {
            let mut watch = ClockWatch::new();
            for secs in 0..100 {
                assert_eq!(watch.look(at(secs), wall(from, secs), nobody()), None, "{why}");
            }
            let stamp = watch.look(at(100), wall(NOW, 100), nobody()).expect(why);
            assert_eq!((stamp.mono, stamp.wall, stamp.synced), (at(100), wall(NOW, 100), true));
            assert_eq!(watch.look(at(101), wall(NOW, 101), nobody()), None, "said once");
            assert!(watch.synced());
        }
    }

    #[test]
    fn a_jump_to_an_impossible_time_loses_the_sync_and_the_way_back_regains_it() {
        let mut watch = ClockWatch::new();
        assert!(watch.look(at(0), wall(NOW, 0), Evidence { tai: 37, ..nobody() }).is_some());
        assert_eq!(watch.look(at(10), wall(0, 10), nobody()), None);
        assert!(!watch.synced());
        assert!(watch.look(at(20), wall(NOW, 20), nobody()).is_some());
        let again = watch.look(at(30), wall(NOW + 5_000, 30), nobody());
        assert!(again.is_some(), "set again while synced: told again");
    }

    #[test]
    fn slewing_is_no_step_and_one_stored_frequency_no_discipline() {
        let mut watch = ClockWatch::new();
        for secs in 0..1000 {
            let slewed = Wall(wall(NOW, secs).0 + secs.cast_signed() / 2);
            let frequency = if secs < 10 { 0.0 } else { -12.5 };
            assert_eq!(watch.look(at(secs), slewed, Evidence { frequency, ..nobody() }), None, "{secs}");
        }
        let frequency = -12.75;
        assert!(watch.look(at(1000), wall(NOW, 1000), Evidence { frequency, ..nobody() }).is_some());
    }

    #[test]
    fn looking_at_the_real_clock_neither_fails_nor_needs_a_privilege() {
        let evidence = Evidence::read();
        assert!(evidence.frequency.abs() <= 500.0, "the kernel clamps it there: {evidence:?}");
    }
}
