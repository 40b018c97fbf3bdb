//! What reaches the field from outside its equations: random spikes, listed spikes, stimuli.

use fastrand::Rng;

use super::noise::{self, Normal};
use super::params::{Model, Params};
use crate::range::{Interval, OutOfRange};

/// Mean and standard deviation of a random spike of `mfn` and `turing`, volts.
const SPIKE_MEAN: f64 = 0.02;
const SPIKE_SD: f64 = 0.005;

/// Stimuli that may wait for the next step; what one tick can take from the API.
pub const MAX_PENDING_STIMULI: usize = 256;

/// Volts of one listed spike or stimulus.
pub const STIMULUS_VOLTS: Interval = Interval::closed(-10.0, 10.0);

/// A listed spike: `volts` are added to one cell before the diffusion of step `step`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    pub step: u64,
    pub row: usize,
    pub col: usize,
    pub volts: f64,
}

/// Something that is added to the field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Impulse {
    pub(super) row: usize,
    pub(super) col: usize,
    pub(super) volts: f64,
}

/// Why a stimulus was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StimulusError {
    OutOfRange(OutOfRange),
    /// [`MAX_PENDING_STIMULI`] of them already wait for the next step.
    Full,
}

impl std::fmt::Display for StimulusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutOfRange(refused) => refused.fmt(f),
            Self::Full => {
                write!(
                    f,
                    "cannot queue the stimulus: {MAX_PENDING_STIMULI} already wait for the next step: send it again later"
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

/// Where the spikes of a run come from.
#[derive(Clone, Debug)]
enum Source {
    /// `mfn`: one chance per step for the whole grid.
    Once { probability: f64 },
    /// One chance per cell and step; `gap` cells pass before the next one fires.
    PerCell { rate: f64, gap: u64, mean: f64 },
    /// In order of their steps; those before `next` are done.
    Listed { spikes: Vec<Spike>, next: usize },
}

/// Feeds the kicks of each step. Draws never depend on the field, so two runs from one state and one feed
/// see the same noise.
#[derive(Clone, Debug)]
pub(super) struct Forcing {
    pub(super) rng: Rng,
    pub(super) normal: Normal,
    n: usize,
    source: Source,
    queue: heapless::Vec<Impulse, MAX_PENDING_STIMULI>,
}

impl Forcing {
    pub(super) fn new(params: &Params, seed: u64) -> Self {
        let mut rng = noise::stream(seed, 1);
        let source = match params.model {
            Model::Mfn => Source::Once { probability: params.spike_probability },
            Model::Turing | Model::Excitable => {
                let rate = params.spike_rate();
                let gap = noise::geometric_gap(&mut rng, rate);
                let excitable = params.model == Model::Excitable;
                let mean = if excitable { params.excitable.spike_volts } else { SPIKE_MEAN };
                Source::PerCell { rate, gap, mean }
            }
        };
        Self { rng, normal: Normal::new(), n: params.grid, source, queue: heapless::Vec::new() }
    }

    pub(super) fn heap(&self) -> usize {
        let listed = match &self.source {
            Source::Listed { spikes, .. } => spikes.capacity() * size_of::<Spike>(),
            _ => 0,
        };
        Normal::HEAP + listed
    }

    /// Replaces random spikes by a list; steps before `done` never come.
    pub(super) fn list(&mut self, mut spikes: Vec<Spike>, done: u64) -> Result<(), OutOfRange> {
        for spike in &spikes {
            self.check(spike.row, spike.col, spike.volts)?;
        }
        spikes.sort_by_key(|spike| spike.step);
        let next = spikes.partition_point(|spike| spike.step < done);
        self.source = Source::Listed { spikes, next };
        Ok(())
    }

    pub(super) fn queue(&mut self, row: usize, col: usize, volts: f64) -> Result<(), StimulusError> {
        self.check(row, col, volts)?;
        self.queue.push(Impulse { row, col, volts }).map_err(|_| StimulusError::Full)
    }

    /// The stimuli that wait, taken over from another run (its twin).
    pub(super) fn queue_like(&mut self, other: &Self) {
        self.queue.clone_from(&other.queue);
    }

    fn check(&self, row: usize, col: usize, volts: f64) -> Result<(), OutOfRange> {
        let edge = Interval::closed(0.0, (self.n - 1) as f64);
        edge.check("row", row as f64)?;
        edge.check("col", col as f64)?;
        STIMULUS_VOLTS.check("volts", volts).map(drop)
    }

    /// Hands the spikes of step `step` to `apply`; returns how many there were.
    pub(super) fn spikes(&mut self, step: u64, mut apply: impl FnMut(Impulse)) -> u64 {
        match &mut self.source {
            Source::Once { probability } => {
                if self.rng.f64() >= *probability {
                    return 0;
                }
                // `u32` draws: the width of `usize` must not change the stream.
                let row = self.rng.u32(0..self.n as u32) as usize;
                let col = self.rng.u32(0..self.n as u32) as usize;
                apply(Impulse { row, col, volts: SPIKE_MEAN + SPIKE_SD * self.normal.draw(&mut self.rng) });
                1
            }
            Source::PerCell { rate, gap, mean } => {
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
            Source::Listed { spikes, next } => {
                let due = spikes[*next..].iter().take_while(|spike| spike.step <= step).count();
                for &Spike { row, col, volts, .. } in &spikes[*next..*next + due] {
                    apply(Impulse { row, col, volts });
                }
                *next += due;
                due as u64
            }
        }
    }

    /// Hands the waiting stimuli to `apply` and forgets them; returns how many there were.
    pub(super) fn stimuli(&mut self, apply: impl FnMut(Impulse)) -> u64 {
        let count = self.queue.len() as u64;
        self.queue.iter().copied().for_each(apply);
        self.queue.clear();
        count
    }
}
