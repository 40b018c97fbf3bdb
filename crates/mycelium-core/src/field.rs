//! A borrowed plane of the field, in the precision it was computed in.

use std::ops::RangeInclusive;

/// Cells along one edge of a field. Buffers are sized for the largest at the start; beyond it, a step takes longer than
/// the default tick on the smallest boards this is built for.
pub const GRID_SIDE: RangeInclusive<usize> = 8..=512;

/// Row-major `n * n` cells, volts.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Frame<'_> {
    /// Number of cells.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(cells) => cells.len(),
            Self::F64(cells) => cells.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cell `k` in row-major order, volts.
    pub fn get(&self, k: usize) -> f64 {
        match self {
            Self::F32(cells) => f64::from(cells[k]),
            Self::F64(cells) => cells[k],
        }
    }
}
