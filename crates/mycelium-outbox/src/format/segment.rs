//! PURE. The header of a segment file; the dead-letter file starts with the same header.

use super::name::SafeName;
use super::record::Position;
use super::{crc, u64_at};
use crate::time::{BootId, Mono, Stamp, Wall};

/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: usize = 136;

/// Format version of the whole directory; a reader refuses newer ones.
pub const VERSION: u16 = 1;

/// Segment number that the records of the dead-letter file are bound to; no log lives long enough to reach it.
pub const DEAD_LETTER_SEGMENT: u64 = u64::MAX;

const MAGIC: [u8; 8] = *b"MYCOUTBX";

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Also in the file name; increases by one with every segment of a directory.
    pub number: u64,
    /// Position of its first record.
    pub first: Position,
    /// Last position that was used before this segment: `first` less one, except after a torn end, whose positions are
    /// left unused.
    pub resumes_after: Position,
    /// The process start that made the segment.
    pub boot: BootId,
    /// Device that its records come from.
    pub device: SafeName,
    /// Both clocks when that process started.
    pub stamp: Stamp,
}

/// What the first bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderStatus {
    /// A header with correct CRCs.
    Valid(SegmentHeader),
    /// A header of this later format version.
    Newer(u16),
    /// Not a header of this program, or damaged.
    Damaged,
}

impl SegmentHeader {
    /// The header as bytes. Bytes 0..16 (magic, version, length and a CRC over those) keep their meaning in every later
    /// version.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        let prefix = crc(&out[..12]);
        out[12..16].copy_from_slice(&prefix.to_le_bytes());
        let numbers = [
            self.number,
            self.first.0,
            self.resumes_after.0,
            self.boot.0,
            self.stamp.mono.0,
            self.stamp.wall.0.cast_unsigned(),
        ];
        for (to, number) in out[16..64].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out[64] = u8::from(self.stamp.synced);
        let device = self.device.as_str().as_bytes();
        out[65] = device.len() as u8;
        out[68..68 + device.len()].copy_from_slice(device);
        let crc = crc(&out[..SEGMENT_HEADER_BYTES - 4]);
        out[SEGMENT_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes the first bytes of a file, however many there are.
    pub fn decode(bytes: &[u8]) -> HeaderStatus {
        let Some(prefix) = bytes.first_chunk::<16>() else { return HeaderStatus::Damaged };
        let version = u16::from_le_bytes([prefix[8], prefix[9]]);
        if prefix[..8] != MAGIC || prefix[12..] != crc(&prefix[..12]).to_le_bytes() {
            return HeaderStatus::Damaged;
        }
        if version > VERSION {
            return HeaderStatus::Newer(version);
        }
        Self::decode_v1(bytes).map_or(HeaderStatus::Damaged, HeaderStatus::Valid)
    }

    fn decode_v1(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        if bytes[SEGMENT_HEADER_BYTES - 4..] != crc(&bytes[..SEGMENT_HEADER_BYTES - 4]).to_le_bytes() {
            return None;
        }
        let number = |at: usize| u64_at(bytes, at);
        let device = std::str::from_utf8(bytes.get(68..68 + bytes[65] as usize)?).ok()?;
        Some(Self {
            number: number(16),
            first: Position(number(24)),
            resumes_after: Position(number(32)),
            boot: BootId(number(40)),
            stamp: Stamp {
                mono: Mono(number(48)),
                wall: Wall(number(56).cast_signed()),
                synced: bytes[64] & 1 == 1,
            },
            device: SafeName::new(device)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            number: 7,
            first: Position(100),
            resumes_after: Position(99),
            boot: BootId(3),
            device: SafeName::new("edge-1").unwrap(),
            stamp: Stamp { mono: Mono(1), wall: Wall(2), synced: true },
        }
    }

    #[test]
    fn a_header_decodes_equal_and_every_flipped_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), HeaderStatus::Valid(header()));
        for bit in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), HeaderStatus::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_distinguished_from_a_damaged_header() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), HeaderStatus::Damaged, "a flipped bit is not a version");
        let prefix = crc(&bytes[..12]);
        bytes[12..16].copy_from_slice(&prefix.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), HeaderStatus::Newer(2));
    }
}
