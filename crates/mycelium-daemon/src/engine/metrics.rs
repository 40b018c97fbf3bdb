//! The numbers of the simulation thread.

use crate::telemetry::metrics::{Counter, Gauge, Histogram};
use mycelium_core::features::{FEATURE_COUNT, FeatureValues};
use mycelium_core::sim::StepReport;

/// Seconds; the step of a 64x64 field takes a few microseconds, one of 512x512 some hundred.
static STEP_SECONDS: [f64; 10] = [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 2e-3, 1e-2, 1e-1];
/// Box-counting dimensions lie in 0..=2.
static DIMENSION: [f64; 9] = [0.25, 0.5, 0.75, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0];

/// Written by the simulation thread.
#[derive(Debug)]
pub struct SimulationMetrics {
    pub steps: Counter,
    pub growth_events: Counter,
    pub turing_activations: Counter,
    pub clamping_events: Counter,
    pub reseeds: Counter,
    pub stimuli: Counter,
    pub late_ticks: Counter,
    pub step_seconds: Histogram<10>,
    pub fractal_dimension: Histogram<9>,
    pub features: [Gauge; FEATURE_COUNT],
}

impl SimulationMetrics {
    /// Counts one step.
    pub fn record_step(&self, report: &StepReport, seconds: f64) {
        self.step_seconds.observe(seconds);
        self.steps.add(1);
        self.growth_events.add(report.growth_events);
        self.turing_activations.add(report.turing_activations);
        self.clamping_events.add(report.clamping_events);
        self.stimuli.add(report.stimuli);
        self.reseeds.add(u64::from(report.reseeded));
    }

    /// Shows one feature record.
    pub fn record_features(&self, values: &FeatureValues) {
        self.fractal_dimension.observe(values[0]);
        for (gauge, &value) in self.features.iter().zip(values) {
            gauge.set(value);
        }
    }
}

impl Default for SimulationMetrics {
    fn default() -> Self {
        Self {
            steps: Counter::new(),
            growth_events: Counter::new(),
            turing_activations: Counter::new(),
            clamping_events: Counter::new(),
            reseeds: Counter::new(),
            stimuli: Counter::new(),
            late_ticks: Counter::new(),
            step_seconds: Histogram::new(&STEP_SECONDS),
            fractal_dimension: Histogram::new(&DIMENSION),
            features: [const { Gauge::new() }; FEATURE_COUNT],
        }
    }
}
