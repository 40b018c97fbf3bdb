//! PURE. One record as bytes.
//!
//! A 64-byte header, then the payload. The header has its own CRC, so a damaged length never hides the records after
//! it. That CRC also covers the number of the segment, which is not stored in the record: records that an earlier use
//! of a recycled file left behind are never mistaken for records of this segment. Every commit ends with a commit
//! marker, which the next commit overwrites: a segment that ends without one is torn or damaged.

use super::name::SafeName;
use super::{crc, u32_at, u64_at};
use crate::time::{BootId, Mono, Stamp, Wall};

/// Bytes of a record header.
pub const RECORD_HEADER_BYTES: usize = 64;

/// Bytes of the marker after the last record of a commit.
pub const COMMIT_MARKER_BYTES: usize = 16;

/// Largest payload, in bytes: with all headers and the marker it fits into the smallest segment (64 KiB).
pub const MAX_PAYLOAD_BYTES: usize = 60 << 10;

/// Most bytes after a record header: a dead letter wraps the largest payload.
pub const MAX_STORED_PAYLOAD_BYTES: usize = MAX_PAYLOAD_BYTES + 1024;

/// The first bytes of a record and of a marker; the fourth byte tells them apart.
const MAGIC: [u8; 3] = [0xD7, b'm', b'y'];
const IS_RECORD: u8 = 1;
const IS_MARKER: u8 = 2;

/// Index of a record in the log: 1 for the first record that a directory ever held, never reused. 0 stands for "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one; 0 has none and returns itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What a payload is. The constants below belong to the outbox; the application may use every other code, and the
/// outbox hands those payloads out as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// [`crate::Gap`]: records that are missing, and why.
    pub const GAP: Self = Self(2);
    /// [`crate::ClockSync`]: the wall clock of this boot became known.
    pub const CLOCK_SYNC: Self = Self(3);
    /// In the dead-letter file: a record that a receiver rejected.
    pub const DEAD_LETTER: Self = Self(16);
    /// In the dead-letter file: a new state of an earlier dead letter.
    pub const DEAD_LETTER_STATE: Self = Self(17);
}

/// Everything about a record except its payload and its device: the same from `append` to delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Index in the log; in a batch of dead letters, the id of the dead letter.
    pub position: Position,
    /// Number within the boot, from 1, without holes among durable records.
    pub seq: u64,
    /// The process start that accepted the record.
    pub boot: BootId,
    /// What the payload is.
    pub kind: RecordKind,
    /// Stored for receivers and without effect on the order; this version writes 0.
    pub priority: u8,
    /// Both clocks when the record was appended.
    pub stamp: Stamp,
}

impl RecordMeta {
    /// `<device>-<boot>-<seq>`: never used twice, and the same at every delivery.
    pub fn event_id(&self, device: &SafeName) -> String {
        format!("{device}-{}-{}", self.boot, self.seq)
    }
}

/// The header of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The part that stays with the record up to its delivery.
    pub meta: RecordMeta,
    /// CRC-32 of the name of the device; the name itself is in the header of the segment.
    pub device_tag: u32,
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// CRC-32 of the payload.
    pub payload_crc: u32,
}

/// What was found at some offset of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodedItem {
    /// A record header with a correct CRC; its payload was not checked.
    Record(RecordHeader),
    /// The end of a commit; the next record will have this position.
    Marker(Position),
    /// Neither of these.
    Nothing,
}

