//! The thread: ticks at fixed times and never in bursts; missed ticks are counted and skipped.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::core::{EngineCore, EnginePlan, StepOutput};
use super::metrics::SimulationMetrics;
use crate::clock::{Mono, Stamp};
use crate::snapshots::Snapshots;
use crate::sync::lock;
use mycelium_core::sim::{FrameRing, MAX_PENDING_STIMULI};
use mycelium_core::window::FeatureWindow;

/// Volts for one cell, checked against the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueuedStimulus {
    pub row: u16,
    pub col: u16,
    pub volts: f64,
}

/// An external value for the open window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputSample {
    /// Number of its series.
    pub series: usize,
    pub value: f64,
}

/// Input for the next tick.
#[derive(Debug, Default)]
pub struct EngineInbox {
    pub stimuli: heapless::Deque<QueuedStimulus, MAX_PENDING_STIMULI>,
    pub samples: heapless::Vec<InputSample, MAX_PENDING_STIMULI>,
}

impl EngineInbox {
    /// Queues everything, or nothing and returns false: part of a pattern would be a different experiment.
    pub fn offer(
        &mut self,
        stimuli: impl ExactSizeIterator<Item = QueuedStimulus>,
        samples: impl ExactSizeIterator<Item = InputSample>,
    ) -> bool {
        let fits = stimuli.len() <= self.stimuli.capacity() - self.stimuli.len()
            && samples.len() <= self.samples.capacity() - self.samples.len();
        if fits {
            self.stimuli.extend(stimuli);
            self.samples.extend(samples);
        }
        fits
    }
}

/// Takes a closed window and the time at which it closed; must not block.
type WindowSink = Box<dyn FnMut(&FeatureWindow, Stamp) + Send>;

/// Whether the sink has room for one more window. Holds until the next call of [`WindowSink`]: there is no other
/// producer of windows. Must not block.
type HasCapacity = Box<dyn Fn() -> bool + Send>;

/// Is notified of what the thread does, for traces; must not block.
pub trait EngineObserver: Send {
    /// The features of this step were extracted.
    fn features(&mut self, step: u64, stamp: Stamp);
    /// A window closed; the sink is called after this.
    fn window(&mut self, window: &FeatureWindow, stamp: Stamp);
}

/// What the thread needs of the rest of the daemon.
pub struct EngineDeps {
    pub snapshots: Arc<Snapshots>,
    /// Index of this thread in [`Snapshots::tasks`].
    pub task: usize,
    pub metrics: Arc<SimulationMetrics>,
    pub ring: Arc<Mutex<FrameRing>>,
    pub inbox: Arc<Mutex<EngineInbox>>,
    pub window_sink: WindowSink,
    /// While this is false the open window stays open.
    pub has_capacity: HasCapacity,
    pub observer: Option<Box<dyn EngineObserver>>,
}

/// A running simulation thread.
#[derive(Debug)]
pub struct Engine {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Starts ticking at once: `steps` steps every `tick`.
    pub fn start(plan: EnginePlan, tick: Duration, steps: u32, deps: EngineDeps) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name("simulation".into()).spawn(move || {
            EngineThread { core: EngineCore::new(plan), deps, step_start: Mono::default() }
                .tick_until(&stopping, tick, steps);
        })?;
        Ok(Self { stop, thread })
    }

    /// Finishes the current tick, flushes the open window, and waits for the thread.
    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("a panic aborts the process");
    }
}

struct EngineThread {
    core: EngineCore,
    deps: EngineDeps,
    step_start: Mono,
}

impl EngineThread {
    fn tick_until(mut self, stop: &AtomicBool, tick: Duration, steps: u32) {
        let mut due = Mono::now();
        while !stop.load(Relaxed) {
            let now = Mono::now();
            if now < due {
                thread::park_timeout(due - now);
                continue;
            }
            let late = now.since(due) > tick;
            due = if late { now } else { due } + tick;
            self.tick(steps, late);
        }
        // Input queued since the last tick belongs to the window that is flushed now.
        self.take_stimuli();
        if let Some(window) = self.core.flush_window() {
            self.record(&window, Mono::now());
        }
    }

    fn tick(&mut self, steps: u32, late: bool) {
        self.step_start = Mono::now();
        for k in 0..steps {
            if k == 0 {
                self.take_stimuli();
            }
            self.step();
        }
        self.deps.snapshots.tasks[self.deps.task].beat(self.step_start);
        let mut progress = lock(&self.deps.snapshots.progress);
        progress.step = self.core.simulator().steps_done();
        progress.totals = self.core.simulator().counters();
        progress.late_ticks += u64::from(late);
        self.deps.metrics.late_ticks.store(progress.late_ticks);
    }

    fn take_stimuli(&mut self) {
        let mut inbox = lock(&self.deps.inbox);
        for &InputSample { series, value } in &inbox.samples {
            self.core.input(series, value);
        }
        inbox.samples.clear();
        while let Some(&QueuedStimulus { row, col, volts }) = inbox.stimuli.front() {
            if self.core.stimulate(row.into(), col.into(), volts).is_err() {
                break;
            }
            inbox.stimuli.pop_front();
        }
    }

    fn step(&mut self) {
        self.core.keep_open(!(self.deps.has_capacity)());
        let StepOutput { report, features, window } = self.core.step();
        let end = Mono::now();
        self.deps.metrics.record_step(&report, end.since(self.step_start).as_secs_f64());
        if report.reseeded {
            let step = self.core.simulator().steps_done();
            let seed = self.core.simulator().seed();
            log::warn!(
                "a value of the field stopped being finite at step {step}: restarted with seed {seed}"
            );
        }
        if let Some(values) = features {
            let stamp = self.deps.snapshots.stamp(end);
            self.publish(stamp, &values);
        }
        if let Some(window) = window {
            self.record(&window, end);
        }
        self.step_start = end;
    }

    fn record(&mut self, window: &FeatureWindow, now: Mono) {
        let stamp = self.deps.snapshots.stamp(now);
        if let Some(observer) = &mut self.deps.observer {
            observer.window(window, stamp);
        }
        (self.deps.window_sink)(window, stamp);
    }

    fn publish(&mut self, stamp: Stamp, values: &mycelium_core::features::FeatureValues) {
        let step = self.core.simulator().steps_done();
        self.deps.metrics.record_features(values);
        lock(&self.deps.ring).push(step, self.core.frame());
        self.deps.snapshots.publish_features(step, stamp, *values);
        if let Some(observer) = &mut self.deps.observer {
            observer.features(step, stamp);
        }
    }
}
