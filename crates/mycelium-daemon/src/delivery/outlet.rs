//! The outbox as the source of one endpoint.

use std::time::Duration;

use super::source::{Batch, Record, Source, SourceError};
use mycelium_outbox::error::Error;
use mycelium_outbox::fetch;
use mycelium_outbox::handle::{Handle, Woke};
use mycelium_outbox::record::Position;

/// One endpoint's view of the outbox. Dead letters that are to be sent again go before new records, but never
/// into a batch that was sent already.
pub struct Outlet {
    handle: Handle,
    endpoint: usize,
    batch: fetch::Batch,
    /// The batch in hand is one of dead letters; its positions are their numbers.
    replay: bool,
}

impl Outlet {
    /// `None` when the outbox knows no endpoint of this name.
    pub fn new(handle: Handle, name: &str) -> Option<Self> {
        let endpoint = handle.endpoint(name)?;
        Some(Self { handle, endpoint, batch: fetch::Batch::default(), replay: false })
    }

    fn status<T>(&self, of: impl FnOnce(&mycelium_outbox::status::EndpointStatus) -> T) -> Option<T> {
        self.handle.status().endpoints.get(self.endpoint).map(of)
    }

    fn hand_out(&self, asked: usize, into: &mut Batch) {
        into.frozen = self.batch.frozen;
        // What is sent again does not wait for more.
        into.more = self.replay || self.batch.records.len() < asked && self.more_than_in_hand();
        into.records.extend(self.batch.records.iter().map(|entry| Record {
            position: entry.position.0,
            seq: entry.seq,
            boot: entry.boot,
            kind: entry.kind,
            stamp: entry.stamp,
            corrected: entry.corrected,
            device: entry.device.as_str().to_owned(),
            payload: self.batch.payload(entry).to_vec(),
        }));
    }

    /// The batch ended at the limit of bytes, not at the last record.
    fn more_than_in_hand(&self) -> bool {
        self.status(|e| e.lag as usize).is_some_and(|lag| lag > self.batch.records.len())
    }
}

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        match error {
            Error::Stale => Self::Stale,
            Error::ClockPending | Error::Closed => Self::Later(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Source for Outlet {
    fn fetch(&mut self, records: usize, bytes: usize, into: &mut Batch) -> Result<(), SourceError> {
        self.replay = false;
        let (frozen, replay) = self.status(|e| (e.frozen, e.replay)).unwrap_or_default();
        if replay && !frozen {
            match self.handle.fetch_replay(self.endpoint, records, bytes, &mut self.batch) {
                Ok(()) => self.replay = !self.batch.is_empty(),
                // They stay among the dead; what is new goes out all the same.
                Err(e) => {
                    let name = self.status(|endpoint| endpoint.name.clone()).unwrap_or_default();
                    log::warn!(endpoint = name.as_str(); "cannot send dead letters again: {e}");
                }
            }
        }
        if !self.replay {
            self.handle.fetch(self.endpoint, records, bytes, &mut self.batch)?;
        }
        self.hand_out(records, into);
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
        let position = Position(record.position);
        if self.replay {
            return Ok(self.handle.refuse_replay(position)?);
        }
        let entry = self.batch.records.iter().find(|entry| entry.position == position);
        let entry = entry.ok_or_else(|| SourceError::Later("the batch is no longer in hand".to_owned()))?;
        self.handle.dead_letter(self.endpoint, &self.batch, entry, status, reason)?;
        Ok(self.handle.ack(self.endpoint, position)?)
    }

    fn wait(&mut self, timeout: Duration, news: bool) -> bool {
        let in_hand = (!self.batch.is_empty() && !self.replay).then_some(self.batch.through);
        let after = in_hand.or_else(|| self.status(|e| e.acked)).filter(|_| news);
        matches!(self.handle.wait(self.endpoint, after, timeout), Woke::Records | Woke::Replay)
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        let handle = self.handle.clone();
        Box::new(move || handle.interrupt())
    }
}
