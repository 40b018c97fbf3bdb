//! Delivery to receivers on real sockets and in virtual time.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod end_to_end;
mod scheduler;
mod secrets;
mod tls;
mod trace_export;
mod with_outbox;
