//! The segments of one directory: opening, writing at the end, giving room back at the start.
//!
//! Invariants: a `.seg` file has a synced header and a first commit; positions grow from segment to segment; only the last
//! segment is ever written; a segment whose write or sync failed is never written again.

use std::collections::VecDeque;
use std::io;

use super::cursors::{cursor_name, read_cursor};
use super::dead;
use super::endpoint::{CursorFound, Name};
use super::error::Error;
use super::record::{MARK, Position};
use super::segment::{self, HEAD, Head, HeadFound, Named, Step, Walk};
use super::storage::{Fill, Storage};
use crate::time::BootId;

/// Segments a directory may have, whatever their length; beyond, the outbox counts as full.
pub(super) const MAX_SEGMENTS: usize = 8_192;
/// Files kept for their next life instead of being removed.
const SPARES: usize = 2;

/// What is known of a segment without reading it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// What its records are bound to.
    pub number: u64,
    /// Number in the file's name: another one only when somebody has renamed it.
    pub file: u64,
    pub first: Position,
    pub resumes_after: Position,
    /// `None` when the header is damaged.
    pub boot: Option<BootId>,
    /// Length of the file.
    pub bytes: u64,
    /// End of the last commit, where this process knows it.
    pub end: Option<u64>,
}

impl Segment {
    /// Nothing of this segment lies at or behind this offset.
    pub(super) fn limit(&self) -> u64 {
        self.end.unwrap_or(self.bytes)
    }
}

#[derive(Clone, Copy, Debug)]
struct Spare {
    number: u64,
    bytes: u64,
}

/// The segments, oldest first; the last one is open for writing while `tail` is there.
#[derive(Debug)]
pub(super) struct Log<S: Storage> {
    pub storage: S,
    pub segments: VecDeque<Segment>,
    tail: Option<S::File>,
    /// The name the last segment has until its first commit is on the disk.
    unnamed: Option<String>,
    spares: heapless::Vec<Spare, SPARES>,
    next_number: u64,
    /// The first number this process gives. Only its own files are used again: one that an earlier process had taken up
    /// for a segment and not named yet holds records bound to a number that will be given once more.
    own_from: u64,
    /// Length of a new segment.
    segment_len: u64,
    /// Whether syncs happen at all.
    syncs: bool,
    fill: Fill,
}

/// What opening a directory brought to light.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Position of the last record, 0 when there is none.
    pub last: Position,
    /// Last position that is known to have been written, whether its record can still be read or not.
    pub written: Position,
    /// The next position that may be given out.
    pub next: Position,
    /// Bytes behind the last good record that are not what a commit leaves.
    pub torn_bytes: Option<u64>,
    pub cursors: Vec<String>,
    pub has_dead: bool,
    /// Files left alone: not of this program, or doubles.
    pub foreign: Vec<String>,
}

/// How segments are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making {
    pub segment_len: u64,
    pub syncs: bool,
    pub fill: Fill,
}

impl<S: Storage> Log<S> {
    /// Reads every header and the last segment; makes nothing yet.
    pub(super) fn open(mut storage: S, making: Making) -> Result<(Self, Opened), Error> {
        storage.prepare().map_err(Error::io("make a file in", ""))?;
        let mut opened = Opened::default();
        let listing = list(&storage, &mut opened)?;
        let mut log = Self {
            storage,
            segments: VecDeque::new(),
            tail: None,
            unnamed: None,
            spares: heapless::Vec::new(),
            next_number: listing.next_number,
            own_from: 0,
            segment_len: making.segment_len,
            syncs: making.syncs,
            fill: making.fill,
        };
        let mut walk = Walk::default();
        for (number, bytes) in listing.segments {
            match log.inspect(number, bytes, &mut walk)? {
                Some(segment) => log.segments.push_back(segment),
                None => opened.foreign.push(segment::file_name(number)),
            }
        }
        refuse_newer(&log.storage, &opened)?;
        log.order(&mut opened);
        log.own_from = log.next_number;
        log.scan_last(&mut walk, &mut opened)?;
        for spare in listing.spares {
            let name = segment::spare_name(spare);
            log.storage.remove(&name).map_err(Error::io("remove", &name))?;
        }
        Ok((log, opened))
    }

