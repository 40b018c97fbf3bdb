//! PURE. The bytes of a feature window: little-endian, as specified in `docs/FORMAT.md`.

use super::{EventCounts, FeatureWindow, InputSummary, MAX_INPUTS, ValueSummary};
use crate::features::FEATURE_COUNT;

/// Longest name of an input.
const MAX_NAME_BYTES: usize = 64;
/// Largest encoding of one input: length and bytes of its name, count, summary.
const MAX_INPUT_BYTES: usize = 1 + MAX_NAME_BYTES + 4 + 32;
/// Bytes before the features: version, steps, samples, event counts.
const HEAD_BYTES: usize = 2 + 8 + 8 + 4 + 5 * 8;
const SUMMARY_BYTES: usize = 32;
/// Bytes of an encoded window without inputs: head, number of features, their summaries, number of inputs.
pub const ENCODED_BYTES: usize = HEAD_BYTES + 1 + FEATURE_COUNT * SUMMARY_BYTES + 1;
/// Largest encoding of all inputs.
pub const MAX_INPUTS_BYTES: usize = MAX_INPUTS * MAX_INPUT_BYTES;

/// The version that is written: the number of features before them, the inputs, if any, after them.
const VERSION: u16 = 3;
/// Older versions, which are read: the first features only and without their number; then nothing, or at least one input.
const WITHOUT_INPUTS: u16 = 1;
const WITH_INPUTS: u16 = 2;
/// Features of the older versions.
const OLD_FEATURES: usize = 24;

/// Why bytes are not a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowDecodeError {
    /// Too short, or longer than its contents; the number of bytes.
    Length(usize),
    /// A version that this program does not read.
    Version(u16),
    /// The bytes after the features are not the inputs they claim to be.
    InputSummary,
}

impl std::fmt::Display for WindowDecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(n) => write!(f, "not the length of a feature window: {n} bytes"),
            Self::Version(v) => {
                write!(f, "feature window of version {v}, this program reads up to {VERSION}")
            }
            Self::InputSummary => f.write_str("a feature window with a bad input"),
        }
    }
}

impl std::error::Error for WindowDecodeError {}

impl FeatureWindow {
    /// [`ENCODED_BYTES`] bytes and the inputs.
    pub fn encode(&self) -> Vec<u8> {
        let inputs = &self.inputs[..self.inputs.len().min(MAX_INPUTS)];
        let mut out = Vec::with_capacity(ENCODED_BYTES + inputs.len() * MAX_INPUT_BYTES);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.first_step.to_le_bytes());
        out.extend_from_slice(&self.last_step.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        let c = &self.counts;
        for count in [c.growth_events, c.turing_activations, c.clamping_events, c.reseeds, c.stimuli] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.push(FEATURE_COUNT as u8);
        self.features.iter().for_each(|summary| summary.encode(&mut out));
        out.push(inputs.len() as u8);
        for input in inputs {
            out.push(input.name.len() as u8);
            out.extend_from_slice(input.name.as_bytes());
            out.extend_from_slice(&input.count.to_le_bytes());
            input.summary.encode(&mut out);
        }
        out
    }

    /// The inverse of [`encode`](Self::encode); reads all versions and refuses other bytes. Features
    /// that a window of an older version does not have are unknown: NaN.
    pub fn decode(bytes: &[u8]) -> Result<Self, WindowDecodeError> {
        let mut rest = bytes;
        if bytes.len() <= HEAD_BYTES {
            return Err(WindowDecodeError::Length(bytes.len()));
        }
        let version = u16::from_le_bytes(take(&mut rest));
        if !matches!(version, WITHOUT_INPUTS | WITH_INPUTS | VERSION) {
            return Err(WindowDecodeError::Version(version));
        }
        let first_step = u64::from_le_bytes(take(&mut rest));
        let last_step = u64::from_le_bytes(take(&mut rest));
        let samples = u32::from_le_bytes(take(&mut rest));
        let [growth_events, turing_activations, clamping_events, reseeds, stimuli] =
            std::array::from_fn(|_| u64::from_le_bytes(take(&mut rest)));
        let known =
            if version == VERSION { usize::from(u8::from_le_bytes(take(&mut rest))) } else { OLD_FEATURES };
        if known > FEATURE_COUNT || rest.len() < known * SUMMARY_BYTES {
            return Err(WindowDecodeError::Length(bytes.len()));
        }
        let mut features = [ValueSummary::UNKNOWN; FEATURE_COUNT];
        features[..known].fill_with(|| ValueSummary::decode(&mut rest));
        let counts = EventCounts { growth_events, turing_activations, clamping_events, reseeds, stimuli };
        let fewest = match version {
            WITHOUT_INPUTS => None,
            WITH_INPUTS => Some(1),
            _ => Some(0),
        };
        let inputs = fewest.map_or(Ok(Vec::new()), |fewest| take_inputs(&mut rest, fewest))?;
        if !rest.is_empty() {
            return Err(WindowDecodeError::Length(bytes.len()));
        }
        Ok(Self { first_step, last_step, samples, counts, features, inputs })
    }
}

impl ValueSummary {
    /// Of a value that was never known.
    const UNKNOWN: Self = Self { min: f64::NAN, mean: f64::NAN, max: f64::NAN, last: f64::NAN };

