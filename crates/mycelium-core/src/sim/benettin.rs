//! The largest Lyapunov exponent from separations of two trajectories (Benettin, Galgani and Strelcyn 1976).
//!
//! Two trajectories start a small distance apart and are driven by the same noise. The exponent is the mean logarithmic
//! growth of their distance per step; the distance is renormalised before it leaves the linear range. The estimator sees
//! distances only, so it serves maps (the tests below) as well as fields ([`super::Twin`]).
//!
//! In a loop: `observe` the separation after a step, do what the returned [`TwinAction`] says, ask for `exponent`. It is
//! unknown until the means over its blocks agree: before that a mean would describe how the separation turns into its
//! fastest growing direction, not the trajectory, and would depend on when the twin was started.

/// Blocks that the running mean of the exponent covers.
const BLOCKS: usize = 16;
/// Steps of a block at first. Blocks become twice as long whenever all of them are complete and do not agree, ..
const SHORTEST_BLOCK_STEPS: u64 = 64;
/// .. up to this length.
const LONGEST_BLOCK_STEPS: u64 = 1024;
/// Steps that the exponent covers at least: those of all blocks at first.
pub const LYAPUNOV_WINDOW_STEPS: u64 = BLOCKS as u64 * SHORTEST_BLOCK_STEPS;
/// Steps after a start or a re-seed that do not count: the separation must first turn into its fastest growing direction.
pub const LYAPUNOV_TRANSIENT_STEPS: u64 = 512;
/// A run of which only the end is wanted may spend this share of its steps on the twin.
const TWIN_SHARE: u64 = 12;

/// Steps before the end of a run at which to start a twin, if only the exponent at the end is wanted: the transient and
/// the longest window that is affordable; 0 if the run is too short for any.
pub fn lyapunov_steps(steps: u64) -> u64 {
    let mut window = LYAPUNOV_WINDOW_STEPS;
    if steps < LYAPUNOV_TRANSIENT_STEPS + window {
        return 0;
    }
    while window < BLOCKS as u64 * LONGEST_BLOCK_STEPS
        && (LYAPUNOV_TRANSIENT_STEPS + 2 * window) <= steps / TWIN_SHARE
    {
        window *= 2;
    }
    LYAPUNOV_TRANSIENT_STEPS + window
}

/// A separation is renormalised once it has grown or shrunk by this factor.
const RENORMALISE_FACTOR: f64 = 4.0;

/// Below this share of the target a separation is rounding noise and has no direction.
const MIN_SEPARATION: f64 = 1e-6;

/// The halves of a window agree if their means differ by at most this, 1/step, or ..
const AGREE_ABSOLUTE: f64 = 5e-5;
/// .. by this share of the exponent, or ..
const AGREE_RELATIVE: f64 = 0.02;
/// .. by this many standard errors of the difference, by the scatter of the blocks within each half: a steady trend
/// differs by seven.
const AGREE_ERRORS: f64 = 3.0;
/// The standard error of the exponent must be at most this, 1/step, or ..
const MAX_ERROR: f64 = 1e-4;
/// .. this share of the exponent: with a larger one, halves agree by chance.
const MAX_ERROR_SHARE: f64 = 0.1;

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
    /// Sums of logarithmic growth, one per block, overwritten in turn; 0 where nothing was counted.
    blocks: [f64; BLOCKS],
    /// Observations in a complete block.
    block_steps: u64,
    /// The block that is being filled, and the observations in it.
    current: usize,
    in_current: u64,
    /// Complete blocks besides it.
    complete: usize,
    /// Whether the means over the blocks of a full window have agreed since the last start.
    converged: bool,
}

impl Benettin {
    /// For twins that start `target` apart and are renormalised to it; the first `discard` observations do not count.
    pub(super) fn new(target: f64, discard: u64) -> Self {
        Self {
            target,
            last: target,
            discard,
            blocks: [0.0; BLOCKS],
            block_steps: SHORTEST_BLOCK_STEPS,
            current: 0,
            in_current: 0,
            complete: 0,
            converged: false,
        }
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
        if self.in_current == self.block_steps {
            self.start_block();
        }
        self.blocks[self.current] += growth;
        self.in_current += 1;
        if !self.converged && self.in_current == self.block_steps && self.complete == BLOCKS - 1 {
            self.converged = self.halves_agree();
        }
    }

    /// Makes room for the next block: by merging pairs while they do not agree and are short, else in place of the oldest.
    fn start_block(&mut self) {
        if self.complete == BLOCKS - 1 && !self.converged && self.block_steps < LONGEST_BLOCK_STEPS {
            // Blocks are not overwritten before they have their final length, so the oldest is the first.
            debug_assert_eq!(self.current, BLOCKS - 1);
            self.blocks = std::array::from_fn(|k| match 2 * k {
                first if first < BLOCKS => self.blocks[first] + self.blocks[first + 1],
                _ => 0.0,
            });
            self.block_steps *= 2;
            (self.current, self.complete) = (BLOCKS / 2, BLOCKS / 2);
        } else {
            self.current = (self.current + 1) % BLOCKS;
            self.complete = (self.complete + 1).min(BLOCKS - 1);
            self.blocks[self.current] = 0.0;
        }
        self.in_current = 0;
    }

