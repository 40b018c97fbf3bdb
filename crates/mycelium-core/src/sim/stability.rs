//! What theory says about a set of parameters before it runs: an error where the explicit step is unstable, a warning
//! where the field will not show what its model is for.

use std::fmt;

use super::params::{Model, Params};
use super::turing::{self, MAX_EIGENVALUE};
use super::{excitable, gray_scott};
use crate::range::OutOfRange;

/// The field will run, but not show what its model is for.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamsWarning {
    /// `turing`: the diffusion numbers are too close for any wave to grow.
    RatioTooLow {
        /// `d_inhibitor / d_activator`.
        ratio: f64,
        /// The ratio above which a wave grows.
        needed: f64,
        /// Decay rate of the most persistent wave, 1/step.
        shrinks_per_step: f64,
    },
    /// `turing`: the activator does not activate itself at rest.
    NoSelfActivation {
        /// Production of the inhibitor.
        supply: f64,
        /// Production of the activator, which must be smaller.
        feed: f64,
    },
    /// `turing`: the steady state is unstable without diffusion. Patterns and oscillations both occur.
    Oscillates {
        /// Growth rate of a uniform perturbation, 1/step.
        growth: f64,
    },
    /// `turing`: fewer than `MIN_WAVELENGTHS` wavelengths fit.
    GridTooSmall {
        /// Cells along one edge.
        grid: usize,
        /// Of the fastest growing wave, cells.
        wavelength: f64,
    },
    /// `turing`: the grid cannot show a wave this short.
    WavelengthTooShort {
        /// Of the fastest growing wave, cells.
        wavelength: f64,
    },
    /// `turing`: a perturbation takes more than `MAX_GROWTH_STEPS` steps to grow by a factor e.
    Slow {
        /// Steps to grow by a factor e.
        steps: f64,
    },
    /// `excitable`: nothing travels, or waves retract.
    NoFront {
        /// `b / a`.
        threshold: f64,
    },
    /// `excitable`: fronts are too thin for the grid and get stuck on it.
    Pinned {
        /// Width of a front, cells.
        width: f64,
    },
    /// `excitable`: an excited cell stays excited.
    NeverRecovers {
        /// Parameter `a`.
        a: f64,
        /// Parameter `b`.
        b: f64,
    },
    /// `excitable`: most spirals die out on a grid this small.
    GridTooSmallForSpiral {
        /// Cells along one edge.
        grid: usize,
        /// Length of a wave for a slow inhibitor, cells.
        pulse: f64,
    },
    /// `mfn`: its Turing part is inert unless the inhibitor spreads faster.
    Inert {
        /// Diffusion number of the activator.
        d_activator: f64,
        /// Diffusion number of the inhibitor.
        d_inhibitor: f64,
    },
    /// `turing` and `excitable` with `turing_enabled = false`.
    TuringDisabled,
}

/// Fewest wavelengths across the grid for a pattern.
const MIN_WAVELENGTHS: f64 = 2.0;
/// Shortest wavelength that the grid resolves, cells.
const MIN_WAVELENGTH: f64 = 4.0;
/// Longest growth time without a warning, steps.
const MAX_GROWTH_STEPS: f64 = 5000.0;
/// Narrowest front that travels freely, cells: below, the speed on the lattice is less than in theory and reaches zero.
const MIN_FRONT_WIDTH: f64 = 0.7;
/// Pulse lengths across the grid above which most spirals last. Of 8 seeds at the defaults, without spikes, waves were left
/// after 20,000 steps in 0 at 32 cells, 2 at 40, 3 at 48, 6 at 56 and 7 at 64.
const MIN_PULSES: f64 = 2.0;

