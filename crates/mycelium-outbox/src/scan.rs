//! Reading the items of a segment file in order, past whatever is damaged.

use std::io;

use crate::bad_blocks::{BLOCK_BYTES, BadBlock, BadBlocks};
use crate::format::crc;
use crate::format::record::{
    COMMIT_MARKER_BYTES, DecodedItem, MAX_STORED_PAYLOAD_BYTES, Position, RECORD_HEADER_BYTES, RecordHeader,
    decode_at, find_magic,
};
use crate::format::segment::{HeaderStatus, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::storage::{EIO, Storage};

/// Further attempts of one read, for all its blocks together, before one counts as failed: a disk that fails now and
/// then returns the block the next time.
const REPEATS: u32 = 4;

/// Two of the largest records.
const BUFFER_BYTES: usize = 2 * (RECORD_HEADER_BYTES + MAX_STORED_PAYLOAD_BYTES);

/// The next item of a segment.
#[derive(Debug)]
pub(crate) enum ScanItem<'a> {
    /// A valid record; the `skipped` bytes before it belong to no valid item.
    Record { header: RecordHeader, payload: &'a [u8], skipped: u64 },
    /// A commit ended here when this was written; `next` is the position of the record after it.
    Marker { next: Position },
    /// Nothing more up to the limit; `rest` bytes follow the last valid item.
    End { rest: u64 },
}

/// Reads a segment item by item; what is not valid is searched byte by byte for the next valid item. It has one buffer
/// of fixed size, however large the segment is.
#[derive(Debug, Default)]
pub(crate) struct SegmentScanner {
    buffer: Vec<u8>,
    /// File offset of `buffer[0]`.
    base: u64,
    /// Bytes of the buffer that are filled.
    filled: usize,
    /// File offset of the next byte to decode.
    at: u64,
    /// File offset of the end of the last valid item.
    valid_end: u64,
    number: u64,
    limit: u64,
}

impl SegmentScanner {
    /// Starts at `offset` of segment `number`; reads nothing at or after `limit`.
    pub fn start(&mut self, number: u64, offset: u64, limit: u64) {
        self.buffer.resize(BUFFER_BYTES, 0);
        (self.base, self.filled, self.at, self.valid_end) = (offset, 0, offset, offset);
        (self.number, self.limit) = (number, limit);
    }

    /// File offset of the end of the last valid item.
    pub fn offset(&self) -> u64 {
        self.valid_end
    }

    /// Nothing at or after this file offset is read.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The next item; after [`ScanItem::End`] the scanner must be started again.
    pub fn next<S: Storage>(
        &mut self,
        storage: &S,
        file: &S::File,
        bad: &mut dyn BadBlocks,
    ) -> io::Result<ScanItem<'_>> {
        loop {
            let available = self.fill(storage, file, RECORD_HEADER_BYTES, bad)?;
            if available < COMMIT_MARKER_BYTES {
                let rest = self.limit.max(self.valid_end) - self.valid_end;
                self.at = self.limit;
                return Ok(ScanItem::End { rest });
            }
            let from = (self.at - self.base) as usize;
            match decode_at(&self.buffer[from..self.filled], self.number) {
                DecodedItem::Marker(next) => {
                    self.advance(COMMIT_MARKER_BYTES);
                    return Ok(ScanItem::Marker { next });
                }
                DecodedItem::Record(header) if self.payload_is_valid(storage, file, &header, bad)? => {
                    let from = (self.at - self.base) as usize;
                    let skipped = self.advance(header.record_len());
                    let payload = &self.buffer[from + RECORD_HEADER_BYTES..from + header.record_len()];
                    return Ok(ScanItem::Record { header, payload, skipped });
                }
                DecodedItem::Record(_) | DecodedItem::Nothing => self.search(),
            }
        }
    }

    /// Moves past a valid item of `len` bytes; returns the bytes that were skipped before it.
    fn advance(&mut self, len: usize) -> u64 {
        let skipped = self.at - self.valid_end;
        self.at += len as u64;
        self.valid_end = self.at;
        skipped
    }

    fn payload_is_valid<S: Storage>(
        &mut self,
        storage: &S,
        file: &S::File,
        header: &RecordHeader,
        bad: &mut dyn BadBlocks,
    ) -> io::Result<bool> {
        let len = header.record_len();
        if self.fill(storage, file, len, bad)? < len {
            return Ok(false);
        }
        let from = (self.at - self.base) as usize;
        Ok(crc(&self.buffer[from + RECORD_HEADER_BYTES..from + len]) == header.payload_crc)
    }

    /// Moves to the next byte in the buffer that may start an item.
    fn search(&mut self) {
        let from = (self.at - self.base) as usize;
        let to = find_magic(&self.buffer[..self.filled], from + 1).unwrap_or(self.filled);
        self.at = self.base + to as u64;
    }

    /// Reads until `want` bytes from `at` on are in the buffer; returns how many there are.
    fn fill<S: Storage>(
        &mut self,
        storage: &S,
        file: &S::File,
        want: usize,
        bad: &mut dyn BadBlocks,
    ) -> io::Result<usize> {
        let from = (self.at - self.base) as usize;
        let available = self.filled - from;
        if available >= want || self.base + self.filled as u64 >= self.limit {
            return Ok(available);
        }
        self.buffer.copy_within(from..self.filled, 0);
        (self.base, self.filled) = (self.at, available);
        let end = ((self.limit - self.base) as usize).min(self.buffer.len());
        let offset = self.base + available as u64;
        let into = &mut self.buffer[available..end];
        let got = read_blocks(storage, file, (self.number, offset), into, bad)?;
        self.filled += got;
        if got < end - available {
            // The file is shorter than the limit.
            self.limit = self.base + self.filled as u64;
        }
        Ok(self.filled)
    }
}

