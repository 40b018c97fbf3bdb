//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.
#![allow(
    clippy::inline_always,
    clippy::needless_bitwise_bool,
    reason = "the sweep must be inlined into each instruction set and stay free of branches to be vectorised"
)]

pub mod excitable;
mod kernel;
mod kinetics;
mod lattice;
pub mod lyapunov;
mod noise;
mod spikes;

mod float;
mod initial_state;
mod params;
mod ranges;
mod ring;
mod row_buffers;
mod simulator;
mod stability;
pub mod turing;

pub use lyapunov::Twin;
pub use params::{Boundary, ExcitableParams, Model, Params, Precision, RawParams, TuringParams};
pub use ranges::{PARAMETERS, Parameter};
pub use ring::FrameRing;
pub use simulator::{FieldPlanes, InitialState, Simulator, StepReport};
pub use spikes::{MAX_PENDING_STIMULI, STIMULUS_VOLTS, Spike, StimulusError};
pub use stability::ParamsWarning;
