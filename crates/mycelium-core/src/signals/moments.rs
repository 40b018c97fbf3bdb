//! PURE. Extremes, mean, standard deviation, slope and differences of the samples of a window.

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// One pass over the samples of a window. Values are relative to the first one and times to the first time, so that a
/// small signal on a large offset keeps its precision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: u32,
    first: f64,
    first_ms: i64,
    min: f64,
    max: f64,
    /// Of values and hours, both relative.
    mean: f64,
    mean_hours: f64,
    /// Sums of squared and mixed deviations.
    squares: f64,
    squares_hours: f64,
    mixed: f64,
    previous: f64,
    /// Sum of the squared differences of successive samples.
    differences: f64,
}

impl Moments {
    /// Adds a finite sample; one pass by Welford's method.
    pub(super) fn push(&mut self, t_ms: i64, value: f64) {
        if self.count == 0 {
            *self = Self { first: value, first_ms: t_ms, min: value, max: value, previous: value, ..*self };
        }
        self.count = self.count.saturating_add(1);
        // Extremes by comparison: `f64::min` may return either zero.
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
        let n = f64::from(self.count);
        let deviation = value - self.first - self.mean;
        let deviation_hours = (t_ms - self.first_ms) as f64 / HOUR_MS - self.mean_hours;
        self.mean += deviation / n;
        self.mean_hours += deviation_hours / n;
        let after = value - self.first - self.mean;
        self.squares += deviation * after;
        self.squares_hours += deviation_hours * ((t_ms - self.first_ms) as f64 / HOUR_MS - self.mean_hours);
        self.mixed += deviation_hours * after;
        self.differences += (value - self.previous) * (value - self.previous);
        self.previous = value;
    }

    /// The first value; 0 before it.
    pub(super) fn first(&self) -> f64 {
        self.first
    }

    /// Smallest value; 0 before the first.
    pub(super) fn lowest(&self) -> f64 {
        self.min
    }

    /// Largest value; 0 before the first.
    pub(super) fn highest(&self) -> f64 {
        self.max
    }

    /// Mean of the distances from the first value.
    pub(super) fn mean_distance(&self) -> f64 {
        self.mean
    }

    pub(super) fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    pub(super) fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Arithmetic mean, within the extremes.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.first + self.mean).clamp(self.min, self.max))
    }

    /// Standard deviation of a sample: divided by one less than the number of values.
    pub(super) fn sd(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / f64::from(self.count - 1)).max(0.0).sqrt())
    }

    /// Slope of the least-squares line over time, per hour. None if all samples have the same time.
    pub(super) fn slope_per_hour(&self) -> Option<f64> {
        (self.count > 1 && self.squares_hours > 0.0).then(|| self.mixed / self.squares_hours)
    }

    /// Root of the mean squared difference of successive samples.
    pub(super) fn rms_difference(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.differences / f64::from(self.count - 1)).sqrt())
    }
}
