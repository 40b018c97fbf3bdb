//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.
//!
//! Reading order: `params` (what a simulation is made of), `raw_params` (how it is checked), `simulator` (the public
//! type), `lattice` (one field in one precision), `kernel` (one step of it), `kinetics` (one cell of that step).
#![allow(
    clippy::inline_always,
    clippy::needless_bitwise_bool,
    reason = "the sweep must be inlined into each instruction set and stay free of branches to be vectorised"
)]

mod benettin;
pub mod excitable;
mod float;
pub mod gray_scott;
mod initial_state;
mod kernel;
mod kinetics;
mod lattice;
mod linear;
mod noise;
mod parameters;
mod params;
mod raw_params;
mod ring;
mod row_buffers;
mod settling;
mod simulator;
mod spikes;
mod stability;
pub mod turing;
mod twin;

pub use benettin::LYAPUNOV_WINDOW_STEPS;
pub use gray_scott::GrayScottPreset;
pub use linear::Growth;
pub use parameters::{PARAMETERS, Parameter};
pub use params::{Boundary, ExcitableParams, GrayScottParams, Model, Params, Precision, TuringParams};
pub use raw_params::RawParams;
pub use ring::FrameRing;
pub use simulator::{FieldPlanes, Simulator, StepReport};
pub use spikes::{MAX_PENDING_STIMULI, STIMULUS_VOLTS, Spike, StimulusError};
pub use stability::ParamsWarning;
pub use twin::Twin;
