//! What the simulation thread of the daemon adds to the steps of the default field: metrics, logs at their default level,
//! tracing that is off, and the copies that pollers read.
//!
//! `cargo bench --bench telemetry`; `BENCH_SMALL=1` for a short run. One side are the steps of a bare core, the other those of
//! the engine as the daemon starts it.

mod support;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelium_core::features::{Compat, Connectivity, FeatureProfile, Threshold};
use mycelium_core::sim::{FrameRing, Params};
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::engine::{Engine, EngineCore, EngineDeps, EngineInbox, EnginePlan};
use mycelium_daemon::snapshots::{MonitoredTask, ProcessIdentity, Snapshots};
use mycelium_daemon::telemetry::logs;

/// Steps of one round, with two feature records: half a millisecond, so that most rounds are disturbed by nobody.
const STEPS: u32 = 20;

fn plan() -> EnginePlan {
    EnginePlan {
        params: Params::default(),
        seed: 1,
        profile: FeatureProfile {
            compat: Compat::Edge,
            threshold: Threshold::Otsu,
            connectivity: Connectivity::Four,
            torus: true,
            window: 64,
        },
        every: 10,
        window_steps: 600,
        inputs: Vec::new(),
    }
}

/// The thread checks this before each of its steps; between two rounds of these it takes as many of a bare core, so that both
/// sides have the same thread, caches and disturbances.
struct Turns {
    core: EngineCore,
    /// Steps of the engine since `began`.
    taken: u32,
    began: Mono,
    /// What the core took in the round before.
    bare: Duration,
    rounds: Vec<(Duration, Duration)>,
    done: Sender<Vec<(Duration, Duration)>>,
}

impl Turns {
    fn turn(&mut self) {
        self.taken += 1;
        if self.taken <= STEPS {
            return;
        }
        let asked = Mono::now();
        self.rounds.push((self.bare / STEPS, asked.since(self.began) / STEPS));
        if self.rounds.len() == support::rounds() * 11 + 1 {
            // Nobody waits for what comes after the last round.
            drop(self.done.send(std::mem::take(&mut self.rounds)));
        }
        let start = Mono::now();
        (0..STEPS).for_each(|_| drop(black_box(self.core.step())));
        self.began = Mono::now();
        (self.taken, self.bare) = (1, self.began.since(start));
    }
}

fn engine(turns: Turns) -> Engine {
    let (plan, turns) = (plan(), RefCell::new(turns));
    let started = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
    let identity = ProcessIdentity { device: "bench".to_owned(), boot: BootId(1), started, seed: plan.seed };
    let task = MonitoredTask::new("simulation", Duration::from_secs(5), started.mono);
    let snapshots = Snapshots::new(identity, 512, vec![task]);
    let ports = EngineDeps {
        snapshots: Arc::new(snapshots),
        task: 0,
        metrics: Arc::default(),
        ring: Arc::new(Mutex::new(FrameRing::new(&plan.params, 64))),
        inbox: Arc::new(Mutex::new(EngineInbox::default())),
        window_sink: Box::new(|window, stamp| {
            black_box((window, stamp));
        }),
        has_capacity: Box::new(move || {
            turns.borrow_mut().turn();
            true
        }),
        observer: None,
    };
    // A tick of no time is always due.
    Engine::start(plan, Duration::ZERO, 1, ports).expect("a thread can be started")
}

fn main() {
    logs::start(logs::LogSettings { level: log::LevelFilter::Info, format: logs::LogFormat::Text });
    let (done, waiting) = channel();
    let (core, began) = (EngineCore::new(plan()), Mono::now());
    let turns = Turns { core, taken: 0, began, bare: Duration::ZERO, rounds: Vec::new(), done };
    let engine = engine(turns);
    let rounds = waiting.recv().expect("the engine runs until it is stopped");
    engine.stop();
    // Of the first round there is no other side.
    let compared = support::medians(rounds.into_iter().skip(1));
    println!(
        "telemetry and all else the thread does add {:.2} % to a step of 64x64 with its features: {:.2} us to {:.2} us, \
         medians of rounds of {STEPS} steps",
        (1.0 / compared.ratio - 1.0) * 100.0,
        compared.baseline.as_secs_f64() * 1e6,
        compared.subject.as_secs_f64() * 1e6,
    );
}
