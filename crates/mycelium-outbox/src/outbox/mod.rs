//! The outbox itself: one owner, no thread, no clock.
//!
//! A record is accepted (from then on it has its position and sequence number), waits in memory, is written and synced
//! with its group, and can then be fetched. It is removed once every endpoint has acknowledged it, or when the size
//! limit demands it.
//!
//! Invariants: positions and, within a boot, sequence numbers have no holes among records that were written; nothing
//! is handed out before the sync that its durability promises; no segment is removed before the cursors that allow it
//! are durable.

mod acknowledge;
mod dead_letters;
mod group;
mod oldest;
mod read;
mod status;
mod write;

use read::Reader;

use crate::bad_blocks::OpeningReads;
use crate::clock_correction::ClockCorrection;
use crate::cursors::{Cursors, MAX_ENDPOINTS, read_cursor_file};
use crate::dead_letter_store::DeadLetterStore;
use crate::error::{AppendError, OutboxError};
use crate::faults::Faults;
use crate::format::cursor::{Cursor, CursorFile};
use crate::format::file_name::cursor_file_name;
use crate::format::gap::{Gap, GapReason};
use crate::format::name::SafeName;
use crate::format::record::{MAX_PAYLOAD_BYTES, Position, RecordHeader, RecordKind};
use crate::gap_ledger::GapLedger;
use crate::log::{SegmentConfig, SegmentLog, WriterIdentity};
use crate::pending::PendingRecords;
use crate::policy::{Durability, OutboxPolicy, OverflowPolicy};
use crate::recovery::{RecoveryReport, recover};
use crate::scan::SegmentScanner;
use crate::seen::SeenKeys;
use crate::storage::{Preallocation, Storage, quarantine};
use crate::time::{Mono, Stamp};
use crate::writer::Writer;

/// A durable log with a cursor for each endpoint. Every method runs at once and on the caller's thread; `now` is the
/// caller's clock, and [`Outbox::next_deadline`] says when [`Outbox::tick`] is due.
#[derive(Debug)]
pub struct Outbox<S: Storage> {
    policy: OutboxPolicy,
    log: SegmentLog<S>,
    pending: PendingRecords,
    writer: Writer,
    cursors: Cursors<S::File>,
    gaps: GapLedger,
    clock: ClockCorrection,
    dead_letters: DeadLetterStore<S::File>,
    faults: Faults,
    reader: Reader<S::File>,
    /// Keys of records that groups have brought.
    seen: SeenKeys,
    warnings: Vec<String>,
}

impl<S: Storage> Outbox<S> {
    /// Opens or creates the outbox in `storage`. Cursors of endpoints that are not in `endpoints` are kept and hold no
    /// segment back. `now` is when anything lost counts as noticed.
    ///
    /// # Errors
    /// [`OutboxError::Newer`] before anything is changed; [`OutboxError::Io`] if the directory is not usable.
    pub fn open(
        storage: S,
        policy: OutboxPolicy,
        identity: &WriterIdentity,
        endpoints: &[SafeName],
        now: Mono,
    ) -> Result<Self, OutboxError> {
        let each = policy.durability == Durability::Each;
        let config = SegmentConfig {
            segment_bytes: policy.segment_len(),
            syncs: policy.durability != Durability::None,
            preallocation: if each { Preallocation::Zeros } else { Preallocation::Reserve },
        };
        let mut scanner = SegmentScanner::default();
        let (mut log, report) = recover(storage, config, &mut scanner)?;
        let mut warnings: Vec<String> = report
            .foreign
            .iter()
            .map(|name| format!("outbox/{name} is not a file of this outbox: it is left alone; move it away"))
            .collect();
        let mut writer = Writer::new(identity.clone(), report.last, report.written, report.next);
        let cursors = open_cursors(&mut log, &mut writer, &report, endpoints, config, &mut warnings, now)?;
        let dead_letters = DeadLetterStore::open(log.storage_mut(), &mut scanner, &mut warnings, true)?;
        let mut outbox = Self {
            policy,
            log,
            pending: PendingRecords::default(),
            writer,
            cursors,
            gaps: GapLedger::default(),
            clock: ClockCorrection::default(),
            dead_letters,
            faults: Faults::default(),
            reader: Reader::new(scanner),
            seen: SeenKeys::default(),
            warnings,
        };
        outbox.report_recovery(&report, now);
        Ok(outbox)
    }

