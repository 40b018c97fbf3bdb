//! PURE. Keys of the device, its memory, the field and its features.

use std::time::Duration;

use super::spec::DefaultValue::{self, Absent, Integer, Number, Text};
use super::spec::{Kind, NAME, integer, keys, same, whole};
use mycelium_core::features::{self, Compat, Connectivity, FeatureProfile, Threshold};
use mycelium_core::sim::{self, Boundary, GrayScottPreset, Model, Precision, RawParams};

const MODEL: DefaultValue = Absent("the model's own");

/// The number `name` of the simulation.
pub(super) const fn number(name: &str) -> &'static sim::Parameter {
    let mut k = 0;
    while !same(sim::PARAMETERS[k].name, name) {
        k += 1;
    }
    &sim::PARAMETERS[k]
}

const fn sim(name: &str) -> Kind {
    let number = number(name);
    if number.whole { whole(number.range) } else { Kind::Number(number.range) }
}

/// Of numbers whose default is the same for every model.
const fn sim_default(name: &str) -> DefaultValue {
    let number = number(name);
    let default = number.default_of(RawParams::DEFAULT.model);
    if number.whole { Integer(default as i64) } else { Number(default) }
}

const THRESHOLD: Kind =
    Kind::Text { accepted: Threshold::ACCEPTED, is_valid: |text| text.parse::<Threshold>().is_ok() };

