//! PURE. A spike.

/// An excursion from the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalSpike {
    /// Time of the largest distance from the baseline, milliseconds since 1970.
    pub time_ms: i64,
    /// Largest distance from the baseline, in the unit of the signal; positive for both polarities.
    pub amplitude: f64,
    /// Width at half the amplitude, seconds.
    pub width_s: f64,
    /// Whether it is above the baseline.
    pub positive: bool,
    /// The baseline at that time, in the unit of the signal.
    pub baseline: f64,
}

impl SignalSpike {
    /// `positive` or `negative`.
    pub const fn polarity(&self) -> &'static str {
        if self.positive { "positive" } else { "negative" }
    }
}
