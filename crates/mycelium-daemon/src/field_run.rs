//! PURE. A field that runs a known number of steps, with its features at the end or along the way.

use mycelium_core::features::{Compat, Extractor, FeatureProfile, FeatureValues};
use mycelium_core::sim::{Boundary, LYAPUNOV_TRANSIENT_STEPS, Simulator, StepReport, Twin, lyapunov_steps};

/// The field with its estimators, and the twin field while the exponent is measured.
pub struct FieldRun {
    pub simulator: Simulator,
    extractor: Extractor,
    twin: Option<Twin>,
    /// The twin starts before this step.
    fork_before: u64,
    /// The first step whose frame counts, if only the features at the end are wanted.
    sample_from: u64,
    sampled: bool,
}

impl FieldRun {
    /// A run of `steps` steps with a sample every `every` steps. With `is_series`, features are wanted at every sample:
    /// then the twin runs from the start and every frame counts. Otherwise those at the end are enough: the features are
    /// of the last `window` frames, except under 4.1.
    pub fn new(
        simulator: Simulator,
        profile: FeatureProfile,
        steps: u64,
        every: u64,
        is_series: bool,
    ) -> Self {
        let torus = simulator.params().boundary == Boundary::Periodic;
        let profile = FeatureProfile { torus, ..profile };
        let extractor = Extractor::new(simulator.params().grid, profile);
        let observed = if is_series { steps } else { lyapunov_steps(steps) };
        let whole = is_series || profile.compat == Compat::V41;
        let skipped = if whole { 0 } else { (steps / every).saturating_sub(profile.window as u64) };
        let (fork_before, sample_from) = (steps - observed + 1, skipped * every + 1);
        Self { simulator, extractor, twin: None, fork_before, sample_from, sampled: false }
    }

    /// Performs step number `step`, counted from 1.
    pub fn step(&mut self, step: u64) -> StepReport {
        if step == self.fork_before {
            self.twin = Some(Twin::fork(&self.simulator, LYAPUNOV_TRANSIENT_STEPS));
        }
        match &mut self.twin {
            Some(twin) => twin.step_both(&mut self.simulator),
            None => self.simulator.step(),
        }
    }

    /// Feeds the current frame to the estimators, unless it has left their window by the end of the run.
    pub fn sample(&mut self) {
        if self.simulator.steps_done() < self.sample_from {
            return;
        }
        self.extractor.push(self.simulator.frame());
        self.sampled = true;
    }

    /// Features of the frames sampled so far; if there were none, of the current one.
    pub fn values(&mut self) -> FeatureValues {
        if !self.sampled {
            self.sample_from = 0;
            self.sample();
        }
        let exponent = self.twin.as_ref().and_then(Twin::exponent);
        self.extractor.set_lyapunov(exponent.unwrap_or(f64::NAN));
        self.extractor.set_spiral_tips(f64::from(self.simulator.spiral_tips()));
        self.extractor.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mycelium_core::features::{Connectivity, Threshold};
    use mycelium_core::sim::{Params, RawParams};

    const GRID: usize = 16;

    fn simulator() -> Simulator {
        let mut raw = RawParams::default();
        raw.set("grid", GRID as f64).unwrap();
        Simulator::new(Params::try_from(raw).unwrap(), 7)
    }

    /// Mutants seen red: the twin started one step late; the first frame of the window left out.
    #[test]
    fn features_at_the_end_are_those_of_the_last_window_and_of_a_twin_over_the_last_steps() {
        let (steps, window) = (40_000, 8);
        let profile = FeatureProfile {
            compat: Compat::Edge,
            threshold: Threshold::Otsu,
            connectivity: Connectivity::Four,
            torus: simulator().params().boundary == Boundary::Periodic,
            window,
        };
        let mut run = FieldRun::new(simulator(), profile, steps, 1, false);
        for step in 1..=steps {
            run.step(step);
            run.sample();
        }

        let (mut simulator, mut extractor) = (simulator(), Extractor::new(GRID, profile));
        let mut twin = None;
        for left in (0..steps).rev() {
            if left + 1 == lyapunov_steps(steps) {
                twin = Some(Twin::fork(&simulator, LYAPUNOV_TRANSIENT_STEPS));
            }
            match &mut twin {
                Some(twin) => twin.step_both(&mut simulator),
                None => simulator.step(),
            };
            if left < 3 * window as u64 {
                extractor.push(simulator.frame());
            }
        }
        extractor.set_lyapunov(twin.unwrap().exponent().unwrap());
        extractor.set_spiral_tips(f64::from(simulator.spiral_tips()));
        assert_eq!(run.values().map(f64::to_bits), extractor.values().map(f64::to_bits));
    }
}
