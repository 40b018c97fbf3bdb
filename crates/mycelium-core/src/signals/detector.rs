//! PURE. Spikes: excursions from the median of the surroundings.
//!
//! Means over a 64th of the window (bins) are compared with the median of the 63 bins around them, less a straight
//! drift, so that a slow drift and a step of the baseline are no spikes. The unit of thresholds in `mad` comes from the differences of neighbouring
//! bins, less their median: spikes and drift hardly change it. Bins without full surroundings, at begin and end of a
//! signal and beside gaps, are compared with nothing.

use super::settings::{SpikePolarity, SpikeSettings, SpikeThreshold};
use super::spike::SignalSpike;

/// Bins of the surroundings.
const BINS: usize = 64;
/// The bin that is compared with the median of all.
const CENTRE: usize = BINS / 2;
/// From the lower quartile of the absolute differences of neighbours to the median absolute deviation of one, for
/// independent normal bins: `0.6745 / (0.3186 * sqrt(2))`.
const QUARTILE_TO_MAD: f64 = 1.497;
/// Median absolute deviation of an error of quantisation, in steps.
const QUANTISATION_MAD: f64 = 0.25;
/// Rounding of sums, relative to the baseline.
const ROUNDING: f64 = 1e-12;

/// The bin that is being filled.
#[derive(Clone, Copy, Debug)]
struct OpenBin {
    slot: u32,
    count: u32,
    first: f64,
    /// Of distances from `first`.
    sum: f64,
}

/// The excursion that has begun and not ended.
#[derive(Clone, Copy, Debug)]
struct Excursion {
    positive: bool,
    /// Largest distance so far, its bin and the baseline there.
    peak: f64,
    bin: usize,
    baseline: f64,
}

/// Finds spikes with a delay of half its window.
#[derive(Clone, Debug)]
pub(super) struct SpikeDetector {
    settings: SpikeSettings,
    bin_ms: i64,
    /// Begin of slot 0.
    base_ms: i64,
    open: Option<OpenBin>,
    means: [f64; BINS],
    /// Time of each bin, in bins after `base_ms`. Slots without samples have no bin.
    slots: [u32; BINS],
    len: usize,
    excursion: Option<Excursion>,
    /// False after a spike until a bin is within the threshold again.
    armed: bool,
    last_spike_ms: Option<i64>,
    running: bool,
    previous: f64,
    /// Smallest difference of two successive samples that is not 0.
    step: f64,
}

/// Baseline and threshold of the bins.
#[derive(Clone, Copy)]
struct Surroundings {
    baseline: f64,
    threshold: f64,
}

impl SpikeDetector {
    pub(super) fn new(settings: SpikeSettings) -> Self {
        Self {
            settings,
            bin_ms: (settings.window_ms / BINS as i64).max(1),
            base_ms: 0,
            open: None,
            means: [0.0; BINS],
            slots: [0; BINS],
            len: 0,
            excursion: None,
            armed: true,
            last_spike_ms: None,
            running: false,
            previous: f64::NAN,
            step: f64::INFINITY,
        }
    }

    /// Whether bins are compared with their surroundings: not before half a window has passed.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Adds a sample; `found` gets the spikes that have ended and the time since the one before, milliseconds.
    pub(super) fn push(&mut self, t_ms: i64, value: f64, found: &mut dyn FnMut(&SignalSpike, Option<i64>)) {
        let difference = (value - self.previous).abs();
        if difference > 0.0 && difference < self.step {
            self.step = difference;
        }
        self.previous = value;
        if self.open.is_none() {
            self.base_ms = t_ms - t_ms.rem_euclid(self.bin_ms);
        }
        let slot = u32::try_from((t_ms - self.base_ms).div_euclid(self.bin_ms));
        match (&mut self.open, slot) {
            // A sample before the open bin is in order for the window, and belongs to a bin that is complete.
            (Some(open), Ok(slot)) if slot < open.slot => {}
            (Some(open), Ok(slot)) if slot == open.slot => {
                open.count += 1;
                open.sum += value - open.first;
            }
            (Some(open), Ok(slot))
                if i64::from(slot - open.slot) * self.bin_ms <= self.settings.window_ms / 2 =>
            {
                let complete = *open;
                *open = OpenBin { slot, count: 1, first: value, sum: 0.0 };
                self.add(complete, found);
            }
            (Some(_), Err(_)) if t_ms < self.base_ms => {}
            _ => {
                // The first sample, or the first one after a gap.
                (self.len, self.excursion, self.armed, self.running) = (0, None, true, false);
                self.base_ms = t_ms - t_ms.rem_euclid(self.bin_ms);
                self.open = Some(OpenBin { slot: 0, count: 1, first: value, sum: 0.0 });
            }
        }
    }

    /// Adds a complete bin and compares the one that has full surroundings now.
    fn add(&mut self, bin: OpenBin, found: &mut dyn FnMut(&SignalSpike, Option<i64>)) {
        if self.len == BINS {
            self.means.copy_within(1.., 0);
            self.slots.copy_within(1.., 0);
            self.len -= 1;
            // An excursion ends before its bin leaves the ring.
            self.excursion = self.excursion.map(|one| Excursion { bin: one.bin.saturating_sub(1), ..one });
        }
        self.means[self.len] = bin.first + bin.sum / f64::from(bin.count);
        self.slots[self.len] = bin.slot;
        self.len += 1;
        if self.len == BINS {
            self.running = true;
            self.compare(self.surroundings(), found);
        }
    }

