//! The table of numeric parameters: name, range, default, unit and meaning, for file, command line and API alike.

use super::gray_scott::GrayScottPreset;
use super::params::Model;
use crate::field::GRID_SIDE;
use crate::range::{Interval, OutOfRange};

/// One numeric parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name under `[sim]`; a dot separates the table of a model.
    pub name: &'static str,
    /// Accepted values.
    pub range: Interval,
    /// Only whole numbers are accepted.
    pub whole: bool,
    /// Unit as shown to users; `1` for a pure number.
    pub unit: &'static str,
    /// One line for users.
    pub meaning: &'static str,
    /// In the order of [`Model::ALL`].
    defaults: [f64; Model::ALL.len()],
}

impl Parameter {
    /// The value itself if it is in range, and whole where only whole numbers are accepted.
    pub fn check(&self, value: f64) -> Result<f64, OutOfRange> {
        if self.range.check(self.name, value).is_ok() && !(self.whole && value.fract() != 0.0) {
            return Ok(value);
        }
        let kind = if self.whole { "a whole number" } else { "a number" };
        Err(OutOfRange {
            key: self.name.to_owned(),
            value: value.to_string(),
            accepted: format!("{kind} {}", self.range),
        })
    }

    /// The default under `model`.
    pub const fn default_of(&self, model: Model) -> f64 {
        self.defaults[model as usize]
    }
}

/// Index of `name` in [`PARAMETERS`].
pub(super) fn index(name: &str) -> Option<usize> {
    PARAMETERS.iter().position(|key| key.name == name)
}

const fn key(
    name: &'static str,
    range: Interval,
    default: f64,
    unit: &'static str,
    meaning: &'static str,
) -> Parameter {
    Parameter { name, range, whole: false, unit, meaning, defaults: [default; Model::ALL.len()] }
}

const fn whole(key: Parameter) -> Parameter {
    Parameter { whole: true, ..key }
}

const GRID: Interval = Interval::closed(*GRID_SIDE.start() as f64, *GRID_SIDE.end() as f64);
/// Diffusion numbers: the five-point stencil is stable below 1/4.
const DIFFUSION: Interval = Interval::open(0.0, 0.25);
const RATE: Interval = Interval::closed(0.0, 0.1);
const CELL2: &str = "cell^2/step";
const PER_STEP: &str = "1/step";
/// Feed and kill of the default preset.
const PRESET: [f64; 2] = GrayScottPreset::DEFAULT.feed_and_kill();

/// Every numeric parameter of a simulation.
pub const PARAMETERS: &[Parameter] = &[
    whole(key("grid", GRID, 64.0, "cells", "edge of the square grid")),
    key("alpha", DIFFUSION, 0.18, CELL2, "diffusion of the membrane potential"),
    key("d_activator", DIFFUSION, 0.1, CELL2, "diffusion of the activator (mfn)"),
    key("d_inhibitor", DIFFUSION, 0.05, CELL2, "diffusion of the inhibitor (mfn)"),
    key("r_activator", RATE, 0.01, PER_STEP, "reaction rate of the activator (mfn)"),
    key("r_inhibitor", RATE, 0.02, PER_STEP, "reaction rate of the inhibitor (mfn)"),
    key("theta", Interval::closed(0.5, 0.95), 0.75, "1", "activator level above which V rises by 5 mV (mfn)"),
    key("jitter_variance", Interval::closed(0.0, 0.01), 0.0, "V^2/step", "white noise on every cell"),
    Parameter {
        // `mfn`: one growth event per four steps, as in MyceliumFractalNet 4.1. `turing` forms its
        // pattern without; in `excitable` spikes keep spirals from rotating for ever at one place.
        defaults: [0.25, 0.004, 0.05, 0.005],
        ..key(
            "spike_probability",
            Interval::closed(0.0, 1.0),
            0.0,
            "1/step",
            "spikes: chance per step for the whole grid (mfn), number per step and 64 x 64 cells (others)",
        )
    },
    key("turing.feed", Interval::closed(0.0, 5.0), 0.1, "1", "constant production of the activator"),
    key("turing.supply", Interval::closed(0.01, 5.0), 0.9, "1", "constant production of the inhibitor"),
    key("turing.rate", RATE, 0.025, PER_STEP, "reaction rate"),
    key("turing.d_activator", DIFFUSION, 0.0175, CELL2, "diffusion of the activator"),
    key("turing.d_inhibitor", DIFFUSION, 0.2, CELL2, "diffusion of the inhibitor"),
    key("turing.gain_volts", Interval::closed(0.0, 0.1), 0.05, "V", "depolarisation per unit of activator"),
    key("turing.membrane_rate", RATE, 0.1, PER_STEP, "rate at which V follows the activator"),
    key("excitable.a", Interval::closed(0.1, 2.0), 0.75, "1", "sets the length of the excited state"),
    key("excitable.b", Interval::closed(0.0, 0.5), 0.02, "1", "sets the threshold b/a of the resting state"),
    key("excitable.epsilon", Interval::closed(0.001, 0.2), 0.02, "1", "inhibitor rate over activator rate"),
    key("excitable.rate", Interval::closed(0.0, 0.5), 0.15, PER_STEP, "activator rate"),
    key("excitable.d_activator", DIFFUSION, 0.08, CELL2, "diffusion of the activator"),
    key("excitable.d_inhibitor", Interval::closed(0.0, 0.2), 0.0, CELL2, "diffusion of the inhibitor"),
    key("excitable.gain_volts", Interval::closed(0.0, 0.11), 0.1, "V", "depolarisation of an excited cell"),
    key("excitable.membrane_rate", RATE, 0.1, PER_STEP, "rate at which V follows the activator"),
    key("excitable.spike_volts", Interval::closed(0.0, 0.2), 0.08, "V", "mean size of a random spike"),
    whole(key(
        "excitable.spike_radius",
        Interval::closed(0.0, 16.0),
        4.0,
        "cells",
        "cells around its centre that a spike or stimulus reaches",
    )),
    key("gray_scott.feed", RATE, PRESET[0], PER_STEP, "feed F of the substrate"),
    key("gray_scott.kill", RATE, PRESET[1], PER_STEP, "removal k of the activator"),
    key("gray_scott.d_activator", DIFFUSION, 0.1049, CELL2, "diffusion of the activator"),
    key("gray_scott.d_inhibitor", DIFFUSION, 0.2097, CELL2, "diffusion of the substrate"),
    key(
        "gray_scott.gain_volts",
        Interval::closed(0.0, 0.2),
        0.15,
        "V",
        "depolarisation per unit of activator",
    ),
    key("gray_scott.membrane_rate", RATE, 0.1, PER_STEP, "rate at which V follows the activator"),
    key("gray_scott.spike_volts", Interval::closed(0.0, 0.2), 0.05, "V", "mean size of a random spike"),
    whole(key(
        "gray_scott.spike_radius",
        Interval::closed(0.0, 16.0),
        4.0,
        "cells",
        "cells around its centre that a spike or stimulus reaches",
    )),
];
