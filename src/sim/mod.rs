//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.

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
