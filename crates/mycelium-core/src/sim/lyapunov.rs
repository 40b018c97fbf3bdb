//! The largest Lyapunov exponent by a twin trajectory (Benettin, Galgani and Strelcyn 1976).
//!
//! Two trajectories start a small distance apart and feel the same noise; the mean logarithmic growth of that
//! distance per step, renormalised before it leaves the linear range, is the exponent. [`Benettin`] sees
//! separations only and serves maps as well as fields; [`Twin`] owns the second field.

use std::ops::Range;

use fastrand::Rng;

use super::float::Float;
use super::lattice::Lattice;
use super::noise;
use super::params::{Model, Params, Precision};
use super::simulator::{Field, Simulator, StepReport};

/// Steps the running mean looks back over: `BLOCKS` blocks.
pub const WINDOW_STEPS: u64 = 1024;
const BLOCKS: usize = 16;
const BLOCK_STEPS: u64 = WINDOW_STEPS / BLOCKS as u64;

/// Separations may grow or shrink by this factor before they are renormalised.
const SLACK: f64 = 4.0;

/// A separation below this part of the target is no longer a direction.
const LOST: f64 = 1e-6;

/// What to do with a twin after its separation was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TwinAction {
    Keep,
    /// Multiply the separation by this factor.
    Scale(f64),
    /// The separation is gone, or not a number: set the twin apart anew.
    Perturb,
}

/// Mean logarithmic growth of a separation, per observation. Pure; never allocates.
#[derive(Clone, Debug)]
pub struct Benettin {
    target: f64,
    last: f64,
    /// Observations still to be left out while the separation turns into the fastest direction.
    discard: u64,
    blocks: [f64; BLOCKS],
    /// Observations counted since the start.
    counted: u64,
}

impl Benettin {
    /// Twins start `target` apart and are brought back there; the first `discard` observations do not count.
    pub fn new(target: f64, discard: u64) -> Self {
        Self { target, last: target, discard, blocks: [0.0; BLOCKS], counted: 0 }
    }

    /// Takes the separation after one step.
    pub fn observe(&mut self, separation: f64) -> TwinAction {
        if !separation.is_finite() {
            self.last = self.target;
            return TwinAction::Perturb;
        }
        let lost = separation < LOST * self.target;
        let seen = separation.max(LOST * self.target);
        self.count(libm::log(seen / self.last));
        self.last = self.target;
        if lost {
            return TwinAction::Perturb;
        }
        let factor = self.target / seen;
        if !(1.0 / SLACK..=SLACK).contains(&factor) {
            return TwinAction::Scale(factor);
        }
        self.last = seen;
        TwinAction::Keep
    }

    fn count(&mut self, growth: f64) {
        if self.discard > 0 {
            self.discard -= 1;
            return;
        }
        let block = (self.counted / BLOCK_STEPS) as usize % BLOCKS;
        if self.counted.is_multiple_of(BLOCK_STEPS) {
            self.blocks[block] = 0.0;
        }
        self.blocks[block] += growth;
        self.counted += 1;
    }

    /// Growth per step over the last [`WINDOW_STEPS`] observations that count (at least that many less one block);
    /// `None` before the first.
    pub fn exponent(&self) -> Option<f64> {
        let started = self.counted.div_ceil(BLOCK_STEPS);
        let gone = started.saturating_sub(BLOCKS as u64) * BLOCK_STEPS;
        let steps = self.counted - gone;
        (steps > 0).then(|| self.blocks.iter().sum::<f64>() / steps as f64)
    }

    /// A new direction: the next `discard` observations do not count.
    fn again(&mut self, discard: u64) {
        self.last = self.target;
        self.discard = discard;
    }
}

/// Volts that weigh as much as one unit of activator or inhibitor in the separation.
const VOLT_SCALE: f64 = 0.1;

/// Root mean square separation per cell: above the rounding of the precision, within the linear range.
const fn target(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F64 => 1e-8,
    }
}

/// Planes whose disturbances grow together, and the estimator of that growth.
#[derive(Clone, Debug)]
struct Block {
    planes: Range<usize>,
    benettin: Benettin,
}

