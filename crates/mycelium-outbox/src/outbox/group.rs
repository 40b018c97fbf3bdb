//! Groups of records: accepted together or not at all, and once each.

use super::Outbox;
use crate::error::AppendError;
use crate::format::record::MAX_PAYLOAD_BYTES;
use crate::group::{GroupReceipt, RecordGroup};
use crate::policy::Durability;
use crate::storage::Storage;
use crate::time::Mono;

impl<S: Storage> Outbox<S> {
    /// Accepts all records of a group, or none. A record whose key was seen is not stored again; its number is that of
    /// the first. Unlike [`Outbox::append`] this never drops anything and counts no loss: the caller knows. A complete
    /// group is written by the next [`Outbox::tick`], with whatever else was accepted by then.
    ///
    /// # Errors
    /// [`AppendError::Full`] while the outbox cannot write or has no space for all of them, [`AppendError::TooLarge`].
    pub fn append_group(&mut self, group: &RecordGroup, now: Mono) -> Result<GroupReceipt, AppendError> {
        if group.iter().any(|(payload, _)| payload.len() > MAX_PAYLOAD_BYTES) {
            return Err(AppendError::TooLarge);
        }
        let fits = |outbox: &Self| outbox.pending.has_capacity(group.len(), group.payload_bytes());
        if self.faults.can_write() && !fits(self) {
            self.commit(now);
        }
        if !self.faults.can_write() || !fits(self) {
            return Err(AppendError::Full);
        }
        self.report_refused(now);
        let mut receipt = GroupReceipt { first_seq: u64::MAX, last_seq: 0, repeated: 0, durable: false };
        for (payload, key) in group.iter() {
            let stored = key.and_then(|key| self.seen.find(&key));
            receipt.repeated += usize::from(stored.is_some());
            let seq = stored.unwrap_or_else(|| self.push(group.kind, group.stamp, payload, now));
            if let (Some(key), None) = (key, stored) {
                self.seen.insert(key, seq);
            }
            receipt.first_seq = receipt.first_seq.min(seq);
            receipt.last_seq = receipt.last_seq.max(seq);
        }
        let complete = self.pending.len() >= self.policy.group_records as usize;
        if !self.pending.is_empty() && (complete || self.policy.durability == Durability::Each) {
            self.writer.set_commit_at(Some(now));
        }
        receipt.durable = self.is_settled(receipt.last_seq) == Some(true);
        Ok(receipt)
    }

    /// Whether the record of this boot with that number is durable; `None` while that may still change. With
    /// [`Durability::None`] a written record is settled.
    pub fn is_settled(&self, seq: u64) -> Option<bool> {
        if seq <= self.writer.durable_seq() {
            return Some(true);
        }
        let written = self.policy.durability == Durability::None && seq <= self.writer.written_seq();
        written.then_some(false)
    }
}
