//! Spans of requests.

use super::{Place, Traces};
use crate::api::Answered;
use crate::clock::Wall;
use crate::telemetry::trace::{Attributes, Links, Span, SpanContext, SpanKind, Tracer};

/// Called with every answered request: a line at `debug`, and a span if its trace is recorded. With tracing off and
/// another level nothing is drawn or written.
pub(in crate::supervisor) fn answered(
    tracer: Tracer,
    traces: Option<Traces>,
) -> Box<dyn Fn(&Answered<'_>) + Send> {
    Box::new(move |request| {
        let told = log::log_enabled!(target: "mycelium_edge::api", log::Level::Debug);
        if !told && traces.is_none() {
            return;
        }
        let context = tracer.begin(request.trace);
        if told {
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
        let Some(traces) = &traces else { return };
        if request.method == "POST" && request.route == "/v1/stimuli" && request.status == 202 {
            let state = request.tracestate.map(Into::into);
            traces.kept().cause = Some(Place { context, state });
        }
        if context.sampled {
            traces.end(span(request, context));
        }
    })
}

fn span(request: &Answered<'_>, context: SpanContext) -> Span {
    let known = request.route != "other";
    let method = if request.method == "other" { "_OTHER" } else { request.method };
    let shown = if request.method == "other" { "HTTP" } else { request.method };
    let mut attributes = Attributes::default()
        .text("http.request.method", method)
        .text("url.scheme", "http")
        .integer("http.response.status_code", request.status)
        .text("client.address", &request.peer.to_string())
        .text("mycelium.request_id", request.request_id);
    if known {
        attributes = attributes.text("http.route", request.route);
        // A template without a hole is the path itself; what else clients ask for is not repeated.
        if !request.route.contains('{') {
            attributes = attributes.text("url.path", request.route);
        }
    }
    // By the conventions, what a client did wrong is no error of the server.
    let failed = request.status >= 500;
    if failed {
        attributes = attributes.failed(&request.status.to_string());
    }
    let took_ms = i64::try_from(request.took.as_millis()).unwrap_or(i64::MAX);
    Span {
        context,
        parent: request.trace.map(|parent| parent.span_id),
        name: if known { format!("{shown} {}", request.route) } else { shown.to_owned() },
        kind: SpanKind::Server,
        start: Wall(Wall::now().0.saturating_sub(took_ms)),
        took: request.took,
        attributes,
        state: request.tracestate.map(Into::into),
        links: Links::new(),
        error: failed.then(|| format!("status {}", request.status)),
    }
}
