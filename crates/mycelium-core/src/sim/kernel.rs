//! The fused sweep: one pass over the grid moves V, activator and inhibitor, counts, clips and checks.
//!
//! The planes are updated in place. The old values that are still needed are kept in three row buffers per plane with a
//! ghost cell at each end: the row loop has no special case for edges, the boundary condition is in the ghosts. The loop
//! also copies the row after the one it writes into a buffer, because it reads that row anyway; a separate copy costs a
//! tenth of the step. The loop is plain code on slices of equal length. It is compiled once for the baseline and once
//! for each instruction set that `pulp` dispatches to, and vectorised by the compiler in each.

use super::float::{Float, clip};
use super::kinetics::{Kinetics, Point};
use super::params::Boundary;
use super::row_buffers::{AlignedVec, Neighbourhood, RollingRows, RowBuffer};

/// Lower and upper clip of V, volts.
pub(super) const V_LOW: f64 = -0.095;
pub(super) const V_HIGH: f64 = 0.040;

/// Cells that a sweep counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SweepCounts {
    /// Activations, as the kinetics define them.
    pub(super) fired: u64,
    /// Cells whose V was clipped.
    pub(super) clamped: u64,
    /// Cells with a value that is not finite.
    pub(super) non_finite: u64,
}

/// The planes V, activator and inhibitor, at index 0, 1, 2 here and in all arrays of three.
#[derive(Clone, Debug)]
pub(super) struct Planes<T> {
    pub(super) cells: [AlignedVec<T>; 3],
    pub(super) old: RollingRows<T>,
    /// Noise of one row, volts; -0.0 without noise: adding it changes no bit of any sum.
    pub(super) noise: AlignedVec<T>,
    pub(super) n: usize,
    pub(super) boundary: Boundary,
}

/// Inputs and outputs of the row loop.
struct RowStreams<'a, T> {
    old: Neighbourhood<'a, T>,
    out: [&'a mut [T]; 3],
    noise: &'a [T],
}

impl<T: Float> Planes<T> {
    #[inline(never)]
    fn start(&mut self) {
        let [v, a, i] = &self.cells;
        self.old.start([v, a, i], self.boundary);
    }

    /// Not inlined: it needs no copy for each kinetics and instruction set.
    #[inline(never)]
    fn row_streams(&mut self, row: usize, jitter: &mut dyn FnMut(&mut [T])) -> RowStreams<'_, T> {
        let Self { cells: [v, a, i], old, noise, n, boundary } = self;
        jitter(noise);
        let (v, ahead_v) = v[row * *n..].split_at_mut(*n);
        let (a, ahead_a) = a[row * *n..].split_at_mut(*n);
        let (i, ahead_i) = i[row * *n..].split_at_mut(*n);
        let old = old.advance([ahead_v, ahead_a, ahead_i], *boundary);
        RowStreams { old, out: [v, a, i], noise }
    }
}

/// One step of every cell. `jitter` is called once a row, in order, to fill its noise in volts.
#[inline(always)]
pub(super) fn sweep<T, K>(
    kinetics: &K,
    planes: &mut Planes<T>,
    jitter: &mut dyn FnMut(&mut [T]),
) -> SweepCounts
where
    T: Float,
    K: Kinetics<T>,
{
    let boundary = planes.boundary;
    let mut counts = SweepCounts::default();
    planes.start();
    for row in 0..planes.n {
        let RowStreams { old, out: [v, a, i], noise } = planes.row_streams(row, jitter);
        let Neighbourhood { before, here, after, next } = old;
        let row_counts = step_row(*kinetics, boundary, before, here, after, noise, next, v, a, i);
        counts.fired += T::total(row_counts[0]);
        counts.clamped += T::total(row_counts[1]);
        counts.non_finite += T::total(row_counts[2]);
    }
    counts
}

/// Writes one row from the old rows before, at and after it, and copies the row after it into `next`; returns the
/// numbers of cells that fired, were clamped and were not finite.
// One argument for each row: the compiler knows that arguments do not overlap, and vectorises without run-time checks.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn step_row<T, K>(
    kinetics: K,
    boundary: Boundary,
    before: &RowBuffer<T>,
    here: &RowBuffer<T>,
    after: [&[T]; 3],
    noise: &[T],
    next: &mut RowBuffer<T>,
    out_v: &mut [T],
    out_a: &mut [T],
    out_i: &mut [T],
) -> [T::Count; 3]
where
    T: Float,
    K: Kinetics<T>,
{
    let n = out_v.len();
    let (out_a, out_i, noise) = (&mut out_a[..n], &mut out_i[..n], &noise[..n]);
    let v = Stencil::new([before.row(0, n), here.row(0, n), after[0]], n, boundary);
    let a = Stencil::new([before.row(1, n), here.row(1, n), after[1]], n, boundary);
    let i = Stencil::new([before.row(2, n), here.row(2, n), after[2]], n, boundary);
    let [next_v, next_a, next_i] = next.cells_mut(n);
    let (low, high) = (T::of(V_LOW), T::of(V_HIGH));
    let mut counts = [T::Count::default(); 3];
    for j in 0..n {
        let unmoved = Point { old: low, laplacian: low };
        let cell = kinetics.step(
            v.at(j),
            if K::MOVES { a.at(j) } else { unmoved },
            if K::MOVES { i.at(j) } else { unmoved },
        );
        let moved = cell.v + noise[j];
        let clipped = clip(moved, low, high);
        out_v[j] = clipped;
        next_v[j] = v.after[j];
        let mut non_finite = !moved.is_finite();
        if K::MOVES {
            out_a[j] = cell.a;
            out_i[j] = cell.i;
            next_a[j] = a.after[j];
            next_i[j] = i.after[j];
            non_finite |= cell.a.is_nan() | cell.i.is_nan();
        }
        counts[0] += T::one_if(cell.fired);
        counts[1] += T::one_if(clipped != moved);
        counts[2] += T::one_if(non_finite);
    }
    counts
}

/// The old rows of one plane, aligned so that index `j` of each slice belongs to cell `j`.
#[derive(Clone, Copy)]
struct Stencil<'a, T> {
    before: &'a [T],
    after: &'a [T],
    here: &'a [T],
    /// The left and right neighbours, in the order in which they are added.
    sides: [&'a [T]; 2],
}

impl<'a, T: Float> Stencil<'a, T> {
    /// `MyceliumFractalNet` 4.1 adds right before left with Dirichlet borders; the order decides the last bit.
    #[inline(always)]
    fn new([before, here, after]: [&'a [T]; 3], n: usize, boundary: Boundary) -> Self {
        let (left, right) = (&here[..n], &here[2..n + 2]);
        Self {
            before: &before[1..=n],
            after: &after[..n],
            here: &here[1..=n],
            sides: if boundary == Boundary::Dirichlet { [right, left] } else { [left, right] },
        }
    }

    #[inline(always)]
    fn at(&self, j: usize) -> Point<T> {
        let old = self.here[j];
        let sum = self.before[j] + self.after[j] + self.sides[0][j] + self.sides[1][j];
        Point { old, laplacian: sum - T::FOUR * old }
    }
}
