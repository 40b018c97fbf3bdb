//! The HTTP front: an own loop with seats, deadlines and budgets; routes, keys and rate limits decide (pure).
//!
//! Reading order: `http` and `target` (bytes to a checked head), `table` (routes), `auth` and `rate` (the gate),
//! `answer` and `problem` (what goes back), `routes` (what each resource says), `seats`, `wire`, `input` and `body` (what
//! comes in), `said` (what is told of a request), `connection` and `server` (the loop), `ports` (what the rest of the
//! daemon lends).

pub mod auth;
mod exposition_cache;
mod feature_cache;
mod handlers;
pub mod http;
mod job_thread;
mod legacy;
mod memory_budget;
mod metrics;
mod ports;
mod request;
mod request_context;
pub mod route_table;
mod router;
mod server;
mod settings;
pub mod simulation_request;
mod state;
mod static_text;
mod streaming;
mod upgrade;

pub use auth::keys::{NewKey, NoEntropy, sha256};
pub use handlers::frame_response_bytes;
pub use http::body::MAX_TOTAL_BODY_BYTES;
pub use metrics::{EvictionReason, HttpMetrics};
pub use ports::{
    AccessRecord, Busy, Cells, DeadLetterView, DeadLettersUnavailable, FrameCopy, FrameUnavailable, Ports,
    StaticInfo, StimulusRequest, UnknownEndpoint,
};
pub use server::listener::{Server, ServerHandle};
pub use server::tls::{TlsAcceptor, TlsError};
pub use settings::{Deadlines, Key, Rate, Scope, Settings, TlsFiles};
