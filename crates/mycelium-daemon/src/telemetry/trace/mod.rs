//! Distributed tracing: W3C trace context in and out, spans to an OTLP receiver when one is configured.
//!
//! [`SpanContext`], [`Sampler`] and [`otlp`] are pure; the parts of the daemon share a [`Tracer`].

mod context;
pub mod otlp;
mod settings;
mod span;
mod tracer;

pub use context::{RequestOrigin, Sampler, SpanContext, is_tracestate};
pub use settings::TraceSettings;
pub use span::{ATTRIBUTES, Attribute, Attributes, LINKS, Links, Span, SpanKind};
pub use tracer::{QUEUE, SpanCounters, Tracer};
