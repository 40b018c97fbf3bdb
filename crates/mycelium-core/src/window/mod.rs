//! PURE. A feature window: the summary of a range of steps that one outbox record holds.

mod encoding;

use std::sync::Arc;

pub use encoding::{ENCODED_BYTES, MAX_INPUTS_BYTES, WindowDecodeError};

use crate::features::{FEATURE_COUNT, FeatureValues};

/// Most named inputs that a window can have besides the features.
pub const MAX_INPUTS: usize = 32;

/// Extremes, mean and last value of one feature or input over a window, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueSummary {
    /// Smallest value.
    pub min: f64,
    /// Arithmetic mean, within the extremes.
    pub mean: f64,
    /// Largest value.
    pub max: f64,
    /// Last value.
    pub last: f64,
}

/// Extremes by comparison, which keeps the first of two equal values. `f64::min(0.0, -0.0)` may return either zero, and
/// x86-64 and aarch64 differ: the same window would have different bytes.
impl ValueSummary {
    fn add(&mut self, value: f64) {
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
        self.last = value;
    }

    /// `mean`, limited to the extremes: a sum can overflow and a mean be rounded.
    fn bounded(&self, mean: f64) -> f64 {
        if mean < self.min {
            self.min
        } else if mean > self.max {
            self.max
        } else {
            mean
        }
    }
}

/// Events in a range of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Spikes, random or listed.
    pub growth_events: u64,
    /// Activations, as [`crate::sim::StepReport::turing_activations`] defines them.
    pub turing_activations: u64,
    /// Cells whose V was clipped, summed over steps.
    pub clamping_events: u64,
    /// Times the field was re-seeded because a value stopped being finite.
    pub reseeds: u64,
    /// Stimuli applied.
    pub stimuli: u64,
}

/// Summary of one named input: values from outside, such as a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSummary {
    /// 1 to 64 bytes.
    pub name: Arc<str>,
    /// Number of values summarised, at least 1.
    pub count: u32,
    /// Summary of the values.
    pub summary: ValueSummary,
}

/// A complete feature window.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureWindow {
    /// First step covered, counted from 1.
    pub first_step: u64,
    /// Last step covered, included.
    pub last_step: u64,
    /// Number of feature samples summarised.
    pub samples: u32,
    /// Events of these steps.
    pub counts: EventCounts,
    /// One summary per feature, in the order of [`crate::features::FEATURE_NAMES`].
    pub features: [ValueSummary; FEATURE_COUNT],
    /// Inputs that had a value in this window, at most [`MAX_INPUTS`].
    pub inputs: Vec<InputSummary>,
}

/// An input of the window being built.
#[derive(Clone, Debug)]
struct InputAccumulator {
    name: Arc<str>,
    count: u32,
    sum: f64,
    summary: ValueSummary,
}

impl InputAccumulator {
    fn value(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += value;
        self.summary.add(value);
    }

    /// Returns the summary and starts over; `None` without a value.
    fn finish(&mut self) -> Option<InputSummary> {
        let (count, sum) = (std::mem::take(&mut self.count), std::mem::take(&mut self.sum));
        let mut summary = std::mem::replace(&mut self.summary, EMPTY);
        summary.mean = summary.bounded(sum / f64::from(count));
        (count > 0).then(|| InputSummary { name: Arc::clone(&self.name), count, summary })
    }
}

/// Builds consecutive windows sample by sample. Allocates only when a window with inputs is finished.
#[derive(Clone, Debug)]
pub struct WindowBuilder {
    first_step: u64,
    samples: u32,
    counts: EventCounts,
    sums: FeatureValues,
    /// Samples of each feature that were not NaN.
    defined: [u32; FEATURE_COUNT],
    features: [ValueSummary; FEATURE_COUNT],
    series: Vec<InputAccumulator>,
}

const EMPTY: ValueSummary = ValueSummary { min: f64::INFINITY, mean: 0.0, max: f64::NEG_INFINITY, last: 0.0 };

/// Summary of a feature that was NaN in every sample.
const UNDEFINED: ValueSummary = ValueSummary { min: f64::NAN, mean: f64::NAN, max: f64::NAN, last: f64::NAN };

impl WindowBuilder {
    /// A builder whose first window begins at `first_step`.
    pub fn new(first_step: u64) -> Self {
        Self {
            first_step,
            samples: 0,
            counts: EventCounts::default(),
            sums: [0.0; FEATURE_COUNT],
            defined: [0; FEATURE_COUNT],
            features: [EMPTY; FEATURE_COUNT],
            series: Vec::new(),
        }
    }

    /// Adds inputs of these names; those beyond [`MAX_INPUTS`] are ignored.
    #[must_use]
    pub fn with_inputs(mut self, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let series = |name| InputAccumulator { name, count: 0, sum: 0.0, summary: EMPTY };
        self.series = names.into_iter().take(MAX_INPUTS).map(series).collect();
        self
    }

    /// Adds a value of input number `input`; unknown inputs and values that are not finite are ignored.
    pub fn input(&mut self, input: usize, value: f64) {
        if let Some(series) = self.series.get_mut(input).filter(|_| value.is_finite()) {
            series.value(value);
        }
    }

    /// Adds one sample of all features. NaN means that a feature is not defined yet: its summary leaves this sample out.
    pub fn sample(&mut self, values: &FeatureValues) {
        self.samples = self.samples.saturating_add(1);
        for (k, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            self.defined[k] = self.defined[k].saturating_add(1);
            self.sums[k] += value;
            self.features[k].add(value);
        }
    }

