//! What each resource answers.

mod compute;
mod features;
mod field;
mod health;
mod outbox;
mod upgrade;

pub use compute::{nernst, simulate, stimuli};
pub use features::{Features, features};
pub use field::{field, frame_answers};
pub use health::{connectors, health, ready, status};
pub use outbox::{breaker, dead, flush, outbox, replay};
pub use upgrade::{Begun, announced, legacy, socket, stream, take_over};
