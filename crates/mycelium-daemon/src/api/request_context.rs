//! The facts about one request that its response, its log line and its metrics share.

use std::net::IpAddr;
use std::time::Duration;

use tiny_http::Method;

use super::ports::AccessRecord;
use super::route_table::{OTHER, ROUTES};
use super::state::AppState;
use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::head::RequestHead;
use crate::api::http::request_id::RequestId;
use crate::clock::Mono;
use crate::telemetry::trace::{SpanContext, is_tracestate};

pub struct RequestContext {
    pub endpoint: usize,
    pub method: &'static str,
    pub head_only: bool,
    pub key: Option<usize>,
    pub quota: Option<RateQuota>,
    pub trace: Option<SpanContext>,
    pub tracestate: Option<Box<str>>,
    /// Span of this request; `None` if tracing is off or nothing continues the trace.
    pub span: Option<SpanContext>,
    pub request_id: RequestId,
    pub started: Mono,
    /// Time of a long poll, which the client has asked for.
    pub waited: Duration,
    pub close: bool,
}

impl RequestContext {
    /// Of a request whose head could not be parsed.
    pub fn unparsed(request_id: RequestId, started: Mono) -> Self {
        Self {
            endpoint: OTHER,
            method: "other",
            head_only: false,
            key: None,
            quota: None,
            trace: None,
            tracestate: None,
            span: None,
            request_id,
            started,
            waited: Duration::ZERO,
            close: true,
        }
    }

    pub fn new(head: &RequestHead<'_>, request_id: RequestId, started: Mono, close: bool) -> Self {
        Self {
            method: method_name(&head.method),
            head_only: head.method == Method::Head,
            trace: head.traceparent.and_then(caller),
            tracestate: tracestate(&head.tracestate),
            close,
            ..Self::unparsed(request_id, started)
        }
    }

    /// Records the response in the metrics, and in logs and traces if they are on.
    pub fn record_access(&self, state: &AppState, peer: IpAddr, status: u16) {
        let took = Mono::now().since(self.started);
        // Without the long poll: its length is the choice of the client.
        let own = took.saturating_sub(self.waited).as_secs_f64();
        state.metrics().record_response(self.endpoint, self.method, status, own);
        if let Some(on_response) = &state.ports().on_response {
            let authenticator = state.authenticator();
            on_response(&AccessRecord {
                request_id: &self.request_id,
                method: self.method,
                route: ROUTES.get(self.endpoint).map_or("other", |route| route.template),
                status,
                took,
                peer,
                key: self.key.and_then(|k| authenticator.key(k)).map(|key| key.name.as_str()),
                trace: self.trace,
                span: self.span,
                tracestate: self.tracestate.as_deref().filter(|_| self.trace.is_some()),
            });
        }
    }
}

/// The span of the caller; an invalid `traceparent` is ignored.
fn caller(traceparent: &[u8]) -> Option<SpanContext> {
    SpanContext::parse(std::str::from_utf8(traceparent).ok()?)
}

/// All `tracestate` fields as one list; an invalid list is ignored.
fn tracestate(pieces: &[&[u8]]) -> Option<Box<str>> {
    if pieces[0].is_empty() {
        return None;
    }
    // Unused pieces are empty, and the list may have empty members.
    let list = String::from_utf8(pieces.join(&b',')).ok()?;
    let list = list.trim_end_matches(',');
    is_tracestate(list).then(|| list.into())
}

/// The label of a method in metrics and logs; unknown methods are `other`, so that clients cannot add labels.
fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        _ => "other",
    }
}
