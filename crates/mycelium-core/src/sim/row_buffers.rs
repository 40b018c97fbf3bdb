//! Memory of a field: planes aligned to cache lines, and copies of the old rows that a sweep still needs while it
//! updates the planes in place.

use std::ops::{Deref, DerefMut};

use super::float::Float;
use super::params::Boundary;
use crate::field::GRID_SIDE;

/// Planes and rows start on a cache line: a vector that straddles two costs two accesses, a tenth of the step.
const CACHE_LINE_BYTES: usize = 64;

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

/// Index of the left ghost within the part of [`RowBuffer`] of one plane: the cell after it is on a cache line in both
/// precisions.
const GHOST: usize = CACHE_LINE_BYTES / 4 - 1;
/// Cells from a row of one plane to that of the next: the longest row and its ghosts, in whole cache lines. The same
/// for all grids, so that the row loop addresses three rows by one pointer; with three it runs out of registers.
const STRIDE: usize = 544;
const _: () = assert!(STRIDE >= GHOST + 2 + *GRID_SIDE.end() && STRIDE.is_multiple_of(CACHE_LINE_BYTES / 4));

/// One row of V, activator and inhibitor, each with a ghost cell at both ends.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct RowBuffer<T>([T; 3 * STRIDE]);

impl<T: Float> RowBuffer<T> {
    /// Fills cells and ghosts of each plane with its value of `ghosts`.
    fn new(ghosts: [T; 3]) -> Self {
        Self(std::array::from_fn(|cell| ghosts[cell / STRIDE]))
    }

    /// The row of plane `k`: `n` cells between their two ghosts.
    #[inline(always)]
    pub(super) fn row(&self, k: usize, n: usize) -> &[T] {
        &self.0[k * STRIDE + GHOST..(k + 1) * STRIDE][..n + 2]
    }

    /// The three rows of `n` cells, without ghosts.
    #[inline(always)]
    pub(super) fn cells_mut(&mut self, n: usize) -> [&mut [T]; 3] {
        let (v, rest) = self.0.split_at_mut(STRIDE);
        let (a, i) = rest.split_at_mut(STRIDE);
        [&mut v[GHOST + 1..][..n], &mut a[GHOST + 1..][..n], &mut i[GHOST + 1..][..n]]
    }

    /// Sets the ghosts for rows with the cells of `from`, which may be copied in later. Dirichlet ghosts never change.
    fn fill_ghosts(&mut self, from: [&[T]; 3], boundary: Boundary) {
        let n = from[0].len();
        let (left, right) = match boundary {
            Boundary::Periodic => (n - 1, 0),
            Boundary::Neumann => (0, n - 1),
            Boundary::Dirichlet => return,
        };
        for (row, from) in self.0.chunks_exact_mut(STRIDE).zip(from) {
            (row[GHOST], row[GHOST + n + 1]) = (from[left], from[right]);
        }
    }

    fn load(&mut self, from: [&[T]; 3], boundary: Boundary) {
        self.fill_ghosts(from, boundary);
        for (row, from) in self.cells_mut(from[0].len()).into_iter().zip(from) {
            row.copy_from_slice(from);
        }
    }
}

/// The old rows that the new values of one row depend on.
pub(super) struct Neighbourhood<'a, T> {
    pub(super) before: &'a RowBuffer<T>,
    pub(super) here: &'a RowBuffer<T>,
    pub(super) after: [&'a [T]; 3],
    /// The row loop copies `after` into it; its ghosts are set already.
    pub(super) next: &'a mut RowBuffer<T>,
}

/// The old rows before, at and after the row being written, and the row below the last.
#[derive(Clone, Debug)]
pub(super) struct RollingRows<T> {
    before: Box<RowBuffer<T>>,
    here: Box<RowBuffer<T>>,
    /// Filled by the row loop while it reads the row after the current one.
    next: Box<RowBuffer<T>>,
    below: [Vec<T>; 3],
}

impl<T: Float> RollingRows<T> {
    /// Heap bytes for rows of `n` cells.
    pub(super) const fn heap(n: usize) -> usize {
        3 * (size_of::<RowBuffer<T>>() + n * size_of::<T>())
    }

    /// `ghosts` are the values beyond the edge under [`Boundary::Dirichlet`].
    pub(super) fn new(n: usize, ghosts: [T; 3]) -> Self {
        let [before, here, next] = std::array::from_fn(|_| Box::new(RowBuffer::new(ghosts)));
        Self { before, here, next, below: ghosts.map(|ghost| vec![ghost; n]) }
    }

    /// Prepares a sweep: the rows above and below the planes, and row 0. Call before the first
    /// [`RollingRows::advance`].
    pub(super) fn start(&mut self, planes: [&[T]; 3], boundary: Boundary) {
        let n = self.below[0].len();
        let top = planes.map(|plane| &plane[..n]);
        let bottom = planes.map(|plane| &plane[plane.len() - n..]);
        self.next.load(top, boundary);
        let (above, below) = match boundary {
            Boundary::Periodic => (bottom, top),
            Boundary::Neumann => (top, bottom),
            Boundary::Dirichlet => {
                // `below` keeps the ghost values it was made with.
                let outside = self.below.each_ref().map(Vec::as_slice);
                return self.here.load(outside, boundary);
            }
        };
        self.here.load(above, boundary);
        for (row, below) in self.below.iter_mut().zip(below) {
            row.copy_from_slice(below);
        }
    }

    /// Moves to the next row. `ahead` holds the cells of each plane after that row.
    pub(super) fn advance<'a>(&'a mut self, ahead: [&'a [T]; 3], boundary: Boundary) -> Neighbourhood<'a, T> {
        let Self { before, here, next, below } = self;
        std::mem::swap(before, here);
        std::mem::swap(here, next);
        let n = below[0].len();
        let after = if ahead[0].is_empty() {
            below.each_ref().map(Vec::as_slice)
        } else {
            ahead.map(|rows| &rows[..n])
        };
        next.fill_ghosts(after, boundary);
        Neighbourhood { before, here, after, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aligned<T>(cells: &[T]) -> bool {
        cells.as_ptr().align_offset(CACHE_LINE_BYTES) == 0
    }

    #[test]
    fn planes_row_buffers_and_their_clones_are_aligned_to_cache_lines() {
        let plane = AlignedVec::new(100, 1.5_f32);
        let mut rows = Box::new(RowBuffer::new([0.0_f64; 3]));
        let mut narrow = Box::new(RowBuffer::new([0.0_f32; 3]));
        for _ in 0..8 {
            let copy = plane.clone();
            assert!(is_aligned(&plane) && is_aligned(&copy));
            assert_eq!(*copy, [1.5; 100]);
            rows = rows.clone();
            narrow = narrow.clone();
            assert!(rows.cells_mut(9).iter().all(|row| is_aligned(row)));
            assert!(narrow.cells_mut(9).iter().all(|row| is_aligned(row)));
        }
    }
}
