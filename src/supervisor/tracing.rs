//! Spans around what the front and delivery do; neither knows the tracer.

use std::sync::Arc;

use crate::api::Answered;
use crate::clock::{Stamp, Wall};
use crate::delivery::sender::Reply;
use crate::delivery::trace::Trace;
use crate::telemetry::trace::{Attributes, Span, SpanContext, SpanKind, Tracer};

/// One delivery after the other to one endpoint.
pub(super) struct Deliveries {
    tracer: Tracer,
    endpoint: Arc<str>,
    /// Scheme and host only: the path may hold a token.
    origin: String,
    running: Option<(SpanContext, Stamp)>,
}

impl Deliveries {
    pub(super) fn new(tracer: Tracer, endpoint: &str, origin: String) -> Self {
        Self { tracer, endpoint: endpoint.into(), origin, running: None }
    }
}

impl Trace for Deliveries {
    fn begin(&mut self, now: Stamp) -> String {
        let context = self.tracer.begin(None);
        self.running = Some((context, now));
        context.to_string()
    }

    fn end(&mut self, _: Stamp, reply: &Reply) {
        let Some((context, began)) = self.running.take() else { return };
        if !context.sampled {
            return;
        }
        let mut attributes = Attributes::default()
            .text("http.request.method", "POST")
            .text("server.address", &self.origin)
            .text("mycelium.endpoint", &self.endpoint);
        if let Some(status) = reply.status {
            attributes = attributes.integer("http.response.status_code", status);
        }
        self.tracer.end(Span {
            context,
            parent: None,
            name: "deliver batch".to_owned(),
            kind: SpanKind::Client,
            start: began.wall,
            took: reply.took,
            attributes,
            error: (!reply.detail.is_empty()).then(|| reply.detail.clone()),
        });
    }
}

/// Called with every answered request: a line at `debug`, and a span if its trace is recorded.
pub(super) fn answered(tracer: Tracer) -> Box<dyn Fn(&Answered<'_>) + Send> {
    Box::new(move |request| {
        let parent = request.trace;
        let context = tracer.begin(parent);
        if log::log_enabled!(target: "mycelium_edge::api", log::Level::Debug) {
            log::debug!(
                target: "mycelium_edge::api",
                request_id = request.request_id,
                trace_id:% = format_args!("{:032x}", context.trace_id),
                span_id:% = format_args!("{:016x}", context.span_id);
                "{} {} {} in {:?} for {}{}",
                request.method,
                request.route,
                request.status,
                request.took,
                request.peer,
                request.key.map_or_else(String::new, |key| format!(" by {key}"))
            );
        }
        if !context.sampled {
            return;
        }
        let took_ms = i64::try_from(request.took.as_millis()).unwrap_or(i64::MAX);
        tracer.end(Span {
            context,
            parent: parent.map(|parent| parent.span_id),
            name: format!("{} {}", request.method, request.route),
            kind: SpanKind::Server,
            start: Wall(Wall::now().0.saturating_sub(took_ms)),
            took: request.took,
            attributes: Attributes::default()
                .text("http.request.method", request.method)
                .text("http.route", request.route)
                .integer("http.response.status_code", request.status)
                .text("client.address", &request.peer.to_string())
                .text("mycelium.request_id", request.request_id),
            // By the conventions, what a client did wrong is no error of the server.
            error: (request.status >= 500).then(|| format!("status {}", request.status)),
        });
    })
}
