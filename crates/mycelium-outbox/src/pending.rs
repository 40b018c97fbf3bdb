//! PURE. Records that are accepted and not written yet, in the order of their positions.

use std::collections::VecDeque;

use crate::format::record::{
    COMMIT_MARKER_BYTES, Position, RECORD_HEADER_BYTES, RecordHeader, commit_marker, position_of, seal,
    seq_of,
};

/// Most records that wait here; the queue in front of the outbox thread holds the rest of the 4,032.
pub(crate) const MAX_PENDING_RECORDS: usize = 3_008;
/// Most bytes that wait here: enough for that many records of 1.3 KiB.
const MAX_PENDING_BYTES: usize = 4 << 20;
/// Memory kept after a backlog is written.
const RETAINED_BYTES: usize = 256 << 10;

/// Encoded records in one contiguous buffer, so that a commit is one write of a part of it.
///
/// Invariant: `bytes[start..]` is exactly the records of `lengths`, unsealed or sealed for a segment whose write failed.
#[derive(Debug, Default)]
pub(crate) struct PendingRecords {
    bytes: Vec<u8>,
    lengths: VecDeque<u32>,
    /// Offset of the first record that is not written yet.
    start: usize,
}

/// Records that were written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteRun {
    /// Number of records.
    pub records: usize,
    /// Position of the last record.
    pub last: Position,
    /// Sequence number of the last record.
    pub last_seq: u64,
}

impl PendingRecords {
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// No more records of the application may be accepted; gap records still are.
    pub fn is_full(&self) -> bool {
        self.lengths.len() >= MAX_PENDING_RECORDS || self.bytes.len() - self.start >= MAX_PENDING_BYTES
    }

    /// Whether so many more records, with payloads of so many bytes together, may be accepted.
    pub fn has_capacity(&self, records: usize, payload_bytes: usize) -> bool {
        let bytes = self.bytes() as usize + payload_bytes + records * RECORD_HEADER_BYTES;
        self.lengths.len() + records <= MAX_PENDING_RECORDS && bytes <= MAX_PENDING_BYTES
    }

    pub fn bytes(&self) -> u64 {
        (self.bytes.len() - self.start) as u64
    }

    pub fn push(&mut self, header: &RecordHeader, payload: &[u8]) {
        self.bytes.extend_from_slice(&header.encode_unsealed());
        self.bytes.extend_from_slice(payload);
        self.lengths.push_back(header.record_len() as u32);
    }

    /// Encoded length of the first record.
    pub fn first_len(&self) -> Option<usize> {
        self.lengths.front().map(|&len| len as usize)
    }

    pub fn first_position(&self) -> Option<Position> {
        self.lengths.front().map(|_| position_of(&self.bytes[self.start..]))
    }

