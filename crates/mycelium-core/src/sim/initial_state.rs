//! The random start of a field, its rest state, and the values beyond a Dirichlet border.

use fastrand::Rng;

use super::float::Float;
use super::noise::Normal;
use super::params::{Model, Params};
use super::turing;

/// Resting potential and its spread over the cells of `mfn`, volts.
pub(super) const V_REST: f64 = -0.070;
const V_SPREAD: f64 = 0.005;

/// V, activator and inhibitor of a field at rest.
pub(super) fn rest(params: &Params) -> [f64; 3] {
    match params.model {
        Model::Mfn | Model::Excitable => [V_REST, 0.0, 0.0],
        Model::GrayScott => [V_REST, 0.0, 1.0],
        Model::Turing => {
            let [activator, inhibitor] = turing::rest(&params.turing);
            [V_REST, activator, inhibitor]
        }
    }
}

/// Values beyond a Dirichlet border: 0 V as in `MyceliumFractalNet` 4.1, activator and inhibitor at rest (0 in `mfn`).
pub(super) fn ghosts(params: &Params) -> [f64; 3] {
    let [_, activator, inhibitor] = rest(params);
    [0.0, activator, inhibitor]
}

/// Fills the planes with the random start of the model.
pub(super) fn fill<T: Float>(planes: [&mut [T]; 3], params: &Params, rng: &mut Rng, normal: &Normal) {
    let [v, a, i] = planes;
    match params.model {
        Model::Mfn => {
            v.fill_with(|| T::of(V_REST + V_SPREAD * normal.draw(rng)));
            a.fill_with(|| T::of(0.1 * rng.f64()));
            i.fill_with(|| T::of(0.1 * rng.f64()));
        }
        Model::Turing => {
            let [_, activator, inhibitor] = rest(params);
            a.fill_with(|| T::of(activator * (1.0 + 0.05 * normal.draw(rng))));
            i.fill_with(|| T::of(inhibitor * (1.0 + 0.05 * normal.draw(rng))));
            let volts = |a: T| V_REST + params.turing.gain_volts * (a.f64() - activator);
            v.iter_mut().zip(a.iter()).for_each(|(v, &a)| *v = T::of(volts(a)));
        }
        Model::Excitable => {
            broken_waves(a, i, params, rng);
            let volts = |a: T| V_REST + params.excitable.gain_volts * a.f64();
            v.iter_mut().zip(a.iter()).for_each(|(v, &a)| *v = T::of(volts(a)));
        }
        Model::GrayScott => {
            squares(a, i, params.grid, rng, normal);
            let volts = |a: T| V_REST + params.gray_scott.gain_volts * a.f64();
            v.iter_mut().zip(a.iter()).for_each(|(v, &a)| *v = T::of(volts(a)));
        }
    }
}

/// Edge of a square that starts a pattern, cells, and cells of grid for each of them.
const SQUARE: usize = 10;
const CELLS_PER_SQUARE: usize = 1024;

/// Squares at random places with activator 1/4 and substrate 1/2, each cell within about 1 % (Pearson 1993, who used one in the
/// middle) in a field at rest.
fn squares<T: Float>(a: &mut [T], i: &mut [T], n: usize, rng: &mut Rng, normal: &Normal) {
    a.fill(T::of(0.0));
    i.fill(T::of(1.0));
    let edge = SQUARE.min(n / 2);
    for _ in 0..(n * n / CELLS_PER_SQUARE).max(1) {
        // `u32` draws: the width of `usize` must not change the stream.
        let row = rng.u32(0..(n - edge) as u32) as usize;
        let col = rng.u32(0..(n - edge) as u32) as usize;
        for k in (row..row + edge).flat_map(|row| row * n + col..row * n + col + edge) {
            a[k] = T::of(0.25 * (1.0 + 0.01 * normal.draw(rng)));
            i[k] = T::of(0.5 * (1.0 + 0.01 * normal.draw(rng)));
        }
    }
}

/// Two smooth random fields decide which cells are excited and which are refractory. Where their zero lines cross, a
/// wave has a free end and curls up into a spiral.
fn broken_waves<T: Float>(a: &mut [T], i: &mut [T], params: &Params, rng: &mut Rng) {
    let n = params.grid;
    let excited = SmoothField::new(rng);
    let refractory = SmoothField::new(rng);
    for (k, (a, i)) in a.iter_mut().zip(i).enumerate() {
        let (x, y) = ((k % n) as f64 / n as f64, (k / n) as f64 / n as f64);
        *a = T::of(if excited.at(x, y) > 0.0 { 1.0 } else { 0.0 });
        *i = T::of(if refractory.at(x, y) > 0.0 { 0.5 * params.excitable.a } else { 0.0 });
    }
}

/// A sum of the three longest waves of the torus, as `(kx, ky, phase)` in turns.
struct SmoothField([(f64, f64, f64); 3]);

impl SmoothField {
    fn new(rng: &mut Rng) -> Self {
        Self([(1.0, 0.0, rng.f64()), (0.0, 1.0, rng.f64()), (1.0, 1.0, rng.f64())])
    }

    /// Value at `x, y` in `0..1`.
    fn at(&self, x: f64, y: f64) -> f64 {
        let wave =
            |&(kx, ky, phase): &(f64, f64, f64)| libm::cos(std::f64::consts::TAU * (kx * x + ky * y + phase));
        self.0.iter().map(wave).sum()
    }
}