    fn encode(&self, out: &mut Vec<u8>) {
        for value in [self.min, self.mean, self.max, self.last] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// From the next 32 bytes; the caller has checked the length.
    fn decode(rest: &mut &[u8]) -> Self {
        let [min, mean, max, last] = std::array::from_fn(|_| f64::from_le_bytes(take(rest)));
        Self { min, mean, max, last }
    }
}

fn take_inputs(rest: &mut &[u8], fewest: u8) -> Result<Vec<InputSummary>, WindowDecodeError> {
    let (&count, tail) = rest.split_first().ok_or(WindowDecodeError::InputSummary)?;
    *rest = tail;
    if count < fewest || usize::from(count) > MAX_INPUTS {
        return Err(WindowDecodeError::InputSummary);
    }
    (0..count).map(|_| take_input(rest).ok_or(WindowDecodeError::InputSummary)).collect()
}

fn take_input(rest: &mut &[u8]) -> Option<InputSummary> {
    let (&len, tail) = rest.split_first()?;
    let len = usize::from(len);
    if len == 0 || len > MAX_NAME_BYTES || tail.len() < len + 4 + 32 {
        return None;
    }
    let (name, tail) = tail.split_at(len);
    *rest = tail;
    let name = std::str::from_utf8(name).ok()?.into();
    let count = u32::from_le_bytes(take(rest));
    Some(InputSummary { name, count, summary: ValueSummary::decode(rest) })
}

/// Takes the next `K` bytes; the caller has checked the length.
fn take<const K: usize>(rest: &mut &[u8]) -> [u8; K] {
    let (head, tail) = rest.split_first_chunk().expect("the caller has checked the length");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::window::WindowBuilder;

    fn window() -> FeatureWindow {
        let mut builder = WindowBuilder::new(1);
        builder.sample(&std::array::from_fn(|k| k as f64));
        builder.sample(&std::array::from_fn(|k| -(k as f64)));
        builder.count(&EventCounts { growth_events: 3, stimuli: 1, ..EventCounts::default() });
        builder.finish(20).unwrap()
    }

    #[test]
    fn an_encoded_window_decodes_to_itself_and_other_bytes_are_refused() {
        let window = window();
        let bytes = window.encode();
        assert_eq!(FeatureWindow::decode(&bytes), Ok(window));
        assert_eq!(bytes.len(), ENCODED_BYTES);
        assert!(FeatureWindow::decode(&bytes[1..]).is_err());
        assert_eq!(FeatureWindow::decode(&bytes[..60]), Err(WindowDecodeError::Length(60)));
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(FeatureWindow::decode(&long), Err(WindowDecodeError::Length(ENCODED_BYTES + 1)));
        let mut newer = bytes;
        newer[0] = 9;
        assert_eq!(FeatureWindow::decode(&newer), Err(WindowDecodeError::Version(9)));
    }

    #[test]
    fn a_window_without_input_values_is_encoded_without_inputs() {
        let mut builder = WindowBuilder::new(1).with_inputs(["temp".into()]);
        builder.sample(&[1.5; FEATURE_COUNT]);
        let mut plain = WindowBuilder::new(1);
        plain.sample(&[1.5; FEATURE_COUNT]);
        assert_eq!(builder.finish(9).unwrap().encode(), plain.finish(9).unwrap().encode());
    }

    /// A window with fewer features, as a program before the newest ones writes it.
    #[test]
    fn features_that_a_window_does_not_have_are_unknown() {
        let whole = window();
        let mut bytes = whole.encode();
        bytes[HEAD_BYTES] = 5;
        bytes.drain(HEAD_BYTES + 1 + 5 * SUMMARY_BYTES..ENCODED_BYTES - 1);
        let read = FeatureWindow::decode(&bytes).unwrap();
        assert_eq!(read.features[..5], whole.features[..5]);
        assert!(read.features[5..].iter().all(|summary| summary.mean.is_nan() && summary.last.is_nan()));
        bytes[HEAD_BYTES] = FEATURE_COUNT as u8 + 1;
        assert!(FeatureWindow::decode(&bytes).is_err());
    }

    #[test]
    fn the_longest_window_is_within_its_bound_and_truncated_or_corrupt_ones_are_refused() {
        let long: Vec<Arc<str>> = (0..40).map(|k| format!("{k:064}").into()).collect();
        let mut builder = WindowBuilder::new(1).with_inputs(long);
        builder.sample(&[1.0; FEATURE_COUNT]);
        (0..40).for_each(|k| builder.input(k, k as f64));
        let window = builder.finish(9).unwrap();
        let bytes = window.encode();
        assert_eq!((window.inputs.len(), bytes.len()), (MAX_INPUTS, ENCODED_BYTES + MAX_INPUTS_BYTES));
        for cut in 0..bytes.len() {
            assert!(FeatureWindow::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(FeatureWindow::decode(&[&bytes[..], &[0]].concat()).is_err());
        for (at, value) in [
            (ENCODED_BYTES - 1, 0),
            (ENCODED_BYTES - 1, 17),
            (ENCODED_BYTES - 1, 15),
            (ENCODED_BYTES, 0),
            (ENCODED_BYTES + 1, 0xff),
        ] {
            let mut corrupt = bytes.clone();
            corrupt[at] = value;
            assert!(FeatureWindow::decode(&corrupt).is_err(), "{value} at {at}");
        }
    }
}
