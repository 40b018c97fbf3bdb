//! Sums over the cells: energy of a frame, change between two frames, moments of a frame.
//!
//! Every sum has eight accumulators that are added in a fixed order: the result does not depend on the width of the
//! vectors.

use crate::field::Frame;

/// Accumulators of every sum.
const LANES: usize = 8;

/// Row-major index of the first cell that is NaN or infinite.
pub fn first_non_finite(frame: Frame<'_>) -> Option<usize> {
    match frame {
        Frame::F32(cells) => cells.iter().position(|v| !v.is_finite()),
        Frame::F64(cells) => cells.iter().position(|v| !v.is_finite()),
    }
}

/// The change from one frame to the next, over all cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transition {
    /// Mean of `|dV|`, mV.
    pub mean: f64,
    /// Largest `|dV|`, mV.
    pub max: f64,
    /// Root mean square of dV, mV.
    pub rms: f64,
    /// Population standard deviation of `|dV|` over the cells, mV.
    pub spread: f64,
}

/// A cell in volts; the product is formed in `f64`.
pub(super) trait Cell: Copy {
    fn millivolts(self) -> f64;
}

impl Cell for f32 {
    #[inline(always)]
    fn millivolts(self) -> f64 {
        f64::from(self) * 1000.0
    }
}

impl Cell for f64 {
    #[inline(always)]
    fn millivolts(self) -> f64 {
        self * 1000.0
    }
}

#[inline(always)]
fn total(lanes: [f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

/// Replaces `plane` (mV) by the frame and returns its energy, the sum of V^2 over the cells in mV^2.
#[inline(always)]
pub(super) fn load<T: Cell>(plane: &mut [f64], cells: &[T]) -> f64 {
    let mut energy = [0.0; LANES];
    let (old, old_tail) = plane.as_chunks_mut::<LANES>();
    let (new, new_tail) = cells.as_chunks::<LANES>();
    for (old, new) in old.iter_mut().zip(new) {
        for k in 0..LANES {
            let v = new[k].millivolts();
            old[k] = v;
            energy[k] += v * v;
        }
    }
    for (k, (old, new)) in old_tail.iter_mut().zip(new_tail).enumerate() {
        *old = new.millivolts();
        energy[k] += *old * *old;
    }
    total(energy)
}

#[derive(Clone, Copy)]
struct Lanes {
    energy: [f64; LANES],
    change: [f64; LANES],
    square: [f64; LANES],
    shifted: [f64; LANES],
    max: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, old: &mut [f64; LANES], new: [f64; LANES], pivot: f64) {
        let change: [f64; LANES] = std::array::from_fn(|k| (new[k] - old[k]).abs());
        *old = new;
        for k in 0..LANES {
            self.energy[k] += new[k] * new[k];
        }
        for k in 0..LANES {
            self.change[k] += change[k];
        }
        for k in 0..LANES {
            self.square[k] += change[k] * change[k];
        }
        for k in 0..LANES {
            self.shifted[k] += (change[k] - pivot) * (change[k] - pivot);
        }
        for k in 0..LANES {
            self.max[k] = larger(self.max[k], change[k]);
        }
    }
}

/// As [`load`], and the change since the previous frame.
#[inline(always)]
pub(super) fn load_next<T: Cell>(plane: &mut [f64], cells: &[T]) -> (f64, Transition) {
    // The spread is summed about the change of the first cell: a uniform drift cancels before it is squared.
    let pivot = (cells[0].millivolts() - plane[0]).abs();
    let zero = [0.0; LANES];
    let mut sum = Lanes { energy: zero, change: zero, square: zero, shifted: zero, max: zero };
    let (old, old_tail) = plane.as_chunks_mut::<LANES>();
    let (new, new_tail) = cells.as_chunks::<LANES>();
    for (old, new) in old.iter_mut().zip(new) {
        sum.add(old, new.map(T::millivolts), pivot);
    }
    for (k, (old, new)) in old_tail.iter_mut().zip(new_tail).enumerate() {
        let new = new.millivolts();
        let change = (new - *old).abs();
        *old = new;
        sum.energy[k] += new * new;
        sum.change[k] += change;
        sum.square[k] += change * change;
        sum.shifted[k] += (change - pivot) * (change - pivot);
        sum.max[k] = larger(sum.max[k], change);
    }
    let count = plane.len() as f64;
    let change = total(sum.change);
    let mean = change / count;
    let off = mean - pivot;
    let variance = total(sum.shifted) / count - off * off;
    let transition = Transition {
        mean,
        // NaN never wins a comparison, but it shows in the sum.
        max: if change.is_nan() { f64::NAN } else { sum.max.into_iter().fold(0.0, larger) },
        rms: (total(sum.square) / count).sqrt(),
        spread: if variance < 0.0 { 0.0 } else { variance.sqrt() },
    };
    (total(sum.energy), transition)
}

/// Location, spread and shape of one frame; mV where there is a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    /// Population standard deviation.
    pub(super) std: f64,
    /// Biased `m3 / std^3`.
    pub(super) skew: f64,
    /// Biased excess `m4 / std^4 - 3`.
    pub(super) kurt: f64,
}

