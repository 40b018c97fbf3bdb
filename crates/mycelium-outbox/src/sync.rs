//! PURE. Wall times of records written before the clock was known.
//!
//! The first [`ClockSync`] of a boot says what the wall clock showed at which monotonic time. From it every
//! unsynced record of that boot gets `sync_wall - (mono_sync - mono_record)`, except those that had already
//! been sent with the time they had: an event once sent never changes. Which those are stands in the record
//! itself, so every later start decides the same.

use crate::time::{BootId, Mono, Stamp, Wall};

use super::record::{Header, Position};

/// Bytes of the payload: version, reserved, the position up to which times stay as they are.
pub const ENCODED: usize = 2 + 6 + 8;
const VERSION: u16 = 1;

/// When the clock of one boot became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSync {
    pub boot: BootId,
    pub mono: Mono,
    pub wall: Wall,
    /// Records up to here may have been sent uncorrected and stay so.
    pub uncorrected_through: Position,
}

impl ClockSync {
    /// The stamp itself travels in the record's header.
    pub fn encode(&self) -> [u8; ENCODED] {
        let mut out = [0; ENCODED];
        out[..2].copy_from_slice(&VERSION.to_le_bytes());
        out[8..].copy_from_slice(&self.uncorrected_through.0.to_le_bytes());
        out
    }

    pub fn decode(header: &Header, payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENCODED] = payload.try_into().ok()?;
        if bytes[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let through = u64::from_le_bytes(*bytes[8..].first_chunk()?);
        Some(Self {
            boot: header.boot,
            mono: header.stamp.mono,
            wall: header.stamp.wall,
            uncorrected_through: Position(through),
        })
    }

    /// The wall time of an unsynced record of the same boot; `None` when the record keeps its own.
    pub fn corrected(&self, boot: BootId, position: Position, stamp: Stamp) -> Option<Wall> {
        if stamp.synced || boot != self.boot || position <= self.uncorrected_through {
            return None;
        }
        let (sync, record) = (i128::from(self.mono.0), i128::from(stamp.mono.0));
        let ms = i128::from(self.wall.0) - (sync - record).div_euclid(1_000_000);
        Some(Wall(i64::try_from(ms).unwrap_or(self.wall.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: ClockSync = ClockSync {
        boot: BootId(1),
        mono: Mono(10_000_000_000),
        wall: Wall(1_700_000_000_000),
        uncorrected_through: Position(4),
    };

    fn stamp(mono_ms: u64, wall: i64, synced: bool) -> Stamp {
        Stamp { mono: Mono(mono_ms * 1_000_000), wall: Wall(wall), synced }
    }

    #[test]
    fn unsynced_times_are_reckoned_back_from_the_moment_the_clock_was_known() {
        let rows = [
            (BootId(1), 5, stamp(4_000, 12, false), Some(1_699_999_994_000), "6 s before, clock was in 1970"),
            (BootId(1), 5, stamp(4_000, i64::MAX, false), Some(1_699_999_994_000), "clock was far ahead"),
            (BootId(1), 6, stamp(11_000, 0, false), Some(1_700_000_001_000), "1 s after"),
            (BootId(1), 4, stamp(4_000, 12, false), None, "sent as it was, stays as it was"),
            (BootId(1), 5, stamp(4_000, 12, true), None, "was right already"),
            (BootId(2), 5, stamp(4_000, 12, false), None, "another boot's monotonic clock"),
        ];
        for (boot, position, stamp, want, why) in rows {
            assert_eq!(SYNC.corrected(boot, Position(position), stamp).map(|w| w.0), want, "{why}");
        }
    }
}
