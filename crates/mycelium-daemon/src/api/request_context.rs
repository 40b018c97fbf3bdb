//! The facts about one request that its response, its log line and its metrics share.

use std::net::IpAddr;
use std::time::Duration;

use tiny_http::Method;

use super::ports::AccessRecord;
use super::route_table::{OTHER, ROUTES};
use super::settings::Scope;
use super::state::AppState;
use crate::api::auth::authenticator::Access;
use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::head::RequestHead;
use crate::api::http::request_id::RequestId;
use crate::clock::Mono;
use crate::telemetry::trace::{SpanContext, is_tracestate};

pub struct RequestContext {
    pub endpoint: usize,
    pub method: &'static str,
    pub head_only: bool,
    /// The `{name}` segment of the path.
    pub name: Option<Box<str>>,
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
            name: None,
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

    /// Logs what a key that may write has asked for, and the response.
    fn audit(&self, state: &AppState, peer: IpAddr, status: u16) {
        let Some((route, key)) = ROUTES.get(self.endpoint).zip(self.key) else { return };
        let Access::Needs(scope @ (Scope::Write | Scope::Admin)) = route.access else { return };
        let template = route.template;
        let (before, after) = template.split_once("{name}").unwrap_or((template, ""));
        let name = self.name.as_deref().unwrap_or("").escape_debug();
        let action = format_args!("{} {before}{name}{after} ({status})", self.method);
        state.audit(scope, action, key, peer, &self.request_id);
    }

    /// Records the response in the metrics, and in logs and traces if they are on.
    pub fn record_access(&self, state: &AppState, peer: IpAddr, status: u16) {
        self.audit(state, peer, status);
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
                peer: state.shown(peer),
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
