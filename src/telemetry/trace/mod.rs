//! Distributed tracing: W3C trace context in and out, spans to an OTLP receiver when one is configured.

mod settings;

pub use settings::Settings;
