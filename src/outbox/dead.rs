//! Records a receiver refused for good, kept aside so that they block nobody; bounded in number and bytes.
//!
//! One file of records bound to segment number [`DEAD`]: a dead letter carries the whole original record, a
//! later `DeadState` says what became of it. When the file has grown, what still counts is written to a new one.

use super::endpoint::Name;
use super::error::Error;
use super::fetch::Batch;
use super::letter::{DeadLetter, FIXED, Letter, Original, Refusal};
use super::log::Owner;
use super::record::{self, HEADER, Header, Kind, Position};
use super::segment::{self, DEAD, HEAD, Head, HeadFound, Step, Walk};
use super::storage::{Fill, Storage};

/// Dead letters kept; the oldest give way.
pub const RECORDS: usize = 1_000;
/// Bytes of dead letters kept.
pub const BYTES: u64 = 2 << 20;
/// Length of the file from which on it is written anew.
const FILE: u64 = 2 * BYTES;

const NAME: &str = "dead.log";
const REPLACEMENT: &str = "dead.tmp";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dead,
    Replay,
    Gone,
}

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
        let file = match storage.open(NAME, may_change) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(dead),
            Err(e) => return Err(Error::io("open", NAME)(e)),
        };
        let head = segment::read_head(storage, &file).map_err(Error::io("read", NAME))?;
        if let HeadFound::Newer(version) = head {
            return Err(Error::Newer { name: NAME.to_owned(), version });
        }
        let mut skipped = dead.index(storage, &file, walk)?;
        if head == HeadFound::Bad && dead.next_id == 1 {
            let aside = format!("{NAME}.damaged");
            if !may_change {
                remarks.push(format!("outbox/{NAME} is not readable"));
                return Ok(Self::default());
            }
            storage.rename(NAME, &aside).map_err(Error::io("rename", NAME))?;
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
            Kind::DeadState => {
                let state = match payload.first() {
                    Some(1) => State::Replay,
                    Some(2) => State::Gone,
                    _ => State::Dead,
                };
                self.set(id, state);
            }
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

    /// Puts one record of `batch` aside, on the disk when this returns.
    pub(super) fn bury<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        original: &Original<'_>,
        refusal: &Refusal<'_>,
    ) -> Result<u64, Error> {
        let mut payload = Vec::with_capacity(FIXED + 320 + original.payload.len());
        original.encode(refusal, &mut payload);
        self.make_room(storage, owner, (HEADER + payload.len()) as u64)?;
        let id = self.next_id;
        let offset = self.append(storage, owner, Kind::Dead, id, &payload)?;
        self.next_id += 1;
        let (len, endpoint) = ((HEADER + payload.len()) as u32, refusal.endpoint.clone());
        self.kept.push(Kept { id, offset, len, endpoint, state: State::Dead });
        Ok(id)
    }

    fn make_room<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        more: u64,
    ) -> Result<(), Error> {
        while self.kept.len() >= RECORDS || (self.bytes() + more > BYTES && !self.kept.is_empty()) {
            self.mark(storage, owner, self.kept[0].id, State::Gone)?;
            self.dropped += 1;
        }
        if self.end + more > FILE { self.rewrite(storage, owner) } else { Ok(()) }
    }

    fn mark<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        id: u64,
        state: State,
    ) -> Result<(), Error> {
        self.append(storage, owner, Kind::DeadState, id, &[state as u8])?;
        self.set(id, state);
        Ok(())
    }

    fn append<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        kind: Kind,
        id: u64,
        payload: &[u8],
    ) -> Result<u64, Error> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.make_file(storage, owner)?,
        };
        let header = Header {
            position: Position(id),
            seq: 0,
            boot: owner.boot,
            kind,
            priority: 0,
            stamp: owner.stamp,
            device_tag: owner.device.tag(),
            payload_len: payload.len() as u32,
            payload_crc: record::crc(payload),
        };
        let mut bytes = header.unsealed().to_vec();
        bytes.extend_from_slice(payload);
        record::seal(&mut bytes, DEAD);
        // After an error the file is opened anew and the same place is written again.
        storage.write_at(&file, self.end, &bytes).map_err(Error::io("write", NAME))?;
        storage.sync(&file).map_err(Error::io("sync", NAME))?;
        self.file = Some(file);
        let offset = self.end;
        self.end += bytes.len() as u64;
        Ok(offset)
    }

    fn make_file<S: Storage<File = F>>(&mut self, storage: &mut S, owner: &Owner) -> Result<F, Error> {
        if self.end > 0 {
            match storage.open(NAME, true) {
                Ok(file) => return Ok(file),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => self.kept.clear(),
                Err(e) => return Err(Error::io("open", NAME)(e)),
            }
        }
        let file = start_file(storage, NAME, owner)?;
        storage.sync_dir().map_err(Error::io("sync the directory of", NAME))?;
        self.end = HEAD as u64;
        Ok(file)
    }

    /// Copies what still counts into a new file and puts it in place of the old one.
    fn rewrite<S: Storage<File = F>>(&mut self, storage: &mut S, owner: &Owner) -> Result<(), Error> {
        let Some(old) = self.file.take() else { return Ok(()) };
        match storage.remove(REPLACEMENT) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("remove", REPLACEMENT)(e)),
        }
        let file = start_file(storage, REPLACEMENT, owner)?;
        let mut end = HEAD as u64;
        let mut offsets = Vec::with_capacity(self.kept.len());
        for kept in &self.kept {
            let mut bytes = vec![0; kept.len as usize];
            storage.read_at(&old, kept.offset, &mut bytes).map_err(Error::io("read", NAME))?;
            if kept.state == State::Replay {
                bytes.extend(state_record(owner, kept.id, State::Replay));
            }
            storage.write_at(&file, end, &bytes).map_err(Error::io("write", REPLACEMENT))?;
            offsets.push(end);
            end += bytes.len() as u64;
        }
        storage.sync(&file).map_err(Error::io("sync", REPLACEMENT))?;
        storage.rename(REPLACEMENT, NAME).map_err(Error::io("rename", REPLACEMENT))?;
        storage.sync_dir().map_err(Error::io("sync the directory of", NAME))?;
        for (kept, offset) in self.kept.iter_mut().zip(offsets) {
            kept.offset = offset;
        }
        (self.file, self.end) = (Some(file), end);
        Ok(())
    }

    /// Calls `each` with up to `limit` dead letters, oldest first.
    pub fn list<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        let mut out = Vec::new();
        for at in 0..self.kept.len().min(limit) {
            let Some(payload) = self.payload(storage, at)? else { continue };
            let Some(letter) = Letter::decode(&payload) else { continue };
            out.push(letter.describe(self.kept[at].id, self.kept[at].state == State::Replay));
        }
        Ok(out)
    }

    /// Payload of a dead letter; `None` when it does not check out any more.
    fn payload<S: Storage<File = F>>(&mut self, storage: &S, at: usize) -> Result<Option<Vec<u8>>, Error> {
        if self.file.is_none() {
            self.file = Some(storage.open(NAME, true).map_err(Error::io("open", NAME))?);
        }
        let (Some(file), kept) = (&self.file, &self.kept[at]) else { return Ok(None) };
        let mut bytes = vec![0; kept.len as usize];
        let got = storage.read_at(file, kept.offset, &mut bytes).map_err(Error::io("read", NAME))?;
        let whole = match record::look(&bytes[..got], DEAD) {
            record::Found::Record(header) => {
                header.record_len() == got && record::crc(&bytes[HEADER..]) == header.payload_crc
            }
            _ => false,
        };
        Ok(whole.then(|| bytes.split_off(HEADER)))
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
        for &id in &chosen {
            self.mark(storage, owner, id, state)?;
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

    /// Fills `batch` with what is to be sent again to this endpoint, oldest first.
    pub(super) fn fetch<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        endpoint: &Name,
        (max_records, max_bytes): (usize, usize),
        batch: &mut Batch,
    ) -> Result<(), Error> {
        batch.clear();
        for at in 0..self.kept.len() {
            let kept = &self.kept[at];
            if kept.state != State::Replay || kept.endpoint != *endpoint {
                continue;
            }
            let (id, len) = (kept.id, kept.len as usize);
            if !batch.is_empty() && (batch.records.len() >= max_records || batch.bytes() + len > max_bytes) {
                break;
            }
            let Some(payload) = self.payload(storage, at)? else { continue };
            if let Some(letter) = Letter::decode(&payload) {
                batch.push(&letter.header(id), &letter.device, letter.corrected, letter.payload);
            }
        }
        Ok(())
    }

    /// Everything up to letter `through` that was to be sent again to this endpoint was taken.
    pub(super) fn taken<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        endpoint: &Name,
        through: u64,
    ) -> Result<(), Error> {
        let taken: Vec<u64> = self
            .kept
            .iter()
            .filter(|k| k.state == State::Replay && k.endpoint == *endpoint && k.id <= through)
            .map(|k| k.id)
            .collect();
        taken.iter().try_for_each(|&id| self.mark(storage, owner, id, State::Gone))
    }

    /// A letter that was sent again was refused again: it stays, dead.
    pub(super) fn refused<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        id: u64,
    ) -> Result<(), Error> {
        if self.kept.iter().any(|k| k.id == id) { self.mark(storage, owner, id, State::Dead) } else { Ok(()) }
    }
}

fn start_file<S: Storage>(storage: &mut S, name: &str, owner: &Owner) -> Result<S::File, Error> {
    let file = storage.create(name, 0, Fill::Reserve).map_err(Error::io("make", name))?;
    let head = Head {
        number: DEAD,
        first: Position(1),
        resumes_after: Position(0),
        boot: owner.boot,
        device: owner.device.clone(),
        stamp: owner.stamp,
    };
    storage.write_at(&file, 0, &head.encode()).map_err(Error::io("write", name))?;
    storage.sync(&file).map_err(Error::io("sync", name))?;
    Ok(file)
}

fn state_record(owner: &Owner, id: u64, state: State) -> Vec<u8> {
    let payload = [state as u8];
    let header = Header {
        position: Position(id),
        seq: 0,
        boot: owner.boot,
        kind: Kind::DeadState,
        priority: 0,
        stamp: owner.stamp,
        device_tag: owner.device.tag(),
        payload_len: 1,
        payload_crc: record::crc(&payload),
    };
    let mut bytes = header.unsealed().to_vec();
    bytes.extend(payload);
    record::seal(&mut bytes, DEAD);
    bytes
}
