//! PURE. The mycelium field: planes, stencil, kinetics, noise, frame ring and the simulator that steps them.

mod params;

pub use params::{Boundary, Model, Params, Precision};
