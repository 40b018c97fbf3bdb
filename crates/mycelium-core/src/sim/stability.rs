//! What theory says about a set of parameters before it runs: refused, warned about, or fine.

use std::fmt;

use super::excitable;
use super::params::{Model, Params};
use super::turing::{self, CHECKERBOARD};
use crate::range::OutOfRange;

/// The field will run, but not show what the model is for.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamsWarning {
    /// `turing`: the diffusion numbers are too close for any wave to grow.
    RatioTooLow { ratio: f64, needed: f64, shrinks_per_step: f64 },
    /// `turing`: the activator does not activate itself at rest.
    NoSelfActivation { supply: f64, feed: f64 },
    /// `turing`: the steady state is unstable without diffusion, so the whole field oscillates.
    Oscillates { growth: f64 },
    /// `turing`: fewer than `WAVELENGTHS` wavelengths fit.
    GridTooSmall { grid: usize, wavelength: f64 },
    /// `turing`: the grid cannot show a wave this short.
    TooFine { wavelength: f64 },
    /// `turing`: a disturbance takes longer than `PATIENCE` steps to grow by a factor e.
    Slow { steps: f64 },
    /// `excitable`: nothing travels, or waves retract.
    NoFront { threshold: f64 },
    /// `excitable`: fronts are thinner than the grid can carry and get stuck on it.
    Pinned { width: f64 },
    /// `excitable`: an excited cell stays so.
    NeverRecovers { a: f64, b: f64 },
    /// `excitable`: a spiral needs more room.
    NoRoom { grid: usize, pulse: f64 },
    /// `mfn`: its Turing part is inert unless the inhibitor spreads faster.
    Inert { d_activator: f64, d_inhibitor: f64 },
    /// `turing` and `excitable` without what makes them so.
    Off,
}

/// Wavelengths a pattern needs to be one.
const WAVELENGTHS: f64 = 2.0;
/// Cells a wave needs to be resolved.
const SHORTEST: f64 = 4.0;
/// Growth times beyond this many steps are reported.
const PATIENCE: f64 = 5000.0;
/// Narrowest front that travels freely, cells: below, the speed on the lattice falls behind the theory and
/// reaches zero.
const NARROWEST: f64 = 0.7;
/// Pulse lengths a spiral needs across the grid.
const PULSES: f64 = 2.0;

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
                "no pattern will form: the steady state is unstable without diffusion (growth {growth:.2e} per \
                 step), so the field oscillates as a whole"
            ),
            Self::GridTooSmall { grid, wavelength } => write!(
                f,
                "no pattern will form: the grid of {grid} cells holds {:.2} wavelengths of {wavelength:.1} cells, it \
                 must hold {WAVELENGTHS}",
                *grid as f64 / wavelength
            ),
            Self::TooFine { wavelength } => write!(
                f,
                "the pattern will follow the grid: its wavelength is {wavelength:.2} cells, at least {SHORTEST} are \
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
                "no wave will travel freely: fronts are {width:.2} cells wide, below {NARROWEST} they get stuck on \
                 the grid"
            ),
            Self::NeverRecovers { a, b } => write!(
                f,
                "no second wave will come: with a {a} and b {b} the inhibitor never ends the excitation, a - 2 b must \
                 be below 1"
            ),
            Self::NoRoom { grid, pulse } => write!(
                f,
                "no spiral will last: waves are {pulse:.1} cells long and need {:.0} cells of grid, it has {grid}; \
                 only spikes and stimuli start new ones",
                PULSES * pulse
            ),
            Self::Off => f.write_str(
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
    /// What to tell whoever chose these parameters.
    pub fn warnings(&self) -> Vec<ParamsWarning> {
        match self.model {
            Model::Turing | Model::Excitable if !self.turing_enabled => vec![ParamsWarning::Off],
            Model::Mfn => mfn(self),
            Model::Turing => turing_space(self),
            Model::Excitable => waves(self),
        }
    }
}

fn mfn(params: &Params) -> Vec<ParamsWarning> {
    let (d_activator, d_inhibitor) = (params.d_activator, params.d_inhibitor);
    let inert = params.turing_enabled && d_inhibitor <= d_activator;
    inert.then_some(ParamsWarning::Inert { d_activator, d_inhibitor }).into_iter().collect()
}

fn turing_space(params: &Params) -> Vec<ParamsWarning> {
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
    if (params.grid as f64) < WAVELENGTHS * wavelength {
        warnings.push(ParamsWarning::GridTooSmall { grid: params.grid, wavelength });
    }
    if wavelength < SHORTEST {
        warnings.push(ParamsWarning::TooFine { wavelength });
    }
    if 1.0 / growth > PATIENCE {
        warnings.push(ParamsWarning::Slow { steps: 1.0 / growth });
    }
    warnings
}

