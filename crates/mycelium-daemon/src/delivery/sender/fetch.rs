//! Asks one endpoint for its data with GET, under the rules of deliveries: pool, time-out, roots, no redirects.

use std::io::Read;
use std::sync::Arc;

use ureq::Agent;

use super::wire::{Phase, Wire};
use super::{Abort, Reply, SenderError, agent, explained, fault_of};
use crate::clock::{Mono, Wall};
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::retry::retry_after;
use crate::delivery::settings::Endpoint;
use crate::delivery::trace::Carried;

pub struct Fetcher {
    agent: Agent,
    wire: Arc<Wire>,
    url: String,
    headers: Vec<(String, String)>,
    requests: u64,
}

impl Fetcher {
    /// Reads `ca_file`; makes no connection. Of the endpoint, URL, headers, time-out and `ca_file` count.
    pub fn new(endpoint: &Endpoint) -> Result<Self, SenderError> {
        let wire = Arc::new(Wire::default());
        let agent = agent(endpoint, &wire)?;
        Ok(Self { agent, wire, url: endpoint.url.clone(), headers: endpoint.headers.clone(), requests: 0 })
    }

    pub fn abort_handle(&self) -> Abort {
        Abort(self.agent.clone())
    }

    /// Requests that got a connection, and connections made for them; the difference was reused.
    pub fn connections(&self) -> (u64, u64) {
        (self.requests, self.wire.opened())
    }

    /// One answer of at most `limit` bytes into `into`; complete only when it was delivered. `carried` goes along, so
    /// that the sensor's work is part of the trace.
    pub fn get(&mut self, limit: usize, into: &mut Vec<u8>, carried: &Carried) -> Reply {
        let opened = self.wire.opened();
        match self.attempt(limit, into, carried) {
            // Closed in the moment it was taken up again: says nothing about the other side.
            Err((Fault::Reset, _)) if self.wire.opened() == opened => self.attempt(limit, into, carried),
            first => first,
        }
        .unwrap_or_else(|(_, reply)| reply)
    }

    fn attempt(
        &mut self,
        limit: usize,
        into: &mut Vec<u8>,
        carried: &Carried,
    ) -> Result<Reply, (Fault, Reply)> {
        into.clear();
        let mut request = self.agent.get(&self.url).header("traceparent", &carried.traceparent);
        if let Some(state) = &carried.tracestate {
            request = request.header("tracestate", &**state);
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header("accept", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let begun = Mono::now();
        let answer = request.call().and_then(|mut answer| {
            let read = answer.body_mut().as_reader().take(limit as u64 + 1).read_to_end(into);
            read.map(|_| answer).map_err(ureq::Error::from)
        });
        let took = Mono::now() - begun;
        self.requests += u64::from(self.wire.phase() == Phase::Exchange);
        let answer = answer.map_err(|error| {
            let fault = fault_of(&error, self.wire.phase());
            let detail = explained(fault, &error);
            (fault, Reply { outcome: fault.outcome(), status: None, detail, took })
        })?;
        let status = answer.status().as_u16();
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let wait = text("retry-after").and_then(|value| retry_after(value, text("date"), Wall::now()));
        let mut outcome = Outcome::of(status, wait, took);
        let mut detail = match outcome {
            Outcome::Delivered { .. } => String::new(),
            _ => format!("answered {status}{}", super::remedy(status)),
        };
        if into.len() > limit {
            outcome = Outcome::Failed { retry_after: None };
            detail = format!("the answer is longer than {limit} bytes: ask for less");
        }
        Ok(Reply { outcome, status: Some(status), detail, took })
    }
}