    /// Seals as many records for `segment` as fit into `max_bytes` and `max_records`, and passes them to `write` with a
    /// commit marker after the last. They are removed once `write` succeeds.
    ///
    /// The marker is placed in the buffer over the start of the next record, which is restored after the write: this
    /// saves a copy of the whole run.
    ///
    /// # Panics
    /// If not even the first record fits.
    pub fn write_run<E>(
        &mut self,
        segment: u64,
        max_bytes: usize,
        max_records: usize,
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<WriteRun, E> {
        let mut run = None;
        let mut end = self.start;
        for (count, &len) in (1..=max_records).zip(&self.lengths) {
            let next = end + len as usize;
            if next - self.start > max_bytes {
                break;
            }
            let record = &mut self.bytes[end..next];
            seal(record, segment);
            run = Some(WriteRun { records: count, last: position_of(record), last_seq: seq_of(record) });
            end = next;
        }
        let run = run.expect("the first record fits");
        let (len, marker_end) = (self.bytes.len(), end + COMMIT_MARKER_BYTES);
        self.bytes.resize(len.max(marker_end), 0);
        let marker = &mut self.bytes[end..marker_end];
        let saved: [u8; COMMIT_MARKER_BYTES] = (&*marker).try_into().expect("as long as a marker");
        marker.copy_from_slice(&commit_marker(segment, run.last.next()));
        let written = write(&self.bytes[self.start..marker_end]);
        self.bytes[end..marker_end].copy_from_slice(&saved);
        self.bytes.truncate(len);
        written?;
        self.remove(run.records, end);
        Ok(run)
    }

    /// Removes the first `records`, which end at offset `end`.
    fn remove(&mut self, records: usize, end: usize) {
        self.lengths.drain(..records);
        self.start = end;
        if self.lengths.is_empty() {
            self.bytes.clear();
            self.start = 0;
            self.bytes.shrink_to(RETAINED_BYTES);
            self.lengths.shrink_to(MAX_PENDING_RECORDS);
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::{DecodedItem, RECORD_HEADER_BYTES, RecordKind, RecordMeta, decode_at};
    use crate::time::{BootId, Mono, Stamp, Wall};

    const PAYLOAD: &[u8] = b"payload!";
    const RECORD_BYTES: usize = RECORD_HEADER_BYTES + 8;

    fn header(position: u64) -> RecordHeader {
        let meta = RecordMeta {
            position: Position(position),
            seq: position + 100,
            boot: BootId(1),
            kind: RecordKind(4),
            priority: 0,
            stamp: Stamp { mono: Mono(0), wall: Wall(0), synced: false },
        };
        RecordHeader::new(meta, 0, PAYLOAD)
    }

    fn pending(records: u64) -> PendingRecords {
        let mut pending = PendingRecords::default();
        (1..=records).for_each(|n| pending.push(&header(n), PAYLOAD));
        pending
    }

    /// The positions written by one run and the bytes of it.
    fn run(pending: &mut PendingRecords, segment: u64, bytes: usize, records: usize) -> (WriteRun, Vec<u8>) {
        let mut written = Vec::new();
        let write = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok::<_, ()>(())
        };
        (pending.write_run(segment, bytes, records, write).unwrap(), written)
    }

    #[test]
    fn runs_are_whole_records_within_both_limits_and_the_rest_stays_in_order() {
        let mut pending = pending(10);
        let (written, bytes) = run(&mut pending, 3, 4 * RECORD_BYTES + 5, 99);
        assert_eq!(written, WriteRun { records: 4, last: Position(4), last_seq: 104 }, "space for four");
        assert_eq!(bytes.len(), 4 * RECORD_BYTES + COMMIT_MARKER_BYTES);
        assert_eq!(decode_at(&bytes, 3), DecodedItem::Record(header(1)));
        assert_eq!(decode_at(&bytes[4 * RECORD_BYTES..], 3), DecodedItem::Marker(Position(5)));
        assert_eq!(pending.first_position(), Some(Position(5)));
        let (written, bytes) = run(&mut pending, 4, 1 << 20, 2);
        assert_eq!((written.records, written.last), (2, Position(6)), "no more than allowed");
        assert_eq!(decode_at(&bytes, 4), DecodedItem::Record(header(5)), "restored after the marker");
        let (written, _) = run(&mut pending, 4, 1 << 20, 99);
        assert_eq!(written.records, 4);
        assert!(pending.is_empty());
        assert_eq!(pending.bytes(), 0);
    }

    #[test]
    fn a_failed_write_removes_nothing_and_the_same_records_go_into_the_next_segment() {
        let mut pending = pending(3);
        for (limit, marker) in [(2, "over the next record"), (3, "at the end")] {
            assert_eq!(pending.write_run(1, 1 << 20, limit, |_| Err(())), Err(()), "{marker}");
            assert_eq!((pending.len(), pending.bytes()), (3, 3 * RECORD_BYTES as u64), "{marker}");
        }
        let (written, bytes) = run(&mut pending, 2, 1 << 20, 99);
        assert_eq!(written.records, 3);
        for n in 0..3 {
            let record = decode_at(&bytes[n * RECORD_BYTES..], 2);
            assert_eq!(record, DecodedItem::Record(header(n as u64 + 1)));
        }
    }
}
