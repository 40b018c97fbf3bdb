//! Outgoing HTTP for webhooks, connectors, the span exporter and `health`: client, retry back-off, circuit breaker.
//!
//! [`breaker`], [`backoff`], [`retry_after`] and [`outcome`] are pure: time and seeds are arguments. [`client`] makes
//! requests; all of them follow the rules of `agent`: no redirects, no proxy from the environment, one deadline
//! for a whole request.

pub mod abort;
mod agent;
pub mod backoff;
pub mod breaker;
pub mod breaker_policy;
mod checks;
pub mod client;
mod connector;
pub mod error;
pub mod fetch;
pub mod outcome;
pub mod probe;
pub mod retry_after;
pub mod target;
pub mod tls;
pub mod trace;
pub mod worker_control;

pub use breaker_policy::{BreakerMode, BreakerPolicy, RawBreaker};
pub use checks::{DAY_MS, HOUR_MS, RangeChecks};
pub use target::{HttpTarget, RawHttpTarget};
pub use worker_control::WorkerControl;
