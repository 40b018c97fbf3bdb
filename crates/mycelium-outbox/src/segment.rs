//! Segment files: their names, their header, and walking over what is in them.

use std::io;

use super::endpoint::Name;
use super::record::{self, Found, Header, Position};
use super::storage::Storage;
use crate::time::{BootId, Mono, Stamp, Wall};

/// Bytes before the first record.
pub const HEAD: usize = 136;

/// Version of the whole directory; a reader refuses newer ones.
pub const VERSION: u16 = 1;

/// Segment number the dead-letter file is bound to; no log lives long enough to reach it.
pub const DEAD: u64 = u64::MAX;

const MAGIC: [u8; 8] = *b"MYCOUTBX";

/// What the kernel says of a block it cannot read.
pub(super) const EIO: i32 = 5;

/// A piece of a file that cannot be read costs this much: one block.
const BLOCK: u64 = 4096;

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Also the file's name; grows by one with every segment of a directory.
    pub number: u64,
    /// Position of the first record in it.
    pub first: Position,
    /// Last position before it that was given out for good; `first` less one, except behind a torn end,
    /// whose positions are left unused.
    pub resumes_after: Position,
    pub boot: BootId,
    pub device: Name,
    pub stamp: Stamp,
}

/// What the first bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadFound {
    Good(Head),
    /// Made by a later program.
    Newer(u16),
    /// Not a header of this program, or no longer.
    Bad,
}

impl Head {
    /// Bytes 0..16 (magic, version, length and a CRC over those) keep their meaning in every later version.
    pub fn encode(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&(HEAD as u16).to_le_bytes());
        let prefix = record::crc(&out[..12]);
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
        let crc = record::crc(&out[..HEAD - 4]);
        out[HEAD - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> HeadFound {
        let Some(prefix) = bytes.first_chunk::<16>() else { return HeadFound::Bad };
        let version = u16::from_le_bytes([prefix[8], prefix[9]]);
        if prefix[..8] != MAGIC || prefix[12..] != record::crc(&prefix[..12]).to_le_bytes() {
            return HeadFound::Bad;
        }
        if version > VERSION {
            return HeadFound::Newer(version);
        }
        Self::decode_v1(bytes).map_or(HeadFound::Bad, HeadFound::Good)
    }

    fn decode_v1(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEAD>()?;
        if bytes[HEAD - 4..] != record::crc(&bytes[..HEAD - 4]).to_le_bytes() {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("inside the header"));
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
            device: Name::new(device)?,
        })
    }
}

/// The header of an open file.
pub fn read_head<S: Storage>(storage: &S, file: &S::File) -> io::Result<HeadFound> {
    let mut bytes = [0; HEAD];
    let got = read_pieces(storage, file, 0, &mut bytes)?;
    Ok(Head::decode(&bytes[..got]))
}

/// `0000000000000007.seg`
pub fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// `0000000000000007.free`: a file whose blocks wait for their next life.
pub fn spare_name(number: u64) -> String {
    format!("{number:016x}.free")
}

/// What a file of the directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    Segment(u64),
    Spare(u64),
    Cursor(&'a str),
    Dead,
    /// Left over from a replacement that was cut short.
    Temporary,
    Foreign,
}

impl<'a> Named<'a> {
    pub fn of(name: &'a str) -> Self {
        match name.rsplit_once('.') {
            Some((stem, "seg")) => hex(stem).map_or(Self::Foreign, Self::Segment),
            Some((stem, "free")) => hex(stem).map_or(Self::Foreign, Self::Spare),
            Some((stem, "cursor")) if Name::new(stem).is_some() => Self::Cursor(stem),
            Some(("dead", "log")) => Self::Dead,
            Some(("dead" | "probe", "tmp")) => Self::Temporary,
            _ => Self::Foreign,
        }
    }
}

fn hex(stem: &str) -> Option<u64> {
    let lower = stem.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if stem.len() == 16 && lower { u64::from_str_radix(stem, 16).ok() } else { None }
}

/// One step over a segment.
#[derive(Debug)]
pub enum Step<'a> {
    /// A whole record; `skipped` bytes before it were not.
    Record { header: Header, payload: &'a [u8], skipped: u64 },
    /// What was committed ended here when this was written.
    Mark { next: Position, skipped: u64 },
    /// Nothing more up to the limit; `rest` bytes behind the last record or mark.
    End { rest: u64 },
}

/// Walks over a segment from record to record; what does not check out is skipped byte by byte until
/// something does. Owns one buffer, however large the segment.
#[derive(Debug, Default)]
pub struct Walk {
    buffer: Vec<u8>,
    /// Offset of `buffer[0]` in the file and how much of the buffer is filled.
    base: u64,
    filled: usize,
    /// Next byte to look at, and the end of the last thing that checked out; offsets in the file.
    at: u64,
    good: u64,
    number: u64,
    limit: u64,
}

/// Two of the largest records.
const BUFFER: usize = 2 * (record::HEADER + record::LONGEST);

impl Walk {
    /// Starts at `offset` of segment `number`; reads nothing at or behind `limit`.
    pub fn start(&mut self, number: u64, offset: u64, limit: u64) {
        self.buffer.resize(BUFFER, 0);
        (self.base, self.filled, self.at, self.good) = (offset, 0, offset, offset);
        (self.number, self.limit) = (number, limit);
    }

