//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.
//!
//! Reading order: `params` (what a simulation is made of), `raw_params` (how it is checked), `simulator` (the public
//! type), `lattice` (one field in one precision), `planes` (its memory), `kernel` (one step of it), `kinetics` (one cell of
//! that step), `lanes` (the instruction sets).
#![allow(
    clippy::inline_always,
    reason = "the sweep must be inlined into each instruction set to be compiled for it"
)]

mod benettin;
pub mod excitable;
mod float;
pub mod gray_scott;
mod initial_state;
mod kernel;
mod kinetics;
mod lanes;
mod lattice;
mod linear;
mod noise;
mod parameters;
mod params;
mod phase;
mod plane_copy;
mod planes;
mod raw_params;
mod ring;
mod settling;
mod simulator;
mod spikes;
mod stability;
pub mod turing;
mod twin;

pub use benettin::{LYAPUNOV_TRANSIENT_STEPS, LYAPUNOV_WINDOW_STEPS, lyapunov_steps};
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
