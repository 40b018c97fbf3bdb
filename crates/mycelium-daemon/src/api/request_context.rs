//! What is known of one request beside its content: the facts its answer, its log entry and its measures share.

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
    /// Its own, where others may go on with it.
    pub span: Option<SpanContext>,
    pub request_id: RequestId,
    pub started: Mono,
    /// Spent waiting for news on behalf of the client, who asked for it.
    pub waited: Duration,
    pub close: bool,
}

impl RequestContext {
    /// Of a request that could not be understood.
    pub fn nothing(request_id: RequestId, started: Mono) -> Self {
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

    pub fn of(head: &RequestHead<'_>, request_id: RequestId, started: Mono, close: bool) -> Self {
        Self {
            method: method_name(&head.method),
            head_only: head.method == Method::Head,
            trace: head.traceparent.and_then(caller),
            tracestate: tracestate(&head.tracestate),
            close,
            ..Self::nothing(request_id, started)
        }
    }

    /// Counts the answer, and tells who listens.
    pub fn record_access(&self, state: &AppState, peer: IpAddr, status: u16) {
        let took = Mono::now().since(self.started);
        // How long a client wanted to wait says nothing about the daemon.
        let own = took.saturating_sub(self.waited).as_secs_f64();
        state.metrics.record_response(self.endpoint, self.method, status, own);
        if let Some(tell) = &state.ports.on_response {
            let gate = state.authenticator.borrow();
            tell(&AccessRecord {
                request_id: &self.request_id,
                method: self.method,
                route: ROUTES.get(self.endpoint).map_or("other", |route| route.template),
                status,
                took,
                peer,
                key: self.key.and_then(|k| gate.key(k)).map(|key| key.name.as_str()),
                trace: self.trace,
                span: self.span,
                tracestate: self.tracestate.as_deref().filter(|_| self.trace.is_some()),
            });
        }
    }
}

/// The span a request is part of; a field that is not valid is as good as none.
fn caller(traceparent: &[u8]) -> Option<SpanContext> {
    SpanContext::parse(std::str::from_utf8(traceparent).ok()?)
}

/// The pieces of a `tracestate` as one list; one that may not be passed on is as good as none.
fn tracestate(pieces: &[&[u8]]) -> Option<Box<str>> {
    if pieces[0].is_empty() {
        return None;
    }
    // Empty members are allowed, so the unused pieces do no harm.
    let list = String::from_utf8(pieces.join(&b',')).ok()?;
    let list = list.trim_end_matches(',');
    is_tracestate(list).then(|| list.into())
}

/// Methods that metrics and logs know by name; whatever a client makes up is `other`.
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
