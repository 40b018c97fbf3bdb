//! Where batches come from: the outbox seen by one endpoint.
//!
//! Two sides: the outbox's handle, and a list in memory for tests.

use std::fmt;
use std::time::Duration;

use crate::clock::{BootId, Stamp, Wall};

/// What a record's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `window::Window`, encoded.
    Window,
    /// Records that will not come.
    Gap,
    /// The clock of a boot became known.
    ClockSync,
    /// Text of its own making, or from a newer program.
    Other(u8),
}

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

/// Why a source could not do something; the text names object, cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError(pub String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    /// Waits for new durable records, an interruption, or the end of `timeout`; tells whether there may be
    /// new records.
    fn wait(&mut self, timeout: Duration) -> bool;
    /// Something that ends a `wait` of this source from any thread, also one that has not begun yet.
    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync>;
    /// Durable records not yet acknowledged.
    fn lag(&self) -> u64;
}
