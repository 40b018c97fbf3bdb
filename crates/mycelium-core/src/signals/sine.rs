//! PURE. Amplitude of a sine of known period: least squares with a constant, as in the generalised Lomb-Scargle
//! periodogram (Zechmeister and Kuerster 2009), so that gaps and uneven times do no harm.

/// Fewest samples: twice the parameters of the fit.
const MIN_SAMPLES: u32 = 6;
/// Smallest determinant of the fit, in that of evenly spread phases: below it the phases are too much alike.
const MIN_DETERMINANT: f64 = 0.01;

/// The sums of a fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SineFit {
    cos: f64,
    sin: f64,
    cos_cos: f64,
    cos_sin: f64,
    value_cos: f64,
    value_sin: f64,
}

/// Of all samples of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct FitTotals {
    pub(super) count: u32,
    /// Mean of the distances from the first sample.
    pub(super) mean: f64,
    /// Between the first and the last sample, milliseconds.
    pub(super) duration_ms: f64,
}

impl SineFit {
    /// Adds a sample, as its distance from the first one. `elapsed_ms` is its time after any fixed time.
    pub(super) fn push(&mut self, period_ms: f64, elapsed_ms: f64, distance: f64) {
        let turns = elapsed_ms / period_ms;
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * (turns - turns.floor()));
        self.cos += cos;
        self.sin += sin;
        self.cos_cos += cos * cos;
        self.cos_sin += cos * sin;
        self.value_cos += distance * cos;
        self.value_sin += distance * sin;
    }

    /// None if the samples cover less than a period, are two or fewer in a period, or have too similar phases.
    pub(super) fn amplitude(&self, period_ms: f64, totals: &FitTotals) -> Option<f64> {
        if totals.count < MIN_SAMPLES {
            return None;
        }
        let n = f64::from(totals.count);
        let interval_ms = totals.duration_ms / (n - 1.0);
        if totals.duration_ms + interval_ms < period_ms * 0.999 || interval_ms * 2.0 >= period_ms {
            return None;
        }
        let cos_cos = self.cos_cos - self.cos * self.cos / n;
        let sin_sin = (n - self.cos_cos) - self.sin * self.sin / n;
        let cos_sin = self.cos_sin - self.cos * self.sin / n;
        let value_cos = self.value_cos - totals.mean * self.cos;
        let value_sin = self.value_sin - totals.mean * self.sin;
        let determinant = cos_cos * sin_sin - cos_sin * cos_sin;
        let a = value_cos * sin_sin - value_sin * cos_sin;
        let b = value_sin * cos_cos - value_cos * cos_sin;
        (determinant > MIN_DETERMINANT * n * n / 4.0).then(|| libm::hypot(a, b) / determinant)
    }
}
