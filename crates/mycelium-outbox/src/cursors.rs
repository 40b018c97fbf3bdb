//! How far each endpoint has come, in memory and on the disk.

use super::core::Outbox;
use super::endpoint::{CURSOR_FILE, Cursor, CursorFound, Name, SLOT, SLOT_STEP};
use super::error::Error;
use super::fetch::Spot;
use super::log::Opened;
use super::policy::Durability;
use super::record::Position;
use super::storage::{self, Fill, Storage};
use super::sync::ClockSync;
use crate::time::Mono;

/// One endpoint of the configuration.
#[derive(Debug)]
pub(super) struct Endpoint<F> {
    pub name: Name,
    pub cursor: Cursor,
    /// `acked` as the disk has it.
    pub synced_acked: Position,
    generation: u64,
    file: Option<F>,
    dirty_since: Option<Mono>,
    /// First and last record of this boot in the last fetch whose time is not known.
    pub unsynced: Option<(Position, Position)>,
    /// Where the record behind `acked` is, and where the one behind the last fetch is.
    pub start: Option<Spot>,
    pub end: Option<Spot>,
}

impl<F> Endpoint<F> {
    /// What dropping everything up to `through` costs: the first position lost and the number of records,
    /// with those of the last report as long as that was not taken: it may be dropped before it is.
    pub(super) fn loses(&self, through: Position) -> Option<(Position, u64)> {
        let c = &self.cursor;
        if through <= c.acked {
            return None;
        }
        let records = through.0 - c.acked.0;
        if c.gap_at > c.acked {
            return Some((c.lost_from, c.lost_records + records));
        }
        Some((c.acked.next(), records))
    }

    /// Whether a record up to `through`, as last fetched, gets another time once this is on the disk.
    fn will_change(&self, sync: ClockSync, through: Position) -> bool {
        self.unsynced
            .is_some_and(|(first, last)| first.max(sync.uncorrected_through.next()) <= last.min(through))
    }

    /// The file is opened anew with the next write.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Moves over records that cannot be read.
    pub(super) fn pass_over(&mut self, through: Position, now: Mono) {
        self.cursor.acked = through;
        self.cursor.frozen_through = through;
        self.dirty_since.get_or_insert(now);
        (self.start, self.end) = (None, None);
    }

    /// Moves over what is lost and remembers which gap record says so; returns how many records that were.
    pub(super) fn lost(
        &mut self,
        (from, through): (Position, Position),
        records: u64,
        gap_at: Position,
        now: Mono,
    ) -> u64 {
        let c = &mut self.cursor;
        let fresh = through.0 - c.acked.0;
        self.dirty_since.get_or_insert(now);
        // A batch that lost a part of itself is no longer that batch.
        *c = Cursor {
            acked: through,
            frozen_through: through,
            lost_from: from,
            lost_records: records,
            gap_at,
        };
        (self.start, self.end) = (None, None);
        fresh
    }
}

/// The cursor as it may be on the disk: a loss counts as reported only once its gap record is written, so
/// that a crash in between makes the next start report it.
fn reported(cursor: Cursor, readable: Position) -> Cursor {
    if cursor.gap_at <= readable {
        return cursor;
    }
    let acked = cursor.lost_from.previous();
    Cursor { acked, lost_from: Position(0), lost_records: 0, gap_at: Position(0), ..cursor }
}

pub(super) fn cursor_name(endpoint: &str) -> String {
    format!("{endpoint}.cursor")
}

pub(super) fn read_cursor<S: Storage>(storage: &S, name: &str) -> Result<CursorFound, Error> {
    let file = storage.open(name, false).map_err(Error::io("open", name))?;
    let mut bytes = [0; CURSOR_FILE];
    let got = storage.read_at(&file, 0, &mut bytes).map_err(Error::io("read", name))?;
    Ok(Cursor::decode(&bytes[..got]))
}

