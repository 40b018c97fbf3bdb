//! PURE. HTTP/1.1 without sockets: request heads and targets, responses, problems.

pub mod head;
pub(in crate::api) mod problem;
pub(in crate::api) mod response;
pub mod target;