/// Below this standard deviation, mV, the shape is rounding noise: skewness and kurtosis are 0, as in
/// `MyceliumFractalNet` 4.1.
const MIN_STD: f64 = 1e-10;

impl Moments {
    /// Two passes: extremes and mean, then central moments. NaN anywhere makes every location and spread NaN.
    #[inline(always)]
    pub(super) fn of(plane: &[f64]) -> Self {
        let (min, max, mean) = location(plane);
        let [m1, m2, m3, m4] = central(plane, mean);
        let variance = m2 - m1 * m1;
        let std = if variance < 0.0 { 0.0 } else { variance.sqrt() };
        let shaped = std > MIN_STD;
        Self {
            min,
            max,
            mean,
            std,
            skew: if shaped { m3 / (std * std * std) } else { 0.0 },
            kurt: if shaped { m4 / (variance * variance) - 3.0 } else { 0.0 },
        }
    }

    /// Whether cells differ by no more than the rounding of single precision: there are no two classes to separate.
    pub(super) fn is_flat(&self) -> bool {
        let range = self.max - self.min;
        let size = larger(self.max.abs(), self.min.abs());
        !range.is_finite() || range <= 1e-6 * size
    }
}

#[inline(always)]
fn location(plane: &[f64]) -> (f64, f64, f64) {
    let mut sum = [0.0; LANES];
    let mut low = [f64::INFINITY; LANES];
    let mut high = [f64::NEG_INFINITY; LANES];
    let (chunks, tail) = plane.as_chunks::<LANES>();
    for chunk in chunks {
        for k in 0..LANES {
            sum[k] += chunk[k];
        }
        for k in 0..LANES {
            low[k] = smaller(low[k], chunk[k]);
        }
        for k in 0..LANES {
            high[k] = larger(high[k], chunk[k]);
        }
    }
    for (k, &v) in tail.iter().enumerate() {
        sum[k] += v;
        low[k] = smaller(low[k], v);
        high[k] = larger(high[k], v);
    }
    let sum = total(sum);
    if sum.is_nan() {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    let min = low.into_iter().fold(f64::INFINITY, smaller);
    let max = high.into_iter().fold(f64::NEG_INFINITY, larger);
    // The mean of equal cells is exactly that value; the rounded sum may not give it.
    (min, max, if min == max { min } else { sum / plane.len() as f64 })
}

#[inline(always)]
fn central(plane: &[f64], mean: f64) -> [f64; 4] {
    let mut m = [[0.0; LANES]; 4];
    let (chunks, tail) = plane.as_chunks::<LANES>();
    for chunk in chunks {
        let d: [f64; LANES] = std::array::from_fn(|k| chunk[k] - mean);
        let square: [f64; LANES] = std::array::from_fn(|k| d[k] * d[k]);
        for k in 0..LANES {
            m[0][k] += d[k];
        }
        for k in 0..LANES {
            m[1][k] += square[k];
        }
        for k in 0..LANES {
            m[2][k] += square[k] * d[k];
        }
        for k in 0..LANES {
            m[3][k] += square[k] * square[k];
        }
    }
    for (k, &v) in tail.iter().enumerate() {
        let d = v - mean;
        let powers = [d, d * d, d * d * d, (d * d) * (d * d)];
        for (lanes, power) in m.iter_mut().zip(powers) {
            lanes[k] += power;
        }
    }
    let count = plane.len() as f64;
    m.map(|lanes| total(lanes) / count)
}
