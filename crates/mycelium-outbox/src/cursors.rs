//! How far each endpoint has come, in memory and on disk.

use std::io;

use crate::bad_blocks::OpeningReads;
use crate::error::OutboxError;
use crate::format::cursor::{CURSOR_FILE_BYTES, Cursor, CursorFile, SLOT_STRIDE_BYTES};
use crate::format::file_name::cursor_file_name;
use crate::format::name::SafeName;
use crate::format::record::Position;
use crate::log::ReadPosition;
use crate::scan::read_blocks;
use crate::storage::{EIO, Preallocation, Storage, open_existing};
use crate::time::Mono;

/// Most endpoints of an outbox.
pub const MAX_ENDPOINTS: usize = 8;

/// In place of a segment number where a cursor is read.
const NO_SEGMENT: u64 = 0;

/// One endpoint: its cursor, and where its next record is in the log.
#[derive(Debug)]
pub(crate) struct EndpointCursor<F> {
    name: SafeName,
    cursor: Cursor,
    /// `acked` as it is on disk.
    synced_acked: Position,
    /// Generation of the last slot written; 0 when there is no file yet.
    generation: u64,
    file: Option<F>,
    /// Since when the cursor in memory differs from the one on disk.
    dirty_since: Option<Mono>,
    /// First and last unsynced record of this boot in the last fetch.
    unsynced: Option<(Position, Position)>,
    /// Where the record after `acked` is.
    start: Option<ReadPosition>,
    /// Where the record after the last fetch is.
    end: Option<ReadPosition>,
}

impl<F> EndpointCursor<F> {
    /// `dirty_since` is `None` when `cursor` is on disk already.
    fn new(name: SafeName, cursor: Cursor, generation: u64, dirty_since: Option<Mono>) -> Self {
        Self {
            name,
            cursor,
            synced_acked: cursor.acked,
            generation,
            file: None,
            dirty_since,
            unsynced: None,
            start: None,
            end: None,
        }
    }

    pub fn name(&self) -> &SafeName {
        &self.name
    }

    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    pub fn unsynced(&self) -> Option<(Position, Position)> {
        self.unsynced
    }

    /// Where the record after the acknowledged position is, if that is known.
    pub fn start(&self) -> Option<ReadPosition> {
        self.start
    }

    /// Remembers where a fetch ended and which of its records are unsynced.
    pub fn fetched(&mut self, end: ReadPosition, unsynced: Option<(Position, Position)>) {
        (self.end, self.unsynced) = (Some(end), unsynced);
    }

    /// Everything up to `through` was delivered.
    pub fn ack(&mut self, through: Position, now: Mono) {
        if through <= self.cursor.acked {
            return;
        }
        self.cursor.acked = through;
        self.dirty_since.get_or_insert(now);
        self.start = self.end.take().filter(|end| end.position == through.next());
    }

    /// The batch up to `through` is about to be sent.
    pub fn freeze(&mut self, through: Position, now: Mono) {
        self.cursor.frozen_through = through;
        self.dirty_since.get_or_insert(now);
    }

    /// Moves over records that cannot be read.
    pub fn skip_to(&mut self, through: Position, now: Mono) {
        self.cursor.acked = through;
        self.cursor.frozen_through = through;
        self.dirty_since.get_or_insert(now);
        (self.start, self.end) = (None, None);
    }

    /// Moves over positions that never were records: nothing is lost.
    pub fn skip_unused(&mut self, from: Position, through: Position) {
        if self.cursor.acked >= from && self.cursor.acked < through {
            self.cursor.acked = through;
        }
    }

    /// The loss if everything up to `through` is dropped: the first position lost and the number of records. Includes
    /// the last reported loss as long as its gap record is not acknowledged: that record may be dropped before it is.
    pub fn loss_if_dropped(&self, through: Position) -> Option<(Position, u64)> {
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

    /// Moves over a loss and remembers that the gap record at `gap_at` reports it; returns how many records were lost
    /// now.
    pub fn record_loss(
        &mut self,
        (from, through): (Position, Position),
        records: u64,
        gap_at: Position,
        now: Mono,
    ) -> u64 {
        let lost_now = through.0 - self.cursor.acked.0;
        self.dirty_since.get_or_insert(now);
        // A batch that lost a part of itself is no longer that batch: nothing stays frozen.
        self.cursor = Cursor {
            acked: through,
            frozen_through: through,
            lost_from: from,
            lost_records: records,
            gap_at,
        };
        (self.start, self.end) = (None, None);
        lost_now
    }

    /// Writes the cursor into the slot of the next generation. After an error the file is opened again (a second sync
    /// of the same descriptor would not report the error again) and the same slot is written: the other one is the last
    /// that is known to be valid.
    fn write<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        readable: Position,
        syncs: bool,
    ) -> Result<(), OutboxError> {
        let name = cursor_file_name(self.name.as_str());
        let file = match self.file.take() {
            Some(file) => file,
            None => open_or_create(storage, &name, syncs)?,
        };
        let generation = self.generation + 1;
        let cursor = reported(self.cursor, readable);
        let offset = (generation % 2) * SLOT_STRIDE_BYTES as u64;
        storage
            .write_at(&file, offset, &cursor.encode(generation))
            .map_err(OutboxError::io("write", &name))?;
        if syncs {
            storage.sync(&file).map_err(OutboxError::io("sync", &name))?;
        }
        self.file = Some(file);
        self.generation = generation;
        self.synced_acked = cursor.acked;
        self.dirty_since = None;
        Ok(())
    }
}