/// The header of the open file of a segment or of the dead letters.
pub(crate) fn read_segment_header<S: Storage>(
    storage: &S,
    file: &S::File,
    number: u64,
    bad: &mut dyn BadBlocks,
) -> io::Result<HeaderStatus> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let got = read_blocks(storage, file, (number, 0), &mut bytes, bad)?;
    Ok(SegmentHeader::decode(&bytes[..got]))
}

/// Reads from an offset of a segment until `into` is full or the file ends. A block that the disk does not return is
/// read again, or reads as zeros, or fails the read, as `bad` decides.
pub(crate) fn read_blocks<S: Storage>(
    storage: &S,
    file: &S::File,
    (segment, offset): (u64, u64),
    into: &mut [u8],
    bad: &mut dyn BadBlocks,
) -> io::Result<usize> {
    let eio = || io::Error::from_raw_os_error(EIO);
    if bad.must_wait(segment, offset..offset + into.len() as u64) {
        return Err(eio());
    }
    match storage.read_at(file, offset, into) {
        Err(e) if e.raw_os_error() == Some(EIO) => {}
        Err(e) => return Err(e),
        Ok(got) => {
            bad.succeeded(segment, offset..offset + got as u64);
            return Ok(got);
        }
    }
    let (mut got, mut repeats, mut fails) = (0, REPEATS, false);
    while got < into.len() {
        let at = offset + got as u64;
        let end = into.len().min(got + (BLOCK_BYTES - at % BLOCK_BYTES) as usize);
        match storage.read_at(file, at, &mut into[got..end]) {
            Ok(n) => {
                bad.succeeded(segment, at..at + n as u64);
                if n < end - got {
                    got += n;
                    break;
                }
            }
            Err(e) if e.raw_os_error() != Some(EIO) => return Err(e),
            Err(_) if repeats > 0 => {
                repeats -= 1;
                continue;
            }
            Err(_) => match bad.failed(segment, at) {
                BadBlock::Retry(wait) => {
                    storage.pause(wait);
                    continue;
                }
                BadBlock::Later => fails = true,
                BadBlock::Damaged => into[got..end].fill(0),
            },
        }
        got = end;
    }
    if fails { Err(eio()) } else { Ok(got) }
}
