//! Records a receiver refused for good, kept aside so that they block nobody; bounded in number and bytes.
//!
//! An index of what still counts in `file`. When that has grown, what still counts is written to a new one.

mod file;

pub(super) use file::refuse_newer;
use file::{NAME, REPLACEMENT, State};

use super::endpoint::Name;
use super::error::Error;
use super::fetch::Batch;
use super::letter::{DeadLetter, FIXED, Letter, Original, Refusal};
use super::log::Owner;
use super::record::{HEADER, Header, Kind};
use super::segment::{DEAD, EIO, HEAD, HeadFound, Step, Walk};
use super::storage::{self, Storage};

/// Dead letters kept; the oldest give way.
pub const RECORDS: usize = 1_000;
/// Bytes of dead letters kept.
pub const BYTES: u64 = 2 << 20;
/// Length of the file from which on it is written anew.
const FILE: u64 = 2 * BYTES;

#[derive(Debug)]
struct Kept {
    id: u64,
    offset: u64,
    len: u32,
    endpoint: Name,
    state: State,
}

/// The file and an index of what still counts in it.
#[derive(Debug)]
pub struct Dead<F> {
    file: Option<F>,
    end: u64,
    next_id: u64,
    kept: Vec<Kept>,
    /// Given up for want of room.
    pub dropped: u64,
}

impl<F> Default for Dead<F> {
    fn default() -> Self {
        Self { file: None, end: 0, next_id: 1, kept: Vec::new(), dropped: 0 }
    }
}