#[rustfmt::skip]
keys! {
    FIELD_KEYS;

    DEVICE_ID: Option<String>, "device.id": NAME, Absent("the host name, or a random id kept in the data directory"), "";
        "Name of this device: part of every event id and a label of every record.";
        "Set it when host names repeat in your fleet; changing it changes the event ids receivers see."

    MEMORY_MAX_BYTES: u64, "memory.max_bytes": integer(1 << 20, 1 << 40), Integer(10 << 20), "bytes";
        "What field, frames, queues and connections may take together; a configuration that needs more is refused at start. What is left is for on-demand simulations.";
        "Raise it for larger grids or more frames, here or in POST /v1/simulate; `myceliumd check` prints what is needed and what is left."

    SIM_GRID: usize, "sim.grid": sim("grid"), sim_default("grid"), "cells";
        "Cells along one edge of the square field.";
        "Larger grids show longer waves and cost time and memory with the square."
    SIM_MODEL: Model, "sim.model": Kind::Choice(Model::NAMES), Text(RawParams::DEFAULT.model.name()), "";
        "Which kinetics drive the field: the step of MyceliumFractalNet 4.1, a pattern former, travelling spikes, or spots and chaos.";
        "`excitable` never turns constant; `turing` and `mfn` do within hours unless inputs or stimuli drive them. Use `mfn` with `f64` to compare with MyceliumFractalNet 4.1."
    SIM_PRECISION: Precision, "sim.precision": Kind::Choice(Precision::NAMES), Text(RawParams::DEFAULT.precision.name()), "";
        "Floating-point format of the field.";
        "Use `f64` where results must agree bit for bit between machines."
    SIM_BOUNDARY: Boundary, "sim.boundary": Kind::Choice(Boundary::NAMES), Text(RawParams::DEFAULT.boundary.name()), "";
        "What lies beyond the edge: the other side, a wall without flux, or 0 V.";
        "Match the vessel you compare with; 0 V outside depolarises the whole field slowly."
    SIM_SEED: Option<u64>, "sim.seed": integer(0, i64::MAX), Absent("drawn from entropy at start and logged"), "";
        "Start of every random sequence of the field; up to 9223372036854775807, the largest integer of TOML, where the command line and POST /v1/simulate take up to 18446744073709551615.";
        "Set it to repeat a run."
    SIM_TICK_MS: Duration, "sim.tick_ms": integer(1, 3_600_000), Integer(100), "milliseconds";
        "Time from one tick to the next; a tick takes `sim.steps_per_tick` steps.";
        "Shorter for livelier fields, longer to save power."
    SIM_STEPS_PER_TICK: u32, "sim.steps_per_tick": integer(1, 1_000), Integer(1), "steps";
        "How many steps are taken at each tick; stimuli arrive before the first of them.";
        "Raise it for a field faster than one step a millisecond, or to wake up more seldom."
    SIM_FRAMES: usize, "sim.frames": integer(1, 65_536), Integer(64), "frames";
        "How many of the newest frames `/v1/field` can still show.";
        "Raise it if pollers come rarely; each frame takes grid x grid cells of memory."
    "sim.alpha": sim("alpha"), MODEL, "cells^2/step";
        "Diffusion number of the potential; stable below 0.25.";
        "Higher smooths the field faster."
    "sim.d_activator": sim("d_activator"), MODEL, "cells^2/step";
        "Diffusion number of the activator (`mfn`).";
        "Only to repeat experiments with MyceliumFractalNet 4.1."
    "sim.d_inhibitor": sim("d_inhibitor"), MODEL, "cells^2/step";
        "Diffusion number of the inhibitor (`mfn`).";
        "Only to repeat experiments with MyceliumFractalNet 4.1."
    "sim.r_activator": sim("r_activator"), MODEL, "1/step";
        "Reaction rate of the activator (`mfn`).";
        "Only to repeat experiments with MyceliumFractalNet 4.1."
    "sim.r_inhibitor": sim("r_inhibitor"), MODEL, "1/step";
        "Reaction rate of the inhibitor (`mfn`).";
        "Only to repeat experiments with MyceliumFractalNet 4.1."
    "sim.theta": sim("theta"), MODEL, "";
        "Activator level above which the potential of a cell is raised by 5 mV (`mfn`).";
        "Only to repeat experiments with MyceliumFractalNet 4.1."
    "sim.jitter_variance": sim("jitter_variance"), sim_default("jitter_variance"), "V^2";
        "Variance of the noise added to every cell at every step.";
        "0.0000001 is a visible murmur; 0.0005, the value of MyceliumFractalNet 4.1, drowns everything else."
    "sim.spike_probability": sim("spike_probability"), MODEL, "";
        "Chance of spontaneous spikes: per step for `mfn`, per step scaled by the grid for the others.";
        "Lower it for a calm field, 0 for stimuli from outside only."

    "sim.turing.feed": sim("turing.feed"), MODEL, "";
        "Constant production of the activator (`turing`).";
        "Moves the rest state; `check` says when no pattern will form."
    "sim.turing.supply": sim("turing.supply"), MODEL, "";
        "Constant production of the inhibitor (`turing`).";
        "Moves the rest state; `check` says when no pattern will form."
    "sim.turing.rate": sim("turing.rate"), MODEL, "1/step";
        "Reaction rate (`turing`).";
        "A higher rate gives shorter waves and a faster pattern."
    "sim.turing.d_activator": sim("turing.d_activator"), MODEL, "cells^2/step";
        "Diffusion number of the activator (`turing`).";
        "The wavelength grows with its square root; must stay well below `d_inhibitor`."
    "sim.turing.d_inhibitor": sim("turing.d_inhibitor"), MODEL, "cells^2/step";
        "Diffusion number of the inhibitor (`turing`).";
        "Patterns need it several times larger than `d_activator`."
    "sim.turing.gain_volts": sim("turing.gain_volts"), MODEL, "volts";
        "Depolarisation per unit of activator (`turing`).";
        "Contrast of the pattern in the potential."
    "sim.turing.membrane_rate": sim("turing.membrane_rate"), MODEL, "1/step";
        "How fast the potential follows the activator (`turing`).";
        "Lower it for a sluggish membrane."

    "sim.excitable.a": sim("excitable.a"), MODEL, "";
        "Length of the excited state (`excitable`).";
        "Longer excitation gives broader waves."
    "sim.excitable.b": sim("excitable.b"), MODEL, "";
        "Threshold of the resting state, as b/a (`excitable`).";
        "Higher makes cells harder to excite; too high and waves die."
    "sim.excitable.epsilon": sim("excitable.epsilon"), MODEL, "";
        "Inhibitor rate over activator rate (`excitable`).";
        "Larger shortens the refractory time."
    "sim.excitable.rate": sim("excitable.rate"), MODEL, "1/step";
        "Activator rate (`excitable`).";
        "Speed of everything in steps."
    "sim.excitable.d_activator": sim("excitable.d_activator"), MODEL, "cells^2/step";
        "Diffusion number of the activator (`excitable`).";
        "Front speed grows with its square root."
    "sim.excitable.d_inhibitor": sim("excitable.d_inhibitor"), MODEL, "cells^2/step";
        "Diffusion number of the inhibitor (`excitable`).";
        "Usually 0."
    "sim.excitable.gain_volts": sim("excitable.gain_volts"), MODEL, "volts";
        "Depolarisation of a fully excited cell (`excitable`).";
        "Height of a spike in the potential."
    "sim.excitable.membrane_rate": sim("excitable.membrane_rate"), MODEL, "1/step";
        "How fast the potential follows the activator (`excitable`).";
        "Lower it for a sluggish membrane."
    "sim.excitable.spike_volts": sim("excitable.spike_volts"), MODEL, "volts";
        "Mean size of a spontaneous spike (`excitable`).";
        "Too small a spike excites nothing."
    "sim.excitable.spike_radius": sim("excitable.spike_radius"), MODEL, "cells";
        "Cells around its centre that a spike or stimulus reaches (`excitable`).";
        "A front needs a nucleus of some cells."

    SIM_GRAY_SCOTT_PRESET: GrayScottPreset, "sim.gray_scott.preset": Kind::Choice(GrayScottPreset::NAMES), Text(GrayScottPreset::DEFAULT.name()), "";
        "Which of Pearson's classes gives the default of `feed` and `kill` (`gray_scott`).";
        "`alpha`, `beta` and `epsilon` go on for ever; `theta` and `lambda` fill the field and settle."
    "sim.gray_scott.feed": sim("gray_scott.feed"), Absent("that of the preset"), "1/step";
        "Feed F of the substrate (`gray_scott`).";
        "Patterns need 4 (F + k)^2 close to F."
    "sim.gray_scott.kill": sim("gray_scott.kill"), Absent("that of the preset"), "1/step";
        "Removal k of the activator (`gray_scott`).";
        "A little too high and everything dies."
    "sim.gray_scott.d_activator": sim("gray_scott.d_activator"), MODEL, "cells^2/step";
        "Diffusion number of the activator (`gray_scott`).";
        "Half of `d_inhibitor` in Pearson's runs."
    "sim.gray_scott.d_inhibitor": sim("gray_scott.d_inhibitor"), MODEL, "cells^2/step";
        "Diffusion number of the substrate (`gray_scott`).";
        "Lower both for smaller patterns, to have more of them on the grid."
    "sim.gray_scott.gain_volts": sim("gray_scott.gain_volts"), MODEL, "volts";
        "Depolarisation per unit of activator (`gray_scott`).";
        "Contrast of the pattern in the potential."
    "sim.gray_scott.membrane_rate": sim("gray_scott.membrane_rate"), MODEL, "1/step";
        "How fast the potential follows the activator (`gray_scott`).";
        "Lower it for a sluggish membrane."
    "sim.gray_scott.spike_volts": sim("gray_scott.spike_volts"), MODEL, "volts";
        "Mean size of a spontaneous spike (`gray_scott`).";
        "Too small a spike starts no spot."
    "sim.gray_scott.spike_radius": sim("gray_scott.spike_radius"), MODEL, "cells";
        "Cells around its centre that a spike or stimulus reaches (`gray_scott`).";
        "A spot needs a nucleus of some cells."

    FEATURES_EVERY: u64, "features.every": integer(1, 1_000_000), Integer(10), "steps";
        "Steps between two feature records.";
        "Raise it to save time on large grids."
    FEATURES_WINDOW: usize, "features.window": integer(*features::WINDOW_FRAMES.start() as i64, *features::WINDOW_FRAMES.end() as i64), Integer(FeatureProfile::DEFAULT.window as i64), "frames";
        "Feature records the temporal features look back over.";
        "Longer windows react more slowly and vary less."
    FEATURES_THRESHOLD: Threshold, "features.threshold": THRESHOLD, Text("otsu"), "";
        "Which cells count as active.";
        "`fixed:-60` is that of MyceliumFractalNet 4.1; a fixed level suits comparisons between devices."
    FEATURES_COMPAT: Option<Compat>, "features.compat": Kind::Choice(&[Compat::V41_NAME]), Absent("the corrected definitions"), "";
        "`4.1` gives the definitions of MyceliumFractalNet 4.1, flaws included.";
        "Only where numbers must equal those of MyceliumFractalNet 4.1."
    FEATURES_CONNECTIVITY: Connectivity, "features.connectivity": Kind::Choice(Connectivity::NAMES), Text(FeatureProfile::DEFAULT.connectivity.name()), "";
        "Whether cells touch along edges only (4) or also at corners (8).";
        "8 joins diagonal threads of activity into one cluster."
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_of_the_simulation_has_a_configuration_key() {
        for key in mycelium_core::sim::PARAMETERS {
            assert!(super::super::find(&format!("sim.{}", key.name)).is_some(), "sim.{}", key.name);
        }
    }
}
