//! Spans of requests.

use super::{SpanRef, Traces};
use crate::api::AccessRecord;
use crate::clock::Wall;
use crate::telemetry::logs::target::API;
use crate::telemetry::trace::{Attributes, Links, Span, SpanContext, SpanKind, Tracer};

/// Called after every response: writes a line at `debug`, one at `warn` for a 500, and a span if the trace is recorded.
/// Draws no ids and writes nothing if neither is needed.
pub(in crate::supervisor) fn on_response(
    tracer: Tracer,
    traces: Option<Traces>,
    scheme: &'static str,
) -> Box<dyn Fn(&AccessRecord<'_>) + Send> {
    Box::new(move |request| {
        let debug = log::log_enabled!(target: API, log::Level::Debug);
        // A 503 is back-pressure, a 500 a defect of the daemon.
        let defect = request.status == 500;
        if !debug && !defect && traces.is_none() {
            return;
        }
        let context =
            request.span.unwrap_or_else(|| start_request_span(&tracer, request.trace, request.key.is_some()));
        if defect {
            let (trace_id, span_id) = context.ids();
            log::warn!(
                target: API,
                request_id = request.request_id, trace_id, span_id;
                "{} {} was answered 500 in {:?}",
                request.method,
                request.route,
                request.took
            );
        }
        if debug {
            log::debug!(
                target: API,
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
            traces.state().trigger = Some(SpanRef { context, state });
        }
        if context.sampled {
            traces.end(span(request, context, scheme));
        }
    })
}

/// The span of a request, below that of the caller. An anonymous caller cannot cause recording beyond
/// `trace.sample_ratio`: its flag counts only if a ratio drawn here agrees, and not by its trace id, which it chooses.
pub(in crate::supervisor) fn start_request_span(
    tracer: &Tracer,
    caller: Option<SpanContext>,
    authenticated: bool,
) -> SpanContext {
    let parent = caller.map(|caller| {
        let sampled = caller.sampled && (authenticated || tracer.begin(None).sampled);
        SpanContext { sampled, ..caller }
    });
    tracer.begin(parent)
}

fn span(request: &AccessRecord<'_>, context: SpanContext, scheme: &str) -> Span {
    let known = request.route != "other";
    let method = if request.method == "other" { "_OTHER" } else { request.method };
    let shown = if request.method == "other" { "HTTP" } else { request.method };
    let mut attributes = Attributes::default()
        .text("http.request.method", method)
        .text("url.scheme", scheme)
        .integer("http.response.status_code", request.status)
        .text("client.address", &request.peer.to_string())
        .text("mycelium.request_id", request.request_id);
    if known {
        attributes = attributes.text("http.route", request.route);
        // Only a template without a parameter is the path itself; no text of the client is recorded.
        if !request.route.contains('{') {
            attributes = attributes.text("url.path", request.route);
        }
    }
    // By the semantic conventions a 4xx is not an error of the server.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::trace::{Attribute, SpanCounters, TraceSettings};

    fn request(key: Option<&'static str>, trace: SpanContext) -> AccessRecord<'static> {
        AccessRecord {
            request_id: "r",
            method: "GET",
            route: "/healthz",
            status: 503,
            took: Duration::from_millis(1),
            peer: [127, 0, 0, 1].into(),
            key,
            trace: Some(trace),
            span: None,
            tracestate: None,
        }
    }

    /// Seen red with the caller's flag used unchanged, and with the ratio applied to the caller's trace id.
    #[test]
    fn an_anonymous_caller_cannot_force_recording_by_flag_or_low_trace_id_and_a_key_can() {
        let settings =
            TraceSettings { otlp_url: Some("http://127.0.0.1:9/".to_owned()), sample_ratio: 0.001 };
        let counters: Arc<SpanCounters> = Arc::default();
        let tracer = Tracer::new(&settings, 5, Arc::clone(&counters));
        let record = on_response(tracer.clone(), Traces::new(&tracer), "https");
        // The lowest id is below every ratio but 0.
        let trace = SpanContext { trace_id: 1, span_id: 7, sampled: true };
        (0..100).for_each(|_| record(&request(None, trace)));
        (0..128).for_each(|_| record(&request(Some("poller"), trace)));
        let unwanted = SpanContext { sampled: false, ..trace };
        (0..128).for_each(|_| record(&request(Some("poller"), unwanted)));
        // A ratio of 1 in 1000 records none of the 100 with this seed.
        let spans = tracer.next_batch().unwrap();
        assert_eq!(spans.len(), 128);
        tracer.stop();
        assert_eq!(counters.dropped.get(), 0, "no others were queued");
        assert!(spans.iter().all(|span| span.parent == Some(7)));
    }

    /// A 5xx has the most attributes; seen red with `ATTRIBUTES` at 7.
    #[test]
    fn every_attribute_of_a_failed_request_fits_and_names_the_scheme() {
        let context = SpanContext { trace_id: 1, span_id: 2, sampled: true };
        let span = span(&request(None, context), context, "https");
        let names = [
            "http.request.method",
            "url.scheme",
            "http.response.status_code",
            "client.address",
            "mycelium.request_id",
            "http.route",
            "url.path",
            "error.type",
        ];
        for name in names {
            assert!(span.attributes.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(span.attributes.get("url.scheme"), Some(&Attribute::Text("https".to_owned())));
    }
}
