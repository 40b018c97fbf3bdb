//! PURE. HTTP/1.1 without sockets: request heads, targets and bodies; responses and problems.

pub(in crate::api) mod body;
pub mod error;
pub(in crate::api) mod fields;
pub mod head;
pub mod head_scanner;
mod percent;
pub(in crate::api) mod problem;
pub(in crate::api) mod request_id;
pub(in crate::api) mod response;
pub mod target;
