//! Delivery of outbox records to webhooks.
//!
//! [`scheduler`] decides what to do next (pure, time is an argument), [`worker`] does it: it reads from a
//! [`source::RecordSource`], encodes with [`cloudevents`] and sends with [`sender`]. One thread per webhook.

mod breaker_file;
pub mod breaker_store;
pub mod cloudevents;
mod metrics;
pub mod outbox_source;
mod report;
pub mod scheduler;
pub mod sender;
mod settings;
pub mod signature;
pub mod source;
pub mod trace;
pub mod worker;

pub use metrics::{BatchOutcome, DeliveryMetrics};
pub use settings::{RawWebhook, Webhook};
pub use signature::Secret;
pub use worker::WebhookControl;
