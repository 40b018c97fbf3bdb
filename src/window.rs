//! PURE. A feature window: what one outbox record says about a stretch of simulated time.

use std::sync::Arc;

use crate::features::{COUNT, Values};

/// Named series beside the features that a window can have.
pub const MAX_INPUTS: usize = 16;
/// Bytes of the name of a series.
const MAX_NAME: usize = 64;

/// Extremes, mean and last value of one feature over the samples of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    pub last: f64,
}

/// By comparison, where the first of two equal values stays: `f64::min` may give either zero of 0.0 and -0.0, and x86-64
/// and aarch64 do not agree on it, which would make other bytes of the same window.
impl Summary {
    fn take(&mut self, value: f64) {
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
        self.last = value;
    }

    /// Sums of huge values may overflow and means be rounded; they do not leave the extremes.
    fn within(&self, mean: f64) -> f64 {
        if mean < self.min {
            self.min
        } else if mean > self.max {
            self.max
        } else {
            mean
        }
    }
}

/// What happened in a stretch of steps, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub growth_events: u64,
    pub turing_activations: u64,
    pub clamping_events: u64,
    /// Times the model was re-seeded because a value stopped being finite.
    pub reseeds: u64,
    /// Stimuli applied from outside.
    pub stimuli: u64,
}

/// One named series of values from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// 1 to 64 bytes.
    pub name: Arc<str>,
    /// Values behind the summary, at least 1.
    pub count: u32,
    pub summary: Summary,
}

/// One feature window, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// First and last step covered, both included, counted from 1.
    pub first_step: u64,
    pub last_step: u64,
    /// Number of feature samples behind each summary.
    pub samples: u32,
    pub counts: Counts,
    /// In the order of [`crate::features::NAMES`].
    pub features: [Summary; COUNT],
    /// Series that had a value in this window, at most [`MAX_INPUTS`].
    pub inputs: Vec<Input>,
}

/// A series under way.
#[derive(Clone, Debug)]
struct Series {
    name: Arc<str>,
    count: u32,
    sum: f64,
    summary: Summary,
}

impl Series {
    fn value(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += value;
        self.summary.take(value);
    }

    /// What there is, and starts over; `None` without a value.
    fn finish(&mut self) -> Option<Input> {
        let (count, sum) = (std::mem::take(&mut self.count), std::mem::take(&mut self.sum));
        let mut summary = std::mem::replace(&mut self.summary, EMPTY);
        summary.mean = summary.within(sum / f64::from(count));
        (count > 0).then(|| Input { name: Arc::clone(&self.name), count, summary })
    }
}

/// Builds windows sample by sample; allocates only when a window with inputs is finished.
#[derive(Clone, Debug)]
pub struct Builder {
    first_step: u64,
    samples: u32,
    counts: Counts,
    sums: Values,
    /// Samples of each feature that were numbers.
    known: [u32; COUNT],
    features: [Summary; COUNT],
    series: Vec<Series>,
}

const EMPTY: Summary = Summary { min: f64::INFINITY, mean: 0.0, max: f64::NEG_INFINITY, last: 0.0 };

/// Of a feature that was not known at any sample.
const UNKNOWN: Summary = Summary { min: f64::NAN, mean: f64::NAN, max: f64::NAN, last: f64::NAN };

impl Builder {
    /// A window whose first step is `first_step`.
    pub fn new(first_step: u64) -> Self {
        Self {
            first_step,
            samples: 0,
            counts: Counts::default(),
            sums: [0.0; COUNT],
            known: [0; COUNT],
            features: [EMPTY; COUNT],
            series: Vec::new(),
        }
    }

    /// With series of these names; those beyond [`MAX_INPUTS`] are left out.
    pub fn with_inputs(mut self, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let series = |name| Series { name, count: 0, sum: 0.0, summary: EMPTY };
        self.series = names.into_iter().take(MAX_INPUTS).map(series).collect();
        self
    }

    /// A value of series number `input`; others than those there are, and what is not finite, are ignored.
    pub fn input(&mut self, input: usize, value: f64) {
        if let Some(series) = self.series.get_mut(input).filter(|_| value.is_finite()) {
            series.value(value);
        }
    }