impl<S: Storage> Outbox<S> {
    /// Reads the cursors of all endpoints in `names`; a new endpoint starts at the oldest record.
    /// Its cursor goes to the disk with the first commit: from then on a loss at the start is noticed.
    pub(super) fn open_cursors(&mut self, names: &[Name], opened: &Opened, now: Mono) -> Result<(), Error> {
        let oldest = self.log.segments.front().map_or(self.next_position(), |s| s.first).previous();
        let kept = self.log.segments.front().map_or(Position(0), |s| s.resumes_after);
        for name in &opened.cursors {
            let (cursor, generation) = self.read_cursor(name, kept)?;
            let Some(name) = Name::new(name) else { continue };
            let Some(cursor) = cursor else {
                self.set_aside(&name)?;
                continue;
            };
            self.never_reuse(cursor.acked.max(cursor.frozen_through));
            if names.contains(&name) {
                self.add_endpoint(name, cursor, generation);
            } else {
                let text = format!("outbox/{} is of no configured endpoint", cursor_name(name.as_str()));
                self.remarks.push(format!("{text}: it holds nothing back; remove it if it is not needed"));
            }
        }
        for name in names {
            if !self.endpoints.iter().any(|e| e.name == *name) {
                self.add_endpoint(name.clone(), Cursor { acked: oldest, ..Cursor::default() }, 0);
                if let Some(e) = self.endpoints.iter_mut().find(|e| e.name == *name) {
                    e.dirty_since = Some(now);
                }
            }
        }
        // In the order of the configuration, so that an index means the same everywhere.
        self.endpoints.sort_unstable_by_key(|e| names.iter().position(|n| *n == e.name));
        Ok(())
    }

    fn add_endpoint(&mut self, name: Name, cursor: Cursor, generation: u64) {
        let endpoint = Endpoint {
            name,
            cursor,
            synced_acked: cursor.acked,
            generation,
            file: None,
            dirty_since: None,
            unsynced: None,
            start: None,
            end: None,
        };
        if self.endpoints.push(endpoint).is_err() {
            self.remarks
                .push(format!("more than {} endpoints: the rest is not served", super::core::ENDPOINTS));
        }
    }

    /// `kept` is the last position before the oldest segment.
    fn read_cursor(&mut self, name: &str, kept: Position) -> Result<(Option<Cursor>, u64), Error> {
        let file_name = cursor_name(name);
        match read_cursor(&self.log.storage, &file_name)? {
            CursorFound::Good { mut cursor, generation, other_bad } => {
                if other_bad {
                    // What was given back had been taken, or its loss was reported: the lost slot said so.
                    cursor.acked = cursor.acked.max(kept);
                    self.remarks.push(format!(
                        "one half of outbox/{file_name} is damaged: the other one counts, some records may be \
                         sent again"
                    ));
                }
                Ok((Some(cursor), generation))
            }
            CursorFound::Newer(version) => Err(Error::Newer { name: file_name, version }),
            CursorFound::Bad => Ok((None, 0)),
        }
    }

    /// A cursor that says nothing is kept under another name; its endpoint starts at the oldest record.
    fn set_aside(&mut self, name: &Name) -> Result<(), Error> {
        let from = cursor_name(name.as_str());
        let to = storage::set_aside(&mut self.log.storage, &from)?;
        self.remarks.push(format!(
            "outbox/{from} is damaged: it is kept as {to}, and everything still here is sent again"
        ));
        Ok(())
    }

    pub fn endpoint(&self, name: &str) -> Option<usize> {
        self.endpoints.iter().position(|e| e.name.as_str() == name)
    }

    /// Everything up to `through` was taken by this endpoint. On the disk within the time of a group, or
    /// with the next freeze.
    pub fn ack(&mut self, endpoint: usize, through: Position, now: Mono) -> Result<(), Error> {
        let through = through.min(self.readable);
        let e = self.endpoints.get_mut(endpoint).ok_or(Error::Unknown)?;
        if through <= e.cursor.acked {
            return Ok(());
        }
        e.cursor.acked = through;
        e.dirty_since.get_or_insert(now);
        e.start = e.end.take().filter(|spot| spot.position == through.next());
        if self.sync.is_none() {
            self.uncorrected_through = self.uncorrected_through.max(through);
        }
        Ok(())
    }

