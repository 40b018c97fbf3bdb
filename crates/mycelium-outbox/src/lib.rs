//! Durable, bounded, append-only: what every feature window waits in until a receiver has taken it.
//!
//! Reading order: [`record`] and [`segment`] (bytes), `log` (files), [`core`] with `commit`, `fetch` and
//! `cursors` (decisions, no clock, no thread), [`handle`] and [`thread`] (the way in). `docs/FORMAT.md` has
//! every byte of every file.
//!
//! Promises: a record counts as durable once its `fdatasync` returned, and from then on comes back whole, in
//! order, once; one fault costs at most the records it touched; what is lost is said by a gap record.

#![forbid(unsafe_code)]

pub mod commit;
pub mod core;
mod cursors;
pub mod dead;
pub mod disk;
pub mod endpoint;
pub mod error;
pub mod fetch;
pub mod gap;
pub mod handle;
mod held;
mod inbox;
pub mod letter;
mod letters;
mod log;
pub mod memory;
pub mod offline;
pub mod policy;
pub mod record;
pub mod segment;
pub mod state_dir;
pub mod status;
pub mod storage;
pub mod sync;
pub mod thread;
pub mod time;

pub use policy::{Durability, Full, Policy};
