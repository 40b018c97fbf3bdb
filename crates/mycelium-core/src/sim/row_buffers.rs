//! Memory of a field: planes that begin with a cache line, and the old rows that are still needed while the planes are
//! updated in place.

use std::ops::{Deref, DerefMut};

use super::float::Float;
use super::params::Boundary;
use crate::field::GRID_SIDE;

/// Bytes of a cache line: a vector that lies across two of them costs two accesses, a tenth of the step.
const LINE: usize = 64;

/// Cells that begin with a cache line.
#[derive(Debug)]
pub(super) struct AlignedVec<T> {
    cells: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Clone> AlignedVec<T> {
    /// Heap bytes for `len` cells.
    pub(super) const fn heap(len: usize) -> usize {
        len * size_of::<T>() + LINE
    }

    pub(super) fn new(len: usize, value: T) -> Self {
        let spare = LINE / size_of::<T>();
        let cells = vec![value; len + spare];
        let start = cells.as_ptr().align_offset(LINE).min(spare);
        Self { cells, start, len }
    }
}

impl<T: Clone> Clone for AlignedVec<T> {
    /// The copy lies elsewhere, so it begins elsewhere.
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

/// Where in its part of [`RowBuffer`] a row has its left ghost; its first cell begins a cache line in both precisions.
const GHOST: usize = LINE / 4 - 1;
/// Cells from a row of one plane to that of the next: the longest row and its ghosts, in whole cache lines. One
/// number for all grids, so that the three rows are one pointer to the row loop: with a pointer for each it runs out
/// of registers.
const STRIDE: usize = 544;
const _: () = assert!(STRIDE >= GHOST + 2 + *GRID_SIDE.end() && STRIDE.is_multiple_of(LINE / 4));

/// One row of V, activator and inhibitor, each with a ghost cell at both ends.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct RowBuffer<T>([T; 3 * STRIDE]);

impl<T: Float> RowBuffer<T> {
    /// All cells and ghosts of a plane have its value of `ghosts`.
    fn new(ghosts: [T; 3]) -> Self {
        Self(std::array::from_fn(|cell| ghosts[cell / STRIDE]))
    }

    /// The row of plane `k`, `n` cells and their ghosts.
    #[inline(always)]
    pub(super) fn row(&self, k: usize, n: usize) -> &[T] {
        &self.0[k * STRIDE + GHOST..(k + 1) * STRIDE][..n + 2]
    }

    /// The three rows, `n` cells each, without their ghosts.
    #[inline(always)]
    pub(super) fn cells_mut(&mut self, n: usize) -> [&mut [T]; 3] {
        let (v, rest) = self.0.split_at_mut(STRIDE);
        let (a, i) = rest.split_at_mut(STRIDE);
        [&mut v[GHOST + 1..][..n], &mut a[GHOST + 1..][..n], &mut i[GHOST + 1..][..n]]
    }

    /// Sets the ghosts of rows that hold, or will hold, the cells of `from`; with Dirichlet borders they never change.
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

/// The old rows around one that is written.
pub(super) struct Neighbourhood<'a, T> {
    pub(super) before: &'a RowBuffer<T>,
    pub(super) here: &'a RowBuffer<T>,
    pub(super) after: [&'a [T]; 3],
    /// To be filled with what is in `after`; its ghosts are there already.
    pub(super) next: &'a mut RowBuffer<T>,
}

/// The rows before, at and after the one that is written, and what lies below the last.
#[derive(Clone, Debug)]
pub(super) struct RollingRows<T> {
    before: Box<RowBuffer<T>>,
    here: Box<RowBuffer<T>>,
    /// Filled by the row loop, which reads that row anyway.
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

    /// Before the first [`RollingRows::advance`]: what lies above and below the planes, and row 0.
    pub(super) fn start(&mut self, planes: [&[T]; 3], boundary: Boundary) {
        let n = self.below[0].len();
        let top = planes.map(|plane| &plane[..n]);
        let bottom = planes.map(|plane| &plane[plane.len() - n..]);
        self.next.load(top, boundary);
        let (above, below) = match boundary {
            Boundary::Periodic => (bottom, top),
            Boundary::Neumann => (top, bottom),
            Boundary::Dirichlet => {
                // Ghosts, since nothing else is ever put there.
                let outside = self.below.each_ref().map(Vec::as_slice);
                return self.here.load(outside, boundary);
            }
        };
        self.here.load(above, boundary);
        for (row, below) in self.below.iter_mut().zip(below) {
            row.copy_from_slice(below);
        }
    }

    /// Moves on by one row. `ahead` is what follows the new row in each plane.
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

    fn begins_a_line<T>(cells: &[T]) -> bool {
        cells.as_ptr().align_offset(LINE) == 0
    }

    #[test]
    fn planes_and_old_rows_begin_with_a_cache_line_and_so_do_their_copies() {
        let plane = AlignedVec::new(100, 1.5_f32);
        let mut rows = Box::new(RowBuffer::new([0.0_f64; 3]));
        let mut narrow = Box::new(RowBuffer::new([0.0_f32; 3]));
        for _ in 0..8 {
            let copy = plane.clone();
            assert!(begins_a_line(&plane) && begins_a_line(&copy));
            assert_eq!(*copy, [1.5; 100]);
            rows = rows.clone();
            narrow = narrow.clone();
            assert!(rows.cells_mut(9).iter().all(|row| begins_a_line(row)));
            assert!(narrow.cells_mut(9).iter().all(|row| begins_a_line(row)));
        }
    }
}