impl<F> Dead<F> {
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.kept.iter().map(|k| u64::from(k.len)).sum()
    }

    /// The file is opened anew when it is needed.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Whether anything waits to be sent again to this endpoint.
    pub fn has_replay(&self, endpoint: &Name) -> bool {
        self.kept.iter().any(|k| k.state == State::Replay && k.endpoint == *endpoint)
    }

    /// Reads the index; a missing file is an empty one. One that cannot be read at all is set aside, if
    /// anything may be changed.
    pub fn open<S: Storage<File = F>>(
        storage: &mut S,
        walk: &mut Walk,
        remarks: &mut Vec<String>,
        may_change: bool,
    ) -> Result<Self, Error> {
        let mut dead = Self::default();
        let Some((file, head)) = file::open(storage, may_change)? else { return Ok(dead) };
        let mut skipped = dead.index(storage, &file, walk)?;
        if head == HeadFound::Bad && dead.next_id == 1 {
            if !may_change {
                remarks.push(format!("outbox/{NAME} is not readable"));
                return Ok(Self::default());
            }
            let aside = storage::set_aside(storage, NAME)?;
            remarks.push(format!("outbox/{NAME} is not readable: it is kept as {aside}"));
            return Ok(Self::default());
        }
        skipped += u64::from(head == HeadFound::Bad) * HEAD as u64;
        if skipped > 0 {
            remarks.push(format!("outbox/{NAME} is damaged: {skipped} bytes of dead letters were skipped"));
        }
        dead.file = Some(file);
        Ok(dead)
    }

    fn index<S: Storage<File = F>>(&mut self, storage: &S, file: &F, walk: &mut Walk) -> Result<u64, Error> {
        walk.start(DEAD, HEAD as u64, 2 * FILE);
        let mut lost = 0;
        self.end = HEAD as u64;
        loop {
            match walk.next(storage, file).map_err(Error::io("read", NAME))? {
                Step::Record { header, payload, skipped } => {
                    lost += skipped;
                    let len = header.record_len() as u32;
                    self.learn(&header, payload, len);
                }
                Step::Mark { .. } => {}
                Step::End { rest } => return Ok(lost + rest),
            }
            self.end = walk.offset();
            let len = self.end;
            if let Some(last) = self.kept.last_mut().filter(|k| k.offset == 0) {
                last.offset = len - u64::from(last.len);
            }
        }
    }

    /// The offset of a new dead letter is filled in by the caller.
    fn learn(&mut self, header: &Header, payload: &[u8], len: u32) {
        let id = header.position.0;
        match header.kind {
            Kind::Dead => {
                let Some(letter) = Letter::decode(payload) else { return };
                let endpoint = letter.endpoint;
                self.next_id = self.next_id.max(id + 1);
                self.kept.push(Kept { id, offset: 0, len, endpoint, state: State::Dead });
            }
            Kind::DeadState => self.set(id, State::of(payload)),
            _ => {}
        }
    }

    fn set(&mut self, id: u64, state: State) {
        let Some(at) = self.kept.iter().position(|k| k.id == id) else { return };
        if state == State::Gone {
            self.kept.remove(at);
        } else {
            self.kept[at].state = state;
        }
    }

    /// Puts one record of `batch` aside, on the disk when this returns; the oldest give way to it with the same write.
    pub(super) fn bury<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        original: &Original<'_>,
        refusal: &Refusal<'_>,
    ) -> Result<u64, Error> {
        let mut payload = Vec::with_capacity(FIXED + 320 + original.payload.len());
        original.encode(refusal, &mut payload);
        let (len, id) = ((HEADER + payload.len()) as u32, self.next_id);
        let leave = self.in_the_way(u64::from(len));
        let mut bytes = Vec::with_capacity(leave * (HEADER + 1) + len as usize);
        for kept in &self.kept[..leave] {
            bytes.extend(file::state_record(owner, kept.id, State::Gone));
        }
        bytes.extend(file::sealed(owner, Kind::Dead, id, &payload));
        let end = self.append(storage, owner, &bytes)?;
        let leave = leave.min(self.kept.len());
        self.kept.drain(..leave);
        self.dropped += leave as u64;
        self.next_id += 1;
        let (offset, endpoint) = (end - u64::from(len), refusal.endpoint.clone());
        self.kept.push(Kept { id, offset, len, endpoint, state: State::Dead });
        Ok(id)
    }

    /// How many of the oldest must give way to a letter of `more` bytes.
    fn in_the_way(&self, more: u64) -> usize {
        let (mut count, mut bytes) = (0, self.bytes() + more);
        while self.kept.len() - count >= RECORDS || (bytes > BYTES && count < self.kept.len()) {
            bytes -= u64::from(self.kept[count].len);
            count += 1;
        }
        count
    }

    /// Notes the state of these letters, with one write and one sync for all.
    fn mark<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
        state: State,
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(ids.len() * (HEADER + 1));
        for &id in ids {
            bytes.extend(file::state_record(owner, id, state));
        }
        self.append(storage, owner, &bytes).map(drop)
    }

    /// Writes whole records behind the last; returns where they end.
    fn append<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        bytes: &[u8],
    ) -> Result<u64, Error> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.make_file(storage, owner)?,
        };
        if self.end + bytes.len() as u64 > FILE {
            file = self.rewrite(storage, owner, &file)?;
        }
        // After an error the file is opened anew and the same place is written again.
        storage.write_at(&file, self.end, bytes).map_err(Error::io("write", NAME))?;
        storage.sync(&file).map_err(Error::io("sync", NAME))?;
        self.file = Some(file);
        self.end += bytes.len() as u64;
        Ok(self.end)
    }

    fn make_file<S: Storage<File = F>>(&mut self, storage: &mut S, owner: &Owner) -> Result<F, Error> {
        if self.end > 0 {
            match storage.open(NAME, true) {
                Ok(file) => {
                    // Of a write that failed some may be there: what the next one does not cover would be believed.
                    storage.truncate(&file, self.end).map_err(Error::io("shorten", NAME))?;
                    return Ok(file);
                }
                // Removed from outside.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    self.dropped += self.kept.drain(..).count() as u64;
                }
                Err(e) => return Err(Error::io("open", NAME)(e)),
            }
        }
        let file = file::start(storage, owner)?;
        file::put_in_place(storage, &file)?;
        self.end = HEAD as u64;
        Ok(file)
    }

    /// Copies what still counts into a new file and puts it in place of the old one. What the disk cannot give back is
    /// counted as dropped: one bad block must not keep every later letter from being kept.
    fn rewrite<S: Storage<File = F>>(&mut self, storage: &mut S, owner: &Owner, old: &F) -> Result<F, Error> {
        let file = file::start(storage, owner)?;
        let mut end = HEAD as u64;
        let mut offsets = Vec::with_capacity(self.kept.len());
        for kept in &self.kept {
            let mut bytes = vec![0; kept.len as usize];
            match storage.read_at(old, kept.offset, &mut bytes) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(EIO) => {
                    offsets.push(0);
                    continue;
                }
                Err(e) => return Err(Error::io("read", NAME)(e)),
            }
            if kept.state == State::Replay {
                bytes.extend(file::state_record(owner, kept.id, State::Replay));
            }
            storage.write_at(&file, end, &bytes).map_err(Error::io("write", REPLACEMENT))?;
            offsets.push(end);
            end += bytes.len() as u64;
        }
        file::put_in_place(storage, &file)?;
        for (kept, offset) in self.kept.iter_mut().zip(offsets) {
            kept.offset = offset;
        }
        let before = self.kept.len();
        self.kept.retain(|kept| kept.offset > 0);
        self.dropped += (before - self.kept.len()) as u64;
        self.end = end;
        Ok(file)
    }

    /// Calls `each` with up to `limit` dead letters, oldest first.
    pub fn list<S: Storage<File = F>>(&self, storage: &S, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        let mut out = Vec::new();
        for at in 0..self.kept.len().min(limit) {
            let Some(payload) = self.payload(storage, at)? else { continue };
            let Some(letter) = Letter::decode(&payload) else { continue };
            out.push(letter.describe(self.kept[at].id, self.kept[at].state == State::Replay));
        }
        Ok(out)
    }

    /// Payload of a dead letter; `None` when it does not check out any more.
    fn payload<S: Storage<File = F>>(&self, storage: &S, at: usize) -> Result<Option<Vec<u8>>, Error> {
        let opened;
        let file = if let Some(file) = &self.file {
            file
        } else {
            // Not kept: while the disk refuses, nothing stays open for writing, and reading works all the same.
            opened = storage.open(NAME, false).map_err(Error::io("open", NAME))?;
            &opened
        };
        let kept = &self.kept[at];
        file::read_payload(storage, file, kept.offset, kept.len as usize)
    }

    /// Ids of the letters an id list means; an empty list means all.
    fn chosen(&self, ids: &[u64]) -> Vec<u64> {
        self.kept.iter().map(|k| k.id).filter(|id| ids.is_empty() || ids.contains(id)).collect()
    }

    /// Marks dead letters; an empty list means all. Returns how many there were.
    fn mark_all<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
        state: State,
    ) -> Result<usize, Error> {
        let chosen = self.chosen(ids);
        self.mark(storage, owner, &chosen, state)?;
        for &id in &chosen {
            self.set(id, state);
        }
        Ok(chosen.len())
    }

    /// Marks dead letters to be sent again; an empty list means all. Returns how many there were.
    pub fn replay<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
    ) -> Result<usize, Error> {
        self.mark_all(storage, owner, ids, State::Replay)
    }

    /// Gives dead letters up; an empty list means all. Returns how many there were.
    pub fn discard<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
    ) -> Result<usize, Error> {
        self.mark_all(storage, owner, ids, State::Gone)
    }

    /// Fills `batch` with what is to be sent again to this endpoint, oldest first. A letter that cannot be read is
    /// dead again, so that it is in nobody's way; an error is told when there is nothing else to send.
    pub(super) fn fetch<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        endpoint: &Name,
        (max_records, max_bytes): (usize, usize),
        batch: &mut Batch,
    ) -> Result<(), Error> {
        batch.clear();
        let mut failed = Ok(());
        for at in 0..self.kept.len() {
            let kept = &self.kept[at];
            if kept.state != State::Replay || kept.endpoint != *endpoint {
                continue;
            }
            let (id, len) = (kept.id, kept.len as usize);
            if !batch.is_empty() && (batch.records.len() >= max_records || batch.bytes() + len > max_bytes) {
                break;
            }
            let payload = match self.payload(storage, at) {
                Ok(payload) => payload,
                Err(e) => {
                    failed = Err(e);
                    None
                }
            };
            match payload.as_deref().and_then(Letter::decode) {
                Some(letter) => {
                    batch.push(&letter.header(id), &letter.device, letter.corrected, letter.payload)
                }
                None => self.kept[at].state = State::Dead,
            }
        }
        if batch.is_empty() { failed } else { Ok(()) }
    }

    /// Everything up to letter `through` that was to be sent again to this endpoint was taken. Counts at once: where it
    /// cannot be written these are sent once more after a restart, and hold nothing up until then.
    pub(super) fn taken<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        endpoint: &Name,
        through: u64,
    ) -> Result<(), Error> {
        let mut taken = Vec::new();
        self.kept.retain(|k| {
            let is_taken = k.state == State::Replay && k.endpoint == *endpoint && k.id <= through;
            if is_taken {
                taken.push(k.id);
            }
            !is_taken
        });
        self.mark(storage, owner, &taken, State::Gone)
    }

    /// A letter that was sent again was refused again: it stays, dead. Counts at once, as above.
    pub(super) fn refused<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        id: u64,
    ) -> Result<(), Error> {
        let waits = |k: &&mut Kept| k.id == id && k.state == State::Replay;
        let Some(kept) = self.kept.iter_mut().find(waits) else { return Ok(()) };
        kept.state = State::Dead;
        self.mark(storage, owner, &[id], State::Dead)
    }
}
