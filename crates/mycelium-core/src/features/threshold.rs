//! The threshold of active cells: histogram of the frame, Otsu's method, quantiles. And the entropy of the histogram.

use std::f64::consts::LN_2;

use super::moments::Moments;
use super::profile::{Compat, FeatureProfile, Threshold};

/// Bins between the smallest and the largest cell.
const BINS: usize = 256;

/// Cells strictly above `low` are active; `med` and `high` are higher levels for counting clusters. Millivolts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) low: f64,
    pub(super) med: f64,
    pub(super) high: f64,
}

/// The three levels of `MyceliumFractalNet` 4.1.
const V41_LEVELS: Levels = Levels { low: -60.0, med: -50.0, high: -40.0 };

/// Distance between the levels of a fixed threshold, mV, as in `MyceliumFractalNet` 4.1.
const FIXED_STEP: f64 = 10.0;

impl Levels {
    /// Above every cell: nothing is active.
    const NONE: Self = Self { low: f64::INFINITY, med: f64::INFINITY, high: f64::INFINITY };

    /// The levels of a frame under a profile. `scratch` has the size of the plane if the threshold is a quantile, and is
    /// not used otherwise.
    pub(super) fn of(
        profile: &FeatureProfile,
        plane: &[f64],
        moments: &Moments,
        histogram: Option<&Histogram>,
        scratch: &mut [f64],
    ) -> Self {
        match (profile.compat, profile.threshold) {
            (Compat::V41, _) => V41_LEVELS,
            (Compat::Edge, Threshold::Fixed(mv)) => {
                Self { low: mv, med: mv + FIXED_STEP, high: mv + 2.0 * FIXED_STEP }
            }
            (Compat::Edge, Threshold::Otsu) => histogram.map_or(Self::NONE, |histogram| {
                let low = histogram.otsu();
                let rest = moments.max - low;
                Self { low, med: low + rest / 3.0, high: low + rest / 1.5 }
            }),
            (Compat::Edge, Threshold::Quantile(q)) => {
                if !moments.mean.is_finite() {
                    return Self::NONE;
                }
                scratch.copy_from_slice(plane);
                let mut at = |q| quantile(scratch, q);
                Self { low: at(q), med: at(q + (1.0 - q) / 3.0), high: at(q + (1.0 - q) / 1.5) }
            }
        }
    }
}

/// Linear interpolation between order statistics, `numpy.quantile`'s default (Hyndman and Fan's type 7).
/// Reorders the cells.
fn quantile(cells: &mut [f64], q: f64) -> f64 {
    let last = cells.len() - 1;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let k = (at as usize).min(last);
    let (_, &mut low, above) = cells.select_nth_unstable_by(k, f64::total_cmp);
    let share = at - k as f64;
    if share == 0.0 {
        return low;
    }
    let high = above.iter().fold(f64::INFINITY, |a, &b| if b < a { b } else { a });
    low + (high - low) * share
}

/// Cells in each of [`BINS`] equal bins between the smallest and the largest cell, as `numpy.histogram` has them: bins
/// include their left end, the last one both ends.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: [u32; BINS],
    edges: [f64; BINS + 1],
    cells: u32,
}

impl Histogram {
    /// `None` for a flat frame ([`Moments::is_flat`]) and for one with a non-finite cell.
    #[inline(always)]
    pub(super) fn of(plane: &[f64], moments: &Moments) -> Option<Self> {
        if moments.is_flat() {
            return None;
        }
        let (min, max) = (moments.min, moments.max);
        let width = (max - min) / BINS as f64;
        let mut edges: [f64; BINS + 1] = std::array::from_fn(|k| k as f64 * width + min);
        edges[BINS] = max;
        let scale = BINS as f64 / (max - min);
        // Four tables: neighbouring cells often share a bin, and increments of one counter have to wait for each other.
        let mut tables = [[0_u32; BINS]; 4];
        let (chunks, tail) = plane.as_chunks::<8>();
        for chunk in chunks {
            let (bins, certain) = eight_bins(min, scale, chunk);
            if certain {
                for (k, &bin) in bins.iter().enumerate() {
                    tables[k % 4][usize::from(bin)] += 1;
                }
            } else {
                for &v in chunk {
                    tables[0][bin(&edges, scale, v)] += 1;
                }
            }
        }
        for &v in tail {
            tables[0][bin(&edges, scale, v)] += 1;
        }
        let counts = std::array::from_fn(|k| tables.iter().map(|t| t[k]).sum());
        Some(Self { counts, edges, cells: plane.len() as u32 })
    }

