//! The wavelength of a frame, from the energy of its gradient.

use std::f64::consts::PI;

use super::moments::Moments;

const LANES: usize = 8;

/// `pi / asin(sqrt(g) / 2)` cells, where `g` is the mean square difference of neighbours, summed over rows and columns,
/// divided by the variance.
///
/// By Parseval's theorem `g` is the mean of `4 - 2 cos kx - 2 cos ky` over the power spectrum, on a torus exactly. So this
/// is the wavelength of the root mean square wavenumber, the second moment of the radial spectrum, without a Fourier
/// transform; exact for a wave along either axis. 2 to 2.8 cells and less count as 2; 0 for a flat frame.
#[inline(always)]
pub(super) fn wavelength(plane: &[f64], n: usize, torus: bool, moments: &Moments) -> f64 {
    if moments.mean.is_nan() {
        return f64::NAN;
    }
    if moments.is_flat() {
        return 0.0;
    }
    let mut lanes = [0.0; LANES];
    for (i, row) in plane.chunks_exact(n).enumerate() {
        add_squares(&mut lanes, &row[1..], &row[..n - 1]);
        let next = if i + 1 < n { i + 1 } else { 0 };
        if torus || next > 0 {
            add_squares(&mut lanes, &plane[next * n..(next + 1) * n], row);
        }
        if torus {
            let step = row[0] - row[n - 1];
            lanes[0] += step * step;
        }
    }
    let pairs = if torus { n * n } else { n * (n - 1) };
    let slope = lanes.iter().sum::<f64>() / pairs as f64 / (moments.std * moments.std);
    let sine = 0.5 * slope.sqrt();
    if sine < 1.0 { PI / libm::asin(sine) } else { 2.0 }
}

#[inline(always)]
fn add_squares(lanes: &mut [f64; LANES], a: &[f64], b: &[f64]) {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            lanes[k] += (a[k] - b[k]) * (a[k] - b[k]);
        }
    }
    for (k, (a, b)) in a_tail.iter().zip(b_tail).enumerate() {
        lanes[k] += (a - b) * (a - b);
    }
}
