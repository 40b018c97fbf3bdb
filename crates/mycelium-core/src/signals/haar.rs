//! PURE. Variances of the Haar wavelet coefficients of the samples of a window, octave by octave, and their scaling.

use super::window::BANDS;

/// Fewest coefficients of an octave that is used for the scaling exponent.
const MIN_COEFFICIENTS: u32 = 4;
/// Fewest octaves for the scaling exponent.
const MIN_OCTAVES: usize = 3;

/// Pairs of neighbours give a difference (a coefficient of this octave) and a sum (a sample of the next octave).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HaarCascade {
    /// Samples pushed. Octave k waits for the second half of a pair if bit k is set, and has had `samples >> (k + 1)`
    /// pairs.
    samples: u32,
    /// First halves.
    waiting: [f64; BANDS],
    /// Sums of squared coefficients.
    squares: [f64; BANDS],
}

impl HaarCascade {
    /// Adds a sample, as its distance from the first one: large offsets would cost precision.
    pub(super) fn push(&mut self, distance: f64) {
        let mut sum = distance;
        for k in 0..BANDS {
            if self.samples >> k & 1 == 0 {
                self.waiting[k] = sum;
                break;
            }
            let difference = (sum - self.waiting[k]) * std::f64::consts::FRAC_1_SQRT_2;
            self.squares[k] += difference * difference;
            sum = (sum + self.waiting[k]) * std::f64::consts::FRAC_1_SQRT_2;
        }
        self.samples = self.samples.wrapping_add(1);
    }

    fn coefficients(&self, octave: usize) -> u32 {
        self.samples >> (octave + 1)
    }

    /// Mean square of the orthonormal coefficients of an octave.
    fn mean_square(&self, octave: usize) -> Option<f64> {
        let coefficients = self.coefficients(octave);
        (coefficients > 0).then(|| self.squares[octave] / f64::from(coefficients))
    }

    /// Part of the variance that variations over 2^k to 2^(k+1) samples have (k from 0): the wavelet variance of Percival
    /// (1995).
    pub(super) fn band_energy(&self) -> [Option<f64>; BANDS] {
        std::array::from_fn(|k| Some(self.mean_square(k)? / f64::from(2 << k)))
    }

    /// From the slope of log2 of the mean squares over the octaves, weighted by their numbers of coefficients:
    /// (slope + 1) / 2.
    pub(super) fn hurst(&self) -> Option<f64> {
        let used = || {
            (0..BANDS).filter(|&k| self.coefficients(k) >= MIN_COEFFICIENTS).filter_map(|k| {
                let square = self.mean_square(k).filter(|&square| square > 0.0)?;
                Some((f64::from(self.coefficients(k)), k as f64, libm::log2(square)))
            })
        };
        if used().count() < MIN_OCTAVES {
            return None;
        }
        let total: f64 = used().map(|(weight, ..)| weight).sum();
        let mean_x = used().map(|(weight, x, _)| weight * x).sum::<f64>() / total;
        let mean_y = used().map(|(weight, _, y)| weight * y).sum::<f64>() / total;
        let mixed: f64 = used().map(|(weight, x, y)| weight * (x - mean_x) * (y - mean_y)).sum();
        let squares: f64 = used().map(|(weight, x, _)| weight * (x - mean_x) * (x - mean_x)).sum();
        Some(f64::midpoint(mixed / squares, 1.0))
    }
}
