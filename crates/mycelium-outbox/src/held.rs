//! PURE. Records that were accepted and are not written yet, in the order they will have for ever.

use std::collections::VecDeque;

use super::record::{self, HEADER, Header, Position};

/// At most this many records wait here; the queue in front of the outbox holds the rest of 4,032.
pub(super) const RECORDS: usize = 3_008;
/// Room for that many feature windows.
pub(super) const BYTES: usize = 4 << 20;
/// Memory kept once a backlog has drained.
const KEEP: usize = 256 << 10;

/// Whole records one behind the other, and their lengths.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    lengths: VecDeque<u32>,
    /// Where the first record not yet written starts.
    start: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// No more may be accepted from outside; gap records still are.
    pub(super) fn is_full(&self) -> bool {
        self.lengths.len() >= RECORDS || self.bytes.len() - self.start >= BYTES
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.bytes.len() - self.start) as u64
    }

    pub(super) fn push(&mut self, header: &Header, payload: &[u8]) {
        self.bytes.extend_from_slice(&header.unsealed());
        self.bytes.extend_from_slice(payload);
        self.lengths.push_back(header.record_len() as u32);
    }

    /// Length of the first record.
    pub(super) fn first_len(&self) -> Option<usize> {
        self.lengths.front().map(|&len| len as usize)
    }

    pub(super) fn first_position(&self) -> Option<Position> {
        self.lengths.front().map(|_| position(&self.bytes[self.start..]))
    }

    /// Seals the longest run of whole records within both limits for `segment`, copies it behind what is in
    /// `out`, and tells how many there are, with sequence number and position of the last.
    pub(super) fn seal_run(
        &mut self,
        segment: u64,
        room: usize,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Option<Run> {
        let mut at = self.start;
        let mut records = 0;
        let mut last = None;
        for &len in self.lengths.iter().take(most) {
            let end = at + len as usize;
            if end - self.start > room {
                break;
            }
            record::seal(&mut self.bytes[at..end], segment);
            last = Some((position(&self.bytes[at..]), seq(&self.bytes[at..])));
            records += 1;
            at = end;
        }
        out.extend_from_slice(&self.bytes[self.start..at]);
        last.map(|(position, seq)| Run { records, bytes: at - self.start, position, seq })
    }

    /// The first `records` are written: they need no memory any more.
    pub(super) fn written(&mut self, records: usize) {
        for len in self.lengths.drain(..records) {
            self.start += len as usize;
        }
        if self.lengths.is_empty() {
            self.bytes.clear();
            self.start = 0;
            self.bytes.shrink_to(KEEP);
            self.lengths.shrink_to(RECORDS);
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

/// Records that go out in one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub records: usize,
    pub bytes: usize,
    /// Of the last record.
    pub position: Position,
    pub seq: u64,
}

fn number(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*record[at..HEADER].first_chunk().expect("inside the header"))
}

fn position(record: &[u8]) -> Position {
    Position(number(record, 16))
}

fn seq(record: &[u8]) -> u64 {
    number(record, 24)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Found, Kind, crc, look};
    use super::*;
    use crate::time::{BootId, Mono, Stamp, Wall};

    fn header(position: u64, payload: &[u8]) -> Header {
        Header {
            position: Position(position),
            seq: position + 100,
            boot: BootId(1),
            kind: Kind::Event,
            priority: 0,
            stamp: Stamp { mono: Mono(0), wall: Wall(0), synced: false },
            device_tag: 0,
            payload_len: payload.len() as u32,
            payload_crc: crc(payload),
        }
    }

    #[test]
    fn runs_are_whole_records_within_room_and_count_and_the_rest_stays_in_order() {
        let mut held = Held::default();
        for n in 1..=10 {
            held.push(&header(n, b"payload!"), b"payload!");
        }
        let one = HEADER + 8;
        let mut out = Vec::new();
        assert_eq!(held.seal_run(3, one - 1, 99, &mut out), None, "no room for one");
        let run = held.seal_run(3, 4 * one + 5, 99, &mut out).unwrap();
        assert_eq!((run.records, run.position, run.seq), (4, Position(4), 104), "room for four");
        assert_eq!(out.len(), 4 * one);
        assert_eq!(look(&out, 3), Found::Record(header(1, b"payload!")));
        held.written(4);
        assert_eq!(held.first_position(), Some(Position(5)));
        out.clear();
        let run = held.seal_run(4, 1 << 20, 2, &mut out).unwrap();
        assert_eq!((run.records, run.position), (2, Position(6)), "no more than asked for");
        held.written(6);
        assert!(held.is_empty());
        assert_eq!(held.bytes(), 0);
    }
}
