//! One step of the simulation with its estimators: always a report, features every N steps, a window when it is full.

use std::sync::Arc;

use mycelium_core::features::{self, Extractor, FeatureProfile, FeatureValues};
use mycelium_core::field::Frame;
use mycelium_core::sim::{LYAPUNOV_TRANSIENT_STEPS, Params, Simulator, StepReport, StimulusError, Twin};
use mycelium_core::window::{FeatureWindow, WindowBuilder};

/// Everything a run depends on except external stimuli.
#[derive(Clone, Debug)]
pub struct EnginePlan {
    pub params: Params,
    pub seed: u64,
    pub profile: FeatureProfile,
    /// Steps between two feature records, at least 1.
    pub every: u64,
    /// Steps covered by one window, at least 1.
    pub window_steps: u64,
    /// Names of the series of external values.
    pub inputs: Vec<Arc<str>>,
}

impl EnginePlan {
    /// Heap bytes of a [`EngineCore`] with this plan: field, twin and estimators.
    pub fn memory_bytes(&self) -> usize {
        Simulator::memory_bytes(&self.params)
            + Twin::memory_bytes(&self.params)
            + features::memory_bytes(self.params.grid, &self.profile)
    }
}

/// Result of one step.
#[derive(Debug)]
pub struct StepOutput {
    pub report: StepReport,
    /// Set after every [`EnginePlan::every`] steps.
    pub features: Option<FeatureValues>,
    /// Set when a window is full.
    pub window: Option<FeatureWindow>,
}

/// The field with its estimators; deterministic in plan and stimuli.
#[derive(Debug)]
pub struct EngineCore {
    simulator: Simulator,
    twin: Twin,
    extractor: Extractor,
    window: WindowBuilder,
    every: u64,
    window_steps: u64,
    keep_open: bool,
}

impl EngineCore {
    pub fn new(plan: EnginePlan) -> Self {
        let grid = plan.params.grid;
        let simulator = Simulator::new(plan.params, plan.seed);
        Self {
            twin: Twin::fork(&simulator, LYAPUNOV_TRANSIENT_STEPS),
            simulator,
            extractor: Extractor::new(grid, plan.profile),
            window: WindowBuilder::new(1).with_inputs(plan.inputs),
            every: plan.every,
            window_steps: plan.window_steps,
            keep_open: false,
        }
    }

    /// While this is set no window closes; the open one covers further steps.
    pub fn keep_open(&mut self, open: bool) {
        self.keep_open = open;
    }

    /// Adds volts to one cell at the next step.
    pub fn stimulate(&mut self, row: usize, col: usize, volts: f64) -> Result<(), StimulusError> {
        self.simulator.stimulate(row, col, volts)
    }

    /// Adds a value of series number `series` to the open window.
    pub fn input(&mut self, series: usize, value: f64) {
        self.window.input(series, value);
    }

    pub fn step(&mut self) -> StepOutput {
        let report = self.twin.step_both(&mut self.simulator);
        let step = self.simulator.steps_done();
        self.window.count(&report.counts());
        let features = step.is_multiple_of(self.every).then(|| self.extract());
        if let Some(values) = &features {
            self.window.sample(values);
        }
        let ends = step.is_multiple_of(self.window_steps) && !self.keep_open;
        let window = ends.then(|| self.window.finish(step)).flatten();
        StepOutput { report, features, window }
    }

    fn extract(&mut self) -> FeatureValues {
        self.extractor.push(self.simulator.frame());
        self.extractor.set_lyapunov(self.twin.exponent().unwrap_or(f64::NAN));
        self.extractor.set_spiral_tips(f64::from(self.simulator.spiral_tips()));
        self.extractor.values()
    }

    /// Closes the open window early, for an orderly stop; `None` if it is empty.
    pub fn flush_window(&mut self) -> Option<FeatureWindow> {
        self.window.finish(self.simulator.steps_done())
    }

    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    pub fn frame(&self) -> Frame<'_> {
        self.simulator.frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mycelium_core::features::{Compat, Connectivity, LYAPUNOV_INDEX, Threshold};
    use mycelium_core::sim::RawParams;

    /// Mutant seen red: 0 in place of NaN.
    const FIRST: u64 = LYAPUNOV_TRANSIENT_STEPS + mycelium_core::sim::LYAPUNOV_WINDOW_STEPS;

    #[test]
    fn the_lyapunov_exponent_is_nan_until_it_converges_and_the_window_summary_ignores_it() {
        let mut raw = RawParams::default();
        raw.set("grid", 8.0).unwrap();
        raw.turing_enabled = false;
        let profile = FeatureProfile {
            compat: Compat::Edge,
            threshold: Threshold::Otsu,
            connectivity: Connectivity::Four,
            torus: true,
            window: 8,
        };
        let (params, inputs) = (raw.try_into().unwrap(), Vec::new());
        let mut core =
            EngineCore::new(EnginePlan { params, seed: 1, profile, every: 16, window_steps: FIRST, inputs });
        let mut known = Vec::new();
        let window = (1..=FIRST).find_map(|step| {
            let output = core.step();
            known.extend(output.features.filter(|values| !values[LYAPUNOV_INDEX].is_nan()).map(|_| step));
            output.window
        });
        assert_eq!(known, [FIRST]);
        let summary = window.unwrap().features[LYAPUNOV_INDEX];
        assert!(summary.min.is_finite() && summary.min == summary.mean && summary.max == summary.last);
    }
}
