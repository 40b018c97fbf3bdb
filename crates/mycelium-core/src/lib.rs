//! The pure core of Mycelium Edge: simulated fields, and the features of their frames.
//!
//! No I/O, no clock, no locks, no logs: seeds, times and bytes are arguments. A crate of its own because it is the
//! part that computes: it is compiled for speed, the daemon around it for size (`docs/adr/0009-four-packages.md`).
#![forbid(unsafe_code)]

pub mod features;
pub mod field;
pub mod range;
pub mod sim;
pub mod window;
