//! The segments of one directory: appending to the newest, removing the oldest.
//!
//! Invariants: a `.seg` file has a synced header and a first commit; positions increase from segment to segment; only
//! the last segment is ever written; a segment whose write or sync failed is never written again.

use std::collections::VecDeque;
use std::io;

use crate::error::OutboxError;
use crate::format::file_name::{segment_file_name, spare_file_name};
use crate::format::name::SafeName;
use crate::format::record::{COMMIT_MARKER_BYTES, Position};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::storage::{Preallocation, Storage};
use crate::time::{BootId, Stamp};

/// Most segments of a directory, whatever their length; with more the outbox counts as full.
const MAX_SEGMENTS: usize = 8_192;
/// Most files that are kept for reuse instead of being removed.
const MAX_SPARES: usize = 2;
/// Most bytes of one write: what a torn commit can cost.
pub(crate) const COMMIT_BYTES: usize = 256 << 10;
/// Most records of one write.
pub(crate) const COMMIT_RECORDS: usize = 1_024;

/// The process that writes: in the header of every segment it makes.
#[derive(Clone, Debug)]
pub struct WriterIdentity {
    /// The device that records come from.
    pub device: SafeName,
    /// Random and different at every start.
    pub boot: BootId,
    /// Both clocks at the start.
    pub stamp: Stamp,
}

/// A place in the log: the record at or after `offset` of segment `number` has `position` or a later one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPosition {
    pub number: u64,
    /// Bytes from the start of the file.
    pub offset: u64,
    pub position: Position,
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug)]
pub(crate) struct SegmentInfo {
    /// The number that its records are bound to.
    pub number: u64,
    /// The number in its file name: different only if somebody renamed it.
    pub file: u64,
    /// Position of its first record.
    pub first: Position,
    /// Last position used before it; see [`SegmentHeader::resumes_after`].
    pub resumes_after: Position,
    /// `None` when the header is damaged.
    pub boot: Option<BootId>,
    /// Length of the file.
    pub bytes: u64,
    /// File offset of the end of the last commit, where this process knows it.
    pub end: Option<u64>,
}

impl SegmentInfo {
    /// No record of this segment is at or after this file offset.
    pub fn limit(&self) -> u64 {
        self.end.unwrap_or(self.bytes)
    }

    pub fn file_name(&self) -> String {
        segment_file_name(self.file)
    }
}

/// A file without records, whose blocks the next segment reuses.
#[derive(Clone, Copy, Debug)]
struct SpareFile {
    number: u64,
    bytes: u64,
}

/// How segments are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentConfig {
    /// Length of a new segment, in bytes.
    pub segment_bytes: u64,
    /// Whether commits are synced.
    pub syncs: bool,
    pub preallocation: Preallocation,
}

/// The segments, oldest first; the last one is open for writing while `tail` is `Some`.
#[derive(Debug)]
pub(crate) struct SegmentLog<S: Storage> {
    storage: S,
    config: SegmentConfig,
    segments: VecDeque<SegmentInfo>,
    tail: Option<S::File>,
    /// Name of the last segment until its first commit is durable.
    unnamed: Option<String>,
    spares: heapless::Vec<SpareFile, MAX_SPARES>,
    next_number: u64,
    /// First number that this process assigned. Only its own files are reused: a file that an earlier process had begun
    /// as a segment and not named yet holds records bound to a number that will be assigned again.
    first_own_number: u64,
}

impl<S: Storage> SegmentLog<S> {
    /// The log of a directory that was recovered; `segments` are in order and below `next_number`.
    pub fn new(storage: S, config: SegmentConfig, segments: VecDeque<SegmentInfo>, next_number: u64) -> Self {
        Self {
            storage,
            config,
            segments,
            tail: None,
            unnamed: None,
            spares: heapless::Vec::new(),
            next_number,
            first_own_number: next_number,
        }
    }

    pub fn storage(&self) -> &S {
        &self.storage
    }

    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    pub fn segments(&self) -> &VecDeque<SegmentInfo> {
        &self.segments
    }

