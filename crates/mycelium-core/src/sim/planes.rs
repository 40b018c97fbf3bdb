//! Memory of a field: its three planes with the ghost cells around them, in the form that a sweep steps in place.
//!
//! One allocation is divided into slots. A slot holds one row of V, one of the activator and one of the inhibitor; each
//! starts on a cache line and lies between two ghost cells, which hold what the boundary says is beside it. A sweep writes
//! every new row into the slot of the old row before it, whose last reader that new row is. So the field needs neither a
//! second copy nor buffers for old rows: it moves by one slot in a step, towards the first slot in one step and back in
//! the next. Besides the rows there are three slots: the rows beyond both edges, and the one that is free to move into.

use std::ops::{Deref, DerefMut};

use super::float::Float;
use super::params::Boundary;
use super::plane_copy::PlaneCopy;

/// Planes and rows start on a cache line: a vector that straddles two costs two accesses.
const CACHE_LINE_BYTES: usize = 64;

/// Slots besides one for each row.
const SPARE_SLOTS: usize = 3;

/// A fixed number of cells that start on a cache line.
#[derive(Debug)]
pub(super) struct AlignedVec<T> {
    cells: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Clone> AlignedVec<T> {
    /// Heap bytes for `len` cells.
    pub(super) const fn heap(len: usize) -> usize {
        len * size_of::<T>() + CACHE_LINE_BYTES
    }

    pub(super) fn new(len: usize, value: T) -> Self {
        let spare = CACHE_LINE_BYTES / size_of::<T>();
        let cells = vec![value; len + spare];
        let start = cells.as_ptr().align_offset(CACHE_LINE_BYTES).min(spare);
        Self { cells, start, len }
    }
}

impl<T: Clone> Clone for AlignedVec<T> {
    /// A derived clone would keep `start`, but the new allocation is aligned differently.
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len, self[0].clone());
        copy.clone_from_slice(self);
        copy
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.cells[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.cells[self.start..self.start + self.len]
    }
}

/// Sizes of a slot, cells.
#[derive(Clone, Copy, Debug)]
struct SlotLayout {
    n: usize,
    /// Cells of a row in whole vectors of any instruction set.
    width: usize,
}

impl SlotLayout {
    /// Cells of a cache line: the distance of a row from the row before it, of which two cells are ghosts.
    const fn pad<T>() -> usize {
        CACHE_LINE_BYTES / size_of::<T>()
    }

    const fn new<T>(n: usize) -> Self {
        Self { n, width: n.next_multiple_of(Self::pad::<T>()) }
    }

    /// From a row of one plane to that of the next.
    const fn stride<T>(self) -> usize {
        self.width + Self::pad::<T>()
    }

    const fn slot<T>(self) -> usize {
        3 * self.stride::<T>() + Self::pad::<T>()
    }

    /// Index of the left ghost of plane `k`.
    const fn ghost<T>(self, k: usize) -> usize {
        k * self.stride::<T>() + Self::pad::<T>() - 1
    }
}

/// The planes V, activator and inhibitor, at index 0, 1, 2 here and in all arrays of three. Ghost columns are always up to
/// date; a sweep sets the ghost rows.
#[derive(Clone, Debug)]
pub(super) struct Planes<T: Float> {
    slots: AlignedVec<T>,
    layout: SlotLayout,
    /// Slot of row 0: 1 after a sweep that went down, 2 after one that went up.
    first: usize,
    boundary: Boundary,
    /// Cells that the left and the right ghost of a row repeat, counted from the cell before the left ghost. That cell holds
    /// what is outside under [`Boundary::Dirichlet`], in every row.
    repeated: [usize; 2],
    /// What a cell of a row adds to a count: 1, and 0 in the rest of its last vector.
    weights: AlignedVec<T::Count>,
    copies: [PlaneCopy<T>; 3],
}

