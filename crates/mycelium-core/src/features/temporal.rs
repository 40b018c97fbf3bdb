//! Temporal features over a sliding window: a few scalars per frame instead of frames.
//!
//! Each push updates the features in constant amortised time. Sums have twice the precision of `f64` and are recomputed
//! from the scalars once per window, and after a value far larger than the rest has left the window: they equal the
//! two-pass result for any length of run and any values.

use std::collections::VecDeque;

use super::double_double::DoubleDouble;
use super::moments::Transition;

/// Consecutive still transitions that count as stable.
const MIN_STILL_RUN: u64 = 10;

/// A transition is still if it changes less than this, mV.
const STILL_MILLIVOLTS: f64 = 0.001;

/// Sums are recomputed once they have shrunk by this factor: the rounding error left from the larger ones stays below `2^-104 * 2^16 * window` of the result.
const RECOMPUTE_BELOW: f64 = 1.0 / 65_536.0;

/// The four temporal features.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trends {
    /// Mean of `|dV|` over transitions and cells, mV per frame.
    pub dv_mean: f64,
    /// Largest `|dV|`, mV per frame.
    pub dv_max: f64,
    /// Frame number (from 1) at which the first run of ten still transitions begins; the number of frames without one.
    pub t_stable: f64,
    /// Least-squares slope of the energy over the frame number, mV^2 per frame.
    pub e_trend: f64,
}

/// The temporal features of a history.
#[derive(Clone, Debug)]
pub struct Temporal {
    /// Length of the window in frames; `None` for the whole history.
    window: Option<usize>,
    /// Frames pushed since the start.
    frames: u64,
    energy: SlidingFit,
    change: SlidingFit,
    largest: SlidingMax,
    still: StillRuns,
}

impl Temporal {
    /// Over the last `window` frames, at least 2; with `None` over the whole history, in constant memory.
    pub fn new(window: Option<usize>) -> Self {
        let frames = window.unwrap_or(0);
        Self {
            window,
            frames: 0,
            energy: SlidingFit::new(frames),
            change: SlidingFit::new(frames.saturating_sub(1)),
            largest: SlidingMax::new(frames.saturating_sub(1)),
            still: StillRuns::new(frames),
        }
    }

    /// Heap bytes.
    pub fn bytes(window: Option<usize>) -> usize {
        let frames = window.unwrap_or(0);
        let transitions = frames.saturating_sub(1);
        8 * frames
            + 8 * transitions
            + size_of::<(u64, f64)>() * transitions
            + size_of::<Run>() * StillRuns::max_len(frames)
    }

    /// Adds a frame: its energy (mV^2) and, unless it is the first, the transition to it with the change (mV) that the
    /// profile compares to the limit of a still transition.
    pub fn push(&mut self, energy: f64, change: Option<(Transition, f64)>) {
        self.energy.push(energy);
        if let Some((transition, stillness)) = change {
            let at = self.frames - 1;
            let first = self.window.map_or(0, |w| (self.frames + 1).saturating_sub(w as u64));
            self.change.push(transition.mean);
            self.largest.push(at, transition.max, first);
            self.still.push(at, stillness < STILL_MILLIVOLTS, first);
        }
        self.frames += 1;
    }

    /// The features over the window; all 0 before the second frame.
    pub fn trends(&self) -> Trends {
        if self.frames < 2 {
            return Trends::default();
        }
        let frames = self.window.map_or(self.frames, |w| self.frames.min(w as u64));
        let first = self.frames - frames;
        Trends {
            dv_mean: self.change.mean(),
            dv_max: self.largest.value(),
            t_stable: self.still.first_run(first).map_or(frames as f64, |at| (at - first + 1) as f64),
            e_trend: self.energy.slope(),
        }
    }
}

/// Sum and least-squares line of the last `limit` values, or of all if `limit` is 0. Non-finite values are counted
/// instead of summed; results are NaN while one is in the window.
#[derive(Clone, Debug)]
struct SlidingFit {
    limit: usize,
    values: VecDeque<f64>,
    count: u64,
    non_finite: u64,
    sum: DoubleDouble,
    /// Sum of each value times its index, from 0 for the oldest.
    weighted: DoubleDouble,
    /// Largest sum since the sums were last recomputed.
    peak: f64,
    /// Pushes since then.
    age: usize,
}

