//! The file of dead letters, as bytes and as a file that is replaced whole.
//!
//! Records bound to segment number [`DEAD`]: a dead letter carries the whole original record, a later `DeadState` says
//! what became of it.

use crate::error::Error;
use crate::log::Owner;
use crate::record::{self, Found, HEADER, Header, Kind, Position};
use crate::segment::{self, DEAD, Head, HeadFound};
use crate::storage::{Fill, Storage};

pub const NAME: &str = "dead.log";
/// What is to become the file, while it is written.
pub const REPLACEMENT: &str = "dead.tmp";

/// What is to become of a letter; its code is the payload of a `DeadState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Dead,
    Replay,
    Gone,
}

impl State {
    /// Of the payload of a `DeadState`; what no program wrote leaves the letter dead.
    pub fn of(payload: &[u8]) -> Self {
        match payload.first() {
            Some(1) => Self::Replay,
            Some(2) => Self::Gone,
            _ => Self::Dead,
        }
    }
}

/// A file of a later program is an error.
pub fn refuse_newer<S: Storage>(storage: &S) -> Result<(), Error> {
    open(storage, false).map(drop)
}

pub fn open<S: Storage>(storage: &S, write: bool) -> Result<Option<(S::File, HeadFound)>, Error> {
    let file = match storage.open(NAME, write) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", NAME)(e)),
    };
    match segment::read_head(storage, &file).map_err(Error::io("read", NAME))? {
        HeadFound::Newer(version) => Err(Error::Newer { name: NAME.to_owned(), version }),
        head => Ok(Some((file, head))),
    }
}

/// A file with nothing but its header; it has no name anybody reads before [`put_in_place`].
pub fn start<S: Storage>(storage: &mut S, owner: &Owner) -> Result<S::File, Error> {
    match storage.remove(REPLACEMENT) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("remove", REPLACEMENT)(e)),
    }
    let file = storage.create(REPLACEMENT, 0, Fill::Reserve).map_err(Error::io("make", REPLACEMENT))?;
    let head = Head {
        number: DEAD,
        first: Position(1),
        resumes_after: Position(0),
        boot: owner.boot,
        device: owner.device.clone(),
        stamp: owner.stamp,
    };
    storage.write_at(&file, 0, &head.encode()).map_err(Error::io("write", REPLACEMENT))?;
    Ok(file)
}

pub fn put_in_place<S: Storage>(storage: &mut S, file: &S::File) -> Result<(), Error> {
    storage.sync(file).map_err(Error::io("sync", REPLACEMENT))?;
    storage.rename(REPLACEMENT, NAME).map_err(Error::io("rename", REPLACEMENT))?;
    storage.sync_dir().map_err(Error::io("sync the directory of", NAME))
}

/// Payload of the record of `len` bytes at `offset`; `None` when it does not check out any more.
pub fn read_payload<S: Storage>(
    storage: &S,
    file: &S::File,
    offset: u64,
    len: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = vec![0; len];
    let got = storage.read_at(file, offset, &mut bytes).map_err(Error::io("read", NAME))?;
    let whole = match record::look(&bytes[..got], DEAD) {
        Found::Record(header) => {
            header.record_len() == got && record::crc(&bytes[HEADER..]) == header.payload_crc
        }
        _ => false,
    };
    Ok(whole.then(|| bytes.split_off(HEADER)))
}

pub fn state_record(owner: &Owner, id: u64, state: State) -> Vec<u8> {
    sealed(owner, Kind::DeadState, id, &[state as u8])
}

pub fn sealed(owner: &Owner, kind: Kind, id: u64, payload: &[u8]) -> Vec<u8> {
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
    bytes
}