/// What a sweep reads and writes for one row. Every slice starts at the left ghost of a plane and is longer than a row of
/// whole vectors with both ghosts; all have the same length, so that the row loop checks it once.
pub(super) struct Neighbourhood<'a, T: Float> {
    /// The old row on the side where the sweep comes from, to be replaced by the new row.
    pub(super) behind: [&'a mut [T]; 3],
    /// The old row itself.
    pub(super) here: [&'a [T]; 3],
    /// The old row on the other side.
    pub(super) ahead: [&'a [T]; 3],
}

/// The slots around the rows of a sweep, in its order.
pub(super) struct SweepRows<'a, T: Float> {
    slots: &'a mut [T],
    layout: SlotLayout,
    repeated: [usize; 2],
    down: bool,
    pub(super) weights: &'a [T::Count],
}

impl<T: Float> SweepRows<'_, T> {
    /// Calls `step` for the `k`th row of the sweep, and sets the ghosts of the row that it wrote.
    #[inline(always)]
    pub(super) fn step(&mut self, k: usize, step: impl FnOnce(Neighbourhood<'_, T>)) {
        let Self { slots, layout, repeated, down, .. } = self;
        let size = layout.slot::<T>();
        // Row 0 is in slot 2 on the way down, with its rows from the first; in slot 1 on the way up, with them from the last.
        let (behind, here, ahead) = if *down {
            let (behind, rest) = slots[(k + 1) * size..].split_at_mut(size);
            let (here, ahead) = rest.split_at(size);
            (behind, here, ahead)
        } else {
            let (rest, behind) = slots[(layout.n - 1 - k) * size..].split_at_mut(2 * size);
            let (ahead, here) = rest.split_at(size);
            (behind, here, ahead)
        };
        step(Neighbourhood {
            behind: rows_mut(behind, *layout),
            here: rows(here, *layout),
            ahead: rows(ahead, *layout),
        });
        fill_ghost_columns(behind, *layout, *repeated);
    }
}

#[inline(always)]
fn rows<T>(slot: &[T], layout: SlotLayout) -> [&[T]; 3] {
    let stride = layout.stride::<T>();
    let (v, rest) = slot[layout.ghost::<T>(0)..].split_at(stride);
    let (a, rest) = rest.split_at(stride);
    [v, a, &rest[..stride]]
}

#[inline(always)]
fn rows_mut<T>(slot: &mut [T], layout: SlotLayout) -> [&mut [T]; 3] {
    let stride = layout.stride::<T>();
    let (v, rest) = slot[layout.ghost::<T>(0)..].split_at_mut(stride);
    let (a, rest) = rest.split_at_mut(stride);
    [v, a, &mut rest[..stride]]
}

impl<T: Float> Planes<T> {
    /// Heap bytes for a grid of edge `n`, until activator or inhibitor are first read in one piece.
    pub(super) const fn heap(n: usize) -> usize {
        let layout = SlotLayout::new::<T>(n);
        let slots = AlignedVec::<T>::heap(layout.slot::<T>() * (n + SPARE_SLOTS));
        slots + AlignedVec::<T::Count>::heap(layout.width) + n * n * size_of::<T>()
    }

    /// Planes of `n * n` cells with the values of `fill`.
    pub(super) fn new(n: usize, boundary: Boundary, fill: [T; 3], outside: [T; 3]) -> Self {
        let layout = SlotLayout::new::<T>(n);
        let mut weights = AlignedVec::new(layout.width, T::one_if(true));
        weights[n..].fill(T::one_if(false));
        let mut slots = AlignedVec::new(layout.slot::<T>() * (n + SPARE_SLOTS), outside[0]);
        for slot in slots.chunks_exact_mut(layout.slot::<T>()) {
            for (k, outside) in outside.into_iter().enumerate() {
                slot[layout.ghost::<T>(k) - 1..][..n + 3].fill(outside);
            }
        }
        let repeated = match boundary {
            Boundary::Periodic => [n + 1, 2],
            Boundary::Neumann => [2, n + 1],
            Boundary::Dirichlet => [0, 0],
        };
        // V is read after every few steps, the others hardly ever.
        let copies = [n * n, 0, 0].map(|len| PlaneCopy::new(len, outside[0]));
        let mut planes = Self { slots, layout, first: 1, boundary, repeated, weights, copies };
        for row in 0..n {
            planes.edit_row(row, |cells| cells.into_iter().zip(fill).for_each(|(cells, x)| cells.fill(x)));
        }
        planes
    }

    /// Cells along one edge.
    pub(super) fn n(&self) -> usize {
        self.layout.n
    }

    pub(super) fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// Row `row` of plane `k`.
    #[inline(always)]
    pub(super) fn row(&self, k: usize, row: usize) -> &[T] {
        let at = (self.first + row) * self.layout.slot::<T>() + self.layout.ghost::<T>(k) + 1;
        &self.slots[at..at + self.layout.n]
    }

    /// Changes row `row` of the three planes.
    pub(super) fn edit_row(&mut self, row: usize, edit: impl FnOnce([&mut [T]; 3])) {
        self.discard_copies();
        let Self { layout, first, repeated, .. } = *self;
        let slot = self.slot(first + row);
        edit(rows_mut(slot, layout).map(|cells| &mut cells[1..=layout.n]));
        fill_ghost_columns(slot, layout, repeated);
    }

    /// Copies the planes of a field of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        for row in 0..self.layout.n {
            self.edit_row(row, |cells| {
                cells.into_iter().enumerate().for_each(|(k, cells)| cells.copy_from_slice(other.row(k, row)));
            });
        }
    }

    /// Plane `k` in one piece, row by row.
    pub(super) fn cells(&self, k: usize) -> &[T] {
        self.copies[k].get(|cells| {
            cells.reserve_exact(self.layout.n * self.layout.n);
            (0..self.layout.n).for_each(|row| cells.extend_from_slice(self.row(k, row)));
        })
    }

    fn slot(&mut self, slot: usize) -> &mut [T] {
        let size = self.layout.slot::<T>();
        &mut self.slots[slot * size..(slot + 1) * size]
    }

    /// Sets the rows beyond both edges. Call before [`Planes::sweep_rows`].
    #[inline(never)]
    pub(super) fn fill_ghost_rows(&mut self) {
        let size = self.layout.slot::<T>();
        let (top, bottom) = (self.first, self.first + self.layout.n - 1);
        let (above, below) = match self.boundary {
            Boundary::Periodic => (bottom, top),
            Boundary::Neumann => (top, bottom),
            Boundary::Dirichlet => {
                let layout = self.layout;
                for slot in [top - 1, bottom + 1] {
                    for row in [0, 1, 2].map(|k| layout.ghost::<T>(k) - 1) {
                        let row = &mut self.slot(slot)[row..][..layout.n + 3];
                        row.fill(row[0]);
                    }
                }
                return;
            }
        };
        for (to, from) in [(top - 1, above), (bottom + 1, below)] {
            self.slots.copy_within(from * size..(from + 1) * size, to * size);
        }
    }

    /// The rows of a sweep.
    pub(super) fn sweep_rows(&mut self) -> SweepRows<'_, T> {
        let Self { slots, layout, first, repeated, weights, .. } = self;
        SweepRows { slots, layout: *layout, repeated: *repeated, down: *first == 2, weights }
    }

    /// Ends a sweep over all rows: the field has moved by one slot.
    #[inline(never)]
    pub(super) fn finish_sweep(&mut self) {
        self.first = 3 - self.first;
        self.discard_copies();
    }

    #[inline(never)]
    fn discard_copies(&mut self) {
        self.copies.iter_mut().for_each(PlaneCopy::discard);
    }
}

