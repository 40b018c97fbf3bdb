//! PURE. One record as bytes.
//!
//! Little-endian; a 64-byte header, then the payload. The header has a CRC of its own, so a broken length
//! never swallows what follows. The CRC also covers the number of the segment (which is not stored in the
//! record): what an earlier life of a recycled file left behind is never taken for a record of this one.
//! Every commit ends in a `Mark`, overwritten by the next commit: a segment that ends without one was torn
//! or damaged.

use crate::time::{BootId, Mono, Stamp, Wall};

/// Bytes of a record's header.
pub const HEADER: usize = 64;

/// Bytes of the mark behind the last record.
pub const MARK: usize = 16;

/// Largest payload: with header, mark and segment header it fits into the smallest segment (64 KiB).
pub const MAX_PAYLOAD: usize = 60 << 10;

/// Most bytes behind a header: dead letters wrap the largest payload.
pub const LONGEST: usize = MAX_PAYLOAD + 1024;

/// What record and mark start with; the fourth byte tells them apart.
const MAGIC: [u8; 3] = [0xD7, b'm', b'y'];
const IS_RECORD: u8 = 1;
const IS_MARK: u8 = 2;

/// Index of a record in the log; 1 for the first record a directory ever held, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `window::Window`.
    Window,
    /// [`super::gap::Gap`]: records that are missing, and why.
    Gap,
    /// The clock of this boot became known: [`super::sync::ClockSync`].
    ClockSync,
    /// Text of its own making; opaque here.
    Event,
    /// In the dead-letter file: a record a receiver refused.
    Dead,
    /// In the dead-letter file: what became of an earlier one.
    DeadState,
    /// Written by a later program; handed out as it is.
    Other(u8),
}

impl Kind {
    pub const fn code(self) -> u8 {
        match self {
            Self::Window => 1,
            Self::Gap => 2,
            Self::ClockSync => 3,
            Self::Event => 4,
            Self::Dead => 16,
            Self::DeadState => 17,
            Self::Other(code) => code,
        }
    }

    pub const fn of(code: u8) -> Self {
        match code {
            1 => Self::Window,
            2 => Self::Gap,
            3 => Self::ClockSync,
            4 => Self::Event,
            16 => Self::Dead,
            17 => Self::DeadState,
            other => Self::Other(other),
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Gap => "gap",
            Self::ClockSync => "clock-sync",
            Self::Event => "event",
            Self::Dead => "dead",
            Self::DeadState => "dead-state",
            Self::Other(_) => "other",
        }
    }
}

/// Everything about a record except its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub position: Position,
    /// From 1 within a boot, without holes among durable records.
    pub seq: u64,
    pub boot: BootId,
    pub kind: Kind,
    /// 0 is ordinary, higher is more urgent; kept for receivers, never changes the order.
    pub priority: u8,
    pub stamp: Stamp,
    /// CRC-32 of the device's name; the name itself is in the segment's header.
    pub device_tag: u32,
    pub payload_len: u32,
    pub payload_crc: u32,
}

/// What stands at some place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Record(Header),
    /// The end of what was committed; the next record would have this position.
    Mark(Position),
    Nothing,
}

pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// CRC-32 over the number of the segment and then `bytes`.
pub(super) fn bound_crc(segment: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl Header {
    /// Header and payload together, in bytes.
    pub const fn record_len(&self) -> usize {
        HEADER + self.payload_len as usize
    }

    /// The header's bytes with its CRC left open: [`seal`] fills it in once the segment is known.
    pub fn unsealed(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..3].copy_from_slice(&MAGIC);
        out[3] = IS_RECORD;
        out[8..12].copy_from_slice(&self.payload_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.position.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.seq.to_le_bytes());
        out[32..40].copy_from_slice(&self.boot.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.stamp.mono.0.to_le_bytes());
        out[48..56].copy_from_slice(&self.stamp.wall.0.to_le_bytes());
        out[56] = self.kind.code();
        out[57] = self.priority;
        out[58] = u8::from(self.stamp.synced);
        out[60..64].copy_from_slice(&self.device_tag.to_le_bytes());
        out
    }

    fn parse(b: &[u8; HEADER]) -> Self {
        Self {
            payload_len: u32_at(b, 8),
            payload_crc: u32_at(b, 12),
            position: Position(u64_at(b, 16)),
            seq: u64_at(b, 24),
            boot: BootId(u64_at(b, 32)),
            stamp: Stamp {
                mono: Mono(u64_at(b, 40)),
                wall: Wall(u64_at(b, 48).cast_signed()),
                synced: b[58] & 1 == 1,
            },
            kind: Kind::of(b[56]),
            priority: b[57],
            device_tag: u32_at(b, 60),
        }
    }
}

