//! PURE. The record of an output of a signal: its name and unit, then the bytes of the output. `docs/FORMAT.md` has them.

use mycelium_core::signals::{SampleBlock, SignalOutput, SignalSpike, SignalWindow};
use mycelium_outbox::RecordKind;

/// Features of the samples of one window.
pub const SIGNAL_WINDOW: RecordKind = RecordKind(6);
/// One spike.
pub const SIGNAL_SPIKE: RecordKind = RecordKind(7);
/// A block of samples.
pub const SIGNAL_SAMPLES: RecordKind = RecordKind(8);

const VERSION: u8 = 1;

/// Appends the payload of a record and returns its kind. `name` and `unit` have at most 255 bytes.
pub fn encode(name: &str, unit: &str, output: SignalOutput<'_>, into: &mut Vec<u8>) -> RecordKind {
    into.push(VERSION);
    for text in [name, unit] {
        into.push(text.len() as u8);
        into.extend_from_slice(text.as_bytes());
    }
    match output {
        SignalOutput::Window(window) => {
            window.encode(into);
            SIGNAL_WINDOW
        }
        SignalOutput::Spike(spike) => {
            spike.encode(into);
            SIGNAL_SPIKE
        }
        SignalOutput::Samples(block) => {
            block.encode(into);
            SIGNAL_SAMPLES
        }
    }
}

/// A decoded output.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredOutput {
    Window(Box<SignalWindow>),
    Spike(SignalSpike),
    Samples(Box<SampleBlock>),
}

/// An output and the signal it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSignal<'a> {
    pub name: &'a str,
    pub unit: &'a str,
    pub output: StoredOutput,
}

impl<'a> StoredSignal<'a> {
    /// `None` if the kind is another, or if this is not a payload of this version.
    pub fn decode(kind: RecordKind, payload: &'a [u8]) -> Option<Self> {
        let (&version, rest) = payload.split_first()?;
        (version == VERSION).then_some(())?;
        let (name, rest) = text(rest)?;
        let (unit, rest) = text(rest)?;
        let output = match kind {
            SIGNAL_WINDOW => StoredOutput::Window(Box::new(SignalWindow::decode(rest).ok()?)),
            SIGNAL_SPIKE => StoredOutput::Spike(SignalSpike::decode(rest).ok()?),
            SIGNAL_SAMPLES => StoredOutput::Samples(Box::new(SampleBlock::decode(rest).ok()?)),
            _ => return None,
        };
        Some(Self { name, unit, output })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_decodes_equal_and_cut_or_foreign_payloads_are_refused() {
        let window = SignalWindow {
            start_ms: 60_000,
            length_ms: 60_000,
            count: 2,
            mean: Some(1.5),
            ..SignalWindow::default()
        };
        let spike = SignalSpike { time_ms: 7, amplitude: 0.4, width_s: 90.0, positive: true, baseline: -0.1 };
        let mut block = SampleBlock::EMPTY;
        assert!(block.push(5, 1.0) && block.push(6, 2.0));
        let rows = [
            (SignalOutput::Window(&window), SIGNAL_WINDOW, StoredOutput::Window(Box::new(window))),
            (SignalOutput::Spike(&spike), SIGNAL_SPIKE, StoredOutput::Spike(spike)),
            (SignalOutput::Samples(&block), SIGNAL_SAMPLES, StoredOutput::Samples(Box::new(block.clone()))),
        ];
        for (given, kind, output) in rows {
            let mut bytes = Vec::new();
            assert_eq!(encode("agar.1", "mV", given, &mut bytes), kind);
            let want = StoredSignal { name: "agar.1", unit: "mV", output };
            assert_eq!(StoredSignal::decode(kind, &bytes), Some(want));
            for length in 0..bytes.len() {
                assert_eq!(StoredSignal::decode(kind, &bytes[..length]), None, "{length} bytes");
            }
            assert_eq!(StoredSignal::decode(RecordKind(9), &bytes), None);
            bytes[0] = 2;
            assert_eq!(StoredSignal::decode(kind, &bytes), None, "another version");
        }
    }
}
