//! A reader's place in the ring of feature records. The ring is the only queue: a slow reader loses the oldest records
//! and learns how many.

use std::fmt;

use crate::clock::BootId;
use crate::snapshots::{FeatureRecord, Snapshots};
use crate::sync::lock;

/// Records copied out of the ring at once, so that its lock is held briefly.
const CHUNK: usize = 16;

pub type RecordChunk = heapless::Vec<FeatureRecord, CHUNK>;

/// The sequence number of the first record after `since` that still exists, and whether records before it are lost.
pub fn resume(snapshots: &Snapshots, since: u64) -> (u64, bool) {
    let ring = lock(&snapshots.features);
    // A future sequence number belongs to an earlier boot.
    if since > ring.newest() {
        return (ring.oldest(), true);
    }
    let first = since + 1;
    if first < ring.oldest() { (ring.oldest(), true) } else { (first, false) }
}

/// Replaces `chunk` with at most `limit` records from `first` on.
pub fn copy(snapshots: &Snapshots, first: u64, chunk: &mut RecordChunk, limit: usize) {
    chunk.clear();
    let ring = lock(&snapshots.features);
    let mut seq = first.max(ring.oldest());
    while chunk.len() < limit.min(CHUNK)
        && let Some(record) = ring.get(seq)
    {
        if chunk.push(*record).is_err() {
            break;
        }
        seq += 1;
    }
}

/// Id of a server-sent event: `<boot>-<seq>`, the boot as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    pub boot: BootId,
    pub seq: u64,
}

impl EventId {
    fn parse(text: &[u8]) -> Option<Self> {
        let (boot, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        let boot = (boot.len() == 16).then(|| u64::from_str_radix(boot, 16).ok())??;
        Some(Self { boot: BootId(boot), seq: seq.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.boot, self.seq)
    }
}

/// Records a reader will never see; `None` if their number is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub Option<u64>);

/// The place of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCursor {
    next: u64,
    missed: Option<Missed>,
}

impl StreamCursor {
    /// Starts with the newest record.
    pub fn live(snapshots: &Snapshots) -> Self {
        Self { next: lock(&snapshots.features).newest().max(1), missed: None }
    }

    /// Starts after a sequence number of this boot.
    pub fn after(snapshots: &Snapshots, since: u64) -> Self {
        let (next, gap) = resume(snapshots, since);
        let first = since.checked_add(1);
        let missed = gap.then(|| Missed(first.and_then(|first| next.checked_sub(first)).filter(|n| *n > 0)));
        Self { next, missed }
    }

    /// Starts after an [`EventId`], `None` if `id` is not one. After an event of another boot, all records are sent and
    /// the number of missed ones is unknown.
    pub fn after_event(snapshots: &Snapshots, id: &[u8]) -> Option<Self> {
        let event = EventId::parse(id)?;
        if event.boot == snapshots.identity.boot {
            return Some(Self::after(snapshots, event.seq));
        }
        Some(Self { next: lock(&snapshots.features).oldest(), missed: Some(Missed(None)) })
    }

    /// Replaces `chunk` with the next records; returns what was missed before them.
    pub fn advance(&mut self, snapshots: &Snapshots, chunk: &mut RecordChunk) -> Option<Missed> {
        copy(snapshots, self.next, chunk, CHUNK);
        let mut missed = self.missed.take();
        if let (Some(first), Some(last)) = (chunk.first(), chunk.last()) {
            if first.seq > self.next {
                missed = Some(Missed(Some(first.seq - self.next)));
            }
            self.next = last.seq + 1;
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, Stamp, Wall};
    use crate::snapshots::ProcessIdentity;
    use mycelium_core::features::FEATURE_COUNT;

    fn snapshots(records: u64) -> Snapshots {
        let stamp = Stamp { mono: Mono(0), wall: Wall(0), synced: true };
        let identity = ProcessIdentity { device: String::new(), boot: BootId(7), started: stamp, seed: 0 };
        let snapshots = Snapshots::new(identity, 4, Vec::new());
        for step in 0..records {
            snapshots.publish_features(step, stamp, [0.0; FEATURE_COUNT]);
        }
        snapshots
    }

    /// Mutant seen red: `since + 1` without a check (a made-up number of missed records).
    #[test]
    fn a_reader_goes_on_where_it_was_and_hears_what_it_missed() {
        let snapshots = snapshots(10);
        let event = |id: &str| StreamCursor::after_event(&snapshots, id.as_bytes());
        let all = [7, 8, 9, 10].as_slice();
        let rows = [
            (Some(StreamCursor::live(&snapshots)), None, [10].as_slice(), "live starts with the newest"),
            (Some(StreamCursor::after(&snapshots, 8)), None, [9, 10].as_slice(), "nothing missed"),
            (Some(StreamCursor::after(&snapshots, 10)), None, [].as_slice(), "up to date"),
            (Some(StreamCursor::after(&snapshots, 6)), None, all, "the oldest that is held"),
            (Some(StreamCursor::after(&snapshots, 3)), Some(Missed(Some(3))), all, "overtaken"),
            (Some(StreamCursor::after(&snapshots, 99)), Some(Missed(None)), all, "a future of another boot"),
            (
                Some(StreamCursor::after(&snapshots, u64::MAX)),
                Some(Missed(None)),
                all,
                "the last number of all",
            ),
            (event("0000000000000007-18446744073709551615"), Some(Missed(None)), all, "the same as an event"),
            (event("0000000000000007-8"), None, [9, 10].as_slice(), "an event of this boot"),
            (event("0000000000000008-8"), Some(Missed(None)), all, "an event of another boot"),
        ];
        for (cursor, missed, want, why) in rows {
            let mut records = heapless::Vec::new();
            let mut cursor = cursor.unwrap();
            assert_eq!(cursor.advance(&snapshots, &mut records), missed, "{why}");
            assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), want, "{why}");
            assert_eq!(cursor.advance(&snapshots, &mut records), None, "{why}: reported once");
        }
        for id in ["", "8", "-8", "7-8", "0000000000000007-", "0000000000000007-x", "000000000000000g-1"] {
            assert_eq!(event(id), None, "{id:?} is no event id");
        }
    }

    #[test]
    fn a_reader_that_is_overtaken_gets_the_number_of_records_it_lost() {
        let snapshots = snapshots(2);
        let mut cursor = StreamCursor::live(&snapshots);
        let mut records = heapless::Vec::new();
        assert_eq!(cursor.advance(&snapshots, &mut records), None);
        let stamp = snapshots.identity.started;
        for step in 0..7 {
            lock(&snapshots.features).push(step, stamp, [0.0; FEATURE_COUNT]);
        }
        assert_eq!(cursor.advance(&snapshots, &mut records), Some(Missed(Some(3))));
        assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [6, 7, 8, 9]);
    }
}