/// Which planes hang together. The chemistry of `mfn` does not feel V and reaches it only through a threshold,
/// whose derivative is zero: its disturbances live in two blocks, and the larger exponent is that of the field.
/// One joint separation would take the slower block below rounding. A plane that never moves is in none.
fn blocks(params: &Params, discard: u64) -> heapless::Vec<Block, 2> {
    let benettin = Benettin::new(target(params.precision), discard);
    let block = |planes| Block { planes, benettin: benettin.clone() };
    match params.model {
        _ if !params.turing_enabled => std::iter::once(block(0..1)).collect(),
        Model::Mfn => heapless::Vec::from_array([block(0..1), block(1..3)]),
        Model::Turing | Model::Excitable => std::iter::once(block(0..3)).collect(),
    }
}

/// A second field beside a simulator, a little apart from it and under the same noise, spikes and stimuli.
#[derive(Clone, Debug)]
pub struct Twin {
    other: Simulator,
    blocks: heapless::Vec<Block, 2>,
    discard: u64,
    perturbations: u64,
}

impl Twin {
    /// A twin of `simulator` as it stands; the first `discard` steps after every fork do not count.
    pub fn fork(simulator: &Simulator, discard: u64) -> Self {
        let blocks = blocks(simulator.params(), discard);
        let mut twin = Self { other: simulator.clone(), blocks, discard, perturbations: 0 };
        twin.fork_again(simulator);
        twin
    }

    /// Steps both. When either had to be re-seeded, the twin forks anew from the simulator.
    pub fn step_both(&mut self, simulator: &mut Simulator) -> StepReport {
        self.other.forcing.queue_like(&simulator.forcing);
        let report = simulator.step();
        if self.other.step().reseeded || report.reseeded {
            self.fork_again(simulator);
            return report;
        }
        for k in 0..self.blocks.len() {
            let separation = self.other.field.apart(&simulator.field, self.planes(k));
            match self.blocks[k].benettin.observe(separation) {
                TwinAction::Keep => {}
                TwinAction::Scale(factor) => {
                    self.other.field.rescale(&simulator.field, self.planes(k), factor)
                }
                TwinAction::Perturb => self.perturb(simulator, k),
            }
        }
        report
    }

    /// Largest Lyapunov exponent, 1/step, over the last [`WINDOW_STEPS`] steps that count; `None` before the first.
    pub fn exponent(&self) -> Option<f64> {
        self.blocks.iter().filter_map(|block| block.benettin.exponent()).max_by(f64::total_cmp)
    }

    /// Heap bytes of a twin: those of the simulator it is one of.
    pub fn memory_bytes(params: &Params) -> usize {
        Simulator::memory_bytes(params)
    }

    fn planes(&self, block: usize) -> Range<usize> {
        self.blocks[block].planes.clone()
    }

    fn fork_again(&mut self, simulator: &Simulator) {
        self.other.field.copy_from(&simulator.field);
        for k in 0..self.blocks.len() {
            self.blocks[k].benettin.again(self.discard);
            self.perturb(simulator, k);
        }
    }

    /// Sets the planes of a block apart from the simulator's: a common shift with some noise on it, so that both
    /// uniform and patterned directions are there from the start.
    fn perturb(&mut self, simulator: &Simulator, block: usize) {
        self.perturbations += 1;
        let mut rng = noise::stream(simulator.seed(), 2 + self.perturbations);
        let target = self.blocks[block].benettin.target;
        let planes = self.planes(block);
        self.other.field.shift(&simulator.field, planes.clone(), target, &mut rng);
        let factor = target / self.other.field.apart(&simulator.field, planes.clone());
        self.other.field.rescale(&simulator.field, planes, factor);
    }
}

/// Both fields of a pair have one precision: a twin is a clone.
macro_rules! both {
    ($twin:expr, $field:expr, |$x:ident, $y:ident| $body:expr) => {
        match ($twin, $field) {
            (Field::F32($x), Field::F32($y)) => $body,
            (Field::F64($x), Field::F64($y)) => $body,
            _ => unreachable!("a twin is a clone of its simulator"),
        }
    };
}

impl Field {
    fn copy_from(&mut self, other: &Self) {
        both!(self, other, |twin, field| twin.copy_from(field));
    }

