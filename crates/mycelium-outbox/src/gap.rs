//! PURE. The payload of a gap record: what is missing, why, and for whom.

use std::fmt;

use super::endpoint::Name;
use super::record::Position;

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Bytes that were written did not read back.
    Damage,
    /// The last write before a stop was not finished.
    Torn,
    /// Segments are not there any more; dropped before a crash, or removed from outside.
    Missing,
    /// `outbox.max_bytes` was reached and the oldest gave way.
    DropOldest,
    /// `outbox.max_bytes` was reached and the newest gave way.
    DropNewest,
    /// The disk refused writes and as many records as may were waiting in memory.
    Memory,
    /// The thread that writes was busy for so long that its queue ran full.
    Queue,
}

impl Reason {
    pub const ALL: [Self; 7] = [
        Self::Damage,
        Self::Torn,
        Self::Missing,
        Self::DropOldest,
        Self::DropNewest,
        Self::Memory,
        Self::Queue,
    ];

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

    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Records that will not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub reason: Reason,
    /// Records lost; 0 where that cannot be known (a torn or damaged end).
    pub records: u64,
    /// Bytes skipped while looking for the next whole record.
    pub bytes: u64,
    /// First and last position lost; both 0 for records that never got one.
    pub from: Position,
    pub through: Position,
    /// The endpoint that misses them; empty when it is all.
    pub endpoint: Name,
}

/// Bytes of an encoded gap: version, reason, name length, reserved, four numbers, name.
pub const ENCODED: usize = 2 + 1 + 1 + 4 * 8 + Name::CAPACITY;
const VERSION: u16 = 1;

impl Gap {
    pub fn encode(&self) -> [u8; ENCODED] {
        let mut out = [0; ENCODED];
        out[..2].copy_from_slice(&VERSION.to_le_bytes());
        out[2] = self.reason.index() as u8;
        out[3] = self.endpoint.as_str().len() as u8;
        let numbers = [self.records, self.bytes, self.from.0, self.through.0];
        for (to, number) in out[4..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out[36..36 + self.endpoint.as_str().len()].copy_from_slice(self.endpoint.as_str().as_bytes());
        out
    }

    /// `None` for anything but a gap of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENCODED] = bytes.try_into().ok()?;
        if bytes[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let mut numbers =
            bytes[4..].chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().expect("8 bytes")));
        let mut number = || numbers.next();
        let name = std::str::from_utf8(bytes.get(36..36 + bytes[3] as usize)?).ok()?;
        Some(Self {
            reason: *Reason::ALL.get(bytes[2] as usize)?,
            records: number()?,
            bytes: number()?,
            from: Position(number()?),
            through: Position(number()?),
            endpoint: Name::or_empty(name)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_reads_back_equal_and_other_bytes_are_refused() {
        for reason in Reason::ALL {
            let gap = Gap {
                reason,
                records: 3,
                bytes: 900,
                from: Position(5),
                through: Position(7),
                endpoint: Name::new("hub").unwrap(),
            };
            let bytes = gap.encode();
            assert_eq!(Gap::decode(&bytes), Some(gap));
            assert_eq!(Gap::decode(&bytes[1..]), None, "short");
        }
        let mut newer = [0; ENCODED];
        newer[0] = 2;
        assert_eq!(Gap::decode(&newer), None, "another version");
    }
}
