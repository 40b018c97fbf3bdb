//! Mycelium Edge: a mycelium field on a gateway, its features as a stream, and an outbox that loses nothing.
//!
//! Modules in reading order; `docs/ARCHITECTURE.md` has the map and the invariants.
#![forbid(unsafe_code)]

pub mod bounds;
pub mod clock;
pub mod field;
pub mod json;

pub mod sim;

pub mod features;

pub mod npy;

pub mod png;

pub mod nernst;

pub mod window;

pub mod state_dir;

pub mod outbox;

pub mod delivery;

pub mod telemetry;

pub mod board;

pub mod api;

pub mod config;

pub mod engine;

pub mod supervisor;

pub mod cli;
