//! From the outbox to webhooks: plan, breaker and retry decide (pure), the sender does.

pub mod breaker;
pub mod cloudevents;
pub mod outcome;
pub mod plan;
pub mod retry;
mod settings;
pub mod signature;
pub mod source;

pub use settings::{BreakerMode, BreakerPolicy, Endpoint, Secret};