    /// Whether the older and the newer half of a window of complete blocks have the same mean within its uncertainty.
    fn halves_agree(&self) -> bool {
        let half = |from: usize| {
            let rate =
                |k: usize| self.blocks[(self.current + 1 + from + k) % BLOCKS] / self.block_steps as f64;
            let count = (BLOCKS / 2) as f64;
            let mean = (0..BLOCKS / 2).map(rate).sum::<f64>() / count;
            let squares = (0..BLOCKS / 2).map(|k| (rate(k) - mean) * (rate(k) - mean)).sum::<f64>();
            (mean, squares / (count - 1.0) / count)
        };
        let ((older, older_error), (newer, newer_error)) = (half(0), half(BLOCKS / 2));
        let (difference, error) = ((older - newer).abs(), (older_error + newer_error).sqrt());
        let size = f64::midpoint(older, newer).abs();
        let allowed = (AGREE_RELATIVE * size).max(AGREE_ABSOLUTE).max(AGREE_ERRORS * error);
        difference <= allowed && 0.5 * error <= (MAX_ERROR_SHARE * size).max(MAX_ERROR)
    }

    /// Growth per step over the window, of which the oldest block may be missing; `None` until a full window has been
    /// seen whose halves agree.
    pub(super) fn exponent(&self) -> Option<f64> {
        self.growth().filter(|_| self.converged)
    }

    /// The same whether or not the halves agree; `None` until a full window has been seen.
    pub(super) fn growth(&self) -> Option<f64> {
        let steps = self.complete as u64 * self.block_steps + self.in_current;
        let full = self.converged || steps >= LYAPUNOV_WINDOW_STEPS;
        full.then(|| self.blocks.iter().sum::<f64>() / steps as f64)
    }

    /// After a new start: what was counted is forgotten, and the next `discard` observations do not count.
    pub(super) fn restart(&mut self, discard: u64) {
        *self = Self::new(self.target, discard);
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
        let ends: Vec<f64> = logs.iter().copied().step_by(LYAPUNOV_WINDOW_STEPS as usize).collect();
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
            if let Some(exponent) = benettin.exponent().filter(|_| n.is_multiple_of(LYAPUNOV_WINDOW_STEPS)) {
                sum += exponent;
                windows += 1;
            }
        }
        assert!(windows > 100, "{windows}");
        let per_time = sum / f64::from(windows) / DT;
        assert!((per_time - 0.9056).abs() < 0.02, "{per_time}");
    }

    /// Feeds growth per step to an estimator whose caller renormalises as told.
    fn feed(benettin: &mut Benettin, separation: &mut f64, growth: impl Fn(u64) -> f64, steps: u64) {
        for n in 0..steps {
            *separation *= growth(n).exp();
            if let TwinAction::Scale(factor) = benettin.observe(*separation) {
                *separation *= factor;
            }
        }
    }

    #[test]
    fn lyapunov_is_none_until_a_window_is_full_and_then_covers_its_window_only() {
        let mut benettin = Benettin::new(1.0, 3);
        let mut separation = 1.0;
        feed(&mut benettin, &mut separation, |_| 1.0, 3 + LYAPUNOV_WINDOW_STEPS - 1);
        assert_eq!(benettin.exponent(), None);
        feed(&mut benettin, &mut separation, |_| 1.0, 1);
        assert!((benettin.exponent().unwrap() - 1.0).abs() < 1e-12);
        feed(&mut benettin, &mut separation, |_| 1.0, 4 * LYAPUNOV_WINDOW_STEPS + 5);
        assert!((benettin.exponent().unwrap() - 1.0).abs() < 1e-12);
        feed(&mut benettin, &mut separation, |_| 0.0, LYAPUNOV_WINDOW_STEPS);
        assert!(benettin.exponent().unwrap().abs() < 1e-12, "the growth has left the window");
        benettin.restart(0);
        assert_eq!(benettin.exponent(), None, "nothing is known after a new start");
    }

    /// The regression of the transient: a separation that decays like `t^-1/2`, as diffusing disturbances do, has the
    /// exponent 0, and a mean over its first steps does not.
    #[test]
    fn lyapunov_of_a_slow_transient_is_none_until_the_block_means_agree() {
        let mut benettin = Benettin::new(1e-4, LYAPUNOV_TRANSIENT_STEPS);
        let (mut separation, mut first) = (1e-4, None);
        for t in 1..=20_000_u64 {
            feed(&mut benettin, &mut separation, |_| -0.5 / t as f64, 1);
            first = first.or_else(|| benettin.exponent().map(|exponent| (t, exponent)));
        }
        let (steps, exponent) = first.expect("it converges in the end");
        assert!(steps > 2 * LYAPUNOV_WINDOW_STEPS && exponent.abs() < 2e-4, "{exponent} after {steps} steps");
    }

    /// Scatter that has no trend does not delay the result.
    #[test]
    fn lyapunov_of_scattered_growth_is_known_after_one_window() {
        let mut rng = fastrand::Rng::with_seed(7);
        let scatter: Vec<f64> = (0..LYAPUNOV_WINDOW_STEPS).map(|_| 0.1 + 0.2 * (rng.f64() - 0.5)).collect();
        let mut benettin = Benettin::new(1e-6, 0);
        feed(&mut benettin, &mut 1e-6, |n| scatter[n as usize], LYAPUNOV_WINDOW_STEPS);
        assert!((benettin.exponent().unwrap() - 0.1).abs() < 0.01);
    }
}