    fn report_recovery(&mut self, report: &RecoveryReport, now: Mono) {
        if let Some(bytes) = report.torn_bytes {
            self.gaps.skip(bytes);
            self.warnings.push(format!(
                "the last write before the stop was not completed: up to {bytes} bytes were skipped"
            ));
            let (from, through) = (report.written.next(), self.writer.next_position().previous());
            let endpoint = SafeName::default();
            self.push_gap(&Gap { reason: GapReason::Torn, records: 0, bytes, from, through, endpoint }, now);
        }
        // Positions between `resumes_after` and `first` of the oldest segment never were records.
        let missing = self.log.segments().front().map_or(Position(0), |s| s.resumes_after);
        // Includes the last reported loss while its gap record is not acknowledged: nothing else remembers it.
        let lost = self.drop_for_endpoints(GapReason::Missing, missing, now);
        self.gaps.count(GapReason::Missing, lost.into_iter().sum());
    }

    /// Moves every cursor over the records up to `through`, which are lost, and reports to each endpoint what it has
    /// lost. Returns the number of records that each has lost now.
    fn drop_for_endpoints(
        &mut self,
        reason: GapReason,
        through: Position,
        now: Mono,
    ) -> heapless::Vec<u64, MAX_ENDPOINTS> {
        let mut lost = heapless::Vec::new();
        for at in 0..self.cursors.all().len() {
            let endpoint = &mut self.cursors.all_mut()[at];
            let Some((from, records)) = endpoint.loss_if_dropped(through) else { continue };
            let gap_at = self.writer.next_position();
            let lost_now = endpoint.record_loss((from, through), records, gap_at, now);
            lost.push(lost_now).expect("as many as endpoints");
            let endpoint = endpoint.name().clone();
            self.push_gap(&Gap { reason, records, bytes: 0, from, through, endpoint }, now);
        }
        lost
    }

    /// Accepts one record. Positions follow the order of the calls. With [`Durability::Each`], and when a group is
    /// complete, this also writes.
    ///
    /// # Errors
    /// Why the record was not accepted; everything except [`AppendError::Full`] and [`AppendError::TooLarge`] was
    /// counted. A failed write is not an error: the record is kept in memory and written later.
    pub fn append(
        &mut self,
        kind: RecordKind,
        stamp: Stamp,
        payload: &[u8],
        now: Mono,
    ) -> Result<(), AppendError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(AppendError::TooLarge);
        }
        self.admit(now)?;
        if self.faults.can_write() {
            self.report_refused(now);
        }
        self.push(kind, stamp, payload, now);
        let group = self.pending.len() >= self.policy.group_records as usize;
        if group || self.policy.durability == Durability::Each {
            self.commit(now);
        }
        Ok(())
    }

    /// Whether one more record may be accepted, after whatever the policy allows to make it possible.
    fn admit(&mut self, now: Mono) -> Result<(), AppendError> {
        if self.faults.is_full() {
            return Err(self.overflow(GapReason::DropNewest));
        }
        if !self.pending.is_full() {
            return Ok(());
        }
        let may_drop = self.policy.full == OverflowPolicy::DropOldest && self.log.oldest_ends().is_some();
        if may_drop && self.faults.begin_dropping_on_enospc() {
            self.faults.retry_write_at(now);
            self.commit(now);
        }
        if self.pending.is_full() { Err(self.overflow(GapReason::Memory)) } else { Ok(()) }
    }

    /// A record cannot be accepted: it is refused, or dropped where the caller cannot wait.
    fn overflow(&mut self, reason: GapReason) -> AppendError {
        if self.policy.full == OverflowPolicy::Block {
            return AppendError::Full;
        }
        self.refuse(reason, 1);
        AppendError::Dropped(reason)
    }

    /// With [`OverflowPolicy::Block`]: nothing is accepted until an endpoint acknowledges records or the disk works
    /// again.
    pub fn is_blocked(&self) -> bool {
        self.policy.full == OverflowPolicy::Block && (self.faults.is_full() || self.pending.is_full())
    }

    /// Counts records that were refused; the next gap record reports them.
    pub fn refuse(&mut self, reason: GapReason, records: u64) {
        self.gaps.refuse(reason, records);
    }

    /// Appends a gap record for each reason with refused records.
    fn report_refused(&mut self, now: Mono) {
        for (reason, records) in self.gaps.take_unreported() {
            let (from, through, endpoint) = (Position(0), Position(0), SafeName::default());
            self.push_gap(&Gap { reason, records, bytes: 0, from, through, endpoint }, now);
        }
    }

    /// Appends a gap record, even when other records are refused. The wall clock is not read here: its stamp is
    /// computed from the monotonic time.
    fn push_gap(&mut self, gap: &Gap, now: Mono) {
        let stamp = self.clock.stamp(self.writer.identity().stamp, now);
        self.push(RecordKind::GAP, stamp, &gap.encode(), now);
    }

    /// Gives a record its numbers, and returns the one within the boot.
    fn push(&mut self, kind: RecordKind, stamp: Stamp, payload: &[u8], now: Mono) -> u64 {
        let meta = self.writer.assign(kind, stamp, self.policy.group, now);
        let tag = self.writer.identity().device.tag();
        self.pending.push(&RecordHeader::new(meta, tag, payload), payload);
        meta.seq
    }

    /// Writing records failed; `no_space` if the disk is full, rather than broken.
    fn write_failed(&mut self, error: &OutboxError, no_space: bool, now: Mono) {
        self.faults.write_failed(error, no_space, now);
        self.close_files();
    }

    fn cursor_failed(&mut self, error: &OutboxError, now: Mono) {
        self.faults.cursor_failed(error, now);
        self.close_files();
    }

    /// While the disk refuses writes, nothing stays open for writing, so that it can be remounted or replaced.
    fn close_files(&mut self) {
        self.cursors.close_files();
        self.dead_letters.close_file();
    }

    /// Last position that may be fetched.
    pub fn readable(&self) -> Position {
        self.writer.readable()
    }

    /// Why writing does not work, if it does not.
    pub fn degraded(&self) -> Option<&str> {
        self.faults.text()
    }

    /// What opening has found that an operator should know, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Reads the cursors of `names`, and makes new ones that start at the oldest record. A new cursor is written with the
