//! Spans of delivery attempts and of polls of HTTP sensors.

use std::sync::Arc;

use super::{CurrentPoll, SpanRef, Traces};
use crate::clock::Stamp;
use crate::delivery::Endpoint;
use crate::delivery::kind::SendReply;
use crate::delivery::source::Record;
use crate::delivery::trace::DeliveryTraceHook;
use crate::net::client::HttpReply;
use crate::net::trace::{TraceHeaders, TraceHook};
use crate::sync::lock;
use crate::telemetry::logs::target::DELIVERY;
use crate::telemetry::trace::{Attributes, Links, Span, SpanKind, Tracer};

/// Traces the attempts of one endpoint, one at a time, or the polls of one sensor.
pub(in crate::supervisor) struct Deliveries {
    tracer: Tracer,
    traces: Option<Traces>,
    endpoint: Arc<str>,
    /// Kind and name, as log lines begin.
    label: String,
    /// Of HTTP.
    method: Option<&'static str>,
    /// Shared with the sink of the readings; `None` for deliveries.
    poll: Option<CurrentPoll>,
    /// Scheme, host and port only: the path may contain a token.
    origin: String,
    running: Option<Running>,
    /// Last record of the previous attempt, and how often its batch was repeated.
    attempts: (u64, u32),
}

struct Running {
    span: SpanRef,
    parent: Option<u64>,
    links: Links,
    began: Stamp,
    records: usize,
}

impl Deliveries {
    pub(in crate::supervisor) fn new(tracer: Tracer, traces: Option<Traces>, endpoint: &Endpoint) -> Self {
        let method = matches!(endpoint, Endpoint::Webhook(_)).then_some("POST");
        Self { traces, ..Self::to(tracer, endpoint.name(), endpoint.label(), method, endpoint.destination()) }
    }

    fn to(tracer: Tracer, name: &str, label: String, method: Option<&'static str>, origin: String) -> Self {
        Self {
            tracer,
            traces: None,
            endpoint: name.into(),
            label,
            method,
            poll: None,
            origin,
            running: None,
            attempts: (0, 0),
        }
    }

    /// For the polls of a connector: GET, no records, no repetitions. A poll is the root of a trace.
    pub(in crate::supervisor) fn for_polls(
        tracer: Tracer,
        connector: &str,
        origin: String,
        poll: CurrentPoll,
    ) -> Self {
        let label = format!("connector {connector}");
        Self { poll: Some(poll), ..Self::to(tracer, connector, label, Some("GET"), origin) }
    }

    /// Host and port of the origin; the default port of the scheme if it has none.
    fn server(&self) -> (&str, i64) {
        let (scheme, authority) = self.origin.split_once("://").unwrap_or(("", &self.origin));
        let port =
            authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = port.unwrap_or((authority, if scheme == "https" { 443 } else { 80 }));
        (host.trim_matches(['[', ']']), i64::from(port))
    }
}

impl DeliveryTraceHook for Deliveries {
    fn begin(&mut self, now: Stamp, records: &[Record]) -> TraceHeaders {
        self.begin_span(now, records)
    }

    fn end(&mut self, reply: &SendReply) {
        self.end_span(reply);
    }
}

impl TraceHook for Deliveries {
    fn begin(&mut self, now: Stamp) -> TraceHeaders {
        self.begin_span(now, &[])
    }

    fn end(&mut self, reply: &HttpReply) {
        self.end_span(&SendReply::whole(0, reply.clone()));
    }
}

impl Deliveries {
    fn begin_span(&mut self, now: Stamp, records: &[Record]) -> TraceHeaders {
        let last = records.last().map_or(0, |record| record.meta.position.0);
        let again = !records.is_empty() && self.attempts.0 == last;
        self.attempts = (last, if again { self.attempts.1 + 1 } else { 0 });
        let (parent, links) = self
            .traces
            .as_ref()
            .map(|traces| traces.windows_at(records.iter().map(|r| r.meta.stamp.mono)))
            .unwrap_or_default();
        let context = self.tracer.begin(parent.as_ref().map(|parent| parent.context));
        let state = parent.as_ref().and_then(|parent| parent.state.clone());
        let headers = TraceHeaders { traceparent: context.to_string(), tracestate: state.clone() };
        let span = SpanRef { context, state };
        if let Some(poll) = &self.poll {
            *lock(poll) = Some(span.clone());
        }
        self.running = Some(Running {
            span,
            parent: parent.map(|parent| parent.context.span_id),
            links,
            began: now,
            records: records.len(),
        });
        headers
    }

    fn end_span(&mut self, reply: &SendReply) {
        let Some(Running { span: SpanRef { context, state }, parent, links, began, records }) =
            self.running.take()
        else {
            return;
        };
        let key = if self.poll.is_some() { "mycelium.connector" } else { "mycelium.endpoint" };
        log::debug!(
            target: DELIVERY,
            trace_id:% = format_args!("{:032x}", context.trace_id),
            span_id:% = format_args!("{:016x}", context.span_id);
            "{}: {records} records in {:?}: {}",
            self.label,
            reply.took,
            reply.status.map_or_else(|| reply.note.clone(), |status| format!("status {status}"))
        );
        if !context.sampled {
            return;
        }
        let mut attributes = Attributes::default();
        if let Some(method) = self.method {
            let (host, port) = self.server();
            attributes = attributes
                .text("http.request.method", method)
                .text("url.full", &self.origin)
                .text("server.address", host)
                .integer("server.port", port);
        }
        attributes = attributes.text(key, &self.endpoint);
        if let (Some(status), Some(_)) = (reply.status, self.method) {
            attributes = attributes.integer("http.response.status_code", status);
        }
        if self.attempts.1 > 0 {
            attributes = attributes.integer("http.request.resend_count", i64::from(self.attempts.1));
        }
        let error = (!reply.note.is_empty()).then(|| reply.note.clone());
        if error.is_some() {
            let kind = reply.status.map_or_else(|| "transport".to_owned(), |status| status.to_string());
            attributes = attributes.failed(&kind);
        }
        self.tracer.end(Span {
            context,
            parent,
            name: self.method.unwrap_or("deliver").to_owned(),
            kind: SpanKind::Client,
            start: began.wall,
            took: reply.took,
            attributes,
            state,
            links,
            error,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::trace::TraceSettings;

    #[test]
    fn host_and_port_are_those_of_the_origin() {
        let settings = TraceSettings { otlp_url: None, sample_ratio: 1.0 };
        let tracer = Tracer::new(&settings, 1, Arc::default());
        let rows = [
            ("https://example.org", ("example.org", 443)),
            ("http://example.org", ("example.org", 80)),
            ("http://127.0.0.1:9900", ("127.0.0.1", 9900)),
            ("https://[::1]:8443", ("::1", 8443)),
            ("https://[::1]", ("::1", 443)),
        ];
        for (origin, want) in rows {
            let deliveries = Deliveries::to(tracer.clone(), "x", String::new(), None, origin.to_owned());
            assert_eq!(deliveries.server(), want, "{origin}");
        }
    }
}