    /// A value that is not a number is not known yet, and no part of the summary.
    pub fn sample(&mut self, values: &Values) {
        self.samples = self.samples.saturating_add(1);
        for (k, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            self.known[k] = self.known[k].saturating_add(1);
            self.sums[k] += value;
            self.features[k].take(value);
        }
    }

    pub fn count(&mut self, more: &Counts) {
        self.counts.growth_events += more.growth_events;
        self.counts.turing_activations += more.turing_activations;
        self.counts.clamping_events += more.clamping_events;
        self.counts.reseeds += more.reseeds;
        self.counts.stimuli += more.stimuli;
    }

    /// Closes the window at `last_step` and starts the next one; `None` while it has no sample.
    pub fn finish(&mut self, last_step: u64) -> Option<Window> {
        if self.samples == 0 {
            return None;
        }
        let mut window = Window {
            first_step: self.first_step,
            last_step,
            samples: self.samples,
            counts: self.counts,
            features: self.features,
            inputs: self.series.iter_mut().filter_map(Series::finish).collect(),
        };
        for (k, summary) in window.features.iter_mut().enumerate() {
            if self.known[k] == 0 {
                *summary = UNKNOWN;
                continue;
            }
            summary.mean = summary.within(self.sums[k] / f64::from(self.known[k]));
        }
        *self = Self { series: std::mem::take(&mut self.series), ..Self::new(last_step + 1) };
        Some(window)
    }
}

/// Bytes of an encoded window without inputs: version, steps, samples, counts, summaries.
pub const ENCODED: usize = 2 + 8 + 8 + 4 + 5 * 8 + COUNT * 32;
/// Bytes of all inputs at most: their number, and of each the name with its length, count and summary.
pub const ENCODED_INPUTS: usize = 1 + MAX_INPUTS * (1 + MAX_NAME + 4 + 32);

/// Version of the encoding without inputs, which is as it ever was; readers refuse others than these two.
const VERSION: u16 = 1;
/// The same with inputs behind it.
const WITH_INPUTS: u16 = 2;