impl SlidingFit {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            values: VecDeque::with_capacity(limit),
            count: 0,
            non_finite: 0,
            sum: DoubleDouble::ZERO,
            weighted: DoubleDouble::ZERO,
            peak: 0.0,
            age: 0,
        }
    }

    fn push(&mut self, value: f64) {
        if self.limit == 0 {
            self.add(value);
            return;
        }
        if self.values.len() == self.limit {
            self.drop_oldest();
        }
        self.values.push_back(value);
        self.add(value);
        self.age += 1;
        let size = self.sum.value().abs();
        if size.is_nan() || size < self.peak * RECOMPUTE_BELOW || self.age >= self.limit {
            self.recompute();
        } else if size > self.peak {
            self.peak = size;
        }
    }

    fn add(&mut self, value: f64) {
        if value.is_finite() {
            let value = DoubleDouble::from(value);
            self.weighted = self.weighted.plus(value.times(self.count as f64));
            self.sum = self.sum.plus(value);
        } else {
            self.non_finite += 1;
        }
        self.count += 1;
    }

    fn drop_oldest(&mut self) {
        let oldest = self.values.pop_front().expect("a full window has an oldest value");
        if oldest.is_finite() {
            self.sum = self.sum.minus(DoubleDouble::from(oldest));
        } else {
            self.non_finite -= 1;
        }
        self.count -= 1;
        // The index of every other value falls by one.
        self.weighted = self.weighted.minus(self.sum);
    }

    fn recompute(&mut self) {
        (self.count, self.non_finite) = (0, 0);
        (self.sum, self.weighted) = (DoubleDouble::ZERO, DoubleDouble::ZERO);
        for k in 0..self.values.len() {
            self.add(self.values[k]);
        }
        (self.peak, self.age) = (self.sum.value().abs(), 0);
    }

    fn mean(&self) -> f64 {
        if self.non_finite > 0 { f64::NAN } else { self.sum.value() / self.count as f64 }
    }

    fn slope(&self) -> f64 {
        if self.non_finite > 0 {
            return f64::NAN;
        }
        let count = self.count as f64;
        let lever = self.weighted.times(2.0).minus(self.sum.times(count - 1.0)).value();
        lever * 6.0 / (count * (count * count - 1.0))
    }
}

/// Largest of the last `limit` values, or of all if `limit` is 0; NaN while one is in the window.
#[derive(Clone, Debug)]
struct SlidingMax {
    limit: usize,
    /// Index and value of each value that is larger than all later ones, oldest first.
    candidates: VecDeque<(u64, f64)>,
    /// Index at which the last NaN has left the window.
    nan_until: u64,
    /// The largest value.
    current: f64,
}

impl SlidingMax {
    fn new(limit: usize) -> Self {
        Self { limit, candidates: VecDeque::with_capacity(limit), nan_until: 0, current: 0.0 }
    }

    /// Adds the value with index `at` and drops those before `first`.
    fn push(&mut self, at: u64, value: f64, first: u64) {
        if self.limit == 0 {
            if value > self.current || value.is_nan() {
                self.current = value;
            }
            return;
        }
        while self.candidates.front().is_some_and(|c| c.0 < first) {
            self.candidates.pop_front();
        }
        if value.is_nan() {
            self.nan_until = at + self.limit as u64;
        } else {
            while self.candidates.back().is_some_and(|c| c.1 <= value) {
                self.candidates.pop_back();
            }
            self.candidates.push_back((at, value));
        }
        self.current = match self.candidates.front() {
            _ if at < self.nan_until => f64::NAN,
            Some(c) => c.1,
            None => 0.0,
        };
    }

    fn value(&self) -> f64 {
        self.current
    }
}

/// Consecutive still transitions `start..end`.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
}

impl Run {
    fn long_enough(self, first: u64) -> bool {
        self.end.saturating_sub(self.start.max(first)) >= MIN_STILL_RUN
    }
}

/// Runs of still transitions that are long enough within the window.
#[derive(Clone, Debug)]
struct StillRuns {
    /// Runs that have ended, oldest first; without a window only the first is kept.
    ended: VecDeque<Run>,
    max_len: usize,
    current: Run,
}

impl StillRuns {
    /// Most runs that fit into a window: the shortest ones with a single moving transition between them.
    const fn max_len(frames: usize) -> usize {
        frames / (MIN_STILL_RUN as usize + 1) + 1
    }

    fn new(frames: usize) -> Self {
        let max_len = Self::max_len(frames);
        Self { ended: VecDeque::with_capacity(max_len), max_len, current: Run { start: 0, end: 0 } }
    }

    /// Adds the transition with index `at` and drops runs that end before `first`.
    fn push(&mut self, at: u64, still: bool, first: u64) {
        while self.ended.front().is_some_and(|run| !run.long_enough(first)) {
            self.ended.pop_front();
        }
        if still {
            self.current.end = at + 1;
            return;
        }
        if self.current.long_enough(first) && self.ended.len() < self.max_len {
            self.ended.push_back(self.current);
        }
        self.current = Run { start: at + 1, end: at + 1 };
    }

    /// Start of the first run that is long enough from index `first` on.
    fn first_run(&self, first: u64) -> Option<u64> {
        let ended = self.ended.iter().find(|run| run.long_enough(first));
        ended.or(Some(&self.current).filter(|run| run.long_enough(first))).map(|run| run.start.max(first))
    }
}