    /// Root mean square distance per cell over `planes`, V in units of [`VOLT_SCALE`].
    fn apart(&self, other: &Self, planes: Range<usize>) -> f64 {
        both!(self, other, |twin, field| distance(twin, field, planes))
    }

    fn rescale(&mut self, other: &Self, planes: Range<usize>, factor: f64) {
        both!(self, other, |twin, field| rescale(twin, field, planes, factor));
    }

    fn shift(&mut self, other: &Self, planes: Range<usize>, size: f64, rng: &mut Rng) {
        both!(self, other, |twin, field| shift(twin, field, planes, size, rng));
    }
}

fn scale(plane: usize) -> f64 {
    if plane == 0 { VOLT_SCALE } else { 1.0 }
}

fn distance<T: Float>(twin: &Lattice<T>, field: &Lattice<T>, planes: Range<usize>) -> f64 {
    let (xs, ys) = (twin.cells(), field.cells());
    let sum: f64 = planes.map(|k| squares(xs[k], ys[k]) / (scale(k) * scale(k))).sum();
    (sum / xs[0].len() as f64).sqrt()
}

/// Sum of squared differences, in lanes so that it vectorises in one fixed order.
fn squares<T: Float>(xs: &[T], ys: &[T]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    for (xs, ys) in xs.chunks(LANES).zip(ys.chunks(LANES)) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(xs).zip(ys) {
            let apart = (x - y).f64();
            *lane += apart * apart;
        }
    }
    lanes.iter().sum()
}

fn rescale<T: Float>(twin: &mut Lattice<T>, field: &Lattice<T>, planes: Range<usize>, factor: f64) {
    let factor = T::of(factor);
    let (xs, ys) = (twin.cells_mut(), field.cells());
    for k in planes {
        for (x, &y) in xs[k].iter_mut().zip(ys[k]) {
            *x = y + (*x - y) * factor;
        }
    }
}

