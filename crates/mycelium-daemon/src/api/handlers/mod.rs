//! One function per route: from an authorized request to its response.

mod compute;
mod dead_letters;
mod events;
mod features;
mod field;
mod health;
mod metrics;
mod outbox;
mod signals;
mod streams;

pub use compute::{nernst, simulate, stimuli};
pub use dead_letters::dead_letters;
pub use events::events;
pub use features::features;
pub use field::{field, frame_response_bytes};
pub use health::{connectors, health, ready, status};
pub use metrics::metrics;
pub use outbox::{breaker, flush, outbox, replay};
pub use signals::{samples, signal, signals};
pub use streams::{legacy_socket, socket, stream};