    /// Otsu (1979): the bin centre with the largest variance between the two classes, the lowest of equals;
    /// `skimage.filters.threshold_otsu` with 256 bins.
    pub(super) fn otsu(&self) -> f64 {
        let cells = u64::from(self.cells);
        let moment: u64 = self.counts.iter().zip(0_u64..).map(|(&c, k)| u64::from(c) * k).sum();
        let (mut below, mut moment_below) = (0_u64, 0_u64);
        let (mut best, mut best_variance) = (0, -1.0);
        for (k, &count) in self.counts.iter().enumerate().take(BINS - 1) {
            below += u64::from(count);
            moment_below += u64::from(count) * k as u64;
            // Integers up to here: all bins of a gap between two peaks tie exactly, and the lowest one wins.
            let lever = (cells * moment_below).abs_diff(below * moment) as f64;
            let variance = lever * lever / (below * (cells - below)) as f64;
            if variance > best_variance {
                (best, best_variance) = (k, variance);
            }
        }
        f64::midpoint(self.edges[best], self.edges[best + 1])
    }

    /// Shannon entropy of the bin frequencies in bits, `0..=8`; `weights` as made by [`super::boxes::weights`].
    #[inline(always)]
    pub(super) fn entropy(&self, weights: &[f64]) -> f64 {
        let cells = f64::from(self.cells);
        let sum: f64 = self.counts.iter().map(|&c| weight(weights, c)).sum();
        let bits = (libm::log(cells) - sum / cells) / LN_2;
        if bits > 0.0 { bits } else { 0.0 }
    }
}

/// `c ln c`, from the table if it is long enough.
fn weight(weights: &[f64], count: u32) -> f64 {
    weights.get(count as usize).copied().unwrap_or_else(|| f64::from(count) * libm::log(f64::from(count)))
}

/// The bins of eight cells, and whether every cell lies so far from the edges of its bin that rounding cannot have put
/// it into a wrong one. Adding 1.5 * 2^52, where one unit in the last place is 1, rounds to a whole number.
#[inline(always)]
fn eight_bins(min: f64, scale: f64, cells: &[f64; 8]) -> ([u8; 8], bool) {
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    // The frame is not flat, so the rounding error of an edge is below 1e-7 of a bin.
    const MARGIN: f64 = 0.499_999;
    let place: [f64; 8] = std::array::from_fn(|k| (cells[k] - min) * scale - 0.5);
    let whole: [f64; 8] = std::array::from_fn(|k| place[k] + WHOLE);
    let off: [f64; 8] = std::array::from_fn(|k| (place[k] - (whole[k] - WHOLE)).abs());
    let mut furthest = off[0];
    for k in 1..8 {
        furthest = if off[k] > furthest { off[k] } else { furthest };
    }
    (std::array::from_fn(|k| whole[k].to_bits() as u8), furthest < MARGIN)
}

/// The bin of a finite cell within the edges. The product can be wrong by a rounding; the comparisons correct it.
#[inline(always)]
fn bin(edges: &[f64; BINS + 1], scale: f64, v: f64) -> usize {
    let guess = (((v - edges[0]) * scale) as usize).min(BINS - 1);
    let low = guess - usize::from(v < edges[guess] && guess > 0);
    low + usize::from(v >= edges[low + 1] && low < BINS - 1)
}
