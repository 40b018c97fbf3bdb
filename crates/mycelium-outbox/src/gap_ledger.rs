//! PURE. What was lost: counted by reason, and remembered until a gap record reports it.

use crate::format::gap::GapReason;
use crate::format::record::Position;

/// Ranges that are remembered as reported; beyond, a range may be reported twice.
const MAX_REPORTED_RANGES: usize = 64;

/// Counters of lost records.
///
/// Invariant: every record in `unreported` is also in `dropped`; it leaves `unreported` only into a gap record.
#[derive(Debug, Default)]
pub(crate) struct GapLedger {
    /// Refused records without a position since the last gap record of their reason.
    unreported: [u64; GapReason::ALL.len()],
    /// All lost records of this process, by [`GapReason::index`].
    dropped: [u64; GapReason::ALL.len()],
    /// Bytes that hold no valid record.
    skipped_bytes: u64,
    /// Unreadable ranges that already have a gap record.
    reported: heapless::Deque<(Position, Position), MAX_REPORTED_RANGES>,
}

impl GapLedger {
    /// Counts records that were refused; the next gap record reports them.
    pub fn refuse(&mut self, reason: GapReason, records: u64) {
        self.unreported[reason.index()] += records;
        self.dropped[reason.index()] += records;
    }

    /// Counts lost records that the caller reports with a separate gap record.
    pub fn count(&mut self, reason: GapReason, records: u64) {
        self.dropped[reason.index()] += records;
    }

    /// Counts bytes that hold no valid record.
    pub fn skip(&mut self, bytes: u64) {
        self.skipped_bytes += bytes;
    }

    pub fn has_unreported(&self) -> bool {
        self.unreported.iter().any(|&n| n > 0)
    }

    /// The refused records of each reason, which the caller must report.
    pub fn take_unreported(&mut self) -> impl Iterator<Item = (GapReason, u64)> + use<> {
        GapReason::ALL
            .into_iter()
            .zip(std::mem::take(&mut self.unreported))
            .filter(|&(_, records)| records > 0)
    }

    /// Whether this unreadable range must be reported; false when a gap record for it exists.
    pub fn is_new(&mut self, from: Position, through: Position) -> bool {
        if self.reported.iter().any(|&(a, b)| a <= from && through <= b) {
            return false;
        }
        if self.reported.is_full() {
            self.reported.pop_front();
        }
        self.reported.push_back((from, through)).expect("an element was removed");
        true
    }

    pub fn dropped(&self) -> [u64; GapReason::ALL.len()] {
        self.dropped
    }

    pub fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }
}