    /// Fixes the batch up to `through` before it is sent, on the disk: after a restart exactly this is
    /// fetched again. `epoch` is the one of the batch. Also writes what was acknowledged before.
    pub fn freeze(&mut self, endpoint: usize, through: Position, epoch: u32, now: Mono) -> Result<(), Error> {
        if endpoint >= self.endpoints.len() {
            return Err(Error::Unknown);
        }
        if epoch != self.epoch {
            return Err(Error::Stale);
        }
        if self.sync_held.is_some_and(|sync| self.endpoints[endpoint].will_change(sync, through)) {
            return Err(Error::ClockPending);
        }
        let e = &mut self.endpoints[endpoint];
        e.cursor.frozen_through = through.min(self.readable);
        e.dirty_since.get_or_insert(now);
        // Whether or not the cursor can be written: what can be read is sent all the same.
        if self.sync.is_none() {
            self.uncorrected_through = self.uncorrected_through.max(through);
        }
        let written = self.sync_cursor(endpoint);
        if let Err(e) = &written {
            self.set_cursor_trouble(e, now);
            return written;
        }
        self.cursor_trouble = None;
        self.retire(now);
        Ok(())
    }

    /// An endpoint without a cursor starts at the oldest record: what gives way before it has one would be missed by
    /// nobody after a power cut.
    pub(super) fn write_first_cursors(&mut self) -> Result<(), Error> {
        for at in 0..self.endpoints.len() {
            if self.endpoints[at].generation == 0 {
                self.sync_cursor(at)?;
            }
        }
        Ok(())
    }

    /// When the oldest acknowledgement that is not on the disk has waited for the time of a group.
    pub(super) fn cursors_due(&self) -> Option<Mono> {
        self.endpoints.iter().filter_map(|e| e.dirty_since).min().map(|since| since + self.policy.group)
    }

    /// Writes every cursor that has moved, then gives back what nobody needs.
    pub(super) fn sync_cursors(&mut self, now: Mono) {
        for at in 0..self.endpoints.len() {
            if self.endpoints[at].dirty_since.is_none() {
                continue;
            }
            if let Err(e) = self.sync_cursor(at) {
                self.set_cursor_trouble(&e, now);
                return;
            }
        }
        self.cursor_trouble = None;
        self.retire(now);
    }

    fn sync_cursor(&mut self, at: usize) -> Result<(), Error> {
        let syncs = self.policy.durability != Durability::None;
        let storage = &mut self.log.storage;
        let e = &mut self.endpoints[at];
        let name = cursor_name(e.name.as_str());
        let file = match e.file.take() {
            Some(file) => file,
            None => open_or_create(storage, &name, syncs)?,
        };
        let generation = e.generation + 1;
        let cursor = reported(e.cursor, self.readable);
        let slot: [u8; SLOT] = cursor.encode(generation);
        let offset = (generation % 2) * SLOT_STEP as u64;
        // After an error the file is opened anew (a second sync of this descriptor would not repeat it) and
        // the same slot is written again: the other one is the last that is known to be good.
        storage.write_at(&file, offset, &slot).map_err(Error::io("write", &name))?;
        if syncs {
            storage.sync(&file).map_err(Error::io("sync", &name))?;
        }
        e.file = Some(file);
        e.generation = generation;
        e.synced_acked = cursor.acked;
        e.dirty_since = None;
        Ok(())
    }
}

fn open_or_create<S: Storage>(storage: &mut S, name: &str, syncs: bool) -> Result<S::File, Error> {
    match storage.open(name, true) {
        Ok(file) => return Ok(file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("open", name)(e)),
    }
    let file = storage.create(name, CURSOR_FILE as u64, Fill::Zeros).map_err(Error::io("make", name))?;
    if syncs {
        storage.sync_dir().map_err(Error::io("sync the directory of", name))?;
    }
    Ok(file)
}