    /// What a segment file holds; `None` when it is not one.
    fn inspect(&self, number: u64, bytes: u64, walk: &mut Walk) -> Result<Option<Segment>, Error> {
        let name = segment::file_name(number);
        let file = self.storage.open(&name, false).map_err(Error::io("open", &name))?;
        let head = segment::read_head(&self.storage, &file).map_err(Error::io("read", &name))?;
        match head {
            HeadFound::Good(head) => Ok(Some(Segment {
                number: head.number,
                file: number,
                first: head.first,
                resumes_after: head.resumes_after,
                boot: Some(head.boot),
                bytes,
                end: None,
            })),
            HeadFound::Newer(version) => Err(Error::Newer { name, version }),
            HeadFound::Bad => {
                walk.start(number, 0, bytes);
                let first = lowest(&self.storage, &file, walk).map_err(Error::io("read", &name))?;
                Ok(first.map(|first| Segment {
                    number,
                    file: number,
                    first,
                    resumes_after: first.previous(),
                    boot: None,
                    bytes,
                    end: None,
                }))
            }
        }
    }

    /// By number; a second file with the same number is left alone.
    fn order(&mut self, opened: &mut Opened) {
        let segments = self.segments.make_contiguous();
        segments.sort_by_key(|s| (s.number, s.number != s.file));
        let mut seen = None;
        self.segments.retain(|s| {
            let double = seen == Some(s.number);
            seen = Some(s.number);
            if double {
                opened.foreign.push(segment::file_name(s.file));
            }
            !double
        });
        self.next_number = self.next_number.max(seen.map_or(1, |n: u64| n.saturating_add(1)));
    }

    /// Finds the end of the log, makes sure it is on the disk, and gives back what was reserved behind it.
    fn scan_last(&mut self, walk: &mut Walk, opened: &mut Opened) -> Result<(), Error> {
        let Some(last) = self.segments.back_mut() else {
            opened.next = Position(1);
            return Ok(());
        };
        let name = segment::file_name(last.file);
        let file = self.storage.open(&name, true).map_err(Error::io("open", &name))?;
        walk.start(last.number, HEAD as u64, last.bytes);
        (opened.last, opened.next) = (last.resumes_after, last.resumes_after.next());
        let mut clean = false;
        let mut good = HEAD as u64;
        loop {
            match walk.next(&self.storage, &file).map_err(Error::io("read", &name))? {
                Step::Record { header, .. } => {
                    clean = false;
                    opened.last = opened.last.max(header.position);
                }
                Step::Mark { next, .. } => {
                    clean = true;
                    if next > last.first {
                        opened.next = opened.next.max(next);
                    }
                }
                Step::End { rest } => {
                    opened.torn_bytes = (!clean).then_some(rest.min(COMMIT_BYTES as u64));
                    break;
                }
            }
            good = walk.offset();
        }
        opened.next = opened.next.max(opened.last.next());
        opened.written = opened.next.previous().max(opened.last);
        opened.next = opened.next.max(last.first);
        if opened.torn_bytes.is_some() {
            // Records of the torn commit may come to light again: their positions stay unused.
            opened.next = Position(opened.next.0 + COMMIT_RECORDS as u64);
        }
        if self.syncs {
            // Contents and name may have been read from memory only: say nothing is durable before it is.
            self.storage.sync(&file).map_err(Error::io("sync", &name))?;
            self.storage.sync_dir().map_err(Error::io("sync the directory of", &name))?;
        }
        if clean && last.bytes > good {
            self.storage.truncate(&file, good).map_err(Error::io("shorten", &name))?;
            (last.bytes, last.end) = (good, Some(good));
        }
        Ok(())
    }

