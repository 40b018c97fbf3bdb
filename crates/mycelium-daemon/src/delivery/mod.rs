//! From the outbox to webhooks: plan, breaker and retry decide (pure), the sender does.
//!
//! Reading order: [`outcome`] (what an answer means), [`plan`] (what to do next), [`worker`] (doing it).

pub mod breaker;
pub mod cloudevents;
mod control;
mod metrics;
pub mod outcome;
pub mod outlet;
pub mod plan;
mod report;
pub mod retry;
pub mod sender;
pub mod settings;
pub mod signature;
pub mod source;
pub mod store;
pub mod trace;
pub mod worker;

pub use control::Control;
pub(crate) use control::Shared;
pub use metrics::{BatchOutcome, DeliveryMetrics};
pub use settings::{BreakerMode, BreakerPolicy, Endpoint, RawBreaker, RawEndpoint, Secret};
