//! The HTTP API: a server with one event loop, a route table, and handlers.
//!
//! Reading order: `server` (connections), `http` (heads, targets, responses), `auth` (keys and rate limits),
//! `route_table` and `router` (from a head to a handler), `request` (what handlers receive and return), `handlers`,
//! `streaming` and `legacy` (connections that have become streams), `state` (what all of them share), `ports` (what
//! the rest of the daemon provides). Handlers use `state`, `state` uses `auth` and `http`; nothing points back.

pub mod auth;
mod date_cache;
mod exposition_cache;
mod feature_cache;
mod handlers;
pub mod http;
mod job_thread;
mod legacy;
mod memory_budget;
mod metrics;
mod places;
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

pub use auth::keys::{NewKey, NoEntropy, is_key};
pub use auth::names::AllowedNames;
pub use handlers::frame_response_bytes;
pub use http::body::MAX_TOTAL_BODY_BYTES;
pub use metrics::{EvictionReason, HttpMetrics};
pub use ports::{
    AccessRecord, Busy, Cells, DeadLetterView, DeadLettersUnavailable, FrameCopy, FrameUnavailable, Ports,
    StaticInfo, StimulusRequest, UnknownEndpoint,
};
pub use server::listener::{ApiSockets, Server, ServerHandle};
pub use server::tls::{TlsAcceptor, TlsError};
pub use settings::{ApiKey, Deadlines, Rate, Scope, Settings, TlsFiles};
