//! One HTTP client per target: pooled connection, one repetition after a stale one, and the reply in words.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use ureq::http::Response;
use ureq::http::header::{DATE, RETRY_AFTER};
use ureq::{Agent, Body, RequestBuilder};

use super::abort::AbortHandle;
use super::agent::agent;
use super::connector::{ConnectionTracker, Phase};
use super::error::TransportError;
use super::outcome::RequestOutcome;
use super::retry_after::{http_date, retry_after};
use super::target::HttpTarget;
use super::tls::{self, CaFileError};
use super::trace::TraceHeaders;
use crate::clock::{Mono, Wall};

/// What one request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    pub outcome: RequestOutcome,
    /// `None` if there was no response.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<TransportError>,
    /// Cause and remedy, without secrets; empty after a success.
    pub detail: String,
    pub took: Duration,
    /// The response's `Date`.
    pub date: Option<Wall>,
}

/// Requests that got a connection, and connections opened for them; the difference was reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    pub requests: u64,
    pub opened: u64,
}

impl ConnectionCounts {
    pub fn reused(self) -> u64 {
        self.requests.saturating_sub(self.opened)
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { requests: self.requests - before.requests, opened: self.opened - before.opened }
    }
}

/// Sends a request and reads the response's body; the caller decides how much of it.
pub type Exchange<'a> = &'a mut dyn FnMut(&Agent) -> Result<Response<Body>, ureq::Error>;

/// Makes one request after the other, each at most the target's time-out long.
pub struct HttpClient {
    agent: Agent,
    tracker: Arc<ConnectionTracker>,
    requests: u64,
}

impl HttpClient {
    /// Reads `ca_file`; opens no connection.
    pub fn new(target: &HttpTarget) -> Result<Self, CaFileError> {
        let tls = if target.is_https() { Some(tls::verified(target.ca_file.as_deref())?) } else { None };
        Ok(Self::with_tls(tls, target.timeout))
    }

    /// For `http` URLs only.
    pub fn without_tls(timeout: Duration) -> Self {
        Self::with_tls(None, timeout)
    }

    /// Accepts any certificate: for a daemon on a loopback address, to which no secret is sent.
    pub fn for_loopback(timeout: Duration) -> Self {
        Self::with_tls(Some(tls::unverified()), timeout)
    }

    fn with_tls(tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Self {
        let tracker = Arc::default();
        Self { agent: agent(tls, timeout, &tracker), tracker, requests: 0 }
    }

    pub fn abort_handle(&self) -> AbortHandle {
        let agent = self.agent.clone();
        AbortHandle::new(move || agent.clone().shutdown())
    }

    pub fn connections(&self) -> ConnectionCounts {
        ConnectionCounts { requests: self.requests, opened: self.tracker.opened() }
    }

    /// One request. It is repeated once if a reused connection was closed before the response: the server closed an
    /// idle connection at the moment it was used again, which says nothing about its health.
    pub fn request(&mut self, exchange: Exchange<'_>) -> HttpReply {
        let opened = self.tracker.opened();
        let first = self.attempt(exchange);
        let stale = first.error == Some(TransportError::Reset) && self.tracker.opened() == opened;
        if stale { self.attempt(exchange) } else { first }
    }

    fn attempt(&mut self, exchange: Exchange<'_>) -> HttpReply {
        let began = Mono::now();
        let result = exchange(&self.agent);
        let took = Mono::now() - began;
        self.requests += u64::from(self.tracker.phase() == Phase::Exchange);
        match result {
            Ok(response) => answered(&response, took),
            Err(error) => {
                let cause = TransportError::of(&error, self.tracker.phase());
                let detail = cause.explain(&error);
                HttpReply {
                    outcome: cause.into(),
                    status: None,
                    error: Some(cause),
                    detail,
                    took,
                    date: None,
                }
            }
        }
    }
}

fn answered(response: &Response<Body>, took: Duration) -> HttpReply {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let date = text(DATE);
    let wait = text(RETRY_AFTER).and_then(|value| retry_after(value, date, Wall::now()));
    let status = response.status().as_u16();
    let outcome = RequestOutcome::of(status, wait, took);
    let detail = match outcome {
        RequestOutcome::Success { .. } => String::new(),
        _ => format!("status {status}{}", remedy(status)),
    };
    HttpReply { outcome, status: Some(status), error: None, detail, took, date: date.and_then(http_date) }
}

fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => ": redirects are not followed, set `url` to the new address",
        401 | 403 | 407 => ": check `secret` and `headers`",
        402 => ": the receiver asks for payment",
        404 | 405 | 421 | 426 => ": check `url`",
        410 => ": nothing more is sent until the breaker is set or `url` changes",
        _ => "",
    }
}

/// Adds custom headers and those of the trace.
pub fn with_headers<B>(
    mut request: RequestBuilder<B>,
    headers: &[(String, String)],
    trace: &TraceHeaders,
) -> RequestBuilder<B> {
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request = request.header("traceparent", &trace.traceparent);
    if let Some(state) = &trace.tracestate {
        request = request.header("tracestate", &**state);
    }
    request
}

/// Reads at most `limit` bytes of a body into `into`.
pub fn read_body(
    mut response: Response<Body>,
    limit: u64,
    into: &mut dyn io::Write,
) -> Result<Response<Body>, ureq::Error> {
    io::copy(&mut response.body_mut().as_reader().take(limit), into)?;
    Ok(response)
}
