//! Records that a receiver rejected, kept apart so that they block no delivery; bounded in number and bytes.

mod file;
mod read;

use std::io;

use crate::bad_blocks::{BadBlocks, OpeningReads};
use crate::error::OutboxError;
use crate::format::dead_letter::{DeadLetterRecord, DeadLetterState};
use crate::format::file_name::{DEAD_LETTER_FILE as NAME, DEAD_LETTER_REPLACEMENT as REPLACEMENT};
use crate::format::name::SafeName;
use crate::format::record::{RecordHeader, RecordKind};
use crate::format::segment::{DEAD_LETTER_SEGMENT, HeaderStatus, SEGMENT_HEADER_BYTES};
use crate::log::WriterIdentity;
use crate::scan::{ScanItem, SegmentScanner};
use crate::storage::{EIO, Storage, quarantine};

/// Most dead letters kept; the oldest are dropped.
pub const MAX_DEAD_LETTERS: usize = 1_000;
/// Most bytes of dead letters kept.
const MAX_DEAD_LETTER_BYTES: u64 = 2 << 20;
/// A file longer than this is rewritten without what no longer counts.
const MAX_FILE_BYTES: u64 = 2 * MAX_DEAD_LETTER_BYTES;

/// Rewrites that fail because a dead letter cannot be read, before it is left out; a delivery repeats them every second.
const REWRITE_ATTEMPTS: u32 = 5;

/// Where a dead letter is in the file.
#[derive(Debug)]
struct IndexEntry {
    id: u64,
    offset: u64,
    /// Length of its record.
    len: u32,
    endpoint: SafeName,
    state: DeadLetterState,
}

/// The dead-letter file and an index of its current entries.
///
/// Invariants: the index is what a reader of `file[..end]` would build; ids increase from entry to entry; a change is
/// applied to the index once it is synced, except that an acknowledged or rejected replay counts at once.
#[derive(Debug)]
pub(crate) struct DeadLetterStore<F> {
    /// `None` until it is needed, and after an error.
    file: Option<F>,
    /// Offset of the end of the last valid record; 0 when there is no file.
    end: u64,
    next_id: u64,
    index: Vec<IndexEntry>,
    dropped: u64,
    /// Rewrites in a row that failed because a dead letter could not be read.
    failed_rewrites: u32,
}

impl<F> Default for DeadLetterStore<F> {
    fn default() -> Self {
        Self { file: None, end: 0, next_id: 1, index: Vec::new(), dropped: 0, failed_rewrites: 0 }
    }
}

/// Fails for a dead-letter file of a later program.
pub(crate) fn refuse_newer<S: Storage>(storage: &S, bad: &mut dyn BadBlocks) -> Result<(), OutboxError> {
    file::open(storage, false, bad).map(drop)
}

impl<F> DeadLetterStore<F> {
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Length of their records.
    pub fn bytes(&self) -> u64 {
        self.index.iter().map(|entry| u64::from(entry.len)).sum()
    }

    /// Dead letters dropped by this process because there were too many, or because they could not be read.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The file is opened again when it is needed.
    pub fn close_file(&mut self) {
        self.file = None;
    }

    /// Whether any dead letter is to be delivered to this endpoint again.
    pub fn has_replay(&self, endpoint: &SafeName) -> bool {
        self.index.iter().any(|entry| entry.is_replay_for(endpoint))
    }

    /// Builds the index; a missing file is empty. With `may_change`, a file that is not readable at all is quarantined.
    pub fn open<S: Storage<File = F>>(
        storage: &mut S,
        scanner: &mut SegmentScanner,
        warnings: &mut Vec<String>,
        may_change: bool,
    ) -> Result<Self, OutboxError> {
        let mut store = Self::default();
        let mut bad = OpeningReads::default();
        let Some((file, header)) = file::open(storage, may_change, &mut bad)? else { return Ok(store) };
        let mut skipped = store.read_index(storage, &file, scanner, &mut bad)?;
        let damaged_header = header == HeaderStatus::Damaged;
        if damaged_header && store.next_id == 1 {
            let mut warning = format!("outbox/{NAME} is not readable");
            if may_change {
                let to = quarantine(storage, NAME).map_err(OutboxError::io("rename", NAME))?;
                warning += &format!(": it was renamed to {to}");
            }
            warnings.push(warning);
            return Ok(Self::default());
        }
        skipped += u64::from(damaged_header) * SEGMENT_HEADER_BYTES as u64;
        if skipped > 0 {
            warnings.push(format!("outbox/{NAME} is damaged: {skipped} bytes of dead letters were skipped"));
        }
        store.file = Some(file);
        Ok(store)
    }

