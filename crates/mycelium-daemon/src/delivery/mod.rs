//! Delivery of outbox records to endpoints.
//!
//! [`scheduler`] decides what to do next (pure, time is an argument), [`worker`] does it: it reads from a
//! [`source::RecordSource`] and sends through the [`kind::EndpointKind`] of its endpoint. One thread per endpoint. A kind
//! is one module, such as [`webhook`]; [`kind`] has the contract.

mod breaker_file;
pub mod breaker_store;
pub mod cloudevents;
mod endpoint;
mod files;
pub mod kind;
mod metrics;
pub mod outbox_source;
mod progress;
mod report;
pub mod scheduler;
mod settings;
pub mod source;
pub mod trace;
mod type_filter;
pub mod webhook;
pub mod worker;

pub use endpoint::Endpoint;
pub use files::{FileEndpoint, LineFormat, PathTemplate, RawFileEndpoint};
pub use metrics::{BatchOutcome, DeliveryMetrics};
pub use settings::{DeliverySettings, RawDelivery};
pub use type_filter::TypeFilter;
pub use webhook::{RawWebhook, Secret, Webhook};
pub use worker::EndpointControl;