/// first commit: from then on a loss at the start of the log is noticed.
fn open_cursors<S: Storage>(
    log: &mut SegmentLog<S>,
    writer: &mut Writer,
    report: &RecoveryReport,
    names: &[SafeName],
    config: SegmentConfig,
    warnings: &mut Vec<String>,
    now: Mono,
) -> Result<Cursors<S::File>, OutboxError> {
    let oldest = log.segments().front().map_or(writer.next_position(), |s| s.first).previous();
    let mut cursors = Cursors::new(config.syncs);
    let mut served = true;
    for endpoint in &report.cursors {
        let Some(name) = SafeName::new(endpoint) else { continue };
        let Some((cursor, generation)) = open_cursor(log, &cursor_file_name(endpoint), warnings)? else {
            continue;
        };
        writer.never_reuse(cursor.acked.max(cursor.frozen_through));
        if names.contains(&name) {
            served &= cursors.add(name, cursor, generation, None);
        } else {
            warnings.push(format!(
                "outbox/{endpoint}.cursor is of no configured endpoint: it holds nothing back; remove it if it is not \
                 needed"
            ));
        }
    }
    for name in names {
        if cursors.index_of(name.as_str()).is_none() {
            let cursor = Cursor { acked: oldest, ..Cursor::default() };
            served &= cursors.add(name.clone(), cursor, 0, Some(now));
        }
    }
    if !served {
        warnings.push(format!("more than {MAX_ENDPOINTS} endpoints: the rest is not served"));
    }
    cursors.sort_as(names);
    Ok(cursors)
}

/// The cursor in a file and its generation. A damaged file is quarantined: its endpoint starts at the oldest record.
fn open_cursor<S: Storage>(
    log: &mut SegmentLog<S>,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<(Cursor, u64)>, OutboxError> {
    match read_cursor_file(log.storage(), file, &mut OpeningReads::default())? {
        Some(CursorFile::Valid { mut cursor, generation, other_damaged }) => {
            if other_damaged {
                // Removed segments were acknowledged, or their loss reported: the damaged slot said so.
                let removed = log.segments().front().map_or(Position(0), |s| s.resumes_after);
                cursor.acked = cursor.acked.max(removed);
                warnings.push(format!(
                    "one half of outbox/{file} is damaged: the other one counts, some records may be sent again"
                ));
            }
            Ok(Some((cursor, generation)))
        }
        Some(CursorFile::Newer(version)) => Err(OutboxError::Newer { name: file.to_owned(), version }),
        Some(CursorFile::Damaged) => {
            let to = quarantine(log.storage_mut(), file).map_err(OutboxError::io("rename", file))?;
            warnings.push(format!(
                "outbox/{file} is damaged: it was renamed to {to}, and every record that is still here is sent again"
            ));
            Ok(None)
        }
        None => Ok(None),
    }
}
