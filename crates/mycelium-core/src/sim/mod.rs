//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.
#![allow(
    clippy::inline_always,
    clippy::needless_bitwise_bool,
    reason = "the sweep must be inlined into each instruction set and stay free of branches to be vectorised"
)]

mod events;
pub mod excitable;
mod kernel;
mod kinetics;
mod lattice;
pub mod lyapunov;
mod noise;

mod params;
mod ranges;
mod real;
mod ring;
mod rows;
mod simulator;
mod start;
mod theory;
pub mod turing;

pub use events::{STIMULI, Spike, StimulusRefused, VOLTS};
pub use lyapunov::Twin;
pub use params::{Boundary, ExcitableParams, Model, Params, Precision, RawParams, TuringParams};
pub use ranges::{KEYS, Key};
pub use ring::FrameRing;
pub use simulator::{Planes, Simulator, State, StepReport};
pub use theory::Warning;
