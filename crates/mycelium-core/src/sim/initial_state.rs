//! The random start of a field, its rest state, and the values beyond a Dirichlet border.

use fastrand::Rng;

use super::float::Float;
use super::noise::Normal;
use super::params::{Model, Params};
use super::planes::Planes;
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
pub(super) fn fill<T: Float>(planes: &mut Planes<T>, params: &Params, rng: &mut Rng, normal: &Normal) {
    let [volts, activator, inhibitor] = rest(params);
    match params.model {
        Model::Mfn => {
            fill_plane(planes, 0, &mut |_, _| V_REST + V_SPREAD * normal.draw(rng));
            fill_plane(planes, 1, &mut |_, _| 0.1 * rng.f64());
            fill_plane(planes, 2, &mut |_, _| 0.1 * rng.f64());
        }
        Model::Turing => {
            fill_plane(planes, 1, &mut |_, _| activator * (1.0 + 0.05 * normal.draw(rng)));
            fill_plane(planes, 2, &mut |_, _| inhibitor * (1.0 + 0.05 * normal.draw(rng)));
            follow(planes, &|a| volts + params.turing.gain_volts * (a - activator));
        }
        Model::Excitable => {
            broken_waves(planes, params, rng);
            follow(planes, &|a| volts + params.excitable.gain_volts * a);
        }
        Model::GrayScott => {
            fill_plane(planes, 1, &mut |_, _| activator);
            fill_plane(planes, 2, &mut |_, _| inhibitor);
            squares(planes, rng, normal);
            follow(planes, &|a| volts + params.gray_scott.gain_volts * a);
        }
    }
}

/// Fills plane `k`, row by row, with the values of `value` at a row and a column.
#[inline(never)]
// Dynamic, here and below: a start is not hot, and a copy for each closure is large.
fn fill_plane<T: Float>(planes: &mut Planes<T>, k: usize, value: &mut dyn FnMut(usize, usize) -> f64) {
    for row in 0..planes.n() {
        planes.edit_row(row, |cells| {
            cells[k].iter_mut().enumerate().for_each(|(col, cell)| *cell = T::of(value(row, col)));
        });
    }
}

/// Sets V to `volts` of the activator.
#[inline(never)]
fn follow<T: Float>(planes: &mut Planes<T>, volts: &dyn Fn(f64) -> f64) {
    for row in 0..planes.n() {
        planes.edit_row(row, |[v, a, _]| v.iter_mut().zip(a).for_each(|(v, a)| *v = T::of(volts(a.f64()))));
    }
}

/// Edge of a square that starts a pattern, cells, and cells of grid for each of them.
const SQUARE: usize = 10;
const CELLS_PER_SQUARE: usize = 1024;

/// Squares at random places with activator 1/4 and substrate 1/2, each cell within about 1 % (Pearson 1993, who used one in the
/// middle).
fn squares<T: Float>(planes: &mut Planes<T>, rng: &mut Rng, normal: &Normal) {
    let n = planes.n();
    let edge = SQUARE.min(n / 2);
    for _ in 0..(n * n / CELLS_PER_SQUARE).max(1) {
        // `u32` draws: the width of `usize` must not change the stream.
        let top = rng.u32(0..(n - edge) as u32) as usize;
        let left = rng.u32(0..(n - edge) as u32) as usize;
        for row in top..top + edge {
            planes.edit_row(row, |[_, a, i]| {
                for col in left..left + edge {
                    a[col] = T::of(0.25 * (1.0 + 0.01 * normal.draw(rng)));
                    i[col] = T::of(0.5 * (1.0 + 0.01 * normal.draw(rng)));
                }
            });
        }
    }
}

/// Two smooth random fields decide which cells are excited and which are refractory. Where their zero lines cross, a
/// wave has a free end and curls up into a spiral.
fn broken_waves<T: Float>(planes: &mut Planes<T>, params: &Params, rng: &mut Rng) {
    let n = params.grid as f64;
    let excited = SmoothField::new(rng);
    let refractory = SmoothField::new(rng);
    for (k, field, high) in [(1, excited, 1.0), (2, refractory, 0.5 * params.excitable.a)] {
        fill_plane(planes, k, &mut |row, col| {
            if field.at(col as f64 / n, row as f64 / n) > 0.0 { high } else { 0.0 }
        });
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
