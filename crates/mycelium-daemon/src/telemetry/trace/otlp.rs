//! PURE. Spans as an OTLP/HTTP JSON body (opentelemetry-proto 1.x, `ExportTraceServiceRequest`).
//!
//! Ids are lower-case hexadecimal and 64-bit numbers are strings, as the JSON mapping of OTLP requires.

use crate::formats::json::{JsonArray, JsonObject};

use super::span::{Attribute, Span};

/// The sender of spans.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `service.instance.id`
    pub device: String,
    pub version: &'static str,
}

/// Name of the instrumentation scope; part of the interface (docs/TRACES.md), whatever the crate is called.
const SCOPE: &str = "myceliumd";
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;

/// One request body for all of `spans`.
pub fn encode(resource: &Resource, spans: &[Span]) -> String {
    let mut out = String::with_capacity(512 + spans.len() * 512);
    let mut root = JsonObject::new(&mut out);
    let mut resources = root.array("resourceSpans");
    let mut entry = resources.object();
    {
        let mut about = entry.object("resource");
        let mut attributes = about.array("attributes");
        text(&mut attributes, "service.name", "myceliumd");
        text(&mut attributes, "service.version", resource.version);
        text(&mut attributes, "service.instance.id", &resource.device);
    }
    let mut scopes = entry.array("scopeSpans");
    let mut scope = scopes.object();
    scope.object("scope").string("name", SCOPE);
    let mut list = scope.array("spans");
    for span in spans {
        push(&mut list.object(), span);
    }
    drop(list);
    drop(scope);
    drop(scopes);
    drop(entry);
    drop(resources);
    drop(root);
    out
}

fn push(object: &mut JsonObject<'_>, span: &Span) {
    object.display("traceId", format_args!("{:032x}", span.context.trace_id));
    object.display("spanId", format_args!("{:016x}", span.context.span_id));
    if let Some(parent) = span.parent {
        object.display("parentSpanId", format_args!("{parent:016x}"));
    }
    if let Some(state) = &span.state {
        object.string("traceState", state);
    }
    let start = u128::from(span.start.0.max(0).unsigned_abs()) * 1_000_000;
    object.string("name", &span.name).integer("kind", span.kind as u8);
    object.display("startTimeUnixNano", start).display("endTimeUnixNano", start + span.took.as_nanos());
    {
        let mut attributes = object.array("attributes");
        for (key, value) in &span.attributes.0 {
            match value {
                Attribute::Text(value) => text(&mut attributes, key, value),
                Attribute::Integer(value) => {
                    let mut pair = attributes.object();
                    pair.string("key", key);
                    pair.object("value").display("intValue", value);
                }
            }
        }
    }
    if !span.links.is_empty() {
        let mut links = object.array("links");
        for link in &span.links {
            let mut to = links.object();
            to.display("traceId", format_args!("{:032x}", link.trace_id));
            to.display("spanId", format_args!("{:016x}", link.span_id));
        }
    }
    if let Some(why) = &span.error {
        object.object("status").integer("code", ERROR).string("message", why);
    }
}

fn text(attributes: &mut JsonArray<'_>, key: &str, value: &str) {
    let mut pair = attributes.object();
    pair.string("key", key);
    pair.object("value").string("stringValue", value);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Wall;
    use crate::telemetry::trace::{Attributes, SpanContext, SpanKind};

    #[test]
    fn a_span_is_encoded_by_the_json_mapping_of_otlp() {
        let span = Span {
            context: SpanContext { trace_id: 0xabc, span_id: 0xdef, sampled: true },
            parent: Some(1),
            name: "GET /healthz".to_owned(),
            kind: SpanKind::Server,
            start: Wall(1_700_000_000_123),
            took: Duration::from_micros(1500),
            attributes: Attributes::default()
                .text("http.request.method", "GET")
                .integer("http.response.status_code", 503),
            state: Some("a=1".into()),
            links: std::iter::once(SpanContext { trace_id: 2, span_id: 3, sampled: true }).collect(),
            error: Some("stalled".to_owned()),
        };
        let resource = Resource { device: "pi-3".to_owned(), version: "9" };
        assert_eq!(
            encode(&resource, &[span]),
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":[\
             {\"key\":\"service.name\",\"value\":{\"stringValue\":\"myceliumd\"}},\
             {\"key\":\"service.version\",\"value\":{\"stringValue\":\"9\"}},\
             {\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"pi-3\"}}]},\
             \"scopeSpans\":[{\"scope\":{\"name\":\"myceliumd\"},\"spans\":[\
             {\"traceId\":\"00000000000000000000000000000abc\",\"spanId\":\"0000000000000def\",\
             \"parentSpanId\":\"0000000000000001\",\"traceState\":\"a=1\",\"name\":\"GET /healthz\",\"kind\":2,\
             \"startTimeUnixNano\":\"1700000000123000000\",\"endTimeUnixNano\":\"1700000000124500000\",\
             \"attributes\":[{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},\
             {\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"503\"}}],\
             \"links\":[{\"traceId\":\"00000000000000000000000000000002\",\"spanId\":\"0000000000000003\"}],\
             \"status\":{\"code\":2,\"message\":\"stalled\"}}]}]}]}"
        );
        assert!(encode(&resource, &[]).ends_with("\"spans\":[]}]}]}"));
    }
}
