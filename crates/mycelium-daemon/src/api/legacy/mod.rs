//! The WebSocket protocol of `MyceliumFractalNet` 4.1, for its existing clients.

mod live_simulation;
mod messages;
mod session;

pub use session::run;