    /// All files of segments, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|s| s.bytes).sum();
        segments + self.spares.iter().map(|s| s.bytes).sum::<u64>()
    }

    /// Bytes that can still be written before the next segment is needed.
    pub(super) fn room(&self) -> usize {
        match (&self.tail, self.segments.back()) {
            (Some(_), Some(last)) => last.bytes.saturating_sub(last.limit() + MARK as u64) as usize,
            _ => 0,
        }
    }

    pub(super) fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Whether one more segment fits under `max_bytes`.
    pub(super) fn may_grow(&self, max_bytes: u64) -> bool {
        self.segments.len() < MAX_SEGMENTS && self.bytes() + self.segment_len <= max_bytes
    }

    pub(super) fn segment_len(&self) -> u64 {
        self.segment_len
    }

    /// Starts a new segment. It gets its `.seg` name with the first [`Log::write`].
    pub(super) fn begin(
        &mut self,
        first: Position,
        resumes_after: Position,
        owner: &Owner,
    ) -> Result<(), Error> {
        self.tail = None;
        // Whatever comes of it: a file of this number that could not be removed is in nobody's way.
        let number = self.next_number;
        self.next_number += 1;
        let recycled = self.spares.pop();
        let waiting = segment::spare_name(recycled.map_or(number, |spare| spare.number));
        let bytes = self.segment_len;
        let opened = match recycled {
            Some(_) => self.storage.open(&waiting, true),
            None => self.storage.create(&waiting, bytes, self.fill),
        };
        let file = opened.map_err(Error::io("make", &waiting))?;
        let Owner { boot, device, stamp } = owner.clone();
        let head = Head { number, first, resumes_after, boot, device, stamp };
        if let Err(e) = self.storage.write_at(&file, 0, &head.encode()) {
            drop(file);
            // Or every attempt would leave one more file. The error is told; this one changes nothing.
            drop(self.storage.remove(&waiting));
            return Err(Error::io("write", &waiting)(e));
        }
        let (boot, end) = (Some(boot), Some(HEAD as u64));
        self.segments.push_back(Segment { number, file: number, first, resumes_after, boot, bytes, end });
        (self.tail, self.unnamed) = (Some(file), Some(waiting));
        Ok(())
    }

    /// Writes `bytes` (whole sealed records and a mark) behind the last commit, and syncs if the class does.
    /// After an error this segment is never written again.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (Some(file), Some(last)) = (&self.tail, self.segments.back()) else {
            unreachable!("the caller asked for room first");
        };
        let (at, name) = (last.limit(), segment::file_name(last.file));
        let mut done = self.storage.write_at(file, at, bytes).map_err(Error::io("write", &name));
        if self.syncs && done.is_ok() {
            done = self.storage.sync(file).map_err(Error::io("sync", &name));
        }
        if done.is_ok() {
            done = self.name_last(&name);
        }
        if done.is_err() {
            self.give_up_last();
            return done;
        }
        let last = self.segments.back_mut().expect("it was there above");
        last.end = Some(at + bytes.len() as u64 - MARK as u64);
        Ok(())
    }

    fn name_last(&mut self, name: &str) -> Result<(), Error> {
        let Some(waiting) = &self.unnamed else { return Ok(()) };
        self.storage.rename(waiting, name).map_err(Error::io("rename", waiting))?;
        if self.syncs {
            self.storage.sync_dir().map_err(Error::io("sync the directory of", name))?;
        }
        self.unnamed = None;
        Ok(())
    }

    /// Nothing more goes into the last segment. One that never had a commit is no segment.
    fn give_up_last(&mut self) {
        self.tail = None;
        if let Some(waiting) = self.unnamed.take() {
            self.segments.pop_back();
            // The error that led here is told; whether the blocks can be given back changes nothing.
            drop(self.storage.remove(&waiting));
        }
    }

    /// Syncs the open segment, whatever the class.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        let (Some(file), Some(last)) = (&self.tail, self.segments.back()) else { return Ok(()) };
        if let Err(e) = self.storage.sync(file) {
            self.tail = None;
            return Err(Error::io("sync", &segment::file_name(last.file))(e));
        }
        Ok(())
    }

    /// Last position of the oldest segment, if that is not the one being written.
    pub(super) fn oldest_ends(&self) -> Option<Position> {
        self.segments.get(1).map(|next| next.resumes_after)
    }

    /// Takes the oldest segment away; its blocks are kept for a new one if there is need. The directory is
    /// not synced: a name that comes back holds what is behind every cursor, and a spare file gets its next
    /// name, synced, only after its next first commit.
    pub(super) fn pop_oldest(&mut self) -> Result<Segment, Error> {
        let oldest = self.segments.front().expect("the caller has seen it").clone();
        let spare = Spare { number: oldest.file, bytes: oldest.bytes };
        let name = segment::file_name(oldest.file);
        let reusable = oldest.number >= self.own_from && oldest.bytes == self.segment_len;
        let gone = if reusable && !self.spares.is_full() {
            self.storage.rename(&name, &segment::spare_name(oldest.file)).map(|()| true)
        } else {
            self.storage.remove(&name).map(|()| false)
        };
        match gone {
            Ok(true) => drop(self.spares.push(spare)),
            Ok(false) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("remove", &name)(e)),
        }
        self.segments.pop_front();
        Ok(oldest)
    }

    /// Index of the segment a position lies in: the last that starts at or before it.
    pub(super) fn find(&self, position: Position) -> usize {
        self.segments.partition_point(|s| s.first <= position).saturating_sub(1)
    }
}

