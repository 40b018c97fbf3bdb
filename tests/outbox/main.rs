//! The outbox on real and simulated disks.

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod dead_letters;
mod faults;
mod format_compat;
mod groups;
mod guards;
mod handle;
mod read_faults;
mod write_faults;