    /// Length of all files of segments, spare ones included.
    pub fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|s| s.bytes).sum();
        segments + self.spares.iter().map(|s| s.bytes).sum::<u64>()
    }

    /// Bytes of records that can still be written before the next segment is needed.
    pub fn remaining_bytes(&self) -> usize {
        match (&self.tail, self.segments.back()) {
            (Some(_), Some(last)) => {
                last.bytes.saturating_sub(last.limit() + COMMIT_MARKER_BYTES as u64) as usize
            }
            _ => 0,
        }
    }

    pub fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Whether one more segment fits into `max_bytes`.
    pub fn may_grow(&self, max_bytes: u64) -> bool {
        self.segments.len() < MAX_SEGMENTS && self.bytes() + self.config.segment_bytes <= max_bytes
    }

    /// Length of a new segment.
    pub fn segment_bytes(&self) -> u64 {
        self.config.segment_bytes
    }

    /// Starts a new segment. It gets its `.seg` name with the first [`SegmentLog::write`].
    pub fn begin(
        &mut self,
        first: Position,
        resumes_after: Position,
        identity: &WriterIdentity,
    ) -> Result<(), OutboxError> {
        self.tail = None;
        // Increased even if this fails: a file of this number that cannot be removed must not block the next attempt.
        let number = self.next_number;
        self.next_number += 1;
        let recycled = self.spares.pop();
        let name = spare_file_name(recycled.map_or(number, |spare| spare.number));
        let bytes = self.config.segment_bytes;
        let opened = match recycled {
            Some(_) => self.storage.open(&name, true),
            None => self.storage.create(&name, bytes, self.config.preallocation),
        };
        let file = opened.map_err(OutboxError::io("make", &name))?;
        let WriterIdentity { boot, device, stamp } = identity.clone();
        let header = SegmentHeader { number, first, resumes_after, boot, device, stamp };
        if let Err(e) = self.storage.write_at(&file, 0, &header.encode()) {
            drop(file);
            // Otherwise every attempt would leave one more file. Only the first error is reported.
            drop(self.storage.remove(&name));
            return Err(OutboxError::io("write", &name)(e));
        }
        let (boot, end) = (Some(boot), Some(SEGMENT_HEADER_BYTES as u64));
        self.segments.push_back(SegmentInfo { number, file: number, first, resumes_after, boot, bytes, end });
        (self.tail, self.unnamed) = (Some(file), Some(name));
        Ok(())
    }

    /// Number of the segment that is written, if one is open.
    pub fn tail_number(&self) -> Option<u64> {
        self.tail.as_ref().and(self.segments.back()).map(|last| last.number)
    }

    /// Writes `bytes` (sealed records and a commit marker) over the last commit marker, and syncs if the log does.
    /// After an error this segment is never written again.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutboxError> {
        let (Some(file), Some(last)) = (&self.tail, self.segments.back()) else {
            unreachable!("the caller asked for the remaining bytes first");
        };
        let (at, name) = (last.limit(), last.file_name());
        let mut done = self.storage.write_at(file, at, bytes).map_err(OutboxError::io("write", &name));
        if self.config.syncs && done.is_ok() {
            done = self.storage.sync(file).map_err(OutboxError::io("sync", &name));
        }
        if done.is_ok() {
            done = self.name_last(&name);
        }
        if done.is_err() {
            self.abandon_tail();
            return done;
        }
        let last = self.segments.back_mut().expect("it was there above");
        last.end = Some(at + bytes.len() as u64 - COMMIT_MARKER_BYTES as u64);
        Ok(())
    }

    fn name_last(&mut self, name: &str) -> Result<(), OutboxError> {
        let Some(temporary) = &self.unnamed else { return Ok(()) };
        self.storage.rename(temporary, name).map_err(OutboxError::io("rename", temporary))?;
        if self.config.syncs {
            self.storage.sync_dir().map_err(OutboxError::io("sync the directory of", name))?;
        }
        self.unnamed = None;
        Ok(())
    }

    /// Nothing more is written into the last segment. One that never had a commit is removed.
    fn abandon_tail(&mut self) {
        self.tail = None;
        if let Some(temporary) = self.unnamed.take() {
            self.segments.pop_back();
            // The error that led here is reported; whether the file can be removed changes nothing.
            drop(self.storage.remove(&temporary));
        }
    }

    /// Syncs the open segment, even where commits are not synced.
    pub fn sync(&mut self) -> Result<(), OutboxError> {
        let (Some(file), Some(last)) = (&self.tail, self.segments.back()) else { return Ok(()) };
        if let Err(e) = self.storage.sync(file) {
            self.tail = None;
            return Err(OutboxError::io("sync", &last.file_name())(e));
        }
        Ok(())
    }

    /// Last position of the oldest segment, unless that is the one being written.
    pub fn oldest_ends(&self) -> Option<Position> {
        self.segments.get(1).map(|next| next.resumes_after)
    }

    /// Removes the oldest segment, or keeps its file for reuse. No directory fsync is needed: if the old name reappears
    /// after a crash, all its records are acknowledged already; and a spare file gets its next name, synced, only after
    /// its next first commit.
    pub fn pop_oldest(&mut self) -> Result<SegmentInfo, OutboxError> {
        let oldest = self.segments.front().expect("the caller has seen it").clone();
        let spare = SpareFile { number: oldest.file, bytes: oldest.bytes };
        let name = oldest.file_name();
        let reusable = oldest.number >= self.first_own_number && oldest.bytes == self.config.segment_bytes;
        let reuse = reusable && !self.spares.is_full();
        let done = if reuse {
            self.storage.rename(&name, &spare_file_name(oldest.file))
        } else {
            self.storage.remove(&name)
        };
        match done {
            Ok(()) if reuse => drop(self.spares.push(spare)),
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(OutboxError::io("remove", &name)(e)),
        }
        self.segments.pop_front();
        Ok(oldest)
    }

    /// Index of the segment that holds a position: the last one that starts at or before it.
    pub fn find(&self, position: Position) -> usize {
        self.segments.partition_point(|s| s.first <= position).saturating_sub(1)
    }
}
