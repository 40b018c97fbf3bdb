//! PURE. One signal: samples in, windows, spikes and sample blocks out.

use super::detector::SpikeDetector;
use super::features::WindowFeatures;
use super::settings::SignalSettings;
use super::spike::SignalSpike;
use super::window::{SampleBlock, SignalWindow};

/// Times of samples that a channel accepts, milliseconds since 1970: to the end of the year 9999.
pub const TIME_RANGE_MS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999;

/// A sample more than this after the time of [`SignalChannel::advance`] is refused, milliseconds: its clock is wrong, and
/// it would make all others late.
pub const FUTURE_MS: i64 = 86_400_000;

/// What happened to a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the features of its window.
    Taken,
    /// As `Taken`, and within the deadband of the last reported sample: not to be reported.
    Unchanged,
    /// Older than the open window: counted, kept in sample blocks, in no feature.
    Late,
    /// Refused: too far in the future, see [`FUTURE_MS`] and [`TIME_RANGE_MS`].
    Future,
    /// Refused: not a finite number.
    NotFinite,
}

/// What a channel gives while samples arrive; valid during the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignalOutput<'a> {
    /// A window is complete.
    Window(&'a SignalWindow),
    /// A spike has ended.
    Spike(&'a SignalSpike),
    /// A block of samples, at the latest when its window ends.
    Samples(&'a SampleBlock),
}

/// A function that takes the outputs of a channel.
type Outputs<'a> = &'a mut dyn FnMut(SignalOutput<'_>);

/// Computes windows, spikes and blocks of one signal. All memory is allocated by [`SignalChannel::new`].
#[derive(Clone, Debug)]
pub struct SignalChannel(Box<State>);

/// Counts and times of the window that is open.
#[derive(Clone, Copy, Debug)]
struct OpenWindow {
    start_ms: i64,
    count: u32,
    saturated: u32,
    first_time: i64,
    last_time: i64,
}

#[derive(Clone, Debug)]
struct State {
    settings: SignalSettings,
    open: Option<OpenWindow>,
    /// Of the open window.
    features: WindowFeatures,
    spikes: Option<Box<SpikeDetector>>,
    /// Samples before it are late: begin of the open window or end of the last one.
    floor_ms: Option<i64>,
    /// The newest time that [`SignalChannel::advance`] was called with.
    now_ms: Option<i64>,
    /// Late samples since the last window.
    late: u32,
    /// Time of the last sample that came or was counted as missing.
    counted_until_ms: Option<i64>,
    /// Missing samples since the last window.
    missing: u32,
    /// The last sample outside the deadband.
    reported: Option<f64>,
    /// Samples for the next block, if samples are reported.
    block: Option<Box<SampleBlock>>,
}

impl SignalChannel {
    /// A channel without samples.
    pub fn new(settings: SignalSettings) -> Self {
        Self(Box::new(State {
            settings,
            open: None,
            features: WindowFeatures::new(&settings),
            spikes: settings.spikes.map(|spikes| Box::new(SpikeDetector::new(spikes))),
            floor_ms: None,
            now_ms: None,
            late: 0,
            counted_until_ms: None,
            missing: 0,
            reported: None,
            block: settings.raw.then(|| Box::new(SampleBlock::EMPTY)),
        }))
    }

    /// Heap memory of a channel with these settings, bytes.
    pub fn memory_bytes(settings: &SignalSettings) -> usize {
        let spikes = settings.spikes.map_or(0, |_| size_of::<SpikeDetector>());
        size_of::<State>() + spikes + if settings.raw { size_of::<SampleBlock>() } else { 0 }
    }

    /// Adds a sample as it was measured, before `scale` and `offset`.
    pub fn push(&mut self, t_ms: i64, value: f64, out: &mut dyn FnMut(SignalOutput<'_>)) -> Accepted {
        let state = &mut *self.0;
        let value = value * state.settings.scale + state.settings.offset;
        if !value.is_finite() {
            return Accepted::NotFinite;
        }
        let newest = state.now_ms.map_or(*TIME_RANGE_MS.end(), |now| now.saturating_add(FUTURE_MS));
        if t_ms > newest.min(*TIME_RANGE_MS.end()) {
            return Accepted::Future;
        }
        if !state.admits(t_ms, out) {
            state.late = state.late.saturating_add(1);
            state.report(t_ms, value, out);
            return Accepted::Late;
        }
        state.open_window_of(t_ms, out);
        state.take(t_ms, value, out);
        let unchanged = matches!((state.settings.deadband, state.reported),
            (Some(deadband), Some(reported)) if (value - reported).abs() <= deadband);
        if unchanged {
            return Accepted::Unchanged;
        }
        state.reported = Some(value);
        state.report(t_ms, value, out);
        Accepted::Taken
    }

    /// Completes the window whose time is over at `now_ms`, for a signal that has gone silent. Samples of that window are
    /// late from then on: a caller that expects delayed ones passes an earlier time.
    pub fn advance(&mut self, now_ms: i64, out: &mut dyn FnMut(SignalOutput<'_>)) {
        let state = &mut *self.0;
        state.now_ms = Some(now_ms);
        let length = state.settings.window_ms();
        if state.open.is_some_and(|open| now_ms.saturating_sub(open.start_ms) >= length) {
            state.complete(true, out);
        }
    }

    /// Completes everything at the end of a signal. What follows is a new signal.
    pub fn close(&mut self, out: &mut dyn FnMut(SignalOutput<'_>)) {
        let state = &mut *self.0;
        state.complete(false, out);
        (state.floor_ms, state.counted_until_ms, state.reported) = (None, None, None);
        (state.late, state.missing) = (0, 0);
        if let (Some(detector), Some(spikes)) = (&mut state.spikes, state.settings.spikes) {
            **detector = SpikeDetector::new(spikes);
        }
    }
}

impl State {
    /// Whether a sample of this time is not late. If the clock has been set back by more than [`FUTURE_MS`], completes
    /// the window of the wrong time and admits the sample.
    fn admits(&mut self, t_ms: i64, out: Outputs<'_>) -> bool {
        if t_ms < *TIME_RANGE_MS.start() {
            return false;
        }
        let Some(floor) = self.floor_ms.filter(|&floor| t_ms < floor) else { return true };
        let was_wrong = self.now_ms.is_some_and(|now| floor > now.saturating_add(FUTURE_MS));
        if was_wrong {
            self.complete(false, out);
            (self.floor_ms, self.counted_until_ms) = (None, None);
        }
        was_wrong
    }

    /// Completes the open window and opens that of `t_ms`, unless it is open.
    fn open_window_of(&mut self, t_ms: i64, out: Outputs<'_>) {
        let length = self.settings.window_ms();
        let start_ms = t_ms - t_ms.rem_euclid(length);
        if self.open.is_some_and(|open| open.start_ms == start_ms) {
            return;
        }
        self.complete(true, out);
        self.open = Some(OpenWindow { start_ms, count: 0, saturated: 0, first_time: t_ms, last_time: t_ms });
        self.floor_ms = Some(start_ms);
    }

    /// Adds a sample to the open window.
    fn take(&mut self, t_ms: i64, value: f64, out: Outputs<'_>) {
        self.count_missing(t_ms);
        let Some(open) = &mut self.open else { return };
        let SignalSettings { low, high, .. } = self.settings;
        open.count = open.count.saturating_add(1);
        open.first_time = open.first_time.min(t_ms);
        open.last_time = open.last_time.max(t_ms);
        let saturated = low.is_some_and(|low| value <= low) || high.is_some_and(|high| value >= high);
        open.saturated += u32::from(saturated);
        self.features.push(t_ms, open.start_ms, value, &self.settings);
        let (spikes, tally) = (&mut self.spikes, &mut self.features.spikes);
        if let Some(spikes) = spikes {
            spikes.push(t_ms, value, &mut |spike, since_ms| {
                tally.add(spike, since_ms);
                out(SignalOutput::Spike(spike));
            });
        }
    }

    /// Counts the samples that should have come before this one.
    fn count_missing(&mut self, t_ms: i64) {
        let Some(expected_ms) = self.settings.expected_ms.map(i64::from) else { return };
        let last = self.counted_until_ms.unwrap_or(t_ms);
        let intervals = (t_ms - last + expected_ms / 2) / expected_ms;
        self.missing = self.missing.saturating_add(saturated_u32(intervals - 1));
        self.counted_until_ms = Some(last.max(t_ms));
    }

    /// Counts the samples that are overdue by more than half their distance at the end of a window.
    fn count_overdue(&mut self, end_ms: i64) {
        let (Some(expected_ms), Some(last)) = (self.settings.expected_ms, self.counted_until_ms) else {
            return;
        };
        let expected_ms = i64::from(expected_ms);
        let overdue = (end_ms - last - expected_ms / 2).max(0) / expected_ms;
        self.missing = self.missing.saturating_add(saturated_u32(overdue));
        self.counted_until_ms = Some(last + overdue * expected_ms);
    }

    /// Adds a sample to the block, if samples are reported.
    fn report(&mut self, t_ms: i64, value: f64, out: Outputs<'_>) {
        let Some(block) = &mut self.block else { return };
        if !block.push(t_ms, value) {
            out(SignalOutput::Samples(block));
            block.clear();
            block.push(t_ms, value);
        }
    }

    /// Completes the open window, at its end or (`whole` is false) at its last sample, and the block.
    fn complete(&mut self, whole: bool, out: Outputs<'_>) {
        if let Some(open) = self.open.take() {
            let end_ms = open.start_ms + self.settings.window_ms();
            if whole {
                self.count_overdue(end_ms);
            }
            self.floor_ms = Some(end_ms);
            let mut window = SignalWindow {
                start_ms: open.start_ms,
                length_ms: self.settings.window_ms() as u32,
                count: open.count,
                missing: std::mem::take(&mut self.missing),
                late: std::mem::take(&mut self.late),
                saturated: open.saturated,
                first_time: open.first_time,
                last_time: open.last_time,
                ..SignalWindow::default()
            };
            let has_spikes = self.spikes.as_ref().is_some_and(|spikes| spikes.is_running());
            self.features.values(&mut window, &self.settings, has_spikes);
            self.features = WindowFeatures::new(&self.settings);
            out(SignalOutput::Window(&window));
        }
        if let Some(block) = self.block.as_mut().filter(|block| !block.values().is_empty()) {
            out(SignalOutput::Samples(block));
            block.clear();
        }
    }
}

/// Within 0 and the largest `u32`.
fn saturated_u32(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}
