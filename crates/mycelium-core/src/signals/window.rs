//! PURE. What a channel gives: the summary of a window, and blocks of samples.

use super::settings::MAX_PERIODS;

/// Most samples of a block.
pub const MAX_BLOCK_SAMPLES: usize = 256;

/// Haar octaves of `band_energy`: variations over 1 to 2, 2 to 4, .. samples.
pub const BANDS: usize = 10;

/// Number of values that [`SignalWindow::for_each_value`] gives.
pub const SIGNAL_VALUE_COUNT: usize = 17 + BANDS + MAX_PERIODS;

const BAND_NAMES: [&str; BANDS] = [
    "band_energy_1",
    "band_energy_2",
    "band_energy_3",
    "band_energy_4",
    "band_energy_5",
    "band_energy_6",
    "band_energy_7",
    "band_energy_8",
    "band_energy_9",
    "band_energy_10",
];
const AMPLITUDE_NAMES: [&str; MAX_PERIODS] = ["amplitude_1", "amplitude_2", "amplitude_3", "amplitude_4"];

/// The features of the samples of one window. A value is `None` where there are too few samples for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SignalWindow {
    /// Begin of the window, milliseconds since 1970; a multiple of its length.
    pub start_ms: i64,
    /// Length of the window, milliseconds.
    pub length_ms: u32,
    /// Samples taken.
    pub count: u32,
    /// Samples that should have come since the end of the window before, if the time between samples is known.
    pub missing: u32,
    /// Samples refused while the window was open because they are older than it.
    pub late: u32,
    /// Samples at or beyond `low` or `high`; the features include them.
    pub saturated: u32,
    /// Time of the earliest sample, milliseconds since 1970.
    pub first_time: i64,
    /// Time of the latest sample, milliseconds since 1970.
    pub last_time: i64,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Standard deviation, with one less than the count as divisor.
    pub sd: Option<f64>,
    /// Slope of the least-squares line, unit per hour.
    pub slope_per_hour: Option<f64>,
    /// Root of the mean squared difference of successive samples.
    pub rms_difference: Option<f64>,
    /// 5th percentile.
    pub p05: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// Permutation entropy, 0 to 1.
    pub permutation_entropy: Option<f64>,
    /// Normalised Lempel-Ziv complexity of the newest samples.
    pub lempel_ziv: Option<f64>,
    /// Scaling exponent of the Haar variances: 0.5 for white noise, 1.5 for a random walk.
    pub hurst: Option<f64>,
    /// Spikes that ended while the window was open.
    pub spike_count: Option<f64>,
    /// Mean time between those spikes and the ones before them, seconds.
    pub isi_mean: Option<f64>,
    /// Coefficient of variation of these times.
    pub isi_cv: Option<f64>,
    /// Mean amplitude of the spikes.
    pub spike_amplitude: Option<f64>,
    /// Mean width of the spikes at half their amplitude, seconds.
    pub spike_width: Option<f64>,
    /// Haar wavelet variance of each octave, the fastest first: its part of the variance; unit squared.
    pub band_energy: [Option<f64>; BANDS],
    /// Amplitude of the sine of each period of the settings.
    pub amplitude: [Option<f64>; MAX_PERIODS],
}

impl SignalWindow {
    /// Calls `each` with name and value of every feature, always in the same order: the order of the encoding, of JSON
    /// members and of columns.
    pub fn for_each_value(&self, mut each: impl FnMut(&'static str, Option<f64>)) {
        let mut copy = *self;
        copy.for_each_mut(&mut |name, value| each(name, *value));
    }

    // One loop, not inlined: its calls would be copied for each field.
    #[inline(never)]
    pub(super) fn for_each_mut(&mut self, each: &mut dyn FnMut(&'static str, &mut Option<f64>)) {
        let single: [(&'static str, &mut Option<f64>); 17] = [
            ("min", &mut self.min),
            ("max", &mut self.max),
            ("mean", &mut self.mean),
            ("sd", &mut self.sd),
            ("slope_per_hour", &mut self.slope_per_hour),
            ("rms_difference", &mut self.rms_difference),
            ("p05", &mut self.p05),
            ("p50", &mut self.p50),
            ("p95", &mut self.p95),
            ("permutation_entropy", &mut self.permutation_entropy),
            ("lempel_ziv", &mut self.lempel_ziv),
            ("hurst", &mut self.hurst),
            ("spike_count", &mut self.spike_count),
            ("isi_mean", &mut self.isi_mean),
            ("isi_cv", &mut self.isi_cv),
            ("spike_amplitude", &mut self.spike_amplitude),
            ("spike_width", &mut self.spike_width),
        ];
        for (name, value) in single {
            each(name, value);
        }
        BAND_NAMES.into_iter().zip(&mut self.band_energy).for_each(|(name, value)| each(name, value));
        AMPLITUDE_NAMES.into_iter().zip(&mut self.amplitude).for_each(|(name, value)| each(name, value));
    }
}

/// Up to [`MAX_BLOCK_SAMPLES`] samples with their times, none earlier than the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBlock {
    t0_ms: i64,
    len: usize,
    dt_ms: [u32; MAX_BLOCK_SAMPLES],
    values: [f64; MAX_BLOCK_SAMPLES],
}

impl SampleBlock {
    /// Without samples.
    pub const EMPTY: Self =
        Self { t0_ms: 0, len: 0, dt_ms: [0; MAX_BLOCK_SAMPLES], values: [0.0; MAX_BLOCK_SAMPLES] };

    /// Adds a sample; false if it does not fit: the block is full, the sample is earlier than the last one, or more than
    /// 49 days later than the first one.
    pub fn push(&mut self, t_ms: i64, value: f64) -> bool {
        if self.len == 0 {
            self.t0_ms = t_ms;
        }
        let Some(Ok(dt_ms)) = t_ms.checked_sub(self.t0_ms).map(u32::try_from) else { return false };
        if self.len == MAX_BLOCK_SAMPLES || self.dt_ms().last().is_some_and(|&last| dt_ms < last) {
            return false;
        }
        (self.dt_ms[self.len], self.values[self.len]) = (dt_ms, value);
        self.len += 1;
        true
    }

    /// Removes all samples.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Time of the first sample, milliseconds since 1970; without meaning in an empty block.
    pub const fn t0_ms(&self) -> i64 {
        self.t0_ms
    }

    /// Time of each sample after the first one, milliseconds: the first is 0.
    pub fn dt_ms(&self) -> &[u32] {
        &self.dt_ms[..self.len]
    }

    /// The samples, in the unit of the signal.
    pub fn values(&self) -> &[f64] {
        &self.values[..self.len]
    }
}
