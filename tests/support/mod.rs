//! What the integration tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub mod api;
pub mod json;
pub mod outbox;
pub mod process;
pub mod receiver;
pub mod sim;
