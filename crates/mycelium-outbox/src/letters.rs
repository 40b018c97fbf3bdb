//! Dead letters, as the outbox offers them.

use super::core::Outbox;
use super::endpoint::Name;
use super::error::Error;
use super::fetch::Batch;
use super::letter::{DeadLetter, Original, Refusal};
use super::record::Position;
use super::storage::Storage;

impl<S: Storage> Outbox<S> {
    /// Puts a record aside, on the disk when this returns. Returns the number of the dead letter.
    pub fn bury(&mut self, original: &Original<'_>, refusal: &Refusal<'_>) -> Result<u64, Error> {
        self.dead.bury(&mut self.log.storage, &self.owner, original, refusal)
    }

    pub(super) fn endpoint_name(&self, endpoint: usize) -> Result<Name, Error> {
        self.endpoints.get(endpoint).map(|e| e.name.clone()).ok_or(Error::Unknown)
    }

    /// Up to `limit` dead letters, oldest first.
    pub fn dead_list(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.dead.list(&self.log.storage, limit)
    }

    /// Marks dead letters to be sent again; an empty list means all. Returns how many there were.
    pub fn dead_replay(&mut self, ids: &[u64]) -> Result<usize, Error> {
        self.dead.replay(&mut self.log.storage, &self.owner, ids)
    }

    /// Gives dead letters up; an empty list means all. Returns how many there were.
    pub fn dead_drop(&mut self, ids: &[u64]) -> Result<usize, Error> {
        self.dead.discard(&mut self.log.storage, &self.owner, ids)
    }

    /// Dead letters to be sent again to this endpoint, with the ids and times they had.
    pub fn fetch_replay(
        &mut self,
        endpoint: usize,
        most: (usize, usize),
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let name = &self.endpoints.get(endpoint).ok_or(Error::Unknown)?.name;
        self.dead.fetch(&self.log.storage, name, most, batch)
    }

    pub fn ack_replay(&mut self, endpoint: usize, through: Position) -> Result<(), Error> {
        let name = &self.endpoints.get(endpoint).ok_or(Error::Unknown)?.name;
        self.dead.taken(&mut self.log.storage, &self.owner, name, through.0)
    }

    pub fn refuse_replay(&mut self, id: Position) -> Result<(), Error> {
        self.dead.refused(&mut self.log.storage, &self.owner, id.0)
    }
}
