//! `traceparent`: what is taken is never the all-zero identity the recommendation forbids, and reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_edge::api::TraceParent;

fuzz_target!(|bytes: &[u8]| {
    let Some(parent) = TraceParent::parse(bytes) else { return };
    assert!(parent.trace_id != 0 && parent.parent_id != 0);
    let flags = u8::from(parent.sampled);
    let text = format!("00-{:032x}-{:016x}-{flags:02x}", parent.trace_id, parent.parent_id);
    assert_eq!(TraceParent::parse(text.as_bytes()), Some(parent));
    assert_eq!(text.as_bytes()[2..52], bytes[2..52]);
});
