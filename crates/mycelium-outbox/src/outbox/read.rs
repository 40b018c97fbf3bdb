//! Reading: batches for endpoints, in order, from where they left off.

use std::io;

use super::Outbox;
use crate::bad_blocks::{BadBlocks, RunningReads, SuspectBlocks};
use crate::batch::{FetchLimits, RecordBatch};
use crate::clock_correction::corrected;
use crate::error::OutboxError;
use crate::format::clock_sync::ClockSync;
use crate::format::gap::{Gap, GapReason};
use crate::format::name::SafeName;
use crate::format::record::{Position, RecordHeader, RecordKind, RecordMeta};
use crate::format::segment::{HeaderStatus, SEGMENT_HEADER_BYTES};
use crate::log::{ReadPosition, SegmentInfo};
use crate::scan::{ScanItem, SegmentScanner, read_segment_header};
use crate::storage::{Storage, open_existing};
use crate::time::{BootId, Mono, Stamp};

/// File offset of the first record of a segment.
pub(super) const FIRST_RECORD: u64 = SEGMENT_HEADER_BYTES as u64;

/// The segment last read from.
#[derive(Debug)]
struct OpenSegment<F> {
    number: u64,
    file: F,
    device: SafeName,
    device_tag: u32,
}

/// What stays between fetches.
#[derive(Debug)]
pub(super) struct Reader<F> {
    pub(super) scanner: SegmentScanner,
    open: Option<OpenSegment<F>>,
    pub(super) suspects: SuspectBlocks,
    /// Boot and time of the record at this position, the oldest one that is not acknowledged.
    pub(super) oldest: Option<(Position, BootId, Stamp)>,
}

impl<F> Reader<F> {
    pub(super) fn new(scanner: SegmentScanner) -> Self {
        Self { scanner, open: None, suspects: SuspectBlocks::default(), oldest: None }
    }

    /// Closes the file of a segment that was removed.
    pub(super) fn close(&mut self, number: u64) {
        self.suspects.forget(number);
        self.open.take_if(|open| open.number == number);
    }
}

/// What ends a batch.
#[derive(Clone, Copy)]
struct BatchLimits {
    size: FetchLimits,
    through: Position,
}

/// How reading one segment ended.
#[derive(PartialEq)]
enum Ended {
    Batch,
    Segment,
}

impl<S: Storage> Outbox<S> {
    /// Fills `batch` with what comes next for this endpoint: the frozen batch if there is one, else as many records as
    /// both limits allow, at least one. Empty when there is nothing.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then fetch again later, nothing was skipped. A record whose block fails again and again while
    /// the disk works is damaged: that is not an error but a gap record. [`OutboxError::UnknownEndpoint`].
    pub fn fetch(
        &mut self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut RecordBatch,
        now: Mono,
    ) -> Result<(), OutboxError> {
        let limits = FetchLimits { records: max_records, bytes: max_bytes };
        let mut reads = self.begin_reads(now);
        let fetched = self.fetch_batch(endpoint, limits, batch, &mut reads);
        self.reader.suspects = reads.suspects;
        fetched
    }

    fn fetch_batch(
        &mut self,
        endpoint: usize,
        size: FetchLimits,
        batch: &mut RecordBatch,
        reads: &mut RunningReads,
    ) -> Result<(), OutboxError> {
        let now = reads.now;
        batch.clear();
        batch.epoch = self.clock.epoch();
        let cursor = *self.cursors.get(endpoint)?.cursor();
        batch.frozen = cursor.is_frozen();
        let limits = if batch.frozen {
            let size = FetchLimits { records: usize::MAX, bytes: usize::MAX };
            BatchLimits { size, through: cursor.frozen_through }
        } else {
            BatchLimits { size, through: self.writer.readable() }
        };
        let mut at = self.start_of(endpoint)?;
        match self.fill(&mut at, limits, batch, reads) {
            // What comes before the block that must wait is delivered.
            Err(_) if !batch.frozen && !batch.is_empty() => {}
            filled => filled?,
        }
        let unsynced = self.unsynced(batch);
        let endpoint_cursor = self.cursors.get_mut(endpoint)?;
        endpoint_cursor.fetched(at, if batch.is_empty() { endpoint_cursor.unsynced() } else { unsynced });
        if !batch.is_empty() {
            return self.correct(batch, reads);
        }
        if !batch.frozen && at.position > limits.through {
            return Ok(());
        }
        // Nothing of it is readable. The endpoint skips it: its gap record comes later.
        let from = if batch.frozen { cursor.acked.next() } else { at.position };
        self.report_gap((from, limits.through), 0, now);
        self.cursors.get_mut(endpoint)?.skip_to(limits.through, now);
        if batch.frozen { self.fetch_batch(endpoint, size, batch, reads) } else { Ok(()) }
    }