impl fmt::Display for ParamsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioTooLow { ratio, needed, shrinks_per_step } => write!(
                f,
                "no pattern will form: d_inhibitor / d_activator is {ratio:.3}, it must exceed {needed:.3}; the \
                 most persistent wave shrinks by {shrinks_per_step:.2e} per step"
            ),
            Self::NoSelfActivation { supply, feed } => write!(
                f,
                "no pattern will form: supply {supply} must exceed feed {feed}, or the activator does not activate \
                 itself"
            ),
            Self::Oscillates { growth } => write!(
                f,
                "linear theory predicts no pattern: the steady state is unstable without diffusion (growth {growth:.2e} \
                 per step), so oscillations and patterns compete"
            ),
            Self::GridTooSmall { grid, wavelength } => write!(
                f,
                "no pattern will form: the grid of {grid} cells holds {:.2} wavelengths of {wavelength:.1} cells, it \
                 must hold {MIN_WAVELENGTHS}",
                *grid as f64 / wavelength
            ),
            Self::WavelengthTooShort { wavelength } => write!(
                f,
                "the pattern will follow the grid: its wavelength is {wavelength:.2} cells, at least {MIN_WAVELENGTH} are \
                 needed to resolve it"
            ),
            Self::Slow { steps } => {
                write!(
                    f,
                    "the pattern will take long: the fastest wave needs {steps:.0} steps to grow by a factor e"
                )
            }
            Self::NoFront { threshold } => write!(
                f,
                "no wave will travel: the threshold b/a is {threshold:.3}, it must lie below 0.5 by enough for the \
                 inhibitor"
            ),
            Self::Pinned { width } => write!(
                f,
                "no wave will travel freely: fronts are {width:.2} cells wide, below {MIN_FRONT_WIDTH} they get stuck on \
                 the grid"
            ),
            Self::NeverRecovers { a, b } => write!(
                f,
                "no second wave will come: with a {a} and b {b} the inhibitor never ends the excitation, a - 2 b must \
                 be below 1"
            ),
            Self::GridTooSmallForSpiral { grid, pulse } => write!(
                f,
                "spirals may die out: the grid has {grid} cells, few spirals last below {:.0} cells, and then \
                 only spikes and stimuli start new waves",
                MIN_PULSES * pulse
            ),
            Self::TuringDisabled => f.write_str(
                "no pattern will form: activator and inhibitor are left untouched, so the potential only diffuses",
            ),
            Self::Inert { d_activator, d_inhibitor } => write!(
                f,
                "no pattern will form: model mfn has no steady state but zero, and d_inhibitor {d_inhibitor} does not \
                 exceed d_activator {d_activator}; its activator only decays (models turing and excitable do form \
                 patterns)"
            ),
        }
    }
}

impl Params {
    /// Reasons why a field with these parameters will not show what its model is for; empty if there are none.
    pub fn warnings(&self) -> Vec<ParamsWarning> {
        match self.model {
            Model::Turing | Model::Excitable | Model::GrayScott if !self.turing_enabled => {
                vec![ParamsWarning::TuringDisabled]
            }
            Model::Mfn => mfn_warnings(self),
            Model::Turing => turing_warnings(self),
            Model::Excitable => excitable_warnings(self),
            Model::GrayScott => Vec::new(),
        }
    }
}

fn mfn_warnings(params: &Params) -> Vec<ParamsWarning> {
    let (d_activator, d_inhibitor) = (params.d_activator, params.d_inhibitor);
    let inert = params.turing_enabled && d_inhibitor <= d_activator;
    inert.then_some(ParamsWarning::Inert { d_activator, d_inhibitor }).into_iter().collect()
}

fn turing_warnings(params: &Params) -> Vec<ParamsWarning> {
    let p = &params.turing;
    if !turing::stable_without_diffusion(p) {
        return vec![ParamsWarning::Oscillates { growth: turing::growth(p, 0.0).real[0] }];
    }
    let Some(needed) = turing::critical_ratio(p) else {
        return vec![ParamsWarning::NoSelfActivation { supply: p.supply, feed: p.feed }];
    };
    let turing::Wave { wavelength, growth } = turing::fastest(p);
    if growth <= 0.0 {
        let ratio = p.d_inhibitor / p.d_activator;
        return vec![ParamsWarning::RatioTooLow { ratio, needed, shrinks_per_step: -growth }];
    }
    let mut warnings = Vec::new();
    if (params.grid as f64) < MIN_WAVELENGTHS * wavelength {
        warnings.push(ParamsWarning::GridTooSmall { grid: params.grid, wavelength });
    }
    if wavelength < MIN_WAVELENGTH {
        warnings.push(ParamsWarning::WavelengthTooShort { wavelength });
    }
    if 1.0 / growth > MAX_GROWTH_STEPS {
        warnings.push(ParamsWarning::Slow { steps: 1.0 / growth });
    }
    warnings
}

fn excitable_warnings(params: &Params) -> Vec<ParamsWarning> {
    let p = &params.excitable;
    let threshold = excitable::threshold(p);
    if threshold >= 0.5 || p.rate == 0.0 || excitable::front_speed(p) <= 0.0 {
        return vec![ParamsWarning::NoFront { threshold }];
    }
    let width = excitable::front_width(p);
    if width < MIN_FRONT_WIDTH {
        return vec![ParamsWarning::Pinned { width }];
    }
    if excitable::excited_steps(p).is_infinite() {
        return vec![ParamsWarning::NeverRecovers { a: p.a, b: p.b }];
    }
    let pulse = excitable::pulse_length(p);
    let short = (params.grid as f64) < MIN_PULSES * pulse;
    short.then_some(ParamsWarning::GridTooSmallForSpiral { grid: params.grid, pulse }).into_iter().collect()
}

