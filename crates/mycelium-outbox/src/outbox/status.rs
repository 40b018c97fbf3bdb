//! What an outbox reports about itself.

use super::Outbox;
use crate::cursors::EndpointCursor;
use crate::format::record::Position;
use crate::log::SegmentInfo;
use crate::status::{EndpointStatus, OutboxStatus};
use crate::storage::Storage;

impl<S: Storage> Outbox<S> {
    /// Commits since the outbox was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// A snapshot, taken without reading the disk.
    pub fn status(&self) -> OutboxStatus {
        let endpoints: heapless::Vec<_, _> =
            self.cursors.all().iter().map(|endpoint| self.endpoint_status(endpoint)).collect();
        let pending = match endpoints.iter().map(|e| e.lag).max() {
            Some(most) => most,
            None => self.log.segments().front().map_or(0, |oldest| self.lag(oldest.first.previous())),
        };
        OutboxStatus {
            durable_seq: self.writer.durable_seq(),
            accepted: self.writer.accepted(),
            in_memory: self.pending.len() as u64,
            in_memory_bytes: self.pending.bytes(),
            segments: self.log.segments().len() as u64,
            bytes: self.log.bytes(),
            dropped: self.gaps.dropped(),
            skipped_bytes: self.gaps.skipped_bytes(),
            commits: self.writer.commits(),
            dead_letters: self.dead_letters.len() as u64,
            dead_letter_bytes: self.dead_letters.bytes(),
            dead_letters_dropped: self.dead_letters.dropped(),
            full: self.faults.is_full(),
            degraded: self.degraded().map(str::to_owned),
            oldest: None,
            pending,
            endpoints,
        }
    }

    /// Records after `acked` that can be fetched. Positions that were left unused after a torn end do not count.
    fn lag(&self, acked: Position) -> u64 {
        let readable = self.writer.readable();
        let unused: u64 = self
            .log
            .segments()
            .iter()
            .filter(|s| s.resumes_after >= acked && s.first <= readable)
            .map(|s| s.first.previous().0.saturating_sub(s.resumes_after.0))
            .sum();
        readable.0.saturating_sub(acked.0).saturating_sub(unused)
    }

    fn endpoint_status(&self, endpoint: &EndpointCursor<S::File>) -> EndpointStatus {
        let acked = endpoint.cursor().acked;
        let lag = self.lag(acked);
        EndpointStatus {
            name: endpoint.name().clone(),
            acked,
            frozen: endpoint.cursor().is_frozen(),
            lag,
            lag_bytes: if lag == 0 { 0 } else { self.bytes_after(acked) },
            replay: self.dead_letters.has_replay(endpoint.name()),
        }
    }

    /// About how many bytes of segments the records after `acked` take: of the first segment, in proportion to its
    /// records.
    fn bytes_after(&self, acked: Position) -> u64 {
        let segments = self.log.segments();
        let at = self.log.find(acked.next());
        let rest: u64 = segments.iter().skip(at + 1).map(SegmentInfo::limit).sum();
        let Some(first) = segments.get(at) else { return rest };
        let end = segments.get(at + 1).map_or(self.writer.readable(), |s| s.resumes_after);
        let records = end.next().0.saturating_sub(first.first.0).max(1);
        let left = end.0.saturating_sub(acked.0).min(records);
        rest + first.limit() * left / records
    }
}