    fn fill(
        &mut self,
        at: &mut ReadPosition,
        limits: BatchLimits,
        batch: &mut RecordBatch,
        reads: &mut RunningReads,
    ) -> Result<(), OutboxError> {
        while at.position <= limits.through {
            let segments = self.log.segments();
            // The segment of `at`, or the next one if that was removed.
            let index = segments.partition_point(|s| s.number < at.number);
            let Some(segment) = segments.get(index).cloned() else { break };
            let next = segments.get(index + 1).map(|next| (next.number, next.resumes_after));
            let last = next.map(|(_, resumes_after)| resumes_after);
            if self.read_segment(&segment, last, at, limits, batch, reads)? == Ended::Batch {
                break;
            }
            let Some((number, _)) = next else { break };
            *at = ReadPosition { number, offset: FIRST_RECORD, position: at.position };
        }
        Ok(())
    }

    fn start_of(&self, endpoint: usize) -> Result<ReadPosition, OutboxError> {
        let endpoint = self.cursors.get(endpoint)?;
        let position = endpoint.cursor().acked.next();
        Ok(endpoint.start().unwrap_or_else(|| {
            let number = self.log.segments().get(self.log.find(position)).map_or(0, |s| s.number);
            ReadPosition { number, offset: FIRST_RECORD, position }
        }))
    }

