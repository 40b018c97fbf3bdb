//! The largest Lyapunov exponent from separations of two trajectories (Benettin, Galgani and Strelcyn 1976).
//!
//! Two trajectories start a small distance apart and are driven by the same noise. The exponent is the mean logarithmic
//! growth of their distance per step; the distance is renormalised before it leaves the linear range. The estimator sees
//! distances only, so it serves maps (the tests below) as well as fields ([`super::Twin`]).
//!
//! In a loop: `observe` the separation after a step, do what the returned [`TwinAction`] says, ask for `exponent`.

/// Steps that the running mean of the exponent covers: `BLOCKS` blocks.
pub const LYAPUNOV_WINDOW_STEPS: u64 = 1024;
const BLOCKS: usize = 16;
const BLOCK_STEPS: u64 = LYAPUNOV_WINDOW_STEPS / BLOCKS as u64;

/// A separation is renormalised once it has grown or shrunk by this factor.
const RENORMALISE_FACTOR: f64 = 4.0;

/// Below this share of the target a separation is rounding noise and has no direction.
const MIN_SEPARATION: f64 = 1e-6;

/// What to do with the twin after a separation was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TwinAction {
    /// Nothing.
    Keep,
    /// Multiply the separation by this factor.
    Scale(f64),
    /// The separation is too small or not a number: perturb the twin again.
    Perturb,
}

/// Mean logarithmic growth of a separation per observation. Never allocates.
#[derive(Clone, Debug)]
pub(super) struct Benettin {
    /// Separation right after a perturbation or renormalisation.
    pub(super) target: f64,
    /// Separation before the next observation.
    last: f64,
    /// Observations still to be discarded while the separation turns into the fastest growing direction.
    discard: u64,
    /// Sums of logarithmic growth, one per block of `BLOCK_STEPS` observations, overwritten in turn.
    blocks: [f64; BLOCKS],
    /// Observations counted since the start.
    counted: u64,
}

impl Benettin {
    /// For twins that start `target` apart and are renormalised to it; the first `discard` observations do not count.
    pub(super) fn new(target: f64, discard: u64) -> Self {
        Self { target, last: target, discard, blocks: [0.0; BLOCKS], counted: 0 }
    }

    /// Records the separation after one step.
    pub(super) fn observe(&mut self, separation: f64) -> TwinAction {
        if !separation.is_finite() {
            self.last = self.target;
            return TwinAction::Perturb;
        }
        let vanished = separation < MIN_SEPARATION * self.target;
        let bounded = separation.max(MIN_SEPARATION * self.target);
        self.count(libm::log(bounded / self.last));
        self.last = self.target;
        if vanished {
            return TwinAction::Perturb;
        }
        let factor = self.target / bounded;
        if !(1.0 / RENORMALISE_FACTOR..=RENORMALISE_FACTOR).contains(&factor) {
            return TwinAction::Scale(factor);
        }
        self.last = bounded;
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

    /// Growth per step over the last [`LYAPUNOV_WINDOW_STEPS`] counted observations, of which the oldest block may be
    /// missing; `None` before the first.
    pub(super) fn exponent(&self) -> Option<f64> {
        let started = self.counted.div_ceil(BLOCK_STEPS);
        let dropped = started.saturating_sub(BLOCKS as u64) * BLOCK_STEPS;
        let steps = self.counted - dropped;
        (steps > 0).then(|| self.blocks.iter().sum::<f64>() / steps as f64)
    }

    /// After a new perturbation: the next `discard` observations do not count.
    pub(super) fn restart(&mut self, discard: u64) {
        self.last = self.target;
        self.discard = discard;
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
        // One window is too short for these bounds: average the exponent at the ends of all of them.
        let ends: Vec<f64> = logs
            .iter()
            .copied()
            .skip(LYAPUNOV_WINDOW_STEPS as usize - 1)
            .step_by(LYAPUNOV_WINDOW_STEPS as usize)
            .collect();
        ends.iter().sum::<f64>() / ends.len() as f64
    }

    /// Mutants seen red: no renormalisation, log2 in place of the natural logarithm, growth measured from the target.
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
    fn lyapunov_of_growth_drift_and_a_constant_map() {
        // A growth by 1.25 per step has ln 1.25, a drift 0, whatever the size of a step.
        assert!((of_map(|x| 1.25 * x % 1e6, 1e-3, 5_000) - 1.25_f64.ln()).abs() < 0.02, "growth");
        assert!(of_map(|x| x + 2e-7, 0.1, 3_000).abs() < 1e-9, "drift");
        assert!(of_map(|_| 0.5, 0.1, 3_000) < -10.0, "a constant map");
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
            if n > 1000 && (n - 1000).is_multiple_of(LYAPUNOV_WINDOW_STEPS) {
                sum += benettin.exponent().unwrap();
                windows += 1;
            }
        }
        let per_time = sum / f64::from(windows) / DT;
        assert!((per_time - 0.9056).abs() < 0.02, "{per_time}");
    }

    #[test]
    fn lyapunov_is_none_while_steps_are_discarded_and_then_covers_its_window_only() {
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
        assert!((feed(std::f64::consts::E, 5 * LYAPUNOV_WINDOW_STEPS) - 1.0).abs() < 1e-12);
        assert!(feed(1.0, LYAPUNOV_WINDOW_STEPS).abs() < 1e-12, "the growth has left the window");
    }
}
