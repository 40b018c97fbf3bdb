//! Mycelium Edge: a mycelium field on a gateway, its features as a stream, and an outbox that loses nothing.
//!
//! Modules in reading order; `docs/ARCHITECTURE.md` has the map and the invariants.
#![forbid(unsafe_code)]

pub use mycelium_core::{bounds, features, field, sim, window};

pub mod api;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod delivery;
pub mod engine;
pub mod json;
pub mod nernst;
pub mod npy;
pub mod outbox;
pub mod png;
pub mod state_dir;
pub mod supervisor;
pub mod telemetry;
