//! The sweep: one pass over the grid moves V, activator and inhibitor, counts, clips and checks.
//!
//! It is compiled once for processors without vectors that `pulp` knows, where the compiler vectorises the row loop, and
//! once for each instruction set that `pulp` dispatches to, in whose registers the row loop computes. Rows are whole
//! vectors: the cells after the end of a row are computed like others, and count nothing.

use pulp::Simd;

use super::float::Float;
use super::kinetics::{Cell, Kinetics, Point};
use super::lanes::Lanes;
use super::planes::{Neighbourhood, Planes};

/// Lower and upper clip of V, volts.
pub(super) const V_LOW: f64 = -0.095;
pub(super) const V_HIGH: f64 = 0.040;

/// What a sweep counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SweepCounts {
    /// Activations, as the kinetics define them.
    pub(super) fired: u64,
    /// Cells whose V was clipped.
    pub(super) clamped: u64,
    /// Whether a value is not finite.
    pub(super) non_finite: bool,
}

/// Counts of a sweep so far, for each lane.
#[derive(Clone, Copy)]
struct LaneCounts<C, L> {
    fired: C,
    /// Cells whose V was not clipped.
    unclipped: C,
    /// Without vectors: cells whose values are finite.
    finite: C,
    /// With vectors: a sum that is not finite if a value was not.
    probe: L,
}

/// One step of every cell; V is clipped to `rails`, volts. `RIGHT_FIRST` swaps the neighbours in a row in the sum of the
/// four, which decides the last bit. A constant, because the addresses of two orders need more registers than there are.
#[inline(always)]
pub(super) fn sweep<T, K, S, const RIGHT_FIRST: bool>(
    simd: S,
    kinetics: K,
    planes: &mut Planes<T>,
    rails: [T; 2],
) -> SweepCounts
where
    T: Float,
    K: Kinetics<T>,
    S: Simd,
{
    let n = planes.n();
    let none = <T::Lanes<S>>::splat_count(simd, T::one_if(false));
    let mut counts =
        LaneCounts { fired: none, unclipped: none, finite: none, probe: <T::Lanes<S>>::splat(simd, T::ZERO) };
    planes.fill_ghost_rows();
    let mut rows = planes.sweep_rows();
    let weights = rows.weights;
    for k in 0..n {
        rows.step(k, |Neighbourhood { behind: [v, a, i], here: [hv, ha, hi], ahead: [av, aa, ai] }| {
            counts = step_row::<T, K, T::Lanes<S>, RIGHT_FIRST>(
                simd, kinetics, n, rails, counts, v, a, i, hv, ha, hi, av, aa, ai, weights,
            );
        });
    }
    planes.finish_sweep();
    let cells = (n * n) as u64;
    SweepCounts {
        fired: <T::Lanes<S>>::total(counts.fired),
        clamped: cells - <T::Lanes<S>>::total(counts.unclipped),
        non_finite: if S::IS_SCALAR {
            <T::Lanes<S>>::total(counts.finite) < cells
        } else {
            !counts.probe.are_finite()
        },
    }
}

/// The new values of one row in place of those of the old row behind it.
// One argument for each row: the compiler knows that arguments do not overlap, and vectorises without
// run-time checks.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn step_row<T, K, L, const RIGHT_FIRST: bool>(
    simd: L::Simd,
    kinetics: K,
    n: usize,
    [low, high]: [T; 2],
    mut counts: LaneCounts<L::Counters, L>,
    behind_v: &mut [T],
    behind_a: &mut [T],
    behind_i: &mut [T],
    here_v: &[T],
    here_a: &[T],
    here_i: &[T],
    ahead_v: &[T],
    ahead_a: &[T],
    ahead_i: &[T],
    weights: &[T::Count],
) -> LaneCounts<L::Counters, L>
where
    T: Float,
    K: Kinetics<T>,
    L: Lanes<T>,
{
    let one_by_one = L::Simd::IS_SCALAR;
    let one = L::splat_count(simd, T::one_if(true));
    let width = if one_by_one { n } else { weights.len() };
    let weights = L::counters(&weights[..width]);
    let vectors = weights.len();
    let out_v = &mut L::stored_mut(&mut behind_v[1..=width])[..vectors];
    let out_a = &mut L::stored_mut(&mut behind_a[1..=width])[..vectors];
    let out_i = &mut L::stored_mut(&mut behind_i[1..=width])[..vectors];
    let sides = if RIGHT_FIRST { [2, 0] } else { [0, 2] };
    let v = stencil::<T, L>(here_v, ahead_v, sides, width, vectors);
    let a = stencil::<T, L>(here_a, ahead_a, sides, width, vectors);
    let i = stencil::<T, L>(here_i, ahead_i, sides, width, vectors);
    for j in 0..vectors {
        let v = point(simd, out_v[j], &v, j);
        let Cell { v: moved, a, i, fired } = if K::MOVES {
            kinetics.step(v, point(simd, out_a[j], &a, j), point(simd, out_i[j], &i, j))
        } else {
            let unmoved =
                |row: &Stencil<'_, L::Stored>| Point { old: L::load(simd, row.here[j]), laplacian: v.old };
            kinetics.step(v, unmoved(&a), unmoved(&i))
        };
        let clipped = moved.clip(low, high);
        let weight = if one_by_one { one } else { weights[j] };
        counts.fired = moved.count(fired, weight, counts.fired);
        counts.unclipped = moved.count(clipped.equal(moved), weight, counts.unclipped);
        if one_by_one {
            // The compiler may not reorder a sum of floats, so it would not vectorise one.
            let probe = moved * T::ZERO + a * i;
            counts.finite = moved.count(probe.equal(probe), weight, counts.finite);
        } else {
            counts.probe = counts.probe.add_probe(moved, a, i);
        }
        out_v[j] = clipped.store();
        out_a[j] = a.store();
        out_i[j] = i.store();
    }
    counts
}

/// The old rows of one plane at and ahead of the row that is written; index `j` of each slice is vector `j`.
struct Stencil<'a, L> {
    here: &'a [L],
    ahead: &'a [L],
    /// The left and right neighbours, in the order in which they are added.
    sides: [&'a [L]; 2],
}

/// `here` has a ghost at each end.
#[inline(always)]
fn stencil<'a, T: Float, L: Lanes<T>>(
    here: &'a [T],
    ahead: &'a [T],
    sides: [usize; 2],
    width: usize,
    vectors: usize,
) -> Stencil<'a, L::Stored> {
    let vectors_at = |start: usize| &L::stored(&here[start..start + width])[..vectors];
    Stencil {
        here: vectors_at(1),
        ahead: &L::stored(&ahead[1..=width])[..vectors],
        sides: sides.map(vectors_at),
    }
}

/// Vector `j` of a plane and its Laplacian.
#[inline(always)]
fn point<T: Float, L: Lanes<T>>(
    simd: L::Simd,
    behind: L::Stored,
    rows: &Stencil<'_, L::Stored>,
    j: usize,
) -> Point<L> {
    let [old, ahead, behind] = [rows.here[j], rows.ahead[j], behind].map(|cells| L::load(simd, cells));
    let [first, second] = rows.sides.map(|row| L::load(simd, row[j]));
    let sum = behind + ahead + first + second;
    Point { old, laplacian: sum.add_exact_product(T::MINUS_FOUR, old) }
}
