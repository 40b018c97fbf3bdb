//! The daemon of Mycelium Edge as a library: configuration, HTTP API, connectors, delivery, telemetry and the
//! supervisor that starts and stops them. `docs/ARCHITECTURE.md` has the map and the invariants.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod delivery;
pub mod engine;
pub mod events;
mod field_run;
pub mod formats;
pub mod nernst;
pub mod net;
pub mod signals;
pub mod snapshots;
pub mod supervisor;
pub mod sync;
pub mod telemetry;