fn shift<T: Float>(
    twin: &mut Lattice<T>,
    field: &Lattice<T>,
    planes: Range<usize>,
    size: f64,
    rng: &mut Rng,
) {
    let (xs, ys) = (twin.cells_mut(), field.cells());
    for k in planes {
        for (x, &y) in xs[k].iter_mut().zip(ys[k]) {
            *x = y + T::of(size * scale(k) * (0.9 + 0.2 * rng.f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exponent of a map by the estimator the field uses.
    fn of_map(map: impl Fn(f64) -> f64, x0: f64, steps: u64) -> f64 {
        const TARGET: f64 = 1e-9;
        let mut benettin = Benettin::new(TARGET, 100);
        let (mut x, mut y) = (x0, x0 + TARGET);
        let mut logs = Vec::new();
        for _ in 0..steps {
            (x, y) = (map(x), map(y));
            match benettin.observe((y - x).abs()) {
                TwinAction::Keep => {}
                TwinAction::Scale(factor) => y = x + (y - x) * factor,
                TwinAction::Perturb => y = x + TARGET,
            }
            logs.extend(benettin.exponent());
        }
        // The window is short: take it at its ends and average.
        let ends: Vec<f64> =
            logs.iter().copied().skip(WINDOW_STEPS as usize - 1).step_by(WINDOW_STEPS as usize).collect();
        ends.iter().sum::<f64>() / ends.len() as f64
    }

    /// Mutants seen to fail: no renormalisation, log2 for the natural logarithm, growth from the target.
    #[test]
    fn lyapunov_of_the_logistic_map_is_ln_2_in_chaos_and_negative_on_a_cycle() {
        let logistic = |r: f64| move |x: f64| r * x * (1.0 - x);
        let chaos = of_map(logistic(4.0), 0.3, 100_000);
        assert!((chaos - std::f64::consts::LN_2).abs() < 0.01, "r = 4: {chaos}");
        // r = 2.9: the fixed point 1 - 1/r has the slope 2 - r, so the exponent is ln 0.9.
        let fixed = of_map(logistic(2.9), 0.3, 5_000);
        assert!((fixed - 0.9_f64.ln()).abs() < 1e-3, "r = 2.9: {fixed}");
        // r = 3.2: the 2-cycle has the slope 4 + 2 r - r^2 over two steps.
        let cycle = of_map(logistic(3.2), 0.3, 5_000);
        let want = 0.5 * (4.0_f64 + 6.4 - 3.2 * 3.2).abs().ln();
        assert!((cycle - want).abs() < 1e-3, "r = 3.2: {cycle}, not {want}");
    }

    #[test]
    fn lyapunov_of_a_tent_map_is_the_logarithm_of_its_slope() {
        let slope = 1.9;
        let tent = |x: f64| if x < 0.5 { slope * x } else { slope * (1.0 - x) };
        let exponent = of_map(tent, 0.3, 20_000);
        assert!((exponent - slope.ln()).abs() < 1e-3, "{exponent}");
    }

    #[test]
    fn lyapunov_of_pure_growth_and_of_a_constant_map_are_what_they_are() {
        // 2^t has ln 2 and a drift has 0, whatever their step sizes say.
        assert!((of_map(|x| 1.25 * x % 1e6, 1e-3, 5_000) - 1.25_f64.ln()).abs() < 0.02, "growth");
        assert!(of_map(|x| x + 2e-7, 0.1, 3_000).abs() < 1e-9, "drift");
        assert!(of_map(|_| 0.5, 0.1, 3_000) < -10.0, "a map that forgets everything at once");
    }

    /// Sprott (2003) gives 0.9056 per unit of time for sigma 10, rho 28, beta 8/3.
    #[test]
    fn lyapunov_of_the_lorenz_system_is_nine_tenths_per_unit_of_time() {
        const DT: f64 = 0.01;
        let slope = |[x, y, z]: [f64; 3]| [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z];
        let step = |s: [f64; 3]| {
            let along = |k: [f64; 3], h: f64| std::array::from_fn(|j| s[j] + h * k[j]);
            let k1 = slope(s);
            let k2 = slope(along(k1, DT / 2.0));
            let k3 = slope(along(k2, DT / 2.0));
            let k4 = slope(along(k3, DT));
            std::array::from_fn(|j| s[j] + DT / 6.0 * (k1[j] + 2.0 * k2[j] + 2.0 * k3[j] + k4[j]))
        };
        let mut a = [1.0, 1.0, 1.0];
        let mut b = [1.0 + 1e-8, 1.0, 1.0];
        let mut benettin = Benettin::new(1e-8, 1000);
        let (mut sum, mut windows) = (0.0, 0);
        for n in 1..=400_000_u64 {
            (a, b) = (step(a), step(b));
            let apart = (0..3).map(|j| (b[j] - a[j]).powi(2)).sum::<f64>().sqrt();
            if let TwinAction::Scale(factor) = benettin.observe(apart) {
                b = std::array::from_fn(|j| a[j] + (b[j] - a[j]) * factor);
            }
            if n > 1000 && (n - 1000).is_multiple_of(WINDOW_STEPS) {
                sum += benettin.exponent().unwrap();
                windows += 1;
            }
        }
        let per_time = sum / f64::from(windows) / DT;
        assert!((per_time - 0.9056).abs() < 0.02, "{per_time}");
    }

    #[test]
    fn lyapunov_is_unknown_while_every_step_is_discarded_and_then_looks_back_over_its_window_only() {
        let mut benettin = Benettin::new(1.0, 3);
        for _ in 0..3 {
            benettin.observe(1.0);
            assert_eq!(benettin.exponent(), None);
        }
        // Growth by e per step, renormalised by the caller, then none at all.
        let mut separation = 1.0;
        let mut feed = |growth: f64, steps: u64| {
            for _ in 0..steps {
                separation *= growth;
                if let TwinAction::Scale(factor) = benettin.observe(separation) {
                    separation *= factor;
                }
            }
            benettin.exponent().unwrap()
        };
        assert!((feed(std::f64::consts::E, 1) - 1.0).abs() < 1e-12);
        assert!((feed(std::f64::consts::E, 5 * WINDOW_STEPS) - 1.0).abs() < 1e-12);
        assert!(feed(1.0, WINDOW_STEPS).abs() < 1e-12, "the growth has left the window");
    }
}
