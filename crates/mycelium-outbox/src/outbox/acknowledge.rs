//! What an endpoint is about to send and what it has delivered.

use super::Outbox;
use crate::error::OutboxError;
use crate::format::record::Position;
use crate::storage::Storage;
use crate::time::Mono;

impl<S: Storage> Outbox<S> {
    /// Index of an endpoint, in the order given to [`Outbox::open`].
    pub fn endpoint(&self, name: &str) -> Option<usize> {
        self.cursors.index_of(name)
    }

    /// Everything up to `through` was delivered to this endpoint. Durable within the time of a group, or with the next
    /// [`Outbox::freeze`].
    ///
    /// # Errors
    /// [`OutboxError::UnknownEndpoint`].
    pub fn ack(&mut self, endpoint: usize, through: Position, now: Mono) -> Result<(), OutboxError> {
        let through = through.min(self.writer.readable());
        let cursor = self.cursors.get_mut(endpoint)?;
        if through > cursor.cursor().acked {
            cursor.ack(through, now);
            self.clock.sent(through);
        }
        Ok(())
    }

    /// Makes the batch up to `through` durable before it is sent: after a restart exactly this batch is fetched again.
    /// `epoch` is that of the batch. Also makes earlier acknowledgements durable.
    ///
    /// # Errors
    /// [`OutboxError::Stale`] and [`OutboxError::ClockPending`] if the times in the batch are no longer right: it must
    /// not be sent. After [`OutboxError::Io`] it may be sent, but a restart may divide its records into other batches.
    pub fn freeze(
        &mut self,
        endpoint: usize,
        through: Position,
        epoch: u32,
        now: Mono,
    ) -> Result<(), OutboxError> {
        let readable = self.writer.readable();
        let cursor = self.cursors.get_mut(endpoint)?;
        if epoch != self.clock.epoch() {
            return Err(OutboxError::Stale);
        }
        if cursor.unsynced().is_some_and(|(first, last)| self.clock.will_change(first, last.min(through))) {
            return Err(OutboxError::ClockPending);
        }
        cursor.freeze(through.min(readable), now);
        // Whether or not the cursor can be written: what can be read is sent all the same.
        self.clock.sent(through);
        let written = self.cursors.write(self.log.storage_mut(), endpoint, readable);
        self.cursors_written(written.as_ref().err(), now);
        written
    }

    /// When the oldest change of a cursor must be written.
    pub(super) fn cursors_due(&self) -> Option<Mono> {
        self.cursors.dirty_since().map(|since| since + self.policy.group)
    }

    /// Writes every cursor that has changed, then removes the segments that nobody needs.
    pub(super) fn write_cursors(&mut self, now: Mono) {
        let written = self.cursors.write_changed(self.log.storage_mut(), self.writer.readable());
        self.cursors_written(written.as_ref().err(), now);
    }

    fn cursors_written(&mut self, error: Option<&OutboxError>, now: Mono) {
        if let Some(error) = error {
            self.cursor_failed(error, now);
        } else {
            self.faults.cursor_succeeded();
            self.reclaim(now);
        }
    }

    /// Removes the segments that every endpoint has acknowledged durably.
    fn reclaim(&mut self, now: Mono) {
        let Some(acked) = self.cursors.reclaimable() else { return };
        while self.log.oldest_ends().is_some_and(|last| last <= acked) {
            match self.log.pop_oldest() {
                Ok(removed) => self.reader.close(removed.number),
                Err(e) => {
                    self.cursor_failed(&e, now);
                    return;
                }
            }
        }
        if self.faults.is_full() {
            self.faults.set_full(false);
            self.commit(now);
        }
    }
}
