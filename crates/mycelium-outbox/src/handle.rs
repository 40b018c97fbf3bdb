//! The outbox as other threads use it: an [`OutboxHandle`] that can be cloned and sent anywhere.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::{FetchLimits, RecordBatch};
use crate::cursors::MAX_ENDPOINTS;
use crate::error::{AppendError, OutboxError};
use crate::format::dead_letter::DeadLetter;
use crate::format::gap::GapReason;
use crate::format::record::{MAX_PAYLOAD_BYTES, Position, RecordKind};
use crate::group::{OnGroup, QueuedGroup, RecordGroup};
use crate::policy::OverflowPolicy;
use crate::requests::{OutboxRequest, RejectRequest, RequestQueue};
use crate::status::OutboxStatus;
use crate::time::{Mono, Stamp};

/// What the thread publishes.
#[derive(Default)]
pub(crate) struct SharedStatus {
    pub status: OutboxStatus,
    pub readable: Position,
    pub closed: bool,
    /// Calls of [`OutboxHandle::interrupt`].
    interrupts: u64,
    /// Interrupts that each endpoint has seen.
    seen: [u64; MAX_ENDPOINTS],
}

/// What the thread shares with all handles. No lock is held during I/O.
pub(crate) struct Shared {
    pub queue: Mutex<RequestQueue>,
    /// Notified after every change of `queue`.
    pub queue_changed: Condvar,
    pub status: Mutex<SharedStatus>,
    /// Notified after every change of `status`.
    pub status_changed: Condvar,
    pub overflow: OverflowPolicy,
}

impl Shared {
    pub fn new(status: OutboxStatus, readable: Position, overflow: OverflowPolicy) -> Self {
        Self {
            queue: Mutex::new(RequestQueue::new()),
            queue_changed: Condvar::new(),
            status: Mutex::new(SharedStatus { status, readable, ..SharedStatus::default() }),
            status_changed: Condvar::new(),
            overflow,
        }
    }
}

/// Locks even after a panic of another holder: every critical section leaves the data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The same for what waiting on a [`Condvar`] returns.
pub(crate) fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// Why [`OutboxHandle::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// There are records after the given position.
    Records,
    /// Dead letters are to be delivered to this endpoint again.
    Replay,
    /// [`OutboxHandle::interrupt`] was called after the last wait of this endpoint.
    Interrupt,
    /// Nothing happened in time.
    Timeout,
    /// The outbox was shut down.
    Closed,
}

/// Access to a running outbox. [`OutboxHandle::append`], [`OutboxHandle::status`] and
/// [`OutboxHandle::request_heartbeat`] never wait for the disk; the other methods wait for the outbox thread, and return
/// [`OutboxError::Closed`] after a shutdown.
#[derive(Clone)]
pub struct OutboxHandle {
    shared: Arc<Shared>,
}

