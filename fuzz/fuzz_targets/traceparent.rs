//! `traceparent`: what is taken is never the all-zero identity the recommendation forbids, and reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::telemetry::trace::SpanContext;

fuzz_target!(|bytes: &[u8]| {
    let Ok(field) = std::str::from_utf8(bytes) else { return };
    let Some(parent) = SpanContext::parse(field) else { return };
    assert!(parent.trace_id != 0 && parent.span_id != 0);
    let text = parent.to_string();
    assert_eq!(SpanContext::parse(&text), Some(parent));
    assert_eq!(text.as_bytes()[2..52], bytes[2..52]);
});
