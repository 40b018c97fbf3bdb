//! What each resource answers.

mod compute;
mod features;
mod field;
mod health;
mod outbox;
mod statics;
mod stream;

pub use compute::{nernst, simulate, stimuli};
pub use features::{Features, features};
pub use field::{field, frame_answers};
pub use health::{connectors, health, ready, status};
pub use outbox::{breaker, dead, flush, outbox, replay};
pub use statics::{StaticText, page_policy, unpacked};
pub use stream::{Begun, announced, legacy, socket, stream, take_over};
