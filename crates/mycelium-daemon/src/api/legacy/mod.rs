//! The WebSocket protocol of MyceliumFractalNet 4.1, for clients that still speak it.

mod messages;
mod session;

pub use session::run;
