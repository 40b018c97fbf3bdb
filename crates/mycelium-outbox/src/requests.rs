//! What callers hand to the outbox thread: records in a bounded queue, and requests with a reply.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

use crate::batch::{FetchLimits, RecordBatch};
use crate::error::OutboxError;
use crate::format::dead_letter::DeadLetter;
use crate::format::record::{Position, RecordKind};
use crate::group::GroupQueue;
use crate::pending::MAX_PENDING_RECORDS;
use crate::policy::MAX_RECORDS_IN_MEMORY;
use crate::time::{Mono, Stamp};

/// Most records in the queue. With those that the thread works on and those that wait for the disk, at most
/// [`MAX_RECORDS_IN_MEMORY`] are in memory.
const MAX_QUEUED_RECORDS: usize = 512;
/// Most bytes of payloads in the queue.
const MAX_QUEUED_BYTES: usize = 1 << 20;
const _: () = assert!(2 * MAX_QUEUED_RECORDS + MAX_PENDING_RECORDS <= MAX_RECORDS_IN_MEMORY);

/// Records in the order of their appends, payloads in one buffer. The thread swaps it for its own empty queue, so that
/// neither allocates once warm.
#[derive(Debug)]
pub(crate) struct AppendQueue {
    records: VecDeque<QueuedRecord>,
    payloads: Vec<u8>,
    /// Offset of the first payload.
    start: usize,
}

/// A record without its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedRecord {
    pub kind: RecordKind,
    pub stamp: Stamp,
    len: usize,
}

impl AppendQueue {
    pub fn new() -> Self {
        let records = VecDeque::with_capacity(MAX_QUEUED_RECORDS);
        Self { records, payloads: Vec::with_capacity(64 << 10), start: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether one more record with a payload of this length fits.
    pub fn has_capacity(&self, len: usize) -> bool {
        self.records.len() < MAX_QUEUED_RECORDS && self.payloads.len() + len <= MAX_QUEUED_BYTES
    }

    /// False when the queue is full.
    pub fn push(&mut self, kind: RecordKind, stamp: Stamp, payload: &[u8]) -> bool {
        if !self.has_capacity(payload.len()) {
            return false;
        }
        self.records.push_back(QueuedRecord { kind, stamp, len: payload.len() });
        self.payloads.extend_from_slice(payload);
        true
    }

    /// The first record and its payload.
    pub fn first(&self) -> Option<(QueuedRecord, &[u8])> {
        let record = *self.records.front()?;
        Some((record, &self.payloads[self.start..self.start + record.len]))
    }

    pub fn pop(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.start += record.len;
        }
        if self.records.is_empty() {
            self.payloads.clear();
            self.start = 0;
        }
    }
}

/// Where the thread sends its reply; a caller that no longer waits misses it.
type Reply<T> = SyncSender<T>;
type FetchReply = Reply<(RecordBatch, Result<(), OutboxError>)>;

/// A request to the outbox thread. Batches are passed to the thread and back, so that their buffers are reused.
pub(crate) enum OutboxRequest {
    Fetch { endpoint: usize, limits: FetchLimits, batch: RecordBatch, reply: FetchReply },
    Freeze { endpoint: usize, through: Position, epoch: u32, reply: Reply<Result<(), OutboxError>> },
    Ack { endpoint: usize, through: Position, reply: Reply<Result<(), OutboxError>> },
    ClockSynced { stamp: Stamp, reply: Reply<()> },
    Flush { reply: Reply<bool> },
    StoreDeadLetter(RejectRequest),
    ListDeadLetters { limit: usize, reply: Reply<Result<Vec<DeadLetter>, OutboxError>> },
    ReplayDeadLetters { ids: Vec<u64>, reply: Reply<Result<usize, OutboxError>> },
    DiscardDeadLetters { ids: Vec<u64>, reply: Reply<Result<usize, OutboxError>> },
    FetchReplay { endpoint: usize, limits: FetchLimits, batch: RecordBatch, reply: FetchReply },
    AckReplay { endpoint: usize, through: Position, reply: Reply<Result<(), OutboxError>> },
    RejectReplay { id: Position, reply: Reply<Result<(), OutboxError>> },
}

/// Record `index` of `batch` was rejected by `endpoint`.
pub(crate) struct RejectRequest {
    pub endpoint: usize,
    pub batch: RecordBatch,
    pub index: usize,
    pub status: u16,
    pub reason: String,
    pub reply: Reply<(RecordBatch, Result<u64, OutboxError>)>,
}

/// Everything that waits for the thread.
pub(crate) struct RequestQueue {
    pub records: AppendQueue,
    pub groups: GroupQueue,
    pub requests: VecDeque<OutboxRequest>,
    /// Records refused because the queue was full.
    pub refused: u64,
    /// Publish the status once, even if there is nothing else to do.
    pub heartbeat_requested: bool,
    /// Shut down; everything should be written by then.
    pub stop: Option<Mono>,
    pub closed: bool,
}

impl RequestQueue {
    pub fn new() -> Self {
        Self {
            records: AppendQueue::new(),
            groups: GroupQueue::default(),
            requests: VecDeque::new(),
            refused: 0,
            heartbeat_requested: false,
            stop: None,
            closed: false,
        }
    }
}
