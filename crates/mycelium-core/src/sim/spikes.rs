//! What drives the field besides its equations: random spikes, listed spikes, stimuli.

use fastrand::Rng;

use super::noise::{self, Normal};
use super::params::{Model, Params};
use crate::range::{Interval, OutOfRange};

/// Mean and standard deviation of a random spike of `mfn` and `turing`, volts.
pub(super) const SPIKE_MEAN: f64 = 0.02;
const SPIKE_SD: f64 = 0.005;

/// Stimuli that can be pending for the next step, in memory allocated once.
pub const MAX_PENDING_STIMULI: usize = 256;

/// Accepted size of one listed spike or stimulus, volts.
pub const STIMULUS_VOLTS: Interval = Interval::closed(-10.0, 10.0);

/// A listed spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// Step before whose diffusion it is added, counted from 0.
    pub step: u64,
    /// Row of its centre, from 0.
    pub row: usize,
    /// Column of its centre, from 0.
    pub col: usize,
    /// Added to V, volts.
    pub volts: f64,
}

/// Volts to be added around one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Impulse {
    pub(super) row: usize,
    pub(super) col: usize,
    pub(super) volts: f64,
}

/// Why a stimulus was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StimulusError {
    /// Row, column or volts are out of range.
    OutOfRange(OutOfRange),
    /// [`MAX_PENDING_STIMULI`] stimuli are pending already.
    Full,
}

impl std::fmt::Display for StimulusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutOfRange(refused) => refused.fmt(f),
            Self::Full => {
                write!(
                    f,
                    "cannot queue the stimulus: {MAX_PENDING_STIMULI} are pending for the next step already: send it again later"
                )
            }
        }
    }
}

impl std::error::Error for StimulusError {}

impl From<OutOfRange> for StimulusError {
    fn from(refused: OutOfRange) -> Self {
        Self::OutOfRange(refused)
    }
}

/// How the spikes of a run are generated.
#[derive(Clone, Debug)]
enum SpikeSource {
    /// `mfn`: at most one spike per step on the whole grid, with this probability.
    PerGrid { probability: f64 },
    /// Each cell with probability `rate` per step; `gap` cells are skipped before the next spike.
    PerCell { rate: f64, gap: u64, mean: f64 },
    /// Sorted by step; those before index `next` are done.
    Listed { spikes: Vec<Spike>, next: usize },
}

/// Spikes, stimuli and the random generator of a run. Draws never depend on the field: a clone produces the same spikes
/// and noise for another field.
#[derive(Clone, Debug)]
pub(super) struct Forcing {
    pub(super) rng: Rng,
    pub(super) normal: Normal,
    n: usize,
    source: SpikeSource,
    queue: heapless::Vec<Impulse, MAX_PENDING_STIMULI>,
}

impl Forcing {
    pub(super) fn new(params: &Params, seed: u64) -> Self {
        let mut rng = noise::stream(seed, 1);
        let source = match params.model {
            Model::Mfn => SpikeSource::PerGrid { probability: params.spike_probability },
            Model::Turing | Model::Excitable | Model::GrayScott => {
                let rate = params.spike_rate();
                let gap = noise::geometric_gap(&mut rng, rate);
                let mean = match params.model {
                    Model::Excitable => params.excitable.spike_volts,
                    Model::GrayScott => params.gray_scott.spike_volts,
                    _ => SPIKE_MEAN,
                };
                SpikeSource::PerCell { rate, gap, mean }
            }
        };
        Self { rng, normal: Normal::new(), n: params.grid, source, queue: heapless::Vec::new() }
    }

    /// Heap bytes.
    pub(super) fn heap(&self) -> usize {
        let listed = match &self.source {
            SpikeSource::Listed { spikes, .. } => spikes.capacity() * size_of::<Spike>(),
            _ => 0,
        };
        Normal::HEAP + listed
    }

    /// Replaces random spikes by a list; spikes of steps before `done` are skipped.
    pub(super) fn list(&mut self, mut spikes: Vec<Spike>, done: u64) -> Result<(), OutOfRange> {
        for spike in &spikes {
            self.check(spike.row, spike.col, spike.volts)?;
        }
        spikes.sort_by_key(|spike| spike.step);
        let next = spikes.partition_point(|spike| spike.step < done);
        self.source = SpikeSource::Listed { spikes, next };
        Ok(())
    }

    pub(super) fn queue(&mut self, row: usize, col: usize, volts: f64) -> Result<(), StimulusError> {
        self.check(row, col, volts)?;
        self.queue.push(Impulse { row, col, volts }).map_err(|_| StimulusError::Full)
    }

    /// Copies the pending stimuli of another run (the twin of this one).
    pub(super) fn queue_like(&mut self, other: &Self) {
        self.queue.clone_from(&other.queue);
    }

    fn check(&self, row: usize, col: usize, volts: f64) -> Result<(), OutOfRange> {
        let edge = Interval::closed(0.0, (self.n - 1) as f64);
        edge.check("row", row as f64)?;
        edge.check("col", col as f64)?;
        STIMULUS_VOLTS.check("volts", volts).map(drop)
    }

    /// Calls `apply` for each spike of step `step`; returns their number.
    pub(super) fn spikes(&mut self, step: u64, mut apply: impl FnMut(Impulse)) -> u64 {
        match &mut self.source {
            SpikeSource::PerGrid { probability } => {
                if self.rng.f64() >= *probability {
                    return 0;
                }
                // `u32` draws: the width of `usize` must not change the stream.
                let row = self.rng.u32(0..self.n as u32) as usize;
                let col = self.rng.u32(0..self.n as u32) as usize;
                apply(Impulse { row, col, volts: SPIKE_MEAN + SPIKE_SD * self.normal.draw(&mut self.rng) });
                1
            }
            SpikeSource::PerCell { rate, gap, mean } => {
                let cells = (self.n * self.n) as u64;
                let mut count = 0;
                let mut at = *gap;
                while at < cells {
                    let (row, col) = (at as usize / self.n, at as usize % self.n);
                    apply(Impulse {
                        row,
                        col,
                        volts: *mean * (1.0 + 0.25 * self.normal.draw(&mut self.rng)),
                    });
                    count += 1;
                    at = at.saturating_add(1).saturating_add(noise::geometric_gap(&mut self.rng, *rate));
                }
                *gap = at - cells;
                count
            }
            SpikeSource::Listed { spikes, next } => {
                let due = spikes[*next..].iter().take_while(|spike| spike.step <= step).count();
                for &Spike { row, col, volts, .. } in &spikes[*next..*next + due] {
                    apply(Impulse { row, col, volts });
                }
                *next += due;
                due as u64
            }
        }
    }

    /// Calls `apply` for each pending stimulus and clears the queue; returns their number.
    pub(super) fn stimuli(&mut self, apply: impl FnMut(Impulse)) -> u64 {
        let count = self.queue.len() as u64;
        self.queue.iter().copied().for_each(apply);
        self.queue.clear();
        count
    }
}