    /// Returns the bytes that hold no valid record.
    fn read_index<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        file: &F,
        scanner: &mut SegmentScanner,
        bad: &mut dyn BadBlocks,
    ) -> Result<u64, OutboxError> {
        scanner.start(DEAD_LETTER_SEGMENT, SEGMENT_HEADER_BYTES as u64, 2 * MAX_FILE_BYTES);
        let mut lost = 0;
        self.end = SEGMENT_HEADER_BYTES as u64;
        loop {
            let item = scanner.next(storage, file, bad).map_err(OutboxError::io("read", NAME))?;
            let added = match item {
                ScanItem::Record { header, payload, skipped } => {
                    lost += skipped;
                    self.apply(&header, payload)
                }
                ScanItem::Marker { .. } => false,
                ScanItem::End { rest } => return Ok(lost + rest),
            };
            self.end = scanner.offset();
            if let Some(entry) = self.index.last_mut().filter(|_| added) {
                entry.offset = self.end - u64::from(entry.len);
            }
        }
    }

    /// Applies a record of the file to the index. Returns whether it added an entry; the caller fills in its offset.
    fn apply(&mut self, header: &RecordHeader, payload: &[u8]) -> bool {
        let id = header.meta.position.0;
        match header.meta.kind {
            RecordKind::DEAD_LETTER => {
                let Some(record) = DeadLetterRecord::decode(payload) else { return false };
                self.next_id = self.next_id.max(id + 1);
                let len = header.record_len() as u32;
                let state = DeadLetterState::Dead;
                self.index.push(IndexEntry { id, offset: 0, len, endpoint: record.endpoint, state });
                return true;
            }
            RecordKind::DEAD_LETTER_STATE => self.set_state(id, DeadLetterState::decode(payload)),
            _ => {}
        }
        false
    }

    fn set_state(&mut self, id: u64, state: DeadLetterState) {
        let Some(at) = self.index.iter().position(|entry| entry.id == id) else { return };
        if state == DeadLetterState::Removed {
            self.index.remove(at);
        } else {
            self.index[at].state = state;
        }
    }

    /// Stores a dead letter durably and returns its id. Where there are too many, the same write drops the oldest.
    pub fn store<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        record: &DeadLetterRecord<'_>,
    ) -> Result<u64, OutboxError> {
        let id = self.next_id;
        let len = file::dead_letter_len(record);
        let evict = self.evict_count(len as u64);
        let mut bytes = Vec::with_capacity(evict * file::STATE_RECORD_BYTES + len);
        for entry in &self.index[..evict] {
            file::push_state(&mut bytes, identity, entry.id, DeadLetterState::Removed);
        }
        file::push_dead_letter(&mut bytes, identity, id, record);
        let end = self.append(storage, identity, &bytes)?;
        // Fewer are left where the file was found to be removed.
        let evicted = self.index.drain(..evict.min(self.index.len())).count();
        self.dropped += evicted as u64;
        self.next_id += 1;
        let (offset, len) = (end - len as u64, len as u32);
        let (endpoint, state) = (record.endpoint.clone(), DeadLetterState::Dead);
        self.index.push(IndexEntry { id, offset, len, endpoint, state });
        Ok(id)
    }

    /// How many of the oldest must be dropped for a record of `len` bytes.
    fn evict_count(&self, len: u64) -> usize {
        let (mut count, mut bytes) = (0, self.bytes() + len);
        while self.index.len() - count >= MAX_DEAD_LETTERS
            || (bytes > MAX_DEAD_LETTER_BYTES && count < self.index.len())
        {
            bytes -= u64::from(self.index[count].len);
            count += 1;
        }
        count
    }

    /// Writes the new state of these dead letters, with one write and one sync for all.
    fn write_states<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        ids: &[u64],
        state: DeadLetterState,
    ) -> Result<(), OutboxError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(ids.len() * file::STATE_RECORD_BYTES);
        for &id in ids {
            file::push_state(&mut bytes, identity, id, state);
        }
        self.append(storage, identity, &bytes).map(drop)
    }

    /// Writes whole records after the last; returns the offset of their end.
    fn append<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        bytes: &[u8],
    ) -> Result<u64, OutboxError> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_for_writing(storage, identity)?,
        };
        if self.end + bytes.len() as u64 > MAX_FILE_BYTES {
            file = self.rewrite(storage, identity, &file)?;
        }
        // After an error the file is opened again, and the next write goes to the same offset.
        storage.write_at(&file, self.end, bytes).map_err(OutboxError::io("write", NAME))?;
        storage.sync(&file).map_err(OutboxError::io("sync", NAME))?;
        self.file = Some(file);
        self.end += bytes.len() as u64;
        Ok(self.end)
    }

    fn open_for_writing<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
    ) -> Result<F, OutboxError> {
        if self.end > 0 {
            match storage.open(NAME, true) {
                Ok(file) => {
                    // Parts of a failed write may be there: what the next write does not cover would be read as valid.
                    storage.truncate(&file, self.end).map_err(OutboxError::io("shorten", NAME))?;
                    return Ok(file);
                }
                // Removed by someone else.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.dropped += self.index.drain(..).count() as u64;
                }
                Err(e) => return Err(OutboxError::io("open", NAME)(e)),
            }
        }
        let file = file::begin_replacement(storage, identity)?;
        file::finish_replacement(storage, &file)?;
        self.end = SEGMENT_HEADER_BYTES as u64;
        Ok(file)
    }

    /// Copies what still counts into a new file and replaces the old one. What the disk cannot read again and again, while
    /// it returns others, is counted as dropped: one bad block must not prevent every later dead letter from being stored.
    fn rewrite<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        old: &F,
    ) -> Result<F, OutboxError> {
        let file = file::begin_replacement(storage, identity)?;
        let mut end = SEGMENT_HEADER_BYTES as u64;
        let mut offsets = Vec::with_capacity(self.index.len());
        for entry in &self.index {
            let mut bytes = vec![0; entry.len as usize];
            let last_attempt = self.failed_rewrites + 1 >= REWRITE_ATTEMPTS;
            let read = if last_attempt {
                storage.read_at(old, entry.offset, &mut bytes)
            } else {
                file::read_again(storage, old, entry.offset, &mut bytes)
            };
            match read {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(EIO) && last_attempt => {
                    offsets.push(None);
                    continue;
                }
                Err(e) => {
                    self.failed_rewrites += 1;
                    return Err(OutboxError::io("read", NAME)(e));
                }
            }
            if entry.state == DeadLetterState::Replay {
                file::push_state(&mut bytes, identity, entry.id, DeadLetterState::Replay);
            }
            storage.write_at(&file, end, &bytes).map_err(OutboxError::io("write", REPLACEMENT))?;
            offsets.push(Some(end));
            end += bytes.len() as u64;
        }
        if !self.index.is_empty() && offsets.iter().all(Option::is_none) {
            return Err(OutboxError::io("read", NAME)(io::Error::from_raw_os_error(EIO)));
        }
        file::finish_replacement(storage, &file)?;
        self.failed_rewrites = 0;
        let before = self.index.len();
        let mut offsets = offsets.into_iter();
        self.index.retain_mut(|entry| {
            let offset = offsets.next().flatten();
            entry.offset = offset.unwrap_or_default();
            offset.is_some()
        });
        self.dropped += (before - self.index.len()) as u64;
        self.end = end;
        Ok(file)
    }

    /// Durably changes the state of the dead letters with these ids; no ids means all. Returns how many there were.
    pub fn change<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        ids: &[u64],
        state: DeadLetterState,
    ) -> Result<usize, OutboxError> {
        let all = self.index.iter().map(|entry| entry.id);
        let chosen: Vec<u64> = all.filter(|id| ids.is_empty() || ids.contains(id)).collect();
        self.write_states(storage, identity, &chosen, state)?;
        for &id in &chosen {
            self.set_state(id, state);
        }
        Ok(chosen.len())
    }

    /// The dead letters up to `through` that were to be delivered to this endpoint again were delivered. Counts at once:
    /// where it cannot be written they are delivered once more after a restart, and block nothing until then.
    pub fn acknowledge<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        endpoint: &SafeName,
        through: u64,
    ) -> Result<(), OutboxError> {
        let mut ids = Vec::new();
        self.index.retain(|entry| {
            let delivered = entry.is_replay_for(endpoint) && entry.id <= through;
            if delivered {
                ids.push(entry.id);
            }
            !delivered
        });
        self.write_states(storage, identity, &ids, DeadLetterState::Removed)
    }

    /// A dead letter was rejected again: it stays, and is not to be delivered. Counts at once, as above.
    pub fn reject_replay<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        identity: &WriterIdentity,
        id: u64,
    ) -> Result<(), OutboxError> {
        let is_replay = |entry: &&mut IndexEntry| entry.id == id && entry.state == DeadLetterState::Replay;
        let Some(entry) = self.index.iter_mut().find(is_replay) else { return Ok(()) };
        entry.state = DeadLetterState::Dead;
        self.write_states(storage, identity, &[id], DeadLetterState::Dead)
    }
}

impl IndexEntry {
    fn is_replay_for(&self, endpoint: &SafeName) -> bool {
        self.state == DeadLetterState::Replay && self.endpoint == *endpoint
    }
}
