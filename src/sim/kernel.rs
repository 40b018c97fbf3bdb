//! The fused sweep: one pass over the grid moves V, activator and inhibitor, counts, clips and checks.
//!
//! The planes are updated in place. What is still needed of the old values rolls through three rows per
//! plane with one ghost cell at each end, so that the row loop has no edges: the boundary is a matter of how
//! ghosts are filled. The row loop is plain code on slices of one length; it is compiled once for the baseline
//! and once for each instruction set `pulp` dispatches to, and vectorised by the compiler in each.

use super::kinetics::{Kinetics, Point};
use super::params::Boundary;
use super::real::{Real, clip};

/// Lower and upper clip of V, volts.
pub(super) const V_LOW: f64 = -0.095;
pub(super) const V_HIGH: f64 = 0.040;

/// What a sweep saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) fired: u64,
    pub(super) clamped: u64,
    /// Cells with a value that is not finite.
    pub(super) broken: u64,
}

/// Old rows of one plane: before, at and after the one that is written, and row 0 for the torus. Each has
/// one ghost cell at both ends.
#[derive(Clone, Debug)]
pub(super) struct Rolling<T> {
    before: Vec<T>,
    here: Vec<T>,
    after: Vec<T>,
    first: Vec<T>,
    /// Value beyond the edge under [`Boundary::Dirichlet`].
    ghost: T,
}

impl<T: Real> Rolling<T> {
    /// Heap bytes for rows of `n` cells.
    pub(super) const fn heap(n: usize) -> usize {
        4 * (n + 2) * size_of::<T>()
    }

    pub(super) fn new(n: usize, ghost: T) -> Self {
        let row = || vec![ghost; n + 2];
        Self { before: row(), here: row(), after: row(), first: row(), ghost }
    }

    fn load(row: &mut [T], from: &[T], boundary: Boundary, ghost: T) {
        let n = from.len();
        row[1..=n].copy_from_slice(from);
        (row[0], row[n + 1]) = match boundary {
            Boundary::Periodic => (from[n - 1], from[0]),
            Boundary::Neumann => (from[0], from[n - 1]),
            Boundary::Dirichlet => (ghost, ghost),
        };
    }

    /// Rows for writing row 0 of `plane`.
    fn start(&mut self, plane: &[T], n: usize, boundary: Boundary) {
        let (top, bottom) = (&plane[..n], &plane[plane.len() - n..]);
        Self::load(&mut self.here, top, boundary, self.ghost);
        match boundary {
            Boundary::Periodic => {
                Self::load(&mut self.before, bottom, boundary, self.ghost);
                self.first.copy_from_slice(&self.here);
            }
            Boundary::Neumann => self.before.copy_from_slice(&self.here),
            Boundary::Dirichlet => self.before.fill(self.ghost),
        }
        Self::load(&mut self.after, &plane[n..2 * n], boundary, self.ghost);
    }

    /// Rows for writing the row after the present one, `row`.
    fn roll(&mut self, plane: &[T], row: usize, n: usize, boundary: Boundary) {
        std::mem::swap(&mut self.before, &mut self.here);
        std::mem::swap(&mut self.here, &mut self.after);
        let ahead = (row + 2) * n;
        if ahead < plane.len() {
            Self::load(&mut self.after, &plane[ahead..ahead + n], boundary, self.ghost);
            return;
        }
        match boundary {
            Boundary::Periodic => self.after.copy_from_slice(&self.first),
            Boundary::Neumann => self.after.copy_from_slice(&self.here),
            Boundary::Dirichlet => self.after.fill(self.ghost),
        }
    }
}

/// V, activator and inhibitor; index 0, 1, 2 everywhere.
#[derive(Clone, Debug)]
pub(super) struct Planes<T> {
    pub(super) cells: [Vec<T>; 3],
    pub(super) rolling: [Rolling<T>; 3],
    /// Noise of one row, volts; -0.0 while there is none, the one number that changes no sum at all.
    pub(super) noise: Vec<T>,
    pub(super) n: usize,
    pub(super) boundary: Boundary,
}

/// One step of every cell. `jitter` fills a row with noise, in volts, for each row in turn.
#[inline(always)]
pub(super) fn sweep<T, K>(kinetics: &K, planes: &mut Planes<T>, jitter: &mut dyn FnMut(&mut [T])) -> Tally
where
    T: Real,
    K: Kinetics<T>,
{
    let Planes { cells: [v, a, i], rolling: [old_v, old_a, old_i], noise, n, boundary } = planes;
    let (n, boundary) = (*n, *boundary);
    let mut tally = Tally::default();
    old_v.start(v, n, boundary);
    if K::MOVES {
        old_a.start(a, n, boundary);
        old_i.start(i, n, boundary);
    }
    for row in 0..n {
        jitter(noise);
        let cells = row * n..row * n + n;
        let seen = step_row(
            *kinetics,
            boundary,
            &mut v[cells.clone()],
            &mut a[cells.clone()],
            &mut i[cells],
            [&old_v.before, &old_v.here, &old_v.after],
            [&old_a.before, &old_a.here, &old_a.after],
            [&old_i.before, &old_i.here, &old_i.after],
            noise,
        );
        tally.fired += T::total(seen[0]);
        tally.clamped += T::total(seen[1]);
        tally.broken += T::total(seen[2]);
        if row + 1 < n {
            old_v.roll(v, row, n, boundary);
            if K::MOVES {
                old_a.roll(a, row, n, boundary);
                old_i.roll(i, row, n, boundary);
            }
        }
    }
    tally
}

/// Writes one row from old rows; returns how many cells fired, were clamped and were not finite.
// One argument per stream: what is told apart here is known not to overlap, so the loop vectorises.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn step_row<T, K>(
    kinetics: K,
    boundary: Boundary,
    out_v: &mut [T],
    out_a: &mut [T],
    out_i: &mut [T],
    old_v: [&[T]; 3],
    old_a: [&[T]; 3],
    old_i: [&[T]; 3],
    noise: &[T],
) -> [T::Count; 3]
where
    T: Real,
    K: Kinetics<T>,
{
    let n = out_v.len();
    let (out_a, out_i, noise) = (&mut out_a[..n], &mut out_i[..n], &noise[..n]);
    let v = Stencil::new(old_v, n, boundary);
    let a = Stencil::new(old_a, n, boundary);
    let i = Stencil::new(old_i, n, boundary);
    let (low, high) = (T::of(V_LOW), T::of(V_HIGH));
    let mut seen = [T::Count::default(); 3];
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
        let mut broken = !moved.is_finite();
        if K::MOVES {
            out_a[j] = cell.a;
            out_i[j] = cell.i;
            broken |= cell.a.is_nan() | cell.i.is_nan();
        }
        seen[0] += T::one_if(cell.fired);
        seen[1] += T::one_if(clipped != moved);
        seen[2] += T::one_if(broken);
    }
    seen
}

/// The five points around each cell of a row.
#[derive(Clone, Copy)]
struct Stencil<'a, T> {
    before: &'a [T],
    after: &'a [T],
    here: &'a [T],
    /// Left and right, in the order in which they are added.
    sides: [&'a [T]; 2],
}

impl<'a, T: Real> Stencil<'a, T> {
    /// The reference adds in another order with Dirichlet borders, which shows in the last bit.
    #[inline(always)]
    fn new([before, here, after]: [&'a [T]; 3], n: usize, boundary: Boundary) -> Self {
        let (left, right) = (&here[..n], &here[2..n + 2]);
        Self {
            before: &before[1..=n],
            after: &after[1..=n],
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
