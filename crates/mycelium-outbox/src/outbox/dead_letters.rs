//! The dead letters of the outbox.

use super::Outbox;
use crate::batch::{BatchRecord, FetchLimits, RecordBatch};
use crate::error::OutboxError;
use crate::format::dead_letter::{DeadLetter, DeadLetterRecord, DeadLetterState};
use crate::format::record::Position;
use crate::storage::Storage;

impl<S: Storage> Outbox<S> {
    /// Stores a rejected record durably and returns the id of the dead letter. Acknowledge the record afterwards.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was stored.
    pub fn store_dead_letter(&mut self, record: &DeadLetterRecord<'_>) -> Result<u64, OutboxError> {
        self.dead_letters.store(self.log.storage_mut(), self.writer.identity(), record)
    }

    /// As [`Outbox::store_dead_letter`], for a record of `batch` that `endpoint` has rejected.
    pub(crate) fn reject(
        &mut self,
        endpoint: usize,
        batch: &RecordBatch,
        record: &BatchRecord,
        status: u16,
        reason: &str,
    ) -> Result<u64, OutboxError> {
        let endpoint = self.cursors.get(endpoint)?.name().clone();
        self.store_dead_letter(&DeadLetterRecord {
            meta: record.meta,
            device: record.device.clone(),
            corrected: record.corrected,
            endpoint,
            status,
            reason,
            payload: batch.payload(record),
        })
    }

    /// Up to `limit` dead letters, oldest first.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn list_dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        self.dead_letters.list(self.log.storage(), limit)
    }

    /// Marks the dead letters with these ids to be delivered again; no ids means all. Returns how many there were.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was changed.
    pub fn replay_dead_letters(&mut self, ids: &[u64]) -> Result<usize, OutboxError> {
        self.change_dead_letters(ids, DeadLetterState::Replay)
    }

    /// Discards the dead letters with these ids; no ids means all. Returns how many there were.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was changed.
    pub fn discard_dead_letters(&mut self, ids: &[u64]) -> Result<usize, OutboxError> {
        self.change_dead_letters(ids, DeadLetterState::Removed)
    }

    fn change_dead_letters(&mut self, ids: &[u64], state: DeadLetterState) -> Result<usize, OutboxError> {
        self.dead_letters.change(self.log.storage_mut(), self.writer.identity(), ids, state)
    }

    /// Fills `batch` with dead letters that are to be delivered to this endpoint again, with the event ids and times
    /// they had; their positions are the ids of the dead letters. Empty when there are none.
    ///
    /// # Errors
    /// [`OutboxError::Io`] if there are some and none can be read; [`OutboxError::UnknownEndpoint`].
    pub fn fetch_replay(
        &mut self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), OutboxError> {
        let name = self.cursors.get(endpoint)?.name();
        let limits = FetchLimits { records: max_records, bytes: max_bytes };
        self.dead_letters.fetch(self.log.storage(), name, limits, batch)
    }

    /// The dead letters up to id `through` were delivered again: they are removed.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; they count as delivered until a restart. [`OutboxError::UnknownEndpoint`].
    pub fn ack_replay(&mut self, endpoint: usize, through: Position) -> Result<(), OutboxError> {
        let name = self.cursors.get(endpoint)?.name();
        self.dead_letters.acknowledge(self.log.storage_mut(), self.writer.identity(), name, through.0)
    }

    /// The dead letter `id` was rejected again: it is kept, and not delivered again by itself.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; it counts as rejected until a restart.
    pub fn reject_replay(&mut self, id: Position) -> Result<(), OutboxError> {
        self.dead_letters.reject_replay(self.log.storage_mut(), self.writer.identity(), id.0)
    }
}