/// Sets the cells beside the rows of one slot.
#[inline(always)]
fn fill_ghost_columns<T: Float>(slot: &mut [T], layout: SlotLayout, [left, right]: [usize; 2]) {
    for k in 0..3 {
        let row = &mut slot[layout.ghost::<T>(k) - 1..][..layout.n + 3];
        (row[1], row[layout.n + 2]) = (row[left], row[right]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aligned<T>(cells: &[T]) -> bool {
        cells.as_ptr().align_offset(CACHE_LINE_BYTES) == 0
    }

    #[test]
    fn rows_of_every_plane_and_of_clones_are_aligned_to_cache_lines() {
        fn check<T: Float>(n: usize) {
            let outside = [T::of(0.0); 3];
            let mut planes = Planes::new(n, Boundary::Periodic, [1.5, 2.5, 3.5].map(T::of), outside);
            for _ in 0..8 {
                planes = planes.clone();
                for (k, want) in [1.5, 2.5, 3.5].into_iter().enumerate() {
                    for row in 0..n {
                        assert!(is_aligned(planes.row(k, row)), "row {row} of plane {k} of {n}");
                        assert!(planes.row(k, row).iter().all(|x| x.f64() == want));
                    }
                }
            }
        }
        for n in [8, 9, 16, 17, 100] {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    /// Mutants seen red: the direction not turned, the ghost rows of a torus swapped.
    #[test]
    fn a_sweep_sees_the_old_rows_around_every_row_in_both_directions() {
        const N: usize = 9;
        let value = |k: usize, row: usize, col: usize| (1000 * k + 100 * row + col) as f32;
        let mut planes = Planes::new(N, Boundary::Periodic, [0.0_f32; 3], [0.0; 3]);
        for row in 0..N {
            planes.edit_row(row, |cells| {
                for (k, cells) in cells.into_iter().enumerate() {
                    cells.iter_mut().enumerate().for_each(|(col, x)| *x = value(k, row, col));
                }
            });
        }
        for shift in 0..4_usize {
            // Every sweep moves the pattern by one column, so that new rows differ from old ones.
            let old = |k: usize, row: usize, col: usize| value(k, row % N, (col + shift) % N);
            planes.fill_ghost_rows();
            let mut rows = planes.sweep_rows();
            for position in 0..N {
                let row = if shift % 2 == 1 { position } else { N - 1 - position };
                rows.step(position, |Neighbourhood { behind, here, ahead }| {
                    for (k, (behind, (here, ahead))) in
                        behind.into_iter().zip(here.into_iter().zip(ahead)).enumerate()
                    {
                        for col in 0..N {
                            let mut sides = [behind[col + 1], ahead[col + 1]];
                            sides.sort_by(f32::total_cmp);
                            let mut want = [old(k, row + 1, col), old(k, row + N - 1, col)];
                            want.sort_by(f32::total_cmp);
                            assert_eq!(sides, want, "above and below {row}, {col}");
                            assert_eq!(here[col..col + 3], [N - 1, 0, 1].map(|side| old(k, row, col + side)));
                            behind[col + 1] = here[col + 2];
                        }
                    }
                });
            }
            planes.finish_sweep();
        }
    }
}