fn waves(params: &Params) -> Vec<ParamsWarning> {
    let p = &params.excitable;
    let threshold = excitable::threshold(p);
    if threshold >= 0.5 || p.rate == 0.0 || excitable::front_speed(p) <= 0.0 {
        return vec![ParamsWarning::NoFront { threshold }];
    }
    let width = excitable::front_width(p);
    if width < NARROWEST {
        return vec![ParamsWarning::Pinned { width }];
    }
    if excitable::excited_steps(p).is_infinite() {
        return vec![ParamsWarning::NeverRecovers { a: p.a, b: p.b }];
    }
    let pulse = excitable::pulse_length(p);
    let short = (params.grid as f64) < PULSES * pulse;
    short.then_some(ParamsWarning::NoRoom { grid: params.grid, pulse }).into_iter().collect()
}

/// Refuses what the explicit step cannot follow.
pub(super) fn refuse_unstable(params: &Params) -> Result<(), OutOfRange> {
    let refuse = |key: &str, value: f64, below: f64, why: String| OutOfRange {
        key: key.to_owned(),
        value: value.to_string(),
        accepted: format!("below {below:.6}, or the explicit step overshoots: {why}"),
    };
    // A mode that decays at rate s is multiplied by 1 - s; beyond s = 2 it grows with alternating sign.
    let limit = |d: f64| 2.0 - CHECKERBOARD * d;
    let (rate_key, rate) = match params.model {
        _ if !params.turing_enabled => return Ok(()),
        Model::Mfn => return Ok(()),
        Model::Turing => ("turing.membrane_rate", params.turing.membrane_rate),
        Model::Excitable => ("excitable.membrane_rate", params.excitable.membrane_rate),
    };
    if rate >= limit(params.alpha) {
        let why = format!("8 alpha + membrane_rate is {}", CHECKERBOARD * params.alpha + rate);
        return Err(refuse(rate_key, rate, limit(params.alpha), why));
    }
    if params.model == Model::Excitable {
        let p = &params.excitable;
        let below = limit(p.d_activator);
        if p.rate >= below {
            let why = format!("8 d_activator + rate is {}", CHECKERBOARD * p.d_activator + p.rate);
            return Err(refuse("excitable.rate", p.rate, below, why));
        }
        return Ok(());
    }
    let p = &params.turing;
    let [rest, _] = turing::rest(p);
    let below = limit(p.d_inhibitor) / (2.0 * rest).powi(2);
    if p.rate >= below {
        let why = format!("8 d_inhibitor + rate u^2 exceeds 2 at twice the rest level {rest} of u");
        return Err(refuse("turing.rate", p.rate, below, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::params::RawParams;
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
    fn defaults_of_the_pattern_formers_warn_of_nothing_and_mfn_says_that_it_is_inert() {
        assert_eq!(params(Model::Turing, &[]).unwrap().warnings(), []);
        assert_eq!(params(Model::Excitable, &[]).unwrap().warnings(), []);
        for model in [Model::Turing, Model::Excitable] {
            let mut off = params(model, &[]).unwrap();
            off.turing_enabled = false;
            assert_eq!(off.warnings(), [ParamsWarning::Off], "{model}");
        }
        let mfn = params(Model::Mfn, &[]).unwrap().warnings();
        assert!(matches!(mfn[..], [ParamsWarning::Inert { .. }]));
    }

    /// Model, what is set, what the answer says, why.
    type Row<'a> = (Model, &'a [(&'a str, f64)], &'a str, &'a str);
    /// Model, what is set, which key is refused.
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
            (Model::Turing, &[("turing.feed", 0.0), ("turing.supply", 0.5)], "oscillates as a whole", "Hopf"),
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
            (Model::Excitable, &[("grid", 32.0)], "no spiral will last", "room"),
        ];
        for (model, set, want, why) in rows {
            let warnings = params(*model, set).unwrap().warnings();
            let text: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            assert!(text.iter().any(|line| line.contains(want)), "{why}: {text:?}");
        }
    }

    #[test]
    fn what_the_explicit_step_cannot_follow_is_refused_with_numbers() {
        let rows: &[Refused<'_>] = &[
            (Model::Turing, &[("turing.d_inhibitor", 0.249), ("turing.rate", 0.1)], "turing.rate"),
            (Model::Turing, &[("turing.supply", 5.0)], "turing.rate"),
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
