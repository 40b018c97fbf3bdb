//! Reading: batches for endpoints, in order, from where they left off.

use std::io;
use std::ops::Range;

use super::core::Outbox;
use super::endpoint::Name;
use super::error::Error;
use super::gap::Reason;
use super::log::Segment;
use super::record::{Header, Kind, Position};
use super::segment::{self, HEAD, HeadFound, Step, Walk};
use super::storage::Storage;
use super::sync::ClockSync;
use crate::time::{BootId, Mono, Stamp, Wall};

/// Records for one delivery. Reused from fetch to fetch, its buffers grow to the largest batch only.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub records: Vec<Entry>,
    bytes: Vec<u8>,
    /// Position of the last record, to freeze and acknowledge.
    pub through: Position,
    /// It was frozen before: the same records as then.
    pub frozen: bool,
    /// Goes back with [`Outbox::freeze`].
    pub epoch: u32,
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is in the log; in a batch of dead letters, the number of the dead letter.
    pub position: Position,
    pub seq: u64,
    pub boot: BootId,
    pub kind: Kind,
    pub priority: u8,
    /// As it was taken down.
    pub stamp: Stamp,
    /// The wall time it should have had, for a record from before the clock was known.
    pub corrected: Option<Wall>,
    pub device: Name,
    payload: Range<usize>,
}

impl Entry {
    /// The wall time to show.
    pub fn wall(&self) -> Wall {
        self.corrected.unwrap_or(self.stamp.wall)
    }

    /// `synced`, `corrected` or `unsynced`.
    pub fn clock(&self) -> &'static str {
        match (self.stamp.synced, self.corrected) {
            (true, _) => "synced",
            (false, Some(_)) => "corrected",
            (false, None) => "unsynced",
        }
    }

    /// `<device>-<boot>-<seq>`: the same for ever, for no other record.
    pub fn event_id(&self) -> String {
        event_id(&self.device, self.boot, self.seq)
    }
}

/// `<device>-<boot>-<seq>`
pub fn event_id(device: &Name, boot: BootId, seq: u64) -> String {
    format!("{device}-{boot}-{seq}")
}

impl Batch {
    pub fn payload(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.payload.clone()]
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Payload bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.through = Position(0);
        self.frozen = false;
    }

    pub(super) fn push(&mut self, header: &Header, device: &Name, corrected: Option<Wall>, payload: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.through = header.position;
        self.records.push(Entry {
            position: header.position,
            seq: header.seq,
            boot: header.boot,
            kind: header.kind,
            priority: header.priority,
            stamp: header.stamp,
            corrected,
            device: device.clone(),
            payload: from..self.bytes.len(),
        });
    }
}

/// A place in the log: the record at or behind `offset` of segment `number` has `position` or a later one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub number: u64,
    pub offset: u64,
    pub position: Position,
}

/// The segment last read from.
#[derive(Debug)]
pub(super) struct Reader<F> {
    number: u64,
    file: F,
    device: Name,
    tag: u32,
}

/// What limits a batch.
#[derive(Clone, Copy)]
struct Limits {
    records: usize,
    bytes: usize,
    through: Position,
}

/// How reading one segment ended.
enum Ended {
    Batch,
    Segment,
}

impl<S: Storage> Outbox<S> {
    /// Fills `batch` with what comes next for this endpoint: the frozen batch if there is one, else as many
    /// records as both limits allow, at least one. Empty when there is nothing.
    pub fn fetch(
        &mut self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut Batch,
        now: Mono,
    ) -> Result<(), Error> {
        batch.clear();
        batch.epoch = self.epoch;
        let cursor = self.endpoints.get(endpoint).ok_or(Error::Unknown)?.cursor;
        batch.frozen = cursor.is_frozen();
        let limits = if batch.frozen {
            Limits { records: usize::MAX, bytes: usize::MAX, through: cursor.frozen_through }
        } else {
            Limits { records: max_records.max(1), bytes: max_bytes, through: self.readable }
        };
        let mut spot = self.start_of(endpoint);
        self.fill(&mut spot, limits, batch, now)?;
        self.endpoints[endpoint].end = Some(spot);
        if !batch.is_empty() {
            self.endpoints[endpoint].unsynced = self.unsynced(batch);
            return self.correct(batch);
        }
        if !batch.frozen && spot.position > limits.through {
            return Ok(());
        }
        // Nothing of it can be read. The endpoint moves over it: its gap record comes later.
        let from = if batch.frozen { cursor.acked.next() } else { spot.position };
        self.hole(Reason::Damage, (from, limits.through), 0, now);
        self.endpoints[endpoint].pass_over(limits.through, now);
        if batch.frozen { self.fetch(endpoint, max_records, max_bytes, batch, now) } else { Ok(()) }
    }

