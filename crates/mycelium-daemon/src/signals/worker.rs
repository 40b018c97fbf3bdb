//! The thread that owns the channels of all signals.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::board::RingSample;
use super::metrics::{SignalMetrics, SignalMetricsTable};
use super::queue::{QUEUED_SAMPLES, QueuedSample, SignalQueue};
use super::{SignalSpec, record};
use crate::clock::{Mono, Stamp, Wall};
use crate::snapshots::Snapshots;
use crate::sync::lock;
use mycelium_core::signals::{Accepted, FUTURE_MS, SignalChannel, SignalOutput};
use mycelium_outbox::RecordKind;

pub(super) const STACK_BYTES: usize = 256 << 10;
/// How often windows whose time is over are looked for while no sample arrives.
const IDLE: Duration = Duration::from_secs(1);
/// How long a sample with the time of its reading may take to get here.
const READING_DELAY: Duration = Duration::from_secs(1);

/// Appends a record; false if it was not taken.
pub type StoreSignal = Box<dyn FnMut(RecordKind, Stamp, &[u8]) -> bool + Send>;

/// What the thread needs.
pub struct SignalWorkerSpec {
    pub signals: Vec<SignalSpec>,
    pub queue: Arc<SignalQueue>,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<SignalMetricsTable>,
    pub store: StoreSignal,
}

/// Handle to the running thread.
#[derive(Debug)]
pub struct SignalThread {
    queue: Arc<SignalQueue>,
    thread: JoinHandle<()>,
}

impl SignalThread {
    /// Starts the thread.
    pub fn start(spec: SignalWorkerSpec) -> std::io::Result<Self> {
        let queue = Arc::clone(&spec.queue);
        let mut worker = SignalWorker::new(spec);
        let builder = thread::Builder::new().name("signals".into()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || worker.run())?;
        Ok(Self { queue, thread })
    }

    /// Works off what was accepted and stores the open windows, as far as they are.
    pub fn stop(self) {
        self.queue.close();
        self.thread.join().expect("a panic ends the process");
    }
}

struct OwnedChannel {
    channel: SignalChannel,
    /// When a sample was last taken.
    taken: Mono,
    /// How long after that an open window whose time is over is complete.
    patience: Duration,
}

struct SignalWorker {
    spec: SignalWorkerSpec,
    channels: Vec<OwnedChannel>,
    payload: Vec<u8>,
}

impl SignalWorker {
    fn new(spec: SignalWorkerSpec) -> Self {
        let now = Mono::now();
        let own = |signal: &SignalSpec| OwnedChannel {
            channel: SignalChannel::new(signal.settings),
            taken: now,
            // Samples with their own time may come in parts: the next part belongs to the same window.
            patience: if signal.has_own_time {
                Duration::from_secs(signal.settings.window_s.into())
            } else {
                READING_DELAY
            },
        };
        let channels = spec.signals.iter().map(own).collect();
        Self { spec, channels, payload: Vec::with_capacity(4096) }
    }

    fn run(&mut self) {
        let mut batch = Vec::with_capacity(QUEUED_SAMPLES);
        let queue = Arc::clone(&self.spec.queue);
        while queue.take(&mut batch, IDLE) {
            let now = Mono::now();
            for sample in &batch {
                self.push(*sample, now);
            }
            self.complete_windows(now);
            if !batch.is_empty() {
                self.spec.snapshots.signals_changed.notify(usize::MAX);
            }
        }
        let now = Mono::now();
        for k in 0..self.channels.len() {
            self.drive(k, now, |channel, out| channel.channel.close(out));
        }
    }

    fn push(&mut self, sample: QueuedSample, now: Mono) {
        let is_future = sample.t_ms > Wall::now().0.saturating_add(FUTURE_MS);
        let accepted = if is_future {
            Accepted::Future
        } else {
            self.drive(sample.input, now, |owned, out| owned.channel.push(sample.t_ms, sample.value, out))
        };
        let signal = &self.spec.signals[sample.input];
        let scaled = sample.value * signal.settings.scale + signal.settings.offset;
        let metrics = &self.spec.metrics.0[sample.input];
        let mut board = lock(&self.spec.snapshots.signals[sample.input]);
        match accepted {
            Accepted::Taken | Accepted::Unchanged => {
                self.channels[sample.input].taken = now;
                metrics.samples.add(1);
                metrics.value.set(scaled);
                metrics.time.set(sample.t_ms as f64 / 1000.0);
                board.counts.samples += 1;
                if accepted == Accepted::Taken {
                    board.push(RingSample { t_ms: sample.t_ms, value: scaled });
                }
            }
            Accepted::Late => {
                metrics.late.add(1);
                board.counts.late += 1;
            }
            Accepted::Future | Accepted::NotFinite => {
                metrics.refused.add(1);
                board.counts.refused += 1;
                drop(board);
                let why = if accepted == Accepted::Future {
                    "is in the future"
                } else {
                    "is not finite once scaled"
                };
                let time = Wall(sample.t_ms);
                log::warn!(input = signal.name; "signal {}: a sample of {time} {why}: refused", signal.name);
            }
        }
    }

    /// Completes windows whose time is over and whose samples have stopped coming.
    fn complete_windows(&mut self, now: Mono) {
        let until = Wall::now().0 - READING_DELAY.as_millis() as i64;
        for k in 0..self.channels.len() {
            if now.since(self.channels[k].taken) >= self.channels[k].patience {
                self.drive(k, now, |owned, out| owned.channel.advance(until, out));
            }
        }
    }

    /// Calls a channel, stores its outputs and publishes them.
    fn drive<R>(
        &mut self,
        k: usize,
        now: Mono,
        call: impl FnOnce(&mut OwnedChannel, &mut dyn FnMut(SignalOutput<'_>)) -> R,
    ) -> R {
        let Self { spec, channels, payload } = self;
        let SignalWorkerSpec { signals, snapshots, metrics, store, .. } = spec;
        let (signal, metrics) = (&signals[k], &metrics.0[k]);
        call(&mut channels[k], &mut |output| {
            payload.clear();
            let kind = record::encode(&signal.name, &signal.unit, output, payload);
            if !store(kind, snapshots.stamp(now), payload) {
                metrics.lost.add(1);
            }
            publish(&mut lock(&snapshots.signals[k]), metrics, output);
        })
    }
}

fn publish(board: &mut super::SignalBoard, metrics: &SignalMetrics, output: SignalOutput<'_>) {
    match output {
        SignalOutput::Window(window) => {
            board.window = Some(*window);
            board.counts.windows += 1;
            metrics.windows.add(1);
            metrics.saturated.add(window.saturated.into());
            metrics.missing.add(window.missing.into());
        }
        SignalOutput::Spike(spike) => {
            board.push_spike(*spike);
            board.counts.spikes += 1;
            metrics.spikes.add(1);
        }
        SignalOutput::Samples(_) => {}
    }
}