/// Largest decay rate that is left beside diffusion: a mode that decays at rate s is multiplied by 1 - s, and beyond
/// s = 2 it grows with alternating sign.
fn limit(diffusion: f64) -> f64 {
    2.0 - MAX_EIGENVALUE * diffusion
}

fn refuse(key: &str, value: f64, below: f64, why: &str) -> OutOfRange {
    OutOfRange {
        key: key.to_owned(),
        value: value.to_string(),
        accepted: format!("below {below:.6}, or the explicit step overshoots: {why}"),
    }
}

/// The inhibitor decays at its rate; the activator does not decay at rest.
fn refuse_mfn(params: &Params) -> Result<(), OutOfRange> {
    let (d, rate) = (params.d_inhibitor, params.r_inhibitor);
    if rate < limit(d) {
        return Ok(());
    }
    let why = format!("8 d_inhibitor + r_inhibitor is {}", MAX_EIGENVALUE * d + rate);
    Err(refuse("r_inhibitor", rate, limit(d), &why))
}

/// At rest the activator decays at `rate (1 - 2 u w)`, the inhibitor at `rate u^2`.
fn refuse_turing(params: &Params) -> Result<(), OutOfRange> {
    let p = &params.turing;
    let [rest, inhibitor] = turing::rest(p);
    let decay = 1.0 - 2.0 * rest * inhibitor;
    let sum = MAX_EIGENVALUE * p.d_activator + p.rate * decay;
    if sum >= 2.0 {
        let why =
            format!("8 d_activator + rate (1 - 2 u w) is {sum} at the rest levels u {rest}, w {inhibitor}");
        return Err(refuse("turing.rate", p.rate, limit(p.d_activator) / decay, &why));
    }
    let below = limit(p.d_inhibitor) / (2.0 * rest).powi(2);
    if p.rate >= below {
        let why = format!("8 d_inhibitor + rate u^2 exceeds 2 at twice the rest level {rest} of u");
        return Err(refuse("turing.rate", p.rate, below, &why));
    }
    Ok(())
}

/// Fails if the explicit step is unstable.
pub(super) fn refuse_unstable(params: &Params) -> Result<(), OutOfRange> {
    let (rate_key, rate) = match params.model {
        _ if !params.turing_enabled => return Ok(()),
        Model::Mfn => return refuse_mfn(params),
        Model::Turing => ("turing.membrane_rate", params.turing.membrane_rate),
        Model::Excitable => ("excitable.membrane_rate", params.excitable.membrane_rate),
        Model::GrayScott => ("gray_scott.membrane_rate", params.gray_scott.membrane_rate),
    };
    if rate >= limit(params.alpha) {
        let why = format!("8 alpha + membrane_rate is {}", MAX_EIGENVALUE * params.alpha + rate);
        return Err(refuse(rate_key, rate, limit(params.alpha), &why));
    }
    match params.model {
        Model::Mfn => Ok(()),
        Model::Turing => refuse_turing(params),
        Model::Excitable => refuse_excitable(params),
        Model::GrayScott => refuse_gray_scott(params),
    }
}

fn refuse_excitable(params: &Params) -> Result<(), OutOfRange> {
    let p = &params.excitable;
    let below = limit(p.d_activator);
    if p.rate < below {
        return Ok(());
    }
    let why = format!("8 d_activator + rate is {}", MAX_EIGENVALUE * p.d_activator + p.rate);
    Err(refuse("excitable.rate", p.rate, below, &why))
}