    fn fill(&mut self, spot: &mut Spot, limits: Limits, batch: &mut Batch, now: Mono) -> Result<(), Error> {
        while spot.position <= limits.through {
            let Some(at) = self.segment_at(spot) else { break };
            if let Ended::Batch = self.read_segment(at, spot, limits, batch, now)? {
                break;
            }
            let Some(next) = self.log.segments.get(at + 1) else { break };
            *spot = Spot { number: next.number, offset: HEAD as u64, position: spot.position };
        }
        Ok(())
    }

    fn start_of(&self, endpoint: usize) -> Spot {
        let e = &self.endpoints[endpoint];
        if let Some(start) = e.start {
            return start;
        }
        let position = e.cursor.acked.next();
        let at = self.log.find(position);
        let number = self.log.segments.get(at).map_or(0, |s| s.number);
        Spot { number, offset: HEAD as u64, position }
    }

    /// Index of the segment a spot is in; of the next one if that is gone.
    fn segment_at(&self, spot: &Spot) -> Option<usize> {
        let at = self.log.segments.partition_point(|s| s.number < spot.number);
        (at < self.log.segments.len()).then_some(at)
    }

    fn read_segment(
        &mut self,
        at: usize,
        spot: &mut Spot,
        limits: Limits,
        batch: &mut Batch,
        now: Mono,
    ) -> Result<Ended, Error> {
        let segment = self.log.segments[at].clone();
        if spot.position < segment.first {
            self.enter(&segment, spot, now);
        }
        let next_after = self.log.segments.get(at + 1).map(|s| s.resumes_after);
        let Some(reader) = self.open_reader(&segment)? else { return Ok(Ended::Segment) };
        let offset = if spot.number == segment.number { spot.offset } else { HEAD as u64 };
        let mut walk = std::mem::take(&mut self.walk);
        walk.start(segment.number, offset, segment.limit());
        let ended = self.read_records(&mut walk, &reader, next_after, spot, limits, batch, now);
        self.walk = walk;
        self.reader = Some(reader);
        ended.map_err(Error::io("read", &segment::file_name(segment.file)))
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one loop, split for length")]
    fn read_records(
        &mut self,
        walk: &mut Walk,
        reader: &Reader<S::File>,
        next_after: Option<Position>,
        spot: &mut Spot,
        limits: Limits,
        batch: &mut Batch,
        now: Mono,
    ) -> io::Result<Ended> {
        loop {
            let rest = (walk.offset(), walk.limit());
            match walk.next(&self.log.storage, &reader.file)? {
                Step::Record { header, payload, skipped } => {
                    if header.position < spot.position {
                        continue;
                    }
                    if header.position > spot.position {
                        let due = (spot.position, header.position);
                        if self.comes_later(reader, rest, due)? {
                            continue;
                        }
                    }
                    if header.position > limits.through {
                        return Ok(Ended::Batch);
                    }
                    let more = batch.records.len() < limits.records
                        && (batch.is_empty() || batch.bytes() + payload.len() <= limits.bytes);
                    if !more {
                        return Ok(Ended::Batch);
                    }
                    if header.device_tag == reader.tag {
                        batch.push(&header, &reader.device, None, payload);
                    } else {
                        batch.push(&header, &self.device_of(header.device_tag), None, payload);
                    }
                    if header.position > spot.position {
                        let hole = (spot.position, header.position.previous());
                        self.hole(Reason::Damage, hole, skipped, now);
                    }
                    let number = reader.number;
                    *spot = Spot { number, offset: walk.offset(), position: header.position.next() };
                }
                // An older mark may have come back in place of later commits: believe it only when nothing
                // is missing.
                Step::Mark { .. } if next_after.is_some_and(|last| last < spot.position) => {
                    return Ok(Ended::Segment);
                }
                Step::Mark { .. } => {}
                Step::End { .. } => return Ok(Ended::Segment),
            }
        }
    }

    /// Whether a record that is due, or any before the one found, stands further on in the segment: then the
    /// one found was written to the wrong place. Only asked when something is missing.
    fn comes_later(
        &self,
        reader: &Reader<S::File>,
        (offset, limit): (u64, u64),
        (due, found): (Position, Position),
    ) -> io::Result<bool> {
        let mut walk = Walk::default();
        walk.start(reader.number, offset, limit);
        loop {
            match walk.next(&self.log.storage, &reader.file)? {
                Step::Record { header, .. } if (due..found).contains(&header.position) => return Ok(true),
                Step::Record { .. } | Step::Mark { .. } => {}
                Step::End { .. } => return Ok(false),
            }
        }
    }

    /// The reader arrives at a segment that starts behind the position it expects.
    fn enter(&mut self, segment: &Segment, spot: &mut Spot, now: Mono) {
        if spot.position <= segment.resumes_after {
            self.hole(Reason::Damage, (spot.position, segment.resumes_after), 0, now);
        }
        spot.position = segment.first;
    }

    /// Records that should be there and are not: said once, by a gap record for all.
    fn hole(&mut self, reason: Reason, (from, through): (Position, Position), bytes: u64, now: Mono) {
        if self.reported.iter().any(|&(a, b)| a <= from && through <= b) {
            return;
        }
        if self.reported.is_full() {
            self.reported.pop_front();
        }
        self.reported.push_back((from, through)).expect("room was made");
        self.skipped_bytes += bytes;
        let records = through.0 - from.0 + 1;
        self.dropped[reason.index()] += records;
        self.push_gap(reason, records, bytes, from, through, &Name::default(), now);
        self.commit_at = Some(now);
    }

    /// The file of a segment; `None` when it was removed from outside.
    fn open_reader(&mut self, segment: &Segment) -> Result<Option<Reader<S::File>>, Error> {
        if let Some(reader) = self.reader.take_if(|r| r.number == segment.number) {
            return Ok(Some(reader));
        }
        let name = segment::file_name(segment.file);
        let file = match self.log.storage.open(&name, false) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", &name)(e)),
        };
        let device = match segment::read_head(&self.log.storage, &file).map_err(Error::io("read", &name))? {
            HeadFound::Good(head) if head.number == segment.number => head.device,
            _ => self.owner.device.clone(),
        };
        let tag = device.tag();
        Ok(Some(Reader { number: segment.number, file, device, tag }))
    }

