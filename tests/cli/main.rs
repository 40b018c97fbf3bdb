//! Command line and configuration.

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod commands;
mod config_sources;
mod outbox;
mod secrets;
