//! The pure core of Mycelium Edge: simulated fields, and the features of their frames.
//!
//! No I/O, no clock, no locks, no logs: seeds, times and bytes are arguments. A separate crate because it is compiled
//! for speed and the daemon for size (`docs/adr/0009-four-packages.md`).
//!
//! Reading order: [`field`] (a frame), [`range`](mod@range) (checked numbers), [`sim`] (fields that evolve), [`features`]
//! (numbers from their frames), [`window`] (summaries of those numbers, as the outbox stores them), [`signals`] (features
//! and spikes of measured signals).
//!
//! In a loop: [`sim::Simulator::step`], then [`features::Extractor::push`] with its frame, and every so many frames
//! [`features::Extractor::values`] into a [`window::WindowBuilder`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod features;
pub mod field;
pub mod range;
pub mod signals;
pub mod sim;
pub mod window;
