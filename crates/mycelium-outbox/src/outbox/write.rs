//! Writing: commits, new segments, and dropping old ones for space.

use std::io;

use super::Outbox;
use crate::error::OutboxError;
use crate::faults::is_no_space;
use crate::format::gap::GapReason;
use crate::format::record::RecordKind;
use crate::log::{COMMIT_BYTES, COMMIT_RECORDS};
use crate::policy::{Durability, OverflowPolicy};
use crate::storage::Storage;
use crate::time::{Mono, Stamp};

/// Where the next segment can be made.
#[derive(Clone, Copy, PartialEq)]
enum NextSegment {
    /// In the file of an earlier segment.
    Spare,
    /// In a new file.
    New,
    /// Nowhere: `max_bytes` is reached and nothing may be dropped.
    Full,
}

impl<S: Storage> Outbox<S> {
    /// When [`Outbox::tick`] must be called next; `None` while there is nothing to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        let waiting = !self.pending.is_empty() || self.gaps.has_unreported();
        let commit = match self.faults.write_retry() {
            Some(retry) => Some(retry),
            None if self.faults.is_full() => None,
            None => self.writer.commit_at().filter(|_| waiting),
        };
        let cursors = self.faults.cursor_retry().or_else(|| self.cursors_due());
        [commit, cursors].into_iter().flatten().min()
    }

    /// Does whatever is due at `now`.
    pub fn tick(&mut self, now: Mono) {
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if due(self.faults.write_retry().or(self.writer.commit_at())) {
            self.commit(now);
        }
        if due(self.faults.cursor_retry().or_else(|| self.cursors_due())) {
            self.write_cursors(now);
        }
    }

    /// Writes and syncs all pending records, as far as the disk allows.
    pub fn commit(&mut self, now: Mono) {
        if self.faults.write_retry().is_some_and(|retry| now < retry) {
            return;
        }
        self.writer.set_commit_at(None);
        self.push_clock_sync(now);
        // After a full disk the directory is there; after another error it may be gone.
        if self.faults.may_lack_directory()
            && let Err(e) = self.log.storage_mut().prepare().map_err(OutboxError::io("make a file in", ""))
        {
            self.write_failed(&e, false, now);
            return;
        }
        loop {
            match self.write_pending(now) {
                Ok(true) => {}
                Ok(false) => {
                    self.faults.set_full(true);
                    return;
                }
                Err(e) => {
                    self.write_failed(&e, is_no_space(&e), now);
                    return;
                }
            }
            self.faults.write_succeeded();
            self.clock.committed();
            if !self.gaps.has_unreported() {
                break;
            }
            self.report_refused(now);
        }
        self.writer.set_commit_at(None);
    }

    /// Commits now, and syncs even with [`Durability::None`]. Returns false while the disk refuses writes.
    pub fn flush(&mut self, now: Mono) -> bool {
        self.faults.retry_write_at(now);
        self.commit(now);
        if self.policy.durability == Durability::None {
            match self.log.sync() {
                Ok(()) if self.pending.is_empty() => self.writer.synced(),
                Ok(()) => {}
                Err(e) => self.write_failed(&e, false, now),
            }
        }
        self.write_cursors(now);
        self.pending.is_empty() && self.degraded().is_none()
    }

    /// The wall clock of this boot became known: `stamp` is both clocks at that moment. The record that says so is
    /// written at once: until it is durable, no batch with unsynced times can be frozen.
    pub fn clock_synced(&mut self, stamp: Stamp, now: Mono) {
        if self.clock.request(stamp) {
            self.commit(now);
        }
    }

    fn push_clock_sync(&mut self, now: Mono) {
        if let Some((stamp, sync)) = self.clock.take_request(self.writer.identity().boot) {
            self.push(RecordKind::CLOCK_SYNC, stamp, &sync.encode(), now);
        }
    }

    /// Returns false when `max_bytes` prevents the rest from being written.
    fn write_pending(&mut self, now: Mono) -> Result<bool, OutboxError> {
        while let Some(need) = self.pending.first_len() {
            if self.log.remaining_bytes() >= need {
                self.write_run()?;
                continue;
            }
            let next = self.make_space(now)?;
            if next == NextSegment::Full {
                return Ok(false);
            }
            let first = self.pending.first_position().expect("a record is pending");
            self.log.begin(first, self.writer.resumes_after(), self.writer.identity())?;
            self.write_run()?;
            if next == NextSegment::New {
                self.faults.stop_dropping_on_enospc();
            }
        }
        Ok(true)
    }

    /// One write and one sync of as many records as fit.
    fn write_run(&mut self) -> Result<(), OutboxError> {
        let segment = self.log.tail_number().expect("the caller has made sure that a segment is open");
        let durability = self.policy.durability;
        let max_records = if durability == Durability::Each { 1 } else { COMMIT_RECORDS };
        let max_bytes = self.log.remaining_bytes().min(COMMIT_BYTES);
        let log = &mut self.log;
        let run = self.pending.write_run(segment, max_bytes, max_records, |bytes| log.write(bytes))?;
        self.writer.wrote(run, durability != Durability::None);
        Ok(())
    }

    /// Makes sure that a segment can be begun, by dropping what the policy allows.
    fn make_space(&mut self, now: Mono) -> Result<NextSegment, OutboxError> {
        loop {
            if self.log.has_spare() {
                return Ok(NextSegment::Spare);
            }
            if !self.log.may_grow(self.policy.max_bytes) {
                if self.policy.full == OverflowPolicy::DropOldest && self.drop_oldest(now)? {
                    continue;
                }
                return Ok(NextSegment::Full);
            }
            let free =
                self.log.storage().free_space().map_err(OutboxError::io("ask for free space of", ""))?;
            if free >= self.log.segment_bytes() + self.policy.keep_free_bytes {
                return Ok(NextSegment::New);
            }
            if !(self.faults.drops_on_enospc() && self.drop_oldest(now)?) {
                return Err(OutboxError::io("make a segment in", "")(io::ErrorKind::StorageFull.into()));
            }
        }
    }

    /// Drops the oldest segment, unless it is the one being written. Every endpoint that has not acknowledged all of it
    /// gets a gap record.
    fn drop_oldest(&mut self, now: Mono) -> Result<bool, OutboxError> {
        let Some(through) = self.log.oldest_ends() else { return Ok(false) };
        match self.cursors.write_first(self.log.storage_mut(), self.writer.readable()) {
            // A full disk has no space for a cursor either, before this frees some.
            Err(e) if !is_no_space(&e) => return Err(e),
            _ => {}
        }
        let dropped = self.log.pop_oldest()?;
        self.reader.close(dropped.number);
        for endpoint in self.cursors.all_mut() {
            // Unused positions before the first record of the segment are not lost.
            endpoint.skip_unused(dropped.resumes_after, dropped.first.previous());
        }
        let lost = self.drop_for_endpoints(GapReason::DropOldest, through, now);
        let records = if self.cursors.all().is_empty() {
            (through.0 + 1).saturating_sub(dropped.first.0)
        } else {
            lost.into_iter().max().unwrap_or_default()
        };
        self.gaps.count(GapReason::DropOldest, records);
        Ok(true)
    }
}
