//! PURE. Who may do what, and how often.

pub(in crate::api) mod anonymous;
pub mod authenticator;
pub(in crate::api) mod keys;
pub(in crate::api) mod names;
pub mod rate_limit;
pub(in crate::api) mod wrong_keys;
