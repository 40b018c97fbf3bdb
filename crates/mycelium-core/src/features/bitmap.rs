//! A set of cells, one bit each, and the length of its boundary.

use super::profile::Connectivity;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `n` rows of `n` bits; bit `j % 64` of word `j / 64` of a row is column `j`, bits beyond `n` are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    n: usize,
    row_words: usize,
    words: Box<[u64]>,
}

impl Bitmap {
    /// An empty `n` x `n` map.
    pub fn new(n: usize) -> Self {
        let row_words = n.div_ceil(64);
        Self { n, row_words, words: vec![0; n * row_words].into_boxed_slice() }
    }

    /// Heap bytes of an `n` x `n` map.
    pub const fn bytes(n: usize) -> usize {
        n * n.div_ceil(64) * 8
    }

    /// Cells along one edge.
    pub fn side(&self) -> usize {
        self.n
    }

    /// The words of row `i`.
    pub fn row(&self, i: usize) -> &[u64] {
        &self.words[i * self.row_words..(i + 1) * self.row_words]
    }

    /// Whether row `i`, column `j` is set.
    pub fn get(&self, i: usize, j: usize) -> bool {
        self.words[i * self.row_words + j / 64] >> (j % 64) & 1 == 1
    }

    /// Sets row `i`, column `j`.
    pub fn set(&mut self, i: usize, j: usize) {
        assert!(j < self.n, "column {j} of a map with {} columns", self.n);
        self.words[i * self.row_words + j / 64] |= 1 << (j % 64);
    }

    /// Makes this the set of cells strictly above `threshold`; NaN never is.
    #[inline(always)]
    pub fn mark_above(&mut self, plane: &[f64], threshold: f64) {
        let rows = plane.chunks_exact(self.n).zip(self.words.chunks_exact_mut(self.row_words));
        for (cells, words) in rows {
            for (cells, word) in cells.chunks(64).zip(words) {
                *word = above(cells, threshold);
            }
        }
    }

    /// Number of set cells.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// Length of the boundary in cell edges by the Cauchy-Crofton formula over four directions (rows, columns,
    /// both diagonals), as `skimage.measure.perimeter_crofton(directions=4)`: exact in the mean over
    /// orientations, 5 % short for an axis-parallel square. On a torus the seam is no boundary; otherwise
    /// everything outside the grid counts as inactive.
    #[inline(always)]
    pub fn perimeter(&self, torus: bool) -> f64 {
        let last = self.n - 1;
        let mut straight = 0;
        let mut diagonal = 0;
        let mut pair = |a: Option<usize>, b: Option<usize>| {
            for k in 0..self.row_words {
                let (a0, a1) = self.with_right_neighbours(a, k, torus);
                let (b0, b1) = self.with_right_neighbours(b, k, torus);
                straight += (a0 ^ a1).count_ones() + (a0 ^ b0).count_ones();
                diagonal += (a0 ^ b1).count_ones() + (a1 ^ b0).count_ones();
            }
            if !torus {
                // The column left of the grid is inactive, and pairs with a right neighbour do not cover it.
                let first = |row: Option<usize>| row.map_or(0, |i| (self.row(i)[0] & 1) as u32);
                straight += first(a);
                diagonal += first(a) + first(b);
            }
        };
        for i in 0..last {
            pair(Some(i), Some(i + 1));
        }
        if torus {
            pair(Some(last), Some(0));
        } else {
            pair(None, Some(0));
            pair(Some(last), None);
        }
        PI / 8.0 * (f64::from(straight) + f64::from(diagonal) * FRAC_1_SQRT_2)
    }

    /// Euler number of the active set: vertices minus edges plus faces of the complex that its cells span (Gray 1971). In
    /// the plane that is components minus holes, as `skimage.measure.euler_number`. With [`Connectivity::Four`] cells are
    /// vertices that are joined by edges, and four of them in a square by a face; with [`Connectivity::Eight`] they are
    /// closed squares.
    #[inline(always)]
    pub fn euler_number(&self, connectivity: Connectivity, torus: bool) -> i64 {
        let last = self.n - 1;
        let eight = connectivity == Connectivity::Eight;
        let (mut edges, mut squares) = (0_u32, 0_u32);
        let mut pair = |a: Option<usize>, b: Option<usize>| {
            for k in 0..self.row_words {
                let (a0, a1) = self.with_right_neighbours(a, k, torus);
                let (b0, b1) = self.with_right_neighbours(b, k, torus);
                if eight {
                    edges += (a0 | a1).count_ones() + (a0 | b0).count_ones();
                    squares += (a0 | a1 | b0 | b1).count_ones();
                } else {
                    edges += (a0 & a1).count_ones() + (a0 & b0).count_ones();
                    squares += (a0 & a1 & b0 & b1).count_ones();
                }
            }
            if eight && !torus {
                // The left sides of cells in the first column, which pairs with a right neighbour do not cover.
                let first = |row: Option<usize>| row.map_or(0, |i| (self.row(i)[0] & 1) as u32);
                edges += first(a);
                squares += first(a) | first(b);
            }
        };
        for i in 0..last {
            pair(Some(i), Some(i + 1));
        }
        if torus {
            pair(Some(last), Some(0));
        } else {
            pair(None, Some(0));
            pair(Some(last), None);
        }
        self.count().cast_signed() - i64::from(edges) + i64::from(squares)
    }

    /// Word `k` of a row and the same word of the row moved one column to the left (column `j` holds `j + 1`).
    #[inline(always)]
    fn with_right_neighbours(&self, row: Option<usize>, k: usize, torus: bool) -> (u64, u64) {
        let Some(row) = row.map(|i| self.row(i)) else { return (0, 0) };
        let carry = if k + 1 < row.len() {
            row[k + 1] << 63
        } else if torus {
            (row[0] & 1) << ((self.n - 1) % 64)
        } else {
            0
        };
        (row[k], row[k] >> 1 | carry)
    }
}

/// One bit per cell, set where the cell lies strictly above the threshold.
#[inline(always)]
fn above(cells: &[f64], threshold: f64) -> u64 {
    let mut word = 0;
    let (bytes, tail) = cells.as_chunks::<8>();
    for (k, byte) in bytes.iter().enumerate() {
        let mut bits = 0;
        for (bit, &v) in byte.iter().enumerate() {
            bits |= u64::from(v > threshold) << bit;
        }
        word |= bits << (8 * k);
    }
    for (bit, &v) in tail.iter().enumerate() {
        word |= u64::from(v > threshold) << (8 * bytes.len() + bit);
    }
    word
}

/// Isoperimetric quotient `4 pi A / L^2`: 1 for a disc, small for a scattered or ragged set, 0 for an empty one.
/// Limited to 1, which sets on a torus can exceed (a band has no ends, the full torus no boundary).
pub fn compactness(area: u64, perimeter: f64) -> f64 {
    if area == 0 {
        return 0.0;
    }
    let quotient = 4.0 * PI * area as f64 / (perimeter * perimeter);
    if quotient < 1.0 { quotient } else { 1.0 }
}