    /// End of the last record or mark that checked out.
    pub fn offset(&self) -> u64 {
        self.good
    }

    /// Nothing at or behind it is read.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn next<S: Storage>(&mut self, storage: &S, file: &S::File) -> io::Result<Step<'_>> {
        loop {
            let here = self.ensure(storage, file, record::HEADER)?;
            if here < record::MARK {
                let rest = self.limit.max(self.good) - self.good;
                self.at = self.limit;
                return Ok(Step::End { rest });
            }
            let from = (self.at - self.base) as usize;
            match record::look(&self.buffer[from..self.filled], self.number) {
                Found::Mark(next) => {
                    let skipped = self.at - self.good;
                    self.at += record::MARK as u64;
                    self.good = self.at;
                    return Ok(Step::Mark { next, skipped });
                }
                Found::Record(header) if self.payload_is_whole(storage, file, &header)? => {
                    let skipped = self.at - self.good;
                    let from = (self.at - self.base) as usize;
                    self.at += header.record_len() as u64;
                    self.good = self.at;
                    let payload = &self.buffer[from + record::HEADER..from + header.record_len()];
                    return Ok(Step::Record { header, payload, skipped });
                }
                Found::Record(_) | Found::Nothing => self.search(),
            }
        }
    }

    fn payload_is_whole<S: Storage>(
        &mut self,
        storage: &S,
        file: &S::File,
        header: &Header,
    ) -> io::Result<bool> {
        let len = header.record_len();
        if self.ensure(storage, file, len)? < len {
            return Ok(false);
        }
        let from = (self.at - self.base) as usize;
        Ok(record::crc(&self.buffer[from + record::HEADER..from + len]) == header.payload_crc)
    }

    /// Moves on to the next byte that may start something, within what is in the buffer.
    fn search(&mut self) {
        let from = (self.at - self.base) as usize;
        let to = record::search(&self.buffer[..self.filled], from + 1).unwrap_or(self.filled);
        self.at = self.base + to as u64;
    }

    /// Reads on until `want` bytes from `at` are in the buffer; returns how many there are.
    fn ensure<S: Storage>(&mut self, storage: &S, file: &S::File, want: usize) -> io::Result<usize> {
        let from = (self.at - self.base) as usize;
        let here = self.filled - from;
        if here >= want || self.base + self.filled as u64 >= self.limit {
            return Ok(here);
        }
        self.buffer.copy_within(from..self.filled, 0);
        (self.base, self.filled) = (self.at, here);
        let end = ((self.limit - self.base) as usize).min(self.buffer.len());
        let got = read_pieces(storage, file, self.base + here as u64, &mut self.buffer[here..end])?;
        self.filled += got;
        if got < end - here {
            // The file is shorter than it was said to be.
            self.limit = self.base + self.filled as u64;
        }
        Ok(self.filled)
    }
}

/// Reads what can be read: a block the disk cannot give back reads as zeros, so it costs what is in it and
/// nothing else.
fn read_pieces<S: Storage>(storage: &S, file: &S::File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    match storage.read_at(file, offset, into) {
        Err(e) if e.raw_os_error() == Some(EIO) => {}
        other => return other,
    }
    let mut got = 0;
    while got < into.len() {
        let to_boundary = BLOCK - (offset + got as u64) % BLOCK;
        let end = into.len().min(got + to_boundary as usize);
        match storage.read_at(file, offset + got as u64, &mut into[got..end]) {
            Ok(n) if n < end - got => return Ok(got + n),
            Ok(_) => {}
            Err(e) if e.raw_os_error() == Some(EIO) => into[got..end].fill(0),
            Err(e) => return Err(e),
        }
        got = end;
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            number: 7,
            first: Position(100),
            resumes_after: Position(99),
            boot: BootId(3),
            device: Name::new("edge-1").unwrap(),
            stamp: Stamp { mono: Mono(1), wall: Wall(2), synced: true },
        }
    }

    #[test]
    fn a_header_reads_back_equal_and_every_flipped_bit_is_noticed() {
        let bytes = head().encode();
        assert_eq!(Head::decode(&bytes), HeadFound::Good(head()));
        for bit in 0..HEAD * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bad), HeadFound::Bad, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_header() {
        let mut bytes = head().encode();
        bytes[8] = 2;
        assert_eq!(Head::decode(&bytes), HeadFound::Bad, "a flipped bit is not a version");
        let prefix = record::crc(&bytes[..12]);
        bytes[12..16].copy_from_slice(&prefix.to_le_bytes());
        assert_eq!(Head::decode(&bytes), HeadFound::Newer(2));
    }

    #[test]
    fn names_tell_what_a_file_is() {
        let rows = [
            ("0000000000000007.seg", Named::Segment(7), "a segment"),
            ("000000000000000A.seg", Named::Foreign, "upper case is not ours"),
            ("7.seg", Named::Foreign, "names have equal length"),
            ("00000000000000ff.free", Named::Spare(255), "a spare"),
            ("hub.cursor", Named::Cursor("hub"), "a cursor"),
            ("dead.log", Named::Dead, "dead letters"),
            ("dead.tmp", Named::Temporary, "cut short"),
            ("notes.txt", Named::Foreign, "somebody's"),
        ];
        for (name, want, why) in rows {
            assert_eq!(Named::of(name), want, "{why}");
        }
    }
}