    pub(super) fn close_reader(&mut self, number: u64) {
        self.reader.take_if(|r| r.number == number);
    }

    /// The device of a record whose segment does not say it: any other segment of the same device does.
    fn device_of(&self, tag: u32) -> Name {
        if self.owner.device.tag() == tag {
            return self.owner.device.clone();
        }
        let storage = &self.log.storage;
        let said = self.log.segments.iter().find_map(|segment| {
            let file = storage.open(&segment::file_name(segment.file), false).ok()?;
            match segment::read_head(storage, &file) {
                Ok(HeadFound::Good(head)) if head.device.tag() == tag => Some(head.device),
                _ => None,
            }
        });
        said.unwrap_or_else(|| Name::unknown(tag))
    }

    fn unsynced(&self, batch: &Batch) -> Option<(Position, Position)> {
        let boot = self.owner.boot;
        let mut positions =
            batch.records.iter().filter(|e| e.boot == boot && !e.stamp.synced).map(|e| e.position);
        let first = positions.next()?;
        Some((first, positions.next_back().unwrap_or(first)))
    }

    /// Gives unsynced records the wall time they should have had, where that is known.
    fn correct(&mut self, batch: &mut Batch) -> Result<(), Error> {
        for at in 0..batch.records.len() {
            let entry = &batch.records[at];
            if entry.stamp.synced {
                continue;
            }
            let (boot, position, stamp) = (entry.boot, entry.position, entry.stamp);
            let sync = if boot == self.owner.boot { self.sync } else { self.clock_of(boot)? };
            batch.records[at].corrected = sync.and_then(|sync| sync.corrected(boot, position, stamp));
        }
        Ok(())
    }

    /// What is known of the clock of an earlier boot: looked up in its segments once.
    fn clock_of(&mut self, boot: BootId) -> Result<Option<ClockSync>, Error> {
        if let Some((_, sync)) = self.clocks.iter().find(|(b, _)| *b == boot) {
            return Ok(*sync);
        }
        let mut found = None;
        for segment in self.log.segments.iter().filter(|s| s.boot.is_none_or(|b| b == boot)) {
            let name = segment::file_name(segment.file);
            let file = match self.log.storage.open(&name, false) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io("open", &name)(e)),
            };
            self.walk.start(segment.number, HEAD as u64, segment.limit());
            found = first_sync(&self.log.storage, &file, boot, &mut self.walk)
                .map_err(Error::io("read", &name))?;
            if found.is_some() {
                break;
            }
        }
        if self.clocks.is_full() {
            self.clocks.pop_front();
        }
        self.clocks.push_back((boot, found)).expect("room was made");
        Ok(found)
    }
}

fn first_sync<S: Storage>(
    storage: &S,
    file: &S::File,
    boot: BootId,
    walk: &mut Walk,
) -> io::Result<Option<ClockSync>> {
    loop {
        match walk.next(storage, file)? {
            Step::Record { header, payload, .. } if header.kind == Kind::ClockSync && header.boot == boot => {
                if let Some(sync) = ClockSync::decode(&header, payload) {
                    return Ok(Some(sync));
                }
            }
            Step::Record { .. } | Step::Mark { .. } => {}
            Step::End { .. } => return Ok(None),
        }
    }
}
