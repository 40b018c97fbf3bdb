//! Where batches come from: the outbox seen by one endpoint.
//!
//! Two sides: the outbox's handle, and a list in memory for tests.

use std::fmt;
use std::time::Duration;

use crate::clock::{BootId, Stamp, Wall};
pub use mycelium_outbox::record::Kind;

/// One durable record on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Index in the log.
    pub position: u64,
    pub seq: u64,
    pub boot: BootId,
    pub kind: Kind,
    pub stamp: Stamp,
    /// Wall time reckoned back from a later clock sync of the same boot.
    pub corrected: Option<Wall>,
    pub device: String,
    pub payload: Vec<u8>,
}

/// Records in order, and whether they were sent together before.
#[derive(Debug, Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// These are exactly the records of a batch that may have been sent: they go out as they are.
    pub frozen: bool,
    /// More were there, but did not fit the limits.
    pub more: bool,
}

/// Why a source could not do something; texts name object, cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// What was fetched is no longer what it would be now: fetch it again before it is sent.
    Stale,
    /// Not at the moment; nothing may be sent before it works.
    Later(String),
    /// The disk refuses. What can be read may be sent all the same.
    Failed(String),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the batch has changed: fetch it again"),
            Self::Later(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for SourceError {}

/// The outbox, as one endpoint sees it. Every call is made by the endpoint's own thread.
pub trait Source: Send {
    /// Durable records behind the acknowledged position, in order; a frozen batch whole, whatever the limits.
    fn fetch(&mut self, records: usize, bytes: usize, into: &mut Batch) -> Result<(), SourceError>;
    /// Durably notes that the records up to `through` are about to be sent together.
    fn freeze(&mut self, through: u64) -> Result<(), SourceError>;
    /// Durably notes that everything up to `through` was taken.
    fn ack(&mut self, through: u64) -> Result<(), SourceError>;
    /// Moves one refused record to the dead letters and behind the acknowledged position.
    fn dead_letter(&mut self, record: &Record, status: u16, reason: &str) -> Result<(), SourceError>;
    /// Waits for an interruption, the end of `timeout`, or (with `news`) records behind those fetched last;
    /// tells whether there are some.
    fn wait(&mut self, timeout: Duration, news: bool) -> bool;
    /// Something that ends a `wait` of this source from any thread, also one that has not begun yet.
    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync>;
}
