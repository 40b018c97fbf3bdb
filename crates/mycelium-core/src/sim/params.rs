//! What a simulation is made of, in one set of ranges for every door.

use super::ranges::{self, PARAMETERS};
use super::stability;
use crate::field::GRID_SIDE;
use crate::range::{Interval, OutOfRange, string_enum};

/// Which kinetics drive the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The reaction-diffusion step of MyceliumFractalNet 4.1, bit for bit in `f64`.
    Mfn,
    Turing,
    Excitable,
}
string_enum!(Model, "model", Mfn = "mfn", Turing = "turing", Excitable = "excitable");

/// Floating-point format of the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
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
    /// 0 V.
    Dirichlet,
}
string_enum!(Boundary, "boundary", Periodic = "periodic", Neumann = "neumann", Dirichlet = "dirichlet");

/// Parameters of one simulation; every field lies in its range of [`PARAMETERS`].
///
/// Made from a [`RawParams`], which checks each number as it comes in; [`Params::default`] is the daemon's
/// default.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Cells along one edge, in [`GRID_SIDE`].
    pub grid: usize,
    pub model: Model,
    pub precision: Precision,
    pub boundary: Boundary,
    /// Diffusion number of V, `D dt / dx^2`.
    pub alpha: f64,
    pub d_activator: f64,
    pub d_inhibitor: f64,
    pub r_activator: f64,
    pub r_inhibitor: f64,
    /// Activator level above which V is raised by 5 mV.
    pub theta: f64,
    /// Whether activator and inhibitor move, and drive V, at all.
    pub turing_enabled: bool,
    /// Volts squared, per cell and step.
    pub jitter_variance: f64,
    /// `mfn`: chance of one spike somewhere per step. Other models: see [`Params::spike_rate`].
    pub spike_probability: f64,
    pub turing: TuringParams,
    pub excitable: ExcitableParams,
}

/// Schnakenberg kinetics, see [`super::turing`].
#[derive(Clone, Debug, PartialEq)]
pub struct TuringParams {
    pub feed: f64,
    pub supply: f64,
    /// Reaction rate, 1/step.
    pub rate: f64,
    pub d_activator: f64,
    pub d_inhibitor: f64,
    /// Volts per unit of activator above its rest level.
    pub gain_volts: f64,
    /// Membrane rate, 1/step.
    pub membrane_rate: f64,
}

/// Barkley kinetics, see [`super::excitable`].
#[derive(Clone, Debug, PartialEq)]
pub struct ExcitableParams {
    pub a: f64,
    pub b: f64,
    /// Time scale of the inhibitor over that of the activator.
    pub epsilon: f64,
    /// Activator rate, 1/step.
    pub rate: f64,
    pub d_activator: f64,
    pub d_inhibitor: f64,
    /// Volts of a fully excited cell above rest.
    pub gain_volts: f64,
    /// Membrane rate, 1/step.
    pub membrane_rate: f64,
    /// Mean volts of a random spike.
    pub spike_volts: f64,
    /// Cells around its centre that a spike or stimulus reaches.
    pub spike_radius: usize,
}

/// Cells that [`Params::spike_probability`] refers to in models with a rate per cell: a 64 x 64 grid.
const RATE_CELLS: f64 = 4096.0;

impl Params {
    pub(super) const GRID: Interval = Interval::closed(*GRID_SIDE.start() as f64, *GRID_SIDE.end() as f64);
    pub const STEPS: Interval = Interval::closed(1.0, 1e9);

    /// Spikes per cell and step in `turing` and `excitable`: `spike_probability` is their number per step
    /// on 64 x 64 cells, so one value means the same activity in every model on the default grid, and the
    /// same activity per cell on every grid.
    pub fn spike_rate(&self) -> f64 {
        self.spike_probability / RATE_CELLS
    }
}

impl Default for Params {
    fn default() -> Self {
        RawParams::default().try_into().expect("the defaults lie in their ranges and are stable")
    }
}

/// What the doors fill in, key by key. Numbers that were not set have the default of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct RawParams {
    pub model: Model,
    pub precision: Precision,
    pub boundary: Boundary,
    pub turing_enabled: bool,
    numbers: [Option<f64>; PARAMETERS.len()],
}

impl Default for RawParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RawParams {
    pub const DEFAULT: Self = Self {
        model: Model::Turing,
        precision: Precision::F32,
        boundary: Boundary::Periodic,
        turing_enabled: true,
        numbers: [None; PARAMETERS.len()],
    };

