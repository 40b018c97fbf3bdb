//! PURE. Who may do what, and how often.

pub mod authenticator;
pub(in crate::api) mod keys;
pub mod rate_limit;