/// CRC-32 over the number of the segment and then `bytes`.
fn bound_crc(segment: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl RecordHeader {
    /// The header of a record with this payload.
    pub fn new(meta: RecordMeta, device_tag: u32, payload: &[u8]) -> Self {
        Self { meta, device_tag, payload_len: payload.len() as u32, payload_crc: crc(payload) }
    }

    /// Length of header and payload together, in bytes.
    pub const fn record_len(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload_len as usize
    }

    /// The bytes of the header without its CRC: [`seal`] adds it once the segment is known.
    pub fn encode_unsealed(&self) -> [u8; RECORD_HEADER_BYTES] {
        let Self { meta, device_tag, payload_len, payload_crc } = self;
        let mut out = [0; RECORD_HEADER_BYTES];
        out[..3].copy_from_slice(&MAGIC);
        out[3] = IS_RECORD;
        out[8..12].copy_from_slice(&payload_len.to_le_bytes());
        out[12..16].copy_from_slice(&payload_crc.to_le_bytes());
        out[16..24].copy_from_slice(&meta.position.0.to_le_bytes());
        out[24..32].copy_from_slice(&meta.seq.to_le_bytes());
        out[32..40].copy_from_slice(&meta.boot.0.to_le_bytes());
        out[40..48].copy_from_slice(&meta.stamp.mono.0.to_le_bytes());
        out[48..56].copy_from_slice(&meta.stamp.wall.0.to_le_bytes());
        out[56] = meta.kind.0;
        out[57] = meta.priority;
        out[58] = u8::from(meta.stamp.synced);
        out[60..64].copy_from_slice(&device_tag.to_le_bytes());
        out
    }

    fn decode(b: &[u8; RECORD_HEADER_BYTES]) -> Self {
        let stamp = Stamp {
            mono: Mono(u64_at(b, 40)),
            wall: Wall(u64_at(b, 48).cast_signed()),
            synced: b[58] & 1 == 1,
        };
        let meta = RecordMeta {
            position: position_of(b),
            seq: seq_of(b),
            boot: BootId(u64_at(b, 32)),
            kind: RecordKind(b[56]),
            priority: b[57],
            stamp,
        };
        Self { meta, device_tag: u32_at(b, 60), payload_len: u32_at(b, 8), payload_crc: u32_at(b, 12) }
    }
}

/// Position of an encoded record.
pub(crate) fn position_of(record: &[u8]) -> Position {
    Position(u64_at(record, 16))
}

/// Sequence number of an encoded record.
pub(crate) fn seq_of(record: &[u8]) -> u64 {
    u64_at(record, 24)
}

/// Writes the header CRC of an encoded record that is about to go into `segment`.
pub fn seal(record: &mut [u8], segment: u64) {
    let crc = bound_crc(segment, &record[8..RECORD_HEADER_BYTES]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The marker at the end of a commit to `segment`; `next` is the position of the next record.
pub fn commit_marker(segment: u64, next: Position) -> [u8; COMMIT_MARKER_BYTES] {
    let mut out = [0; COMMIT_MARKER_BYTES];
    out[..3].copy_from_slice(&MAGIC);
    out[3] = IS_MARKER;
    out[8..].copy_from_slice(&next.0.to_le_bytes());
    let crc = bound_crc(segment, &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Decodes what starts at `bytes[0]` in `segment`. A header is returned only with a correct CRC and a possible length;
/// the payload is not checked.
pub fn decode_at(bytes: &[u8], segment: u64) -> DecodedItem {
    if bytes.len() < COMMIT_MARKER_BYTES || bytes[..3] != MAGIC {
        return DecodedItem::Nothing;
    }
    match bytes[3] {
        IS_RECORD => {
            let Some(header) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
                return DecodedItem::Nothing;
            };
            if u32_at(header, 4) != bound_crc(segment, &header[8..]) {
                return DecodedItem::Nothing;
            }
            let header = RecordHeader::decode(header);
            if header.payload_len as usize > MAX_STORED_PAYLOAD_BYTES {
                DecodedItem::Nothing
            } else {
                DecodedItem::Record(header)
            }
        }
        IS_MARKER if u32_at(bytes, 4) == bound_crc(segment, &bytes[8..COMMIT_MARKER_BYTES]) => {
            DecodedItem::Marker(Position(u64_at(bytes, 8)))
        }
        _ => DecodedItem::Nothing,
    }
}

/// Index of the next bytes in `bytes`, at or after `from`, that may start a record or a marker. A magic number that is
/// cut off by the end of `bytes` counts.
pub fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        let meta = RecordMeta {
            position: Position(7),
            seq: 3,
            boot: BootId(0xAB),
            kind: RecordKind(4),
            priority: 2,
            stamp: Stamp { mono: Mono(5), wall: Wall(-6), synced: true },
        };
        RecordHeader::new(meta, 9, b"abc")
    }

    fn sealed(segment: u64) -> Vec<u8> {
        let mut bytes = header().encode_unsealed().to_vec();
        bytes.extend(b"abc");
        seal(&mut bytes, segment);
        bytes
    }

    #[test]
    fn a_sealed_header_decodes_equal_and_only_in_its_own_segment() {
        assert_eq!(decode_at(&sealed(1), 1), DecodedItem::Record(header()));
        assert_eq!(
            decode_at(&sealed(1), 2),
            DecodedItem::Nothing,
            "left behind by an earlier use of the file"
        );
        assert_eq!(decode_at(&sealed(1)[..RECORD_HEADER_BYTES - 1], 1), DecodedItem::Nothing, "cut short");
    }

    /// Mutants seen red: `decode_at` without the CRC of the header, and without that of the marker.
    #[test]
    fn every_flipped_bit_of_a_header_or_marker_is_noticed() {
        let record = sealed(1);
        let marker = commit_marker(1, Position(8));
        assert_eq!(decode_at(&marker, 1), DecodedItem::Marker(Position(8)));
        for (bytes, len) in
            [(record.as_slice(), RECORD_HEADER_BYTES), (marker.as_slice(), COMMIT_MARKER_BYTES)]
        {
            for bit in 0..len * 8 {
                let mut bad = bytes.to_vec();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode_at(&bad, 1), DecodedItem::Nothing, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_even_with_a_correct_crc() {
        let len = MAX_STORED_PAYLOAD_BYTES as u32 + 1;
        let mut bytes = RecordHeader { payload_len: len, ..header() }.encode_unsealed();
        seal(&mut bytes, 1);
        assert_eq!(decode_at(&bytes, 1), DecodedItem::Nothing);
    }

    #[test]
    fn find_magic_finds_the_next_possible_start_even_when_cut_at_the_end() {
        let mut bytes = vec![0xD7, 0xD7, 0, b'm', b'y'];
        bytes.extend(sealed(1));
        assert_eq!(find_magic(&bytes, 0), Some(5));
        assert_eq!(find_magic(&bytes, 6), None);
        assert_eq!(find_magic(&[1, 2, 0xD7, b'm'], 0), Some(2), "may continue in the next read");
        assert_eq!(find_magic(&[], 3), None);
    }
}
