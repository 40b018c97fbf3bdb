//! What an endpoint kind has to do; scheduler, breaker, cursor, dead letters and metrics are shared by all kinds.
//!
//! A kind is one module: its settings (the shared ones are [`super::DeliverySettings`]), and an implementation of
//! [`EndpointKind`] that [`super::Endpoint::open`] creates. Every call comes from the endpoint's own thread and may
//! block, but no longer than [`super::Endpoint::timeout`] says. The contract:
//!
//! - The caller fetches records, drops those that `types` excludes, asks [`EndpointKind::fit`] how many go together, and
//!   then calls [`EndpointKind::send`] with a prefix of them: all, or fewer after the batch was cut. A repeated attempt
//!   gets the same records, unless the kind does not freeze and took a part of them before.
//! - [`SendReply::taken`] counts records from the front that the endpoint has now, as durably as the kind promises. They
//!   are acknowledged and never sent again, whatever became of the rest; so a kind must not count a record before
//!   everything in front of it was taken.
//! - [`SendReply::rest`] says what became of the first record that was not taken. `Rejected` and `TooLarge` blame the
//!   records: the batch is cut until the culprit is alone, which becomes a dead letter. If records were taken, the one
//!   after them is tried alone next. Everything else is retried after a back-off; `Failed` and `Misconfigured` count
//!   against the endpoint's breaker. `net::outcome` has the table.
//! - A kind never waits before another attempt and never opens a second connection in one call: when to try again is
//!   decided by the scheduler.
//! - Errors are notes: verb, object, cause and remedy, without secrets.

use std::time::Duration;

use super::source::Record;
use crate::clock::{Mono, Stamp};
use crate::net::abort::AbortHandle;
use crate::net::client::{ConnectionCounts, HttpReply};
use crate::net::outcome::RequestOutcome;
use crate::net::trace::TraceHeaders;

/// What an attempt is made with besides the records.
#[derive(Clone, Copy, Debug)]
pub struct SendContext<'a> {
    pub trace: &'a TraceHeaders,
    pub now: Stamp,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReply {
    /// Records from the front that the endpoint has now.
    pub taken: usize,
    /// What became of the first record after them; `Success` if there is none.
    pub rest: RequestOutcome,
    /// The endpoint's answer as a number, shown in spans and stored with dead letters; `None` if it gave none.
    pub status: Option<u16>,
    /// Cause and remedy, without secrets; empty after a success.
    pub note: String,
    pub took: Duration,
}

impl SendReply {
    /// All `count` records were taken.
    pub fn success(count: usize, took: Duration) -> Self {
        let rest = RequestOutcome::Success { took };
        Self { taken: count, rest, status: None, note: String::new(), took }
    }

    /// The reply to a request with `count` records that are taken together or not at all.
    pub fn whole(count: usize, reply: HttpReply) -> Self {
        let taken = if matches!(reply.outcome, RequestOutcome::Success { .. }) { count } else { 0 };
        Self { taken, rest: reply.outcome, status: reply.status, note: reply.detail, took: reply.took }
    }
}

/// Sends records to one endpoint. Dropping it closes its connection or file.
pub trait EndpointKind: Send {
    /// How many of these records go together in at most `max_bytes`; at least 1 of a list that is not empty. The
    /// default counts payloads.
    fn fit(&mut self, records: &[Record], max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fits = |record: &&Record| {
            bytes += record.payload.len();
            bytes <= max_bytes
        };
        records.iter().take_while(fits).count().max(records.len().min(1))
    }

    /// One attempt with the first records of the last [`EndpointKind::fit`]; never empty.
    fn send(&mut self, records: &[Record], context: SendContext<'_>) -> SendReply;

    /// Called between waits while the breaker is closed: for keep-alives and files that end by time. Returns when it
    /// wants to be called again, or what is wrong, which is shown but not counted as an attempt.
    fn idle(&mut self, now: Mono) -> Result<Option<Mono>, String> {
        let _ = now;
        Ok(None)
    }

    /// Whether the endpoint could be reached, tested without a record; called after minutes without an attempt.
    fn probe(&mut self) -> Result<(), String>;

    /// Ends a call that blocks, from any thread.
    fn abort_handle(&self) -> AbortHandle;

    /// Whether the limits of a batch are stored durably before its first attempt, since the batch as a whole is
    /// identified (a body with one id); costs a durable write per batch. Kinds that identify each record do not need it.
    fn freezes(&self) -> bool {
        false
    }

    /// For the metrics of reused connections.
    fn connections(&self) -> ConnectionCounts {
        ConnectionCounts::default()
    }
}