impl OutboxHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Hands over one record. Never waits for the disk and, once warm, never allocates.
    ///
    /// # Errors
    /// Why the record was not accepted; see [`AppendError`] for what was counted.
    pub fn append(&self, kind: RecordKind, stamp: Stamp, payload: &[u8]) -> Result<(), AppendError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(AppendError::TooLarge);
        }
        let mut queue = lock(&self.shared.queue);
        if queue.closed || queue.stop.is_some() {
            return Err(AppendError::Closed);
        }
        if queue.records.push(kind, stamp, payload) {
            drop(queue);
            self.shared.queue_changed.notify_one();
            return Ok(());
        }
        if self.shared.overflow == OverflowPolicy::Block {
            return Err(AppendError::Full);
        }
        queue.refused += 1;
        Err(AppendError::Dropped(GapReason::Queue))
    }

    /// Hands over records that are accepted together or not at all; `done` learns which numbers they have: with
    /// `wait_until` once they are durable, or soon after that time if the disk refuses them, otherwise once they are
    /// accepted. Never waits. What is refused is not counted as lost: the caller knows.
    ///
    /// # Errors
    /// [`AppendError::Full`] if there is no space for all of them now, [`AppendError::TooLarge`],
    /// [`AppendError::Closed`]; then `done` is not called.
    pub fn append_group(
        &self,
        group: RecordGroup,
        wait_until: Option<Mono>,
        done: OnGroup,
    ) -> Result<(), AppendError> {
        if group.iter().any(|(payload, _)| payload.len() > MAX_PAYLOAD_BYTES) {
            return Err(AppendError::TooLarge);
        }
        let mut queue = lock(&self.shared.queue);
        if queue.closed || queue.stop.is_some() {
            return Err(AppendError::Closed);
        }
        if !queue.groups.push(QueuedGroup { group, wait_until, done }) {
            return Err(AppendError::Full);
        }
        drop(queue);
        self.shared.queue_changed.notify_one();
        Ok(())
    }

    /// With [`OverflowPolicy::Block`]: false while [`OutboxHandle::append`] might return [`AppendError::Full`].
    pub fn has_capacity(&self) -> bool {
        self.shared.overflow != OverflowPolicy::Block
            || lock(&self.shared.queue).records.has_capacity(MAX_PAYLOAD_BYTES)
    }

    /// False while the queue is so full that a record of the largest size would be refused, whatever the policy.
    pub fn has_space(&self) -> bool {
        lock(&self.shared.queue).records.has_capacity(MAX_PAYLOAD_BYTES)
    }

    /// Index of an endpoint, in the order of [`crate::OutboxOptions::endpoints`].
    pub fn endpoint(&self, name: &str) -> Option<usize> {
        lock(&self.shared.status).status.endpoints.iter().position(|e| e.name.as_str() == name)
    }

    /// Fills `batch` with what comes next for an endpoint: the frozen batch if there is one, whatever the limits.
    /// Empty when there is nothing.
    ///
    /// # Errors
    /// As [`crate::Outbox::fetch`].
    pub fn fetch(
        &self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), OutboxError> {
        let limits = FetchLimits { records: max_records, bytes: max_bytes };
        self.request_with(batch, |batch, reply| OutboxRequest::Fetch { endpoint, limits, batch, reply })
    }

    /// Makes the batch up to `through` durable before it is sent, and earlier acknowledgements with it.
    ///
    /// # Errors
    /// As [`crate::Outbox::freeze`].
    pub fn freeze(&self, endpoint: usize, through: Position, epoch: u32) -> Result<(), OutboxError> {
        self.request(|reply| OutboxRequest::Freeze { endpoint, through, epoch, reply })?
    }

    /// Everything up to `through` was delivered to this endpoint. Durable with the next freeze, at the latest after the
    /// time of a group.
    ///
    /// # Errors
    /// [`OutboxError::UnknownEndpoint`].
    pub fn ack(&self, endpoint: usize, through: Position) -> Result<(), OutboxError> {
        self.request(|reply| OutboxRequest::Ack { endpoint, through, reply })?
    }

    /// Waits until there are records after `after` for this endpoint, or dead letters to deliver again, or an
    /// interrupt. Without `after` it waits for an interrupt only: a sleep that can be ended.
    pub fn wait(&self, endpoint: usize, after: Option<Position>, timeout: Duration) -> WaitOutcome {
        let outcome = |shared: &SharedStatus| {
            let replay = || shared.status.endpoints.get(endpoint).is_some_and(|e| e.replay);
            if shared.closed {
                Some(WaitOutcome::Closed)
            } else if shared.seen.get(endpoint).is_some_and(|&seen| seen < shared.interrupts) {
                Some(WaitOutcome::Interrupt)
            } else if after.is_some() && replay() {
                Some(WaitOutcome::Replay)
            } else if after.is_some_and(|after| shared.readable > after) {
                Some(WaitOutcome::Records)
            } else {
                None
            }
        };
        let mut shared = self.wait_for_status(timeout, |shared| outcome(shared).is_some());
        let result = outcome(&shared).unwrap_or(WaitOutcome::Timeout);
        let interrupts = shared.interrupts;
        if let (WaitOutcome::Interrupt, Some(seen)) = (result, shared.seen.get_mut(endpoint)) {
            *seen = interrupts;
        }
        result
    }

    /// Ends the current wait of every endpoint, or its next one.
    pub fn interrupt(&self) {
        lock(&self.shared.status).interrupts += 1;
        self.shared.status_changed.notify_all();
    }

    /// The wall clock of this boot became known. Returns once the record that says so was written or refused.
    ///
    /// # Errors
    /// [`OutboxError::Closed`].
    pub fn clock_synced(&self, stamp: Stamp) -> Result<(), OutboxError> {
        self.request(|reply| OutboxRequest::ClockSynced { stamp, reply })
    }

    /// Writes everything that was appended before; false while the disk refuses writes.
    ///
    /// # Errors
    /// [`OutboxError::Closed`].
    pub fn flush(&self) -> Result<bool, OutboxError> {
        self.request(|reply| OutboxRequest::Flush { reply })
    }

    /// Asks the thread to publish a status, as a proof that it runs. Does not wait for it.
    pub fn request_heartbeat(&self) {
        lock(&self.shared.queue).heartbeat_requested = true;
        self.shared.queue_changed.notify_one();
    }

    /// A snapshot; does not wait for the disk.
    pub fn status(&self) -> OutboxStatus {
        let queued = {
            let queue = lock(&self.shared.queue);
            (queue.records.len() + queue.groups.records()) as u64
        };
        let mut status = lock(&self.shared.status).status.clone();
        status.in_memory += queued;
        status
    }

    /// Stores record `index` of `batch`, which `endpoint` has rejected, durably as a dead letter, and returns its id.
    /// Acknowledge the record afterwards.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was stored. [`OutboxError::UnknownEndpoint`].
    ///
    /// # Panics
    /// If the batch has no record `index`.
    pub fn dead_letter(
        &self,
        endpoint: usize,
        batch: &mut RecordBatch,
        index: usize,
        status: u16,
        reason: &str,
    ) -> Result<u64, OutboxError> {
        assert!(index < batch.records.len(), "the batch has no record {index}");
        let reason = reason.to_owned();
        self.request_with(batch, |batch, reply| {
            OutboxRequest::StoreDeadLetter(RejectRequest { endpoint, batch, index, status, reason, reply })
        })
    }

    /// Up to `limit` dead letters, oldest first.
    ///
    /// # Errors
    /// [`OutboxError::Io`].
    pub fn list_dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        self.request(|reply| OutboxRequest::ListDeadLetters { limit, reply })?
    }

    /// Marks the dead letters with these ids to be delivered again, with the event ids they had; no ids means all.
    /// Returns how many there were.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was changed.
    pub fn replay_dead_letters(&self, ids: Vec<u64>) -> Result<usize, OutboxError> {
        self.request(|reply| OutboxRequest::ReplayDeadLetters { ids, reply })?
    }

    /// Discards the dead letters with these ids; no ids means all. Returns how many there were.
    ///
    /// # Errors
    /// [`OutboxError::Io`]; then nothing was changed.
    pub fn discard_dead_letters(&self, ids: Vec<u64>) -> Result<usize, OutboxError> {
        self.request(|reply| OutboxRequest::DiscardDeadLetters { ids, reply })?
    }

    /// Fills `batch` with dead letters to be delivered to this endpoint again; its positions are their ids.
    ///
    /// # Errors
    /// As [`crate::Outbox::fetch_replay`].
    pub fn fetch_replay(
        &self,
        endpoint: usize,
        max_records: usize,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), OutboxError> {
        let limits = FetchLimits { records: max_records, bytes: max_bytes };
        self.request_with(batch, |batch, reply| OutboxRequest::FetchReplay { endpoint, limits, batch, reply })
    }

    /// The dead letters up to id `through` were delivered to the endpoint again.
    ///
    /// # Errors
    /// As [`crate::Outbox::ack_replay`].
    pub fn ack_replay(&self, endpoint: usize, through: Position) -> Result<(), OutboxError> {
        self.request(|reply| OutboxRequest::AckReplay { endpoint, through, reply })?
    }

    /// A dead letter was rejected again: it is kept, and not delivered again by itself.
    ///
    /// # Errors
    /// As [`crate::Outbox::reject_replay`].
    pub fn reject_replay(&self, id: Position) -> Result<(), OutboxError> {
        self.request(|reply| OutboxRequest::RejectReplay { id, reply })?
    }

    /// Accepts no more records, writes what there is until `deadline` and ends the thread. Returns false if not
    /// everything was written in time.
    pub fn shutdown(&self, deadline: Mono) -> bool {
        lock(&self.shared.queue).stop = Some(deadline);
        self.shared.queue_changed.notify_one();
        let shared = self.wait_for_status(deadline - Mono::now(), |shared| shared.closed);
        shared.closed && shared.status.in_memory == 0 && shared.status.degraded.is_none()
    }

    fn wait_for_status(
        &self,
        timeout: Duration,
        done: impl Fn(&SharedStatus) -> bool,
    ) -> MutexGuard<'_, SharedStatus> {
        let shared = lock(&self.shared.status);
        let waited = self.shared.status_changed.wait_timeout_while(shared, timeout, |shared| !done(shared));
        unpoisoned(waited).0
    }

    /// Sends a request and waits for its reply.
    fn request<T>(&self, request: impl FnOnce(SyncSender<T>) -> OutboxRequest) -> Result<T, OutboxError> {
        let (reply, answer) = sync_channel(1);
        {
            let mut queue = lock(&self.shared.queue);
            if queue.closed {
                return Err(OutboxError::Closed);
            }
            queue.requests.push_back(request(reply));
        }
        self.shared.queue_changed.notify_one();
        answer.recv().map_err(|_| OutboxError::Closed)
    }

    /// As `request`, with a batch that the thread works on and returns.
    fn request_with<T>(
        &self,
        batch: &mut RecordBatch,
        request: impl FnOnce(RecordBatch, SyncSender<(RecordBatch, Result<T, OutboxError>)>) -> OutboxRequest,
    ) -> Result<T, OutboxError> {
        let lent = std::mem::take(batch);
        let (returned, result) = self.request(|reply| request(lent, reply))?;
        *batch = returned;
        result
    }
}
