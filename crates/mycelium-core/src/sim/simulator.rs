//! The simulator: one seeded field and the steps it takes.

use super::float::Float;
use super::kernel::SweepCounts;
use super::lattice::Lattice;
use super::params::{Params, Precision};
use super::spikes::{Forcing, Spike, StimulusError};
use super::{initial_state, noise};
use crate::field::Frame;
use crate::range::OutOfRange;
use crate::window::EventCounts;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Spikes, random or listed.
    pub growth_events: u64,
    /// `mfn`: cells whose activator is above theta. Other models: cells whose activator rose through the
    /// level that counts as active.
    pub turing_activations: u64,
    /// Cells whose V was clipped.
    pub clamping_events: u64,
    /// Stimuli applied.
    pub stimuli: u64,
    /// A value stopped being finite: the field has been replaced by a random start from a new seed.
    pub reseeded: bool,
}

impl StepReport {
    /// The report as counts that can be summed over steps.
    pub fn counts(&self) -> EventCounts {
        EventCounts {
            growth_events: self.growth_events,
            turing_activations: self.turing_activations,
            clamping_events: self.clamping_events,
            reseeds: u64::from(self.reseeded),
            stimuli: self.stimuli,
        }
    }
}

/// The three planes of a field, borrowed: `n * n` cells each, row by row.
#[derive(Clone, Copy, Debug)]
pub struct FieldPlanes<'a> {
    /// Membrane potential, volts.
    pub v: Frame<'a>,
    /// Activator, dimensionless.
    pub a: Frame<'a>,
    /// Inhibitor, dimensionless.
    pub i: Frame<'a>,
}

/// A field in the precision of its parameters.

#[derive(Clone, Debug)]
pub(super) enum Field {
    F32(Lattice<f32>),
    F64(Lattice<f64>),
}

/// A field with its noise, spikes and stimuli. Allocates in its constructors only, never in a step.
#[derive(Clone, Debug)]
pub struct Simulator {
    params: Params,
    /// Seed of the current field; a new one is derived from it when a value stops being finite.
    seed: u64,
    pub(super) field: Field,
    pub(super) forcing: Forcing,
    /// Standard deviation of the jitter, volts; 0 when off.
    jitter: f64,
    steps_done: u64,
    totals: EventCounts,
}

impl Simulator {
    /// A field at the random start of its model; equal parameters and seeds give equal bits on every target.
    pub fn new(params: Params, seed: u64) -> Self {
        let mut simulator = Self::at_rest(params, seed);
        simulator.restart();
        simulator
    }

    /// A field that starts from `start`, whose V may lie outside the clip. Fails on planes of another size and on values
    /// that are not finite in the precision of the simulation.
    pub fn with_planes(params: Params, seed: u64, start: FieldPlanes<'_>) -> Result<Self, OutOfRange> {
        let mut simulator = Self::at_rest(params, seed);
        let planes = [("V", start.v), ("activator", start.a), ("inhibitor", start.i)];
        match &mut simulator.field {
            Field::F32(lattice) => load(lattice, planes)?,
            Field::F64(lattice) => load(lattice, planes)?,
        }
        Ok(simulator)
    }

    fn at_rest(params: Params, seed: u64) -> Self {
        let field = match params.precision {
            Precision::F32 => Field::F32(Lattice::new(&params)),
            Precision::F64 => Field::F64(Lattice::new(&params)),
        };
        let forcing = Forcing::new(&params, seed);
        let jitter = params.jitter_variance.sqrt();
        Self { params, seed, field, forcing, jitter, steps_done: 0, totals: EventCounts::default() }
    }

    /// Fills the planes with the random start of the current seed.
    fn restart(&mut self) {
        let mut rng = noise::stream(self.seed, 0);
        let normal = &self.forcing.normal;
        match &mut self.field {
            Field::F32(lattice) => initial_state::fill(&mut lattice.planes, &self.params, &mut rng, normal),
            Field::F64(lattice) => initial_state::fill(&mut lattice.planes, &self.params, &mut rng, normal),
        }
    }

    /// Replaces random spikes by a list in any order; each counts as one growth event. Steps already done are skipped.
    pub fn set_spikes(&mut self, spikes: Vec<Spike>) -> Result<(), OutOfRange> {
        self.forcing.list(spikes, self.steps_done)
    }

    /// Queues `volts` on one cell for the next step; at most [`super::MAX_PENDING_STIMULI`] can be pending.
    pub fn stimulate(&mut self, row: usize, col: usize, volts: f64) -> Result<(), StimulusError> {
        self.forcing.queue(row, col, volts)
    }

