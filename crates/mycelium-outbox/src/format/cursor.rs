//! PURE. The cursor of an endpoint as bytes.
//!
//! A cursor file holds two slots, which are written in turn: an interrupted write damages only the newer slot, and the
//! older one makes some records be sent again.

use super::record::Position;
use super::{crc, u64_at};

/// How far one endpoint has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here was acknowledged, or reported as lost.
    pub acked: Position,
    /// Last record of the batch that may have been sent; not above `acked` when there is none.
    pub frozen_through: Position,
    /// First position of the last loss that a gap record reported to this endpoint. As long as that gap record is not
    /// acknowledged, the next one includes it.
    pub lost_from: Position,
    /// Number of records of that loss.
    pub lost_records: u64,
    /// Position of that gap record.
    pub gap_at: Position,
}

/// Bytes written of one slot.
pub const SLOT_BYTES: usize = 16 + 6 * 8 + 4;
/// Offset of the second slot: in another block, so that no single block holds both.
pub const SLOT_STRIDE_BYTES: usize = 4096;
/// Bytes of a cursor file.
pub const CURSOR_FILE_BYTES: usize = 2 * SLOT_STRIDE_BYTES;
const MAGIC: [u8; 8] = *b"MYCURSOR";
const VERSION: u16 = 1;

/// What a cursor file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorFile {
    /// At least one slot is valid.
    Valid {
        /// The valid slot with the higher generation.
        cursor: Cursor,
        /// Its generation.
        generation: u64,
        /// The other slot is damaged.
        other_damaged: bool,
    },
    /// Written by this later format version.
    Newer(u16),
    /// No slot is valid.
    Damaged,
}

impl Cursor {
    /// Whether a batch may have been sent that is not acknowledged yet.
    pub fn is_frozen(&self) -> bool {
        self.frozen_through > self.acked
    }

    /// One slot; it belongs at offset `generation % 2 * SLOT_STRIDE_BYTES`.
    pub fn encode(&self, generation: u64) -> [u8; SLOT_BYTES] {
        let mut out = [0; SLOT_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let prefix = crc(&out[..12]);
        out[12..16].copy_from_slice(&prefix.to_le_bytes());
        let numbers = [
            generation,
            self.acked.0,
            self.frozen_through.0,
            self.lost_from.0,
            self.lost_records,
            self.gap_at.0,
        ];
        for (to, number) in out[16..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc(&out[..SLOT_BYTES - 4]);
        out[SLOT_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes a cursor file, however long it is.
    pub fn decode(file: &[u8]) -> CursorFile {
        let slots = [0, SLOT_STRIDE_BYTES].map(|at| Slot::decode(file.get(at..).unwrap_or_default()));
        let mut best = CursorFile::Damaged;
        let mut best_generation = 0;
        let other_damaged = slots.iter().any(|slot| matches!(slot, Slot::Damaged));
        for slot in slots {
            match slot {
                Slot::Newer(version) => return CursorFile::Newer(version),
                Slot::Valid(cursor, generation) if generation >= best_generation => {
                    best_generation = generation;
                    best = CursorFile::Valid { cursor, generation, other_damaged };
                }
                Slot::Valid(..) | Slot::Damaged | Slot::Unused => {}
            }
        }
        best
    }
}

#[derive(Clone, Copy)]
enum Slot {
    Valid(Cursor, u64),
    Newer(u16),
    Damaged,
    /// Never written.
    Unused,
}

impl Slot {
    fn decode(bytes: &[u8]) -> Self {
        let Some(bytes) = bytes.first_chunk::<SLOT_BYTES>() else {
            return if bytes.is_empty() { Self::Unused } else { Self::Damaged };
        };
        if bytes.iter().all(|&b| b == 0) {
            return Self::Unused;
        }
        if bytes[..8] != MAGIC || bytes[12..16] != crc(&bytes[..12]).to_le_bytes() {
            return Self::Damaged;
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Self::Newer(version);
        }
        if bytes[SLOT_BYTES - 4..] != crc(&bytes[..SLOT_BYTES - 4]).to_le_bytes() {
            return Self::Damaged;
        }
        let cursor = Cursor {
            acked: Position(u64_at(bytes, 24)),
            frozen_through: Position(u64_at(bytes, 32)),
            lost_from: Position(u64_at(bytes, 40)),
            lost_records: u64_at(bytes, 48),
            gap_at: Position(u64_at(bytes, 56)),
        };
        Self::Valid(cursor, u64_at(bytes, 16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(older: Cursor, newer: Cursor) -> Vec<u8> {
        let mut bytes = newer.encode(8).to_vec();
        bytes.resize(SLOT_STRIDE_BYTES, 0);
        bytes.extend(older.encode(7));
        bytes
    }

    /// Mutant seen red: a slot accepted without its CRC.
    #[test]
    fn a_cursor_survives_any_flipped_bit_in_its_newer_slot() {
        let older = Cursor { acked: Position(10), ..Cursor::default() };
        let newer = Cursor { acked: Position(20), frozen_through: Position(30), ..Cursor::default() };
        let bytes = file(older, newer);
        assert_eq!(
            Cursor::decode(&bytes),
            CursorFile::Valid { cursor: newer, generation: 8, other_damaged: false }
        );
        for bit in 0..SLOT_BYTES * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let want = CursorFile::Valid { cursor: older, generation: 7, other_damaged: true };
            assert_eq!(Cursor::decode(&bad), want, "bit {bit}");
        }
    }

    #[test]
    fn a_cursor_file_may_be_short_empty_foreign_or_newer() {
        let cursor = Cursor { acked: Position(10), ..Cursor::default() };
        let one = cursor.encode(2);
        let valid = CursorFile::Valid { cursor, generation: 2, other_damaged: false };
        assert_eq!(Cursor::decode(&one), valid, "cut after the first slot");
        assert_eq!(Cursor::decode(&[]), CursorFile::Damaged);
        assert_eq!(Cursor::decode(&[0; CURSOR_FILE_BYTES]), CursorFile::Damaged);
        assert_eq!(Cursor::decode(&[b'x'; CURSOR_FILE_BYTES]), CursorFile::Damaged);
        let mut newer = one;
        newer[8] = 2;
        let prefix = crc(&newer[..12]);
        newer[12..16].copy_from_slice(&prefix.to_le_bytes());
        assert_eq!(Cursor::decode(&newer), CursorFile::Newer(2));
    }
}
