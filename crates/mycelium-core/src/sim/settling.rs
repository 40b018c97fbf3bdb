//! After how many steps a field stops changing by itself, as measured or, for `mfn`, computed. Inputs and stimuli can keep any
//! field alive.

use super::gray_scott::GrayScottPreset;
use super::initial_state::V_REST;
use super::kernel::V_HIGH;
use super::params::{Boundary, Model, Params};
use super::spikes::SPIKE_MEAN;

/// Steps after which `turing` at its default rate has become a lattice of spots that only spikes disturb; measured to
/// 10 million.
const TURING_STEPS: f64 = 100_000.0;
/// The rate that belongs to [`TURING_STEPS`], 1/step.
const TURING_RATE: f64 = 0.025;
/// Steps after which the settling presets of `gray_scott` had stopped, on 64 x 64 cells.
const GRAY_SCOTT_STEPS: u64 = 100_000;

impl Params {
    /// Steps after which a field with these parameters is about constant unless inputs or stimuli drive it; `None` if it goes
    /// on for ever, or if nothing is known about these parameters.
    pub fn constant_after(&self) -> Option<u64> {
        if !self.turing_enabled {
            return None;
        }
        match self.model {
            Model::Mfn => mfn_steps(self),
            Model::Turing if self.jitter_variance > 0.0 || self.turing.rate == 0.0 => None,
            Model::Turing => Some((TURING_STEPS * TURING_RATE / self.turing.rate).round() as u64),
            Model::Excitable => None,
            Model::GrayScott => gray_scott_steps(self),
        }
    }
}

/// Diffusion conserves the mean of V except across a border at 0 V, and each spike raises it: until V is at its upper clip
/// everywhere.
fn mfn_steps(params: &Params) -> Option<u64> {
    let per_step = params.spike_probability * SPIKE_MEAN / (params.grid * params.grid) as f64;
    let rises = params.boundary != Boundary::Dirichlet && per_step > 0.0;
    rises.then(|| ((V_HIGH - V_REST) / per_step).round() as u64)
}

fn gray_scott_steps(params: &Params) -> Option<u64> {
    let settling = [GrayScottPreset::Theta, GrayScottPreset::Lambda];
    let p = &params.gray_scott;
    let settles = settling.iter().any(|preset| preset.feed_and_kill() == [p.feed, p.kill]);
    (settles && params.jitter_variance == 0.0).then_some(GRAY_SCOTT_STEPS)
}

#[cfg(test)]
mod tests {
    use super::super::raw_params::RawParams;
    use super::*;

    fn steps(model: Model, set: &[(&str, f64)]) -> Option<u64> {
        let mut raw = RawParams::default();
        raw.model = model;
        for &(key, value) in set {
            raw.set(key, value).unwrap();
        }
        Params::try_from(raw).unwrap().constant_after()
    }

    #[test]
    fn only_fields_that_stop_by_themselves_become_constant() {
        assert_eq!(steps(Model::Excitable, &[]), None);
        assert_eq!(steps(Model::GrayScott, &[]), None);
        assert_eq!(steps(Model::Turing, &[]), Some(100_000));
        assert_eq!(steps(Model::Turing, &[("turing.rate", 0.0125)]), Some(200_000), "half the rate");
        assert_eq!(steps(Model::Turing, &[("jitter_variance", 1e-7)]), None, "noise never stops");
        assert_eq!(
            steps(Model::Mfn, &[]),
            Some(90_112),
            "0.11 V by 0.25 spikes of 20 mV on 4096 cells a step"
        );
        assert_eq!(steps(Model::Mfn, &[("spike_probability", 0.0)]), None);
    }
}
