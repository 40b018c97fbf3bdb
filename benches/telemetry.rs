//! What metrics, logs at their default level and tracing that is off add to a tick of the default field.
//!
//! `cargo bench --bench telemetry`; `BENCH_SMALL=1` for a short run. Both sides step the same field alternately in one
//! process; the subject also calls what the simulation thread calls for telemetry.

mod support;

use std::hint::black_box;

use mycelium_edge::clock::Mono;
use mycelium_edge::engine::{Core, Plan, Watch};
use mycelium_edge::features::{Compat, Connectivity, Profile, Threshold};
use mycelium_edge::sim::Params;
use mycelium_edge::telemetry::metrics::Metrics;

fn core() -> Core {
    Core::new(Plan {
        params: Params::default(),
        seed: 1,
        profile: Profile {
            compat: Compat::Edge,
            threshold: Threshold::Otsu,
            connectivity: Connectivity::Four,
            torus: true,
            window: 64,
        },
        every: 10,
        window_steps: 600,
        inputs: Vec::new(),
    })
}

fn main() {
    let (mut plain, mut told) = (core(), core());
    let metrics = Metrics::new([]);
    let watch: Option<Box<dyn Watch>> = black_box(None);
    let mut start = Mono::now();
    let compared = support::median_ratio(
        200,
        || drop(black_box(plain.step())),
        || {
            let done = told.step();
            let end = Mono::now();
            metrics.sim.stepped(&done.report, end.since(start).as_secs_f64());
            if let Some(values) = &done.features {
                metrics.sim.featured(values);
                log::debug!("a line below the level in force");
                assert!(watch.is_none(), "tracing is off");
            }
            start = end;
            drop(black_box(done));
        },
    );
    let share = (1.0 / compared.ratio - 1.0) * 100.0;
    println!(
        "telemetry adds {share:.2} % to a step of 64x64 with its features: {:.2} us to {:.2} us, median of rounds",
        compared.baseline.as_secs_f64() * 1e6,
        compared.subject.as_secs_f64() * 1e6
    );
}
