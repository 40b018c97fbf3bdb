//! The Lyapunov exponent of a field by a twin: a second field a little apart from the first.

use std::ops::Range;

use fastrand::Rng;

use super::benettin::{Benettin, TwinAction};
use super::float::Float;
use super::noise;
use super::params::{Model, Params, Precision};
use super::planes::Planes;
use super::simulator::{Field, Simulator, StepReport};

/// Volts that count as much as one unit of activator or inhibitor in a separation.
const VOLT_SCALE: f64 = 0.1;

/// A field with a smaller root mean square derivative is flat, in the units of a separation per cell.
const MIN_SLOPE: f64 = 1e-9;

/// Root mean square separation per cell: above the rounding of the precision, and within the linear range.
const fn target(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F64 => 1e-8,
    }
}

/// Planes whose perturbations are coupled, and the estimator of their growth.
#[derive(Clone, Debug)]
struct CoupledPlanes {
    planes: Range<usize>,
    benettin: Benettin,
}

/// The planes of a model in groups that are coupled to first order. The chemistry of `mfn` does not depend on V and
/// acts on it only through a threshold, whose derivative is zero: two groups, and the larger exponent is that of the
/// field. One common separation would let the group that decays faster fall below rounding. Planes that never change
/// are in no group.
fn coupled_planes(params: &Params, discard: u64) -> heapless::Vec<CoupledPlanes, 2> {
    let benettin = Benettin::new(target(params.precision), discard);
    let group = |planes| CoupledPlanes { planes, benettin: benettin.clone() };
    match params.model {
        _ if !params.turing_enabled => std::iter::once(group(0..1)).collect(),
        Model::Mfn => heapless::Vec::from_array([group(0..1), group(1..3)]),
        Model::Turing | Model::Excitable | Model::GrayScott => std::iter::once(group(0..3)).collect(),
    }
}

/// A second field a little apart from that of a simulator, driven by the same noise, spikes and stimuli.
#[derive(Clone, Debug)]
pub struct Twin {
    other: Simulator,
    groups: heapless::Vec<CoupledPlanes, 2>,
    /// Steps that do not count after each fork.
    discard: u64,
    /// Perturbations so far; each has its own random stream.
    perturbations: u64,
}

impl Twin {
    /// A twin of `simulator` in its current state; the first `discard` steps after every fork do not count.
    pub fn fork(simulator: &Simulator, discard: u64) -> Self {
        let groups = coupled_planes(simulator.params(), discard);
        let mut twin = Self { other: simulator.clone(), groups, discard, perturbations: 0 };
        twin.refork(simulator);
        twin
    }

    /// Steps both. If either was re-seeded, the twin is forked again.
    pub fn step_both(&mut self, simulator: &mut Simulator) -> StepReport {
        self.other.forcing.queue_like(&simulator.forcing);
        let report = simulator.step();
        if self.other.step().reseeded || report.reseeded {
            self.refork(simulator);
            return report;
        }
        for k in 0..self.groups.len() {
            let separation = self.other.field.distance(&simulator.field, self.planes(k));
            match self.groups[k].benettin.observe(separation) {
                TwinAction::Keep => {}
                TwinAction::Scale(factor) => {
                    self.other.field.rescale(&simulator.field, self.planes(k), factor);
                }
                TwinAction::Perturb => self.perturb(simulator, k),
            }
        }
        report
    }

    /// Largest Lyapunov exponent, 1/step, over the last [`super::LYAPUNOV_WINDOW_STEPS`] counted steps, or more if the
    /// blocks of fewer do not agree. `None` until every group of planes has a full window and the one that grows fastest
    /// has converged.
    pub fn exponent(&self) -> Option<f64> {
        let mut fastest: Option<(f64, &Benettin)> = None;
        for CoupledPlanes { benettin, .. } in &self.groups {
            let growth = benettin.growth()?;
            if fastest.is_none_or(|(most, _)| growth > most) {
                fastest = Some((growth, benettin));
            }
        }
        fastest?.1.exponent()
    }

    /// Heap bytes of a twin: those of the simulator inside it.
    pub fn memory_bytes(params: &Params) -> usize {
        Simulator::memory_bytes(params)
    }

    fn planes(&self, group: usize) -> Range<usize> {
        self.groups[group].planes.clone()
    }

    fn refork(&mut self, simulator: &Simulator) {
        self.other.field.copy_from(&simulator.field);
        for k in 0..self.groups.len() {
            self.groups[k].benettin.restart(self.discard);
            self.perturb(simulator, k);
        }
    }

    /// Perturbs the planes of a group in two equal parts. One is along the field's gradient: a shift of the whole
    /// pattern, whose exponent is 0 on a torus and which other directions approach only after thousands of steps. The
    /// other is a common shift of all values with noise on it, so that uniform and patterned directions are present too.
    fn perturb(&mut self, simulator: &Simulator, group: usize) {
        self.perturbations += 1;
        let mut rng = noise::stream(simulator.seed(), 2 + self.perturbations);
        let target = self.groups[group].benettin.target;
        let planes = self.planes(group);
        self.other.field.shift_values(&simulator.field, planes.clone(), target, &mut rng);
        self.other.field.shift_pattern(&simulator.field, planes.clone(), target);
        let factor = target / self.other.field.distance(&simulator.field, planes.clone());
        self.other.field.rescale(&simulator.field, planes, factor);
    }
}

