//! PURE. Records on their way from the log to one endpoint.

use std::ops::Range;

use crate::format::name::SafeName;
use crate::format::record::{Position, RecordMeta};
use crate::time::{Wall, clock_label};

/// Records for one delivery, with their payloads in one buffer. Reuse a batch from fetch to fetch: its buffers grow to
/// the largest batch only.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// The records, in the order of their positions.
    pub records: Vec<BatchRecord>,
    bytes: Vec<u8>,
    /// Position of the last record: what to freeze and to acknowledge.
    pub through: Position,
    /// These are exactly the records of an earlier batch that may have been sent.
    pub frozen: bool,
    /// To be passed to `freeze`.
    pub epoch: u32,
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// Position, numbers, kind and time.
    pub meta: RecordMeta,
    /// The correct wall time, for a record from before the clock was known.
    pub corrected: Option<Wall>,
    /// The device it comes from.
    pub device: SafeName,
    payload: Range<usize>,
}

impl BatchRecord {
    /// The wall time to show.
    pub fn wall(&self) -> Wall {
        self.corrected.unwrap_or(self.meta.stamp.wall)
    }

    /// The [`clock_label`] of [`BatchRecord::wall`].
    pub fn clock(&self) -> &'static str {
        clock_label(self.meta.stamp.synced, self.corrected.is_some())
    }

    /// `<device>-<boot>-<seq>`: never used twice, and the same at every delivery.
    pub fn event_id(&self) -> String {
        self.meta.event_id(&self.device)
    }
}

impl RecordBatch {
    /// The payload of a record of this batch.
    pub fn payload(&self, record: &BatchRecord) -> &[u8] {
        &self.bytes[record.payload.clone()]
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Length of all payloads together.
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.through = Position(0);
        self.frozen = false;
    }

    /// Adds a record; its position must be above the last one.
    pub fn push(&mut self, meta: RecordMeta, device: SafeName, corrected: Option<Wall>, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.through = meta.position;
        self.records.push(BatchRecord { meta, corrected, device, payload: start..self.bytes.len() });
    }
}

/// How much a fetch may return; one record is always allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    pub records: usize,
    /// Bytes of payloads.
    pub bytes: usize,
}

impl FetchLimits {
    /// Whether a record of this length may be added to a batch that has some.
    pub fn allow(self, batch: &RecordBatch, len: usize) -> bool {
        batch.records.len() < self.records && batch.payload_bytes() + len <= self.bytes
    }
}