/// Writes the header CRC of a record that is about to go into `segment`.
pub fn seal(record: &mut [u8], segment: u64) {
    let crc = bound_crc(segment, &record[8..HEADER]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The mark that ends a commit of `segment`; `next` is the position the next record will have.
pub fn mark(segment: u64, next: Position) -> [u8; MARK] {
    let mut out = [0; MARK];
    out[..3].copy_from_slice(&MAGIC);
    out[3] = IS_MARK;
    out[8..].copy_from_slice(&next.0.to_le_bytes());
    let crc = bound_crc(segment, &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// What stands at the start of `bytes`; a header is returned only with a right CRC and a possible length.
/// The payload is not looked at.
pub fn look(bytes: &[u8], segment: u64) -> Found {
    if bytes.len() < MARK || bytes[..3] != MAGIC {
        return Found::Nothing;
    }
    match bytes[3] {
        IS_RECORD => {
            let Some(header) = bytes.first_chunk::<HEADER>() else { return Found::Nothing };
            if u32_at(header, 4) != bound_crc(segment, &header[8..]) {
                return Found::Nothing;
            }
            let header = Header::parse(header);
            if header.payload_len as usize > LONGEST { Found::Nothing } else { Found::Record(header) }
        }
        IS_MARK if u32_at(bytes, 4) == bound_crc(segment, &bytes[8..MARK]) => {
            Found::Mark(Position(u64_at(bytes, 8)))
        }
        _ => Found::Nothing,
    }
}

/// Offset of the next bytes in `bytes[from..]` that may start a record or a mark.
pub fn search(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(tail) = bytes.get(at..) {
        at += tail.iter().position(|&b| b == MAGIC[0])?;
        let end = bytes.len().min(at + MAGIC.len());
        if bytes[at..end] == MAGIC[..end - at] {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            position: Position(7),
            seq: 3,
            boot: BootId(0xAB),
            kind: Kind::Event,
            priority: 2,
            stamp: Stamp { mono: Mono(5), wall: Wall(-6), synced: true },
            device_tag: 9,
            payload_len: 3,
            payload_crc: crc(b"abc"),
        }
    }

    fn sealed(segment: u64) -> Vec<u8> {
        let mut bytes = header().unsealed().to_vec();
        bytes.extend(b"abc");
        seal(&mut bytes, segment);
        bytes
    }

    #[test]
    fn a_sealed_header_reads_back_equal_and_only_in_its_own_segment() {
        assert_eq!(look(&sealed(1), 1), Found::Record(header()));
        assert_eq!(look(&sealed(1), 2), Found::Nothing, "left behind by another life of the file");
        assert_eq!(look(&sealed(1)[..HEADER - 1], 1), Found::Nothing, "cut short");
    }

    /// Mutants seen red: `look` without the CRC of the header, and without that of the mark.
    #[test]
    fn every_flipped_bit_of_a_header_or_mark_is_noticed() {
        let record = sealed(1);
        let end = mark(1, Position(8));
        assert_eq!(look(&end, 1), Found::Mark(Position(8)));
        for (bytes, len) in [(record.as_slice(), HEADER), (end.as_slice(), MARK)] {
            for bit in 0..len * 8 {
                let mut bad = bytes.to_vec();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(look(&bad, 1), Found::Nothing, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_even_with_a_right_crc() {
        let mut bytes = Header { payload_len: LONGEST as u32 + 1, ..header() }.unsealed();
        seal(&mut bytes, 1);
        assert_eq!(look(&bytes, 1), Found::Nothing);
    }

    #[test]
    fn search_finds_the_next_possible_start_even_when_cut_at_the_end() {
        let mut bytes = vec![0xD7, 0xD7, 0, b'm', b'y'];
        bytes.extend(sealed(1));
        assert_eq!(search(&bytes, 0), Some(5));
        assert_eq!(search(&bytes, 6), None);
        assert_eq!(search(&[1, 2, 0xD7, b'm'], 0), Some(2), "may go on in the next read");
        assert_eq!(search(&[], 3), None);
    }

    #[test]
    fn kinds_keep_their_codes() {
        for code in 0..=255 {
            assert_eq!(Kind::of(code).code(), code);
        }
    }
}
