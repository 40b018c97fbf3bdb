//! What each resource answers.

mod compute;
mod features;
mod field;
mod health;
mod outbox;
mod upgrade;

pub use compute::{nernst, simulate, stimuli};
pub use features::{FeatureCache, features};
pub use field::{field, frame_response_bytes};
pub use health::{connectors, health, ready, status};
pub use outbox::{breaker, dead, flush, outbox, replay};
pub use upgrade::{UpgradeRequest, legacy, run_upgrade, socket, stream, upgrade_response};
