//! PURE. The payload of a clock-sync record, and the wall times that follow from it.
//!
//! The first [`ClockSync`] of a boot says what the wall clock showed at which monotonic time. From it every unsynced
//! record of that boot gets the wall time `sync_wall - (sync_mono - record_mono)`, except those that may already have
//! been sent with the time they had: an event that was sent never changes. The record itself says which those are, so
//! every later start decides the same.

use super::record::{Position, RecordMeta};
use super::u64_at;
use crate::time::{BootId, Mono, Stamp, Wall};

/// Bytes of the payload: version, six zeros, `uncorrected_through`.
pub const CLOCK_SYNC_BYTES: usize = 2 + 6 + 8;
const VERSION: u16 = 1;

/// When the wall clock of one boot became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSync {
    /// The boot it holds for.
    pub boot: BootId,
    /// The monotonic clock at that moment.
    pub mono: Mono,
    /// The wall clock at that moment.
    pub wall: Wall,
    /// Records up to here may have been sent with an uncorrected time, and keep it.
    pub uncorrected_through: Position,
}

impl ClockSync {
    /// The payload; boot and both clocks are in the header of the record.
    pub fn encode(&self) -> [u8; CLOCK_SYNC_BYTES] {
        let mut out = [0; CLOCK_SYNC_BYTES];
        out[..2].copy_from_slice(&VERSION.to_le_bytes());
        out[8..].copy_from_slice(&self.uncorrected_through.0.to_le_bytes());
        out
    }

    /// `None` for anything but a payload of this version.
    pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; CLOCK_SYNC_BYTES] = payload.try_into().ok()?;
        (bytes[..2] == VERSION.to_le_bytes()).then(|| Self {
            boot: meta.boot,
            mono: meta.stamp.mono,
            wall: meta.stamp.wall,
            uncorrected_through: Position(u64_at(bytes, 8)),
        })
    }

    /// The wall time of an unsynced record of the same boot; `None` when the record keeps its own.
    pub fn corrected(&self, meta: &RecordMeta) -> Option<Wall> {
        let Stamp { mono, synced, .. } = meta.stamp;
        if synced || meta.boot != self.boot || meta.position <= self.uncorrected_through {
            return None;
        }
        let (sync, record) = (i128::from(self.mono.0), i128::from(mono.0));
        let ms = i128::from(self.wall.0) - (sync - record).div_euclid(1_000_000);
        Some(Wall(i64::try_from(ms).unwrap_or(self.wall.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::RecordKind;
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
    fn unsynced_times_are_computed_back_from_the_moment_the_clock_became_known() {
        let rows = [
            (BootId(1), 5, stamp(4_000, 12, false), Some(1_699_999_994_000), "6 s before, clock was in 1970"),
            (BootId(1), 5, stamp(4_000, i64::MAX, false), Some(1_699_999_994_000), "clock was far ahead"),
            (BootId(1), 6, stamp(11_000, 0, false), Some(1_700_000_001_000), "1 s after"),
            (BootId(1), 4, stamp(4_000, 12, false), None, "was sent as it was, stays as it was"),
            (BootId(1), 5, stamp(4_000, 12, true), None, "was correct already"),
            (BootId(2), 5, stamp(4_000, 12, false), None, "the monotonic clock of another boot"),
        ];
        for (boot, position, stamp, want, why) in rows {
            let kind = RecordKind(1);
            let meta = RecordMeta { position: Position(position), seq: 1, boot, kind, priority: 0, stamp };
            assert_eq!(SYNC.corrected(&meta).map(|w| w.0), want, "{why}");
        }
    }
}
