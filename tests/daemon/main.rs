//! The daemon as a process.

#[path = "../support/mod.rs"]
mod support;

mod connectors;
mod data_directory;
mod delivery;
mod described;
mod events;
mod files;
mod local;
mod outbox;
mod process;
mod signals;
mod signals_killed;
#[cfg(feature = "tls")]
mod tls;
