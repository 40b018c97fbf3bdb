//! The parameters of a simulation, each within its range of [`super::PARAMETERS`].

use crate::range::{Interval, string_enum};

/// Which kinetics drive the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The reaction-diffusion step of `MyceliumFractalNet` 4.1, bit for bit in `f64`.
    Mfn,
    /// Activator and inhibitor with Schnakenberg kinetics, see [`super::turing`].
    Turing,
    /// Travelling waves with Barkley kinetics, see [`super::excitable`].
    Excitable,
    /// Spots, stripes and chaos with Gray-Scott kinetics, see [`super::gray_scott`].
    GrayScott,
}
string_enum!(
    Model,
    "model",
    Mfn = "mfn",
    Turing = "turing",
    Excitable = "excitable",
    GrayScott = "gray_scott"
);

/// Floating-point format of the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 4 bytes a cell.
    F32,
    /// 8 bytes a cell.
    F64,
}
string_enum!(Precision, "precision", F32 = "f32", F64 = "f64");

/// What lies beyond the edge of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// A torus.
    Periodic,
    /// The edge cell itself: no flux through the border.
    Neumann,
    /// 0 V; activator and inhibitor at rest.
    Dirichlet,
}
string_enum!(Boundary, "boundary", Periodic = "periodic", Neumann = "neumann", Dirichlet = "dirichlet");

/// Parameters of one simulation. Made from a [`super::RawParams`], which checks every number;
/// [`Params::default`] is what the daemon runs without a configuration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Cells along one edge, in [`GRID_SIDE`](crate::field::GRID_SIDE).
    pub grid: usize,
    /// Which kinetics drive the field.
    pub model: Model,
    /// Floating-point format of the planes.
    pub precision: Precision,
    /// What lies beyond the edge of the grid.
    pub boundary: Boundary,
    /// Diffusion number of V, `D dt / dx^2`, cell^2/step.
    pub alpha: f64,
    /// `mfn`: diffusion number of the activator, cell^2/step.
    pub d_activator: f64,
    /// `mfn`: diffusion number of the inhibitor, cell^2/step.
    pub d_inhibitor: f64,
    /// `mfn`: reaction rate of the activator, 1/step.
    pub r_activator: f64,
    /// `mfn`: reaction rate of the inhibitor, 1/step.
    pub r_inhibitor: f64,
    /// `mfn`: activator level above which V is raised by 5 mV.
    pub theta: f64,
    /// Whether activator and inhibitor evolve and drive V.
    pub turing_enabled: bool,
    /// Variance of the white noise on V, V^2 per cell and step.
    pub jitter_variance: f64,
    /// `mfn`: probability of one spike on the grid per step. Other models: see [`Params::spike_rate`].
    pub spike_probability: f64,
    /// Kinetics of model `turing`.
    pub turing: TuringParams,
    /// Kinetics of model `excitable`.
    pub excitable: ExcitableParams,
    /// Kinetics of model `gray_scott`.
    pub gray_scott: GrayScottParams,
}

/// Schnakenberg kinetics, see [`super::turing`].
#[derive(Clone, Debug, PartialEq)]
pub struct TuringParams {
    /// Constant production of the activator, dimensionless.
    pub feed: f64,
    /// Constant production of the inhibitor, dimensionless.
    pub supply: f64,
    /// Reaction rate, 1/step.
    pub rate: f64,
    /// Diffusion number of the activator, cell^2/step.
    pub d_activator: f64,
    /// Diffusion number of the inhibitor, cell^2/step.
    pub d_inhibitor: f64,
    /// Volts per unit of activator above its rest level.
    pub gain_volts: f64,
    /// Rate at which V follows the activator, 1/step.
    pub membrane_rate: f64,
}

/// Barkley kinetics, see [`super::excitable`].
#[derive(Clone, Debug, PartialEq)]
pub struct ExcitableParams {
    /// Length of the excited state, dimensionless.
    pub a: f64,
    /// The threshold of the resting state is `b / a`, dimensionless.
    pub b: f64,
    /// Rate of the inhibitor over that of the activator.
    pub epsilon: f64,
    /// Rate of the activator, 1/step.
    pub rate: f64,
    /// Diffusion number of the activator, cell^2/step.
    pub d_activator: f64,
    /// Diffusion number of the inhibitor, cell^2/step.
    pub d_inhibitor: f64,
    /// Volts of a fully excited cell above rest.
    pub gain_volts: f64,
    /// Rate at which V follows the activator, 1/step.
    pub membrane_rate: f64,
    /// Mean size of a random spike, volts.
    pub spike_volts: f64,
    /// Cells around its centre that a spike or stimulus reaches.
    pub spike_radius: usize,
}

/// Gray-Scott kinetics, see [`super::gray_scott`].
#[derive(Clone, Debug, PartialEq)]
pub struct GrayScottParams {
    /// Rate `F` at which substrate is fed and everything is washed out, 1/step.
    pub feed: f64,
    /// Further removal `k` of the activator, 1/step.
    pub kill: f64,
    /// Diffusion number of the activator, cell^2/step.
    pub d_activator: f64,
    /// Diffusion number of the substrate, cell^2/step.
    pub d_inhibitor: f64,
    /// Volts per unit of activator.
    pub gain_volts: f64,
    /// Rate at which V follows the activator, 1/step.
    pub membrane_rate: f64,
    /// Mean size of a random spike, volts.
    pub spike_volts: f64,
    /// Cells around its centre that a spike or stimulus reaches.
    pub spike_radius: usize,
}

/// Cells that [`Params::spike_probability`] refers to in models with a rate per cell: a 64 x 64 grid.
const RATE_CELLS: f64 = 4096.0;

impl Params {
    /// Steps of one run.
    pub const STEPS: Interval = Interval::closed(1.0, 1e9);

    /// Spikes per cell and step in all models but `mfn`. `spike_probability` is their number per step on 64 x 64
    /// cells: one value means the same activity in every model on the default grid, and the same activity per cell on
    /// every grid.
    pub fn spike_rate(&self) -> f64 {
        self.spike_probability / RATE_CELLS
    }
}
