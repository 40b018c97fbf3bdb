//! Where batches come from: the outbox as one endpoint sees it, or a list in memory in tests.

use std::fmt;
use std::time::Duration;

use crate::clock::Wall;
pub use mycelium_outbox::{Position, RecordKind, RecordMeta, SafeName};

/// A feature window: [`mycelium_core::window::FeatureWindow`].
pub const WINDOW: RecordKind = RecordKind(1);

/// One durable record to deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub meta: RecordMeta,
    /// Wall time computed from a later clock sync of the same boot.
    pub corrected: Option<Wall>,
    pub device: SafeName,
    pub payload: Vec<u8>,
}

/// Consecutive records.
#[derive(Debug, Default)]
pub struct DeliveryBatch {
    pub records: Vec<Record>,
    /// These are exactly the records of a batch that may have been sent; they must be sent together again.
    pub frozen: bool,
    /// There are more records, but they exceed the limits.
    pub more: bool,
}

/// Why an operation of a source failed; texts name object, cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// The fetched records are outdated: fetch again before sending.
    Stale,
    /// Temporary; nothing may be sent before it succeeds.
    Unavailable(String),
    /// The disk failed. What can be read may still be sent.
    Failed(String),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the batch has changed: fetch it again"),
            Self::Unavailable(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for SourceError {}

/// The outbox, as one endpoint sees it. Every call is made by the endpoint's own thread.
pub trait RecordSource: Send {
    /// Durable records after the acknowledged position, in order; a frozen batch is returned whole, whatever the
    /// limits.
    fn fetch(&mut self, records: usize, bytes: usize, into: &mut DeliveryBatch) -> Result<(), SourceError>;
    /// Stores durably that the records up to `through` are about to be sent together.
    fn freeze(&mut self, through: u64) -> Result<(), SourceError>;
    /// Stores durably that everything up to `through` was delivered.
    fn ack(&mut self, through: u64) -> Result<(), SourceError>;
    /// Moves one rejected record to the dead letters and acknowledges it.
    fn dead_letter(&mut self, record: &Record, status: u16, reason: &str) -> Result<(), SourceError>;
    /// Waits for an interruption, the end of `timeout` or, if `for_records`, records after those fetched last.
    /// Returns whether there are some.
    fn wait(&mut self, timeout: Duration, for_records: bool) -> bool;
    /// Ends a `wait` of this source from any thread; if there is none, the next one.
    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync>;
}
