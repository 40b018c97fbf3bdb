//! PURE. The payload of a gap record: what is missing, why, and for whom.

use std::fmt;

use super::name::SafeName;
use super::record::Position;
use super::u64_at;

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Bytes that were written cannot be read back.
    Damage,
    /// The last write before a stop was not completed.
    Torn,
    /// Segments no longer exist: dropped before a crash, or removed by someone else.
    Missing,
    /// `max_bytes` was reached and the oldest records were dropped.
    DropOldest,
    /// `max_bytes` was reached and new records were refused.
    DropNewest,
    /// The disk refused writes and the buffer in memory was full.
    Memory,
    /// The queue in front of the outbox thread was full.
    Queue,
}

impl GapReason {
    /// All reasons; the index of each is its code in files.
    pub const ALL: [Self; 7] = [
        Self::Damage,
        Self::Torn,
        Self::Missing,
        Self::DropOldest,
        Self::DropNewest,
        Self::Memory,
        Self::Queue,
    ];

    /// The reason as text, as in `drop-oldest`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Torn => "torn",
            Self::Missing => "missing",
            Self::DropOldest => "drop-oldest",
            Self::DropNewest => "drop-newest",
            Self::Memory => "memory-full",
            Self::Queue => "queue-full",
        }
    }

    /// Index in [`GapReason::ALL`] and in arrays with one element per reason.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Records that will never be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why they are missing.
    pub reason: GapReason,
    /// Number of records lost; 0 where it cannot be known (a torn end).
    pub records: u64,
    /// Bytes skipped while searching for the next valid record.
    pub bytes: u64,
    /// First position lost; 0 for records that never had one.
    pub from: Position,
    /// Last position lost; 0 for records that never had one.
    pub through: Position,
    /// The endpoint that misses them; empty when all do.
    pub endpoint: SafeName,
}

/// Bytes of an encoded gap: version, reason, name length, four numbers, name.
pub const GAP_BYTES: usize = 2 + 1 + 1 + 4 * 8 + SafeName::MAX_BYTES;
const VERSION: u16 = 1;

impl Gap {
    /// The gap as the payload of a record.
    pub fn encode(&self) -> [u8; GAP_BYTES] {
        let mut out = [0; GAP_BYTES];
        let endpoint = self.endpoint.as_str().as_bytes();
        out[..2].copy_from_slice(&VERSION.to_le_bytes());
        out[2] = self.reason.index() as u8;
        out[3] = endpoint.len() as u8;
        let numbers = [self.records, self.bytes, self.from.0, self.through.0];
        for (to, number) in out[4..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out[36..36 + endpoint.len()].copy_from_slice(endpoint);
        out
    }

    /// `None` for anything but a gap of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; GAP_BYTES] = bytes.try_into().ok()?;
        if bytes[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let name = std::str::from_utf8(bytes.get(36..36 + bytes[3] as usize)?).ok()?;
        Some(Self {
            reason: *GapReason::ALL.get(bytes[2] as usize)?,
            records: u64_at(bytes, 4),
            bytes: u64_at(bytes, 12),
            from: Position(u64_at(bytes, 20)),
            through: Position(u64_at(bytes, 28)),
            endpoint: SafeName::or_empty(name)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_decodes_equal_and_other_bytes_are_refused() {
        for reason in GapReason::ALL {
            let gap = Gap {
                reason,
                records: 3,
                bytes: 900,
                from: Position(5),
                through: Position(7),
                endpoint: SafeName::new("hub").unwrap(),
            };
            let bytes = gap.encode();
            assert_eq!(Gap::decode(&bytes), Some(gap));
            assert_eq!(Gap::decode(&bytes[1..]), None, "short");
        }
        let mut newer = [0; GAP_BYTES];
        newer[0] = 2;
        assert_eq!(Gap::decode(&newer), None, "another version");
    }
}
