//! PURE. What an outbox reports about itself.

use crate::cursors::MAX_ENDPOINTS;
use crate::format::gap::GapReason;
use crate::format::name::SafeName;
use crate::format::record::Position;
use crate::time::{BootId, Stamp};

/// A snapshot of an outbox.
#[derive(Clone, Debug, Default)]
pub struct OutboxStatus {
    /// Highest durable sequence number of this boot.
    pub durable_seq: u64,
    /// Records accepted by this process, gap records included.
    pub accepted: u64,
    /// Records that are accepted and not yet written.
    pub in_memory: u64,
    /// Their length in bytes.
    pub in_memory_bytes: u64,
    /// Number of segment files.
    pub segments: u64,
    /// Length of all segment files, spare ones included.
    pub bytes: u64,
    /// Records lost by this process, by [`GapReason::index`]; one that several endpoints lost counts once.
    pub dropped: [u64; GapReason::ALL.len()],
    /// Bytes skipped because they hold no valid record.
    pub skipped_bytes: u64,
    /// Commits of this process.
    pub commits: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Their length in bytes.
    pub dead_letter_bytes: u64,
    /// Dead letters dropped by this process because there were too many.
    pub dead_letters_dropped: u64,
    /// The size limit is reached and nothing may be dropped: nothing is written until an endpoint acknowledges records.
    pub full: bool,
    /// Why writing does not work at the moment.
    pub degraded: Option<String>,
    /// Boot and time of the oldest record that some endpoint has not acknowledged. Only the thread fills this in.
    pub oldest: Option<(BootId, Stamp)>,
    /// Records that can be fetched and are not acknowledged by the slowest endpoint; without endpoints, all records.
    pub pending: u64,
    /// The endpoints, in the order of their indexes.
    pub endpoints: heapless::Vec<EndpointStatus, MAX_ENDPOINTS>,
}

/// How far one endpoint has come.
#[derive(Clone, Debug, Default)]
pub struct EndpointStatus {
    /// Its name.
    pub name: SafeName,
    /// Everything up to here is acknowledged.
    pub acked: Position,
    /// A batch may have been sent that is not acknowledged yet.
    pub frozen: bool,
    /// Records that can be fetched and are not acknowledged.
    pub lag: u64,
    /// About how many bytes of segments these take.
    pub lag_bytes: u64,
    /// Dead letters are to be delivered to it again.
    pub replay: bool,
}
