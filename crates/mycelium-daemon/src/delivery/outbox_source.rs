//! The outbox as the record source of one endpoint.

use std::time::Duration;

use super::source::{DeliveryBatch, Record, RecordSource, SourceError};
use mycelium_outbox::{EndpointStatus, OutboxError, OutboxHandle, Position, WaitOutcome};

/// One endpoint's view of the outbox. Dead letters to be replayed come before new records, but never join a batch that
/// was sent already.
pub struct OutboxSource {
    handle: OutboxHandle,
    endpoint: usize,
    batch: mycelium_outbox::RecordBatch,
    /// The current batch consists of dead letters; its positions are their numbers.
    replay: bool,
}

impl OutboxSource {
    /// `None` if the outbox has no endpoint of this name.
    pub fn new(handle: OutboxHandle, name: &str) -> Option<Self> {
        let endpoint = handle.endpoint(name)?;
        Some(Self { handle, endpoint, batch: mycelium_outbox::RecordBatch::default(), replay: false })
    }

    fn status<T>(&self, of: impl FnOnce(&EndpointStatus) -> T) -> Option<T> {
        self.handle.status().endpoints.get(self.endpoint).map(of)
    }

    fn copy_batch(&self, asked: usize, into: &mut DeliveryBatch) {
        into.frozen = self.batch.frozen;
        // A replay does not linger for more records.
        into.more = self.replay || self.batch.records.len() < asked && self.has_more();
        into.records.extend(self.batch.records.iter().map(|entry| Record {
            meta: entry.meta,
            corrected: entry.corrected,
            device: entry.device.clone(),
            payload: self.batch.payload(entry).to_vec(),
        }));
    }

    /// Whether the batch ended at the byte limit, not at the last record.
    fn has_more(&self) -> bool {
        self.status(|e| e.lag as usize).is_some_and(|lag| lag > self.batch.records.len())
    }
}

impl From<OutboxError> for SourceError {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Stale => Self::Stale,
            OutboxError::ClockPending | OutboxError::Closed => Self::Unavailable(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl RecordSource for OutboxSource {
    fn fetch(&mut self, records: usize, bytes: usize, into: &mut DeliveryBatch) -> Result<(), SourceError> {
        self.replay = false;
        let (frozen, replay) = self.status(|e| (e.frozen, e.replay)).unwrap_or_default();
        if replay && !frozen {
            match self.handle.fetch_replay(self.endpoint, records, bytes, &mut self.batch) {
                Ok(()) => self.replay = !self.batch.is_empty(),
                // They stay dead letters; new records are delivered anyway.
                Err(e) => {
                    let name = self.status(|endpoint| endpoint.name.clone()).unwrap_or_default();
                    log::warn!(endpoint = name.as_str(); "cannot replay dead letters: {e}");
                }
            }
        }
        if !self.replay {
            self.handle.fetch(self.endpoint, records, bytes, &mut self.batch)?;
        }
        self.copy_batch(records, into);
        Ok(())
    }

    fn freeze(&mut self, through: u64) -> Result<(), SourceError> {
        if self.replay {
            return Ok(());
        }
        Ok(self.handle.freeze(self.endpoint, Position(through), self.batch.epoch)?)
    }

    fn ack(&mut self, through: u64) -> Result<(), SourceError> {
        let through = Position(through);
        if self.replay {
            Ok(self.handle.ack_replay(self.endpoint, through)?)
        } else {
            Ok(self.handle.ack(self.endpoint, through)?)
        }
    }

    fn dead_letter(&mut self, record: &Record, status: u16, reason: &str) -> Result<(), SourceError> {
        let position = record.meta.position;
        if self.replay {
            return Ok(self.handle.reject_replay(position)?);
        }
        let index = self.batch.records.iter().position(|entry| entry.meta.position == position);
        let index = index
            .ok_or_else(|| SourceError::Unavailable("the record is not in the current batch".to_owned()))?;
        self.handle.dead_letter(self.endpoint, &mut self.batch, index, status, reason)?;
        Ok(self.handle.ack(self.endpoint, position)?)
    }

    fn wait(&mut self, timeout: Duration, for_records: bool) -> bool {
        let fetched = (!self.batch.is_empty() && !self.replay).then_some(self.batch.through);
        let after = fetched.or_else(|| self.status(|e| e.acked)).filter(|_| for_records);
        matches!(self.handle.wait(self.endpoint, after, timeout), WaitOutcome::Records | WaitOutcome::Replay)
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        let handle = self.handle.clone();
        Box::new(move || handle.interrupt())
    }
}