/// Matches both fields of a pair, which have one precision: a twin is a clone.
macro_rules! both {
    ($twin:expr, $field:expr, |$x:ident, $y:ident| $body:expr) => {
        match ($twin, $field) {
            (Field::F32($x), Field::F32($y)) => $body,
            (Field::F64($x), Field::F64($y)) => $body,
            _ => unreachable!("a twin is a clone of its simulator"),
        }
    };
}

impl Field {
    fn copy_from(&mut self, other: &Self) {
        both!(self, other, |twin, field| twin.planes.copy_from(&field.planes));
    }

    /// Root mean square distance per cell over `planes`, V in units of [`VOLT_SCALE`].
    fn distance(&self, other: &Self, planes: Range<usize>) -> f64 {
        both!(self, other, |twin, field| distance(&twin.planes, &field.planes, planes))
    }

    fn rescale(&mut self, other: &Self, planes: Range<usize>, factor: f64) {
        both!(self, other, |twin, field| rescale(&mut twin.planes, &field.planes, planes, factor));
    }

    fn shift_values(&mut self, other: &Self, planes: Range<usize>, size: f64, rng: &mut Rng) {
        both!(self, other, |twin, field| shift_values(&mut twin.planes, &field.planes, planes, size, rng));
    }

    fn shift_pattern(&mut self, other: &Self, planes: Range<usize>, size: f64) {
        both!(self, other, |twin, field| shift_pattern(&mut twin.planes, &field.planes, planes, size));
    }
}

fn scale(plane: usize) -> f64 {
    if plane == 0 { VOLT_SCALE } else { 1.0 }
}

fn distance<T: Float>(twin: &Planes<T>, field: &Planes<T>, planes: Range<usize>) -> f64 {
    // It runs after every step of the twin: compiled for the baseline it takes longer than a step.
    let sum: f64 = planes
        .map(|k| {
            let squares = pulp::Arch::new().dispatch(
                #[inline(always)]
                || squares(twin, field, k),
            );
            squares / (scale(k) * scale(k))
        })
        .sum();
    (sum / (field.n() * field.n()) as f64).sqrt()
}

/// Sum of squared differences of plane `k`, in eight lanes: vectorised, and added in one fixed order on every target.
#[inline(always)]
fn squares<T: Float>(twin: &Planes<T>, field: &Planes<T>, k: usize) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    for row in 0..field.n() {
        let (xs, ys) = (twin.row(k, row).as_chunks::<LANES>(), field.row(k, row).as_chunks::<LANES>());
        for (xs, ys) in xs.0.iter().zip(ys.0) {
            for lane in 0..LANES {
                let difference = (xs[lane] - ys[lane]).f64();
                lanes[lane] += difference * difference;
            }
        }
        for ((lane, &x), &y) in lanes.iter_mut().zip(xs.1).zip(ys.1) {
            let difference = (x - y).f64();
            *lane += difference * difference;
        }
    }
    lanes.iter().sum()
}

/// Calls `edit` with each cell of `planes` of the twin and its place: plane, row, column.
fn edit_cells<T: Float>(
    twin: &mut Planes<T>,
    planes: Range<usize>,
    mut edit: impl FnMut(&mut T, usize, usize, usize),
) {
    for k in planes {
        for row in 0..twin.n() {
            twin.edit_row(row, |cells| {
                cells[k].iter_mut().enumerate().for_each(|(col, x)| edit(x, k, row, col));
            });
        }
    }
}

fn rescale<T: Float>(twin: &mut Planes<T>, field: &Planes<T>, planes: Range<usize>, factor: f64) {
    let factor = T::of(factor);
    edit_cells(twin, planes, |x, k, row, col| {
        let y = field.row(k, row)[col];
        *x = y + (*x - y) * factor;
    });
}

fn shift_values<T: Float>(
    twin: &mut Planes<T>,
    field: &Planes<T>,
    planes: Range<usize>,
    size: f64,
    rng: &mut Rng,
) {
    edit_cells(twin, planes, |x, k, row, col| {
        *x = field.row(k, row)[col] + T::of(size * scale(k) * (0.9 + 0.2 * rng.f64()));
    });
}

/// Adds a multiple of the derivative of the field along a diagonal, of the root mean square `size` per cell over all
/// `planes`; a flat field has none. The direction is not along the lattice, so that bands across either axis count.
fn shift_pattern<T: Float>(twin: &mut Planes<T>, field: &Planes<T>, planes: Range<usize>, size: f64) {
    let n = field.n();
    let slope = |k: usize, row: usize, col: usize| {
        let cell = |row: usize, col: usize| field.row(k, row % n)[col % n].f64();
        let down = cell(row + 1, col) - cell(row + n - 1, col);
        let right = cell(row, col + 1) - cell(row, col + n - 1);
        0.5 * (down + 0.7 * right)
    };
    let cells = || (0..n).flat_map(|row| (0..n).map(move |col| (row, col)));
    let square = |k: usize| cells().map(|(row, col)| slope(k, row, col) * slope(k, row, col)).sum::<f64>();
    let sum: f64 = planes.clone().map(|k| square(k) / (scale(k) * scale(k))).sum();
    let rms = (sum / (n * n) as f64).sqrt();
    if rms.is_finite() && rms > MIN_SLOPE {
        edit_cells(twin, planes, |x, k, row, col| *x += T::of(slope(k, row, col) * (size / rms)));
    }
}
