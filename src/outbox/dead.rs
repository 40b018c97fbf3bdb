//! Records a receiver refused for good, kept aside so that they block nobody; bounded in number and bytes.
//!
//! One file of records bound to segment number [`DEAD`]: a dead letter carries the whole original record, a
//! later `DeadState` says what became of it. When the file has grown, what still counts is written to a new one.

use super::endpoint::Name;
use super::error::Error;
use super::fetch::{Batch, event_id};
use super::log::Owner;
use super::record::{self, HEADER, Header, Kind, Position};
use super::segment::{self, DEAD, HEAD, Head, HeadFound, Step, Walk};
use super::storage::{Fill, Storage};
use crate::clock::{BootId, Mono, Stamp, Wall};

/// Dead letters kept; the oldest give way.
pub const RECORDS: usize = 1_000;
/// Bytes of dead letters kept.
pub const BYTES: u64 = 2 << 20;
/// Length of the file from which on it is written anew.
const FILE: u64 = 2 * BYTES;

const NAME: &str = "dead.log";
const REPLACEMENT: &str = "dead.tmp";
const VERSION: u16 = 1;
/// Bytes of a dead letter before its texts.
const FIXED: usize = 64;
/// Longest reason kept.
const REASON: usize = 200;

/// Why a record became a dead letter, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: u64,
    pub endpoint: Name,
    pub event_id: String,
    pub kind: Kind,
    pub stamp: Stamp,
    /// HTTP status of the refusal, 0 when there was none.
    pub status: u16,
    pub reason: String,
    pub payload_bytes: u32,
    /// It is to be sent again.
    pub replay: bool,
}

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

    /// Whether anything waits to be sent again to this endpoint.
    pub fn has_replay(&self, endpoint: &Name) -> bool {
        self.kept.iter().any(|k| k.state == State::Replay && k.endpoint == *endpoint)
    }

    /// Reads the index; a missing file is an empty one.
    pub fn open<S: Storage<File = F>>(
        storage: &mut S,
        walk: &mut Walk,
        remarks: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let mut dead = Self::default();
        let file = match storage.open(NAME, true) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(dead),
            Err(_) => storage.open(NAME, false).map_err(Error::io("open", NAME))?,
        };
        let head = segment::read_head(storage, &file).map_err(Error::io("read", NAME))?;
        if let HeadFound::Newer(version) = head {
            return Err(Error::Newer { name: NAME.to_owned(), version });
        }
        let mut skipped = dead.index(storage, &file, walk)?;
        if head == HeadFound::Bad && dead.next_id == 1 {
            let aside = format!("{NAME}.damaged");
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

    /// Marks dead letters to be sent again; an empty list means all. Returns how many there were.
    pub fn replay<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
    ) -> Result<usize, Error> {
        let chosen = self.chosen(ids);
        for &id in &chosen {
            self.mark(storage, owner, id, State::Replay)?;
        }
        Ok(chosen.len())
    }

    /// Gives dead letters up; an empty list means all. Returns how many there were.
    pub fn discard<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        owner: &Owner,
        ids: &[u64],
    ) -> Result<usize, Error> {
        let chosen = self.chosen(ids);
        for &id in &chosen {
            self.mark(storage, owner, id, State::Gone)?;
        }
        Ok(chosen.len())
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

/// A record as it was when it was refused.
#[derive(Clone, Debug)]
pub struct Original<'a> {
    pub header: Header,
    pub device: &'a Name,
    pub corrected: Option<Wall>,
    pub payload: &'a [u8],
}

/// Who refused it, and how.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    pub endpoint: &'a Name,
    pub status: u16,
    pub reason: &'a str,
}

impl Original<'_> {
    fn encode(&self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        let reason = cut(refusal.reason, REASON);
        let h = &self.header;
        let mut fixed = [0; FIXED];
        fixed[..2].copy_from_slice(&VERSION.to_le_bytes());
        fixed[2..4].copy_from_slice(&refusal.status.to_le_bytes());
        fixed[4] = u8::from(h.stamp.synced) | u8::from(self.corrected.is_some()) << 1;
        fixed[5] = h.kind.code();
        fixed[6] = h.priority;
        fixed[7] = refusal.endpoint.as_str().len() as u8;
        fixed[8] = self.device.as_str().len() as u8;
        fixed[9] = reason.len() as u8;
        let wall = h.stamp.wall.0.cast_unsigned();
        let corrected = self.corrected.map_or(0, |w| w.0.cast_unsigned());
        let numbers = [h.position.0, h.seq, h.boot.0, h.stamp.mono.0, wall, corrected];
        for (to, number) in fixed[16..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&fixed);
        for text in [refusal.endpoint.as_str(), self.device.as_str(), reason] {
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(self.payload);
    }
}

/// The longest start of `text` within `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// A dead letter read back.
struct Letter<'a> {
    header: Header,
    endpoint: Name,
    device: Name,
    corrected: Option<Wall>,
    status: u16,
    reason: &'a str,
    payload: &'a [u8],
}

impl<'a> Letter<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        if fixed[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let number =
            |at: usize| u64::from_le_bytes(*fixed[at..].first_chunk().expect("inside the fixed part"));
        let (endpoint, rest) = rest.split_at_checked(fixed[7] as usize)?;
        let (device, rest) = rest.split_at_checked(fixed[8] as usize)?;
        let (reason, payload) = rest.split_at_checked(fixed[9] as usize)?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let stamp =
            Stamp { mono: Mono(number(40)), wall: Wall(number(48).cast_signed()), synced: fixed[4] & 1 == 1 };
        let header = Header {
            position: Position(number(16)),
            seq: number(24),
            boot: BootId(number(32)),
            kind: Kind::of(fixed[5]),
            priority: fixed[6],
            stamp,
            device_tag: 0,
            payload_len: payload.len() as u32,
            payload_crc: 0,
        };
        Some(Self {
            header,
            endpoint: Name::new(text(endpoint)?)?,
            device: Name::new(text(device)?)?,
            corrected: (fixed[4] & 2 != 0).then(|| Wall(number(56).cast_signed())),
            status: u16::from_le_bytes([fixed[2], fixed[3]]),
            reason: text(reason)?,
            payload,
        })
    }

    fn header(&self, id: u64) -> Header {
        Header { position: Position(id), ..self.header }
    }

    fn describe(&self, id: u64, replay: bool) -> DeadLetter {
        DeadLetter {
            id,
            endpoint: self.endpoint.clone(),
            event_id: event_id(&self.device, self.header.boot, self.header.seq),
            kind: self.header.kind,
            stamp: self.header.stamp,
            status: self.status,
            reason: self.reason.to_owned(),
            payload_bytes: self.payload.len() as u32,
            replay,
        }
    }
}