    fn surroundings(&self) -> Surroundings {
        let mut differences: [f64; BINS - 1] = std::array::from_fn(|k| self.means[k + 1] - self.means[k]);
        let slope = median(&mut differences);
        let mut level: [f64; BINS] =
            std::array::from_fn(|k| self.means[k] - slope * (k as f64 - CENTRE as f64));
        // As many before the centre as after it, so that a step is none or all of the way up in the median.
        let baseline = median(&mut level[2 * CENTRE + 1 - BINS..]);
        for difference in &mut differences {
            *difference = (*difference - slope).abs();
        }
        let (_, &mut quartile, _) = differences.select_nth_unstable_by(BINS / 4 - 1, f64::total_cmp);
        let step = if self.step.is_finite() { self.step } else { 0.0 };
        let unit = (quartile * QUARTILE_TO_MAD).max(step * QUANTISATION_MAD).max(baseline.abs() * ROUNDING);
        let threshold = match self.settings.threshold {
            SpikeThreshold::Absolute(distance) => distance,
            SpikeThreshold::Mad(count) => count * unit,
        };
        Surroundings { baseline, threshold }
    }

    /// Compares the bin in the centre.
    fn compare(&mut self, around: Surroundings, found: &mut dyn FnMut(&SignalSpike, Option<i64>)) {
        let distance = self.means[CENTRE] - around.baseline;
        if let Some(excursion) = &mut self.excursion {
            let height = if excursion.positive { distance } else { -distance };
            if height > excursion.peak {
                let (bin, baseline) = (CENTRE, around.baseline);
                *excursion = Excursion { peak: height, bin, baseline, ..*excursion };
            }
            if height < excursion.peak / 2.0 || excursion.bin == 0 {
                let excursion = *excursion;
                self.end(excursion, found);
            }
            return;
        }
        if distance.abs() <= around.threshold {
            self.armed = true;
            return;
        }
        let positive = distance > 0.0;
        let wanted = match self.settings.polarity {
            SpikePolarity::Both => true,
            SpikePolarity::Positive => positive,
            SpikePolarity::Negative => !positive,
        };
        let dead = |last: i64| self.time_of(CENTRE) - last < self.settings.dead_ms;
        if wanted && self.armed && !self.last_spike_ms.is_some_and(dead) {
            let (bin, baseline) = (CENTRE, around.baseline);
            self.excursion = Some(Excursion { positive, peak: distance.abs(), bin, baseline });
            self.armed = false;
        }
    }

    /// Reports the excursion, which is below half its peak in the centre.
    fn end(&mut self, excursion: Excursion, found: &mut dyn FnMut(&SignalSpike, Option<i64>)) {
        self.excursion = None;
        let half = excursion.peak / 2.0;
        let height = |bin: usize| {
            let distance = self.means[bin] - excursion.baseline;
            if excursion.positive { distance } else { -distance }
        };
        // Where the line between two neighbours has half the height; the first one is inside.
        let crossing = |inside: usize, outside: usize| {
            let (from, to) = (height(inside), height(outside));
            let share = if from > to { ((from - half) / (from - to)).clamp(0.0, 1.0) } else { 1.0 };
            f64::from(self.slots[inside])
                + share * (f64::from(self.slots[outside]) - f64::from(self.slots[inside]))
        };
        let before = (0..excursion.bin).rev().find(|&bin| height(bin) < half);
        let begin = before.map_or(f64::from(self.slots[0]), |bin| crossing(bin + 1, bin));
        let width = crossing(CENTRE - 1, CENTRE) - begin;
        let time_ms = self.time_of(excursion.bin);
        let spike = SignalSpike {
            time_ms,
            amplitude: excursion.peak,
            width_s: width * self.bin_ms as f64 / 1000.0,
            positive: excursion.positive,
            baseline: excursion.baseline,
        };
        let since = self.last_spike_ms.map(|last| time_ms - last);
        self.last_spike_ms = Some(time_ms);
        found(&spike, since);
    }

    /// The middle of a bin, milliseconds since 1970.
    fn time_of(&self, bin: usize) -> i64 {
        self.base_ms + i64::from(self.slots[bin]) * self.bin_ms + self.bin_ms / 2
    }
}

/// Reorders the values.
fn median(values: &mut [f64]) -> f64 {
    let (half, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if is_odd {
        return upper;
    }
    f64::midpoint(below.iter().copied().fold(f64::NEG_INFINITY, f64::max), upper)
}

/// The spikes of one window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpikeTally {
    count: u32,
    amplitudes: f64,
    widths: f64,
    intervals: u32,
    /// Mean and sum of squared deviations of the times between spikes, seconds.
    interval_mean: f64,
    interval_squares: f64,
}

impl SpikeTally {
    pub(super) fn add(&mut self, spike: &SignalSpike, since_ms: Option<i64>) {
        self.count += 1;
        self.amplitudes += spike.amplitude;
        self.widths += spike.width_s;
        if let Some(since_ms) = since_ms {
            self.intervals += 1;
            let deviation = since_ms as f64 / 1000.0 - self.interval_mean;
            self.interval_mean += deviation / f64::from(self.intervals);
            self.interval_squares += deviation * (since_ms as f64 / 1000.0 - self.interval_mean);
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn isi_mean(&self) -> Option<f64> {
        (self.intervals > 0).then_some(self.interval_mean)
    }

    /// Standard deviation of the times between spikes, divided by their mean.
    pub(super) fn isi_cv(&self) -> Option<f64> {
        let variance = self.interval_squares / f64::from(self.intervals.max(2) - 1);
        (self.intervals > 1 && self.interval_mean > 0.0).then(|| variance.sqrt() / self.interval_mean)
    }

    pub(super) fn amplitude(&self) -> Option<f64> {
        (self.count > 0).then(|| self.amplitudes / f64::from(self.count))
    }

    pub(super) fn width(&self) -> Option<f64> {
        (self.count > 0).then(|| self.widths / f64::from(self.count))
    }
}
