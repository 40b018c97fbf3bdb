//! W3C Trace Context of outgoing requests.

use std::sync::Arc;

use super::client::HttpReply;
use crate::clock::Stamp;

/// Values of the headers `traceparent` and `tracestate`, so that the receiver's work joins the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    pub traceparent: String,
    pub tracestate: Option<Arc<str>>,
}

impl TraceHeaders {
    /// Ids of trace and span; empty if there is no `traceparent`.
    pub fn ids(&self) -> (&str, &str) {
        let mut parts = self.traceparent.split('-').skip(1);
        parts.next().zip(parts.next()).unwrap_or_default()
    }
}

impl From<&str> for TraceHeaders {
    fn from(traceparent: &str) -> Self {
        Self { traceparent: traceparent.to_owned(), tracestate: None }
    }
}

/// Spans around requests.
pub trait TraceHook: Send {
    fn begin(&mut self, now: Stamp) -> TraceHeaders;
    /// Ends the span begun last.
    fn end(&mut self, reply: &HttpReply);
}
