//! PURE. A feature window: what one outbox record says about a stretch of simulated time.

use crate::features::{COUNT, Values};

/// Extremes, mean and last value of one feature over the samples of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    pub last: f64,
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
}

/// Builds windows sample by sample; never allocates.
#[derive(Clone, Debug)]
pub struct Builder {
    first_step: u64,
    samples: u32,
    counts: Counts,
    sums: Values,
    features: [Summary; COUNT],
}

const EMPTY: Summary = Summary { min: f64::INFINITY, mean: 0.0, max: f64::NEG_INFINITY, last: 0.0 };

impl Builder {
    /// A window whose first step is `first_step`.
    pub fn new(first_step: u64) -> Self {
        Self {
            first_step,
            samples: 0,
            counts: Counts::default(),
            sums: [0.0; COUNT],
            features: [EMPTY; COUNT],
        }
    }

    pub fn sample(&mut self, values: &Values) {
        self.samples += 1;
        for ((summary, sum), &value) in self.features.iter_mut().zip(&mut self.sums).zip(values) {
            *sum += value;
            summary.min = summary.min.min(value);
            summary.max = summary.max.max(value);
            summary.last = value;
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
        };
        for (summary, sum) in window.features.iter_mut().zip(&self.sums) {
            // Not `clamp`: that panics where every sample was NaN and the extremes never moved.
            summary.mean = (sum / f64::from(self.samples)).max(summary.min).min(summary.max);
        }
        *self = Self::new(last_step + 1);
        Some(window)
    }
}

/// Bytes of an encoded window: version, steps, samples, counts, summaries.
pub const ENCODED: usize = 2 + 8 + 8 + 4 + 5 * 8 + COUNT * 32;

/// Version of the encoding; readers refuse others.
const VERSION: u16 = 1;

/// Why bytes are not a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    Length(usize),
    Version(u16),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a feature window has {ENCODED} bytes, this has {n}"),
            Self::Version(v) => {
                write!(f, "feature window of version {v}, this program reads version {VERSION}")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl Window {
    /// Little-endian, fixed length; see `docs/FORMAT.md`.
    pub fn encode(&self) -> [u8; ENCODED] {
        let mut out = [0; ENCODED];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&VERSION.to_le_bytes());
        put(&self.first_step.to_le_bytes());
        put(&self.last_step.to_le_bytes());
        put(&self.samples.to_le_bytes());
        let c = &self.counts;
        for count in [c.growth_events, c.turing_activations, c.clamping_events, c.reseeds, c.stimuli] {
            put(&count.to_le_bytes());
        }
        for summary in &self.features {
            for value in [summary.min, summary.mean, summary.max, summary.last] {
                put(&value.to_le_bytes());
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; ENCODED] = bytes.try_into().map_err(|_| DecodeError::Length(bytes.len()))?;
        let mut rest = &bytes[..];
        let version = u16::from_le_bytes(take(&mut rest));
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let first_step = u64::from_le_bytes(take(&mut rest));
        let last_step = u64::from_le_bytes(take(&mut rest));
        let samples = u32::from_le_bytes(take(&mut rest));
        let [growth_events, turing_activations, clamping_events, reseeds, stimuli] =
            std::array::from_fn(|_| u64::from_le_bytes(take(&mut rest)));
        let features = std::array::from_fn(|_| {
            let [min, mean, max, last] = std::array::from_fn(|_| f64::from_le_bytes(take(&mut rest)));
            Summary { min, mean, max, last }
        });
        let counts = Counts { growth_events, turing_activations, clamping_events, reseeds, stimuli };
        Ok(Self { first_step, last_step, samples, counts, features })
    }
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

    #[test]
    fn a_feature_that_was_never_a_number_does_not_end_the_process() {
        let mut builder = Builder::new(1);
        builder.sample(&[f64::NAN; COUNT]);
        let window = builder.finish(10).unwrap();
        assert!(!window.features[0].min.is_finite() && !window.features[0].mean.is_finite());
    }

    #[test]
    fn an_encoded_window_reads_back_equal_and_other_bytes_are_refused() {
        let window = window();
        let bytes = window.encode();
        assert_eq!(Window::decode(&bytes), Ok(window));
        assert_eq!(Window::decode(&bytes[1..]), Err(DecodeError::Length(ENCODED - 1)));
        let mut newer = bytes;
        newer[0] = 9;
        assert_eq!(Window::decode(&newer), Err(DecodeError::Version(9)));
    }
}