/// Why bytes are not a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    Length(usize),
    Version(u16),
    /// Something behind the features is no input.
    Input,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a feature window has {ENCODED} bytes or more, this has {n}"),
            Self::Version(v) => {
                write!(f, "feature window of version {v}, this program reads up to {WITH_INPUTS}")
            }
            Self::Input => f.write_str("a feature window with a bad input"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Window {
    /// Little-endian, [`ENCODED`] bytes and the inputs, if there are any; see `docs/FORMAT.md`.
    pub fn encode(&self) -> Vec<u8> {
        let version = if self.inputs.is_empty() { VERSION } else { WITH_INPUTS };
        let mut out = Vec::with_capacity(ENCODED + 101 * self.inputs.len() + 1);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&self.first_step.to_le_bytes());
        out.extend_from_slice(&self.last_step.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        let c = &self.counts;
        for count in [c.growth_events, c.turing_activations, c.clamping_events, c.reseeds, c.stimuli] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        self.features.iter().for_each(|summary| summary.encode(&mut out));
        if version == WITH_INPUTS {
            let inputs = &self.inputs[..self.inputs.len().min(MAX_INPUTS)];
            out.push(inputs.len() as u8);
            for input in inputs {
                out.push(input.name.len() as u8);
                out.extend_from_slice(input.name.as_bytes());
                out.extend_from_slice(&input.count.to_le_bytes());
                input.summary.encode(&mut out);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        if bytes.len() < ENCODED {
            return Err(DecodeError::Length(bytes.len()));
        }
        let version = u16::from_le_bytes(take(&mut rest));
        if !matches!(version, VERSION | WITH_INPUTS) {
            return Err(DecodeError::Version(version));
        }
        let first_step = u64::from_le_bytes(take(&mut rest));
        let last_step = u64::from_le_bytes(take(&mut rest));
        let samples = u32::from_le_bytes(take(&mut rest));
        let [growth_events, turing_activations, clamping_events, reseeds, stimuli] =
            std::array::from_fn(|_| u64::from_le_bytes(take(&mut rest)));
        let features = std::array::from_fn(|_| Summary::decode(&mut rest));
        let counts = Counts { growth_events, turing_activations, clamping_events, reseeds, stimuli };
        let inputs = if version == WITH_INPUTS { take_inputs(&mut rest)? } else { Vec::new() };
        if !rest.is_empty() {
            return Err(DecodeError::Length(bytes.len()));
        }
        Ok(Self { first_step, last_step, samples, counts, features, inputs })
    }
}

impl Summary {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in [self.min, self.mean, self.max, self.last] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// The next 32 bytes of a slice that has them.
    fn decode(rest: &mut &[u8]) -> Self {
        let [min, mean, max, last] = std::array::from_fn(|_| f64::from_le_bytes(take(rest)));
        Self { min, mean, max, last }
    }
}

fn take_inputs(rest: &mut &[u8]) -> Result<Vec<Input>, DecodeError> {
    let (&count, behind) = rest.split_first().ok_or(DecodeError::Input)?;
    *rest = behind;
    if count == 0 || usize::from(count) > MAX_INPUTS {
        return Err(DecodeError::Input);
    }
    (0..count).map(|_| take_input(rest).ok_or(DecodeError::Input)).collect()
}

fn take_input(rest: &mut &[u8]) -> Option<Input> {
    let (&len, behind) = rest.split_first()?;
    let len = usize::from(len);
    if len == 0 || len > MAX_NAME || behind.len() < len + 4 + 32 {
        return None;
    }
    let (name, behind) = behind.split_at(len);
    *rest = behind;
    let name = std::str::from_utf8(name).ok()?.into();
    let count = u32::from_le_bytes(take(rest));
    Some(Input { name, count, summary: Summary::decode(rest) })
}

/// The next `K` bytes of a slice whose length was checked before.
fn take<const K: usize>(rest: &mut &[u8]) -> [u8; K] {
    let (head, tail) = rest.split_first_chunk().expect("length was checked against ENCODED");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        let mut builder = Builder::new(1);
        builder.sample(&std::array::from_fn(|k| k as f64));
        builder.sample(&std::array::from_fn(|k| -(k as f64)));
        builder.count(&Counts { growth_events: 3, stimuli: 1, ..Counts::default() });
        builder.finish(20).unwrap()
    }

    #[test]
    fn a_window_sums_up_its_samples_and_the_next_one_starts_behind_it() {
        let mut builder = Builder::new(1);
        assert_eq!(builder.finish(5), None, "no sample, no window");
        builder.sample(&[2.0; COUNT]);
        builder.sample(&[-1.0; COUNT]);
        builder.count(&Counts { growth_events: 4, ..Counts::default() });
        let first = builder.finish(20).unwrap();
        assert_eq!(first.features[0], Summary { min: -1.0, mean: 0.5, max: 2.0, last: -1.0 });
        assert_eq!((first.first_step, first.last_step, first.samples), (1, 20, 2));
        assert_eq!(first.counts.growth_events, 4);
        builder.sample(&[7.0; COUNT]);
        let second = builder.finish(40).unwrap();
        assert_eq!((second.first_step, second.samples, second.counts.growth_events), (21, 1, 0));
        assert_eq!(second.features[23], Summary { min: 7.0, mean: 7.0, max: 7.0, last: 7.0 });
    }

    /// Found on aarch64, where `f64::min(0.0, -0.0)` is -0.0. Seen red there; here the signs only pin the rule.
    #[test]
    fn of_two_zeros_the_first_stays_an_extreme_on_every_machine() {
        for (first, second) in [(0.0, -0.0), (-0.0_f64, 0.0_f64)] {
            let mut builder = Builder::new(1);
            builder.sample(&[first; COUNT]);
            builder.sample(&[second; COUNT]);
            let Summary { min, max, last, .. } = builder.finish(2).unwrap().features[0];
            assert_eq!([min, max, last].map(f64::to_bits), [first, first, second].map(f64::to_bits));
        }
    }

    /// Mutants seen red: the mean over all samples; every value taken.
    #[test]
    fn samples_that_are_not_known_are_no_part_of_a_summary_and_where_none_is_nothing_is() {
        let mut builder = Builder::new(1);
        let mut values = [1.0; COUNT];
        for value in [f64::NAN, 4.0, 2.0, f64::NAN] {
            values[0] = value;
            values[1] = f64::NAN;
            builder.sample(&values);
        }
        let window = builder.finish(40).unwrap();
        assert_eq!(window.features[0], Summary { min: 2.0, mean: 3.0, max: 4.0, last: 2.0 });
        let Summary { min, mean, max, last } = window.features[1];
        assert!([min, mean, max, last].iter().all(|value| value.is_nan()), "{:?}", window.features[1]);
        assert_eq!((window.features[2].mean, window.samples), (1.0, 4));
        builder.sample(&[5.0; COUNT]);
        assert_eq!(builder.finish(50).unwrap().features[1].mean, 5.0, "each window for itself");
    }

    #[test]
    fn an_encoded_window_reads_back_equal_and_other_bytes_are_refused() {
        let window = window();
        let bytes = window.encode();
        assert_eq!(Window::decode(&bytes), Ok(window));
        assert_eq!(bytes.len(), ENCODED);
        assert_eq!(Window::decode(&bytes[1..]), Err(DecodeError::Length(ENCODED - 1)));
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(Window::decode(&long), Err(DecodeError::Length(ENCODED + 1)));
        let mut newer = bytes;
        newer[0] = 9;
        assert_eq!(Window::decode(&newer), Err(DecodeError::Version(9)));
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn inputs_are_summed_up_in_the_window_they_came_in_and_the_silent_ones_left_out() {
        let mut builder = Builder::new(1).with_inputs(names(&["temp", "silent", "wind"]));
        builder.sample(&[0.0; COUNT]);
        for value in [20.0, 26.0, 23.0, f64::NAN, f64::INFINITY] {
            builder.input(0, value);
        }
        builder.input(2, -1.0);
        builder.input(3, 5.0);
        let window = builder.finish(10).unwrap();
        let summary = Summary { min: 20.0, mean: 23.0, max: 26.0, last: 23.0 };
        assert_eq!(window.inputs[0], Input { name: "temp".into(), count: 3, summary });
        assert_eq!((&*window.inputs[1].name, window.inputs.len()), ("wind", 2));
        assert_eq!(Window::decode(&window.encode()), Ok(window));
        builder.sample(&[0.0; COUNT]);
        builder.input(1, 1e308);
        builder.input(1, 1e308);
        let second = builder.finish(20).unwrap();
        assert_eq!((&*second.inputs[0].name, second.inputs.len()), ("silent", 1), "each window for itself");
        assert_eq!(
            second.inputs[0].summary.mean, 1e308,
            "a sum that overflows leaves the mean within the extremes"
        );
    }

    #[test]
    fn a_window_without_values_from_outside_has_the_bytes_it_always_had() {
        let mut builder = Builder::new(1).with_inputs(names(&["temp"]));
        builder.sample(&[1.5; COUNT]);
        let mut plain = Builder::new(1);
        plain.sample(&[1.5; COUNT]);
        assert_eq!(builder.finish(9).unwrap().encode(), plain.finish(9).unwrap().encode());
    }

    #[test]
    fn the_longest_window_is_within_its_bound_and_none_that_is_cut_or_bent_is_taken_for_another() {
        let long: Vec<Arc<str>> = (0..20).map(|k| format!("{k:064}").into()).collect();
        let mut builder = Builder::new(1).with_inputs(long);
        builder.sample(&[1.0; COUNT]);
        (0..20).for_each(|k| builder.input(k, k as f64));
        let window = builder.finish(9).unwrap();
        let bytes = window.encode();
        assert_eq!((window.inputs.len(), bytes.len()), (MAX_INPUTS, ENCODED + ENCODED_INPUTS));
        for cut in 0..bytes.len() {
            assert!(Window::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Window::decode(&[&bytes[..], &[0]].concat()).is_err());
        for (at, value) in [(ENCODED, 0), (ENCODED, 17), (ENCODED, 15), (ENCODED + 1, 0), (ENCODED + 2, 0xff)]
        {
            let mut bent = bytes.clone();
            bent[at] = value;
            assert!(Window::decode(&bent).is_err(), "{value} at {at}");
        }
    }
}
