//! PURE. The bytes of a feature window: little-endian, as specified in `docs/FORMAT.md`.

use super::{EventCounts, FeatureWindow, InputSummary, MAX_INPUTS, ValueSummary};
use crate::features::FEATURE_COUNT;

/// Longest name of an input.
const MAX_NAME_BYTES: usize = 64;
/// Largest encoding of one input: length and bytes of its name, count, summary.
const MAX_INPUT_BYTES: usize = 1 + MAX_NAME_BYTES + 4 + 32;
/// Bytes of an encoded window without inputs: version, steps, samples, event counts, feature summaries.
pub const ENCODED_BYTES: usize = 2 + 8 + 8 + 4 + 5 * 8 + FEATURE_COUNT * 32;
/// Largest encoding of all inputs, with their number.
pub const MAX_INPUTS_BYTES: usize = 1 + MAX_INPUTS * MAX_INPUT_BYTES;

/// Version of the encoding without inputs. Readers refuse versions other than these two.
const VERSION: u16 = 1;
/// Version of the encoding with inputs after the features.
const WITH_INPUTS: u16 = 2;

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
            Self::Length(n) => write!(f, "a feature window has {ENCODED_BYTES} bytes or more, this has {n}"),
            Self::Version(v) => {
                write!(f, "feature window of version {v}, this program reads up to {WITH_INPUTS}")
            }
            Self::InputSummary => f.write_str("a feature window with a bad input"),
        }
    }
}

impl std::error::Error for WindowDecodeError {}

impl FeatureWindow {
    /// [`ENCODED_BYTES`] bytes, and the inputs if there are any.
    pub fn encode(&self) -> Vec<u8> {
        let version = if self.inputs.is_empty() { VERSION } else { WITH_INPUTS };
        let mut out = Vec::with_capacity(ENCODED_BYTES + 1 + self.inputs.len() * MAX_INPUT_BYTES);
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

    /// The inverse of [`encode`](Self::encode); reads both versions and refuses all other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WindowDecodeError> {
        let mut rest = bytes;
        if bytes.len() < ENCODED_BYTES {
            return Err(WindowDecodeError::Length(bytes.len()));
        }
        let version = u16::from_le_bytes(take(&mut rest));
        if !matches!(version, VERSION | WITH_INPUTS) {
            return Err(WindowDecodeError::Version(version));
        }
        let first_step = u64::from_le_bytes(take(&mut rest));
        let last_step = u64::from_le_bytes(take(&mut rest));
        let samples = u32::from_le_bytes(take(&mut rest));
        let [growth_events, turing_activations, clamping_events, reseeds, stimuli] =
            std::array::from_fn(|_| u64::from_le_bytes(take(&mut rest)));
        let features = std::array::from_fn(|_| ValueSummary::decode(&mut rest));
        let counts = EventCounts { growth_events, turing_activations, clamping_events, reseeds, stimuli };
        let inputs = if version == WITH_INPUTS { take_inputs(&mut rest)? } else { Vec::new() };
        if !rest.is_empty() {
            return Err(WindowDecodeError::Length(bytes.len()));
        }
        Ok(Self { first_step, last_step, samples, counts, features, inputs })
    }
}

impl ValueSummary {
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

fn take_inputs(rest: &mut &[u8]) -> Result<Vec<InputSummary>, WindowDecodeError> {
    let (&count, tail) = rest.split_first().ok_or(WindowDecodeError::InputSummary)?;
    *rest = tail;
    if count == 0 || usize::from(count) > MAX_INPUTS {
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
        assert_eq!(FeatureWindow::decode(&bytes[1..]), Err(WindowDecodeError::Length(ENCODED_BYTES - 1)));
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(FeatureWindow::decode(&long), Err(WindowDecodeError::Length(ENCODED_BYTES + 1)));
        let mut newer = bytes;
        newer[0] = 9;
        assert_eq!(FeatureWindow::decode(&newer), Err(WindowDecodeError::Version(9)));
    }

    #[test]
    fn a_window_without_input_values_is_encoded_as_version_1() {
        let mut builder = WindowBuilder::new(1).with_inputs(["temp".into()]);
        builder.sample(&[1.5; FEATURE_COUNT]);
        let mut plain = WindowBuilder::new(1);
        plain.sample(&[1.5; FEATURE_COUNT]);
        assert_eq!(builder.finish(9).unwrap().encode(), plain.finish(9).unwrap().encode());
    }

    #[test]
    fn the_longest_window_is_within_its_bound_and_truncated_or_corrupt_ones_are_refused() {
        let long: Vec<Arc<str>> = (0..20).map(|k| format!("{k:064}").into()).collect();
        let mut builder = WindowBuilder::new(1).with_inputs(long);
        builder.sample(&[1.0; FEATURE_COUNT]);
        (0..20).for_each(|k| builder.input(k, k as f64));
        let window = builder.finish(9).unwrap();
        let bytes = window.encode();
        assert_eq!((window.inputs.len(), bytes.len()), (MAX_INPUTS, ENCODED_BYTES + MAX_INPUTS_BYTES));
        for cut in 0..bytes.len() {
            assert!(FeatureWindow::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(FeatureWindow::decode(&[&bytes[..], &[0]].concat()).is_err());
        for (at, value) in [
            (ENCODED_BYTES, 0),
            (ENCODED_BYTES, 17),
            (ENCODED_BYTES, 15),
            (ENCODED_BYTES + 1, 0),
            (ENCODED_BYTES + 2, 0xff),
        ] {
            let mut corrupt = bytes.clone();
            corrupt[at] = value;
            assert!(FeatureWindow::decode(&corrupt).is_err(), "{value} at {at}");
        }
    }
}
