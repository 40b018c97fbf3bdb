//! The dead-letter file: encoding its records, and replacing it as a whole.
//!
//! Its records are bound to the segment number [`DEAD_LETTER_SEGMENT`]. A `DEAD_LETTER` record wraps the whole original
//! record; a later `DEAD_LETTER_STATE` record of the same position changes its state.

use std::io;
use std::time::Duration;

use crate::bad_blocks::BadBlocks;
use crate::error::OutboxError;
use crate::format::crc;
use crate::format::dead_letter::{DeadLetterRecord, DeadLetterState};
use crate::format::file_name::{DEAD_LETTER_FILE as NAME, DEAD_LETTER_REPLACEMENT as REPLACEMENT};
use crate::format::record::{
    DecodedItem, Position, RECORD_HEADER_BYTES, RecordHeader, RecordKind, RecordMeta, decode_at, seal,
};
use crate::format::segment::{DEAD_LETTER_SEGMENT, HeaderStatus, SegmentHeader};
use crate::log::WriterIdentity;
use crate::scan::read_segment_header;
use crate::storage::{EIO, Preallocation, Storage, open_existing};

/// Attempts to read a dead letter.
const READ_ATTEMPTS: u32 = 4;
/// Wait between them: everything else of the outbox waits as well.
const READ_RETRY: Duration = Duration::from_millis(100);

/// Encoded length of a state record.
pub const STATE_RECORD_BYTES: usize = RECORD_HEADER_BYTES + 1;

/// Opens the file; `None` when it is missing. A file of a later program is an error.
pub fn open<S: Storage>(
    storage: &S,
    write: bool,
    bad: &mut dyn BadBlocks,
) -> Result<Option<(S::File, HeaderStatus)>, OutboxError> {
    let Some(file) = open_existing(storage, NAME, write).map_err(OutboxError::io("open", NAME))? else {
        return Ok(None);
    };
    match read_segment_header(storage, &file, DEAD_LETTER_SEGMENT, bad)
        .map_err(OutboxError::io("read", NAME))?
    {
        HeaderStatus::Newer(version) => Err(OutboxError::Newer { name: NAME.to_owned(), version }),
        status => Ok(Some((file, status))),
    }
}

/// Creates a replacement with nothing but its header; it counts only after [`finish_replacement`].
pub fn begin_replacement<S: Storage>(
    storage: &mut S,
    identity: &WriterIdentity,
) -> Result<S::File, OutboxError> {
    match storage.remove(REPLACEMENT) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(OutboxError::io("remove", REPLACEMENT)(e)),
    }
    let created = storage.create(REPLACEMENT, 0, Preallocation::Reserve);
    let file = created.map_err(OutboxError::io("make", REPLACEMENT))?;
    let header = SegmentHeader {
        number: DEAD_LETTER_SEGMENT,
        first: Position(1),
        resumes_after: Position(0),
        boot: identity.boot,
        device: identity.device.clone(),
        stamp: identity.stamp,
    };
    storage.write_at(&file, 0, &header.encode()).map_err(OutboxError::io("write", REPLACEMENT))?;
    Ok(file)
}

/// Makes the replacement durable and renames it over the file.
pub fn finish_replacement<S: Storage>(storage: &mut S, file: &S::File) -> Result<(), OutboxError> {
    storage.sync(file).map_err(OutboxError::io("sync", REPLACEMENT))?;
    storage.rename(REPLACEMENT, NAME).map_err(OutboxError::io("rename", REPLACEMENT))?;
    storage.sync_dir().map_err(OutboxError::io("sync the directory of", NAME))
}

/// As [`Storage::read_at`], with a few attempts.
pub fn read_again<S: Storage>(
    storage: &S,
    file: &S::File,
    offset: u64,
    into: &mut [u8],
) -> io::Result<usize> {
    for _ in 1..READ_ATTEMPTS {
        match storage.read_at(file, offset, into) {
            Err(e) if e.raw_os_error() == Some(EIO) => storage.pause(READ_RETRY),
            other => return other,
        }
    }
    storage.read_at(file, offset, into)
}

/// Payload of the record of `len` bytes at `offset`; `None` when it is damaged.
pub fn read_payload<S: Storage>(
    storage: &S,
    file: &S::File,
    offset: u64,
    len: usize,
) -> Result<Option<Vec<u8>>, OutboxError> {
    let mut bytes = vec![0; len];
    let got = read_again(storage, file, offset, &mut bytes).map_err(OutboxError::io("read", NAME))?;
    let valid = match decode_at(&bytes[..got], DEAD_LETTER_SEGMENT) {
        DecodedItem::Record(header) => {
            header.record_len() == got && crc(&bytes[RECORD_HEADER_BYTES..]) == header.payload_crc
        }
        _ => false,
    };
    Ok(valid.then(|| bytes.split_off(RECORD_HEADER_BYTES)))
}

/// Length of the record that [`push_dead_letter`] appends.
pub fn dead_letter_len(record: &DeadLetterRecord<'_>) -> usize {
    RECORD_HEADER_BYTES + record.encoded_len()
}

/// Appends a dead letter to `out`.
pub fn push_dead_letter(
    out: &mut Vec<u8>,
    identity: &WriterIdentity,
    id: u64,
    record: &DeadLetterRecord<'_>,
) {
    push_record(out, identity, RecordKind::DEAD_LETTER, id, &mut |out| record.encode(out));
}

/// Appends a new state of dead letter `id` to `out`.
pub fn push_state(out: &mut Vec<u8>, identity: &WriterIdentity, id: u64, state: DeadLetterState) {
    push_record(out, identity, RecordKind::DEAD_LETTER_STATE, id, &mut |out| out.push(state as u8));
}

/// Encodes the payload in place, then the header before it.
fn push_record(
    out: &mut Vec<u8>,
    identity: &WriterIdentity,
    kind: RecordKind,
    id: u64,
    payload: &mut dyn FnMut(&mut Vec<u8>),
) {
    let start = out.len();
    out.resize(start + RECORD_HEADER_BYTES, 0);
    payload(out);
    let (boot, stamp) = (identity.boot, identity.stamp);
    let meta = RecordMeta { position: Position(id), seq: 0, boot, kind, priority: 0, stamp };
    let (header, payload) = out[start..].split_at_mut(RECORD_HEADER_BYTES);
    header.copy_from_slice(&RecordHeader::new(meta, identity.device.tag(), payload).encode_unsealed());
    seal(header, DEAD_LETTER_SEGMENT);
}
