//! What a history leaves behind: one set of scalars per frame, and features over a window of them.
//!
//! Each push updates the features in constant amortised time. Sums are kept in twice the precision and made
//! anew from the scalars once per window, or when a value far larger than the rest has left, so that they
//! equal the two-pass result however long the program runs and whatever it has seen.

use std::collections::VecDeque;

use super::double_double::DoubleDouble;
use super::moments::Transition;

/// Consecutive still transitions that count as stable.
const STILL_RUN: u64 = 10;

/// A transition below this many millivolts is still.
const STILL: f64 = 0.001;

/// Sums are made anew when they have shrunk by this factor: what is left of the rounding of the larger
/// ones stays below `2^-104 * 2^16 * window` of the result.
const SHRUNK: f64 = 1.0 / 65_536.0;

/// The four temporal features.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trends {
    /// Mean of `|dV|` over transitions and cells, mV per frame.
    pub dv_mean: f64,
    /// SlidingMax `|dV|`, mV per frame.
    pub dv_max: f64,
    /// Frame number (from 1) at which the first run of ten still transitions begins; the number of frames without one.
    pub t_stable: f64,
    /// Least-squares slope of the energy over the frame number, mV^2 per frame.
    pub e_trend: f64,
}

/// Scalars of the frames so far.
#[derive(Clone, Debug)]
pub struct Temporal {
    /// Frames looked back over; `None` is the whole history.
    window: Option<usize>,
    /// Frames pushed since the start.
    frames: u64,
    energy: Sliding,
    change: Sliding,
    largest: SlidingMax,
    still: StillRun,
}

impl Temporal {
    /// `window` frames, at least 2; `None` looks back over everything in constant memory.
    pub fn new(window: Option<usize>) -> Self {
        let frames = window.unwrap_or(0);
        Self {
            window,
            frames: 0,
            energy: Sliding::new(frames),
            change: Sliding::new(frames.saturating_sub(1)),
            largest: SlidingMax::new(frames.saturating_sub(1)),
            still: StillRun::new(frames),
        }
    }

    /// Bytes on the heap.
    pub fn bytes(window: Option<usize>) -> usize {
        let frames = window.unwrap_or(0);
        let transitions = frames.saturating_sub(1);
        8 * frames
            + 8 * transitions
            + size_of::<(u64, f64)>() * transitions
            + size_of::<Run>() * StillRun::most(frames)
    }

    /// Adds a frame by its energy (mV^2) and, unless it is the first, what changed: the transition and the measure
    /// of stillness (mV) that the profile uses.
    pub fn push(&mut self, energy: f64, change: Option<(Transition, f64)>) {
        self.energy.push(energy);
        if let Some((transition, stillness)) = change {
            let at = self.frames - 1;
            let first = self.window.map_or(0, |w| (self.frames + 1).saturating_sub(w as u64));
            self.change.push(transition.mean);
            self.largest.push(at, transition.max, first);
            self.still.push(at, stillness < STILL, first);
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

/// Sum and straight-line fit of the last `limit` values, or of all with a limit of 0. Non-finite values are
/// counted instead of summed, and everything is NaN while one is in view.
#[derive(Clone, Debug)]
struct Sliding {
    limit: usize,
    values: VecDeque<f64>,
    count: u64,
    non_finite: u64,
    sum: DoubleDouble,
    /// Sum of each value times its place, from 0 for the oldest.
    placed: DoubleDouble,
    /// SlidingMax sum since the sums were last made anew, and pushes since then.
    peak: f64,
    age: usize,
}

impl Sliding {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            values: VecDeque::with_capacity(limit),
            count: 0,
            non_finite: 0,
            sum: DoubleDouble::ZERO,
            placed: DoubleDouble::ZERO,
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
        if size.is_nan() || size < self.peak * SHRUNK || self.age >= self.limit {
            self.sum_anew();
        } else if size > self.peak {
            self.peak = size;
        }
    }

    fn add(&mut self, value: f64) {
        if value.is_finite() {
            let value = DoubleDouble::from(value);
            self.placed = self.placed.plus(value.times(self.count as f64));
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
        // All others move down by one place.
        self.placed = self.placed.minus(self.sum);
    }

    fn sum_anew(&mut self) {
        (self.count, self.non_finite) = (0, 0);
        (self.sum, self.placed) = (DoubleDouble::ZERO, DoubleDouble::ZERO);
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
        let lever = self.placed.times(2.0).minus(self.sum.times(count - 1.0)).value();
        lever * 6.0 / (count * (count * count - 1.0))
    }
}

/// The largest of the last `limit` values, or of all with a limit of 0; NaN while one is in view.
#[derive(Clone, Debug)]
struct SlidingMax {
    limit: usize,
    /// Places and values, both falling from the front: each is the largest from its place on.
    candidates: VecDeque<(u64, f64)>,
    /// Place behind the last NaN.
    nan_until: u64,
    /// Of all values, when there is no window.
    overall: f64,
}

impl SlidingMax {
    fn new(limit: usize) -> Self {
        Self { limit, candidates: VecDeque::with_capacity(limit), nan_until: 0, overall: 0.0 }
    }

    /// Adds the value at place `at` and forgets places before `first`.
    fn push(&mut self, at: u64, value: f64, first: u64) {
        if self.limit == 0 {
            if value > self.overall || value.is_nan() {
                self.overall = value;
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
        self.overall = match self.candidates.front() {
            _ if at < self.nan_until => f64::NAN,
            Some(c) => c.1,
            None => 0.0,
        };
    }

    fn value(&self) -> f64 {
        self.overall
    }
}

/// StillRun transitions `start..end` in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
}

impl Run {
    fn long_enough(self, first: u64) -> bool {
        self.end.saturating_sub(self.start.max(first)) >= STILL_RUN
    }
}

/// Runs of still transitions that are long enough as far as they are in view.
#[derive(Clone, Debug)]
struct StillRun {
    /// Runs that have ended, oldest first; without a window only the first is kept.
    ended: VecDeque<Run>,
    most: usize,
    current: Run,
}

impl StillRun {
    /// Runs of ten with one moving transition between them, in a window of so many frames.
    const fn most(frames: usize) -> usize {
        frames / (STILL_RUN as usize + 1) + 1
    }

    fn new(frames: usize) -> Self {
        let most = Self::most(frames);
        Self { ended: VecDeque::with_capacity(most), most, current: Run { start: 0, end: 0 } }
    }

    /// Adds the transition at place `at` and forgets places before `first`.
    fn push(&mut self, at: u64, still: bool, first: u64) {
        while self.ended.front().is_some_and(|run| !run.long_enough(first)) {
            self.ended.pop_front();
        }
        if still {
            self.current.end = at + 1;
            return;
        }
        if self.current.long_enough(first) && self.ended.len() < self.most {
            self.ended.push_back(self.current);
        }
        self.current = Run { start: at + 1, end: at + 1 };
    }

    /// Where the first run begins that is long enough from place `first` on.
    fn first_run(&self, first: u64) -> Option<u64> {
        let ended = self.ended.iter().find(|run| run.long_enough(first));
        ended.or(Some(&self.current).filter(|run| run.long_enough(first))).map(|run| run.start.max(first))
    }
}
