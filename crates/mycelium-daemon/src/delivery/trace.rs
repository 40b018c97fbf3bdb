//! Spans around deliveries.

use super::kind::SendReply;
use super::source::Record;
use crate::clock::Stamp;
use crate::net::trace::TraceHeaders;

pub trait DeliveryTraceHook: Send {
    /// Begins a span around an attempt to deliver these records.
    fn begin(&mut self, now: Stamp, records: &[Record]) -> TraceHeaders;
    /// Ends the span begun last.
    fn end(&mut self, reply: &SendReply);
}
