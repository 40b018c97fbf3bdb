//! Shared by the tests of the simulator: parameters by key, copies of planes, a radial spectrum.

use mycelium_core::field::Frame;
use mycelium_core::sim::{Boundary, FieldPlanes, Model, Params, Precision, RawParams, Simulator};

pub fn params(model: Model, precision: Precision, boundary: Boundary, set: &[(&str, f64)]) -> Params {
    let mut raw = RawParams::default();
    (raw.model, raw.precision, raw.boundary) = (model, precision, boundary);
    for &(key, value) in set {
        raw.set(key, value).unwrap();
    }
    raw.try_into().unwrap()
}

pub fn cells(frame: Frame<'_>) -> Vec<f64> {
    (0..frame.len()).map(|k| frame.get(k)).collect()
}

/// V, a, i.
pub fn planes(simulator: &Simulator) -> [Vec<f64>; 3] {
    let planes = simulator.planes();
    [cells(planes.v), cells(planes.a), cells(planes.i)]
}

pub fn from_planes(params: Params, [v, a, i]: &[Vec<f64>; 3]) -> Simulator {
    let state = FieldPlanes { v: Frame::F64(v), a: Frame::F64(a), i: Frame::F64(i) };
    Simulator::with_planes(params, 1, state).unwrap()
}

pub fn mean(cells: &[f64]) -> f64 {
    cells.iter().sum::<f64>() / cells.len() as f64
}

/// Mean wavelength of the strongest ring of the spectrum, cells: a plain discrete Fourier transform, power summed
/// over rings of width 1, then the centroid of the strongest ring and its two neighbours on each side.
pub fn wavelength(field: &[f64], n: usize) -> f64 {
    let angle = |k: usize| std::f64::consts::TAU * (k % n) as f64 / n as f64;
    let wave: Vec<(f64, f64)> = (0..n).map(|k| (angle(k).cos(), angle(k).sin())).collect();
    let middle = mean(field);
    let half = n / 2 + 1;
    let mut rows = vec![(0.0, 0.0); n * half];
    for row in 0..n {
        for k in 0..half {
            for col in 0..n {
                let ((x, y), v) = (wave[(col * k) % n], field[row * n + col] - middle);
                let sum: &mut (f64, f64) = &mut rows[row * half + k];
                *sum = (sum.0 + v * x, sum.1 - v * y);
            }
        }
    }
    let mut rings = vec![(0.0, 0.0); n];
    for k in 0..half {
        for l in 0..n {
            let mut sum = (0.0, 0.0);
            for row in 0..n {
                let ((x, y), (a, b)) = (wave[(row * l) % n], rows[row * half + k]);
                sum = (sum.0 + a * x + b * y, sum.1 + b * x - a * y);
            }
            let along = if l > n / 2 { n - l } else { l } as f64;
            let number = along.hypot(k as f64);
            let power = (sum.0 * sum.0 + sum.1 * sum.1) * if k == 0 { 0.5 } else { 1.0 };
            let ring = &mut rings[(number.round() as usize).min(n - 1)];
            *ring = (ring.0 + power, ring.1 + power * number);
        }
    }
    let peak = (1..n / 2).max_by(|&x, &y| rings[x].0.total_cmp(&rings[y].0)).unwrap();
    let near = &rings[peak.saturating_sub(2).max(1)..=peak + 2];
    let (power, moment) = near.iter().fold((0.0, 0.0), |sum, ring| (sum.0 + ring.0, sum.1 + ring.1));
    n as f64 * power / moment
}
