//! PURE. Names of endpoints and devices, and the cursor of an endpoint as bytes.
//!
//! A cursor file holds two slots, written in turn: a write that is cut short costs the newer slot only, and
//! the older one sends some records again.

use std::fmt;

use super::record::{self, Position};

/// 1..64 of `[A-Za-z0-9._-]`: the name of a device or an endpoint, safe in file names and event ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(heapless::String<{ Self::CAPACITY }>);

impl Name {
    pub const CAPACITY: usize = 64;
    /// What [`Name::is_valid`] accepts, in words.
    pub const ACCEPTED: &'static str = "1 to 64 characters of [A-Za-z0-9._-]";

    pub fn new(text: &str) -> Option<Self> {
        if Self::is_valid(text) { text.try_into().ok().map(Self) } else { None }
    }

    /// As [`Name::new`], but the empty name is one too.
    pub fn or_empty(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { Self::new(text) }
    }

    /// Whether `text` is 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub fn is_valid(text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=Self::CAPACITY).contains(&text.len()) && text.bytes().all(allowed)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What records carry in place of the name.
    pub fn tag(&self) -> u32 {
        record::crc(self.0.as_bytes())
    }

    /// For records whose segment lost its header: `unknown-` and the tag they carry.
    pub(super) fn unknown(tag: u32) -> Self {
        Self::new(&format!("unknown-{tag:08x}")).expect("16 plain characters")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far one endpoint has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here was taken, or reported to be lost.
    pub acked: Position,
    /// Last record of the batch that may have been sent; below or equal `acked` when there is none.
    pub frozen_through: Position,
    /// The last loss reported to this endpoint by a gap record: first position lost, how many records, and
    /// where the gap record is. As long as that is not taken, the next one includes these.
    pub lost_from: Position,
    pub lost_records: u64,
    pub gap_at: Position,
}

/// Bytes written of one slot.
pub const SLOT: usize = 16 + 6 * 8 + 4;
/// Where the second slot starts: in a block of its own, so that no single block holds both.
pub const SLOT_STEP: usize = 4096;
/// Bytes of a cursor file.
pub const CURSOR_FILE: usize = 2 * SLOT_STEP;
const MAGIC: [u8; 8] = *b"MYCURSOR";
const VERSION: u16 = 1;

/// What a cursor file said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorFound {
    /// The newer good slot, its generation, and whether the other slot was unreadable.
    Good {
        cursor: Cursor,
        generation: u64,
        other_bad: bool,
    },
    Newer(u16),
    Bad,
}

impl Cursor {
    pub fn is_frozen(&self) -> bool {
        self.frozen_through > self.acked
    }

    /// One slot. Slots take turns: `generation % 2` says which this belongs into.
    pub fn encode(&self, generation: u64) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let prefix = record::crc(&out[..12]);
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
        let crc = record::crc(&out[..SLOT - 4]);
        out[SLOT - 4..SLOT].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The newer good slot of a cursor file.
    pub fn decode(file: &[u8]) -> CursorFound {
        let slots = [0, SLOT_STEP].map(|at| slot(file.get(at..).unwrap_or_default()));
        let mut best = CursorFound::Bad;
        let mut best_generation = 0;
        for found in slots {
            match found {
                SlotFound::Newer(version) => return CursorFound::Newer(version),
                SlotFound::Good(cursor, generation) if generation >= best_generation => {
                    best_generation = generation;
                    best = CursorFound::Good { cursor, generation, other_bad: false };
                }
                SlotFound::Good(..) | SlotFound::Bad | SlotFound::Empty => {}
            }
        }
        if let CursorFound::Good { other_bad, .. } = &mut best {
            *other_bad = slots.iter().any(|s| matches!(s, SlotFound::Bad));
        }
        best
    }
}

#[derive(Clone, Copy)]
enum SlotFound {
    Good(Cursor, u64),
    Newer(u16),
    Bad,
    /// Never written.
    Empty,
}

fn slot(bytes: &[u8]) -> SlotFound {
    let Some(bytes) = bytes.first_chunk::<SLOT>() else {
        return if bytes.is_empty() { SlotFound::Empty } else { SlotFound::Bad };
    };
    if bytes.iter().all(|&b| b == 0) {
        return SlotFound::Empty;
    }
    if bytes[..8] != MAGIC || bytes[12..16] != record::crc(&bytes[..12]).to_le_bytes() {
        return SlotFound::Bad;
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if version > VERSION {
        return SlotFound::Newer(version);
    }
    if bytes[SLOT - 4..] != record::crc(&bytes[..SLOT - 4]).to_le_bytes() {
        return SlotFound::Bad;
    }
    let number =
        |at: usize| u64::from_le_bytes(*bytes[16 + at * 8..].first_chunk().expect("inside the slot"));
    let cursor = Cursor {
        acked: Position(number(1)),
        frozen_through: Position(number(2)),
        lost_from: Position(number(3)),
        lost_records: number(4),
        gap_at: Position(number(5)),
    };
    SlotFound::Good(cursor, number(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(older: Cursor, newer: Cursor) -> Vec<u8> {
        let mut bytes = newer.encode(8).to_vec();
        bytes.resize(SLOT_STEP, 0);
        bytes.extend(older.encode(7));
        bytes
    }

    /// Mutant seen red: a slot believed without its CRC.
    #[test]
    fn a_cursor_survives_any_flipped_bit_in_its_newer_slot() {
        let older = Cursor { acked: Position(10), ..Cursor::default() };
        let newer = Cursor { acked: Position(20), frozen_through: Position(30), ..Cursor::default() };
        let bytes = file(older, newer);
        assert_eq!(
            Cursor::decode(&bytes),
            CursorFound::Good { cursor: newer, generation: 8, other_bad: false }
        );
        for bit in 0..SLOT * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let want = CursorFound::Good { cursor: older, generation: 7, other_bad: true };
            assert_eq!(Cursor::decode(&bad), want, "bit {bit}");
        }
    }

    #[test]
    fn a_cursor_file_may_be_short_empty_foreign_or_newer() {
        let cursor = Cursor { acked: Position(10), ..Cursor::default() };
        let one = cursor.encode(2);
        let good = CursorFound::Good { cursor, generation: 2, other_bad: false };
        assert_eq!(Cursor::decode(&one), good, "cut after the first slot");
        assert_eq!(Cursor::decode(&[]), CursorFound::Bad);
        assert_eq!(Cursor::decode(&[0; CURSOR_FILE]), CursorFound::Bad);
        assert_eq!(Cursor::decode(&[b'x'; CURSOR_FILE]), CursorFound::Bad);
        let mut newer = one;
        newer[8] = 2;
        let prefix = record::crc(&newer[..12]);
        newer[12..16].copy_from_slice(&prefix.to_le_bytes());
        assert_eq!(Cursor::decode(&newer), CursorFound::Newer(2));
    }

    #[test]
    fn names_are_safe_in_files_and_ids() {
        assert!(Name::new("edge-1.lab_3").is_some());
        assert!(Name::is_valid(&"x".repeat(64)));
        for bad in ["", "a/b", "a b", "\u{fc}", &"x".repeat(65)] {
            assert_eq!(Name::new(bad), None, "{bad:?}");
        }
    }
}