/// The lowest position in a segment; the record that comes first may have been written to the wrong place.
fn lowest<S: Storage>(storage: &S, file: &S::File, walk: &mut Walk) -> io::Result<Option<Position>> {
    let mut lowest = None;
    loop {
        match walk.next(storage, file)? {
            Step::Record { header, .. } => {
                lowest = Some(lowest.map_or(header.position, |p: Position| p.min(header.position)));
            }
            Step::Mark { .. } => {}
            Step::End { .. } => return Ok(lowest),
        }
    }
}

/// Who writes: goes into the header of every new segment.
#[derive(Clone, Debug)]
pub struct Owner {
    pub boot: BootId,
    pub device: Name,
    pub stamp: crate::time::Stamp,
}

/// Most of one write: what a torn commit can cost, and the size of the buffer.
pub(super) const COMMIT_BYTES: usize = 256 << 10;
pub(super) const COMMIT_RECORDS: usize = 1_024;

/// Beyond this a name is not one this program gave: it would leave no numbers for new segments.
const LAST_NUMBER: u64 = 1 << 56;

/// Cursors and dead letters of a later program: asked for before anything is changed.
fn refuse_newer<S: Storage>(storage: &S, opened: &Opened) -> Result<(), Error> {
    for endpoint in &opened.cursors {
        let name = cursor_name(endpoint);
        if let CursorFound::Newer(version) = read_cursor(storage, &name)? {
            return Err(Error::Newer { name, version });
        }
    }
    dead::refuse_newer(storage)
}

struct Listing {
    segments: Vec<(u64, u64)>,
    spares: Vec<u64>,
    next_number: u64,
}

fn list<S: Storage>(storage: &S, opened: &mut Opened) -> Result<Listing, Error> {
    let mut listing = Listing { segments: Vec::new(), spares: Vec::new(), next_number: 1 };
    let each = &mut |name: &str, bytes: u64| match Named::of(name) {
        Named::Segment(number) | Named::Spare(number) if number > LAST_NUMBER => {
            opened.foreign.push(name.to_owned());
        }
        Named::Segment(number) => {
            listing.next_number = listing.next_number.max(number.saturating_add(1));
            listing.segments.push((number, bytes));
        }
        Named::Spare(number) => {
            listing.next_number = listing.next_number.max(number.saturating_add(1));
            listing.spares.push(number);
        }
        Named::Cursor(endpoint) => opened.cursors.push(endpoint.to_owned()),
        Named::Dead => opened.has_dead = true,
        Named::Temporary => {}
        Named::Foreign => opened.foreign.push(name.to_owned()),
    };
    storage.list(each).map_err(Error::io("list", ""))?;
    Ok(listing)
}
