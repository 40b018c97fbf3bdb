//! Where a reader of feature records stands. The ring is everybody's queue: a reader that falls behind it loses the
//! oldest records, and is told how many.

use crate::clock::BootId;
use crate::snapshots::{Board, FeatureRecord};
use crate::sync::lock;

/// Records copied out of the ring at once, so that its lock stays short.
pub const CHUNK: usize = 16;

/// Where a reader goes on: the sequence of the first record it gets, and whether some are lost to it.
pub fn resume(board: &Board, since: u64) -> (u64, bool) {
    let ring = lock(&board.features);
    // A sequence of the future belongs to an earlier boot.
    if since > ring.newest() {
        return (ring.oldest(), true);
    }
    let first = since + 1;
    if first < ring.oldest() { (ring.oldest(), true) } else { (first, false) }
}

/// Copies at most `limit` records from `first` on into `into`.
pub fn copy(board: &Board, first: u64, into: &mut heapless::Vec<FeatureRecord, CHUNK>, limit: usize) {
    into.clear();
    let ring = lock(&board.features);
    let mut seq = first.max(ring.oldest());
    while into.len() < limit.min(CHUNK)
        && let Some(record) = ring.get(seq)
    {
        if into.push(*record).is_err() {
            break;
        }
        seq += 1;
    }
}

/// Records that a reader will never see; `None` when nobody knows how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub Option<u64>);

/// The place of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    next: u64,
    missed: Option<Missed>,
}

impl Cursor {
    /// From the newest record on.
    pub fn live(board: &Board) -> Self {
        Self { next: lock(&board.features).newest().max(1), missed: None }
    }

    /// From behind a sequence of this boot.
    pub fn after(board: &Board, since: u64) -> Self {
        let (next, gap) = resume(board, since);
        let missed = gap.then(|| Missed(next.checked_sub(since + 1).filter(|n| *n > 0)));
        Self { next, missed }
    }

    /// From behind an event id, `<boot>-<seq>`; one of another boot has missed what nobody can count.
    pub fn after_event(board: &Board, id: &[u8]) -> Option<Self> {
        let (boot, seq) = std::str::from_utf8(id).ok()?.split_once('-')?;
        let boot = (boot.len() == 16).then(|| u64::from_str_radix(boot, 16).ok())??;
        let seq = seq.parse().ok()?;
        if BootId(boot) == board.identity.boot {
            return Some(Self::after(board, seq));
        }
        Some(Self { next: lock(&board.features).oldest(), missed: Some(Missed(None)) })
    }

    /// The next records, and before them what was missed.
    pub fn advance(
        &mut self,
        board: &Board,
        into: &mut heapless::Vec<FeatureRecord, CHUNK>,
    ) -> Option<Missed> {
        copy(board, self.next, into, CHUNK);
        let mut missed = self.missed.take();
        if let (Some(first), Some(last)) = (into.first(), into.last()) {
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
    use crate::snapshots::{FeatureRing, Identity, OutboxView, Progress};
    use mycelium_core::features::FEATURE_COUNT;
    use std::sync::Mutex;

    fn board(records: u64) -> Board {
        let stamp = Stamp { mono: Mono(0), wall: Wall(0), synced: true };
        let mut ring = FeatureRing::new(4);
        for step in 0..records {
            ring.push(step, stamp, [0.0; FEATURE_COUNT]);
        }
        Board {
            identity: Identity { device: String::new(), boot: BootId(7), started: stamp, seed: 0 },
            progress: Mutex::new(Progress::default()),
            features: Mutex::new(ring),
            features_changed: event_listener::Event::new(),
            outbox: Mutex::new(OutboxView::default()),
            endpoints: Mutex::new(Vec::new()),
            inputs: Mutex::default(),
            watched: Vec::new(),
            clock_synced: true.into(),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_hears_what_it_missed() {
        let board = board(10);
        let event = |id: &str| Cursor::after_event(&board, id.as_bytes());
        let all = [7, 8, 9, 10].as_slice();
        let rows = [
            (Some(Cursor::live(&board)), None, [10].as_slice(), "live starts with the newest"),
            (Some(Cursor::after(&board, 8)), None, [9, 10].as_slice(), "nothing missed"),
            (Some(Cursor::after(&board, 10)), None, [].as_slice(), "up to date"),
            (Some(Cursor::after(&board, 6)), None, all, "the oldest that is held"),
            (Some(Cursor::after(&board, 3)), Some(Missed(Some(3))), all, "overtaken"),
            (Some(Cursor::after(&board, 99)), Some(Missed(None)), all, "a future of another boot"),
            (event("0000000000000007-8"), None, [9, 10].as_slice(), "an event of this boot"),
            (event("0000000000000008-8"), Some(Missed(None)), all, "an event of another boot"),
        ];
        for (cursor, missed, want, why) in rows {
            let mut records = heapless::Vec::new();
            let mut cursor = cursor.unwrap();
            assert_eq!(cursor.advance(&board, &mut records), missed, "{why}");
            assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), want, "{why}");
            assert_eq!(cursor.advance(&board, &mut records), None, "{why}: told once");
        }
        for id in ["", "8", "-8", "7-8", "0000000000000007-", "0000000000000007-x", "000000000000000g-1"] {
            assert_eq!(event(id), None, "{id:?} is no event id");
        }
    }

    #[test]
    fn a_reader_that_is_overtaken_loses_the_oldest_and_is_told() {
        let board = board(2);
        let mut cursor = Cursor::live(&board);
        let mut records = heapless::Vec::new();
        assert_eq!(cursor.advance(&board, &mut records), None);
        let stamp = board.identity.started;
        for step in 0..7 {
            lock(&board.features).push(step, stamp, [0.0; FEATURE_COUNT]);
        }
        assert_eq!(cursor.advance(&board, &mut records), Some(Missed(Some(3))));
        assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [6, 7, 8, 9]);
    }
}
