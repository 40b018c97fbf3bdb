//! PURE. Features, spikes and raw samples of one measured signal, sample by sample, in fixed memory.
//!
//! Reading order: [`SignalSettings`] (what is computed), [`SignalChannel`] (samples in, outputs out), [`SignalWindow`],
//! [`SignalSpike`] and [`SampleBlock`] (the outputs, with their encoding). `docs/SIGNALS.md` has each formula with its
//! source, unit, range and limits.
//!
//! Time is data: a window begins and ends in the time of the samples, so that a backlog that is read in a minute gives
//! the windows of the days in which it was recorded.

mod channel;
mod detector;
mod encoding;
mod features;
mod haar;
mod moments;
mod permutation;
mod quantile;
mod recent;
mod settings;
mod sine;
mod spike;
mod window;

pub use channel::{Accepted, FUTURE_MS, SignalChannel, SignalOutput, TIME_RANGE_MS};
pub use encoding::SignalDecodeError;
pub use settings::{
    DEFAULT_SPIKES, MAX_PERIODS, RawSignalSettings, RawSpikeSettings, SignalSettings, SpikePolarity,
    SpikeSettings, SpikeThreshold,
};
pub use spike::SignalSpike;
pub use window::{BANDS, MAX_BLOCK_SAMPLES, SIGNAL_VALUE_COUNT, SampleBlock, SignalWindow};