/// The activator decays at most at `feed + kill`, the substrate at `feed + v^2`.
fn refuse_gray_scott(params: &Params) -> Result<(), OutOfRange> {
    let p = &params.gray_scott;
    let removal = p.feed + p.kill;
    let below = limit(p.d_activator);
    if removal >= below {
        let why = format!("8 d_activator + feed + kill is {}", MAX_EIGENVALUE * p.d_activator + removal);
        return Err(refuse("gray_scott.kill", p.kill, below - p.feed, &why));
    }
    let peak = gray_scott::PATTERN_ACTIVATOR;
    let below = limit(p.d_inhibitor) - peak * peak;
    if p.feed >= below {
        let why = format!(
            "8 d_inhibitor + feed + v^2 is {} where the activator v is {peak}",
            MAX_EIGENVALUE * p.d_inhibitor + p.feed + peak * peak
        );
        return Err(refuse("gray_scott.feed", p.feed, below, &why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::raw_params::RawParams;
    use super::*;

    fn params(model: Model, set: &[(&str, f64)]) -> Result<Params, OutOfRange> {
        let mut raw = RawParams::default();
        raw.model = model;
        for &(key, value) in set {
            raw.set(key, value).unwrap();
        }
        raw.try_into()
    }

    #[test]
    fn default_turing_and_excitable_give_no_warning_and_mfn_warns_that_it_is_inert() {
        assert_eq!(params(Model::Turing, &[]).unwrap().warnings(), []);
        assert_eq!(params(Model::Excitable, &[]).unwrap().warnings(), []);
        for model in [Model::Turing, Model::Excitable, Model::GrayScott] {
            let mut off = params(model, &[]).unwrap();
            off.turing_enabled = false;
            assert_eq!(off.warnings(), [ParamsWarning::TuringDisabled], "{model}");
        }
        let mfn = params(Model::Mfn, &[]).unwrap().warnings();
        assert!(matches!(mfn[..], [ParamsWarning::Inert { .. }]));
    }

    /// Model, parameters set, part of the warning, reason for the row.
    type Row<'a> = (Model, &'a [(&'a str, f64)], &'a str, &'a str);
    /// Model, parameters set, the key that is refused.
    type Refused<'a> = (Model, &'a [(&'a str, f64)], &'a str);

    #[test]
    fn parameters_outside_the_turing_space_are_reported_with_numbers() {
        let rows: &[Row<'_>] = &[
            (
                Model::Turing,
                &[("turing.d_activator", 0.1)],
                "no pattern will form: d_inhibitor / d_activator is 2.000, it must exceed 8.568",
                "equal spread forms no pattern",
            ),
            (Model::Turing, &[("turing.feed", 1.0)], "supply 0.9 must exceed feed 1", "no self-activation"),
            (
                Model::Turing,
                &[("turing.feed", 0.0), ("turing.supply", 0.5)],
                "oscillations and patterns",
                "Hopf",
            ),
            (Model::Turing, &[("grid", 16.0)], "the grid of 16 cells holds 1.7", "grid against wavelength"),
            (
                Model::Turing,
                &[("turing.d_inhibitor", 0.02), ("turing.d_activator", 0.0015)],
                "at least 4 are needed",
                "unresolved",
            ),
            (Model::Turing, &[("turing.rate", 0.0005), ("grid", 512.0)], "will take long", "slow"),
            (
                Model::Excitable,
                &[("excitable.b", 0.4)],
                "no wave will travel: the threshold b/a is 0.533",
                "b/a",
            ),
            (Model::Excitable, &[("excitable.d_activator", 0.01)], "get stuck", "pinned"),
            (Model::Excitable, &[("excitable.a", 1.5)], "no second wave", "never recovers"),
            (Model::Excitable, &[("grid", 32.0)], "spirals may die out", "grid against pulse"),
        ];
        for (model, set, want, why) in rows {
            let warnings = params(*model, set).unwrap().warnings();
            let text: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            assert!(text.iter().any(|line| line.contains(want)), "{why}: {text:?}");
        }
    }

    #[test]
    fn parameters_with_an_unstable_explicit_step_are_refused_with_numbers() {
        let rows: &[Refused<'_>] = &[
            (Model::Turing, &[("turing.d_inhibitor", 0.249), ("turing.rate", 0.1)], "turing.rate"),
            (Model::Turing, &[("turing.supply", 5.0)], "turing.rate"),
            (
                Model::Turing,
                &[
                    ("turing.feed", 1.0),
                    ("turing.supply", 0.1),
                    ("turing.rate", 0.1),
                    ("turing.d_activator", 0.2499),
                    ("turing.d_inhibitor", 0.1),
                ],
                "turing.rate",
            ),
            (Model::Mfn, &[("d_inhibitor", 0.2499), ("r_inhibitor", 0.1)], "r_inhibitor"),
            (Model::GrayScott, &[("alpha", 0.2499)], "gray_scott.membrane_rate"),
            (
                Model::GrayScott,
                &[("gray_scott.d_activator", 0.2499), ("gray_scott.kill", 0.09)],
                "gray_scott.kill",
            ),
            (Model::GrayScott, &[("gray_scott.d_inhibitor", 0.22)], "gray_scott.feed"),
            (Model::Turing, &[("alpha", 0.2499)], "turing.membrane_rate"),
            (Model::Excitable, &[("alpha", 0.2499)], "excitable.membrane_rate"),
            (Model::Excitable, &[("excitable.d_activator", 0.24), ("excitable.rate", 0.5)], "excitable.rate"),
        ];
        for (model, set, key) in rows {
            let refused = params(*model, set).unwrap_err();
            assert_eq!(&refused.key, key, "{set:?}");
            assert!(refused.to_string().contains("overshoots"), "{refused}");
        }
    }
}
