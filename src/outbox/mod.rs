//! Durable, bounded, append-only: what every feature window waits in until a receiver has taken it.

mod policy;

pub use policy::{Durability, Full, Policy};
