//! A borrowed frame of the field in the precision in which it was computed, and the size of a grid.

/// Cells along one edge of a field. Buffers are sized for the largest at the start; beyond it, a step takes longer than
/// the default tick on the smallest boards this is built for.
pub const GRID_SIDE: std::ops::RangeInclusive<usize> = 8..=512;

/// `n * n` cells of V, row by row, volts.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
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

    /// Whether there are no cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cell `k`, row by row, volts.
    pub fn get(&self, k: usize) -> f64 {
        match self {
            Self::F32(cells) => f64::from(cells[k]),
            Self::F64(cells) => cells[k],
        }
    }
}