    /// One step: spikes and stimuli, diffusion, kinetics, jitter, clip, finite check.
    pub fn step(&mut self) -> StepReport {
        let (growth_events, stimuli, counted) = match &mut self.field {
            Field::F32(lattice) => advance(lattice, &mut self.forcing, self.steps_done, self.jitter),
            Field::F64(lattice) => advance(lattice, &mut self.forcing, self.steps_done, self.jitter),
        };
        self.steps_done += 1;
        let reseeded = counted.non_finite;
        if reseeded {
            self.seed = noise::stream(self.seed, 2).u64(..);
            self.restart();
        }
        let report = StepReport {
            growth_events,
            turing_activations: counted.fired,
            clamping_events: counted.clamped,
            stimuli,
            reseeded,
        };
        add(&mut self.totals, &report.counts());
        report
    }

    /// The parameters of this field.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Seed of the current field; a re-seed changes it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps done since the start.
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// Totals since the start.
    pub fn counters(&self) -> EventCounts {
        self.totals
    }

    /// V after the last step, volts.
    pub fn frame(&self) -> Frame<'_> {
        match &self.field {
            Field::F32(lattice) => Frame::F32(lattice.planes.cells(0)),
            Field::F64(lattice) => Frame::F64(lattice.planes.cells(0)),
        }
    }

    /// The planes after the last step.
    pub fn planes(&self) -> FieldPlanes<'_> {
        match &self.field {
            Field::F32(lattice) => {
                let [v, a, i] = [0, 1, 2].map(|k| Frame::F32(lattice.planes.cells(k)));
                FieldPlanes { v, a, i }
            }
            Field::F64(lattice) => {
                let [v, a, i] = [0, 1, 2].map(|k| Frame::F64(lattice.planes.cells(k)));
                FieldPlanes { v, a, i }
            }
        }
    }

    /// Heap bytes of a simulator with these parameters, without a list of spikes.
    pub fn memory_bytes(params: &Params) -> usize {
        let lattice = match params.precision {
            Precision::F32 => Lattice::<f32>::heap(params.grid),
            Precision::F64 => Lattice::<f64>::heap(params.grid),
        };
        lattice + noise::Normal::HEAP
    }

    /// Heap bytes of this simulator, its list of spikes included.
    pub fn heap_bytes(&self) -> usize {
        Self::memory_bytes(&self.params) - noise::Normal::HEAP + self.forcing.heap()
    }
}

/// Spikes, stimuli, then the sweep; returns the spikes, the stimuli and what the sweep counted.
fn advance<T: Float>(
    lattice: &mut Lattice<T>,
    forcing: &mut Forcing,
    step: u64,
    jitter: f64,
) -> (u64, u64, SweepCounts) {
    let growth_events = forcing.spikes(step, |impulse| lattice.add_spike(impulse));
    let stimuli = forcing.stimuli(|impulse| lattice.add_spike(impulse));
    let counted = if jitter > 0.0 {
        let Forcing { rng, normal, .. } = forcing;
        lattice.step_with_noise(|| jitter * normal.draw(rng))
    } else {
        lattice.step()
    };
    (growth_events, stimuli, counted)
}

fn load<T: Float>(lattice: &mut Lattice<T>, planes: [(&str, Frame<'_>); 3]) -> Result<(), OutOfRange> {
    let n = lattice.planes.n();
    for (name, from) in planes {
        if from.len() != n * n {
            return Err(OutOfRange {
                key: name.to_owned(),
                value: format!("{} cells", from.len()),
                accepted: format!("{} cells, one for each of the grid", n * n),
            });
        }
        if let Some(k) = (0..n * n).find(|&k| !T::of(from.get(k)).is_finite()) {
            return Err(OutOfRange {
                key: format!("{name}[{k}]"),
                value: from.get(k).to_string(),
                accepted: "a finite number in the precision of the simulation".to_owned(),
            });
        }
    }
    for row in 0..n {
        lattice.planes.edit_row(row, |cells| {
            for (cells, (_, from)) in cells.into_iter().zip(planes) {
                cells.iter_mut().enumerate().for_each(|(col, cell)| *cell = T::of(from.get(row * n + col)));
            }
        });
    }
    Ok(())
}

fn add(totals: &mut EventCounts, more: &EventCounts) {
    totals.growth_events += more.growth_events;
    totals.turing_activations += more.turing_activations;
    totals.clamping_events += more.clamping_events;
    totals.reseeds += more.reseeds;
    totals.stimuli += more.stimuli;
}