    /// Sets the number `key` of [`PARAMETERS`]; refuses unknown keys and values out of range.
    pub fn set(&mut self, key: &str, value: f64) -> Result<(), OutOfRange> {
        let Some(at) = ranges::index(key) else {
            return Err(OutOfRange {
                key: key.to_owned(),
                value: value.to_string(),
                accepted: "left out: no parameter has this name".to_owned(),
            });
        };
        self.numbers[at] = Some(PARAMETERS[at].check(value)?);
        Ok(())
    }

    /// The number `key` as it stands, set or default of the chosen model; `None` for unknown keys.
    pub fn get(&self, key: &str) -> Option<f64> {
        ranges::index(key).map(|at| self.at(at))
    }

    /// The numbers that are not the default of the chosen model, in the order of [`PARAMETERS`].
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let all = PARAMETERS.iter().enumerate().map(|(at, key)| (key, self.at(at)));
        all.filter(|(key, value)| *value != key.default_of(self.model)).map(|(key, value)| (key.name, value))
    }

    fn at(&self, at: usize) -> f64 {
        self.numbers[at].unwrap_or_else(|| PARAMETERS[at].default_of(self.model))
    }

    fn number(&self, key: &str) -> f64 {
        self.get(key).expect("every key asked for here is in the table")
    }
}

/// Refuses what cannot be stepped; everything that can be but shows nothing is a [`super::ParamsWarning`].
impl TryFrom<RawParams> for Params {
    type Error = OutOfRange;

    fn try_from(raw: RawParams) -> Result<Self, OutOfRange> {
        let number = |key| raw.number(key);
        let params = Self {
            grid: number("grid") as usize,
            model: raw.model,
            precision: raw.precision,
            boundary: raw.boundary,
            alpha: number("alpha"),
            d_activator: number("d_activator"),
            d_inhibitor: number("d_inhibitor"),
            r_activator: number("r_activator"),
            r_inhibitor: number("r_inhibitor"),
            theta: number("theta"),
            turing_enabled: raw.turing_enabled,
            jitter_variance: number("jitter_variance"),
            spike_probability: number("spike_probability"),
            turing: TuringParams {
                feed: number("turing.feed"),
                supply: number("turing.supply"),
                rate: number("turing.rate"),
                d_activator: number("turing.d_activator"),
                d_inhibitor: number("turing.d_inhibitor"),
                gain_volts: number("turing.gain_volts"),
                membrane_rate: number("turing.membrane_rate"),
            },
            excitable: ExcitableParams {
                a: number("excitable.a"),
                b: number("excitable.b"),
                epsilon: number("excitable.epsilon"),
                rate: number("excitable.rate"),
                d_activator: number("excitable.d_activator"),
                d_inhibitor: number("excitable.d_inhibitor"),
                gain_volts: number("excitable.gain_volts"),
                membrane_rate: number("excitable.membrane_rate"),
                spike_volts: number("excitable.spike_volts"),
                spike_radius: number("excitable.spike_radius") as usize,
            },
        };
        stability::refuse_unstable(&params)?;
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_takes_its_ends_or_not_and_refuses_what_lies_outside_with_its_name() {
        for key in PARAMETERS {
            let mut raw = RawParams::default();
            let ends = [key.range.low, key.range.high];
            for end in ends {
                assert_eq!(raw.set(key.name, end).is_ok(), !key.range.open, "{} at its end {end}", key.name);
            }
            for outside in [key.range.low - 1e-3, key.range.high * 1.001 + 1e-3, f64::NAN, f64::INFINITY] {
                let before = raw.clone();
                let refused = raw.set(key.name, outside).unwrap_err();
                assert_eq!(refused.key, key.name);
                assert_eq!(raw, before, "a refused value changes nothing");
            }
            for model in Model::ALL {
                assert!(key.check(key.default_of(*model)).is_ok(), "default of {} in {model}", key.name);
            }
        }
    }

    #[test]
    fn refusals_name_key_value_and_remedy() {
        let rows = [
            ("alpha", 0.3, "`alpha` is 0.3; it must be a number above 0 and below 0.25"),
            ("grid", 64.5, "`grid` is 64.5; it must be a whole number from 8 to 512"),
            ("grid", 7.0, "`grid` is 7; it must be a whole number from 8 to 512"),
            ("alhpa", 0.1, "`alhpa` is 0.1; it must be left out: no parameter has this name"),
        ];
        for (key, value, want) in rows {
            assert_eq!(RawParams::default().set(key, value).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_number_that_was_not_set_follows_the_model() {
        let mut raw = RawParams { model: Model::Mfn, ..RawParams::default() };
        assert_eq!(raw.get("spike_probability"), Some(0.25));
        raw.model = Model::Turing;
        assert_ne!(raw.get("spike_probability"), Some(0.25));
        raw.set("spike_probability", 0.5).unwrap();
        assert_eq!(Params::try_from(raw).unwrap().spike_probability, 0.5);
    }
}
