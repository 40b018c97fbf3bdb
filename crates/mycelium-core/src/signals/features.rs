//! PURE. The estimators of one window.

use super::detector::SpikeTally;
use super::haar::HaarCascade;
use super::moments::Moments;
use super::permutation::PermutationPatterns;
use super::quantile::PSquare;
use super::recent::{RECENT_SAMPLES, RecentSamples, quantile};
use super::settings::{MAX_PERIODS, SignalSettings};
use super::sine::{FitTotals, SineFit};
use super::window::SignalWindow;

/// The quantiles of a window.
const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];

/// What the samples of a window have given so far.
#[derive(Clone, Debug)]
pub(super) struct WindowFeatures {
    moments: Moments,
    quantiles: [PSquare; QUANTILES.len()],
    recent: RecentSamples,
    patterns: PermutationPatterns,
    haar: HaarCascade,
    sines: [SineFit; MAX_PERIODS],
    pub(super) spikes: SpikeTally,
}

impl WindowFeatures {
    pub(super) fn new(settings: &SignalSettings) -> Self {
        Self {
            moments: Moments::default(),
            quantiles: QUANTILES.map(PSquare::new),
            recent: RecentSamples::new(),
            patterns: PermutationPatterns::new(settings.permutation_order, settings.permutation_delay),
            haar: HaarCascade::default(),
            sines: [SineFit::default(); MAX_PERIODS],
            spikes: SpikeTally::default(),
        }
    }

    pub(super) fn push(&mut self, t_ms: i64, start_ms: i64, value: f64, settings: &SignalSettings) {
        self.moments.push(t_ms, value);
        let distance = value - self.moments.first();
        self.quantiles.iter_mut().for_each(|quantile| quantile.push(distance));
        self.recent.push(distance);
        self.patterns.push(value);
        self.haar.push(distance);
        for (sine, period_s) in self.sines.iter_mut().zip(settings.periods_s).filter(|(_, s)| *s > 0.0) {
            sine.push(period_s * 1000.0, (t_ms - start_ms) as f64, distance);
        }
    }

    /// Fills in the features; `window` has counts and times.
    pub(super) fn values(&self, window: &mut SignalWindow, settings: &SignalSettings, has_spikes: bool) {
        let moments = &self.moments;
        window.min = moments.min();
        window.max = moments.max();
        window.mean = moments.mean();
        window.sd = moments.sd();
        window.slope_per_hour = moments.slope_per_hour();
        window.rms_difference = moments.rms_difference();
        let mut scratch = [0.0; RECENT_SAMPLES];
        let sorted = self.recent.sorted(&mut scratch);
        let of_recent = |p: f64| quantile(sorted, p);
        let value = |distance: f64| (moments.first() + distance).clamp(moments.lowest(), moments.highest());
        let quantiles: [Option<f64>; QUANTILES.len()] = std::array::from_fn(|k| {
            let exact = self.recent.is_complete();
            if exact { of_recent(QUANTILES[k]) } else { self.quantiles[k].value() }.map(value)
        });
        [window.p05, window.p50, window.p95] = quantiles;
        window.permutation_entropy = self.patterns.entropy();
        window.lempel_ziv = of_recent(0.5).and_then(|median| self.recent.lempel_ziv(median));
        window.hurst = self.haar.hurst();
        window.band_energy = self.haar.band_energy();
        let totals = FitTotals {
            count: window.count,
            mean: moments.mean_distance(),
            duration_ms: (window.last_time - window.first_time) as f64,
        };
        for ((amplitude, sine), period_s) in
            window.amplitude.iter_mut().zip(&self.sines).zip(settings.periods_s)
        {
            *amplitude = if period_s > 0.0 { sine.amplitude(period_s * 1000.0, &totals) } else { None };
        }
        if has_spikes || self.spikes.count() > 0 {
            window.spike_count = Some(f64::from(self.spikes.count()));
        }
        window.isi_mean = self.spikes.isi_mean();
        window.isi_cv = self.spikes.isi_cv();
        window.spike_amplitude = self.spikes.amplitude();
        window.spike_width = self.spikes.width();
    }
}