    /// Adds the events of one or more steps.
    pub fn count(&mut self, more: &EventCounts) {
        self.counts.growth_events += more.growth_events;
        self.counts.turing_activations += more.turing_activations;
        self.counts.clamping_events += more.clamping_events;
        self.counts.reseeds += more.reseeds;
        self.counts.stimuli += more.stimuli;
    }

    /// Completes the window at `last_step` and starts the next one; `None`, and no new window, without a sample.
    pub fn finish(&mut self, last_step: u64) -> Option<FeatureWindow> {
        if self.samples == 0 {
            return None;
        }
        let mut window = FeatureWindow {
            first_step: self.first_step,
            last_step,
            samples: self.samples,
            counts: self.counts,
            features: self.features,
            inputs: self.series.iter_mut().filter_map(InputAccumulator::finish).collect(),
        };
        for (k, summary) in window.features.iter_mut().enumerate() {
            if self.defined[k] == 0 {
                *summary = UNDEFINED;
                continue;
            }
            summary.mean = summary.bounded(self.sums[k] / f64::from(self.defined[k]));
        }
        *self = Self { series: std::mem::take(&mut self.series), ..Self::new(last_step + 1) };
        Some(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_summarises_its_samples_and_the_next_one_starts_after_it() {
        let mut builder = WindowBuilder::new(1);
        assert_eq!(builder.finish(5), None, "no sample, no window");
        builder.sample(&[2.0; FEATURE_COUNT]);
        builder.sample(&[-1.0; FEATURE_COUNT]);
        builder.count(&EventCounts { growth_events: 4, ..EventCounts::default() });
        let first = builder.finish(20).unwrap();
        assert_eq!(first.features[0], ValueSummary { min: -1.0, mean: 0.5, max: 2.0, last: -1.0 });
        assert_eq!((first.first_step, first.last_step, first.samples), (1, 20, 2));
        assert_eq!(first.counts.growth_events, 4);
        builder.sample(&[7.0; FEATURE_COUNT]);
        let second = builder.finish(40).unwrap();
        assert_eq!((second.first_step, second.samples, second.counts.growth_events), (21, 1, 0));
        assert_eq!(second.features[23], ValueSummary { min: 7.0, mean: 7.0, max: 7.0, last: 7.0 });
    }

    /// Mutant seen red on aarch64: `f64::min`, which gives -0.0 for (0.0, -0.0) there.
    #[test]
    fn of_two_zeros_the_first_is_the_extreme_on_every_target() {
        for (first, second) in [(0.0, -0.0), (-0.0_f64, 0.0_f64)] {
            let mut builder = WindowBuilder::new(1);
            builder.sample(&[first; FEATURE_COUNT]);
            builder.sample(&[second; FEATURE_COUNT]);
            let ValueSummary { min, max, last, .. } = builder.finish(2).unwrap().features[0];
            assert_eq!([min, max, last].map(f64::to_bits), [first, first, second].map(f64::to_bits));
        }
    }

    /// Mutants seen red: the mean over all samples; NaN not left out.
    #[test]
    fn nan_samples_are_left_out_of_a_summary_and_all_nan_gives_nan() {
        let mut builder = WindowBuilder::new(1);
        let mut values = [1.0; FEATURE_COUNT];
        for value in [f64::NAN, 4.0, 2.0, f64::NAN] {
            values[0] = value;
            values[1] = f64::NAN;
            builder.sample(&values);
        }
        let window = builder.finish(40).unwrap();
        assert_eq!(window.features[0], ValueSummary { min: 2.0, mean: 3.0, max: 4.0, last: 2.0 });
        let ValueSummary { min, mean, max, last } = window.features[1];
        assert!([min, mean, max, last].iter().all(|value| value.is_nan()), "{:?}", window.features[1]);
        assert_eq!((window.features[2].mean, window.samples), (1.0, 4));
        builder.sample(&[5.0; FEATURE_COUNT]);
        assert_eq!(builder.finish(50).unwrap().features[1].mean, 5.0, "windows are independent");
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn inputs_are_summarised_per_window_and_those_without_values_are_left_out() {
        let mut builder = WindowBuilder::new(1).with_inputs(names(&["temp", "silent", "wind"]));
        builder.sample(&[0.0; FEATURE_COUNT]);
        for value in [20.0, 26.0, 23.0, f64::NAN, f64::INFINITY] {
            builder.input(0, value);
        }
        builder.input(2, -1.0);
        builder.input(3, 5.0);
        let window = builder.finish(10).unwrap();
        let summary = ValueSummary { min: 20.0, mean: 23.0, max: 26.0, last: 23.0 };
        assert_eq!(window.inputs[0], InputSummary { name: "temp".into(), count: 3, summary });
        assert_eq!((&*window.inputs[1].name, window.inputs.len()), ("wind", 2));
        assert_eq!(FeatureWindow::decode(&window.encode()), Ok(window));
        builder.sample(&[0.0; FEATURE_COUNT]);
        builder.input(1, 1e308);
        builder.input(1, 1e308);
        let second = builder.finish(20).unwrap();
        assert_eq!((&*second.inputs[0].name, second.inputs.len()), ("silent", 1), "windows are independent");
        assert_eq!(
            second.inputs[0].summary.mean, 1e308,
            "the mean stays within the extremes when the sum overflows"
        );
    }
}
