//! Reading dead letters, for a list or for another delivery.

use super::{DeadLetterStore, IndexEntry, file};
use crate::batch::{FetchLimits, RecordBatch};
use crate::error::OutboxError;
use crate::format::dead_letter::{DeadLetter, DeadLetterRecord, DeadLetterState};
use crate::format::file_name::DEAD_LETTER_FILE as NAME;
use crate::format::name::SafeName;
use crate::format::record::{Position, RecordMeta};
use crate::storage::Storage;

impl<F> DeadLetterStore<F> {
    /// Up to `limit` dead letters, oldest first; unreadable ones are left out.
    pub fn list<S: Storage<File = F>>(
        &self,
        storage: &S,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, OutboxError> {
        let mut out = Vec::new();
        for entry in self.index.iter().take(limit) {
            let Some(payload) = self.payload(storage, entry)? else { continue };
            let Some(record) = DeadLetterRecord::decode(&payload) else { continue };
            out.push(record.summary(entry.id, entry.state == DeadLetterState::Replay));
        }
        Ok(out)
    }

    /// The encoded dead letter; `None` when it is damaged.
    fn payload<S: Storage<File = F>>(
        &self,
        storage: &S,
        entry: &IndexEntry,
    ) -> Result<Option<Vec<u8>>, OutboxError> {
        let opened;
        let file = if let Some(file) = &self.file {
            file
        } else {
            // Closed again afterwards: while the disk refuses writes no file stays open, and reading still works.
            opened = storage.open(NAME, false).map_err(OutboxError::io("open", NAME))?;
            &opened
        };
        file::read_payload(storage, file, entry.offset, entry.len as usize)
    }

    /// Fills `batch` with what is to be delivered to this endpoint again, oldest first. A dead letter that cannot be
    /// read is no longer to be delivered, so that it blocks no other; its error is returned when the batch is empty.
    pub fn fetch<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        endpoint: &SafeName,
        limits: FetchLimits,
        batch: &mut RecordBatch,
    ) -> Result<(), OutboxError> {
        batch.clear();
        let mut failed = Ok(());
        for at in 0..self.index.len() {
            let entry = &self.index[at];
            if !entry.is_replay_for(endpoint) {
                continue;
            }
            if !batch.is_empty() && !limits.allow(batch, entry.len as usize) {
                break;
            }
            let payload = match self.payload(storage, entry) {
                Ok(payload) => payload,
                Err(e) => {
                    self.index[at].state = DeadLetterState::Dead;
                    failed = Err(e);
                    // Its attempts have taken a moment: the next one is read by the next fetch.
                    break;
                }
            };
            match payload.as_deref().and_then(DeadLetterRecord::decode) {
                Some(record) => {
                    let meta = RecordMeta { position: Position(entry.id), ..record.meta };
                    batch.push(meta, record.device, record.corrected, record.payload);
                }
                None => self.index[at].state = DeadLetterState::Dead,
            }
        }
        if batch.is_empty() { failed } else { Ok(()) }
    }
}
