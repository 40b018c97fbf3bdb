//! Unchecked input to checked [`Params`]: each number against its range, the whole set against stability.

use super::gray_scott::GrayScottPreset;
use super::parameters::{self, PARAMETERS};
use super::params::{Boundary, ExcitableParams, GrayScottParams, Model, Params, Precision, TuringParams};
use super::stability;
use crate::range::OutOfRange;

/// Parameters as they are set one by one, each checked against its range. A number that was not set has the default
/// of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct RawParams {
    /// Which kinetics drive the field.
    pub model: Model,
    /// Floating-point format of the planes.
    pub precision: Precision,
    /// What lies beyond the edge of the grid.
    pub boundary: Boundary,
    /// Whether activator and inhibitor evolve and drive V.
    pub turing_enabled: bool,
    /// `gray_scott`: the class whose feed and kill are used where they are not set.
    pub gray_scott_preset: GrayScottPreset,
    /// In the order of [`PARAMETERS`]; `None` until set.
    numbers: [Option<f64>; PARAMETERS.len()],
}

impl Default for RawParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RawParams {
    /// The default model of daemon, command line and API, which never turns constant, with all numbers at their defaults.
    pub const DEFAULT: Self = Self {
        model: Model::Excitable,
        precision: Precision::F32,
        boundary: Boundary::Periodic,
        turing_enabled: true,
        gray_scott_preset: GrayScottPreset::DEFAULT,
        numbers: [None; PARAMETERS.len()],
    };

    /// Sets the number named `key` in [`PARAMETERS`]; refuses unknown keys and values out of range.
    pub fn set(&mut self, key: &str, value: f64) -> Result<(), OutOfRange> {
        let Some(at) = parameters::index(key) else {
            return Err(OutOfRange {
                key: "parameter".to_owned(),
                value: format!("{key:?}"),
                accepted: "a name of `PARAMETERS`".to_owned(),
            });
        };
        self.numbers[at] = Some(PARAMETERS[at].check(value)?);
        Ok(())
    }

    /// The number named `key`: as set, or the default of the chosen model. `None` for an unknown key.
    pub fn get(&self, key: &str) -> Option<f64> {
        parameters::index(key).map(|at| self.at(at))
    }

    /// The numbers that differ from the default of the chosen model, in the order of [`PARAMETERS`].
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        let all = PARAMETERS.iter().enumerate().map(|(at, key)| (key, self.at(at)));
        all.filter(|(key, value)| *value != key.default_of(self.model)).map(|(key, value)| (key.name, value))
    }

    fn at(&self, at: usize) -> f64 {
        self.numbers[at].unwrap_or_else(|| {
            let [feed, kill] = self.gray_scott_preset.feed_and_kill();
            match PARAMETERS[at].name {
                "gray_scott.feed" => feed,
                "gray_scott.kill" => kill,
                _ => PARAMETERS[at].default_of(self.model),
            }
        })
    }

    fn number(&self, key: &str) -> f64 {
        self.get(key).expect("the key is in PARAMETERS")
    }
}

/// Fails on parameters that the explicit step cannot follow. Parameters that run but show no pattern give a
/// [`super::ParamsWarning`] instead.
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
            gray_scott: GrayScottParams {
                feed: number("gray_scott.feed"),
                kill: number("gray_scott.kill"),
                d_activator: number("gray_scott.d_activator"),
                d_inhibitor: number("gray_scott.d_inhibitor"),
                gain_volts: number("gray_scott.gain_volts"),
                membrane_rate: number("gray_scott.membrane_rate"),
                spike_volts: number("gray_scott.spike_volts"),
                spike_radius: number("gray_scott.spike_radius") as usize,
            },
        };
        stability::refuse_unstable(&params)?;
        Ok(params)
    }
}

impl Default for Params {
    fn default() -> Self {
        RawParams::default().try_into().expect("the defaults lie in their ranges and are stable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_accepts_its_range_and_refuses_other_values_by_name() {
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
    fn errors_name_the_key_the_value_and_what_is_accepted() {
        let rows = [
            ("alpha", 0.3, "`alpha` is 0.3; it must be a number above 0 and below 0.25"),
            ("grid", 64.5, "`grid` is 64.5; it must be a whole number from 8 to 512"),
            ("grid", 7.0, "`grid` is 7; it must be a whole number from 8 to 512"),
            ("alhpa", 0.1, "`parameter` is \"alhpa\"; it must be a name of `PARAMETERS`"),
        ];
        for (key, value, want) in rows {
            assert_eq!(RawParams::default().set(key, value).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_number_that_was_not_set_has_the_default_of_the_model() {
        let mut raw = RawParams { model: Model::Mfn, ..RawParams::default() };
        assert_eq!(raw.get("spike_probability"), Some(0.25));
        raw.model = Model::Turing;
        assert_ne!(raw.get("spike_probability"), Some(0.25));
        raw.set("spike_probability", 0.5).unwrap();
        assert_eq!(Params::try_from(raw).unwrap().spike_probability, 0.5);
    }
}