    /// Reads one segment, whose last position is `last` if another one follows it.
    fn read_segment(
        &mut self,
        segment: &SegmentInfo,
        last: Option<Position>,
        at: &mut ReadPosition,
        limits: BatchLimits,
        batch: &mut RecordBatch,
        reads: &mut RunningReads,
    ) -> Result<Ended, OutboxError> {
        if at.position < segment.first {
            self.enter(segment, at, reads.now);
        }
        let Some(open) = self.open_segment(segment, reads)? else { return Ok(Ended::Segment) };
        let offset = if at.number == segment.number { at.offset } else { FIRST_RECORD };
        let mut scanner = std::mem::take(&mut self.reader.scanner);
        scanner.start(segment.number, offset, segment.limit());
        let ended = self.read_records(&mut scanner, &open, last, at, limits, batch, reads);
        self.reader.scanner = scanner;
        self.reader.open = Some(open);
        ended.map_err(OutboxError::io("read", &segment.file_name()))
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one loop")]
    fn read_records(
        &mut self,
        scanner: &mut SegmentScanner,
        open: &OpenSegment<S::File>,
        last: Option<Position>,
        at: &mut ReadPosition,
        limits: BatchLimits,
        batch: &mut RecordBatch,
        reads: &mut RunningReads,
    ) -> io::Result<Ended> {
        loop {
            let rest = (scanner.offset(), scanner.limit());
            match scanner.next(self.log.storage(), &open.file, reads)? {
                ScanItem::Record { header, payload, skipped } => {
                    let position = header.meta.position;
                    if position < at.position {
                        continue;
                    }
                    let missing = (at.position < position).then_some((at.position, position));
                    if let Some(missing) = missing
                        && self.comes_later(open, rest, missing, reads)?
                    {
                        continue;
                    }
                    let fits = batch.is_empty() || limits.size.allow(batch, payload.len());
                    if position > limits.through || !fits {
                        return Ok(Ended::Batch);
                    }
                    let device = if header.device_tag == open.device_tag {
                        open.device.clone()
                    } else {
                        self.device_of(header.device_tag, reads)?
                    };
                    batch.push(header.meta, device, None, payload);
                    let offset = scanner.offset();
                    if let Some((from, found)) = missing {
                        self.report_gap((from, found.previous()), skipped, reads.now);
                    }
                    *at = ReadPosition { number: open.number, offset, position: position.next() };
                }
                // An older marker may have reappeared in place of later commits: it is only the end if nothing is
                // missing.
                ScanItem::Marker { .. } if last.is_some_and(|last| last < at.position) => {
                    return Ok(Ended::Segment);
                }
                ScanItem::Marker { .. } => {}
                ScanItem::End { .. } => return Ok(Ended::Segment),
            }
        }
    }

    /// Whether a record of `due..found` is further on in the segment: then the one found was written to the wrong
    /// place. Only asked when something is missing.
    fn comes_later(
        &self,
        open: &OpenSegment<S::File>,
        (offset, limit): (u64, u64),
        (due, found): (Position, Position),
        reads: &mut RunningReads,
    ) -> io::Result<bool> {
        let mut scanner = SegmentScanner::default();
        scanner.start(open.number, offset, limit);
        let is_due = |header: &RecordHeader| (due..found).contains(&header.meta.position);
        Ok(find_record(self.log.storage(), &open.file, &mut scanner, reads, |header, _| {
            is_due(header).then_some(())
        })?
        .is_some())
    }

    /// The reader comes to a segment that starts after the position it expects.
    fn enter(&mut self, segment: &SegmentInfo, at: &mut ReadPosition, now: Mono) {
        if at.position <= segment.resumes_after {
            self.report_gap((at.position, segment.resumes_after), 0, now);
        }
        at.position = segment.first;
    }

    /// Reports damaged records once, with one gap record for all endpoints.
    fn report_gap(&mut self, (from, through): (Position, Position), bytes: u64, now: Mono) {
        if !self.gaps.is_new(from, through) {
            return;
        }
        let (reason, records) = (GapReason::Damage, through.0 - from.0 + 1);
        self.gaps.skip(bytes);
        self.gaps.count(reason, records);
        self.push_gap(&Gap { reason, records, bytes, from, through, endpoint: SafeName::default() }, now);
        self.writer.set_commit_at(Some(now));
    }

    /// Opens a segment; `None` when it was removed by someone else.
    fn open_segment(
        &mut self,
        segment: &SegmentInfo,
        reads: &mut RunningReads,
    ) -> Result<Option<OpenSegment<S::File>>, OutboxError> {
        if let Some(open) = self.reader.open.take_if(|open| open.number == segment.number) {
            return Ok(Some(open));
        }
        let (storage, name) = (self.log.storage(), segment.file_name());
        let opened = open_existing(storage, &name, false).map_err(OutboxError::io("open", &name))?;
        let Some(file) = opened else { return Ok(None) };
        let header = read_segment_header(storage, &file, segment.number, reads);
        let device = match header.map_err(OutboxError::io("read", &name))? {
            HeaderStatus::Valid(header) if header.number == segment.number => header.device,
            _ => self.writer.identity().device.clone(),
        };
        let device_tag = device.tag();
        Ok(Some(OpenSegment { number: segment.number, file, device, device_tag }))
    }

    /// The device of a record whose segment has lost its header: any other segment of the same device names it.
    fn device_of(&self, tag: u32, reads: &mut RunningReads) -> io::Result<SafeName> {
        let own = &self.writer.identity().device;
        if own.tag() == tag {
            return Ok(own.clone());
        }
        let storage = self.log.storage();
        for segment in self.log.segments() {
            let Some(file) = open_existing(storage, &segment.file_name(), false)? else { continue };
            match read_segment_header(storage, &file, segment.number, reads)? {
                HeaderStatus::Valid(header) if header.device.tag() == tag => return Ok(header.device),
                _ => {}
            }
        }
        Ok(SafeName::unknown(tag))
    }

    /// First and last unsynced record of this boot.
    fn unsynced(&self, batch: &RecordBatch) -> Option<(Position, Position)> {
        let boot = self.writer.identity().boot;
        let metas = batch.records.iter().map(|record| &record.meta);
        let mut unsynced = metas.filter(|meta| meta.boot == boot && !meta.stamp.synced);
        let first = unsynced.next()?.position;
        Some((first, unsynced.next_back().map_or(first, |meta| meta.position)))
    }

    /// Gives unsynced records their correct wall time, where that is known.
    fn correct(&mut self, batch: &mut RecordBatch, reads: &mut RunningReads) -> Result<(), OutboxError> {
        for record in batch.records.iter_mut().filter(|record| !record.meta.stamp.synced) {
            let sync = self.clock_of(record.meta.boot, reads)?;
            record.corrected = corrected(sync, &record.meta);
        }
        Ok(())
    }

    /// What is known of the clock of a boot; that of an earlier one is looked up in its segments once.
    fn clock_of(&mut self, boot: BootId, reads: &mut RunningReads) -> Result<Option<ClockSync>, OutboxError> {
        if boot == self.writer.identity().boot {
            return Ok(self.clock.durable());
        }
        if let Some(sync) = self.clock.cached(boot) {
            return Ok(sync);
        }
        let mut found = None;
        let storage = self.log.storage();
        for segment in self.log.segments().iter().filter(|s| s.boot.is_none_or(|b| b == boot)) {
            let name = segment.file_name();
            let opened = open_existing(storage, &name, false).map_err(OutboxError::io("open", &name))?;
            let Some(file) = opened else { continue };
            let scanner = &mut self.reader.scanner;
            scanner.start(segment.number, FIRST_RECORD, segment.limit());
            let is_sync = |meta: &RecordMeta| meta.kind == RecordKind::CLOCK_SYNC && meta.boot == boot;
            found = find_record(storage, &file, scanner, reads, |header, payload| {
                is_sync(&header.meta).then(|| ClockSync::decode(&header.meta, payload)).flatten()
            })
            .map_err(OutboxError::io("read", &name))?;
            if found.is_some() {
                break;
            }
        }
        self.clock.cache(boot, found);
        Ok(found)
    }
}

/// The first record of a started scan for which `select` returns something.
pub(super) fn find_record<S: Storage, T>(
    storage: &S,
    file: &S::File,
    scanner: &mut SegmentScanner,
    bad: &mut dyn BadBlocks,
    select: impl Fn(&RecordHeader, &[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    loop {
        match scanner.next(storage, file, bad)? {
            ScanItem::Record { header, payload, .. } => {
                if let Some(found) = select(&header, payload) {
                    return Ok(Some(found));
                }
            }
            ScanItem::Marker { .. } => {}
            ScanItem::End { .. } => return Ok(None),
        }
    }
}
