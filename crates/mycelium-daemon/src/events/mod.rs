//! Events of the user's own: from a request to a record of the outbox, and back to the attributes of an event.

pub mod metrics;
pub mod record;
pub mod request;

pub use metrics::{EventMetrics, RefusalReason};
/// What happens to the events of one request; the API sees the outbox through these only.
pub use mycelium_outbox::{AppendError, GroupReceipt, OnGroup, RecordGroup};
pub use record::{EVENT, StoredEvent};
pub use request::{EventForm, EventRefusal, EventSource, MAX_EVENTS, parse_events};