/// The cursor as it may be on disk: a loss counts as reported only once its gap record is written, so that the next
/// start reports it after a crash in between.
fn reported(cursor: Cursor, readable: Position) -> Cursor {
    if cursor.gap_at <= readable {
        return cursor;
    }
    let acked = cursor.lost_from.previous();
    Cursor { acked, lost_from: Position(0), lost_records: 0, gap_at: Position(0), ..cursor }
}

fn open_or_create<S: Storage>(storage: &mut S, name: &str, syncs: bool) -> Result<S::File, OutboxError> {
    if let Some(file) = open_existing(storage, name, true).map_err(OutboxError::io("open", name))? {
        return Ok(file);
    }
    let created = storage.create(name, CURSOR_FILE_BYTES as u64, Preallocation::Zeros);
    let file = created.map_err(OutboxError::io("make", name))?;
    if syncs {
        storage.sync_dir().map_err(OutboxError::io("sync the directory of", name))?;
    }
    Ok(file)
}

/// Reads a cursor file; `None` when it is missing.
pub(crate) fn read_cursor_file<S: Storage>(
    storage: &S,
    name: &str,
    bad: &mut OpeningReads,
) -> Result<Option<CursorFile>, OutboxError> {
    let Some(file) = open_existing(storage, name, false).map_err(OutboxError::io("open", name))? else {
        return Ok(None);
    };
    let mut bytes = [0; CURSOR_FILE_BYTES];
    let damaged_before = bad.damaged();
    let got = read_blocks(storage, &file, (NO_SEGMENT, 0), &mut bytes, bad)
        .map_err(OutboxError::io("read", name))?;
    let cursor = Cursor::decode(&bytes[..got]);
    if bad.damaged() > damaged_before && !matches!(cursor, CursorFile::Valid { .. }) {
        // It may be valid once it can be read.
        return Err(OutboxError::io("read", name)(io::Error::from_raw_os_error(EIO)));
    }
    Ok(Some(cursor))
}

/// The cursors of all endpoints, in the order of the configuration.
///
/// Invariant: a segment may be removed up to [`Cursors::reclaimable`], which only counts what is on disk.
#[derive(Debug)]
pub(crate) struct Cursors<F> {
    endpoints: heapless::Vec<EndpointCursor<F>, MAX_ENDPOINTS>,
    /// Whether writes are synced.
    syncs: bool,
}

impl<F> Cursors<F> {
    pub fn new(syncs: bool) -> Self {
        Self { endpoints: heapless::Vec::new(), syncs }
    }

    /// Adds an endpoint; false when there are too many. `dirty_since` is `None` when the cursor is on disk already.
    pub fn add(
        &mut self,
        name: SafeName,
        cursor: Cursor,
        generation: u64,
        dirty_since: Option<Mono>,
    ) -> bool {
        self.endpoints.push(EndpointCursor::new(name, cursor, generation, dirty_since)).is_ok()
    }

    /// Sorts the endpoints, so that an index means the same for the caller of the outbox.
    pub fn sort_as(&mut self, names: &[SafeName]) {
        self.endpoints.sort_unstable_by_key(|e| names.iter().position(|name| *name == e.name));
    }

    pub fn all(&self) -> &[EndpointCursor<F>] {
        &self.endpoints
    }

    pub fn all_mut(&mut self) -> &mut [EndpointCursor<F>] {
        &mut self.endpoints
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.endpoints.iter().position(|e| e.name.as_str() == name)
    }

    pub fn get(&self, endpoint: usize) -> Result<&EndpointCursor<F>, OutboxError> {
        self.endpoints.get(endpoint).ok_or(OutboxError::UnknownEndpoint)
    }

    pub fn get_mut(&mut self, endpoint: usize) -> Result<&mut EndpointCursor<F>, OutboxError> {
        self.endpoints.get_mut(endpoint).ok_or(OutboxError::UnknownEndpoint)
    }

    /// Since when the oldest change waits to be written.
    pub fn dirty_since(&self) -> Option<Mono> {
        self.endpoints.iter().filter_map(|e| e.dirty_since).min()
    }

    /// Every endpoint has acknowledged everything up to here, durably; `None` without endpoints.
    pub fn reclaimable(&self) -> Option<Position> {
        self.endpoints.iter().map(|e| e.synced_acked).min()
    }

    /// Files are opened again with the next write.
    pub fn close_files(&mut self) {
        for endpoint in &mut self.endpoints {
            endpoint.file = None;
        }
    }

    /// Writes the cursor of one endpoint.
    pub fn write<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        endpoint: usize,
        readable: Position,
    ) -> Result<(), OutboxError> {
        self.endpoints[endpoint].write(storage, readable, self.syncs)
    }

    /// Writes every cursor that has changed.
    pub fn write_changed<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        readable: Position,
    ) -> Result<(), OutboxError> {
        let mut changed = self.endpoints.iter_mut().filter(|e| e.dirty_since.is_some());
        changed.try_for_each(|e| e.write(storage, readable, self.syncs))
    }

    /// Writes the cursors that have no file yet. An endpoint without a cursor starts at the oldest record: what is
    /// dropped before it has one would not be missed after a power cut.
    pub fn write_first<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        readable: Position,
    ) -> Result<(), OutboxError> {
        let mut new = self.endpoints.iter_mut().filter(|e| e.generation == 0);
        new.try_for_each(|e| e.write(storage, readable, self.syncs))
    }
}
