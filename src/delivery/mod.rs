//! From the outbox to webhooks: plan, breaker and retry decide (pure), the sender does.

mod settings;

pub use settings::{BreakerMode, BreakerPolicy, Endpoint, Secret};
