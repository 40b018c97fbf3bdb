//! Command line and configuration.
#![allow(clippy::format_collect, reason = "tests may be slow")]

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod commands;
mod config_sources;
mod outbox;
mod secrets;
mod signals;
